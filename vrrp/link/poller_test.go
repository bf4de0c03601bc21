package link

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

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
	ready, err := p.Wait(deadline, nil)
	now := time.Now()
	if err != nil || len(ready) != 0 {
		t.Fatalf("Wait: %d sockets, error %v", len(ready), err)
	}
	return now
}

func TestWaitDeadline(t *testing.T) {
	p := newTestPoller(t)
	start := time.Now()
	for _, d := range []time.Duration{20 * time.Millisecond, time.Millisecond, time.Millisecond, -time.Second, 0, 10 * time.Millisecond} {
		deadline := start.Add(d)
		begin := time.Now()
		now := wait(t, p, deadline)
		if now.Before(deadline) {
			t.Errorf("deadline in %v: woke %v early", d, deadline.Sub(now))
		}
		if !deadline.After(begin) && now.Sub(begin) > time.Second {
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
	woken := time.AfterFunc(30*time.Millisecond, p.Wake)
	defer woken.Stop()
	start := time.Now()
	if took := wait(t, p, time.Time{}).Sub(start); took < 25*time.Millisecond {
		t.Errorf("without a deadline: returned after %v", took)
	}

	wait(t, p, time.Unix(1, 0)) // long before the boot

	// An expired timer that is set to the same instant again has passed.
	at := time.Now().Add(2 * time.Millisecond)
	wait(t, p, at)
	wait(t, p, at)
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

func TestWaitReturnsSocketsAtOnce(t *testing.T) {
	p := newPair(t, 51)
	for _, deadline := range []time.Time{{}, time.Now().Add(time.Minute), time.Now().Add(-time.Minute)} {
		p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
		p.pb.Wake() // both at once
		ready, err := p.pb.Wait(deadline, nil)
		if err != nil || len(ready) != 1 || ready[0] != p.sb {
			t.Fatalf("ready %v, error %v", ready, err)
		}
		// Level triggered: what is not read comes again.
		ready, err = p.pb.Wait(deadline, ready)
		if err != nil || len(ready) != 1 {
			t.Fatalf("unread: ready %v, error %v", ready, err)
		}
		if n, err := p.sb.Receive(func(Datagram) {}); n != 1 || err != nil {
			t.Fatalf("received %d, error %v", n, err)
		}
	}
}

func TestMonotonic(t *testing.T) {
	a := newAnchor()
	for range 3 {
		before := Monotonic()
		converted := a.monotonic(time.Now())
		after := Monotonic()
		if converted < before-5000 || converted > after+5000 {
			t.Errorf("time.Now is %d, CLOCK_MONOTONIC between %d and %d", converted, before, after)
		}
		time.Sleep(time.Millisecond)
	}
}
