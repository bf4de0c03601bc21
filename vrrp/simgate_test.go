package vrrp

import (
	"fmt"
	"slices"
	"time"
)

// Promotion gates in the simulation. A reference answers or does not, by host; one
// gate keeps a host from preempting and from nothing else; the lock of a file is
// had by one host at a time; a fence is asked last.

// Names of gates, by which the world knows what to answer.
const (
	simReference = "reference"
	simPreempt   = "pool"
	simLock      = "lock"
	simFence     = "fence"
)

// simGates are the gates of a host and what becomes of them.
type simGates struct {
	list      [][]Gate // by member
	reference Answer   // Unanswered: it hangs
	preempt   Answer
	locking   []bool // members that have the lock or wait for it
}

// simQuestion is a question under way, until its answer.
type simQuestion struct {
	at     time.Time
	host   *simHost
	member int
	gate   int
	ask    uint64
}

// gate gives the hosts gates.
func (s *sim) gate() {
	s.gated = s.rng.IntN(3) == 0
	if !s.gated {
		return
	}
	kinds := s.rng.IntN(16)
	s.locked = kinds&4 > 0 && s.rng.IntN(2) == 0 && !slices.ContainsFunc(s.hosts, func(h *simHost) bool { return h.set[0].Version != s.hosts[0].set[0].Version })
	for _, h := range s.hosts {
		h.gates = simGates{reference: Passed, preempt: Passed, locking: make([]bool, s.members)}
		for m := range s.members {
			var list []Gate
			add := func(g Gate) {
				g.Timeout = time.Duration(1 + s.rng.Int64N(int64(s.slow)))
				g.Pause = s.slow/5 + time.Duration(s.rng.Int64N(int64(s.slow)))
				list = append(list, g)
			}
			if kinds&1 > 0 && s.rng.IntN(2) == 0 {
				add(Gate{Name: simReference, Ahead: s.rng.IntN(2) == 0,
					Before: []Before{BeforeAny, BeforePreempt, BeforeSilent | BeforeStopped}[s.rng.IntN(3)]})
			}
			if kinds&2 > 0 && s.rng.IntN(2) == 0 {
				add(Gate{Name: simPreempt, Ahead: true, Before: BeforePreempt})
			}
			if s.locked && (m == 0 || s.rng.IntN(2) == 0) {
				add(Gate{Name: simLock, Before: BeforeAny, Held: true})
			}
			if kinds&8 > 0 && s.rng.IntN(2) == 0 {
				add(Gate{Name: simFence, Before: BeforeSilent, Last: true})
			}
			h.gates.list = append(h.gates.list, list)
			if s.locked {
				h.set[m].Preempt = false
			}
		}
	}
}

// gateTime is the longest that the gates of a host can delay a takeover, when all
// of them pass.
func (h *simHost) gateTime() time.Duration {
	var sum time.Duration
	for _, list := range h.gates.list {
		for _, g := range list {
			sum += g.Timeout
		}
	}
	return sum
}

func (s *sim) gateFor(h *simHost, m int) []Gate {
	if !s.gated {
		return nil
	}
	return h.gates.list[m]
}

// shift changes what a host finds out.
func (s *sim) shift(h *simHost) {
	answers := []Answer{Passed, Passed, Denied, Untold, Unanswered}
	h.gates.reference = answers[s.rng.IntN(len(answers))]
	h.gates.preempt = answers[s.rng.IntN(len(answers))]
	s.logf("%s: the reference gives %v, the pool %v", h.name, h.gates.reference, h.gates.preempt)
}

// ask takes a question.
func (s *sim) ask(h *simHost, member int, a Action) {
	g := h.gates.list[member][a.Gate]
	if g.Name == simLock {
		h.gates.locking[member] = true
	}
	s.questions = append(s.questions, simQuestion{
		at: s.now.Add(time.Duration(s.rng.Int64N(int64(g.Timeout)))), host: h, member: member, gate: a.Gate, ask: a.Ask,
	})
}

// unask takes the questions of a member back, and its part of the lock.
func (s *sim) unask(h *simHost, member int) {
	s.questions = slices.DeleteFunc(s.questions, func(q simQuestion) bool { return q.host == h && q.member == member && q.gate != simPrepare })
	h.gates.locking[member] = false
	s.unlock(h)
}

func (s *sim) unlock(h *simHost) {
	if s.holder == h && !slices.Contains(h.gates.locking, true) {
		s.holder = nil
	}
}

// forget is what the kernel does when a process ends.
func (s *sim) forget(h *simHost) {
	s.questions = slices.DeleteFunc(s.questions, func(q simQuestion) bool { return q.host == h })
	clear(h.gates.locking)
	s.unlock(h)
}

// answer gives the answer to a question.
func (s *sim) answer(q simQuestion) {
	if q.gate == simPrepare {
		s.ready(q)
		return
	}
	h := q.host
	g := h.gates.list[q.member][q.gate]
	ev := Event{Kind: EventGate, Gate: q.gate, Ask: q.ask, Answer: Passed, Cause: Cause{Detail: "asked"}}
	switch g.Name {
	case simReference:
		ev.Answer = h.gates.reference
	case simPreempt:
		ev.Answer = h.gates.preempt
	case simLock:
		if s.holder != nil && s.holder != h {
			ev.Answer = Denied
		} else if s.holder = h; !h.gates.locking[q.member] {
			s.unlock(h)
		}
	}
	if ev.Answer != Unanswered {
		s.listen(h)
		s.step(h, q.member, s.now, ev)
	}
}

// checkGates holds the masters of hosts that need the lock against it.
func (s *sim) checkGates() error {
	masters := 0
	for _, h := range s.hosts {
		if h.alive && h.state() == Master {
			masters++
		}
	}
	if s.locked && masters > 1 {
		return fmt.Errorf("%d masters with one lock", masters)
	}
	return nil
}
