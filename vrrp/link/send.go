package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

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

// sourceOffset and ttlOffset are where the source address and the time to live
// lie in a slot's control messages: the one behind the header and the interface
// index of struct in_pktinfo, the other, an int, behind the header of IP_TTL.
var (
	sourceOffset = unix.CmsgLen(0) + 4
	ttlOffset    = unix.CmsgSpace(unix.SizeofInet4Pktinfo) + unix.CmsgLen(0)
)

func (s *Socket) newSlot() *slot {
	sl := &slot{
		pdu: make([]byte, 0, 64),
		oob: (&ipv4.ControlMessage{IfIndex: s.ifi.Index}).Marshal(),
	}
	sl.dst.IP = sl.ip[:]
	sl.oob = append(sl.oob, make([]byte, unix.CmsgSpace(4))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&sl.oob[unix.CmsgSpace(unix.SizeofInet4Pktinfo)]))
	h.Level, h.Type = unix.IPPROTO_IP, unix.IP_TTL
	h.SetLen(unix.CmsgLen(4))
	return sl
}

// Queue takes a VRRP packet for the next Flush. The packet is copied. The
// source must be an address of this host; the zero Addr lets the kernel choose the
// interface's primary address. The destination is the multicast group or a
// unicast peer, which may be behind a router of this interface's network. The
// time to live is 1 to 255. It panics on addresses that are not IPv4.
func (s *Socket) Queue(src, dst netip.Addr, ttl uint8, pdu []byte) {
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
	binary.NativeEndian.PutUint32(sl.oob[ttlOffset:], uint32(ttl))
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
