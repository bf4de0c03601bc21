package probe

import (
	"bufio"
	"bytes"
	"container/heap"
	"context"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Poller makes any number of simple probes at the same time in one goroutine: those
// of TCP, and those of HTTP with a short reply. It answers as TCP and HTTP do, for
// less: such a probe is over after six or seven system calls, and costs less than a
// goroutine, timers and a place in the runtime's set of descriptors.
type Poller struct {
	done   func([]Answer)
	epoll  int
	sleep  *os.File // the same, for the runtime to wait for
	wakeup int      // an eventfd: there is something for Run

	ctx     context.Context // of Run
	young   []*Exchange     // looked at every tick
	polls   []unix.PollFd
	old     map[int32]*Exchange // waited for
	waiting deadlines           // of the old
	until   time.Time           // the deadline of sleep
	answers []Answer            // since the last call of done
	text    bytes.Reader
	in      *bufio.Reader // over text
	away    sync.WaitGroup

	mu       sync.Mutex
	asked    []*Exchange // to be started
	canceled []*Exchange // to be given up
	returned []Answer    // by goroutines
	closed   bool
}

// Most servers answer within a few milliseconds. Until then an exchange is young: all
// that are so are looked at together, every tick, which costs one wake-up for many.
const (
	tick     = time.Millisecond
	maxLooks = 4
)

// NewPoller returns a Poller that hands its answers to done, which Run calls. The caller
// must call Run.
func NewPoller(done func([]Answer)) (*Poller, error) {
	p := &Poller{done: done, old: map[int32]*Exchange{}}
	p.in = bufio.NewReader(&p.text)
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	// The runtime waits for this set as for any descriptor. A system call that waits would
	// wake a thread of the runtime each time, which then looks after it every 20 µs: as
	// much work as the probes.
	err = unix.SetNonblock(p.epoll, true)
	p.sleep = os.NewFile(uintptr(p.epoll), "probes")
	if err != nil {
		p.sleep.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	if p.wakeup, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		p.sleep.Close()
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := p.watch(p.wakeup, unix.EPOLLIN); err != nil {
		p.sleep.Close()
		unix.Close(p.wakeup)
		return nil, err
	}
	return p, nil
}

func (p *Poller) watch(fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// Ask starts exchanges and returns at once. Each is answered once, unless Run ends before.
func (p *Poller) Ask(list []*Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, list...)
	p.wake()
}

// Cancel gives up an exchange that was started and has not been answered yet; it is
// answered soon.
func (p *Poller) Cancel(x *Exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.canceled = append(p.canceled, x)
	p.wake()
}

// wake makes Run look at what is there for it. p.mu is held.
func (p *Poller) wake() {
	if !p.closed {
		_, _ = unix.Write(p.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // refused only when Run is awake already
	}
}

// Run makes the probes until ctx ends, and then closes their connections.
func (p *Poller) Run(ctx context.Context) {
	p.ctx = ctx
	defer p.close()
	defer context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.wake()
	})()
	raw, err := p.sleep.SyscallConn()
	if err != nil {
		return // only of a closed file
	}
	events := make([]unix.EpollEvent, 128)
	for ctx.Err() == nil {
		n := 0
		look := func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events, 0) // EINTR comes of waiting only
			return n > 0
		}
		if len(p.young) > 0 {
			time.Sleep(tick)
			look(uintptr(p.epoll))
		} else {
			p.patience()
			_ = raw.Read(look) // fails at the deadline
		}
		for _, e := range events[:max(n, 0)] {
			if x := p.old[e.Fd]; x != nil {
				p.ready(x, e.Events)
			} else {
				p.called()
			}
		}
		p.look()
		for now := time.Now(); len(p.waiting) > 0 && !p.waiting[0].due.After(now); {
			p.expire(p.waiting[0])
		}
		if len(p.answers) > 0 {
			p.done(p.answers)
			p.answers = nil
		}
	}
}

// patience lets the next wait end when something is due.
func (p *Poller) patience() {
	var until time.Time // the zero time: never
	if len(p.waiting) > 0 {
		until = p.waiting[0].due
	}
	if !until.Equal(p.until) {
		p.until = until
		_ = p.sleep.SetReadDeadline(until)
	}
}

// called does what others have asked for.
func (p *Poller) called() {
	var count [8]byte
	_, _ = unix.Read(p.wakeup, count[:])
	p.mu.Lock()
	asked, canceled, returned := p.asked, p.canceled, p.returned
	p.asked, p.canceled, p.returned = nil, nil, nil
	p.mu.Unlock()
	for _, a := range returned {
		p.finish(a.Exchange, a.Result)
	}
	for _, x := range asked {
		p.begin(x)
	}
	for _, x := range canceled {
		switch x.phase {
		case idle: // it was answered meanwhile
		case away:
			x.giveUp()
		default:
			p.fail(x, "probe", context.Canceled)
		}
	}
}

// look goes on with the young exchanges that have something to tell.
func (p *Poller) look() {
	p.young = slices.DeleteFunc(p.young, func(x *Exchange) bool { return x.phase == idle }) // given up
	for asked := true; asked && len(p.young) > 0; {
		asked = false
		p.polls = p.polls[:0]
		for _, x := range p.young {
			want := int16(unix.POLLIN | unix.POLLRDHUP)
			if x.phase == connecting || len(x.unsent) > 0 {
				want |= unix.POLLOUT
			}
			p.polls = append(p.polls, unix.PollFd{Fd: int32(x.fd), Events: want})
		}
		_, _ = unix.Poll(p.polls, 0) // EINTR comes of waiting only
		young := p.young
		p.young = p.young[:0]
		for i, x := range young {
			before := x.phase
			if r := p.polls[i].Revents; r != 0 {
				p.ready(x, uint32(uint16(r)))
			}
			if x.phase == idle || x.phase == away {
				continue
			}
			// Who has just been asked may have replied when the last one has been.
			asked = asked || before == connecting && x.phase == asking
			if x.looks++; x.looks <= maxLooks {
				p.young = append(p.young, x)
			} else {
				p.grow(x)
			}
		}
		clear(young[len(p.young):])
	}
}

// grow makes an exchange an old one.
func (p *Poller) grow(x *Exchange) {
	// Edge triggered: it need not be changed when what is awaited changes.
	if err := p.watch(x.fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET); err != nil {
		p.fail(x, "wait", err)
		return
	}
	p.old[int32(x.fd)] = x
	heap.Push(&p.waiting, x)
}

// close ends everything.
func (p *Poller) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, x := range slices.AppendSeq(p.young, maps.Values(p.old)) {
		forget(x.fd)
		unix.Close(x.fd)
	}
	p.away.Wait()
	p.sleep.Close()
	unix.Close(p.wakeup)
}

// deadlines is a heap of exchanges, the earliest due first.
type deadlines []*Exchange

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push is for package heap.
func (d *deadlines) Push(x any) {
	e := x.(*Exchange)
	e.index = len(*d)
	*d = append(*d, e)
}

// Pop is for package heap.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	e := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	e.index = -1
	return e
}
