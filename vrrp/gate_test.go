package vrrp

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// gate1 is a gate that keeps a BACKUP when nobody answers.
func gate1(change func(*Gate)) Gate {
	g := Gate{Name: "ref", Timeout: 500 * ms, Pause: time.Second, Before: BeforeAny}
	if change != nil {
		change(&g)
	}
	return g
}

// guarded is a BACKUP with gates, at the start.
func guarded(t *testing.T, set Settings, gates ...Gate) *script {
	s := start(t, set)
	s.i.SetGates(epoch, gates, nil)
	s.at(0, startUp)
	return s
}

// answer is the answer to the newest question of a gate.
func (s *script) answer(gate int, a Answer, why string) Event {
	return Event{Kind: EventGate, Gate: gate, Ask: s.asked[gate], Answer: a, Cause: Cause{Detail: why}}
}

const mdt = 3*time.Second + skew100

func TestGatePasses(t *testing.T) {
	s := guarded(t, base(3), gate1(nil), gate1(func(g *Gate) { g.Name = "pool" }))
	s.want(mdt, timer, "ask 0, ask 1")
	s.wantDeadline(mdt + 500*ms)
	s.want(mdt+10*ms, s.answer(1, Passed, "up"), "")
	s.want(mdt+12*ms, s.answer(0, Passed, "answered in 2ms"), "advert 100, acquire 5, BACKUP->MASTER master_down")
	if got, want := s.i.Cause().String(), "no master heard for 3.6214s; gates passed in 12ms: ref, pool"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	if g := s.i.Gates(); g[0].Answer != Passed || g[0].Detail != "answered in 2ms" || !g[0].Asked.IsZero() || !g[0].At.Equal(epoch.Add(mdt+12*ms)) {
		t.Errorf("status is %+v", g[0])
	}
}

func TestGateDenies(t *testing.T) {
	s := guarded(t, base(3), gate1(nil), gate1(func(g *Gate) { g.Pause = 5 * time.Second }))
	s.want(mdt, timer, "ask 0, ask 1")
	s.want(mdt+ms, s.answer(0, Denied, "refused"), "unask, stay (ref: refused)")
	s.want(mdt+2*ms, s.answer(1, Passed, "late"), "") // taken back
	s.want(mdt+time.Second, timer, "")
	old := s.answer(0, Passed, "old")
	s.want(mdt+time.Second+ms, timer, "ask 0, ask 1")
	s.want(mdt+time.Second+ms, old, "") // to a question that was taken back
	if s.i.Gates()[0].Answer != Denied {
		t.Error("an answer to an old question counts")
	}
	// The same again is not told again, something else is.
	s.want(mdt+time.Second+2*ms, s.answer(0, Denied, "refused again"), "unask")
	s.want(mdt+2*time.Second+2*ms, timer, "ask 0, ask 1")
	s.want(mdt+2*time.Second+3*ms, s.answer(0, Untold, "no route"), "unask, stay (ref: no route)")
	s.want(mdt+3*time.Second+3*ms, timer, "ask 0, ask 1")
	s.want(mdt+3*time.Second+4*ms, s.answer(0, Passed, ""), "")
	s.want(mdt+3*time.Second+5*ms, s.answer(1, Passed, ""), "advert 100, acquire 5, BACKUP->MASTER master_down")
}

func TestGateTimesOut(t *testing.T) {
	for promote, want := range map[bool]string{
		false: "unask, stay (ref: no answer within 500ms)",
		true:  "advert 100, acquire 5, BACKUP->MASTER master_down",
	} {
		s := guarded(t, base(3), gate1(func(g *Gate) { g.Promote = promote }))
		s.want(mdt, timer, "ask 0")
		s.want(mdt+499*ms, timer, "")
		s.want(mdt+500*ms, timer, want)
		if told := s.i.Cause().String(); promote && !strings.HasSuffix(told, "; took over without an answer of ref (no answer within 500ms)") {
			t.Errorf("told %q", told)
		}
		// It comes after all: too late.
		s.want(mdt+600*ms, s.answer(0, Denied, "late"), "")
	}
}

// An advert ends it, whatever the gates say afterwards.
func TestAdvertEndsTheAsking(t *testing.T) {
	s := guarded(t, base(3), gate1(nil))
	s.want(mdt, timer, "ask 0")
	s.want(mdt+ms, advert(peer, 200, time.Second), "unask")
	s.want(mdt+2*ms, s.answer(0, Passed, ""), "")
	s.wantDeadline(mdt + ms + mdt)
	if s.i.State() != Backup || s.i.Wants() {
		t.Errorf("%v", s.i.State())
	}
}

func TestGatesByKindOfTakeover(t *testing.T) {
	gates := []Gate{
		gate1(func(g *Gate) { g.Before = BeforeSilent }),
		gate1(func(g *Gate) { g.Before = BeforeStopped }),
		gate1(func(g *Gate) { g.Before = BeforePreempt }),
	}
	set := base(3)
	t.Run("silent", func(t *testing.T) { guarded(t, set, gates...).want(mdt, timer, "ask 0") })
	t.Run("stopped", func(t *testing.T) {
		s := guarded(t, set, gates...)
		s.want(time.Second, advert(peer, 200, time.Second), "")
		s.want(time.Second, advert(peer, 0, time.Second), "")
		s.want(time.Second+skew100, timer, "ask 1")
	})
	t.Run("preempt", func(t *testing.T) {
		s := guarded(t, set, gates...)
		s.want(time.Second, advert(peer, 50, time.Second), "")
		s.want(mdt, timer, "ask 2")
		s.want(mdt+ms, advert(peer, 50, time.Second), "") // the lower one lives: no news
		s.want(mdt+2*ms, s.answer(2, Passed, ""), "advert 100, acquire 5, BACKUP->MASTER preempted")
	})
	t.Run("a silent one lives after all", func(t *testing.T) {
		s := guarded(t, set, gates...)
		s.want(mdt, timer, "ask 0")
		s.want(mdt+ms, advert(peer, 50, time.Second), "unask")
		s.want(mdt+2*ms, s.answer(0, Passed, ""), "")
		s.want(mdt+ms+mdt, timer, "ask 2")
	})
	t.Run("it says good-bye meanwhile", func(t *testing.T) {
		s := guarded(t, set, gates...)
		s.want(mdt, timer, "ask 0")
		s.want(mdt+ms, advert(peer, 0, time.Second), "unask")
		s.want(mdt+ms+skew100, timer, "ask 1")
	})
	t.Run("an owner starts", func(t *testing.T) {
		set := set
		set.Priority = PriorityOwner
		s := start(t, set)
		s.i.SetGates(epoch, gates, nil)
		s.want(0, startUp, "unask, INIT->BACKUP started, ask 2")
		s.want(ms, s.answer(2, Passed, ""), "advert 255, acquire 5, BACKUP->MASTER owner")
	})
	t.Run("none of them", func(t *testing.T) {
		guarded(t, set, gates[1]).want(mdt, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	})
}

// A fence is asked when all else has passed, and never ahead of time.
func TestLastGate(t *testing.T) {
	fence := gate1(func(g *Gate) { g.Name, g.Last, g.Timeout = "fence", true, 10*time.Second })
	s := guarded(t, base(3), fence, gate1(nil))
	s.want(mdt, timer, "ask 1")
	s.want(mdt+ms, s.answer(1, Passed, ""), "ask 0")
	s.want(mdt+2*ms, s.answer(0, Denied, "exit status 1"), "unask, stay (fence: exit status 1)")
	s.want(mdt+time.Second+2*ms, timer, "ask 1")
	s.want(mdt+time.Second+3*ms, s.answer(1, Passed, ""), "ask 0")
	s.want(mdt+time.Second+4*ms, s.answer(0, Passed, ""), "advert 100, acquire 5, BACKUP->MASTER master_down")
}

// Gates are asked before the timer is over, so that they cost nothing.
func TestGatesAheadOfTime(t *testing.T) {
	ahead := gate1(func(g *Gate) { g.Ahead = true })
	other := gate1(func(g *Gate) { g.Name = "lock" })
	s := guarded(t, base(3), ahead)
	s.wantDeadline(mdt - 500*ms)
	s.want(mdt-500*ms, timer, "ask 0")
	s.want(mdt-400*ms, s.answer(0, Passed, ""), "")
	s.want(mdt, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	if told := s.i.Cause().String(); !strings.HasSuffix(told, "; gates passed in 0s: ref") {
		t.Errorf("told %q", told)
	}
	// The MASTER was there after all; and what it denied does not count later.
	s = guarded(t, base(3), ahead, other)
	s.want(mdt-500*ms, timer, "ask 0")
	s.want(mdt-100*ms, advert(peer, 200, time.Second), "unask")
	s.want(mdt-99*ms, s.answer(0, Passed, ""), "")
	at := 2*mdt - 600*ms
	s.want(at, timer, "ask 0")
	s.want(at+ms, s.answer(0, Denied, ""), "")
	s.want(at+500*ms, timer, "ask 0, ask 1")
	// No earlier than half an interval after the first missed advert.
	s = guarded(t, base(3), gate1(func(g *Gate) { g.Ahead, g.Timeout = true, time.Minute }))
	s.wantDeadline(1500 * ms)
}

// What must hold while MASTER is asked again and again, and its loss steps down.
func TestHeldGate(t *testing.T) {
	lock := gate1(func(g *Gate) { g.Name, g.Held = "lock", true })
	master := func(t *testing.T, g Gate) *script {
		s := guarded(t, base(3), g)
		s.want(mdt, timer, "ask 0")
		s.want(mdt, s.answer(0, Passed, ""), "advert 100, acquire 5, BACKUP->MASTER master_down")
		s.want(mdt+time.Second, timer, "advert 100, ask 0")
		return s
	}
	const at = mdt + time.Second
	t.Run("kept", func(t *testing.T) {
		s := master(t, lock)
		s.want(at+ms, s.answer(0, Passed, ""), "")
		s.want(at+time.Second+ms, timer, "advert 100, ask 0")
	})
	t.Run("lost", func(t *testing.T) {
		s := master(t, lock)
		s.want(at+ms, s.answer(0, Denied, "held by b"), "advert 0, release, unask, MASTER->BACKUP promotion_gate")
		if got := s.i.Cause().String(); got != "promotion gate lock: held by b" {
			t.Errorf("told %q", got)
		}
		s.want(at+ms+mdt, timer, "ask 0")
		s.want(at+2*ms+mdt, s.answer(0, Denied, "held by b"), "unask, stay (lock: held by b)")
	})
	t.Run("no answer", func(t *testing.T) {
		s := master(t, lock)
		s.want(at+500*ms, timer, "advert 0, release, unask, MASTER->BACKUP promotion_gate")
	})
	t.Run("no answer, and promotes all the same", func(t *testing.T) {
		s := master(t, gate1(func(g *Gate) { g.Name, g.Held, g.Promote = "lock", true, true }))
		s.want(at+500*ms, timer, "ask 0")
		s.want(at+501*ms, s.answer(0, Untold, "hangs"), "")
		s.want(at+1501*ms, timer, "advert 100, ask 0")
	})
	t.Run("resumed", func(t *testing.T) {
		s := start(t, base(3))
		s.i.SetGates(epoch, []Gate{lock}, nil)
		s.want(0, Event{Kind: EventResume}, "advert 100, acquire 5, INIT->MASTER resumed")
		s.wantDeadline(0)
		s.want(0, timer, "ask 0")
	})
	t.Run("given back", func(t *testing.T) {
		s := master(t, lock)
		s.want(at, down, "advert 0, release, unask, MASTER->INIT stopped")
	})
	t.Run("new in a reload", func(t *testing.T) {
		s := start(t, base(3))
		s.at(0, Event{Kind: EventResume})
		s.i.SetGates(epoch, []Gate{lock}, nil)
		s.want(0, timer, "ask 0")
	})
}

func TestGatesOfAGroup(t *testing.T) {
	fence := gate1(func(g *Gate) { g.Name, g.Last = "fence", true })
	a, b := base(3), base(3)
	b.VRID = 52
	ia, ib := New(epoch, a), New(epoch, b)
	ia.SetGates(epoch, []Gate{gate1(nil), fence}, nil)
	ib.SetGates(epoch, []Gate{gate1(func(g *Gate) { g.Held = true })}, nil)
	g := NewGroup(epoch)
	g.Regroup(epoch, []Member{{"a", ia}, {"b", ib}}, nil)
	var ask [2][2]uint64
	step := func(at time.Duration, m int, ev Event, want string) {
		t.Helper()
		var words []string
		for _, act := range g.Step(epoch.Add(at), m, ev, nil) {
			switch {
			case act.Member < 0:
				words = append(words, "group "+act.Transition.To.String())
			case act.Action.Kind == ActionAsk:
				ask[act.Member][act.Action.Gate] = act.Action.Ask
				words = append(words, "ask")
			case act.Action.Kind == ActionNotify:
				words = append(words, act.Action.Transition.To.String())
			}
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("at %v: got %q, want %q", at, got, want)
		}
	}
	answer := func(m, gate int, a Answer) Event {
		return Event{Kind: EventGate, Gate: gate, Ask: ask[m][gate], Answer: a}
	}
	step(0, 0, startUp, "BACKUP")
	step(0, 1, startUp, "BACKUP group BACKUP")
	step(mdt, 0, timer, "ask")
	step(mdt+ms, 0, answer(0, 0, Passed), "") // the fence waits for the other member
	step(mdt+2*ms, 1, timer, "ask")
	step(mdt+3*ms, 1, answer(1, 0, Passed), "ask")
	step(mdt+4*ms, 0, answer(0, 1, Passed), "MASTER MASTER group MASTER")
	step(mdt+time.Second+4*ms, 1, timer, "ask")
	step(mdt+time.Second+5*ms, 1, answer(1, 0, Denied), "BACKUP BACKUP group BACKUP")
}

// Without gates nothing is asked, and a takeover is not a moment later.
func TestWithoutGates(t *testing.T) {
	s := guarded(t, base(3))
	s.wantDeadline(mdt)
	s.want(mdt, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	if s.i.Cause().Gates != "" || len(s.i.Gates()) != 0 {
		t.Errorf("%+v", s.i.Cause())
	}
}

// Whatever gates answer, whenever they do: no MASTER without their word, nothing is
// asked twice at a time, the loop never spins, and whoever is kept is asked again.
func TestGatesAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := base(3)
		set.Preempt = rapid.Bool().Draw(t, "preempt")
		var list []Gate
		for range rapid.IntRange(1, 3).Draw(t, "gates") {
			list = append(list, Gate{
				Name: "g", Timeout: time.Duration(rapid.IntRange(1, 3000).Draw(t, "timeout")) * ms,
				Pause:   time.Duration(rapid.IntRange(100, 3000).Draw(t, "pause")) * ms,
				Promote: rapid.Bool().Draw(t, "promote"), Ahead: rapid.Bool().Draw(t, "ahead"),
				Last: rapid.Bool().Draw(t, "last"), Held: rapid.Bool().Draw(t, "held"), Before: BeforeAny,
			})
		}
		i := New(epoch, set)
		i.SetSource(src)
		i.SetGates(epoch, list, nil)
		now := epoch
		open := make(map[int]uint64) // unanswered questions
		passed := make(map[int]bool) // answered well, since the last unask
		askedAt := make(map[int]time.Time)
		step := func(ev Event) {
			for _, a := range i.Step(now, ev, nil) {
				switch a.Kind {
				case ActionAsk:
					open[a.Gate], passed[a.Gate], askedAt[a.Gate] = a.Ask, i.State() == Master, now
				case ActionUnask:
					clear(open)
					clear(passed)
				case ActionNotify:
					for n, g := range list {
						if a.Transition.To == Master && !passed[n] && !g.Promote {
							t.Fatalf("MASTER without gate %d", n)
						}
						if a.Transition.To == Master && !passed[n] && now.Sub(askedAt[n]) < g.Timeout && i.gates.list[n].answer == Unanswered {
							t.Fatalf("MASTER before gate %d could answer", n)
						}
					}
				}
			}
		}
		step(startUp)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				step(advert(peer, rapid.SampledFrom([]uint8{0, 50, 200}).Draw(t, "priority"), time.Second))
			case 1, 2:
				for n := range list {
					ask, is := open[n]
					if !is {
						continue
					}
					a := rapid.SampledFrom([]Answer{Passed, Passed, Denied, Untold}).Draw(t, "answer")
					delete(open, n)
					passed[n] = a == Passed || passed[n]
					step(Event{Kind: EventGate, Gate: n, Ask: ask, Answer: a})
					break
				}
			default:
				due := i.Deadline()
				if due.IsZero() {
					t.Fatal("nothing is ever due")
				}
				if due.After(now) {
					now = due
				}
				step(timer)
				if d := i.Deadline(); !d.After(now) {
					step(timer) // MASTER: a held gate is due at once
					if d := i.Deadline(); !d.After(now) {
						t.Fatalf("still due after %v: stage %d, state %v", d.Sub(now), i.gates.stage, i.state)
					}
				}
			}
		}
	})
}
