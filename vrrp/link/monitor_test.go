package link

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watcher collects what a monitor emits and keeps the picture that a reader of
// the events has.
type watcher struct {
	mu      sync.Mutex
	events  []Event
	picture picture
	synced  bool
	stall   sync.Mutex // held: the monitor's callback blocks
}

// picture is what a reader of events knows: the newest state of each interface, and
// the addresses counted event by event.
type picture struct {
	links map[int]Interface
	addrs map[int]map[netip.Prefix]bool
	wrong []string // events that contradict the ones before
}

func newPicture() picture {
	return picture{links: map[int]Interface{}, addrs: map[int]map[netip.Prefix]bool{}}
}

func (p *picture) apply(e Event) {
	i := e.Interface.Index
	_, known := p.links[i]
	switch e.Kind {
	case Synced:
		return
	case LinkChanged:
		if !known {
			p.addrs[i] = prefixSet(e.Interface.Addrs)
		}
	case LinkRemoved:
		if !known {
			p.wrong = append(p.wrong, fmt.Sprintf("%s removed, but unknown", e.Interface.Name))
		}
		delete(p.links, i)
		delete(p.addrs, i)
		return
	case AddrAdded, AddrRemoved:
		if !known || p.addrs[i][e.Prefix] == (e.Kind == AddrAdded) {
			p.wrong = append(p.wrong, fmt.Sprintf("%s: %v %s does not fit", e.Interface.Name, e.Kind, e.Prefix))
			return
		}
		if e.Kind == AddrAdded {
			p.addrs[i][e.Prefix] = true
		} else {
			delete(p.addrs[i], e.Prefix)
		}
	}
	p.links[i] = e.Interface
	if !maps.Equal(p.addrs[i], prefixSet(e.Interface.Addrs)) {
		p.wrong = append(p.wrong, fmt.Sprintf("%s: after %v %s the addresses are %v, the events say %v",
			e.Interface.Name, e.Kind, e.Prefix, e.Interface.Addrs, p.addrs[i]))
	}
}

func watch(h *host, buffer int) (*watcher, *Monitor) {
	h.t.Helper()
	w := &watcher{picture: newPicture()}
	ctx, cancel := context.WithCancel(context.Background())
	m := in(h, func() (*Monitor, error) {
		return startMonitor(ctx, func(e Event) {
			w.stall.Lock()
			defer w.stall.Unlock()
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
			w.picture.apply(e)
			w.synced = w.synced || e.Kind == Synced
		}, buffer)
	})
	h.t.Cleanup(func() {
		cancel()
		m.Wait()
		if wrong := w.picture.wrong; len(wrong) > 0 {
			h.t.Errorf("events that do not fit:\n%s", strings.Join(wrong, "\n"))
		}
	})
	w.await(h.t, "synced", func() bool { return w.synced })
	return w, m
}

func (w *watcher) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return ok()
	})
}

// named returns the newest state of an interface. The caller is within await.
func (w *watcher) named(name string) Interface {
	for _, i := range w.picture.links {
		if i.Name == name {
			return i
		}
	}
	return Interface{}
}

// story is the events about an interface, without those about IPv6 and repeated
// states, from the n-th event on.
func (w *watcher) story(name string, from int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events[from:] {
		if e.Interface.Name != name || e.Prefix.Addr().Is6() {
			continue
		}
		line := e.Kind.String()
		switch e.Kind {
		case LinkChanged:
			line += map[bool]string{true: " up", false: " down"}[e.Interface.Up]
		case AddrAdded, AddrRemoved:
			line += " " + e.Prefix.String()
		}
		if len(out) == 0 || out[len(out)-1] != line {
			out = append(out, line)
		}
	}
	return out
}

func (w *watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

func v4(i Interface) (out []string) {
	for _, p := range i.Addrs {
		if p.Addr().Is4() {
			out = append(out, p.String())
		}
	}
	return out
}

func TestMonitorInitialState(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "")
	a.address("eth0", "10.1.0.9/32")
	a.address("eth0", "10.1.0.2/24") // secondary: comes last though 10.1.0.9 was there
	w, _ := watch(a, monitorBuffer)
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.events[len(w.events)-1]; last.Kind != Synced {
		t.Errorf("last event %v, want synced", last.Kind)
	}
	for _, e := range w.events[:len(w.events)-1] {
		if e.Kind != LinkChanged {
			t.Errorf("before synced: %v %v", e.Kind, e.Prefix)
		}
	}
	eth0, lo := w.named("eth0"), w.named("lo")
	want := a.iface("eth0")
	if !eth0.Up || eth0.NoARP || eth0.MTU != 1500 || eth0.HardwareAddr.String() != want.HardwareAddr.String() || eth0.Index != want.Index {
		t.Errorf("eth0 is %+v, want %+v", eth0, want)
	}
	if got := fmt.Sprint(v4(eth0)); got != "[10.1.0.1/24 10.1.0.9/32 10.1.0.2/24]" {
		t.Errorf("eth0 has %s", got)
	}
	if !lo.Up || !lo.NoARP {
		t.Errorf("lo is %+v", lo)
	}
	own := eth0.Primary(false, nil)
	if own != ip("10.1.0.1") || eth0.Primary(false, func(a netip.Addr) bool { return a == own }) != ip("10.1.0.9") {
		t.Errorf("primary address %v", own)
	}
}

func TestMonitorAddresses(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "", b, "eth0", "")
	w, _ := watch(a, monitorBuffer)
	follow := func(want ...string) {
		t.Helper()
		w.await(t, fmt.Sprintf("addresses %v", want), func() bool { return slices.Equal(v4(w.named("eth0")), want) })
		if kernel := a.prefixes("eth0"); !slices.Equal(kernel, want) {
			t.Fatalf("the kernel has %v, want %v", kernel, want)
		}
	}
	a.address("eth0", "10.1.0.1/24")
	follow("10.1.0.1/24")
	a.address("eth0", "10.1.0.2/24") // secondary
	a.address("eth0", "10.1.0.3/24")
	follow("10.1.0.1/24", "10.1.0.2/24", "10.1.0.3/24")
	a.address("eth0", "10.2.0.1/24") // primary: goes before the secondaries
	a.address("eth0", "192.0.2.1/32")
	follow("10.1.0.1/24", "10.2.0.1/24", "192.0.2.1/32", "10.1.0.2/24", "10.1.0.3/24")
	a.removeAddress("eth0", "10.2.0.1/24")
	follow("10.1.0.1/24", "192.0.2.1/32", "10.1.0.2/24", "10.1.0.3/24")
	a.address("eth0", "10.3.0.1/24")
	a.address("eth0", "10.3.0.2/24")
	a.address("eth0", "10.3.0.3/24")
	follow("10.1.0.1/24", "192.0.2.1/32", "10.3.0.1/24", "10.1.0.2/24", "10.1.0.3/24", "10.3.0.2/24", "10.3.0.3/24")
	// With promotion the first secondary becomes primary, behind the other primaries.
	k := in(a, openKernel)
	defer k.close()
	if already, err := (Setting{"eth0", PromoteSecondaries, 1}).add(k); err != nil || already {
		t.Fatal(already, err)
	}
	a.removeAddress("eth0", "10.3.0.1/24")
	follow("10.1.0.1/24", "192.0.2.1/32", "10.3.0.2/24", "10.1.0.2/24", "10.1.0.3/24", "10.3.0.3/24")
	a.removeAddress("eth0", "10.1.0.1/24")
	follow("192.0.2.1/32", "10.3.0.2/24", "10.1.0.2/24", "10.1.0.3/24", "10.3.0.3/24")
}

func TestMonitorLinks(t *testing.T) {
	a, b := newHost(t), newHost(t)
	w, _ := watch(a, monitorBuffer)
	from := w.count()
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "")
	w.await(t, "eth0 up", func() bool { return w.named("eth0").Up })
	b.down("eth0") // the carrier goes
	w.await(t, "no carrier", func() bool { return !w.named("eth0").Up })
	b.up("eth0")
	w.await(t, "carrier", func() bool { return w.named("eth0").Up })
	old := a.iface("eth0").Index
	a.must(a.handle.LinkDel(a.link("eth0")))
	w.await(t, "eth0 gone", func() bool { return w.named("eth0").Index == 0 })
	story := w.story("eth0", from)
	want := []string{
		"link changed down", "address added 10.1.0.1/24", "link changed up", "link changed down",
		"link changed up", "link changed down", "address removed 10.1.0.1/24", "link removed",
	}
	// The address is set before the interface is up; the order of the last two of
	// the deletion is the kernel's.
	if diff := cmp.Diff(want, story); diff != "" {
		t.Errorf("events differ:\n%s", diff)
	}

	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "")
	w.await(t, "eth0 back", func() bool { return w.named("eth0").Up })
	if now := a.iface("eth0").Index; now == old {
		t.Fatalf("the index %d was used again", now)
	}

	// Renamed, other MTU and MAC: one interface.
	l := a.link("eth0")
	a.must(a.handle.LinkSetMTU(l, 1400))
	a.must(a.handle.LinkSetHardwareAddr(l, mac("02:00:00:00:00:07")))
	a.must(a.handle.LinkSetDown(l))
	a.must(a.handle.LinkSetName(l, "wan0"))
	w.await(t, "renamed", func() bool {
		i := w.named("wan0")
		return i.Index == l.Attrs().Index && i.MTU == 1400 && i.HardwareAddr.String() == "02:00:00:00:00:07" &&
			!i.Up && w.named("eth0").Index == 0
	})
}

// A port that leaves its bridge is announced as a deleted link of the bridge
// family.
func TestMonitorPortLeavesBridge(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	a.must(a.handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	w, _ := watch(a, monitorBuffer)
	from := w.count()
	a.must(a.handle.LinkSetMaster(a.link("eth0"), a.link("br0")))
	a.must(a.handle.LinkSetNoMaster(a.link("eth0")))
	a.address("eth0", "10.1.0.99/32")
	w.await(t, "the address after it", func() bool { return slices.Contains(v4(w.named("eth0")), "10.1.0.99/32") })
	if story := w.story("eth0", from); slices.Contains(story, "link removed") {
		t.Errorf("events %v", story)
	}
}

func TestMonitorOverrun(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "")
	a.address("eth0", "10.1.0.2/24")
	w, m := watch(a, 8<<10)

	w.stall.Lock()
	for i := range 300 {
		p := fmt.Sprintf("192.0.2.%d/32", i%250)
		if i < 250 {
			a.address("eth0", p)
		} else {
			a.removeAddress("eth0", p)
		}
	}
	a.removeAddress("eth0", "10.1.0.2/24")
	a.must(a.handle.LinkDel(a.link("eth0")))
	cable(a, "eth0", "10.1.0.7/24", b, "eth0", "")
	a.address("eth0", "10.1.0.3/32")
	w.stall.Unlock()

	w.await(t, "the final state", func() bool {
		i := w.named("eth0")
		return i.Up && slices.Equal(v4(i), []string{"10.1.0.7/24", "10.1.0.3/32"})
	})
	if m.Resyncs() == 0 {
		t.Error("the buffer did not overrun: the test shows nothing")
	}
	// It goes on as before.
	a.removeAddress("eth0", "10.1.0.3/32")
	w.await(t, "a change after the overrun", func() bool {
		return slices.Equal(v4(w.named("eth0")), []string{"10.1.0.7/24"})
	})
}

// Notifications that wait in the queue when others are lost are older than the
// listing: an addition whose removal was lost must not come back.
func TestMonitorOverrunForgetsTheQueue(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "")
	w, m := watch(a, 8<<10)
	w.stall.Lock()
	for i := range 300 {
		a.address("eth0", fmt.Sprintf("10.8.%d.%d/32", i/200, i%200))
	}
	for i := range 300 {
		a.removeAddress("eth0", fmt.Sprintf("10.8.%d.%d/32", i/200, i%200))
	}
	w.stall.Unlock()
	w.await(t, "listing", func() bool { return m.Resyncs() > 0 })
	a.address("eth0", "10.1.0.2/32")
	w.await(t, "a later change", func() bool { return slices.Contains(v4(w.named("eth0")), "10.1.0.2/32") })
	w.await(t, "the final state", func() bool {
		return slices.Equal(v4(w.named("eth0")), []string{"10.1.0.1/24", "10.1.0.2/32"})
	})
}

func TestMonitorEnds(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(context.Background())
	m := in(h, func() (*Monitor, error) { return StartMonitor(ctx, func(Event) {}) })
	cancel()
	ended := make(chan struct{})
	go func() { m.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the monitor goes on after its context ended")
	}
}

func TestInstalledAddrs(t *testing.T) {
	h := newHost(t)
	h.address("lo", "192.0.2.1/32")
	h.address("lo", "10.5.0.1/24")
	got := in(h, func() ([]netip.Prefix, error) { return InstalledAddrs("lo") })
	var have []string
	for _, p := range got {
		if p.Addr().Is4() {
			have = append(have, p.String())
		}
	}
	if fmt.Sprint(have) != fmt.Sprint(h.prefixes("lo")) || !slices.Contains(have, "10.5.0.1/24") {
		t.Errorf("lo has %v, want %v", have, h.prefixes("lo"))
	}
	err := in(h, func() (error, error) { _, err := InstalledAddrs("eth9"); return err, nil })
	if !errors.Is(err, unix.ENODEV) {
		t.Errorf("missing interface: %v", err)
	}
}
