package vrrpd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
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

// world is everything around an engine: a clock that only the test moves, a
// network that writes adverts down, and a kernel that holds addresses.
type world struct {
	t      *testing.T
	now    time.Time
	e      *engine
	log    []string           // adverts, address work and events, in order
	kernel map[string]bool    // "device prefix" of what is installed
	fail   map[string]error   // errors of Add by "device prefix"
	hold   bool               // results are kept back
	held   []link.Result      //
	sent   []watchdog.Message // everything told to the parent
	open   map[string]error   // errors of Open by interface name
	queue  []func(*engine)    // what the drain hook finds in the sockets
	socks  map[string][]uint8 // VRIDs by interface
}

type fakeSocket struct {
	w    *world
	name string
	q    []string
}

func (w *world) Open(ifi link.Interface) (socket, error) {
	if err := w.open[ifi.Name]; err != nil {
		return nil, err
	}
	return &fakeSocket{w: w, name: ifi.Name}, nil
}

func (s *fakeSocket) SetVRIDs(v []uint8) error { s.w.socks[s.name] = slices.Clone(v); return nil }
func (s *fakeSocket) Close() error             { delete(s.w.socks, s.name); return nil }
func (s *fakeSocket) Queue(src, dst netip.Addr, pdu []byte) {
	s.q = append(s.q, fmt.Sprintf("advert %d from %s", pdu[2], src))
}
func (s *fakeSocket) Flush() error {
	s.w.log = append(s.w.log, s.q...)
	s.q = nil
	return nil
}

func (w *world) Submit(j link.Job) {
	for i, a := range j.Addresses {
		id := a.Device + " " + a.Prefix.String()
		res := link.Result{Instance: j.Instance, Op: j.Op, Address: a, Last: i == len(j.Addresses)-1}
		switch j.Op {
		case link.Add:
			res.Already = w.kernel[id]
			if res.Err = w.fail[id]; res.Err == nil {
				w.kernel[id] = true
			}
		case link.Remove:
			res.Already = !w.kernel[id]
			delete(w.kernel, id)
		}
		if !res.Already || j.Op == link.Announce {
			w.log = append(w.log, fmt.Sprintf("%v %s", j.Op, a.Prefix))
		}
		w.held = append(w.held, res)
	}
}

func (w *world) tell(m watchdog.Message) {
	w.sent = append(w.sent, m)
	switch {
	case m.Event != nil:
		w.log = append(w.log, fmt.Sprintf("%s %s->%s (%s)", m.Event.Subject, m.Event.From, m.Event.To, m.Event.Code))
	case m.RunScript != nil:
		w.log = append(w.log, "run "+m.RunScript.Name)
	}
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, now: time.Now(), kernel: make(map[string]bool), fail: make(map[string]error),
		open: make(map[string]error), socks: make(map[string][]uint8),
	}
	w.e = newEngine(slog.New(slog.DiscardHandler), w, w, w.tell)
	w.e.drain = func() {
		for _, f := range w.queue {
			f(w.e)
		}
		w.queue = nil
	}
	w.link("eth0", 2, true, "192.0.2.1/24")
	return w
}

func (w *world) link(name string, index int, up bool, addrs ...string) {
	ifi := link.Interface{Name: name, Index: index, Up: up}
	for _, a := range addrs {
		ifi.Addrs = append(ifi.Addrs, netip.MustParsePrefix(a))
	}
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: ifi})
	w.settle()
}

// settle lets everything that was asked for happen.
func (w *world) settle() {
	for {
		w.e.flush(w.now)
		if w.hold || len(w.held) == 0 {
			return
		}
		res := w.held
		w.held = nil
		for _, r := range res {
			w.e.result(w.now, r)
		}
	}
}

// pass moves the clock, stopping at each deadline.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := w.e.deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.e.tick(w.now)
		w.settle()
	}
	w.now = end
}

// take returns what was logged since the last call, one line each.
func (w *world) take() string {
	s := strings.Join(w.log, "\n")
	w.log = nil
	return s
}

func (w *world) want(want ...string) {
	w.t.Helper()
	if got := w.take(); got != strings.Join(want, "\n") {
		w.t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func (w *world) router(name string) control.Instance {
	w.t.Helper()
	for _, i := range w.e.snapshot().Instances {
		if i.Name == name {
			return i
		}
	}
	w.t.Fatalf("no instance %s", name)
	return control.Instance{}
}

// instance is a configuration as config.Parse would make it.
func instance(name string, vrid, prio uint8, addrs ...string) config.Instance {
	c := config.Instance{
		Name: name, Interface: "eth0", VRID: vrid, Version: 3, Priority: prio,
		AdvertInterval: config.Duration(time.Second), Garp: config.Garp{Repeat: 1},
	}
	for _, a := range addrs {
		c.Addresses = append(c.Addresses, config.VirtualAddress{Prefix: netip.MustParsePrefix(a)})
	}
	return c
}

func (w *world) configure(scripts []config.Script, instances ...config.Instance) error {
	return w.resume(nil, scripts, instances...)
}

func (w *world) resume(r *watchdog.Resume, scripts []config.Script, instances ...config.Instance) error {
	err := w.e.configure(w.now, &watchdog.Configure{
		Generation: w.e.generation + 1, Resume: r,
		Config: &config.Config{Scripts: scripts, Instances: instances},
	})
	w.settle()
	return err
}

func (w *world) hear(from string, prio uint8, s vrrp.Settings) {
	src := netip.MustParseAddr(from)
	pdu, err := vrrp.AppendAdvert(nil, &s, prio, src, vrrp.Group4())
	if err != nil {
		w.t.Fatal(err)
	}
	w.e.receive("eth0", link.Datagram{Src: src, Dst: vrrp.Group4(), TTL: 255, Payload: pdu, Arrival: w.now})
}

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
	w.want("remove 192.0.2.10/32", "remove 192.0.2.11/32", "web MASTER->BACKUP (higher_priority)")
	w.hear("192.0.2.2", 0, settings(&c))
	w.pass(610 * time.Millisecond)
	w.take()
	w.e.stop(w.now)
	w.settle()
	// The end is told when the addresses are off, not before.
	w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "remove 192.0.2.11/32", "web MASTER->STOP (stopped)")
	if !w.e.stopped() || len(w.kernel) != 0 {
		t.Errorf("stopped=%v, kernel holds %v", w.e.stopped(), w.kernel)
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
	if got := w.router("web").Reason; got != "recovered: no longer: interface eth0 is down" {
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
	c.Source = netip.MustParseAddr("192.0.2.7")
	w.configure(nil, c)
	w.want("web BACKUP->FAULT (no_source_address)")
	if got := w.router("web").Reason; !strings.Contains(got, "192.0.2.7 is on no interface") {
		t.Errorf("reason %q", got)
	}
}

func chk(weight int) ([]config.Script, config.TrackScript) {
	s := config.Script{Name: "chk", Command: []string{"/chk"}, Interval: config.Duration(time.Second), Rise: 1, Fall: 2}
	return []config.Script{s}, config.TrackScript{Name: "chk", Weight: weight}
}

// answer gives the result of the run that was last asked for.
func (w *world) answer(ok bool) {
	w.t.Helper()
	for i := len(w.sent) - 1; i >= 0; i-- {
		if req := w.sent[i].RunScript; req != nil {
			w.e.scriptDone(w.now, &watchdog.ScriptDone{ID: req.ID, Name: req.Name, OK: ok, Result: "exit status 1"})
			w.settle()
			return
		}
	}
	w.t.Fatal("no script was asked for")
}

func TestScriptLowersPriority(t *testing.T) {
	w := newWorld(t)
	scripts, use := chk(-20)
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.TrackScripts = []config.TrackScript{use}
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
	c.TrackScripts = []config.TrackScript{use}
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
	c.TrackScripts = []config.TrackScript{use}
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
	c.TrackScripts = []config.TrackScript{use}

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
		if len(w.e.byID) != 1 || len(w.e.timers) != 1 || !slices.Equal(w.socks["eth0"], []uint8{52}) {
			t.Errorf("left over: %d routers, %d timers, filter %v", len(w.e.byID), len(w.e.timers), w.socks)
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
