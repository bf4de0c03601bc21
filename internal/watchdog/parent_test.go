package watchdog

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

func TestStartAndStopOrder(t *testing.T) {
	d := prepare(t)
	c := conf("web", "farm")
	c.Global.ChildTimeout = config.Duration(2 * time.Second)
	d.configure(c)
	d.file("checkers.delay", "2500ms") // longer than child_timeout: a start may take its time
	d.file("vrrp.delay", "2500ms")
	d.file("vrrp.stop-delay", "100ms")
	d.start()
	d.says("director is ready")
	d.signals <- syscall.SIGTERM
	if err := d.ends(); err != nil {
		t.Errorf("Run: %v", err)
	}
	d.order(
		"checkers start", "checkers configure 1", "checkers applied 1",
		"vrrp start", "vrrp configure 1", "vrrp applied 1",
		"vrrp stop", "vrrp exit", "checkers stop", "checkers exit")
	if n := strings.Count(d.log(), "observed 1"); n != 2 {
		t.Errorf("%d configurations observed, want 2", n)
	}
}

// TestOnlyNeededChildren shows that a child without work does not run, and that a
// reload starts and stops it.
func TestOnlyNeededChildren(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.says("director is ready")
	if p := d.process(RoleCheckers); p.State != "not needed" || p.PID != 0 {
		t.Errorf("checkers: %+v", p)
	}
	d.configure(conf("web", "farm"))
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	if p := d.process(RoleCheckers); p.State != "running" {
		t.Errorf("checkers: %+v", p)
	}
	d.configure(conf("", "farm"))
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	d.eventually("vrrp not needed", func() bool { return d.process(RoleVRRP).State == "not needed" })
	if s := d.status(); s.VRRP != nil || s.Generation != 3 {
		t.Errorf("status still has instances, or generation %d", s.Generation)
	}
	d.configure(conf("web", ""))
	if r := d.reload(); !r.OK { // both at once: one starts, the other ends
		t.Errorf("reload: %+v", r)
	}
	d.eventually("checkers not needed", func() bool { return d.process(RoleCheckers).State == "not needed" })
	if p := d.process(RoleVRRP); p.State != "running" || p.Restarts != 0 {
		t.Errorf("vrrp: %+v", p)
	}
	d.order(
		"vrrp start", "vrrp configure 1", "vrrp applied 1",
		"checkers start", "checkers configure 2", "checkers applied 2", "vrrp configure 2", "vrrp applied 2",
		"checkers configure 3", "checkers applied 3", "vrrp configure 3", "vrrp applied 3", "vrrp stop", "vrrp exit",
		"checkers configure 4", "checkers applied 4", "vrrp start", "vrrp configure 4", "vrrp applied 4", "checkers stop", "checkers exit")
}

func TestLeftoversNeedTheirChild(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.file("leftover", "")
	d.start(func(o *Options) {
		o.Leftovers = func(r Role) bool {
			_, err := os.Stat(filepath.Join(d.dir, "leftover"))
			return r == RoleCheckers && err == nil
		}
	})
	d.says("director is ready")
	if p := d.process(RoleCheckers); p.State != "running" {
		t.Errorf("checkers: %+v", p)
	}
	d.remove("leftover")
	d.reload()
	d.eventually("checkers not needed", func() bool { return d.process(RoleCheckers).State == "not needed" })
}

func TestSlowStop(t *testing.T) {
	d := prepare(t)
	c := conf("web", "farm")
	c.Global.StopTimeout = config.Duration(5 * time.Second) // the second process starts within it
	d.configure(c)
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.file("vrrp.slow-stop", "")
	d.file("vrrp.lazy", "") // its successor must not be stopped before it has taken over
	d.cancel()
	d.says("child did not stop in time and is killed")
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	// What the killed one left is undone by another before the checkers stop.
	d.order(
		"checkers start", "checkers configure 1", "checkers applied 1",
		"vrrp start", "vrrp configure 1", "vrrp applied 1", "vrrp stop",
		"vrrp start", "vrrp configure 1 resume alive MASTER", "vrrp applied 1", "vrrp stop", "vrrp exit",
		"checkers stop", "checkers exit")
}

// TestStopWhileDead shows that a stop undoes what a child left that is dead at that
// moment.
func TestStopWhileDead(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.killUntilDelayed(RoleVRRP)
	if err := d.client().Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(d.log(), "vrrp applied 1\nvrrp stop\nvrrp exit\n") {
		t.Errorf("nothing was undone:\n%s", d.log())
	}
}

func TestLeftInTheKernel(t *testing.T) {
	item := func(installed, own bool) []control.KernelItem {
		return []control.KernelItem{{What: "x", Installed: installed, Own: own}}
	}
	in := func(i control.Instance) *control.VRRP { return &control.VRRP{Instances: []control.Instance{{}, i}} }
	for name, tc := range map[string]struct {
		v    *control.VRRP
		want bool
	}{
		"nothing":    {in(control.Instance{Addresses: []control.Address{{}}, Routes: item(false, false)}), false},
		"an address": {in(control.Instance{Addresses: []control.Address{{Installed: true}}}), true},
		"a route":    {in(control.Instance{Routes: item(true, false)}), true},
		"a rule":     {in(control.Instance{Rules: item(true, false)}), true},
		"a block":    {in(control.Instance{Blocks: item(true, false)}), true},
		"a static":   {&control.VRRP{Static: item(true, false)}, true},
		"the host's": {&control.VRRP{Static: item(true, true)}, false},
	} {
		if got := inKernel(tc.v); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSecondSignalHurries(t *testing.T) {
	d := prepare(t)
	c := conf("", "farm")
	c.Global.StopTimeout = config.Duration(time.Minute)
	c.Global.KeepIPVSOnStop = true
	d.configure(c)
	d.file("checkers.slow-stop", "")
	d.start()
	d.says("director is ready")
	d.signals <- syscall.SIGINT
	d.await("checkers stop", 1)
	d.signals <- syscall.SIGINT
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	var got []time.Duration
	for range 12 {
		got = append(got, b.died(time.Second)/time.Second)
	}
	got = append(got, b.died(settled)/time.Second)
	got = append(got, b.died(settled)/time.Second) // it lives long again and again
	for range 3 {
		got = append(got, b.died(settled-1)/time.Second)
	}
	b.reset()
	got = append(got, b.died(0))
	want := []time.Duration{0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 0, 0, 0, 0, 1, 0}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSilence(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	const interval = 100 * time.Millisecond
	run := &process{lastCycle: start, pings: []ping{{1, at(0)}, {2, at(100)}, {3, at(200)}}}
	if got := run.silent(at(100), interval); got != 100*time.Millisecond {
		t.Errorf("silent for %v", got)
	}
	// The parent was away for 5 s: the child is not blamed for it.
	if got := run.silent(at(5200), interval); got != 200*time.Millisecond {
		t.Errorf("after an absence: silent for %v, want 200ms", got)
	}
	if got := run.silent(at(5300), interval); got != 300*time.Millisecond {
		t.Errorf("then: silent for %v, want 300ms", got)
	}
	run.answered(2)
	if len(run.pings) != 1 || run.pings[0].seq != 3 {
		t.Errorf("unanswered: %v", run.pings)
	}
	run.answered(9)
	if got := run.silent(at(5400), interval); got != 0 {
		t.Errorf("all answered: silent for %v", got)
	}
}
