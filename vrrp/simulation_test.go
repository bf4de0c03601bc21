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

// The simulation: a few routers on one link that loses and delays adverts and falls into parts, and routers that stall, crash, stop and come
// back, all of it decided by a seed. When the link has become quiet, what RFC
// 9568 promises must hold. A router is driven as its owner has to drive it:
// after a stall it reads what has arrived, with the time of arrival, before it
// looks at its timers.

// maxSteps is far more than a seed needs.
const maxSteps = 100_000

type simNode struct {
	i      *Instance
	set    Settings
	addr   netip.Addr
	part   int       // routers hear those of their own part
	alive  bool      // else it has crashed or was stopped
	paused time.Time // stalls until then
	inbox  []simMessage
	sent   map[*simNode]time.Time // when its newest advert arrives at others
	said   uint8                  // the priority of its newest advert, for the trace
}

type simMessage struct {
	at time.Time
	to *simNode
	ev Event
}

type sim struct {
	rng    *rand.Rand
	now    time.Time
	nodes  []*simNode
	air    []simMessage // sent and not yet arrived
	slow   time.Duration
	loss   float64
	delay  time.Duration // the longest
	moves  int           // transitions so far
	steps  int           // events so far
	acts   []Action
	traced bool
	trace  []string
}

func newSim(seed uint64, traced bool) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, traced: traced}
	version := uint8(2 + s.rng.IntN(2))
	common := time.Second
	if version == 3 {
		common = []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}[s.rng.IntN(3)]
	}
	mixed := version == 3 && s.rng.IntN(4) == 0
	for n := range 2 + s.rng.IntN(4) {
		set := Settings{
			VRID: 51, Version: version, AdvertInterval: common, Addresses: addresses, GarpRepeat: 1,
			Priority: []uint8{1, 100, 100, 101, 150, 200, 254}[s.rng.IntN(7)],
			Preempt:  s.rng.IntN(3) > 0,
		}
		if mixed {
			set.AdvertInterval = common * time.Duration(1+s.rng.IntN(4))
		}
		s.slow = max(s.slow, set.AdvertInterval)
		node := &simNode{set: set, addr: netip.AddrFrom4([4]byte{10, 99, 0, byte(n + 1)}), sent: make(map[*simNode]time.Time)}
		s.nodes = append(s.nodes, node)
		s.start(node)
	}
	return s
}

func (s *sim) logf(format string, args ...any) {
	if s.traced {
		s.trace = append(s.trace, fmt.Sprintf("%12v  ", s.now.Sub(epoch))+fmt.Sprintf(format, args...))
	}
}

func (s *sim) start(n *simNode) {
	n.i = New(s.now, n.set)
	n.i.SetSource(n.addr)
	n.alive, n.inbox, n.paused, n.said = true, nil, time.Time{}, 0
	s.logf("%v starts: version %d, priority %d, every %v, preempt %v", n.addr, n.set.Version, n.set.Priority, n.set.AdvertInterval, n.set.Preempt)
	s.step(n, s.now, Event{Kind: EventStart})
}

// step moves one router and carries out what it answers.
func (s *sim) step(n *simNode, at time.Time, ev Event) {
	s.acts = n.i.Step(at, ev, s.acts[:0])
	for _, a := range s.acts {
		switch a.Kind {
		case ActionNotify:
			s.moves++
			s.logf("%v %v -> %v: %v", n.addr, a.Transition.From, a.Transition.To, a.Transition.Cause)
		case ActionAdvert:
			if a.Priority != n.said {
				s.logf("%v says %d", n.addr, a.Priority)
				n.said = a.Priority
			}
			for _, to := range s.nodes {
				if to == n || to.part != n.part || s.rng.Float64() < s.loss {
					continue
				}
				// Late, but what one router sends is not reordered.
				arrival := s.now.Add(time.Duration(s.rng.Int64N(int64(s.delay) + 1)))
				if last := n.sent[to]; arrival.Before(last) {
					arrival = last
				}
				n.sent[to] = arrival
				s.air = append(s.air, simMessage{arrival, to,
					Event{Kind: EventAdvert, Src: n.addr, Priority: a.Priority, Interval: n.set.AdvertInterval}})
			}
		}
	}
}

// next is the earliest thing to happen: an arrival (its index in air) or a
// router that has to act.
func (s *sim) next() (at time.Time, arrival int, node *simNode) {
	arrival = -1
	earlier := func(t time.Time) bool { return at.IsZero() || t.Before(at) }
	for i, m := range s.air {
		if earlier(m.at) {
			at, arrival = m.at, i
		}
	}
	for _, n := range s.nodes {
		if !n.alive {
			continue
		}
		t := n.i.Deadline()
		if len(n.inbox) > 0 && (t.IsZero() || n.paused.Before(t)) {
			t = n.paused
		}
		if t.Before(n.paused) && !t.IsZero() {
			t = n.paused
		}
		if !t.IsZero() && earlier(t) {
			at, arrival, node = t, -1, n
		}
	}
	return at, arrival, node
}

// run lets time pass until a point, or until the condition holds.
func (s *sim) run(d time.Duration, until func() bool) bool {
	end := s.now.Add(d)
	for ; s.steps < maxSteps; s.steps++ {
		if until != nil && until() {
			return true
		}
		at, arrival, node := s.next()
		if at.IsZero() || at.After(end) {
			s.now = end
			return false
		}
		if at.After(s.now) {
			s.now = at
		}
		if arrival >= 0 {
			m := s.air[arrival]
			s.air = slices.Delete(s.air, arrival, arrival+1)
			switch n := m.to; {
			case !n.alive:
			case s.now.Before(n.paused):
				n.inbox = append(n.inbox, m)
			default:
				s.step(n, m.at, m.ev)
			}
			continue
		}
		for _, m := range node.inbox {
			s.step(node, m.at, m.ev)
		}
		node.inbox = node.inbox[:0]
		s.step(node, s.now, Event{Kind: EventTimer})
	}
	return false
}

// chaos does one bad thing.
func (s *sim) chaos() {
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	switch s.rng.IntN(8) {
	case 0:
		s.loss = s.rng.Float64() * 0.6
		s.delay = time.Duration(s.rng.Float64() * float64(s.slow))
		s.logf("link: loss %.2f, delay up to %v", s.loss, s.delay)
	case 1:
		for _, n := range s.nodes {
			n.part = s.rng.IntN(2)
			s.logf("%v is in part %d", n.addr, n.part)
		}
	case 2, 3:
		n.paused = s.now.Add(time.Duration(s.rng.Int64N(int64(8 * s.slow))))
		s.logf("%v stalls until %v", n.addr, n.paused.Sub(epoch))
	case 4:
		s.logf("%v crashes", n.addr)
		n.alive = false
	case 5:
		if n.alive && !s.now.Before(n.paused) {
			s.logf("%v is stopped", n.addr)
			s.step(n, s.now, Event{Kind: EventShutdown, Cause: Cause{Reason: ReasonStopped}})
			n.alive = false
		}
	case 6:
		if !n.alive {
			s.start(n)
		}
	case 7:
		if n.alive && !s.now.Before(n.paused) {
			p := uint8(1 + s.rng.IntN(254))
			s.logf("%v has priority %d", n.addr, p)
			s.step(n, s.now, Event{Kind: EventPriority, Priority: p})
		}
	}
}

func (s *sim) masters(part int) (list []*simNode) {
	for _, n := range s.nodes {
		if n.alive && n.part == part && n.i.State() == Master {
			list = append(list, n)
		}
	}
	return list
}

func (s *sim) backups(part int) (list []*simNode) {
	for _, n := range s.nodes {
		if n.alive && n.part == part && n.i.State() == Backup {
			list = append(list, n)
		}
	}
	return list
}

// check looks at a link that has been quiet for long enough.
func (s *sim) check() error {
	before := s.moves
	s.run(20*s.slow, nil)
	if s.steps >= maxSteps {
		return fmt.Errorf("the routers answer each other without end")
	}
	if s.moves != before {
		return fmt.Errorf("%d transitions without a cause", s.moves-before)
	}
	for part := range 2 {
		masters, backups := s.masters(part), s.backups(part)
		if len(masters)+len(backups) == 0 {
			continue
		}
		if len(masters) != 1 {
			return fmt.Errorf("part %d has %d masters and %d backups", part, len(masters), len(backups))
		}
		for _, b := range backups {
			if b.i.settings.Preempt && b.i.Priority() > masters[0].i.Priority() {
				return fmt.Errorf("%v with priority %d does not preempt %v with %d", b.addr, b.i.Priority(), masters[0].addr, masters[0].i.Priority())
			}
			if m, _ := b.i.Master(); m != masters[0].addr {
				return fmt.Errorf("%v takes %v for the master, which is %v", b.addr, m, masters[0].addr)
			}
		}
	}
	return nil
}

// takeover ends the master of a part, and checks when the next one comes.
func (s *sim) takeover(part int, clean bool) error {
	masters, backups := s.masters(part), s.backups(part)
	if len(masters) != 1 || len(backups) == 0 {
		return nil
	}
	old, from, best := masters[0], s.now, time.Duration(0)
	for _, b := range backups {
		wait := b.i.MasterDownTime()
		if clean {
			wait = SkewTime(b.set.Version, b.i.Priority(), b.i.Interval())
		}
		if best == 0 || wait < best {
			best = wait
		}
	}
	if clean {
		s.step(old, s.now, Event{Kind: EventShutdown, Cause: Cause{Reason: ReasonStopped}})
	}
	old.alive = false
	s.logf("%v ends, clean %v", old.addr, clean)
	// The last advert may have left just before and been late, but not earlier
	// than an interval ago.
	latest, soonest := best+s.delay, best-old.set.AdvertInterval
	if clean {
		soonest = best
	}
	if !s.run(latest+1, func() bool { return len(s.masters(part)) > 0 }) {
		return fmt.Errorf("no takeover within %v", latest)
	}
	if took := s.now.Sub(from); took < soonest {
		return fmt.Errorf("taken over after %v already, the master-down time is %v", took, best)
	}
	return nil
}

// simulate plays one seed.
func simulate(seed uint64, traced bool) (s *sim, err error) {
	s = newSim(seed, traced)
	for range s.rng.IntN(30) {
		s.chaos()
		s.run(time.Duration(s.rng.Int64N(int64(3*s.slow))), nil)
	}
	s.logf("quiet")
	s.loss, s.delay = 0, s.slow/100
	for _, n := range s.nodes {
		if !n.alive && s.rng.IntN(2) == 0 {
			s.start(n)
		}
		n.paused = s.now
	}
	s.run(12*s.slow, nil)
	if err := s.check(); err != nil {
		return s, err
	}
	for _, clean := range []bool{s.rng.IntN(2) == 0, s.rng.IntN(2) == 0} {
		for part := range 2 {
			if err := s.takeover(part, clean); err != nil {
				return s, err
			}
		}
		s.run(12*s.slow, nil)
		if err := s.check(); err != nil {
			return s, err
		}
	}
	// Parts that find each other again agree on one master.
	s.logf("the parts are one")
	for _, n := range s.nodes {
		n.part = 0
	}
	s.run(12*s.slow, nil)
	return s, s.check()
}

func TestSimulation(t *testing.T) {
	seeds := uint64(10000)
	if testing.Short() {
		seeds = 1000
	}
	for seed := range seeds {
		if _, err := simulate(seed, false); err != nil {
			s, err := simulate(seed, true)
			trace := s.trace[max(0, len(s.trace)-100):]
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
	}
}
