package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// observer is a second socket that hears what the first one's filter drops. Its
// buffer has room for a few packets only, and nobody waits for it: however many
// packets there are, they cost no wake-up. The kernel counts those that find
// no room.
type observer struct {
	fd   int
	wire wire
	conn conn
	rx   receiver
	read uint64
	lost uint32 // as the kernel says: it wraps
	sum  uint64 // of the growth of lost
}

func openObserver(ifi Interface, w wire, groups []netip.Addr, batch *receiveBatch) (*observer, error) {
	fd, err := openRaw(ifi, w, groups, batch)
	if err != nil {
		return nil, err
	}
	// The kernel makes the smallest buffer of it, two or three packets.
	if err := setOption(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1, "SO_RCVBUF"); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &observer{fd: fd, wire: w, conn: newConn(fd, w.family), rx: newReceiver(fd, w.family)}, nil
}

// exclude sets the VRIDs that the observer does not hear.
func (o *observer) exclude(vrids []uint8) error {
	others, err := vridFilter(o.wire, vrids, false)
	if err != nil {
		return err
	}
	return o.conn.SetBPF(others)
}

func (o *observer) close() error {
	return os.NewSyscallError("close", unix.Close(o.fd))
}

// Foreign tells of packets on the interface whose VRID is not ours (RFC 9568
// section 7.1: discard, count, log). It hands the first few of those that came
// since the last call to the handler, without their Arrival, and returns how
// many there were since the socket was opened, as known when the newest of the
// few arrived. It does not wait; it is meant to be called every few seconds, or
// when somebody asks. What holds for the handler given to Open holds here.
func (s *Socket) Foreign(handle func(Datagram)) (uint64, error) {
	if s.fd < 0 {
		return 0, ErrClosed
	}
	o := s.foreign
	batch := &s.poller.batch
	n, err := o.rx.read(batch)
	if err != nil {
		if !errors.Is(err, unix.EAGAIN) {
			return o.read + o.sum, fmt.Errorf("link: receive foreign packets on %s: %w", s.ifi.Name, err)
		}
		n = 0
	}
	for i := range n {
		o.read++
		d, c, ok := o.rx.packet(batch, i)
		if c.lost > 0 {
			o.sum += uint64(c.lost - o.lost)
			o.lost = c.lost
		}
		if ok {
			handle(d)
		}
		if s.fd < 0 { // the handler closed it
			break
		}
	}
	return o.read + o.sum, nil
}
