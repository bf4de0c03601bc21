package vrrpd

import (
	"testing"
	"time"

	"director/config"
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
		i.Terms[1].Note != "down, weight 10: interface eth2 does not exist" || i.Terms[2].Note != "down, must be down: interface eth3 does not exist" {
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
