package vrrp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// What addresses lead to, in the simulation. A host makes it ready in a while, too late or
// never, whatever else happens meanwhile.

// simPrepare is the gate of a question that is none: what the addresses lead to.
const simPrepare = -1

// simAddresses are the addresses of a host and what they lead to, by member.
type simAddresses struct {
	up    []bool
	asked []time.Time // by ActionPrepare; zero: they need not wait, or no longer
	round []uint64    // of the newest question
}

// prepare decides which hosts have something behind their addresses. It has random
// numbers of its own, so that seeds play the same with and without.
func (s *sim) prepare(seed uint64) {
	s.readiness = rand.New(rand.NewPCG(seed, 2))
	for _, h := range s.hosts {
		h.addresses = simAddresses{make([]bool, s.members), make([]time.Time, s.members), make([]uint64, s.members)}
		if s.readiness.IntN(2) == 0 {
			limit := time.Duration(1 + s.readiness.Int64N(int64(2*s.slow)))
			for m := range h.set {
				h.set[m].Prepare = limit
			}
		}
	}
}

// handle does what concerns the addresses of a member.
func (s *sim) handle(h *simHost, member int, a Action) {
	at := &h.addresses
	switch a.Kind {
	case ActionPrepare:
		if limit := h.set[member].Prepare; limit == 0 || at.up[member] {
			s.broken(fmt.Errorf("%s makes ready what its addresses lead to: limit %v, they are up: %v", h.name, limit, at.up[member]))
		}
		at.asked[member] = s.now
		at.round[member]++
		if s.readiness.IntN(4) > 0 {
			s.questions = append(s.questions, simQuestion{
				at:   s.now.Add(time.Duration(s.readiness.Int64N(int64(h.set[member].Prepare) * 3 / 2))),
				host: h, member: member, gate: simPrepare, ask: at.round[member],
			})
		}
	case ActionAcquire:
		if asked := at.asked[member]; !asked.IsZero() && s.now.Sub(asked) < h.m[member].settings.Prepare {
			s.broken(fmt.Errorf("%s puts its addresses up after %v, and nothing is behind them", h.name, s.now.Sub(asked)))
		}
		at.up[member] = true
		s.claimed[member] = h
	case ActionAnnounce:
		if !at.up[member] {
			s.broken(fmt.Errorf("%s announces addresses that are not up", h.name))
		}
		s.claimed[member] = h
	case ActionUnready:
		if since := s.now.Sub(at.asked[member]); since < h.m[member].settings.Prepare {
			s.broken(fmt.Errorf("%s gave up after %v", h.name, since))
		}
	case ActionRelease:
		at.up[member], at.asked[member] = false, time.Time{}
		s.questions = slices.DeleteFunc(s.questions, func(q simQuestion) bool {
			return q.host == h && q.member == member && q.gate == simPrepare
		})
	}
}

// ready tells a host that what a member's addresses lead to is ready.
func (s *sim) ready(q simQuestion) {
	at := &q.host.addresses
	if at.round[q.member] != q.ask {
		return
	}
	at.asked[q.member] = time.Time{}
	s.step(q.host, q.member, s.now, Event{Kind: EventReady})
}

func (s *sim) broken(err error) {
	if s.wrong == nil {
		s.wrong = err
	}
}

// checkAddresses looks who has addresses when all is quiet.
func (s *sim) checkAddresses() error {
	for _, h := range s.hosts {
		for m, up := range h.addresses.up {
			if i := h.m[m]; h.alive && (up != (i.State() == Master) || i.Preparing()) {
				return fmt.Errorf("%s is %v of %s, its addresses are up: %v, waiting: %v", h.name, i.State(), i.Name, up, i.Preparing())
			}
		}
	}
	return s.wrong
}
