package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"director/vrrp"
)

const (
	tos = 0xc0 // internetwork control, as other implementations send it; over IPv6 the traffic class

	// receiveBuffer holds what arrives while the process is stalled: some
	// thousands of adverts.
	receiveBuffer = 4 << 20
	sendBuffer    = 1 << 20
)

// Socket sends and receives the adverts of one address family on one
// interface, or those of IPv4 that carry an IP authentication header. It belongs to the goroutine of its Poller.
//
// It is bound to the index of its interface. When the interface is deleted the
// socket stays silent for ever and reading it reports no error, even after an
// interface of the same name came back; the Monitor tells, and the owner closes
// the socket and opens another. Going down and up does it no harm.
type Socket struct {
	poller *Poller
	ifi    Interface
	wire
	handle func(Datagram)
	fd     int
	tx     conn
	rx     receiver

	foreign *observer
	groups  []netip.Addr // that were joined

	drained time.Time // what is read later arrived after this
	slots   []*slot
	out     []ipv4.Message
	queued  int
	frames  *frames // nil until QueueFrom needs it
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

// Open opens a socket for the adverts of one family on an interface and watches
// it: the Poller's Wait hands the handler what has arrived, oldest first. The
// handler must not call Foreign, Open, Wait or Drain, as all sockets of a Poller
// are read into the same memory; it may queue and flush adverts and close sockets.
//
// The socket hears the family's multicast group (see SetGroups) and what is sent
// to the host's own addresses, but not its own packets; it receives nothing
// until SetVRIDs names the virtual routers. The interface may be down, and needs
// no address.
func (p *Poller) Open(ifi Interface, family vrrp.Family, handle func(Datagram)) (*Socket, error) {
	s, err := p.openWire(ifi, wire{family: family}, handle)
	if err != nil {
		return nil, fmt.Errorf("link: open VRRP socket for %v on %s: %w", family, ifi.Name, err)
	}
	return s, nil
}

// OpenAH is Open for adverts that carry an IP authentication header (protocol
// 51, IPv4). What is given to its Queue is the whole packet, with the IP header
// whose checksum the kernel fills in.
func (p *Poller) OpenAH(ifi Interface, handle func(Datagram)) (*Socket, error) {
	s, err := p.openWire(ifi, wire{vrrp.IPv4, true}, handle)
	if err != nil {
		return nil, fmt.Errorf("link: open socket for IP authentication headers on %s: %w", ifi.Name, err)
	}
	return s, nil
}

func (p *Poller) openWire(ifi Interface, w wire, handle func(Datagram)) (*Socket, error) {
	s := &Socket{poller: p, ifi: ifi, wire: w, handle: handle, fd: -1, groups: []netip.Addr{w.family.Group()}}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Socket) open() (err error) {
	if s.fd, err = openRaw(s.ifi, s.wire, s.groups, &s.poller.batch); err != nil {
		return err
	}
	s.tx = newConn(s.fd, s.family)
	s.rx = newReceiver(s.fd, s.family)
	setBuffer(s.fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	setBuffer(s.fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	err = errors.Join(
		setOption(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS"),
		s.setService(),
		// TC_PRIO_CONTROL, the first band of the default queue. IP_TOS sets a
		// priority as well, so this comes after it.
		setOption(s.fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 7, "SO_PRIORITY"),
		s.tx.SetMulticastLoopback(false), // our own adverts are not for us
		s.tx.SetMulticastInterface(&net.Interface{Index: s.ifi.Index}),
	)
	if err != nil {
		return err
	}
	if s.foreign, err = openObserver(s.ifi, s.wire, s.groups, &s.poller.batch); err != nil {
		return err
	}
	s.drained = time.Now()
	if err := s.poller.Watch(s.fd, s.read); err != nil {
		return err
	}
	s.poller.sockets[s] = struct{}{}
	return nil
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
	ours, err := vridFilter(s.wire, vrids, true)
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

// SetGroups tells which multicast groups the socket hears instead of those that
// it heard until now. On an error it may hear both.
func (s *Socket) SetGroups(groups []netip.Addr) error {
	if s.fd < 0 {
		return ErrClosed
	}
	for _, g := range groups {
		if slices.Contains(s.groups, g) {
			continue
		}
		if err := errors.Join(join(s.tx, s.ifi, g), join(s.foreign.conn, s.ifi, g)); err != nil {
			return fmt.Errorf("link: join %s on %s: %w", g, s.ifi.Name, err)
		}
		s.groups = append(s.groups, g)
	}
	for _, g := range slices.Clone(s.groups) {
		if slices.Contains(groups, g) {
			continue
		}
		if err := errors.Join(leave(s.tx, s.ifi, g), leave(s.foreign.conn, s.ifi, g)); err != nil {
			return fmt.Errorf("link: leave %s on %s: %w", g, s.ifi.Name, err)
		}
		s.groups = slices.DeleteFunc(s.groups, func(o netip.Addr) bool { return o == g })
	}
	return nil
}

// Close leaves the groups and closes the socket. A second Close does nothing.
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
	if s.frames != nil {
		err = errors.Join(err, s.frames.close())
	}
	return err
}
