package watchdog

import (
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// What comes and goes does not count, in either direction.
func TestLasting(t *testing.T) {
	var s lasting
	at := time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration
		on    bool
		want  bool // another state counts
	}{
		{0, false, false}, {1, true, false}, {9, true, false}, {1, false, false}, // forgotten
		{1, true, false}, {9, true, false}, {1, true, true}, {1, false, false}, {60, true, false}, // the time begins anew with each change
		{1, false, false}, {9, true, false}, {1, false, false}, {10, false, true},
	} {
		at = at.Add(step.after * time.Second)
		if got := s.step(at, step.on, 10*time.Second); got != step.want {
			t.Errorf("step %d: changed %v, want %v", i, got, step.want)
		}
	}
	if s.on || !s.since.Equal(at) {
		t.Errorf("%+v", s)
	}
}

// The VRRP child is told once, and again after it was replaced; the parent's key stays
// with the parent.
func TestReadinessIsRelayed(t *testing.T) {
	c := conf("web", "a")
	c.Readiness = &config.Readiness{Weight: -50, Key: "0123456789abcdef0123456789abcdef"}
	if r := (&generation{number: 1, config: c}).configure(RoleVRRP, nil).Config.Readiness; r == nil || r.Weight != -50 || r.Key != "" {
		t.Errorf("the child is told %+v", r)
	}
	p, vrrp, _, child, _ := halfParent(t, c)
	p.ready.notReady.on = true
	p.relayReadiness() // readiness is not configured
	p.ready.settings, p.ready.notReady.on = c.Readiness, false
	want := func(ready bool, reason string) {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Readiness == nil || m.Readiness.Ready != ready || m.Readiness.Reason != reason {
			t.Fatalf("got %+v (%v)", m.Readiness, err)
		}
	}
	p.relayReadiness()
	want(true, "")
	p.relayReadiness() // no news
	p.ready.notReady.on, p.ready.reasons = true, []string{"x", "y"}
	p.relayReadiness()
	want(false, "x; y")
	vrrp.readiness = nil // another process
	p.relayReadiness()
	want(false, "x; y")
}

// The facts are those of the children and of doctor.
func TestReadinessFacts(t *testing.T) {
	p, vrrp, checkers, _, _ := halfParent(t, conf("web", "a"))
	p.ready.broken = []string{"modules: no ip_vs"}
	p.children[RoleCheckers].run = checkers
	p.children[RoleCheckers].last = &Snapshot{Checkers: &control.Checkers{
		Services: []control.Service{{Name: "web", State: "up"}, {Name: "db", State: "down"}},
		Failures: []control.Failure{{What: "add x", Error: "no memory"}},
		// A full disk takes nothing from the service.
		Unwritten: []control.Failure{{What: "/var/lib/director/maintenance.json", Error: "no space left on device"}},
	}}
	f := p.readinessFacts()
	if len(f.Broken) != 2 || f.Broken[1] != "the kernel refuses to add x: no memory" || f.Pools["db"] != "down" || len(f.Digests) != 3 {
		t.Errorf("facts %+v", f)
	}
	vrrp.ready = false
	p.children[RoleVRRP].run = nil
	if f := p.readinessFacts(); len(f.Broken) != 2 {
		t.Errorf("a process that starts for the first time: %q", f.Broken)
	}
	p.children[RoleVRRP].run = vrrp
	p.children[RoleVRRP].died, p.children[RoleVRRP].lastExit = true, "signal: killed"
	for _, run := range []*process{vrrp, nil} { // it starts again, or waits for that
		p.children[RoleVRRP].run = run
		if f := p.readinessFacts(); len(f.Broken) != 3 || f.Broken[1] != "the process vrrp does not run: signal: killed" {
			t.Errorf("facts %q", f.Broken)
		}
	}
	p.children[RoleCheckers].run = nil // what it said last is no fact any more
	if f := p.readinessFacts(); len(f.Pools) != 0 {
		t.Errorf("pools of a process that is gone: %v", f.Pools)
	}
}
