package vrrpd

import (
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/watchdog"
)

// farm configures the instances outside and inside as one group.
func (w *world) farm(r *watchdog.Resume, scripts []config.Script, g config.SyncGroup, instances ...config.Instance) {
	w.t.Helper()
	g.Name, g.Members = "farm", []string{"outside", "inside"}
	if err := w.e.configure(w.now, &watchdog.Configure{Generation: w.e.generation + 1, Resume: r,
		Config: &config.Config{Scripts: scripts, Instances: instances, Groups: []config.SyncGroup{g}}}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func sides() (outside, inside config.Instance) {
	outside, inside = instance("outside", 51, 100, "192.0.2.10/32"), instance("inside", 52, 100, "10.0.0.1/32")
	inside.Interface = "eth1"
	return
}

func TestGroupMovesTogether(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "10.0.0.2/24")
	outside, inside := sides()
	w.farm(nil, nil, config.SyncGroup{Tracking: config.Tracking{TrackInterfaces: []config.TrackInterface{{Name: "eth2"}}}}, outside, inside)
	w.want("outside INIT->FAULT (interface_absent)", "inside INIT->FAULT (interface_absent)", "farm INIT->FAULT (interface_absent)")
	w.link("eth2", 4, true)
	w.want("interface eth2 down->up (interface)", "inside FAULT->BACKUP (recovered)", "outside FAULT->BACKUP (recovered)", "farm FAULT->BACKUP (recovered)")
	w.pass(4 * time.Second)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 10.0.0.2", "add 192.0.2.10/32", "announce 192.0.2.10/32",
		"add 10.0.0.1/32", "announce 10.0.0.1/32",
		"outside BACKUP->MASTER (master_down)", "inside BACKUP->MASTER (master_down)", "farm BACKUP->MASTER (master_down)")
	w.link("eth1", 3, false, "10.0.0.2/24")
	w.want("advert 0 from 10.0.0.2", "advert 0 from 192.0.2.1", "remove 10.0.0.1/32", "remove 192.0.2.10/32",
		"inside MASTER->FAULT (interface_down)", "outside MASTER->FAULT (sync_group)", "farm MASTER->FAULT (interface_down)")
	if g := w.e.snapshot().Groups; len(g) != 1 || g[0].State != "FAULT" || g[0].Reason != "inside: interface eth1 is down" {
		t.Errorf("status %+v", g)
	}
	w.link("eth1", 3, true, "10.0.0.2/24")
	w.pass(4 * time.Second)
	w.take()
	// A reload that changes nothing is not noticed; one without the group ends it alone.
	w.farm(nil, nil, config.SyncGroup{}, outside, inside)
	w.want()
	w.configure(nil, outside, inside)
	w.want("farm MASTER->STOP (removed)")
	w.farm(nil, nil, config.SyncGroup{}, outside, inside)
	w.want("farm INIT->MASTER (master_down)")
	w.e.stop(w.now)
	w.settle()
	if got := w.take(); !strings.HasSuffix(got, "farm MASTER->STOP (stopped)") || !w.gone() {
		t.Errorf("the end:\n%s", got)
	}
}

func TestGroupSharesWeights(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "10.0.0.2/24")
	outside, inside := sides()
	scripts, use := chk(-20)
	outside.TrackScripts = []config.Track{use}
	w.farm(nil, scripts, config.SyncGroup{}, outside, inside)
	for range 3 {
		w.pass(time.Second)
		w.answer(false)
	}
	for _, name := range []string{"outside", "inside"} {
		if i := w.router(name); i.Priority != 80 || len(i.Terms) != 1 || i.Group != "farm" {
			t.Errorf("%s has priority %d: %+v", name, i.Priority, i.Terms)
		}
	}
}

// The first verdict of a script without weight is waited for by all, and its
// failure is the fault of all, wherever it is tracked.
func TestGroupScript(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "10.0.0.2/24")
	outside, inside := sides()
	scripts, use := chk(0)
	inside.TrackScripts = []config.Track{use}
	w.farm(nil, scripts, config.SyncGroup{}, outside, inside)
	w.want()
	w.pass(time.Second)
	w.take()
	w.answer(true)
	w.want("chk unknown->up (script)", "outside INIT->BACKUP (started)", "inside INIT->BACKUP (started)", "farm INIT->BACKUP (started)")
	for range 2 {
		w.pass(time.Second)
		w.take()
		w.answer(false)
	}
	w.want("chk up->down (script)", "inside BACKUP->FAULT (script_failed)", "outside BACKUP->FAULT (sync_group)", "farm BACKUP->FAULT (script_failed)")
}

func TestGroupResumesTogether(t *testing.T) {
	outside, inside := sides()
	former := func() *world {
		w := newWorld(t)
		w.link("eth1", 3, true, "10.0.0.2/24")
		w.farm(nil, nil, config.SyncGroup{}, outside, inside)
		w.pass(4 * time.Second)
		return w
	}()
	next := func(change func(*watchdog.Resume)) *world {
		w := newWorld(t)
		w.kernel = map[string]bool{"eth0 192.0.2.10/32": true, "eth1 10.0.0.1/32": true}
		w.link("eth1", 3, true, "10.0.0.2/24")
		res := resumeOf(former.e.snapshot())
		change(res)
		w.farm(res, nil, config.SyncGroup{}, outside, inside)
		return w
	}
	w := next(func(*watchdog.Resume) {})
	if g := w.e.snapshot().Groups[0]; g.State != "MASTER" || g.Code != "resumed" {
		t.Errorf("group is %+v", g)
	}
	if got := w.take(); strings.Contains(got, "remove") {
		t.Error(got)
	}
	// One of them was no MASTER: none goes on.
	w = next(func(r *watchdog.Resume) { r.Snapshot.VRRP.Instances[1].State = "BACKUP" })
	if g := w.e.snapshot().Groups[0]; g.State != "BACKUP" || len(w.kernel) != 0 {
		t.Errorf("group is %+v, kernel has %v", g, w.kernel)
	}
}
