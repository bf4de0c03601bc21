package vrrpd

import (
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

func (w *world) withGlobal(g config.Global, res *watchdog.Resume, instances ...config.Instance) {
	w.t.Helper()
	if err := w.e.configure(w.now, &watchdog.Configure{
		Generation: w.e.generation + 1, Resume: res, Config: &config.Config{Global: g, Instances: instances},
	}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func TestStartDelay(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	owner := instance("own", 52, 255, "192.0.2.11/32")
	w.withGlobal(config.Global{StartDelay: config.Duration(10 * time.Second)}, nil, c, owner)
	w.pass(5 * time.Second)
	w.hear("192.0.2.2", 90, settings(&c))
	w.pass(4 * time.Second)
	w.want()
	i := w.router("web")
	if i.State != "INIT" || i.Code != "start_delay" || !strings.HasPrefix(i.Reason, "waiting for the start delay, ") ||
		i.Master != "192.0.2.2" || i.MasterPriority != 90 {
		t.Errorf("status is %+v", i)
	}
	if left := i.StartsAt.Sub(w.now); left != time.Second {
		t.Errorf("ends in %v", left)
	}
	// A reload does not begin it anew; one that shortens it ends it.
	w.withGlobal(config.Global{StartDelay: config.Duration(10 * time.Second)}, nil, c, owner)
	w.pass(999 * time.Millisecond)
	w.want()
	w.pass(time.Millisecond)
	w.want("advert 255 from 192.0.2.1", "add 192.0.2.11/32", "announce 192.0.2.11/32", "web INIT->BACKUP (started)", "own INIT->MASTER (owner)")
	// What was heard before counts for nothing: the master-down time begins now.
	w.pass(3500 * time.Millisecond)
	if i := w.router("web"); i.State != "BACKUP" || i.Master != "" {
		t.Errorf("status is %+v", i)
	}
	// Over is over, for routers that come later as well.
	w.take()
	w.withGlobal(config.Global{StartDelay: config.Duration(time.Hour)}, nil, owner, instance("late", 53, 100, "192.0.2.12/32"))
	if log := w.take(); !strings.Contains(log, "late INIT->BACKUP (started)") {
		t.Errorf("got:\n%s", log)
	}
}

func TestStartDelayEndsWithTheFault(t *testing.T) {
	w := newWorld(t)
	w.link("eth0", 2, false, "192.0.2.1/24")
	w.withGlobal(config.Global{StartDelay: config.Duration(10 * time.Second)}, nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.want("web INIT->FAULT (interface_down)")
	w.link("eth0", 2, true, "192.0.2.1/24")
	w.want()
	if i := w.router("web"); i.Code != "start_delay" || i.State != "FAULT" {
		t.Errorf("status is %+v", i)
	}
	w.pass(10 * time.Second)
	w.want("web FAULT->BACKUP (recovered)")
}

func TestDelayAfterBoot(t *testing.T) {
	g := config.Global{StartDelay: config.Duration(2 * time.Second), DelayAfterBoot: config.Duration(30 * time.Second)}
	for uptime, want := range map[time.Duration]time.Duration{
		25 * time.Second: 5 * time.Second, 29 * time.Second: 2 * time.Second, time.Hour: 2 * time.Second,
	} {
		w := newWorld(t)
		w.e.sinceBoot = func() time.Duration { return uptime }
		w.withGlobal(g, nil, instance("web", 51, 100, "192.0.2.10/32"))
		w.pass(want - time.Millisecond)
		w.want()
		w.pass(time.Millisecond)
		w.want("web INIT->BACKUP (started)")
	}
	w := newWorld(t)
	w.e.sinceBoot = func() time.Duration { return time.Second }
	w.withGlobal(config.Global{}, nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.want("web INIT->BACKUP (started)")
}

// A respawned process does not wait again.
func TestStartDelayIsTheDaemons(t *testing.T) {
	g := config.Global{StartDelay: config.Duration(10 * time.Second)}
	c := instance("web", 51, 100, "192.0.2.10/32")
	former := newWorld(t)
	former.withGlobal(g, nil, c)
	former.pass(15 * time.Second)
	snap := former.e.snapshot()
	snap.BegunMono = link.Monotonic() - int64(15*time.Second)
	w := newWorld(t)
	w.withGlobal(g, resumeOf(snap), c)
	if i := w.router("web"); i.State != vrrp.Master.String() || i.Code != "resumed" {
		t.Errorf("status is %+v", i)
	}
	snap.BegunMono = link.Monotonic() - int64(6*time.Second)
	w = newWorld(t)
	w.withGlobal(g, resumeOf(snap), c)
	w.pass(3 * time.Second)
	if i := w.router("web"); i.Code != "start_delay" {
		t.Errorf("status is %+v", i)
	}
	w.pass(time.Second)
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("status is %+v", i)
	}
	// A stop ends it: nothing starts any more.
	w = newWorld(t)
	w.withGlobal(g, nil, c)
	w.e.stop(w.now)
	w.pass(time.Minute)
	w.want()
}

// A stalled MASTER reads what has come before it says anything; with nopreempt it
// stays replaced.
func TestStalledMasterReadsFirst(t *testing.T) {
	for _, nopreempt := range []bool{true, false} {
		w := newWorld(t)
		c := instance("web", 51, 100, "192.0.2.10/32")
		c.NoPreempt = nopreempt
		w.configure(nil, c)
		w.pass(4 * time.Second)
		w.take()
		stalled := w.now
		w.queue = append(w.queue, func(*engine) {
			now := w.now
			w.now = stalled.Add(4 * time.Second) // the arrival of what the sockets hold
			w.hear("192.0.2.0", 50, settings(&c))
			w.now = now
		})
		w.now = w.now.Add(6 * time.Second)
		w.e.tick(w.now)
		w.settle()
		if nopreempt {
			w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "web MASTER->BACKUP (replaced)")
		} else {
			w.want("advert 100 from 192.0.2.1", "announce 192.0.2.10/32")
		}
	}
}
