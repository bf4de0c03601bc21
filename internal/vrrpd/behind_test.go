package vrrpd

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// served configures instances, the first of which has a virtual server with active_with.
func (w *world) served(r *watchdog.Resume, groups []config.SyncGroup, instances ...config.Instance) {
	w.t.Helper()
	c := &config.Config{Instances: instances, Groups: groups, VirtualServers: []config.VirtualServer{
		{Name: "web", Pooling: config.Pooling{ActiveWith: instances[0].Name}}, {Name: "other"},
	}}
	if err := w.e.configure(w.now, &watchdog.Configure{Generation: w.e.generation + 1, Resume: r, Config: c}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// roles returns what the parent was told of roles since the last time, "?" where an answer is
// waited for, and the number of the newest question.
func (w *world) roles() (text string, seq uint64) {
	var words []string
	for i, m := range w.sent {
		if m.Roles == nil {
			continue
		}
		word := strings.TrimPrefix(fmt.Sprint(m.Roles.States), "map")
		if m.Roles.Seq != 0 {
			word, seq = word+"?", m.Roles.Seq
		}
		words = append(words, word)
		w.sent[i].Roles = nil
	}
	return strings.Join(words, " "), seq
}

func (w *world) wantRoles(want string) (seq uint64) {
	w.t.Helper()
	got, seq := w.roles()
	if got != want {
		w.t.Errorf("told the roles %q, want %q", got, want)
	}
	return seq
}

func (w *world) follow(seq uint64, problem string) {
	w.e.followed(w.now, &watchdog.Followed{Seq: seq, Problem: problem})
	w.settle()
}

func TestAddressesWaitForVirtualServers(t *testing.T) {
	w := newWorld(t)
	c := instance("lan", 51, 100, "192.0.2.10/32")
	w.served(nil, nil, c)
	w.wantRoles("[lan:BACKUP]")
	w.take()
	w.pass(downAfter)
	w.want("advert 100 from 192.0.2.1", "lan BACKUP->MASTER (master_down)")
	seq := w.wantRoles("[lan:MASTER]?")
	if i := w.router("lan"); !i.Preparing || i.Addresses[0].Installed {
		t.Errorf("status %+v", i)
	}
	// A reload meanwhile that adds an address adds it with the other.
	c.Addresses = append(c.Addresses, instance("", 0, 0, "192.0.2.11/32").Addresses...)
	w.served(nil, nil, c)
	w.follow(seq-1, "")
	w.want()
	w.follow(seq, "")
	w.want("add 192.0.2.10/32", "add 192.0.2.11/32", "announce 192.0.2.10/32", "announce 192.0.2.11/32")
	if i := w.router("lan"); i.Preparing || !i.Addresses[0].Installed {
		t.Errorf("status %+v", i)
	}

	// The way back: the table goes when the addresses are off.
	w.hold = true
	w.hear("192.0.2.2", 200, settings(&c))
	w.settle()
	w.want("advert 100 from 192.0.2.1", "remove 192.0.2.10/32", "remove 192.0.2.11/32", "lan MASTER->BACKUP (higher_priority)")
	w.wantRoles("")
	w.deliver(1)
	w.wantRoles("")
	w.hold = false
	w.deliver(1)
	w.wantRoles("[lan:BACKUP]")

	// Of a takeover that did not last, the answer comes too late for the next one.
	w.pass(downAfter)
	first := w.wantRoles("[lan:MASTER]?")
	w.hear("192.0.2.2", 200, settings(&c))
	w.settle()
	w.wantRoles("[lan:BACKUP]")
	w.pass(downAfter)
	second := w.wantRoles("[lan:MASTER]?")
	w.take()
	w.follow(first, "")
	w.want()
	w.follow(second, "")
	w.want("add 192.0.2.10/32", "add 192.0.2.11/32", "announce 192.0.2.10/32", "announce 192.0.2.11/32")

	// The end of the daemon is no role: the parent sees to the table then.
	w.e.stop(w.now)
	w.settle()
	w.wantRoles("")
}

func TestAddressesWaitNoLonger(t *testing.T) {
	for problem, want := range map[string]string{
		"":         "no word of it within 1s",
		"no table": "no table",
	} {
		w := newWorld(t)
		c := instance("lan", 51, 100, "192.0.2.10/32")
		c.AdvertInterval = config.Duration(300 * time.Millisecond)
		w.served(nil, nil, c)
		w.pass(1100 * time.Millisecond)
		seq := w.wantRoles("[lan:BACKUP] [lan:MASTER]?")
		w.take()
		if problem != "" {
			w.follow(seq, problem)
		} else {
			w.pass(time.Second)
			advert := "advert 100 from 192.0.2.1"
			if got := w.take(); got != strings.Join([]string{advert, advert, advert, "lan preparing->unready (master_down)", "add 192.0.2.10/32", "announce 192.0.2.10/32"}, "\n") &&
				got != strings.Join([]string{advert, advert, advert, "add 192.0.2.10/32", "announce 192.0.2.10/32", "lan preparing->unready (master_down)"}, "\n") {
				t.Errorf("got\n%s", got)
			}
		}
		i := w.router("lan")
		if !strings.HasSuffix(i.Reason, "the addresses went up before what is behind them was ready: "+want) || !i.Addresses[0].Installed {
			t.Errorf("%s: %+v", i.Reason, i.Addresses)
		}
		var told *control.Event
		for _, m := range w.sent {
			if m.Event != nil && m.Event.To == "unready" {
				told = m.Event
			}
		}
		if told == nil || told.Kind != "gate" || told.Subject != "lan" || told.Reason != i.Reason {
			t.Errorf("event %+v", told)
		}
	}
}

// The other members of a sync group wait as well, and the table stays until the addresses
// of all are off.
func TestGroupWaitsForVirtualServers(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "10.0.0.2/24")
	outside, inside := sides()
	alone := instance("alone", 53, 100, "192.0.2.20/32")
	w.served(nil, []config.SyncGroup{{Name: "farm", Members: []string{"inside", "outside"}}}, outside, inside, alone)
	w.wantRoles("[alone:BACKUP inside:BACKUP outside:BACKUP]")
	w.take()
	w.pass(4 * time.Second)
	seq := w.wantRoles("[alone:MASTER inside:MASTER outside:MASTER]?")
	if got := w.take(); strings.Contains(got, "192.0.2.10") || strings.Contains(got, "10.0.0.1/32") || !strings.Contains(got, "add 192.0.2.20/32") {
		t.Errorf("got\n%s", got)
	}
	w.follow(seq, "")
	if got := w.take(); !strings.Contains(got, "add 192.0.2.10") || !strings.Contains(got, "add 10.0.0.1/32") {
		t.Errorf("got\n%s", got)
	}
	w.hold = true
	w.link("eth1", 3, false, "10.0.0.2/24")
	w.e.flush(w.now)
	w.wantRoles("")
	w.deliver(1)
	w.wantRoles("")
	w.hold = false
	w.settle()
	w.wantRoles("[inside:FAULT outside:FAULT]")
}

// Both families of an instance are behind one name.
func TestBothFamiliesWaitForVirtualServers(t *testing.T) {
	w := newWorld(t)
	w.link("eth0", 2, true, "192.0.2.1/24", "fe80::1/64")
	c := instance("lan", 51, 100, "192.0.2.10/32", "fe80::10/64", "2001:db8::10/64")
	w.served(nil, nil, c)
	w.pass(4 * time.Second)
	seq := w.wantRoles("[lan:BACKUP] [lan:MASTER]?")
	w.take()
	w.follow(seq, "")
	got := w.take()
	for _, a := range []string{"192.0.2.10/32", "fe80::10/64", "2001:db8::10/64"} {
		if !strings.Contains(got, "add "+a) {
			t.Errorf("got\n%s", got)
		}
	}
}

// Who goes on has its addresses: it does not wait, and neither does who has no virtual
// server behind it.
func TestWhoDoesNotWait(t *testing.T) {
	w := newWorld(t)
	c, other := instance("lan", 51, 100, "192.0.2.10/32"), instance("other", 52, 100, "192.0.2.11/32")
	w.served(nil, nil, c, other)
	w.take()
	w.pass(downAfter)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 192.0.2.1", "add 192.0.2.11/32", "announce 192.0.2.11/32",
		"lan BACKUP->MASTER (master_down)", "other BACKUP->MASTER (master_down)")
	w.follow(1, "")
	former := w.e.snapshot()

	next := newWorld(t)
	next.kernel = w.kernel
	next.served(resumeOf(former), nil, c, other)
	if i := next.router("lan"); i.State != "MASTER" || i.Preparing || i.Code != vrrp.ReasonResumed.String() {
		t.Errorf("%+v", i)
	}
	next.wantRoles("[lan:MASTER other:MASTER]")

	// Too late for that: what is still to come off is behind no other role yet.
	late := newWorld(t)
	late.kernel = w.kernel
	late.hold = true
	res := resumeOf(former)
	res.AliveMono -= int64(time.Minute)
	late.served(res, nil, c, other)
	late.wantRoles("")
	late.hold = false
	late.settle()
	late.wantRoles("[lan:BACKUP other:BACKUP]")
}
