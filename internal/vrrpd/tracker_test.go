package vrrpd

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/internal/observe"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// A tracked interface with a weight moves the priority, and one without is a
// fault; each change of it is told.
func TestInterfaceWeight(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackInterfaces = []config.TrackInterface{{Name: "eth1", Weight: -30}, {Name: "eth2", Weight: 10}, {Name: "eth3", Reverse: true}}
	w.configure(nil, c)
	w.want("web INIT->BACKUP (started)")
	w.link("eth1", 3, false)
	w.want("interface eth1 up->down (interface)")
	i := w.router("web")
	if i.Priority != 70 || len(i.Terms) != 3 || i.Terms[0].Note != "down, weight -30: interface eth1 is down" ||
		i.Terms[1].Note != "down, weight 10: interface eth2 does not exist" || i.Terms[2].Note != "down, FAULT while up: interface eth3 does not exist" {
		t.Errorf("priority %d, terms %+v", i.Priority, i.Terms)
	}
	w.link("eth2", 4, true)
	w.want("interface eth2 down->up (interface)")
	if p := w.router("web").Priority; p != 80 {
		t.Errorf("priority %d", p)
	}
	w.link("eth3", 5, true)
	w.want("interface eth3 down->up (interface)", "web BACKUP->FAULT (tracker)")
	if i := w.router("web"); i.Reason != "interface eth3 is up, tracked in reverse" || !i.Terms[2].Fault {
		t.Errorf("reason %q, terms %+v", i.Reason, i.Terms)
	}
	w.configure(nil, c) // a reload that changes nothing is not noticed
	w.want()
	w.pass(time.Second)
	if n := len(w.e.snapshot().Trackers); n != 3 {
		t.Errorf("status shows %d trackers", n)
	}
}

func TestScriptInReverse(t *testing.T) {
	w := newWorld(t)
	scripts, use := chk(-20)
	use.Reverse = true
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use}
	w.configure(scripts, c)
	for range 2 {
		w.pass(time.Second)
		w.answer(false)
	}
	if p := w.router("web").Priority; p != 120 {
		t.Errorf("priority %d", p)
	}
}

// eyes is an observer that only writes down what it is asked.
type eyes struct {
	w     *world
	round uint64
	asked []answered
}

func (o *eyes) files(list []config.FileTracker, init bool) {
	for _, c := range list {
		o.w.log = append(o.w.log, fmt.Sprintf("watch %s init %v", c.File, init))
	}
}

func (o *eyes) processes(list []config.ProcessTracker) uint64 {
	o.round++
	for _, c := range list {
		o.w.log = append(o.w.log, "count "+c.Process)
	}
	return o.round
}

func (o *eyes) ask(id uint64, t config.TargetTracker) {
	o.w.log = append(o.w.log, "ask "+t.Name)
	o.asked = append(o.asked, answered{id: id, name: t.Name})
}

// answer answers the newest question to a target.
func (o *eyes) answer(ok bool) {
	a := o.asked[len(o.asked)-1]
	a.result = probe.Result{OK: ok, Detail: "reply in 1ms"}
	if !ok {
		a.result = probe.Result{Reason: probe.Timeout, Detail: "echo request: no answer after 1s"}
	}
	o.w.e.answered(o.w.now, a)
	o.w.settle()
}

// watching is a world with an observer and a configuration of trackers.
func watching(t *testing.T) (*world, *eyes) {
	w := newWorld(t)
	o := &eyes{w: w}
	w.e.observer = o
	return w, o
}

func (w *world) apply(res *watchdog.Resume, cfg config.Config) {
	w.t.Helper()
	if err := w.e.configure(w.now, &watchdog.Configure{Generation: w.e.generation + 1, Resume: res, Config: &cfg}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

func (w *world) holds(path string, r observe.Reading) {
	w.e.fileSeen(w.now, fileSeen{path, r})
	w.settle()
}

func (w *world) counts(o *eyes, counts ...int) {
	w.e.processesSeen(w.now, processesSeen{o.round, counts})
	w.settle()
}

// The states of an interface count when they have lasted, in either direction,
// for whoever needs it; one that is gone counts at once.
func TestInterfaceDelays(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.AdvertInterval = config.Duration(10 * time.Second) // it stays BACKUP for now
	c.TrackInterfaces = []config.TrackInterface{{Name: "eth1", Weight: -30}}
	delay := func(name string) config.InterfaceTracker {
		return config.InterfaceTracker{Name: name, DownDelay: config.Duration(time.Second), UpDelay: config.Duration(3 * time.Second)}
	}
	cfg := config.Config{Interfaces: []config.InterfaceTracker{delay("eth0"), delay("eth1")}, Instances: []config.Instance{c}}
	w.apply(nil, cfg)
	w.want("web INIT->BACKUP (started)")
	w.link("eth1", 3, false)
	w.pass(900 * time.Millisecond)
	w.link("eth1", 3, true) // a flap
	w.pass(2 * time.Second)
	w.want()
	w.link("eth1", 3, false)
	w.pass(999 * time.Millisecond)
	w.want()
	w.pass(time.Millisecond)
	w.want("interface eth1 up->down (interface)")
	w.link("eth1", 3, true)
	w.take()
	w.pass(2999 * time.Millisecond)
	if got := w.take(); strings.Contains(got, "interface eth1") {
		t.Errorf("too early:\n%s", got)
	}
	w.pass(time.Millisecond)
	if got := w.take(); !strings.Contains(got, "interface eth1 down->up (interface)") || w.router("web").Priority != 100 {
		t.Errorf("priority %d:\n%s", w.router("web").Priority, got)
	}
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth1", Index: 3}})
	w.settle()
	if got := w.take(); !strings.Contains(got, "interface eth1 up->down (interface)") {
		t.Errorf("gone:\n%s", got)
	}

	// The instance's own interface: FAULT after its delay, without a word of its own.
	w.pass(40 * time.Second)
	w.take()
	w.link("eth0", 2, false, "192.0.2.1/24")
	w.pass(500 * time.Millisecond)
	if s := w.router("web").State; s != "MASTER" {
		t.Errorf("it is %s", s)
	}
	w.pass(500 * time.Millisecond)
	if got := w.take(); !strings.HasSuffix(got, "web MASTER->FAULT (interface_down)") || strings.Contains(got, "interface eth0") {
		t.Errorf("down:\n%s", got)
	}
	w.link("eth0", 2, true, "192.0.2.1/24")
	w.pass(2999 * time.Millisecond)
	w.want()
	w.pass(time.Millisecond)
	w.want("web FAULT->BACKUP (recovered)")

	// A successor believes what its predecessor did, and counts anew.
	former := w.e.snapshot()
	w = newWorld(t)
	w.link("eth1", 3, true)
	w.apply(resumeOf(former), cfg)
	if p := w.router("web").Priority; p != 70 {
		t.Errorf("after a respawn the priority is %d", p)
	}
	w.pass(3 * time.Second)
	if p := w.router("web").Priority; p != 100 {
		t.Errorf("3 seconds later the priority is %d", p)
	}
}

// dont_track_primary: the instance goes on while its own interface is down, not
// when it does not exist.
func TestDontTrackPrimary(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.NoTrackPrimary = true
	w.configure(nil, c)
	w.want("web INIT->BACKUP (started)")
	w.link("eth0", 2, false, "192.0.2.1/24")
	w.want()
	// A MASTER says that it is there, and announces, when the carrier is back.
	w.link("eth0", 2, true, "192.0.2.1/24")
	w.pass(10 * time.Second)
	w.take()
	w.link("eth0", 2, false, "192.0.2.1/24")
	w.want()
	w.link("eth0", 2, true, "192.0.2.1/24")
	w.want("advert 100 from 192.0.2.1", "announce 192.0.2.10/32")
	w.link("eth0", 2, true, "192.0.2.1/24", "192.0.2.7/24")
	w.want()
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth0", Index: 2}})
	w.settle()
	w.want("remove 192.0.2.10/32", "web MASTER->FAULT (interface_absent)")
}

func TestTrackFile(t *testing.T) {
	w, _ := watching(t)
	const path = "/run/maintenance"
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackFiles = []config.TrackFile{{Name: "maintenance", Weight: 2}}
	cfg := config.Config{Files: []config.FileTracker{{Name: "maintenance", File: path}, {Name: "unused", File: "/unused"}}, Instances: []config.Instance{c}}
	w.apply(nil, cfg)
	w.want("watch /run/maintenance init true")
	if i := w.router("web"); i.State != "INIT" || i.Reason != "waiting for the first verdict of file maintenance" {
		t.Errorf("it is %s: %s", i.State, i.Reason)
	}
	w.holds(path, observe.Reading{Missing: true})
	w.want("file maintenance unknown->0 (file)", "web INIT->BACKUP (started)")
	w.holds(path, observe.Reading{Number: -20})
	w.holds(path, observe.Reading{Number: -30})
	w.want("file maintenance 0->-20 (file)", "file maintenance -20->-30 (file)")
	i := w.router("web")
	if i.Priority != 40 || i.Terms[0].Value != -60 || i.Terms[0].Note != "-30, weight 2: /run/maintenance holds -30" {
		t.Errorf("priority %d, terms %+v", i.Priority, i.Terms)
	}
	w.holds(path, observe.Reading{Err: errors.New(`"x" is no whole number`)})
	w.want()
	if i := w.router("web"); i.Priority != 40 || i.Terms[0].Detail != `"x" is no whole number, so -30 still holds` {
		t.Errorf("priority %d, terms %+v", i.Priority, i.Terms)
	}
	w.holds(path, observe.Reading{Number: -127})
	w.want("file maintenance -30->-127 (file)", "web BACKUP->FAULT (tracker)")
	if i := w.router("web"); i.Reason != "file maintenance: /run/maintenance holds -127" {
		t.Errorf("reason %s", i.Reason)
	}
	former := w.e.snapshot()
	w.holds(path, observe.Reading{Number: 0})
	w.want("file maintenance -127->0 (file)", "web FAULT->BACKUP (recovered)")

	w, _ = watching(t)
	w.apply(resumeOf(former), cfg)
	w.want("watch /run/maintenance init false", "web INIT->FAULT (tracker)")
	w.apply(nil, cfg)
	w.want("watch /run/maintenance init true")
	if i := w.router("web"); i.State != "FAULT" {
		t.Errorf("a reload makes it %s", i.State)
	}
}

func TestTrackProcess(t *testing.T) {
	w, o := watching(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackProcesses = []config.TrackProcess{{Name: "nginx"}}
	cfg := config.Config{Processes: []config.ProcessTracker{{Name: "nginx", Process: "nginx", Quorum: 2, QuorumMax: 4,
		ForkDelay: config.Duration(time.Second), TerminateDelay: config.Duration(2 * time.Second)}}, Instances: []config.Instance{c}}
	w.apply(nil, cfg)
	w.want("count nginx")
	w.counts(o, 1)
	w.want("process nginx unknown->down (process)", "web INIT->FAULT (tracker)")
	if i := w.router("web"); i.Reason != "process nginx: one runs, wanted are 2 to 4" {
		t.Errorf("reason %q", i.Reason)
	}
	w.counts(o, 3)
	w.pass(999 * time.Millisecond)
	w.want()
	w.pass(time.Millisecond)
	w.want("process nginx down->up (process)", "web FAULT->BACKUP (recovered)")
	w.counts(o, 0) // it is restarted
	w.pass(1500 * time.Millisecond)
	w.counts(o, 2)
	w.pass(time.Second)
	w.want()
	w.counts(o, 5)
	w.pass(1999 * time.Millisecond)
	w.take()
	former := w.e.snapshot()
	w.pass(time.Millisecond)
	if got := w.take(); !strings.Contains(got, "process nginx up->down (process)") {
		t.Errorf("too many:\n%s", got)
	}
	// The counts of a list before a reload are not those of this one.
	w.apply(nil, cfg)
	w.e.processesSeen(w.now, processesSeen{o.round - 1, []int{3}})
	w.pass(5 * time.Second)
	w.want("count nginx")

	w, o = watching(t)
	w.apply(resumeOf(former), cfg)
	w.pass(0)
	w.counts(o, 0)
	w.pass(1999 * time.Millisecond)
	if s := w.router("web").State; s != "MASTER" {
		t.Errorf("the successor is %s", s)
	}
	w.pass(time.Millisecond)
	if got := w.take(); !strings.HasSuffix(got, "process nginx up->down (process)\nweb MASTER->FAULT (tracker)") {
		t.Errorf("got:\n%s", got)
	}
}

func TestTrackTarget(t *testing.T) {
	w, o := watching(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackTargets = []config.Track{{Name: "gateway"}}
	cfg := config.Config{Targets: []config.TargetTracker{{Name: "gateway", Kind: config.CheckPing, Gateway: "ipv4",
		Interval: config.Duration(time.Second), Rise: 1, Fall: 2}}, Instances: []config.Instance{c}}
	w.apply(nil, cfg)
	w.pass(2500 * time.Millisecond)
	w.want("ask gateway") // never twice at a time
	o.answer(true)
	w.want("target gateway unknown->up (target)", "web INIT->BACKUP (started)")
	w.pass(time.Second)
	o.answer(false)
	w.want("ask gateway")
	w.pass(time.Second)
	o.answer(false)
	w.want("ask gateway", "target gateway up->down (target)", "web BACKUP->FAULT (tracker)")
	if i := w.router("web"); i.Reason != "target gateway: timeout: echo request: no answer after 1s" {
		t.Errorf("reason %q", i.Reason)
	}
	former := w.e.snapshot()
	// What this host could not ask says nothing; a reload asks on at the same pace.
	w.pass(time.Second)
	o.answer(true)
	w.apply(nil, cfg)
	w.want("ask gateway", "target gateway down->up (target)", "web FAULT->BACKUP (recovered)")
	for range 2 {
		w.pass(time.Second)
		a := o.asked[len(o.asked)-1]
		a.result = probe.Result{Reason: probe.Local, Detail: "too many open files"}
		w.e.answered(w.now, a)
		w.settle()
		w.want("ask gateway")
	}
	// Another question leaves the verdict until it is answered, an old answer is nothing.
	w.pass(time.Second)
	w.take()
	cfg.Targets = []config.TargetTracker{cfg.Targets[0]}
	cfg.Targets[0].Gateway = "ipv6"
	w.apply(nil, cfg)
	o.answer(false)
	o.answer(false)
	w.pass(0)
	w.want("ask gateway")
	if s := w.router("web").State; s != "BACKUP" {
		t.Errorf("it is %s", s)
	}

	w, o = watching(t)
	w.apply(resumeOf(former), cfg)
	w.want("web INIT->FAULT (tracker)")
	w.pass(0)
	o.answer(true)
	w.want("ask gateway", "target gateway down->up (target)", "web FAULT->BACKUP (recovered)")
}

// init_fail: the script has failed until it has succeeded.
func TestInitFail(t *testing.T) {
	w := newWorld(t)
	scripts, use := chk(0)
	scripts[0].InitFail = true
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use}
	w.configure(scripts, c)
	w.want("web INIT->FAULT (script_failed)")
	w.pass(0)
	w.answer(true)
	w.want("run chk", "chk down->up (script)", "web FAULT->BACKUP (recovered)")
}

// The weight of whatever one member tracks moves all members of a group.
func TestGroupSharesTrackers(t *testing.T) {
	w, o := watching(t)
	w.link("eth1", 3, true, "10.0.0.2/24")
	outside, inside := sides()
	outside.TrackProcesses = []config.TrackProcess{{Name: "nginx", Weight: -20}}
	g := config.SyncGroup{Name: "farm", Members: []string{"outside", "inside"},
		Tracking: config.Tracking{TrackFiles: []config.TrackFile{{Name: "maintenance", Weight: 1}}}}
	w.apply(nil, config.Config{
		Files:     []config.FileTracker{{Name: "maintenance", File: "/m"}},
		Processes: []config.ProcessTracker{{Name: "nginx", Process: "nginx", Quorum: 1, QuorumMax: -1}},
		Instances: []config.Instance{outside, inside}, Groups: []config.SyncGroup{g},
	})
	w.counts(o, 0)
	w.holds("/m", observe.Reading{Number: -5})
	for _, name := range []string{"outside", "inside"} {
		if i := w.router(name); i.Priority != 75 || len(i.Terms) != 2 {
			t.Errorf("%s has priority %d: %+v", name, i.Priority, i.Terms)
		}
	}
	w.holds("/m", observe.Reading{Number: -254})
	if s := w.e.snapshot().Groups[0]; s.State != "FAULT" {
		t.Errorf("the group is %s", s.State)
	}
}
