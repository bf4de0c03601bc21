package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Path is the way of a session's packets.
type Path struct {
	Source netip.Addr // invalid: the kernel chooses by its routes
	Peer   netip.Addr
	Port   uint16 // bfd.Port or bfd.MultihopPort
	Scope  Scope  // the interface that packets leave by; zero: by the kernel's routes
	TTL    uint8  // time to live or hop limit, see bfd.TTL
}

// Source ports of BFD (RFC 5881 section 4): the same for all packets of a
// session, and different for each.
const (
	firstPort = 49152
	lastPort  = 65535
)

// Sender sends the packets of one session.
type Sender struct {
	fd   int
	to   unix.Sockaddr
	port uint16
}

// Dial opens a Sender. port is the source port of an earlier Sender of the same
// session, which is used again if it is free, or 0.
func Dial(p Path, port uint16) (*Sender, error) {
	s := &Sender{fd: -1, to: sockaddr(p.Peer, p.Port, p.Scope)}
	if err := s.open(p, port); err != nil {
		s.Close()
		return nil, fmt.Errorf("bfd: open socket to %s: %w", p.Peer, err)
	}
	return s, nil
}

func (s *Sender) open(p Path, port uint16) (err error) {
	v6 := p.Peer.Is6()
	if s.fd, err = open(v6, p.Scope); err != nil {
		return err
	}
	if v6 {
		err = errors.Join(
			setOption(s.fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, int(p.TTL), "IPV6_UNICAST_HOPS"),
			setOption(s.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass, "IPV6_TCLASS"))
	} else {
		err = errors.Join(
			setOption(s.fd, unix.IPPROTO_IP, unix.IP_TTL, int(p.TTL), "IP_TTL"),
			setOption(s.fd, unix.IPPROTO_IP, unix.IP_TOS, trafficClass, "IP_TOS"))
	}
	err = errors.Join(err,
		setOption(s.fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority, "SO_PRIORITY"), // after IP_TOS, which sets one too
		setOption(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1, "SO_RCVBUF"))            // nobody reads it
	if err != nil {
		return err
	}
	source := p.Source
	if !source.IsValid() {
		source = netip.IPv4Unspecified()
		if v6 {
			source = netip.IPv6Unspecified()
		}
	}
	if port == 0 {
		port = randomPort()
	}
	for range 64 {
		if err = unix.Bind(s.fd, sockaddr(source, port, p.Scope)); err == nil {
			s.port = port
			return nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			break
		}
		port = randomPort()
	}
	return os.NewSyscallError("bind", err)
}

func randomPort() uint16 { return uint16(firstPort + rand.IntN(lastPort-firstPort+1)) }

// Port is the source port.
func (s *Sender) Port() uint16 { return s.port }

// Send sends a packet. It does not wait: what the kernel cannot take is lost.
func (s *Sender) Send(packet []byte) error {
	if s.fd < 0 {
		return ErrClosed
	}
	err := unix.Sendto(s.fd, packet, unix.MSG_DONTWAIT, s.to)
	return os.NewSyscallError("sendto", err)
}

// Close closes the socket. A second Close does nothing.
func (s *Sender) Close() error {
	if s.fd < 0 {
		return nil
	}
	err := unix.Close(s.fd)
	s.fd = -1
	return err
}
