package link

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"director/internal/rawconn"
	"director/vrrp"
)

// frames sends adverts as whole Ethernet frames: the only way to send them from
// another MAC address than the interface's (RFC 9568 section 7.3) while the
// interface that has the virtual one is down, as a backup's is.
type frames struct {
	fd     int
	tx     *ipv4.PacketConn
	id     uint16 // IP identification of the newest one
	bufs   [][]byte
	out    []ipv4.Message
	queued int
}

func openFrames(ifi Interface) (*frames, error) {
	// Protocol 0: it receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = errors.Join(
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index})),
		setOption(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 7, "SO_PRIORITY"),
	)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	return &frames{fd: fd, tx: ipv4.NewPacketConn(rawconn.Headers{IP: rawconn.NewIP(fd)})}, nil
}

func (f *frames) close() error { return os.NewSyscallError("close", unix.Close(f.fd)) }

// QueueFrom is Queue for an advert by multicast that leaves under another MAC
// address than the interface's. The source may be any address of the host.
func (s *Socket) QueueFrom(mac MAC, src, dst netip.Addr, ttl uint8, pdu []byte) error {
	if s.frames == nil {
		if s.fd < 0 {
			return ErrClosed
		}
		f, err := openFrames(s.ifi)
		if err != nil {
			return err
		}
		s.frames = f
	}
	f := s.frames
	if f.queued == len(f.bufs) {
		f.bufs = append(f.bufs, make([]byte, 0, 128))
		f.out = append(f.out, ipv4.Message{Buffers: [][]byte{nil}})
	}
	b := append(f.bufs[f.queued][:0], multicastMAC(dst)...)
	b = append(b, mac[:]...)
	switch {
	case s.family == vrrp.IPv6:
		from, to := src.As16(), dst.As16()
		b = append(b, 0x86, 0xdd, 0x60|tos>>4, tos&0xf<<4, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(pdu)))
		b = append(b, vrrp.ProtocolNumber, ttl)
		b = append(append(append(b, from[:]...), to[:]...), pdu...)
	case s.ah:
		// What comes is the packet, but for the checksum of its header.
		b = append(append(b, 0x08, 0x00), pdu...)
		finishIPv4(b[ethernetHeader:])
	default:
		from, to := src.As4(), dst.As4()
		if f.id++; f.id == 0 {
			f.id = 1
		}
		b = append(b, 0x08, 0x00, 0x45, tos)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(pdu)))
		b = binary.BigEndian.AppendUint16(b, f.id)
		b = append(b, 0, 0, ttl, vrrp.ProtocolNumber, 0, 0)
		b = append(append(append(b, from[:]...), to[:]...), pdu...)
		finishIPv4(b[ethernetHeader:])
	}
	f.bufs[f.queued] = b
	f.out[f.queued].Buffers[0] = b
	f.queued++
	return nil
}

// multicastMAC is where Ethernet frames for a multicast group go (RFC 1112 section
// 6.4, RFC 2464 section 7).
func multicastMAC(group netip.Addr) []byte {
	ip := group.As16()
	if group.Is4() {
		return []byte{0x01, 0x00, 0x5e, ip[13] & 0x7f, ip[14], ip[15]}
	}
	return []byte{0x33, 0x33, ip[12], ip[13], ip[14], ip[15]}
}

// finishIPv4 fills in the checksum of an IPv4 header.
func finishIPv4(p []byte) {
	p[10], p[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
}

// flushFrames sends the frames that were queued, in one system call unless one
// fails.
func (s *Socket) flushFrames() []error {
	f := s.frames
	if f == nil {
		return nil
	}
	queued := f.queued
	f.queued = 0
	return s.send(f.tx, f.out[:queued], func(i int, err error) *SendError {
		src, dst := addressesOf(f.bufs[i])
		return &SendError{Index: i, Src: src, Dst: dst, Err: err}
	})
}

// addressesOf reads the addresses of a frame that QueueFrom has made.
func addressesOf(frame []byte) (src, dst netip.Addr) {
	if frame[12] == 0x86 {
		return netip.AddrFrom16([16]byte(frame[22:])), netip.AddrFrom16([16]byte(frame[38:]))
	}
	return netip.AddrFrom4([4]byte(frame[26:])), netip.AddrFrom4([4]byte(frame[30:]))
}
