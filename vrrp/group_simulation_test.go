package vrrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// The simulation of sync groups: hosts with one router on each of two or three
// links, every link with faults of its own. When all has become quiet, no group
// is split, and on each link there is at most one MASTER.

type groupHost struct {
	g     *Group
	m     []Member
	prio  uint8
	rank  []byte // of its address, by link
	part  []int  // by link
	down  []bool // the interface, by link
	alive bool
}

type groupMessage struct {
	at   time.Time
	to   *groupHost
	link int
	ev   Event
}

type groupSim struct {
	rng    *rand.Rand
	now    time.Time
	links  int
	hosts  []*groupHost
	air    []groupMessage
	loss   float64
	delay  time.Duration
	steady bool // every advert takes the whole delay
	every  time.Duration
	moves  int
	steps  int
	traced bool
	trace  []string
}

func newGroupSim(seed uint64, traced bool) *groupSim {
	s := &groupSim{rng: rand.New(rand.NewPCG(seed, 2)), now: epoch, traced: traced, every: 100 * time.Millisecond}
	s.links = 2 + s.rng.IntN(2)
	s.steady = s.rng.IntN(2) == 0
	// Equal priorities leave the decision to addresses, which need not be in the
	// same order on all links.
	crossed := s.rng.IntN(4) == 0
	for n := range 2 + s.rng.IntN(3) {
		h := &groupHost{prio: []uint8{100, 100, 101, 150, 254}[s.rng.IntN(5)], part: make([]int, s.links), down: make([]bool, s.links)}
		for l := range s.links {
			rank := byte(n + 1)
			if crossed && l == 1 {
				rank = byte(100 - n)
			}
			h.rank = append(h.rank, rank)
		}
		s.hosts = append(s.hosts, h)
		s.start(h, s.rng.IntN(3) > 0)
	}
	return s
}

func (s *groupSim) logf(format string, args ...any) {
	if s.traced {
		s.trace = append(s.trace, fmt.Sprintf("%12v  ", s.now.Sub(epoch))+fmt.Sprintf(format, args...))
	}
}

func (s *groupSim) name(h *groupHost) string { return fmt.Sprintf("host %d", slices.Index(s.hosts, h)) }

func (s *groupSim) start(h *groupHost, preempt bool) {
	h.g, h.m, h.alive = NewGroup(s.now), nil, true
	for l := range s.links {
		i := New(s.now, Settings{VRID: uint8(l + 1), Version: 3, Priority: h.prio, AdvertInterval: s.every, Preempt: preempt,
			Addresses: addresses, GarpRepeat: 1})
		i.SetSource(netip.AddrFrom4([4]byte{10, 99, byte(l), h.rank[l]}))
		h.m = append(h.m, Member{fmt.Sprintf("VI_%d", l), i})
	}
	s.logf("%s starts: priority %d, preempt %v", s.name(h), h.prio, preempt)
	s.take(h, h.g.Regroup(s.now, h.m, nil))
	for l := range s.links {
		ev := Event{Kind: EventStart}
		if h.down[l] {
			ev = Event{Kind: EventFault, Cause: linkDown}
		}
		s.step(h, l, ev)
	}
}

func (s *groupSim) step(h *groupHost, link int, ev Event) { s.take(h, h.g.Step(s.now, link, ev, nil)) }

func (s *groupSim) take(h *groupHost, acts []GroupAction) {
	for _, a := range acts {
		if a.Member < 0 {
			s.logf("%s: group %v -> %v, %s: %v", s.name(h), a.Transition.From, a.Transition.To, a.Transition.Member, a.Transition.Cause)
			continue
		}
		l := a.Member
		switch a.Action.Kind {
		case ActionNotify:
			s.moves++
			t := a.Action.Transition
			s.logf("%s VI_%d %v -> %v: %v", s.name(h), l, t.From, t.To, t.Cause)
		case ActionAdvert:
			for _, to := range s.hosts {
				if to == h || to.part[l] != h.part[l] || h.down[l] || to.down[l] || s.rng.Float64() < s.loss {
					continue
				}
				late := s.delay
				if !s.steady {
					late = time.Duration(s.rng.Int64N(int64(s.delay) + 1))
				}
				s.air = append(s.air, groupMessage{s.now.Add(late), to, l,
					Event{Kind: EventAdvert, Src: h.m[l].source, Priority: a.Action.Priority, Interval: s.every}})
			}
		}
	}
}

func (s *groupSim) run(d time.Duration) {
	end := s.now.Add(d)
	for ; s.steps < maxSteps; s.steps++ {
		var at time.Time
		arrival, link := -1, 0
		var host *groupHost
		for i, m := range s.air {
			if at.IsZero() || m.at.Before(at) {
				at, arrival = m.at, i
			}
		}
		for _, h := range s.hosts {
			for l, m := range h.m {
				if t := m.Deadline(); h.alive && !t.IsZero() && (at.IsZero() || t.Before(at)) {
					at, arrival, host, link = t, -1, h, l
				}
			}
		}
		if at.IsZero() || at.After(end) {
			s.now = end
			return
		}
		if at.After(s.now) {
			s.now = at
		}
		if arrival < 0 {
			s.step(host, link, Event{Kind: EventTimer})
			continue
		}
		m := s.air[arrival]
		s.air = slices.Delete(s.air, arrival, arrival+1)
		if m.to.alive && !m.to.down[m.link] {
			s.step(m.to, m.link, m.ev)
		}
	}
}

func (s *groupSim) chaos() {
	h, l := s.hosts[s.rng.IntN(len(s.hosts))], s.rng.IntN(s.links)
	switch s.rng.IntN(7) {
	case 0:
		s.loss = s.rng.Float64() * 0.6
		s.delay = time.Duration(s.rng.Float64() * float64(s.every))
		s.logf("loss %.2f, delay up to %v", s.loss, s.delay)
	case 1:
		for _, h := range s.hosts {
			h.part[l] = s.rng.IntN(2)
			s.logf("%s is in part %d of link %d", s.name(h), h.part[l], l)
		}
	case 2, 3:
		h.down[l] = !h.down[l]
		s.logf("%s: link %d down %v", s.name(h), l, h.down[l])
		switch {
		case !h.alive:
		case h.down[l]:
			s.step(h, l, Event{Kind: EventFault, Cause: linkDown})
		default:
			s.step(h, l, Event{Kind: EventRecover, Cause: recovered})
		}
	case 4:
		s.logf("%s crashes", s.name(h))
		h.alive = false
	case 5:
		if h.alive {
			s.logf("%s is stopped", s.name(h))
			for l := range s.links {
				s.step(h, l, Event{Kind: EventShutdown, Cause: Cause{Reason: ReasonStopped}})
			}
			h.alive = false
		} else {
			s.start(h, s.rng.IntN(3) > 0)
		}
	case 6:
		if h.alive {
			h.prio = uint8(1 + s.rng.IntN(254))
			s.logf("%s has priority %d", s.name(h), h.prio)
			for l := range s.links {
				s.step(h, l, Event{Kind: EventPriority, Priority: h.prio})
			}
		}
	}
}

func (s *groupSim) check(whole bool) error {
	before := s.moves
	s.run(20 * s.every)
	if s.steps >= maxSteps {
		return fmt.Errorf("the routers answer each other without end")
	}
	if s.moves != before {
		return fmt.Errorf("%d transitions without a cause", s.moves-before)
	}
	masters, able := 0, 0
	type place struct{ link, part int }
	taken := make(map[place]string)
	for _, h := range s.hosts {
		if !h.alive {
			continue
		}
		down := slices.Contains(h.down, true)
		if !down {
			able++
		}
		for l, m := range h.m {
			if m.State() != h.g.State() || down != (m.State() == Fault) {
				return fmt.Errorf("%s is split: VI_%d is %v, the group %v, a link down: %v", s.name(h), l, m.State(), h.g.State(), down)
			}
			if at := (place{l, h.part[l]}); m.State() == Master {
				if taken[at] != "" {
					return fmt.Errorf("link %d has two masters, %s and %s", l, taken[at], s.name(h))
				}
				taken[at] = s.name(h)
			}
		}
		if h.g.State() == Master {
			masters++
		}
	}
	if able > 0 && masters == 0 || whole && masters > 1 {
		return fmt.Errorf("%d of %d hosts are master", masters, able)
	}
	return nil
}

func simulateGroups(seed uint64, traced bool) (s *groupSim, err error) {
	s = newGroupSim(seed, traced)
	for range s.rng.IntN(30) {
		s.chaos()
		s.run(time.Duration(s.rng.Int64N(int64(6 * s.every))))
	}
	s.logf("quiet")
	s.loss, s.delay = 0, s.every/100
	s.run(40 * s.every)
	if err := s.check(false); err != nil {
		return s, err
	}
	s.logf("all links are whole")
	for _, h := range s.hosts {
		for l := range s.links {
			if h.part[l] = 0; h.down[l] {
				h.down[l] = false
				if h.alive {
					s.step(h, l, Event{Kind: EventRecover, Cause: recovered})
				}
			}
		}
	}
	s.run(40 * s.every)
	return s, s.check(true)
}

func TestGroupSimulation(t *testing.T) {
	seeds := uint64(5000)
	if testing.Short() {
		seeds = 500
	}
	for seed := range seeds {
		if _, err := simulateGroups(seed, false); err != nil {
			s, err := simulateGroups(seed, true)
			trace := s.trace[max(0, len(s.trace)-60):]
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
	}
}
