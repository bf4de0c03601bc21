package link

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"director/internal/rawconn"
	"director/vrrp"
)

// conn is what the connections of both families have in common.
type conn interface {
	WriteBatch(ms []ipv4.Message, flags int) (int, error)
	SetBPF(filter []bpf.RawInstruction) error
	SetMulticastLoopback(on bool) error
	SetMulticastInterface(ifi *net.Interface) error
	JoinGroup(ifi *net.Interface, group net.Addr) error
	LeaveGroup(ifi *net.Interface, group net.Addr) error
}

func newConn(fd int, family vrrp.Family) conn {
	if family == vrrp.IPv6 {
		return ipv6.NewPacketConn(rawconn.NewIP(fd))
	}
	return ipv4.NewPacketConn(rawconn.NewIP(fd))
}

// wire is the kind of packets of a socket: of a family, and with an IP
// authentication header in front of the message (IPv4 only) or without.
type wire struct {
	family vrrp.Family
	ah     bool
}

func (w wire) protocol() int {
	if w.ah {
		return vrrp.ProtocolAH
	}
	return vrrp.ProtocolNumber
}

// openRaw opens a raw socket that hears adverts on one interface, and whose
// filter lets nothing through yet. The batch is scratch space.
func openRaw(ifi Interface, w wire, groups []netip.Addr, batch *receiveBatch) (fd int, err error) {
	domain, family := unix.AF_INET, w.family
	if family == vrrp.IPv6 {
		domain = unix.AF_INET6
	}
	fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, w.protocol())
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
			fd = -1
		}
	}()
	nothing, err := vridFilter(w, nil, true)
	if err != nil {
		return fd, err
	}
	c := newConn(fd, family)
	if err := c.SetBPF(nothing); err != nil {
		return fd, err
	}
	if err := bindToInterface(fd, ifi); err != nil {
		return fd, err
	}
	errs := []error{
		hearOwnGroupsOnly(fd, family),
		setOption(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL"),
	}
	if family == vrrp.IPv6 {
		// A raw socket of IPv6 delivers no IP header: what we need of it comes beside
		// the packet. The kernel neither fills nor verifies the checksum, as
		// IPV6_CHECKSUM is left off: wrong ones are to be counted.
		errs = append(errs,
			setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO"),
			setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1, "IPV6_RECVHOPLIMIT"))
	}
	for _, g := range groups {
		errs = append(errs, join(c, ifi, g))
	}
	if err := errors.Join(errs...); err != nil {
		return fd, err
	}
	// What came in between socket and the filter may be anybody's.
	rx := newReceiver(fd, family)
	for err == nil {
		_, err = rx.read(batch)
	}
	if !errors.Is(err, unix.EAGAIN) {
		return fd, err
	}
	return fd, nil
}

// hearOwnGroupsOnly keeps away the packets of groups that only other sockets of
// the host have joined.
func hearOwnGroupsOnly(fd int, family vrrp.Family) error {
	if family == vrrp.IPv6 {
		err := setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0, "IPV6_MULTICAST_ALL")
		if errors.Is(err, unix.ENOPROTOOPT) { // before Linux 4.20; Settings.Check drops those packets, too
			return nil
		}
		return err
	}
	return setOption(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL")
}

// setService sets how routers and the kernel treat the adverts that are sent.
func (s *Socket) setService() error {
	if s.family == vrrp.IPv6 {
		return errors.Join(
			setOption(s.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos, "IPV6_TCLASS"),
			// An advert that does not fit into a packet of the interface is an error, and
			// nobody's message about a narrow path makes one of another.
			setOption(s.fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE, "IPV6_MTU_DISCOVER"))
	}
	if s.ah {
		// The signature covers the IP header, so that comes with the packet.
		return setOption(s.fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1, "IP_HDRINCL")
	}
	return errors.Join(
		setOption(s.fd, unix.IPPROTO_IP, unix.IP_TOS, tos, "IP_TOS"),
		// Never set the don't-fragment bit, as other implementations do not.
		setOption(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT, "IP_MTU_DISCOVER"))
}

func join(c conn, ifi Interface, group netip.Addr) error {
	return c.JoinGroup(&net.Interface{Index: ifi.Index}, &net.IPAddr{IP: group.AsSlice()})
}

func leave(c conn, ifi Interface, group netip.Addr) error {
	return c.LeaveGroup(&net.Interface{Index: ifi.Index}, &net.IPAddr{IP: group.AsSlice()})
}

// bindToInterface ties a socket to an interface by its index: a name may have
// passed to another interface by now.
func bindToInterface(fd int, ifi Interface) error {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, ifi.Index)
	if errors.Is(err, unix.ENOPROTOOPT) { // before Linux 5.1
		err = unix.BindToDevice(fd, ifi.Name)
	}
	return os.NewSyscallError("bind to interface", err)
}

func setOption(fd, level, option, value int, name string) error {
	return os.NewSyscallError("setsockopt "+name, unix.SetsockoptInt(fd, level, option, value))
}

// setBuffer raises a socket buffer beyond the system's limit if it may, else
// as far as the limit goes.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}
