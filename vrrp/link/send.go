package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"director/vrrp"
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
	ip  [16]byte // dst.IP is its beginning
	dst net.IPAddr
	oob []byte
}

// layout is where things lie in a slot's control messages: a packet info, which
// names interface and source, and behind it the time to live, an int.
type layout struct {
	addrLen int
	source  int
	ttl     int
}

var (
	// The source is behind the header and the interface index of struct in_pktinfo.
	layout4 = layout{4, unix.CmsgLen(0) + 4, unix.CmsgSpace(unix.SizeofInet4Pktinfo) + unix.CmsgLen(0)}
	// The source begins struct in6_pktinfo.
	layout6 = layout{16, unix.CmsgLen(0), unix.CmsgSpace(unix.SizeofInet6Pktinfo) + unix.CmsgLen(0)}
)

func (s *Socket) layout() *layout {
	if s.family == vrrp.IPv6 {
		return &layout6
	}
	return &layout4
}

func (s *Socket) newSlot() *slot {
	sl := &slot{pdu: make([]byte, 0, 64)}
	level, kind := unix.IPPROTO_IP, unix.IP_TTL
	if s.family == vrrp.IPv6 {
		level, kind = unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT
		sl.oob = (&ipv6.ControlMessage{IfIndex: s.ifi.Index}).Marshal()
	} else {
		sl.oob = (&ipv4.ControlMessage{IfIndex: s.ifi.Index}).Marshal()
	}
	end := len(sl.oob)
	sl.oob = append(sl.oob, make([]byte, unix.CmsgSpace(4))...)
	h := (*unix.Cmsghdr)(unsafe.Pointer(&sl.oob[end]))
	h.Level, h.Type = int32(level), int32(kind)
	h.SetLen(unix.CmsgLen(4))
	sl.dst.IP = sl.ip[:s.layout().addrLen]
	return sl
}

// Queue takes a VRRP packet for the next Flush. The packet is copied. The
// source must be an address of this host; the zero Addr lets the kernel choose the
// interface's primary address. The destination is a multicast group or a
// unicast peer, which may be behind a router of this interface's network. The
// time to live (hop limit) is 1 to 255. It panics on addresses of another family
// than the socket's.
func (s *Socket) Queue(src, dst netip.Addr, ttl uint8, pdu []byte) {
	if s.queued == len(s.slots) {
		sl := s.newSlot()
		s.slots = append(s.slots, sl)
		s.out = append(s.out, ipv4.Message{Buffers: [][]byte{nil}, OOB: sl.oob, Addr: &sl.dst})
	}
	sl, at := s.slots[s.queued], s.layout()
	sl.pdu = append(sl.pdu[:0], pdu...)
	s.put(sl.ip[:], dst)
	clear(sl.oob[at.source : at.source+at.addrLen])
	if src.IsValid() {
		s.put(sl.oob[at.source:], src)
	}
	binary.NativeEndian.PutUint32(sl.oob[at.ttl:], uint32(ttl))
	s.out[s.queued].Buffers[0] = sl.pdu
	s.queued++
}

// put writes an address.
func (s *Socket) put(b []byte, a netip.Addr) {
	if s.family == vrrp.IPv6 {
		if !a.Is6() || a.Is4In6() {
			panic("link: not an IPv6 address: " + a.String())
		}
		ip := a.As16()
		copy(b, ip[:])
		return
	}
	ip := a.As4()
	copy(b, ip[:])
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
	errs := append(s.flushFrames(), s.send(s.tx, s.out[:queued], s.sendError)...)
	if errs == nil {
		return nil
	}
	return fmt.Errorf("link: send on %s: %w", s.ifi.Name, errors.Join(errs...))
}

// send sends messages in one system call unless one fails; failed tells which that
// was. When the interface as a whole is gone or down, those behind it are not tried.
func (s *Socket) send(tx batchWriter, list []ipv4.Message, failed func(i int, err error) *SendError) (errs []error) {
	for next := 0; next < len(list); {
		n, err := tx.WriteBatch(list[next:], unix.MSG_DONTWAIT)
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
		for next < len(list) {
			errs = append(errs, failed(next, err))
			next++
			s.stats.Failed++
			if !gone {
				break
			}
		}
	}
	return errs
}

// batchWriter sends several messages in one system call.
type batchWriter interface {
	WriteBatch(list []ipv4.Message, flags int) (int, error)
}

func (s *Socket) sendError(i int, err error) *SendError {
	sl, at := s.slots[i], s.layout()
	dst, _ := netip.AddrFromSlice(sl.dst.IP)
	e := &SendError{Index: i, Dst: dst, Err: err}
	if from, _ := netip.AddrFromSlice(sl.oob[at.source : at.source+at.addrLen]); !from.IsUnspecified() {
		e.Src = from
	}
	return e
}
