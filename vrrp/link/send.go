package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// SendError is an advert that could not be sent.
type SendError struct {
	// Index is the advert's place in the order of Queue since the last Flush,
	// counted from 0.
	Index    int
	Src, Dst netip.Addr
	Err      error
}

func (e *SendError) Error() string {
	return fmt.Sprintf("advert from %s to %s: %v", e.Src, e.Dst, e.Err)
}

// Unwrap returns the kernel's reason, a syscall.Errno: ENETUNREACH for a source that is no
// address of this host, ENETDOWN, ENODEV, EAGAIN (no buffer) and others.
func (e *SendError) Unwrap() error { return e.Err }

// slot is the memory of one queued advert. It is used again after each Flush.
type slot struct {
	pdu []byte
	ip  [4]byte
	dst net.IPAddr
	oob []byte
}

// sourceOffset is where the source address lies in a slot's control message:
// behind the header and the interface index of struct in_pktinfo.
var sourceOffset = unix.CmsgLen(0) + 4

func (s *Socket) newSlot() *slot {
	sl := &slot{
		pdu: make([]byte, 0, 64),
		oob: (&ipv4.ControlMessage{IfIndex: s.ifi.Index}).Marshal(),
	}
	sl.dst.IP = sl.ip[:]
	return sl
}

// Queue takes a VRRP packet for the next Flush. The packet is copied. The
// source must be an address of this host; the zero Addr lets the kernel choose the
// interface's primary address. The destination is the multicast group or a
// unicast peer. It panics on addresses that are not IPv4.
func (s *Socket) Queue(src, dst netip.Addr, pdu []byte) {
	if s.queued == len(s.slots) {
		sl := s.newSlot()
		s.slots = append(s.slots, sl)
		s.out = append(s.out, ipv4.Message{Buffers: [][]byte{nil}, OOB: sl.oob, Addr: &sl.dst})
	}
	sl := s.slots[s.queued]
	sl.pdu = append(sl.pdu[:0], pdu...)
	sl.ip = dst.As4()
	var from [4]byte
	if src.IsValid() {
		from = src.As4()
	}
	copy(sl.oob[sourceOffset:], from[:])
	s.out[s.queued].Buffers[0] = sl.pdu
	s.queued++
}

// Flush sends what was queued, in one system call unless one fails, and
// forgets it: an advert that failed is not kept, the next one is due soon
// enough. The error joins a *SendError for each advert that was not sent; when
// the interface as a whole is gone or down, the adverts behind the first that
// failed are not tried.
func (s *Socket) Flush() error {
	queued := s.queued
	s.queued = 0
	if s.fd < 0 {
		return ErrClosed
	}
	var errs []error
	for next := 0; next < queued; {
		n, err := s.tx.WriteBatch(s.out[next:queued], unix.MSG_DONTWAIT)
		if err == nil {
			next += n
			s.stats.Sent += uint64(n)
			continue
		}
		var errno unix.Errno
		if errors.As(err, &errno) {
			err = errno
		}
		gone := errno == unix.ENODEV || errno == unix.ENETDOWN || errno == unix.ENXIO
		for next < queued {
			errs = append(errs, s.sendError(next, err))
			next++
			s.stats.Failed++
			if !gone {
				break
			}
		}
	}
	if errs == nil {
		return nil
	}
	return fmt.Errorf("link: send on %s: %w", s.ifi.Name, errors.Join(errs...))
}

func (s *Socket) sendError(i int, err error) *SendError {
	sl := s.slots[i]
	e := &SendError{Index: i, Dst: netip.AddrFrom4(sl.ip), Err: err}
	if from := [4]byte(sl.oob[sourceOffset:]); from != [4]byte{} {
		e.Src = netip.AddrFrom4(from)
	}
	return e
}
