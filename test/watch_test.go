package test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"director/internal/netlab"
	"director/ipvs/kernel"
)

// An addressWatch lists all that the kernel reports of some addresses of a host.
type addressWatch struct {
	mu     sync.Mutex
	events []addressEvent
	watch  map[netip.Addr]bool
}

type addressEvent struct {
	Time  time.Time
	Addr  netip.Addr
	Added bool
	Seen  string // what look has seen then
}

func (e addressEvent) String() string {
	what := "removed"
	if e.Added {
		what = "added"
	}
	return fmt.Sprintf("%s %s %s", e.Time.Format("15:04:05.000"), e.Addr, what)
}

func watchAddresses(t *testing.T, h *netlab.Host, addrs ...string) *addressWatch {
	t.Helper()
	return watchAddressesLooking(t, h, nil, addrs...)
}

// watchAddressesLooking is watchAddresses with something to look at whenever an address comes or goes, before anything more is received.
func watchAddressesLooking(t *testing.T, h *netlab.Host, look func() string, addrs ...string) *addressWatch {
	t.Helper()
	w := &addressWatch{watch: map[netip.Addr]bool{}}
	for _, a := range addrs {
		w.watch[netip.MustParseAddr(a)] = true
	}
	updates, done := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	if err := h.Do(func() error {
		return netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{
			ErrorCallback: func(err error) {
				select {
				case <-done:
				default:
					t.Errorf("watch addresses: %v", err)
				}
			},
		})
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
	go func() {
		for u := range updates {
			a, _ := netip.AddrFromSlice(u.LinkAddress.IP)
			if a = a.Unmap(); w.watch[a] {
				e := addressEvent{Time: time.Now(), Addr: a, Added: u.NewAddr}
				if look != nil {
					e.Seen = look()
				}
				w.mu.Lock()
				w.events = append(w.events, e)
				w.mu.Unlock()
			}
		}
	}()
	return w
}

// Events returns what happened so far.
func (w *addressWatch) Events() []addressEvent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]addressEvent(nil), w.events...)
}

// Reset forgets what happened so far.
func (w *addressWatch) Reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = nil
}

// waitGone waits until every watched address has been removed and returns when the last one was.
func (w *addressWatch) waitGone(t *testing.T) time.Time {
	t.Helper()
	var last time.Time
	if err := netlab.EventuallyWithin(patience, func() error {
		gone := map[netip.Addr]bool{}
		for _, e := range w.Events() {
			gone[e.Addr] = !e.Added
			last = e.Time
		}
		for a := range w.watch {
			if !gone[a] {
				return fmt.Errorf("%s was not removed: %v", a, w.Events())
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return last
}

// A tableWatch looks at the IPVS table of a host again and again.
type tableWatch struct {
	stop func()

	mu      sync.Mutex
	looks   int
	changes []string
	last    time.Time // of the newest change
}

// openKernel opens the IPVS of a host.
func openKernel(t *testing.T, h *netlab.Host) *kernel.Kernel {
	t.Helper()
	var k *kernel.Kernel
	if err := h.Do(func() (err error) {
		k, err = kernel.Open()
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return k
}

func watchTable(t *testing.T, h *netlab.Host) *tableWatch {
	t.Helper()
	k := openKernel(t, h)
	look := func() string {
		found, err := k.Dump()
		if err != nil {
			return err.Error()
		}
		return found.String()
	}
	w := &tableWatch{}
	last := look()
	quit, done := make(chan struct{}), make(chan struct{})
	w.stop = sync.OnceFunc(func() {
		close(quit)
		<-done
		k.Close()
	})
	t.Cleanup(w.stop)
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for going := true; going; {
			select {
			case <-quit:
				going = false // after a last look
			case <-tick.C:
			}
			now := look()
			w.mu.Lock()
			w.looks++
			if now != last {
				w.changes = append(w.changes, fmt.Sprintf("%s:\n%s", time.Now().Format("15:04:05.000"), now))
				last = now
				w.last = time.Now()
			}
			w.mu.Unlock()
		}
	}()
	return w
}

// Changes returns the tables that differed from the one before, and how often it was looked.
func (w *tableWatch) Changes() (changes []string, looks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.changes...), w.looks
}

// LastChange returns when the newest change was seen, at the latest a look after it was made.
func (w *tableWatch) LastChange() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// Stop ends the watch with a last look: what has changed before is known afterwards.
func (w *tableWatch) Stop() { w.stop() }
