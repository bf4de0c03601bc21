package link

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Claim is somebody's word that an address is at a hardware address: the sender
// of an ARP packet, or the target of a neighbour advertisement.
type Claim struct {
	Addr netip.Addr
	MAC  [6]byte
}

// Claims hears who claims certain addresses on an interface, this host not
// counted. Like the observer of foreign adverts it has room for a few packets and
// wakes nobody: it costs nothing while the link is quiet, and a flood no more than
// the filter that drops it. It is read when somebody wants to know.
//
// ARP comes by a packet socket, which gets ARP alone; neighbour advertisements by
// a raw ICMPv6 socket, so that no other traffic of the interface passes a filter.
type Claims struct {
	ifi    Interface
	arp    int
	icmp   int
	buffer [256]byte
}

// OpenClaims opens the sockets of an interface. It hears nothing until Watch.
func OpenClaims(ifi Interface) (*Claims, error) {
	c := &Claims{ifi: ifi, arp: -1, icmp: -1}
	if err := c.open(); err != nil {
		c.Close()
		return nil, fmt.Errorf("link: watch addresses on %s: %w", ifi.Name, err)
	}
	return c, nil
}

func (c *Claims) open() (err error) {
	// Protocol 0: nothing is received before bind, which comes after the filter.
	if c.arp, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := small(c.arp, arpSender); err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{Ifindex: c.ifi.Index, Protocol: hton16(unix.ETH_P_ARP)}
	if err := unix.Bind(c.arp, to); err != nil {
		return os.NewSyscallError("bind", err)
	}
	c.icmp, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if errors.Is(err, unix.EAFNOSUPPORT) { // a kernel without IPv6
		c.icmp = -1
		return nil
	}
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := small(c.icmp, advertTarget); err != nil {
		return err
	}
	if err := bindToInterface(c.icmp, c.ifi); err != nil {
		return err
	}
	var filter unix.ICMPv6Filter // a bit for each type that is blocked
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	filter.Data[neighborAdvertisement>>5] &^= 1 << (neighborAdvertisement & 31)
	return os.NewSyscallError("setsockopt ICMPV6_FILTER", unix.SetsockoptICMPv6Filter(c.icmp, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &filter))
}

// small gives a socket the smallest buffer and a filter that lets nothing through
// yet.
func small(fd int, program func([8]uint32) []bpf.Instruction) error {
	return errors.Join(setOption(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1, "SO_RCVBUF"), attach(fd, program([8]uint32{})))
}

// Watch names the addresses. What others claim is dropped by the kernel.
func (c *Claims) Watch(addrs []netip.Addr) error {
	var four, six []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	err := attach(c.arp, arpSender(lastBytes(four)))
	if c.icmp >= 0 {
		err = errors.Join(err, attach(c.icmp, advertTarget(lastBytes(six))))
	}
	if err != nil {
		return fmt.Errorf("link: watch addresses on %s: %w", c.ifi.Name, err)
	}
	return nil
}

// Read hands what has gathered since the last call to the handler, at most a few
// claims, also of addresses that resemble those that are watched. It does not
// wait, and allocates nothing.
func (c *Claims) Read(handle func(Claim)) error {
	for _, s := range [...]struct {
		fd    int
		parse func([]byte) (Claim, bool)
	}{{c.arp, parseARP}, {c.icmp, parseAdvertisement}} {
		// The buffers hold three packets or so; a bound for whoever sends faster
		// than we read.
		for range 16 {
			if s.fd < 0 {
				break
			}
			n, err := unix.Read(s.fd, c.buffer[:])
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				return fmt.Errorf("link: read claims on %s: %w", c.ifi.Name, err)
			}
			claim, ok := s.parse(c.buffer[:n])
			if ok && !bytes.Equal(claim.MAC[:], c.ifi.HardwareAddr) {
				handle(claim)
			}
		}
	}
	return nil
}

// Close closes the sockets.
func (c *Claims) Close() error {
	var errs []error
	for _, fd := range []*int{&c.arp, &c.icmp} {
		if *fd >= 0 {
			errs = append(errs, os.NewSyscallError("close", unix.Close(*fd)))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}

// The places of what is read of a packet: of ARP with its Ethernet header, of a
// neighbour advertisement from its ICMPv6 header on (RFC 4861 section 4.4).
const (
	arpLength       = 14 + 28
	arpSenderMAC    = 22
	arpSenderIP     = 28
	advertLength    = 24
	advertTargetIP  = 8
	optionTargetMAC = 2

	neighborAdvertisement = 136
)

// parseARP reads the sender of an ARP packet, request or reply alike: both tell
// the link where an address is.
func parseARP(b []byte) (c Claim, ok bool) {
	const ethernetIPv4 = "\x00\x01\x08\x00\x06\x04"
	if len(b) < arpLength || string(b[14:20]) != ethernetIPv4 {
		return c, false
	}
	copy(c.MAC[:], b[arpSenderMAC:])
	c.Addr = netip.AddrFrom4([4]byte(b[arpSenderIP:]))
	return c, true
}

// parseAdvertisement reads the target of a neighbour advertisement and its
// hardware address, without which it tells nobody anything new.
func parseAdvertisement(b []byte) (c Claim, ok bool) {
	if len(b) < advertLength || b[0] != neighborAdvertisement {
		return c, false
	}
	c.Addr = netip.AddrFrom16([16]byte(b[advertTargetIP:]))
	for options := b[advertLength:]; len(options) >= 8; {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			return c, false
		}
		if options[0] == optionTargetMAC {
			copy(c.MAC[:], options[2:8])
			return c, true
		}
		options = options[length:]
	}
	return c, false
}

// lastBytes is the set of the last bytes of addresses: what a filter of constant
// size can tell them by.
func lastBytes(addrs []netip.Addr) (words [8]uint32) {
	for _, a := range addrs {
		b := a.AsSlice()
		last := b[len(b)-1]
		words[last>>5] |= 1 << (last & 31)
	}
	return words
}

// arpSender keeps ARP packets by the last byte of the sender's address.
func arpSender(words [8]uint32) []bpf.Instruction {
	return keepByte(bpf.LoadAbsolute{Off: arpSenderIP + 3, Size: 1}, words)
}

// advertTarget keeps neighbour advertisements by the last byte of the target.
func advertTarget(words [8]uint32) []bpf.Instruction {
	return keepByte(bpf.LoadAbsolute{Off: advertTargetIP + 15, Size: 1}, words)
}

// attach sets a socket's filter.
func attach(fd int, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, ins := range raw {
		filter[i] = unix.SockFilter{Code: ins.Op, Jt: ins.Jt, Jf: ins.Jf, K: ins.K}
	}
	prog := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog))
}
