package link

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"director/vrrp"
)

const (
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
	handle func(Datagram)
	fd     int
	tx     *ipv4.PacketConn
	rx     *ipv4.PacketConn // the same socket, read without source addresses

	foreign *observer

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
	// Lost are packets for our VRIDs that found the receive buffer full, because
	// the process did not read for too long; as known when the newest packet
	// arrived. It wraps at 32 bits.
	Lost   uint32
	Sent   uint64 // adverts that the kernel took
	Failed uint64 // adverts that the kernel refused
	Errors uint64 // failed attempts to read
}

// Open opens a socket for IPv4 adverts on an interface and watches it: the
// Poller's Wait hands the handler what has arrived, oldest first. The handler
// must not call Foreign, Open, Wait or Drain, as all sockets of a Poller are
// read into the same memory; it may queue and flush adverts and close sockets.
//
// The socket hears the multicast
// group and what is sent to the host's own addresses, but not its own packets;
// it receives nothing until SetVRIDs names the virtual routers. The interface
// may be down, and needs no address.
func (p *Poller) Open(ifi Interface, handle func(Datagram)) (*Socket, error) {
	s := &Socket{poller: p, ifi: ifi, handle: handle, fd: -1}
	if err := s.open(); err != nil {
		s.Close()
		return nil, fmt.Errorf("link: open VRRP socket on %s: %w", ifi.Name, err)
	}
	return s, nil
}

func (s *Socket) open() (err error) {
	if s.fd, err = openRaw(s.ifi, s.poller.batch.messages); err != nil {
		return err
	}
	c := ipConn{descriptor(s.fd)}
	s.tx = ipv4.NewPacketConn(c)
	s.rx = ipv4.NewPacketConn(headerConn{c})
	setBuffer(s.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	setBuffer(s.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	err = errors.Join(
		setOption(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS"),
		// Never set the don't-fragment bit, as other implementations do not.
		setOption(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT, "IP_MTU_DISCOVER"),
		s.tx.SetTOS(tos),
		// TC_PRIO_CONTROL, the first band of the default queue. IP_TOS sets a
		// priority as well, so this comes after it.
		setOption(s.fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 7, "SO_PRIORITY"),
		s.tx.SetMulticastLoopback(false), // our own adverts are not for us
		s.tx.SetMulticastInterface(&net.Interface{Index: s.ifi.Index}),
	)
	if err != nil {
		return err
	}
	if s.foreign, err = openObserver(s.ifi, s.poller.batch.messages); err != nil {
		return err
	}
	s.drained = time.Now()
	if err := s.poller.Watch(s.fd, s.read); err != nil {
		return err
	}
	s.poller.sockets[s] = struct{}{}
	return nil
}

// openRaw opens a raw socket that hears adverts on one interface, and whose
// filter lets nothing through yet. The messages are scratch space.
func openRaw(ifi Interface, scratch []ipv4.Message) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, vrrp.ProtocolNumber)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
			fd = -1
		}
	}()
	nothing, err := vridFilter(nil, true)
	if err != nil {
		return fd, err
	}
	c := ipv4.NewPacketConn(headerConn{ipConn{descriptor(fd)}})
	if err := c.SetBPF(nothing); err != nil {
		return fd, err
	}
	if err := bindToInterface(fd, ifi); err != nil {
		return fd, err
	}
	err = errors.Join(
		// Without this a socket receives all groups that any socket of the host joined.
		setOption(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL"),
		setOption(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL"),
		c.JoinGroup(&net.Interface{Index: ifi.Index}, &net.IPAddr{IP: vrrp.Group4().AsSlice()}),
	)
	if err != nil {
		return fd, err
	}
	// What came in between socket and the filter may be anybody's.
	for err == nil {
		_, err = c.ReadBatch(scratch, unix.MSG_DONTWAIT)
	}
	if !errors.Is(err, unix.EAGAIN) {
		return fd, err
	}
	return fd, nil
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

// Interface returns the interface as it was when the socket was opened.
func (s *Socket) Interface() Interface { return s.ifi }

// Stats returns the socket's counters.
func (s *Socket) Stats() Stats { return s.stats }

// SetVRIDs tells the kernel which virtual routers are ours on this interface:
// packets of others are dropped there and wake nobody; Foreign tells of them.
// What is queued already stays. No VRIDs: everything is foreign.
func (s *Socket) SetVRIDs(vrids []uint8) error {
	if s.fd < 0 {
		return ErrClosed
	}
	ours, err := vridFilter(vrids, true)
	if err == nil {
		err = s.tx.SetBPF(ours)
	}
	if err == nil {
		err = s.foreign.exclude(vrids)
	}
	if err != nil {
		return fmt.Errorf("link: set filter on %s: %w", s.ifi.Name, err)
	}
	return nil
}

// Close leaves the group and closes the socket. A second Close does nothing.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	s.poller.Unwatch(s.fd)
	delete(s.poller.sockets, s)
	err := os.NewSyscallError("close", unix.Close(s.fd))
	s.fd = -1
	if s.foreign != nil {
		err = errors.Join(err, s.foreign.close())
	}
	return err
}
