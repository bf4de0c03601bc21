package link

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// results collects what a worker reports.
type results struct {
	t    testing.TB
	mu   sync.Mutex
	list []Result
}

func newWorker(h *host) (*Worker, *results) {
	h.t.Helper()
	r := &results{t: h.t}
	w := in(h, func() (*Worker, error) {
		return NewWorker(Former{}, func(x Result) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.list = append(r.list, x)
		})
	})
	h.t.Cleanup(w.Close)
	return w, r
}

func (r *results) all() []Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

// of waits for the end of a job and returns its results.
func (r *results) of(id uint64) (out []Result) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("job %d", id), func() bool {
		out = nil
		for _, x := range r.all() {
			if x.Job == id {
				out = append(out, x)
			}
		}
		return len(out) > 0 && out[len(out)-1].Last
	})
	return out
}

// ok is of, for jobs that must not fail.
func (r *results) ok(id uint64) []Result {
	r.t.Helper()
	out := r.of(id)
	for _, x := range out {
		if x.Err != nil {
			r.t.Fatalf("job %d: %v", id, x.Err)
		}
	}
	return out
}

func vips(device string, prefixes ...string) (out []Item) {
	for _, p := range prefixes {
		out = append(out, Address{Prefix: netip.MustParsePrefix(p), Device: device})
	}
	return out
}

func cabled(t testing.TB) (a, b *host) {
	t.Helper()
	a, b = newHost(t), newHost(t)
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "10.1.0.2/24")
	return a, b
}

func TestWorkerAddsAndRemoves(t *testing.T) {
	h, _ := cabled(t)
	w, r := newWorker(h)
	addresses := vips("eth0", "10.1.0.10/32", "10.1.0.11/24", "192.0.2.1/30")
	addresses[1] = labelled(addresses[1], "eth0:vip")
	w.Submit(Job{ID: 1, Instance: "web", Op: Add, Items: addresses})
	for i, x := range r.ok(1) {
		want := Result{Job: 1, Instance: "web", Op: Add, Item: addresses[i], Last: i == 2}
		if x != want {
			t.Errorf("result %+v, want %+v", x, want)
		}
	}
	labels := map[string]string{}
	for _, a := range h.addresses("eth0") {
		labels[a.IPNet.String()] = a.Label
		if a.Broadcast != nil {
			t.Errorf("%s has the broadcast address %s", a.IPNet, a.Broadcast)
		}
	}
	want := map[string]string{"10.1.0.1/24": "eth0", "10.1.0.10/32": "eth0", "10.1.0.11/24": "eth0:vip", "192.0.2.1/30": "eth0"}
	if fmt.Sprint(labels) != fmt.Sprint(want) {
		t.Errorf("addresses and labels %v, want %v", labels, want)
	}

	// Again: adopted, though the label differs now.
	addresses[1] = labelled(addresses[1], "")
	w.Submit(Job{ID: 2, Instance: "web", Op: Add, Items: addresses})
	for _, x := range r.ok(2) {
		if !x.Already {
			t.Errorf("%s was not recognised as present", x.Item.(Address).Prefix)
		}
	}
	removed := slices.Clone(addresses)
	removed[1] = labelled(removed[1], "eth0:other")
	w.Submit(Job{ID: 3, Instance: "web", Op: Remove, Items: removed})
	for _, x := range r.ok(3) {
		if x.Already {
			t.Errorf("%s was not recognised as present", x.Item.(Address).Prefix)
		}
	}
	if got := h.prefixes("eth0"); fmt.Sprint(got) != "[10.1.0.1/24]" {
		t.Errorf("left are %v", got)
	}
	w.Submit(Job{ID: 4, Instance: "web", Op: Remove, Items: addresses})
	for _, x := range r.ok(4) {
		if !x.Already {
			t.Errorf("%s was not recognised as missing", x.Item.(Address).Prefix)
		}
	}
	w.Submit(Job{ID: 5, Instance: "web", Op: Add})
	if got := r.ok(5); len(got) != 1 || !got[0].Last || got[0].Item != nil {
		t.Errorf("a job without addresses: %+v", got)
	}
}

func TestWorkerReportsFailures(t *testing.T) {
	h, _ := cabled(t)
	w, r := newWorker(h)
	addresses := vips("eth0", "10.1.0.10/32", "10.1.0.11/32")
	addresses[0] = labelled(addresses[0], strings.Repeat("x", 16))
	addresses = append(addresses, vips("eth9", "10.1.0.12/32")...)
	w.Submit(Job{ID: 1, Instance: "web", Op: Add, Items: addresses})
	w.Submit(Job{ID: 2, Instance: "web", Op: Announce, Items: addresses})
	got := r.of(1)
	for i, want := range []error{unix.ERANGE, nil, unix.ENODEV} {
		if !errors.Is(got[i].Err, want) {
			t.Errorf("%s: %v, want %v", got[i].Item.(Address).Prefix, got[i].Err, want)
		}
	}
	if text := got[0].Err.Error(); !strings.Contains(text, "10.1.0.10/32") || !strings.Contains(text, "eth0") {
		t.Errorf("the error does not name its object: %s", text)
	}
	// What is not installed is not announced.
	got = r.of(2)
	for i, want := range []error{ErrNotInstalled, nil, ErrNotInstalled} {
		if !errors.Is(got[i].Err, want) {
			t.Errorf("announce %s: %v, want %v", got[i].Item.(Address).Prefix, got[i].Err, want)
		}
	}
	// Once it succeeded it is.
	addresses[0] = labelled(addresses[0], "")
	w.Submit(Job{ID: 3, Instance: "web", Op: Add, Items: addresses[:1]})
	w.Submit(Job{ID: 4, Instance: "web", Op: Announce, Items: addresses[:1]})
	r.ok(3)
	r.ok(4)
	// An interface that is gone took its addresses along.
	w.Submit(Job{ID: 5, Instance: "web", Op: Remove, Items: addresses[2:]})
	if got := r.ok(5); !got[0].Already {
		t.Errorf("removal from a missing interface: %+v", got[0])
	}
	h.down("eth0")
	w.Submit(Job{ID: 6, Instance: "web", Op: Announce, Items: addresses[:1]})
	if got := r.of(6); !errors.Is(got[0].Err, unix.ENETDOWN) {
		t.Errorf("announced on an interface that is down: %v", got[0].Err)
	}
	w.Submit(Job{ID: 8, Instance: "web", Op: 99, Items: addresses[:1]})
	if got := r.of(8); got[0].Err == nil {
		t.Error("an unknown operation succeeded")
	}
}

// An interface that was deleted and made anew is found by its name at once.
func TestWorkerFollowsReplacedInterface(t *testing.T) {
	h, peer := cabled(t)
	k := in(h, openKernel)
	defer k.close()
	vip := vips("eth0", "10.1.0.10/32")[0]
	if _, err := vip.add(k); err != nil {
		t.Fatal(err)
	}
	h.must(h.handle.LinkDel(h.link("eth0")))
	cable(h, "eth0", "10.1.0.1/24", peer, "eth0", "10.1.0.2/24")
	if already, err := vip.add(k); err != nil || already {
		t.Errorf("add: already %v, error %v", already, err)
	}
	if got := h.prefixes("eth0"); fmt.Sprint(got) != "[10.1.0.1/24 10.1.0.10/32]" {
		t.Errorf("eth0 has %v", got)
	}
	h.must(h.handle.LinkDel(h.link("eth0")))
	cable(h, "eth0", "10.1.0.1/24", peer, "eth0", "10.1.0.2/24")
	if err := k.announce(vip.(Address)); err != nil {
		t.Errorf("announce: %v", err)
	}
}

// hold makes a worker that stops in its first result until release is called, so
// that a test decides what is queued behind it.
func hold(h *host) (w *Worker, r *results, release func()) {
	h.t.Helper()
	gate := make(chan struct{})
	r = &results{t: h.t}
	w = in(h, func() (*Worker, error) {
		return NewWorker(Former{}, func(x Result) {
			if x.Instance == "gate" {
				<-gate
				return
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.list = append(r.list, x)
		})
	})
	h.t.Cleanup(w.Close)
	w.Submit(Job{Instance: "gate", Op: Add})
	return w, r, sync.OnceFunc(func() { close(gate) })
}

func TestWorkerNewestJobDecides(t *testing.T) {
	h, _ := cabled(t)
	h.address("eth0", "10.1.0.30/32")
	w, r, release := hold(h)
	defer release()
	ab := vips("eth0", "10.1.0.10/32", "10.1.0.11/32")
	c := vips("eth0", "10.1.0.30/32")
	w.Submit(Job{ID: 1, Instance: "web", Op: Add, Items: ab})
	w.Submit(Job{ID: 2, Instance: "web", Op: Announce, Items: ab, Count: 3})
	w.Submit(Job{ID: 3, Instance: "web", Op: Remove, Items: ab[:1]})
	w.Submit(Job{ID: 4, Instance: "web", Op: Remove, Items: c})
	w.Submit(Job{ID: 5, Instance: "web", Op: Add, Items: c})
	// Another instance has its own mind.
	w.Submit(Job{ID: 6, Instance: "mail", Op: Add, Items: vips("eth0", "10.1.0.12/32")})
	release()
	var got []string
	for id := uint64(1); id <= 6; id++ {
		for _, x := range r.of(id) {
			line := fmt.Sprintf("%d %s %s", id, x.Op, x.Item.(Address).Prefix.Addr())
			if x.Already {
				line += " already"
			}
			if x.Err != nil {
				line += ": " + x.Err.Error()
			}
			got = append(got, line)
		}
	}
	want := []string{
		"1 add 10.1.0.10: superseded by a later job",
		"1 add 10.1.0.11",
		"2 announce 10.1.0.10: superseded by a later job",
		"2 announce 10.1.0.11",
		"3 remove 10.1.0.10 already",
		"4 remove 10.1.0.30: superseded by a later job",
		"5 add 10.1.0.30 already",
		"6 add 10.1.0.12",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	left := h.prefixes("eth0")
	slices.Sort(left)
	if fmt.Sprint(left) != "[10.1.0.1/24 10.1.0.11/32 10.1.0.12/32 10.1.0.30/32]" {
		t.Errorf("eth0 has %v", left)
	}
}

// Instances take turns: a single address does not wait for a thousand.
func TestWorkerTakesTurns(t *testing.T) {
	h, _ := cabled(t)
	w, r, release := hold(h)
	defer release()
	var many []Item
	for i := range 1000 {
		many = append(many, vips("eth0", fmt.Sprintf("10.8.%d.%d/32", i/250, i%250+1))...)
	}
	w.Submit(Job{ID: 1, Instance: "big", Op: Add, Items: many})
	w.Submit(Job{ID: 2, Instance: "big", Op: Announce, Items: many, Count: 5})
	w.Submit(Job{ID: 3, Instance: "small", Op: Add, Items: vips("eth0", "10.9.0.1/32")})
	w.Submit(Job{ID: 4, Instance: "small", Op: Announce, Items: vips("eth0", "10.9.0.1/32"), Count: 5})
	start := time.Now()
	release()
	r.ok(4)
	at := slices.IndexFunc(r.all(), func(x Result) bool { return x.Job == 4 })
	if at > 20 {
		t.Errorf("the small instance came after %d results of the big one", at)
	}
	r.ok(1)
	added := time.Since(start)
	r.ok(2)
	announced := time.Since(start) - added
	start = time.Now()
	w.Submit(Job{ID: 5, Instance: "big", Op: Remove, Items: many})
	r.ok(5)
	t.Logf("1000 addresses: added in %v, announced five times in %v, removed in %v", added, announced, time.Since(start))
	if left := h.prefixes("eth0"); len(left) != 2 {
		t.Errorf("%d addresses left", len(left))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queues) != 0 || len(w.turns) != 0 {
		t.Errorf("%d queues and %d turns left", len(w.queues), len(w.turns))
	}
}

func TestGratuitousARPOnTheWire(t *testing.T) {
	a, b := cabled(t)
	next := b.capture("eth0")
	w, r := newWorker(a)
	vip := vips("eth0", "10.1.0.10/32", "10.1.0.11/24")
	w.Submit(Job{ID: 1, Instance: "web", Op: Add, Items: vip})
	w.Submit(Job{ID: 2, Instance: "web", Op: Announce, Items: vip, Count: 3})
	r.ok(1)
	if got := r.ok(2); len(got) != 2 {
		t.Errorf("results %+v", got)
	}
	isARP := func(f []byte) bool { return f[12] == 8 && f[13] == 6 }
	source := a.iface("eth0").HardwareAddr
	for i := range 6 { // each address in each round
		want := garp(source, vip[i%2].(Address).Prefix.Addr())
		if got := next(isARP); !bytes.Equal(got, want[:]) {
			t.Fatalf("frame %d\n     %x\nwant %x", i, got, want)
		}
	}
	// Where nobody resolves addresses nothing is sent, and nothing is wrong.
	a.must(a.handle.LinkSetARPOff(a.link("eth0")))
	w.Submit(Job{ID: 3, Instance: "web", Op: Announce, Items: vips("eth0", "10.1.0.12/32")})
	r.ok(3)
	a.must(a.handle.LinkSetARPOn(a.link("eth0")))
	time.Sleep(deviceAge) // what the worker remembers of the interface
	w.Submit(Job{ID: 4, Instance: "web", Op: Announce, Items: vip[:1]})
	r.ok(4)
	want := garp(source, vip[0].(Address).Prefix.Addr())
	if got := next(isARP); !bytes.Equal(got, want[:]) {
		t.Errorf("announced without ARP: %x", got)
	}
}

// A neighbour that knows the address with another MAC believes the announcement.
func TestGratuitousARPMovesAnAddress(t *testing.T) {
	a, b := cabled(t)
	wrong := mac("02:00:00:00:00:99")
	vip := vips("eth0", "10.1.0.10/32")
	setNeighbour(b, "eth0", "10.1.0.10", wrong)
	w, r := newWorker(a)
	w.Submit(Job{ID: 1, Instance: "web", Op: Announce, Items: vip})
	r.ok(1)
	eventually(t, "the neighbour's entry", func() bool {
		return neighbour(b, "eth0", "10.1.0.10") == a.iface("eth0").HardwareAddr.String()
	})
}

func TestWorkerCloseDropsTheRest(t *testing.T) {
	h, _ := cabled(t)
	w, r, release := hold(h)
	w.Submit(Job{ID: 1, Instance: "web", Op: Add, Items: vips("eth0", "10.1.0.10/32")})
	time.AfterFunc(10*time.Millisecond, release)
	w.Close()
	w.Submit(Job{ID: 2, Instance: "web", Op: Add})
	w.Close()
	if got := r.all(); len(got) > 1 {
		t.Errorf("results after Close: %+v", got)
	}
}

// emit may submit further work, as a retry does.
func TestWorkerSubmitFromEmit(t *testing.T) {
	h, _ := cabled(t)
	done := make(chan Result, 10)
	var w *Worker
	ready := make(chan struct{})
	w = in(h, func() (*Worker, error) {
		return NewWorker(Former{}, func(x Result) {
			<-ready
			if x.Job < 5 {
				w.Submit(Job{ID: x.Job + 1, Instance: "web", Op: Add, Items: vips("eth0", "10.1.0.10/32")})
			}
			done <- x
		})
	})
	close(ready)
	h.t.Cleanup(w.Close)
	w.Submit(Job{ID: 1, Instance: "web", Op: Add})
	for id := uint64(1); id <= 5; id++ {
		select {
		case x := <-done:
			if x.Job != id || x.Err != nil {
				t.Errorf("result %+v, want job %d", x, id)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no result of job %d", id)
		}
	}
}
