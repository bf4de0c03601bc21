package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ErrClosed is returned by the methods of a Poller or Socket after its Close.
var ErrClosed = errors.New("link: closed")

// Poller waits for descriptors, for one absolute deadline and for wake-ups, all
// in one epoll set. It belongs to one goroutine; only Wake may be called from
// others.
//
// It does not use the runtime's timers and network poller: those sleep in
// whole milliseconds, so a deadline is met about half a millisecond late, and
// they would wake a second thread for each packet sent and received.
type Poller struct {
	// Woken is called whenever Wait has waited, before anything is read. It may be nil.
	Woken func()

	epoll, timer, event int

	clock   anchor
	armed   time.Time            // deadline the timer is set to; zero: not set
	watched map[int]source       // by descriptor
	serial  int32                // of the newest watch
	sockets map[*Socket]struct{} // closed with the poller
	events  []unix.EpollEvent    // large enough for all members of the set
	batch   receiveBatch         // shared by all sockets: one goroutine reads them

	pending atomic.Bool // a wake-up was written and not yet seen by Wait
	mu      sync.Mutex  // guards closed against Wake
	closed  bool
}

// source is a descriptor that is waited for. The number of a descriptor that was
// closed is given to the next one that is opened, so each watch has a serial.
type source struct {
	serial int32
	read   func()
}

// NewPoller returns a Poller that watches nothing.
func NewPoller() (*Poller, error) {
	p := &Poller{
		epoll: -1, timer: -1, event: -1,
		clock:   newAnchor(),
		watched: make(map[int]source),
		sockets: make(map[*Socket]struct{}),
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
		if err := p.add(fd, 0, unix.EPOLLIN|unix.EPOLLET); err != nil {
			return err
		}
	}
	return nil
}

func (p *Poller) add(fd int, serial int32, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: serial}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("link: epoll_ctl: %w", err)
	}
	p.events = append(p.events, unix.EpollEvent{})
	return nil
}

// Watch makes Wait call read whenever the descriptor has something to read. It
// is level triggered: what read leaves there makes the next Wait call it again.
// read runs in the goroutine that calls Wait or Drain, must not block, and may
// call everything of the Poller but Wait and Drain. The descriptor has to be
// given to Unwatch before it is closed.
func (p *Poller) Watch(fd int, read func()) error {
	if p.epoll < 0 {
		return ErrClosed
	}
	p.serial++
	if err := p.add(fd, p.serial, unix.EPOLLIN); err != nil {
		return err
	}
	p.watched[fd] = source{p.serial, read}
	return nil
}

// Unwatch takes a descriptor out: its read is not called any more, not even in
// the Wait or Drain that is under way. One that is not watched does no harm.
func (p *Poller) Unwatch(fd int) {
	if _, ok := p.watched[fd]; !ok {
		return
	}
	delete(p.watched, fd)
	p.events = p.events[:len(p.events)-1]
	_ = unix.EpollCtl(p.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

// Drain calls every read once, whether there is something to read or not. The
// loop does so before it takes silence for the death of a peer: what has
// arrived while the loop itself was kept from reading counts.
func (p *Poller) Drain() {
	for _, w := range p.watched {
		w.read()
	}
}

// Wait blocks until a watched descriptor has something to read, the deadline
// has come, or Wake was called since Wait last returned, and calls the read of
// each descriptor that is ready. A zero deadline is none. A deadline that has
// passed makes Wait look at the descriptors and return at once.
//
// The deadline should carry a monotonic reading, as times derived from time.Now
// do; the timer is set to that absolute instant of CLOCK_MONOTONIC, so time lost
// between the computation of the deadline and the call does not add up. Wait
// never returns before the deadline because of it.
func (p *Poller) Wait(deadline time.Time) error {
	n, err := p.wait(deadline)
	for err == nil && n == 1 && int(p.events[0].Fd) == p.timer && !passed(deadline) {
		p.armed = time.Time{} // an earlier deadline, which arm left standing
		n, err = p.wait(deadline)
	}
	if err != nil {
		return err
	}
	if p.Woken != nil {
		p.Woken()
	}
	// A read may watch and unwatch, which changes the length of p.events but
	// neither what is in it nor, for this round, which events there are.
	for _, ev := range p.events[:n] {
		switch fd := int(ev.Fd); fd {
		case p.timer:
			p.armed = time.Time{}
		case p.event:
			// From here on a Wake writes again; what was queued before an earlier
			// Wake is seen by the caller, who looks after this returns.
			p.pending.Store(false)
		default:
			if w := p.watched[fd]; w.serial == ev.Pad && w.read != nil {
				w.read()
			}
		}
	}
	return nil
}

// wait waits for the first event and puts it and those that came with it into
// p.events.
func (p *Poller) wait(deadline time.Time) (n int, err error) {
	timeout, err := p.arm(deadline)
	if err != nil {
		return 0, err
	}
	n, err = unix.EpollWait(p.epoll, p.events, timeout)
	for err == unix.EINTR { // the runtime preempts by signals; the timer is absolute
		n, err = unix.EpollWait(p.epoll, p.events, timeout)
	}
	if err != nil {
		return 0, fmt.Errorf("link: epoll_wait: %w", err)
	}
	return n, nil
}

func passed(deadline time.Time) bool { return !deadline.IsZero() && time.Until(deadline) <= 0 }

// arm sets the timer to the deadline and returns the time-out for epoll_wait. A timer
// that is set to an earlier one stays: each advert that is received moves a deadline
// away, and one wake-up for nothing in three intervals costs less than a system call
// for each of them.
func (p *Poller) arm(deadline time.Time) (timeout int, err error) {
	if p.epoll < 0 {
		return 0, ErrClosed
	}
	if passed(deadline) {
		return 0, nil
	}
	if deadline.IsZero() || !p.armed.IsZero() && !deadline.Before(p.armed) {
		return -1, nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(p.clock.monotonic(deadline))}
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
	for s := range p.sockets {
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
