package vrrpd

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/vrrp"
)

// fakeKeeper writes down what it is asked.
type fakeKeeper struct {
	w     *world
	asked []gateQuestion
}

func (k *fakeKeeper) ask(q gateQuestion) {
	k.asked = append(k.asked, q)
	k.w.log = append(k.w.log, "ask "+q.cfg.Name())
}
func (k *fakeKeeper) cancel(string) {}
func (k *fakeKeeper) unlock(string) { k.w.log = append(k.w.log, "unlock") }

// answerGate answers the newest question that the keeper was asked.
func (k *fakeKeeper) answer(a vrrp.Answer, why string) {
	q := k.asked[len(k.asked)-1]
	k.w.e.gateAnswered(k.w.now, gateAnswer{q.router, q.gate, q.id, a, why})
	k.w.settle()
}

func gated(gates ...config.Gate) config.Instance {
	c := instance("web", 51, 100, "192.0.2.10/32")
	c.Gates = gates
	for i := range c.Gates {
		g := &c.Gates[i]
		if g.Timeout == 0 {
			g.Timeout = config.Duration(500 * time.Millisecond)
		}
		g.Retry, g.Otherwise = config.Duration(time.Second), "stay"
	}
	return c
}

func gateWorld(t *testing.T) (*world, *fakeKeeper) {
	w := newWorld(t)
	k := &fakeKeeper{w: w}
	w.e.gates = k
	return w, k
}

const downAfter = 3610 * time.Millisecond

func TestReferenceGate(t *testing.T) {
	w, k := gateWorld(t)
	c := gated(config.Gate{Kind: config.GateReference, Targets: []config.GateTarget{{Address: netip.MustParseAddrPort("192.0.2.254:0")}}, Timeout: config.Duration(510 * time.Millisecond)})
	w.configure(nil, c)
	w.pass(downAfter - 500*time.Millisecond) // ahead of time
	w.want("web INIT->BACKUP (started)", "ask reference 192.0.2.254")
	k.answer(vrrp.Denied, "unreachable")
	w.pass(500 * time.Millisecond) // what was denied ahead of time is asked again
	w.want("ask reference 192.0.2.254")
	k.answer(vrrp.Denied, "unreachable")
	w.want("web asked->stay (promotion_gate)")
	i := w.router("web")
	if i.HeldBack != "reference 192.0.2.254: unreachable" || len(i.Gates) != 1 || i.Gates[0].Answer != "denied" || i.Gates[0].Otherwise != "stay" {
		t.Errorf("status is %+v, %q", i.Gates, i.HeldBack)
	}
	w.pass(time.Second)
	w.want("ask reference 192.0.2.254")
	// The master's advert was in the socket all the time: it counts first.
	w.queue = append(w.queue, func(*engine) { w.hear("192.0.2.2", 200, settings(&c)) })
	k.answer(vrrp.Passed, "reply")
	w.want()
	if i := w.router("web"); i.State != "BACKUP" || i.HeldBack != "" || i.Master != "192.0.2.2" {
		t.Errorf("status is %+v", i)
	}
	w.pass(downAfter - 100*time.Millisecond)
	k.answer(vrrp.Passed, "reply in 1ms")
	w.pass(100 * time.Millisecond)
	if i := w.router("web"); i.State != "MASTER" || !strings.Contains(i.Reason, "gates passed in ") {
		t.Errorf("%s: %s", i.State, i.Reason)
	}
}

func TestFenceGate(t *testing.T) {
	w, _ := gateWorld(t)
	w.configure(nil, gated(config.Gate{Kind: config.GateFence, Command: []string{"/fence"}, Timeout: config.Duration(10 * time.Second)}))
	ask := func() *watchdog.Fence {
		t.Helper()
		for i := len(w.sent) - 1; i >= 0; i-- {
			if f := w.sent[i].Fence; f != nil {
				return f
			}
		}
		t.Fatal("no fence was asked for")
		return nil
	}
	c := gated()
	w.hear("192.0.2.2", 200, settings(&c))
	w.pass(downAfter)
	f := ask()
	if f.Instance != "web" || f.Gate != 0 || f.Peer != "192.0.2.2" || !strings.HasPrefix(f.Reason, "no advert from 192.0.2.2") {
		t.Errorf("asked for %+v", f)
	}
	for _, tc := range []struct {
		done         watchdog.Fenced
		want, answer string
	}{
		{watchdog.Fenced{Failed: true, Result: "exit status 1"}, "fence /fence: exit status 1", "denied"},
		{watchdog.Fenced{Result: "timed out after 10s"}, "fence /fence: timed out after 10s", "no answer"},
	} {
		tc.done.ID = ask().ID
		w.e.fenced(w.now, &tc.done)
		w.e.fenced(w.now, &tc.done) // once is enough
		w.settle()
		if i := w.router("web"); i.State != "BACKUP" || i.HeldBack != tc.want || i.Gates[0].Answer != tc.answer {
			t.Errorf("%s, held back by %q", i.State, i.HeldBack)
		}
		w.pass(time.Second)
	}
	w.e.fenced(w.now, &watchdog.Fenced{ID: ask().ID, OK: true})
	w.settle()
	if i := w.router("web"); i.State != "MASTER" {
		t.Errorf("%s: %s", i.State, i.Reason)
	}
}

// A master that has said good-bye is not fenced, nor one that is only lower.
func TestNobodyIsFencedInVain(t *testing.T) {
	for _, prio := range []uint8{0, 50} {
		w, _ := gateWorld(t)
		c := gated(config.Gate{Kind: config.GateFence, Command: []string{"/fence"}})
		w.configure(nil, c)
		first := prio
		if prio == 0 {
			first = 200
		}
		for range 4 {
			w.hear("192.0.2.2", first, settings(&c))
			w.pass(time.Second)
		}
		if prio == 0 {
			w.hear("192.0.2.2", 0, settings(&c))
			w.pass(time.Second)
		}
		for _, m := range w.sent {
			if m.Fence != nil {
				t.Errorf("priority %d: fenced %+v", prio, m.Fence)
			}
		}
		if i := w.router("web"); i.State != "MASTER" {
			t.Errorf("priority %d: %s", prio, i.State)
		}
	}
}

func TestPoolGate(t *testing.T) {
	w, _ := gateWorld(t)
	w.configure(nil, gated(config.Gate{Kind: config.GatePool, Pools: []string{"a", "b"}, Timeout: config.Duration(500 * time.Millisecond)}))
	pools := func(a, b string) {
		w.e.pools = map[string]string{"a": a, "b": b}
		w.settle()
	}
	// Not known yet: it waits, to the end of the time.
	w.pass(downAfter)
	if i := w.router("web"); i.HeldBack != "pool a,b: no answer within 500ms" {
		t.Errorf("%s, held back by %q", i.State, i.HeldBack)
	}
	pools("up", "sorry")
	w.pass(time.Second)
	if i := w.router("web"); i.HeldBack != "pool a,b: a is up, b is sorry" {
		t.Errorf("%s, held back by %q", i.State, i.HeldBack)
	}
	pools("up", "unknown")
	w.pass(time.Second)
	if i := w.router("web"); i.State != "BACKUP" || i.Gates[0].AskedAt.IsZero() {
		t.Errorf("%s, held back by %q", i.State, i.HeldBack)
	}
	pools("up", "up")
	if i := w.router("web"); i.State != "MASTER" || i.Gates[0].Detail != "a is up, b is up" {
		t.Errorf("%s, held back by %q, %+v", i.State, i.HeldBack, i.Gates)
	}
}

// The lock is given up when the addresses are off, not before.
func TestLockGate(t *testing.T) {
	w, k := gateWorld(t)
	c := gated(config.Gate{Kind: config.GateLock, File: "/mnt/l"})
	c.NoPreempt = true
	w.e.routerID = "lb-a"
	w.configure(nil, c)
	w.pass(downAfter)
	if q := k.asked[0]; !strings.HasPrefix(q.note, " web since ") && !strings.HasPrefix(q.note, "lb-a web since ") {
		t.Errorf("note %q", q.note)
	}
	k.answer(vrrp.Passed, "")
	w.take()
	w.hold = true
	w.pass(time.Second)
	w.want("advert 100 from 192.0.2.1", "ask lock /mnt/l")
	k.answer(vrrp.Denied, "held by another: lb-b")
	w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "web MASTER->BACKUP (promotion_gate)")
	w.deliver(len(w.held))
	w.want("unlock")
	w.hold = false
	// A resumed MASTER asks for it at once.
	w, _ = gateWorld(t)
	former := newWorld(t)
	plain := c
	plain.Gates = nil
	former.configure(nil, plain)
	former.pass(downAfter)
	w.resume(resumeOf(former.e.snapshot()), nil, c)
	w.pass(0)
	if log := w.take(); !strings.Contains(log, "INIT->MASTER (resumed)") || !strings.Contains(log, "ask lock /mnt/l") {
		t.Errorf("got:\n%s", log)
	}
	// A reload without the gate gives it up, one with another file as well.
	other := gated(config.Gate{Kind: config.GateLock, File: "/mnt/other"})
	w.configure(nil, other)
	w.pass(0)
	if log := w.take(); !strings.Contains(log, "unlock") || !strings.Contains(log, "ask lock /mnt/other") {
		t.Errorf("got:\n%s", log)
	}
}

func TestVIPFreeGateAsksForEveryAddress(t *testing.T) {
	w, k := gateWorld(t)
	c := gated(config.Gate{Kind: config.GateVIPFree, Before: config.BeforeTakeover})
	c.Excluded = append(c.Excluded, instance("x", 1, 1, "192.0.2.11/32").Addresses...)
	w.configure(nil, c)
	w.pass(downAfter)
	if got := placeNames(k.asked[0].places); got != "192.0.2.10, 192.0.2.11" || k.asked[0].places[0].device != "eth0" {
		t.Errorf("looks for %s", got)
	}
}
