package vrrpd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// events returns the events of instances so far, with their generation.
func (w *world) events() (list []control.Event) {
	for _, m := range w.sent {
		if m.Event != nil && m.Event.Kind == "instance" {
			list = append(list, *m.Event)
		}
	}
	return list
}

// jobs keeps what the engine asks of its worker, without doing it.
type jobs struct {
	list []link.Job
}

func (j *jobs) Submit(job link.Job) { j.list = append(j.list, job) }

// A router that is to be gone tells its end under the generation that knows it.
func TestRemovedRouterBelongsToItsGeneration(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"), instance("db", 52, 100, "192.0.2.20/32"))
	w.configure(nil, instance("db", 52, 100, "192.0.2.20/32"))
	last := w.events()[len(w.events())-1]
	if last.Subject != "web" || last.To != "STOP" || last.Generation != 1 {
		t.Errorf("the last event is %s %s of generation %d", last.Subject, last.To, last.Generation)
	}
	w.hear("192.0.2.2", 50, settings(&config.Instance{VRID: 52, Version: 3, Priority: 50,
		AdvertInterval: config.Duration(time.Second), Addresses: instance("", 1, 1, "192.0.2.20/32").Addresses}))
	w.pass(4 * time.Second)
	if last := w.events()[len(w.events())-1]; last.Subject != "db" || last.Generation != 2 {
		t.Errorf("the last event is of %s, generation %d", last.Subject, last.Generation)
	}
}

// An instance that gets another VRID stops at the old place before it starts at
// the new one; told the other way round, its scripts would end with STOP.
func TestInstanceMovesToAnotherVRID(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.pass(4 * time.Second)
	w.take()
	w.hold = true
	w.configure(nil, instance("web", 52, 100, "192.0.2.10/32"))
	w.hold = false
	w.settle()
	w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32",
		"web MASTER->STOP (removed)", "web INIT->BACKUP (started)")
	if !w.gone() || len(w.e.holdings) != 2 {
		t.Errorf("%d routers are known", len(w.e.holdings))
	}
}

// What one router gives up goes to the worker before what another one claims,
// whatever their order in the file.
func TestAddressMovesBetweenInstances(t *testing.T) {
	a, b := []string{"192.0.2.10/32", "192.0.2.30/32"}, []string{"192.0.2.20/32"}
	w := newWorld(t)
	w.configure(nil, instance("b", 52, 254, b...), instance("a", 51, 254, a...))
	w.pass(4 * time.Second)
	for _, i := range w.e.snapshot().Instances {
		if i.State != "MASTER" {
			t.Fatalf("%s is %s", i.Name, i.State)
		}
	}
	asked := &jobs{}
	w.e.worker = asked
	w.configure(nil, instance("b", 52, 254, append(b, a[1])...), instance("a", 51, 254, a[0]))
	var order []string
	for _, j := range asked.list {
		for _, i := range j.Items {
			if addr, ok := i.(link.Address); ok && addr.Prefix.String() == a[1] {
				order = append(order, j.Op.String()+" "+strings.TrimRight(j.Instance, "0123456789#"))
			}
		}
	}
	if want := []string{"remove a", "add b", "announce b"}; !slices.Equal(order, want) {
		t.Errorf("%v, want %v", order, want)
	}
}

// What a killed process left behind is taken off even when the configuration
// that its successor gets does not know it any more.
func TestOrphansAreRemoved(t *testing.T) {
	w := newWorld(t)
	w.kernel["eth0 192.0.2.10/32"], w.kernel["eth0 192.0.2.11/32"], w.kernel["eth0 192.0.2.20/32"] = true, true, true
	at := func(p string) control.Address {
		return control.Address{Prefix: netip.MustParsePrefix(p), Device: "eth0", Installed: true}
	}
	former := watchdog.Snapshot{VRRP: &control.VRRP{Instances: []control.Instance{
		{Name: "web", Interface: "eth0", VRID: 51, State: "MASTER", Addresses: []control.Address{at("192.0.2.10/32"), at("192.0.2.11/32")}},
		{Name: "db", Interface: "eth0", VRID: 52, State: "MASTER", Addresses: []control.Address{at("192.0.2.20/32")}},
	}}}
	w.resume(&watchdog.Resume{AliveMono: link.Monotonic(), Snapshot: former}, nil, instance("web", 51, 100, "192.0.2.10/32"))
	if len(w.kernel) != 1 || !w.kernel["eth0 192.0.2.10/32"] {
		t.Errorf("the kernel holds %v", w.kernel)
	}
	if i := w.router("web"); i.State != "MASTER" || !i.Addresses[0].Installed {
		t.Errorf("web is %+v", i)
	}
}

// The command of a script is changed: the former verdict holds until the new
// command has spoken, so the reload by itself moves no priority.
func TestChangedScriptKeepsItsVerdict(t *testing.T) {
	for _, tc := range []struct {
		name        string
		weight      int
		ok          bool
		before, now int
	}{
		{"up", 20, true, 120, 120},
		{"down", -20, false, 80, 80},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			scripts, use := chk(tc.weight)
			scripts[0].Rise, scripts[0].Fall = 1, 1
			c := instance("web", 51, 100, "192.0.2.10/32")
			c.TrackScripts = []config.Track{use}
			w.configure(scripts, c)
			w.pass(0)
			w.answer(tc.ok)
			if p := w.router("web").Priority; p != tc.before {
				t.Fatalf("priority %d", p)
			}
			scripts = slices.Clone(scripts)
			scripts[0].Command = []string{"/chk", "-v"}
			w.configure(scripts, c)
			w.pass(0)
			if p := w.router("web").Priority; p != tc.now {
				t.Errorf("after the reload the priority is %d, want %d", p, tc.now)
			}
			w.answer(!tc.ok)
			if p := w.router("web").Priority; p != 100 {
				t.Errorf("after the new verdict the priority is %d", p)
			}
		})
	}
}

// A stop waits also for the addresses that a router took off before it left,
// or that were there when it started and that it never held.
func TestStopWaitsForEarlierRemovals(t *testing.T) {
	w := newWorld(t)
	w.hold = true
	w.kernel["eth0 192.0.2.10/32"] = true
	scripts, use := chk(0)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use} // no verdict yet: it stays in INIT
	w.configure(scripts, c)
	w.e.stop(w.now)
	w.e.flush(w.now)
	if w.gone() {
		t.Error("the stop does not wait for the removal of what was left over")
	}
	w.deliver(len(w.held))
	if !w.gone() || len(w.e.holdings) != 1 {
		t.Error("the stop never ends")
	}
}

// Removals and additions overtake each other in the worker; whatever becomes of
// them, the count of open removals comes back to zero.
func TestSupersededRemovalsAreCounted(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32", "192.0.2.11/32")
	w.configure(nil, c)
	w.pass(4 * time.Second)
	w.hold = true
	for range 3 {
		w.hear("192.0.2.2", 200, settings(&c)) // BACKUP
		w.hear("192.0.2.2", 0, settings(&c))
		w.pass(time.Second) // MASTER again
	}
	for i := range w.held {
		if i < len(w.held)-6 {
			w.held[i].Err = link.ErrSuperseded
		}
	}
	w.hold = false
	w.settle()
	if i := w.router("web"); i.State != "MASTER" || !i.Addresses[0].Installed || !i.Addresses[1].Installed {
		t.Errorf("web is %s, addresses %+v", i.State, i.Addresses)
	}
	w.e.stop(w.now)
	w.settle()
	if !w.gone() {
		t.Error("the stop never ends")
	}
}

// A filter that cannot be set leaves the router deaf: it must not become MASTER.
func TestFilterFailureIsAFault(t *testing.T) {
	w := newWorld(t)
	web, db := instance("web", 51, 100, "192.0.2.10/32"), instance("db", 52, 255, "192.0.2.20/32")
	w.configure(nil, web)
	w.deaf = true
	w.configure(nil, web, db)
	if i := w.router("db"); i.State != "FAULT" || i.Code != "socket" {
		t.Errorf("db is %s: %s", i.State, i.Reason)
	}
	w.deaf = false
	w.pass(time.Second)
	if i := w.router("db"); i.State != "MASTER" {
		t.Errorf("db is %s: %s", i.State, i.Reason)
	}
}
