package vrrp

import (
	"strings"
	"testing"
	"time"
)

// A gate that keeps a host from preempting keeps it from nothing else: when the
// lower MASTER falls silent it is replaced like any other, neither later nor sooner.
func TestPreemptGateEndsWithTheLowerMaster(t *testing.T) {
	pool := gate1(func(g *Gate) { g.Name, g.Before = "pool", BeforePreempt })
	s := guarded(t, base(3), pool)
	slow := 2 * time.Second // the lower one's interval: ours would take it for dead
	for at := time.Second; at < mdt; at += time.Second {
		s.want(at, advert(peer, 50, slow), "")
	}
	s.want(mdt, timer, "ask 0")
	s.want(mdt+ms, s.answer(0, Denied, "down"), "unask, stay (pool: down)")
	at := 4 * time.Second
	s.want(at, advert(peer, 50, slow), "")
	set := base(3)
	set.AdvertInterval = 100 * ms
	s.i.Reconfigure(epoch.Add(at), set)
	silent := at + 3*slow + SkewTime(3, 100, slow)
	for due := mdt + ms + time.Second; due < silent; due += time.Second + ms {
		s.want(due, timer, "ask 0")
		s.want(due+ms, s.answer(0, Denied, "down"), "unask")
	}
	s.want(silent, timer, "unask, advert 100, acquire 5, BACKUP->MASTER master_down")
	if c := s.i.Cause(); c.Peer != peer || c.Silence != silent-at {
		t.Errorf("told %q", c)
	}
}

// A lower MASTER comes while the gates are asked because the former one has said
// good-bye: that one is no longer what it is about.
func TestLowerMasterAfterGoodbye(t *testing.T) {
	s := guarded(t, base(3), gate1(nil), gate1(func(g *Gate) { g.Name, g.Before = "pool", BeforePreempt }))
	s.want(0, advert(peer, 200, time.Second), "")
	s.want(ms, advert(peer, 0, time.Second), "")
	s.want(ms+skew100, timer, "ask 0")
	s.want(2*ms+skew100, advert(peer, 50, time.Second), "unask")
	for at := time.Second; at < mdt; at += time.Second {
		s.want(at+skew100, advert(peer, 50, time.Second), "")
	}
	s.want(2*ms+skew100+mdt, timer, "ask 0, ask 1")
	s.want(4*time.Second, advert(peer, 50, time.Second), "")
	s.want(4*time.Second, s.answer(0, Passed, ""), "")
	s.want(4*time.Second, s.answer(1, Passed, ""), "advert 100, acquire 5, BACKUP->MASTER preempted")
}

// The lock is taken when nothing else is in the way, so that a host which cannot
// take over does not keep it from one that can.
func TestHeldGateAfterTheOthers(t *testing.T) {
	lock := gate1(func(g *Gate) { g.Name, g.Held = "lock", true })
	fence := gate1(func(g *Gate) { g.Name, g.Last = "fence", true })
	s := guarded(t, base(3), fence, lock, gate1(nil))
	s.want(mdt, timer, "ask 2")
	s.want(mdt+ms, s.answer(2, Denied, "refused"), "unask, stay (ref: refused)")
	s.want(mdt+time.Second+ms, timer, "ask 2")
	s.want(mdt+time.Second+2*ms, s.answer(2, Passed, ""), "ask 1")
	s.want(mdt+time.Second+3*ms, s.answer(1, Passed, ""), "ask 0")
	s.want(mdt+time.Second+4*ms, s.answer(0, Passed, ""), "advert 100, acquire 5, BACKUP->MASTER master_down")
}

// guild is a group whose members have gates.
type guild struct {
	*party
	asked map[[2]int]uint64 // by member and gate
}

func newGuild(t *testing.T, gates ...[]Gate) *guild {
	var priorities []uint8
	for range gates {
		priorities = append(priorities, 100)
	}
	g := &guild{party: newParty(t, priorities...), asked: make(map[[2]int]uint64)}
	for n, list := range gates {
		g.m[n].SetGates(epoch, list, nil)
		g.do(0, n, startUp, "BACKUP")
	}
	return g
}

func (g *guild) do(at time.Duration, member int, ev Event, want string) {
	g.t.Helper()
	var words []string
	for _, a := range g.g.Step(epoch.Add(at), member, ev, nil) {
		name := string(rune('a' + a.Member))
		switch {
		case a.Member < 0:
		case a.Action.Kind == ActionAsk:
			g.asked[[2]int{a.Member, a.Action.Gate}] = a.Action.Ask
			words = append(words, name+" asks "+g.m[a.Member].gates.list[a.Action.Gate].Name)
		case a.Action.Kind == ActionNotify:
			words = append(words, a.Action.Transition.To.String())
		case a.Action.Kind == ActionUnask && g.m[a.Member].state == Backup && ev.Kind != EventStart:
			words = append(words, name+" unasks")
		}
	}
	if got := strings.Join(words, ", "); got != want {
		g.t.Errorf("at %v: got %q, want %q", at, got, want)
	}
}

func (g *guild) answer(member, gate int, a Answer) Event {
	return Event{Kind: EventGate, Gate: gate, Ask: g.asked[[2]int{member, gate}], Answer: a}
}

// A member that cannot take over keeps the lock from nobody: the group takes it when
// all members have passed what else there is, and gives it back when one of them is kept.
func TestGroupLetsGoOfTheLock(t *testing.T) {
	lock := gate1(func(g *Gate) { g.Name, g.Held = "lock", true })
	fence := gate1(func(g *Gate) { g.Name, g.Last = "fence", true })
	g := newGuild(t, []Gate{lock}, []Gate{gate1(nil), fence})
	g.do(mdt, 0, timer, "")
	g.do(mdt, 1, timer, "b asks ref")
	g.do(mdt+ms, 1, g.answer(1, 0, Denied), "b unasks")
	g.do(2*mdt, 0, timer, "") // it waits, without the lock
	g.do(2*mdt, 1, timer, "b asks ref")
	g.do(2*mdt+ms, 1, g.answer(1, 0, Passed), "a asks lock")
	g.do(2*mdt+2*ms, 0, g.answer(0, 0, Passed), "b asks fence")
	g.do(2*mdt+3*ms, 1, g.answer(1, 1, Denied), "b unasks, a unasks")
	g.do(3*mdt, 0, timer, "")
	g.do(3*mdt, 1, timer, "b asks ref")
	g.do(3*mdt+ms, 1, g.answer(1, 0, Passed), "a asks lock")
	g.do(3*mdt+2*ms, 0, g.answer(0, 0, Passed), "b asks fence")
	g.do(3*mdt+3*ms, 1, g.answer(1, 1, Passed), "MASTER, MASTER")
}

// A member may wait for the others for days. What its gates said then is asked
// anew when the group can take over.
func TestGroupAsksAnew(t *testing.T) {
	g := newGuild(t, []Gate{gate1(nil)}, nil)
	g.do(mdt, 0, timer, "a asks ref")
	g.do(mdt+ms, 0, g.answer(0, 0, Passed), "")
	day := 24 * time.Hour
	g.hear(1, 200)
	for at := mdt + time.Second; at < mdt+10*time.Second; at += time.Second {
		g.now = epoch.Add(at)
		g.hear(1, 200)
	}
	g.do(day, 1, timer, "a asks ref")
	g.do(day+ms, 0, g.answer(0, 0, Denied), "a unasks")
	g.do(day+time.Second+ms, 0, timer, "a asks ref")
	g.do(day+time.Second+2*ms, 0, g.answer(0, 0, Passed), "MASTER, MASTER")
}

// A member whose gates have passed leaves its group: it need not wait any more.
func TestGatesOutliveTheGroup(t *testing.T) {
	g := newGuild(t, []Gate{gate1(nil)}, nil)
	g.do(mdt, 0, timer, "a asks ref")
	g.do(mdt+ms, 0, g.answer(0, 0, Passed), "")
	i := g.m[0].Instance
	g.g.Regroup(epoch.Add(mdt+2*ms), nil, nil)
	i.Step(epoch.Add(3*mdt), timer, nil)
	i.Step(epoch.Add(3*mdt+ms), Event{Kind: EventGate, Ask: i.gates.list[0].ask, Answer: Passed}, nil)
	if i.State() != Master {
		t.Errorf("%v", i.State())
	}
}
