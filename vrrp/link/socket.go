package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Protocol is the IP protocol number of VRRP (RFC 9568 section 5.1.1.4).
const Protocol = 112

// GroupIPv4 returns the multicast group of IPv4 adverts, 224.0.0.18 (RFC 9568
// section 5.1.1.2).
func GroupIPv4() netip.Addr { return netip.AddrFrom4([4]byte{224, 0, 0, 18}) }

const (
	ttl = 255  // RFC 9568 section 5.1.1.3
	tos = 0xc0 // internetwork control, as other implementations send it

	// receiveBuffer holds what arrives while the process is stalled: some
	// thousands of adverts.
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20
)

// Socket sends and receives the adverts of one address family on one
// interface. It belongs to the goroutine of its Poller.
//
// It is bound to the index of its interface. When the interface is deleted the
// socket stays silent for ever and reading it reports no error, even after an
// interface of the same name came back; the Monitor tells, and the owner closes
// the socket and opens another. Going down and up does it no harm.
type Socket struct {
	poller *Poller
	ifi    Interface
	fd     int
	tx     *ipv4.PacketConn
	rx     *ipv4.PacketConn // the same socket, read without source addresses

	drained time.Time // what is read later arrived after this
	slots   []*slot
	out     []ipv4.Message
	queued  int
	stats   Stats
}

// Stats counts what a Socket did since it was opened.
type Stats struct {
	Received  uint64 // datagrams handed on
	Malformed uint64 // packets whose IP header does not fit their length
	Sent      uint64 // adverts that the kernel took
	Failed    uint64 // adverts that the kernel refused
}

// Open opens a socket for IPv4 adverts on an interface. It hears the multicast
// group and what is sent to the host's own addresses, but not its own packets;
// it receives nothing until SetVRIDs names the virtual routers. The interface
// may be down, and needs no address.
func (p *Poller) Open(ifi Interface) (*Socket, error) {
	s := &Socket{poller: p, ifi: ifi, fd: -1}
	if err := s.open(); err != nil {
		s.Close()
		return nil, fmt.Errorf("link: open VRRP socket on %s: %w", ifi.Name, err)
	}
	return s, nil
}

func (s *Socket) open() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, Protocol)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	s.fd = fd
	c := ipConn{descriptor(fd)}
	s.tx = ipv4.NewPacketConn(c)
	s.rx = ipv4.NewPacketConn(headerConn{c})
	if err := s.SetVRIDs(nil); err != nil {
		return err
	}
	if err := bindToInterface(fd, s.ifi); err != nil {
		return err
	}
	for _, o := range []struct {
		name                 string
		level, option, value int
	}{
		// Without this a socket receives all groups that any socket of the host joined.
		{"IP_MULTICAST_ALL", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		// Never set the don't-fragment bit, as other implementations do not.
		{"IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
		// Socket priority 6 (TC_PRIO_CONTROL): the first band of the default qdisc.
		{"SO_PRIORITY", unix.SOL_SOCKET, unix.SO_PRIORITY, 6},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			return os.NewSyscallError("setsockopt "+o.name, err)
		}
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)

	device := &net.Interface{Index: s.ifi.Index, Name: s.ifi.Name}
	group := net.IP(GroupIPv4().AsSlice())
	err = errors.Join(
		s.tx.SetTOS(tos),
		s.tx.SetTTL(ttl),
		s.tx.SetMulticastTTL(ttl),
		s.tx.SetMulticastLoopback(false), // our own adverts are not for us (RFC 9568 section 5.1.1.1)
		s.tx.SetMulticastInterface(device),
		s.tx.JoinGroup(device, &net.IPAddr{IP: group}),
	)
	if err != nil {
		return err
	}
	// What came in between socket and the filter may be anybody's.
	if err := s.discard(); err != nil {
		return err
	}
	s.drained = time.Now()
	return s.poller.register(s)
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

// setBuffer raises a socket buffer beyond the system's limit if it may, else
// as far as the limit goes.
func setBuffer(fd, force, plain, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
	}
}

// Interface returns the interface as it was when the socket was opened.
func (s *Socket) Interface() Interface { return s.ifi }

// Stats returns the socket's counters.
func (s *Socket) Stats() Stats { return s.stats }

// SetVRIDs tells the kernel which virtual routers are ours on this interface:
// packets of others are dropped there and wake nobody. What is queued already
// stays. No VRIDs: everything is dropped.
func (s *Socket) SetVRIDs(vrids []uint8) error {
	if s.fd < 0 {
		return ErrClosed
	}
	filter, err := vridFilter(vrids)
	if err != nil {
		return err
	}
	if err := s.tx.SetBPF(filter); err != nil {
		return fmt.Errorf("link: set filter on %s: %w", s.ifi.Name, err)
	}
	return nil
}

// Close leaves the group and closes the socket. A second Close does nothing.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	s.poller.unregister(s)
	err := unix.Close(s.fd)
	s.fd = -1
	return os.NewSyscallError("close", err)
}
