package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Datagram is one received VRRP packet.
type Datagram struct {
	Src, Dst netip.Addr
	TTL      int
	// Payload is what follows the IP header, cut to the length that the header
	// states, so without the padding of a short Ethernet frame. It is valid until
	// the handler returns.
	Payload []byte
	// Header is the IP header as it arrived, IPv4 only, as long valid as Payload.
	Header []byte
	// Protocol is the IP protocol: vrrp.ProtocolNumber or vrrp.ProtocolAH.
	Protocol int
	// Arrival is when the kernel received the packet, on the scale of time.Now:
	// the kernel's stamp, which is of the wall clock, is taken as an age against
	// the wall clock of the reading, and that age is subtracted from a reading
	// that carries the monotonic clock. Should the wall clock be set between
	// arrival and reading, Arrival still lies between the previous complete
	// reading and this one.
	Arrival time.Time
}

// read is what the Poller calls. An error does not end the watch: it says that
// the interface went down, for one, and passes with that.
func (s *Socket) read() {
	if _, err := s.receive(s.handle); err != nil {
		s.stats.Errors++
	}
}

// receive hands all packets that had arrived when it was called, oldest first,
// to the handler, and returns how many there were. It does not wait, and no
// flood of packets keeps it longer than it takes to read one full receive
// buffer. It allocates nothing, unless there is nothing to read.
func (s *Socket) receive(handle func(Datagram)) (int, error) {
	if s.fd < 0 {
		return 0, ErrClosed
	}
	batch := &s.poller.batch
	called := time.Now()
	total := 0
	for {
		n, err := s.rx.read(batch)
		now := time.Now()
		if err != nil {
			if errors.Is(err, unix.EAGAIN) {
				s.drained = now
				return total, nil
			}
			return total, fmt.Errorf("link: receive on %s: %w", s.ifi.Name, err)
		}
		arrival := called
		for i := range n {
			d, c, ok := s.rx.packet(batch, i)
			if c.lost > 0 {
				s.stats.Lost = c.lost
			}
			if !ok {
				s.stats.Malformed++
				continue
			}
			arrival = s.arrival(c, now)
			d.Arrival = arrival
			s.stats.Received++
			total++
			handle(d)
			if s.fd < 0 { // the handler closed it
				return total, nil
			}
		}
		if n < batchSize || arrival.After(called) {
			s.drained = arrival
			if n < batchSize {
				s.drained = now
			}
			return total, nil
		}
	}
}

// arrival converts the kernel's stamp of a packet that was read at now.
func (s *Socket) arrival(c control, now time.Time) time.Time {
	if !c.stamped {
		return now
	}
	at := now.Add(time.Duration(c.stamp - now.UnixNano()))
	switch {
	case at.After(now):
		return now
	case at.Before(s.drained):
		return s.drained
	}
	return at
}

// parseIPv4 splits a packet as a raw socket delivers it. It says false when the
// header's lengths do not fit the packet.
func parseIPv4(b []byte) (Datagram, bool) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return Datagram{}, false
	}
	header := int(b[0]&0xf) * 4
	length := int(binary.BigEndian.Uint16(b[2:]))
	if header < 20 || length < header || length > len(b) {
		return Datagram{}, false
	}
	return Datagram{
		Src:     netip.AddrFrom4([4]byte(b[12:16])),
		Dst:     netip.AddrFrom4([4]byte(b[16:20])),
		TTL:     int(b[8]),
		Payload: b[header:length:length],
		Header:  b[:header:header], Protocol: int(b[9]),
	}, true
}

// controlSpace is room for the control messages that are asked for: a timespec
// and a 32-bit counter, and over IPv6 destination and hop limit.
var controlSpace = unix.CmsgSpace(16) + unix.CmsgSpace(4) + unix.CmsgSpace(unix.SizeofInet6Pktinfo) + unix.CmsgSpace(4)

// control is what the kernel says about a packet beside it.
type control struct {
	stamp   int64 // of arrival, in nanoseconds since 1970
	stamped bool
	lost    uint32     // packets that found the buffer full, since the socket was opened
	dst     netip.Addr // IPv6
	hops    int        // IPv6: the hop limit
}

// parseControl reads the control messages of a packet.
func parseControl(b []byte) (c control) {
	const word = 32 << (^uint(0) >> 63) / 8 // bytes of a C long, and of cmsg_len
	for len(b) >= unix.SizeofCmsghdr {
		length := int(nativeWord(b))
		if length < unix.SizeofCmsghdr || length > len(b) {
			return c
		}
		level := binary.NativeEndian.Uint32(b[word:])
		kind := binary.NativeEndian.Uint32(b[word+4:])
		data := b[unix.SizeofCmsghdr:length]
		switch {
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			c.dst = netip.AddrFrom16([16]byte(data))
		case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT && len(data) >= 4:
			c.hops = int(int32(binary.NativeEndian.Uint32(data)))
		case level != unix.SOL_SOCKET:
		case kind == unix.SCM_TIMESTAMPNS && len(data) >= 2*word:
			c.stamp, c.stamped = nativeWord(data)*1e9+nativeWord(data[word:]), true
		case kind == unix.SO_RXQ_OVFL && len(data) >= 4:
			c.lost = binary.NativeEndian.Uint32(data)
		}
		b = b[min(len(b), (length+word-1)&^(word-1)):]
	}
	return c
}

// nativeWord reads a C long.
func nativeWord(b []byte) int64 {
	if ^uint(0)>>63 == 1 {
		return int64(binary.NativeEndian.Uint64(b))
	}
	return int64(int32(binary.NativeEndian.Uint32(b)))
}
