package link

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/vrrp"
)

func newTestPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func wait(t testing.TB, p *Poller, deadline time.Time) time.Time {
	t.Helper()
	err := p.Wait(deadline)
	now := time.Now()
	if err != nil {
		t.Fatalf("Wait: %v", err)
	}
	return now
}

func TestWaitDeadline(t *testing.T) {
	p := newTestPoller(t)
	start := time.Now()
	for _, d := range []time.Duration{20 * time.Millisecond, time.Millisecond, time.Millisecond, -time.Minute, 0, 10 * time.Millisecond} {
		deadline := start.Add(d)
		begin := time.Now()
		now := wait(t, p, deadline)
		if now.Before(deadline) {
			t.Errorf("deadline in %v: woke %v early", d, deadline.Sub(now))
		}
		if !deadline.After(begin) && now.Sub(begin) > 10*time.Second {
			t.Errorf("a past deadline made Wait block for %v", now.Sub(begin))
		}
		start = now
	}
}

// A timer that was set for an earlier deadline must not end a later Wait, be it
// without a deadline or with another.
func TestWaitForgetsOldDeadlines(t *testing.T) {
	p := newTestPoller(t)
	p.Wake()
	wait(t, p, time.Now().Add(5*time.Millisecond)) // returns by Wake, timer still set
	later := time.Now().Add(30 * time.Millisecond)
	if now := wait(t, p, later); now.Before(later) {
		t.Errorf("woke %v early", later.Sub(now))
	}

	p.Wake()
	wait(t, p, time.Now().Add(5*time.Millisecond))
	start := time.Now()
	woken := time.AfterFunc(30*time.Millisecond, p.Wake)
	defer woken.Stop()
	if took := wait(t, p, time.Time{}).Sub(start); took < 30*time.Millisecond {
		t.Errorf("without a deadline: returned after %v", took)
	}

	wait(t, p, time.Unix(1, 0)) // long before the boot

	// An expired timer that is set to the same instant again has passed.
	at := time.Now().Add(2 * time.Millisecond)
	wait(t, p, at)
	wait(t, p, at)
}

// A later deadline sets no timer: that of the earlier one is enough to look again.
func TestLaterDeadlineSetsNoTimer(t *testing.T) {
	p := newTestPoller(t)
	soon, later := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	for _, step := range []struct{ deadline, armed time.Time }{{later, later}, {soon, soon}, {later, soon}, {time.Time{}, soon}, {soon, soon}} {
		p.Wake()
		wait(t, p, step.deadline)
		if p.armed != step.armed {
			t.Errorf("waited for %v: the timer is set to %v, want %v", step.deadline, p.armed, step.armed)
		}
	}
}

func TestWakeUpsCoalesce(t *testing.T) {
	p := newTestPoller(t)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 200 {
				p.Wake()
			}
		})
	}
	all.Wait()
	start := time.Now()
	wait(t, p, start.Add(time.Minute))
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("woke after %v", took)
	}
	// All of them were one.
	deadline := time.Now().Add(10 * time.Millisecond)
	if now := wait(t, p, deadline); now.Before(deadline) {
		t.Error("a second Wait returned by an old wake-up")
	}
}

// Wake-ups go on working, however many there were.
func TestManyWakeUps(t *testing.T) {
	p := newTestPoller(t)
	for i := range 1000 {
		p.Wake()
		start := time.Now()
		wait(t, p, start.Add(10*time.Second))
		if took := time.Since(start); took > 9*time.Second {
			t.Fatalf("wake-up %d was not seen", i)
		}
	}
}

// No wake-up is lost, whenever it comes: each item queued before a Wake is seen
// after some Wait.
func TestWakeIsNeverLost(t *testing.T) {
	p := newTestPoller(t)
	const items = 20000
	queue := make(chan int, items)
	go func() {
		for i := range items {
			queue <- i
			p.Wake()
		}
	}()
	seen := 0
	for seen < items {
		start := time.Now()
		if wait(t, p, start.Add(10*time.Second)); time.Since(start) >= 10*time.Second {
			t.Fatalf("%d of %d items seen, and no wake-up for the others", seen, items)
		}
		for len(queue) > 0 {
			<-queue
			seen++
		}
	}
}

// The lateness of the wait decides about the delay of a takeover. It is
// reported, not judged: the machine may be busy.
func TestWaitLateness(t *testing.T) {
	p := newTestPoller(t)
	const n = 200
	poller, timer := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		deadline := time.Now().Add(3700 * time.Microsecond)
		poller[i] = wait(t, p, deadline).Sub(deadline)
		deadline = time.Now().Add(3700 * time.Microsecond)
		<-time.After(time.Until(deadline))
		timer[i] = time.Since(deadline)
	}
	slices.Sort(poller)
	slices.Sort(timer)
	t.Logf("Wait is late by p50 %v p99 %v max %v; time.After by p50 %v p99 %v max %v",
		poller[n/2], poller[n*99/100], poller[n-1], timer[n/2], timer[n*99/100], timer[n-1])
	if poller[0] < 0 {
		t.Errorf("woke %v early", -poller[0])
	}
}

func TestWaitReadsSocketsAtOnce(t *testing.T) {
	p := newPair(t, 51)
	for _, deadline := range []time.Time{{}, time.Now().Add(time.Minute), time.Now().Add(-time.Minute)} {
		p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
		p.pb.Wake() // both at once
		n := 0
		p.sb.handle = func(Datagram) { n++ }
		if err := p.pb.Wait(deadline); err != nil || n != 1 {
			t.Fatalf("heard %d, error %v", n, err)
		}
	}
}

// pipe returns the two ends of a pipe, the first for reading.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

func write(t *testing.T, fd int) {
	t.Helper()
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	p := newTestPoller(t)
	ra, wa := pipe(t)
	rb, wb := pipe(t)
	calls := make(map[int]int)
	var b [1]byte
	for _, fd := range []int{ra, rb} {
		if err := p.Watch(fd, func() {
			calls[fd]++
			if calls[fd] > 1 {
				_, _ = unix.Read(fd, b[:])
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Watch(ra, func() {}); !errors.Is(err, unix.EEXIST) {
		t.Errorf("watched twice: %v", err)
	}
	expect := func(what string, a, b int) {
		t.Helper()
		if calls[ra] != a || calls[rb] != b {
			t.Errorf("%s: read %d and %d times, want %d and %d", what, calls[ra], calls[rb], a, b)
		}
	}
	write(t, wa)
	wait(t, p, time.Time{})
	expect("one is ready", 1, 0)
	wait(t, p, time.Time{})
	expect("what is left is ready again", 2, 0)
	wait(t, p, time.Now().Add(time.Millisecond))
	expect("nothing is left", 2, 0)
	p.Drain()
	expect("Drain", 3, 1)
	p.Unwatch(ra)
	p.Unwatch(ra)
	write(t, wa)
	write(t, wb)
	wait(t, p, time.Time{})
	expect("only one is watched", 3, 2)
	p.Drain()
	expect("Drain of the other", 3, 3)
	if len(p.events) != 3 {
		t.Errorf("room for %d events", len(p.events))
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Watch(ra, func() {}); err != ErrClosed {
		t.Errorf("Watch after Close: %v", err)
	}
}

// A read that unwatches the other descriptor keeps it from being called in the
// same round, even if its number now stands for something else.
func TestUnwatchWithinARound(t *testing.T) {
	for _, again := range []bool{false, true} {
		p := newTestPoller(t)
		ra, wa := pipe(t)
		rb, wb := pipe(t)
		other := map[int]int{ra: rb, rb: ra}
		calls, late := 0, 0
		for fd := range other {
			if err := p.Watch(fd, func() {
				calls++
				p.Unwatch(other[fd])
				if again {
					if err := p.Watch(other[fd], func() { late++ }); err != nil {
						t.Error(err)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		write(t, wa)
		write(t, wb)
		wait(t, p, time.Time{})
		if calls != 1 || late != 0 {
			t.Errorf("again %v: %d reads, and %d of what was watched meanwhile", again, calls, late)
		}
		if !again {
			calls = 0
			p.Drain()
			if calls != 1 {
				t.Errorf("Drain: %d reads", calls)
			}
		}
	}
}

func TestMonotonic(t *testing.T) {
	a := newAnchor()
	for range 3 {
		before := Monotonic()
		converted := a.monotonic(time.Now())
		after := Monotonic()
		if converted < before-200_000 || converted > after+200_000 {
			t.Errorf("time.Now is %d, CLOCK_MONOTONIC between %d and %d", converted, before, after)
		}
		time.Sleep(time.Millisecond)
	}
}
