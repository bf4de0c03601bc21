package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// ErrClosed is returned by the methods of a Poller or Socket after its Close.
var ErrClosed = errors.New("link: closed")

// Poller waits for sockets, for one absolute deadline and for wake-ups, all in
// one epoll set. It belongs to one goroutine; only Wake may be called from
// others.
//
// It does not use the runtime's timers and network poller: those sleep in
// whole milliseconds, so a deadline is met about half a millisecond late, and
// they would wake a second thread for each packet sent and received.
type Poller struct {
	epoll, timer, event int

	clock   anchor
	armed   time.Time // deadline the timer is set to; zero: not set
	sockets map[int]*Socket
	events  []unix.EpollEvent // large enough for all members of the set
	batch   receiveBatch      // shared by all sockets: one goroutine reads them

	pending atomic.Bool // a wake-up was written and not yet seen by Wait
	mu      sync.Mutex  // guards closed against Wake
	closed  bool
}

// NewPoller returns a Poller without sockets.
func NewPoller() (*Poller, error) {
	p := &Poller{
		epoll: -1, timer: -1, event: -1,
		clock:   newAnchor(),
		sockets: make(map[int]*Socket),
		batch:   newReceiveBatch(),
	}
	if err := p.open(); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func (p *Poller) open() (err error) {
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("link: epoll_create: %w", err)
	}
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("link: timerfd_create: %w", err)
	}
	if p.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("link: eventfd: %w", err)
	}
	// Edge triggered, these two need no read after they fired.
	for _, fd := range []int{p.timer, p.event} {
		if err := p.add(fd, unix.EPOLLIN|unix.EPOLLET); err != nil {
			return err
		}
	}
	return nil
}

func (p *Poller) add(fd int, events uint32) error {
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("link: epoll_ctl: %w", err)
	}
	p.events = append(p.events, unix.EpollEvent{})
	return nil
}

// Wait blocks until a socket has data, the deadline has come, or Wake was
// called since Wait last returned. It returns the sockets that have data,
// appended to ready[:0]; none of them means deadline or wake-up. A zero
// deadline is none. A deadline that has passed makes Wait look at the sockets
// and return at once.
//
// The deadline should carry a monotonic reading, as times derived from time.Now
// do; the timer is set to that absolute instant of CLOCK_MONOTONIC, so time lost
// between the computation of the deadline and the call does not add up. Wait
// never returns before the deadline because of it.
//
// A socket that a caller closed after Wait returned it is harmless: its Receive
// returns ErrClosed.
func (p *Poller) Wait(deadline time.Time, ready []*Socket) ([]*Socket, error) {
	ready = ready[:0]
	timeout, err := p.arm(deadline)
	if err != nil {
		return ready, err
	}
	n, err := unix.EpollWait(p.epoll, p.events, timeout)
	for err == unix.EINTR { // the runtime preempts by signals; the timer is absolute
		n, err = unix.EpollWait(p.epoll, p.events, timeout)
	}
	if err != nil {
		return ready, fmt.Errorf("link: epoll_wait: %w", err)
	}
	for i := range p.events[:n] {
		switch fd := int(p.events[i].Fd); fd {
		case p.timer:
			p.armed = time.Time{}
		case p.event:
			// From here on a Wake writes again; what was queued before an earlier
			// Wake is seen by the caller, who looks after this returns.
			p.pending.Store(false)
		default:
			if s := p.sockets[fd]; s != nil {
				ready = append(ready, s)
			}
		}
	}
	return ready, nil
}

// arm sets the timer to the deadline, unless it is set to it already, and
// returns the time-out for epoll_wait.
func (p *Poller) arm(deadline time.Time) (timeout int, err error) {
	if p.epoll < 0 {
		return 0, ErrClosed
	}
	if deadline == p.armed {
		return -1, nil
	}
	var spec unix.ItimerSpec
	if !deadline.IsZero() {
		if time.Until(deadline) <= 0 {
			return 0, nil
		}
		spec.Value = unix.NsecToTimespec(p.clock.monotonic(deadline))
	}
	if err := unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return 0, fmt.Errorf("link: timerfd_settime: %w", err)
	}
	p.armed = deadline
	return -1, nil
}

// Wake makes the current or the next Wait return. Any goroutine may call it; it
// never blocks, and calls that come before Wait has returned count as one.
func (p *Poller) Wake() {
	if p.pending.Swap(true) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	// The counter is never read, and never full: it has 64 bits.
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.event, one[:])
}

// Close closes the poller and all its sockets. Wake stays allowed.
func (p *Poller) Close() error {
	var errs []error
	for _, s := range p.sockets {
		errs = append(errs, s.Close())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, fd := range []*int{&p.event, &p.timer, &p.epoll} {
		if *fd >= 0 {
			errs = append(errs, unix.Close(*fd))
			*fd = -1
		}
	}
	return errors.Join(errs...)
}

// register takes a socket into the set.
func (p *Poller) register(s *Socket) error {
	if p.epoll < 0 {
		return ErrClosed
	}
	if err := p.add(s.fd, unix.EPOLLIN); err != nil {
		return err
	}
	p.sockets[s.fd] = s
	return nil
}

// unregister takes a socket out of the set, before its descriptor is closed
// and its number may be given to another file.
func (p *Poller) unregister(s *Socket) {
	if p.sockets[s.fd] != s {
		return
	}
	delete(p.sockets, s.fd)
	p.events = p.events[:len(p.events)-1]
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, s.fd, nil)
}

// receiveBatch is the memory that one recvmmsg call fills.
type receiveBatch struct {
	messages []ipv4.Message
}

const (
	// batchSize is how many packets one system call reads at most.
	batchSize = 64
	// maxPacket is the longest packet that is read whole. A VRRP packet with 255
	// IPv4 addresses, IP options and authentication data stays below 1200 bytes.
	maxPacket = 2048
)

func newReceiveBatch() receiveBatch {
	b := receiveBatch{messages: make([]ipv4.Message, batchSize)}
	packets := make([]byte, batchSize*maxPacket)
	control := make([]byte, batchSize*controlSpace)
	for i := range b.messages {
		b.messages[i].Buffers = [][]byte{packets[i*maxPacket : (i+1)*maxPacket : (i+1)*maxPacket]}
		b.messages[i].OOB = control[i*controlSpace : (i+1)*controlSpace : (i+1)*controlSpace]
	}
	return b
}
