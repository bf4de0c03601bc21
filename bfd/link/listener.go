package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"director/internal/rawconn"
)

// ErrClosed is returned by the methods of a Listener or Sender after its Close.
var ErrClosed = errors.New("bfd: closed")

// Endpoint is where a Listener listens.
type Endpoint struct {
	V6    bool
	Port  uint16 // bfd.Port or bfd.MultihopPort
	Scope Scope  // packets of this interface only, and also in its VRF; zero: of all outside VRFs
}

// Datagram is one received packet.
type Datagram struct {
	Src, Dst netip.Addr
	TTL      int    // as it arrived, -1 where the kernel did not say
	Index    int    // of the interface it arrived on
	Payload  []byte // valid until the handler returns
	// Arrival is when the packet was read. A process that read late gives the peer
	// that much more time, never less.
	Arrival time.Time
}

// Listener receives the packets for one port.
type Listener struct {
	fd    int
	v6    bool
	read  func([]ipv4.Message, int) (int, error)
	batch []ipv4.Message // ipv6.Message is the same type
}

const (
	batchSize = 16
	// maxPacket is longer than any control packet: its length field has 8 bits.
	maxPacket = 256
	// receiveBuffer holds what arrives while the process is stalled.
	receiveBuffer = 1 << 20
)

// Listen opens a Listener. Beside one for all interfaces there may be others for
// single ones, if shared says so for those that come later; packets then go to
// the closest. A port that another program holds is an error.
func Listen(e Endpoint, shared bool) (*Listener, error) {
	l := &Listener{fd: -1, v6: e.V6}
	if err := l.open(e, shared); err != nil {
		l.Close()
		return nil, fmt.Errorf("bfd: listen on UDP port %d: %w", e.Port, err)
	}
	return l, nil
}

func (l *Listener) open(e Endpoint, shared bool) (err error) {
	if l.fd, err = open(e.V6, e.Scope); err != nil {
		return err
	}
	reuse := func() error { return setOption(l.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1, "SO_REUSEADDR") }
	if shared {
		if err := reuse(); err != nil {
			return err
		}
	}
	_ = unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) // as far as the limit goes
	conn := rawconn.NewUDP(l.fd, e.V6)
	oob := 0
	any := netip.IPv4Unspecified()
	if e.V6 {
		any = netip.IPv6Unspecified()
		c, flags := ipv6.NewPacketConn(conn), ipv6.FlagHopLimit|ipv6.FlagDst|ipv6.FlagInterface
		if err := c.SetControlMessage(flags, true); err != nil {
			return err
		}
		l.read, oob = c.ReadBatch, len(ipv6.NewControlMessage(flags))
	} else {
		c, flags := ipv4.NewPacketConn(conn), ipv4.FlagTTL|ipv4.FlagDst|ipv4.FlagInterface
		if err := c.SetControlMessage(flags, true); err != nil {
			return err
		}
		l.read, oob = c.ReadBatch, len(ipv4.NewControlMessage(flags))
	}
	if err := unix.Bind(l.fd, sockaddr(any, e.Port, Scope{})); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	l.batch = make([]ipv4.Message, batchSize)
	for i := range l.batch {
		l.batch[i].Buffers = [][]byte{make([]byte, maxPacket)}
		l.batch[i].OOB = make([]byte, oob)
	}
	return reuse() // for those that share it later
}

// FD is the descriptor to wait for.
func (l *Listener) FD() int { return l.fd }

// Read hands all packets that have arrived to the handler, oldest first. It does
// not wait. The handler may close the Listener.
func (l *Listener) Read(handle func(Datagram)) error {
	for range receiveBuffer / maxPacket / batchSize { // no flood holds us up for ever
		if l.fd < 0 {
			return ErrClosed
		}
		n, err := l.read(l.batch, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bfd: receive: %w", err)
		}
		now := time.Now()
		for i := range l.batch[:n] {
			if d, ok := l.datagram(&l.batch[i]); ok && l.fd >= 0 {
				d.Arrival = now
				handle(d)
			}
		}
		if n < len(l.batch) {
			return nil
		}
	}
	return nil
}

func (l *Listener) datagram(m *ipv4.Message) (Datagram, bool) {
	from, ok := m.Addr.(*net.UDPAddr)
	if !ok {
		return Datagram{}, false
	}
	d := Datagram{Src: address(from.IP), TTL: -1, Payload: m.Buffers[0][:m.N]}
	if l.v6 {
		var c ipv6.ControlMessage
		if c.Parse(m.OOB[:m.NN]) != nil {
			return Datagram{}, false
		}
		d.Dst, d.TTL, d.Index = address(c.Dst), c.HopLimit, c.IfIndex
	} else {
		var c ipv4.ControlMessage
		if c.Parse(m.OOB[:m.NN]) != nil {
			return Datagram{}, false
		}
		d.Dst, d.TTL, d.Index = address(c.Dst), c.TTL, c.IfIndex
	}
	return d, true
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

// Close closes the socket, which is no longer watched by then. A second Close
// does nothing.
func (l *Listener) Close() error {
	if l.fd < 0 {
		return nil
	}
	err := unix.Close(l.fd)
	l.fd = -1
	return err
}
