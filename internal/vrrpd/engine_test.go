package vrrpd

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

func TestLifeOfARouter(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32", "192.0.2.11/32")
	if err := w.configure(nil, c); err != nil {
		t.Fatal(err)
	}
	w.want("web INIT->BACKUP (started)")
	w.pass(3610 * time.Millisecond)
	w.want("advert 100 from 192.0.2.1", "add 192.0.2.10/32", "add 192.0.2.11/32",
		"announce 192.0.2.10/32", "announce 192.0.2.11/32", "web BACKUP->MASTER (master_down)")
	w.pass(2 * time.Second)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 192.0.2.1")
	if i := w.router("web"); !i.Addresses[0].Installed || i.AdvertsSent != 3 || i.Transitions != 2 {
		t.Errorf("status is %+v", i)
	}
	w.hear("192.0.2.2", 200, settings(&c))
	w.settle()
	w.want("advert 100 from 192.0.2.1", "remove 192.0.2.10/32", "remove 192.0.2.11/32", "web MASTER->BACKUP (higher_priority)")
	w.hear("192.0.2.2", 0, settings(&c))
	w.pass(610 * time.Millisecond)
	w.take()
	w.e.stop(w.now)
	w.settle()
	// The end is told when the addresses are off, not before.
	w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "remove 192.0.2.11/32", "web MASTER->STOP (stopped)")
	if !w.gone() || len(w.kernel) != 0 {
		t.Errorf("stopped=%v, kernel holds %v", w.gone(), w.kernel)
	}
}

func TestInterfaceDownAndBack(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.pass(4 * time.Second)
	w.take()
	w.link("eth0", 2, false, "192.0.2.1/24", "192.0.2.10/32")
	w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "web MASTER->FAULT (interface_down)")
	w.pass(time.Minute)
	w.want()
	w.link("eth0", 2, true, "192.0.2.1/24")
	w.want("web FAULT->BACKUP (recovered)")
	if got := w.router("web").Reason; got != "recovered from: interface eth0 is down" {
		t.Errorf("reason %q", got)
	}
	// The interface is deleted and made anew: its socket is another one.
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth0", Index: 2}})
	w.settle()
	w.want("web BACKUP->FAULT (interface_absent)")
	if len(w.socks) != 0 {
		t.Error("the socket of a vanished interface is still open")
	}
	w.link("eth0", 7, true, "192.0.2.1/24")
	w.want("web FAULT->BACKUP (recovered)")
	if !slices.Equal(w.socks["eth0"], []uint8{51}) {
		t.Errorf("filter %v", w.socks)
	}
}

func TestSourceIsNeverAVirtualAddress(t *testing.T) {
	w := newWorld(t)
	w.link("eth0", 2, true, "192.0.2.10/32")
	w.configure(nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.want("web INIT->FAULT (no_source_address)")
	w.link("eth0", 2, true, "192.0.2.10/32", "192.0.2.1/24")
	w.want("web FAULT->BACKUP (recovered)")
	if got := w.router("web").Source; got != "192.0.2.1" {
		t.Errorf("source %q", got)
	}
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.Source = config.PerFamily{IPv4: netip.MustParseAddr("192.0.2.7")}
	w.configure(nil, c)
	w.want("web BACKUP->FAULT (no_source_address)")
	if got := w.router("web").Reason; !strings.Contains(got, "192.0.2.7 is on no interface") {
		t.Errorf("reason %q", got)
	}
}

func TestScriptLowersPriority(t *testing.T) {
	w := newWorld(t)
	scripts, use := chk(-20)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use}
	w.configure(scripts, c)
	w.pass(0)
	w.want("web INIT->BACKUP (started)", "run chk")
	w.answer(false)
	if p := w.router("web").Priority; p != 100 {
		t.Errorf("one failure of two lowers the priority to %d", p)
	}
	w.pass(time.Second)
	w.answer(false)
	i := w.router("web")
	if i.Priority != 80 || len(i.Terms) != 1 || i.Terms[0].Value != -20 || i.Terms[0].Source != "script chk" {
		t.Errorf("priority %d, terms %+v", i.Priority, i.Terms)
	}
	w.want("run chk", "chk unknown->down (script)")
	w.pass(time.Second)
	w.answer(true)
	if p := w.router("web").Priority; p != 100 {
		t.Errorf("after recovery the priority is %d", p)
	}
	// A reload that leaves the script alone keeps its verdict and schedule.
	w.take()
	w.configure(scripts, c)
	w.pass(0)
	w.want()
}

func TestScriptsDoNotOverlap(t *testing.T) {
	w := newWorld(t)
	scripts, use := chk(-20)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use}
	w.configure(scripts, c)
	w.take()
	w.pass(2500 * time.Millisecond)
	w.want("run chk")
	w.answer(true)
	w.pass(time.Second)
	w.want("chk unknown->up (script)", "run chk")
}

func TestScriptWithoutWeightHoldsBackAndFaults(t *testing.T) {
	w := newWorld(t)
	scripts, use := chk(0)
	c := instance("web", 51, 255, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use}
	w.configure(scripts, c)
	w.pass(0)
	w.want("run chk")
	if i := w.router("web"); i.State != "INIT" || !strings.Contains(i.Reason, "script chk") {
		t.Errorf("state %s, reason %q", i.State, i.Reason)
	}
	w.answer(true)
	w.want("advert 255 from 192.0.2.1", "add 192.0.2.10/32", "announce 192.0.2.10/32", "chk unknown->up (script)", "web INIT->MASTER (owner)")
	w.pass(time.Second)
	w.answer(false)
	w.pass(time.Second)
	w.answer(false)
	if i := w.router("web"); i.State != "FAULT" || i.Reason != "script chk failed: exit status 1" {
		t.Errorf("state %s, reason %q", i.State, i.Reason)
	}
}

func TestResume(t *testing.T) {
	former := watchdog.Snapshot{VRRP: &control.VRRP{
		Instances: []control.Instance{{Name: "web", Interface: "eth0", VRID: 51, State: "MASTER"}},
		Scripts:   []control.Script{{Name: "chk", State: "down"}},
	}}
	scripts, use := chk(-20)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.Track{use}

	t.Run("in time", func(t *testing.T) {
		w := newWorld(t)
		w.kernel["eth0 192.0.2.10/32"] = true
		w.resume(&watchdog.Resume{AliveMono: link.Monotonic() - int64(time.Second), Snapshot: former}, scripts, c)
		// The address is adopted, and what the script last said still holds.
		w.want("advert 80 from 192.0.2.1", "announce 192.0.2.10/32", "web INIT->MASTER (resumed)")
	})
	t.Run("too late", func(t *testing.T) {
		w := newWorld(t)
		w.kernel["eth0 192.0.2.10/32"] = true
		w.resume(&watchdog.Resume{AliveMono: link.Monotonic() - int64(2100*time.Millisecond), Snapshot: former}, scripts, c)
		w.want("remove 192.0.2.10/32", "web INIT->BACKUP (started)")
	})
	t.Run("the interface is down", func(t *testing.T) {
		w := newWorld(t)
		w.link("eth0", 2, false, "192.0.2.1/24")
		w.kernel["eth0 192.0.2.10/32"] = true
		w.resume(&watchdog.Resume{AliveMono: link.Monotonic(), Snapshot: former}, scripts, c)
		w.want("remove 192.0.2.10/32", "web INIT->FAULT (interface_down)")
	})
	t.Run("was not master", func(t *testing.T) {
		w := newWorld(t)
		w.kernel["eth0 192.0.2.10/32"] = true
		w.configure(scripts, c)
		w.want("remove 192.0.2.10/32", "web INIT->BACKUP (started)")
	})
}

func TestReload(t *testing.T) {
	w := newWorld(t)
	web := instance("web", 51, 255, "192.0.2.10/32", "192.0.2.11/32")
	db := instance("db", 52, 255, "192.0.2.20/32")
	w.configure(nil, web, db)
	w.take()
	sent := w.router("web").AdvertsSent

	t.Run("nothing changed", func(t *testing.T) {
		w.t = t
		w.configure(nil, web, db)
		w.want()
	})
	t.Run("an address comes, one goes", func(t *testing.T) {
		w.t = t
		web2 := instance("web", 51, 255, "192.0.2.10/32", "192.0.2.12/32")
		w.configure(nil, web2, db)
		w.want("remove 192.0.2.11/32", "add 192.0.2.12/32", "announce 192.0.2.10/32", "announce 192.0.2.12/32")
		if got := w.router("web").AdvertsSent; got != sent {
			t.Errorf("counters were lost: %d", got)
		}
	})
	t.Run("priority", func(t *testing.T) {
		w.t = t
		db2 := instance("db", 52, 120, "192.0.2.20/32")
		w.configure(nil, web, db2)
		w.take()
		if i := w.router("db"); i.State != "MASTER" || i.Priority != 120 {
			t.Errorf("db is %s with %d", i.State, i.Priority)
		}
	})
	t.Run("renamed", func(t *testing.T) {
		w.t = t
		w.configure(nil, instance("site", 51, 255, "192.0.2.10/32", "192.0.2.11/32"), db)
		w.take()
		if i := w.router("site"); i.State != "MASTER" {
			t.Errorf("a new name made it %s", i.State)
		}
	})
	t.Run("removed", func(t *testing.T) {
		w.t = t
		w.configure(nil, db)
		w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "remove 192.0.2.11/32", "site MASTER->STOP (removed)")
		if len(w.e.holdings) != 2 || len(w.e.timers) != 4 || /* the others are the port's, the host's and the lookout's */ !slices.Equal(w.socks["eth0"], []uint8{52}) {
			t.Errorf("left over: %d routers, %d timers, filter %v", len(w.e.holdings), len(w.e.timers), w.socks)
		}
	})
}

func TestAddressPutBackAndCounted(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	w.take()
	remove := func() {
		delete(w.kernel, "eth0 192.0.2.10/32")
		w.e.linkEvent(w.now, link.Event{
			Kind: link.AddrRemoved, Prefix: netip.MustParsePrefix("192.0.2.10/32"),
			Interface: link.Interface{Name: "eth0", Index: 2, Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
		})
		w.settle()
	}
	remove()
	w.want("add 192.0.2.10/32", "announce 192.0.2.10/32", "web/192.0.2.10/32 absent->present (repaired)")
	if got := w.e.snapshot().Repairs; got != 1 {
		t.Errorf("%d repairs counted, want 1", got)
	}
	// What the router itself removed is nobody's fault.
	w.e.stop(w.now)
	w.settle()
	w.take()
	remove()
	w.want()
}

func TestFailedAddressIsRetried(t *testing.T) {
	w := newWorld(t)
	w.fail["eth0 192.0.2.10/32"] = errors.New("no buffer space available")
	w.configure(nil, instance("web", 51, 255, "192.0.2.10/32"))
	s := w.e.snapshot()
	if len(s.Failures) != 1 || s.Failures[0].Error != "no buffer space available" || s.Instances[0].Addresses[0].Installed {
		t.Errorf("failures %+v", s.Failures)
	}
	w.pass(1500 * time.Millisecond)
	if s := w.e.snapshot(); s.Failures[0].Count != 2 {
		t.Errorf("after 1.5 s it was tried %d times, want 2", s.Failures[0].Count)
	}
	delete(w.fail, "eth0 192.0.2.10/32")
	w.pass(2 * time.Second)
	if s := w.e.snapshot(); len(s.Failures) != 0 || !s.Instances[0].Addresses[0].Installed {
		t.Errorf("not healed: %+v", s)
	}
}

func TestBackoff(t *testing.T) {
	var got []time.Duration
	for n := 1; n <= 9; n++ {
		got = append(got, backoff(n)/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// An advert that waits in the socket while the process sleeps past its
// master-down time must be read before the master is declared dead.
func TestStalledBackupReadsBeforeItTakesOver(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	w.configure(nil, c)
	w.take()
	w.now = w.now.Add(10 * time.Second)
	w.queue = append(w.queue, func(*engine) { w.hear("192.0.2.2", 200, settings(&c)) })
	w.e.tick(w.now)
	w.settle()
	w.want()
	if i := w.router("web"); i.State != "BACKUP" || i.Master != "192.0.2.2" {
		t.Errorf("it is %s, master %q", i.State, i.Master)
	}
	// Without one it does take over, and says how late it was.
	w.now = w.now.Add(10 * time.Second)
	w.e.tick(w.now)
	w.settle()
	if i := w.router("web"); i.State != "MASTER" {
		t.Errorf("it is %s", i.State)
	}
	if l := w.e.snapshot().Lateness; l.Max < 6*time.Second {
		t.Errorf("lateness %v", l.Max)
	}
}

func TestDiscardsAreCountedByReason(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100, "192.0.2.10/32")
	w.configure(nil, c)
	src := netip.MustParseAddr("192.0.2.2")
	send := func(change func(*link.Datagram)) {
		s := settings(&c)
		pdu, err := vrrp.AppendAdvert(nil, &s, 200, src, vrrp.Group4())
		if err != nil {
			t.Fatal(err)
		}
		d := link.Datagram{Src: src, Dst: vrrp.Group4(), TTL: 255, Payload: pdu, Arrival: w.now}
		change(&d)
		w.e.receive("eth0", d)
	}
	send(func(d *link.Datagram) { d.TTL = 64 })
	send(func(d *link.Datagram) { d.Payload[2]++ })
	send(func(d *link.Datagram) { d.Payload = d.Payload[:6] })
	send(func(d *link.Datagram) {
		d.Src = netip.MustParseAddr("192.0.2.1")
		s := settings(&c)
		d.Payload, _ = vrrp.AppendAdvert(nil, &s, 200, d.Src, vrrp.Group4())
	})
	send(func(d *link.Datagram) { d.Payload[1] = 99 }) // a stranger's VRID is nobody's discard
	send(func(*link.Datagram) {})
	i := w.router("web")
	want := map[string]uint64{"wrong_ttl": 1, "bad_checksum": 1, "truncated": 1, "own_packet": 1}
	if fmt.Sprint(i.Discards) != fmt.Sprint(want) || i.AdvertsHeard != 1 {
		t.Errorf("discards %v, heard %d", i.Discards, i.AdvertsHeard)
	}
}

func TestOpenIsRetriedAndPermissionIsFinal(t *testing.T) {
	w := newWorld(t)
	w.open["eth0"] = errors.New("no buffer space available")
	if err := w.configure(nil, instance("web", 51, 255, "192.0.2.10/32")); err != nil {
		t.Fatal(err)
	}
	w.want("web INIT->FAULT (socket)")
	delete(w.open, "eth0")
	w.pass(time.Second)
	if i := w.router("web"); i.State != "MASTER" {
		t.Errorf("after the socket opened it is %s: %s", i.State, i.Reason)
	}
	w = newWorld(t)
	w.open["eth0"] = fmt.Errorf("socket: %w", fs.ErrPermission)
	if err := w.configure(nil, instance("web", 51, 255, "192.0.2.10/32")); err == nil {
		t.Error("a missing permission is not reported as final")
	}
}

// A burst of changes is told as one snapshot, and the last one is not lost.
func TestSnapshotsAreNotPushedForEveryChange(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 255, "192.0.2.10/32")
	for range 10 {
		w.configure(nil, c)
	}
	pushed := func() (n int) {
		for _, m := range w.sent {
			if m.Snapshot != nil {
				n++
			}
		}
		return n
	}
	if n := pushed(); n != 1 {
		t.Errorf("%d snapshots at once, want 1", n)
	}
	w.pass(time.Second)
	if n := pushed(); n != 2 {
		t.Errorf("%d snapshots in all, want 2", n)
	}
}
