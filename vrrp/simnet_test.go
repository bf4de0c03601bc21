package vrrp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// The model of the simulation: hosts on a few LANs that lose, delay, duplicate
// and reorder adverts, that fall into parts or go deaf in one direction. A host
// has one router, or the members of a sync group, each on a LAN of its own; further
// LANs, if there are any, are heartbeat paths of all of them.

// Far more events than a seed needs, and adverts under way at one time.
const (
	maxSteps = 400_000
	maxAir   = 50_000
)

// simHost is a host and what its owner does for its routers. It is driven as an
// owner has to drive them: after a stall it reads what has arrived, LAN after
// LAN, each with the times of arrival, before it looks at its timers.
type simHost struct {
	name   string
	set    []Settings   // by member
	addr   []netip.Addr // by member, on its own LAN
	m      []Member
	g      *Group // nil: a single router
	alive  bool   // else it has crashed or was stopped
	down   []bool // its interfaces, by LAN
	paused time.Time
	inbox  [][]simMessage // by LAN, during a stall
	ended  time.Time      // when it crashed
	was    []State        // of the members at that time

	gates     simGates
	addresses simAddresses

	reading bool    // the inbox
	said    []uint8 // the newest priority, by member
	told    []bool  // answered during this reading, by member
}

// simMessage is an advert under way.
type simMessage struct {
	at     time.Time
	to     *simHost
	lan    int
	member int
	src    netip.Addr
	adv    Advert
}

// sim is the world of one seed.
type sim struct {
	rng     *rand.Rand
	now     time.Time
	members int // routers of each host, and their LANs
	lans    int // with the heartbeat paths
	grouped bool
	crossed bool // addresses are not in the same order on all LANs
	hosts   []*simHost
	cut     [][][]bool // by LAN, sender and receiver
	air     []simMessage
	newest  map[[4]int]time.Time // by sender, receiver, LAN and member: its newest arrival
	slow    time.Duration        // the longest interval

	loss, dup float64
	delay     time.Duration // the longest
	shuffle   bool          // a later advert may overtake an earlier one
	steady    bool          // every advert takes the whole delay

	gated     bool // hosts have promotion gates
	locked    bool // among them that of the lock
	holder    *simHost
	questions []simQuestion

	claimed   []*simHost // who announced the addresses last, by member
	readiness *rand.Rand
	wrong     error // the first thing that must not happen

	moves  int // transitions so far
	steps  int // events so far
	acts   []Action
	gacts  []GroupAction
	traced bool
	trace  []string
}

func newSim(seed uint64, traced bool) *sim {
	s := &sim{rng: rand.New(rand.NewPCG(seed, 1)), now: epoch, traced: traced, members: 1, newest: make(map[[4]int]time.Time)}
	pick := func(n int) bool { return s.rng.IntN(n) == 0 }
	if s.grouped = pick(3); s.grouped {
		s.members = 2 + s.rng.IntN(2)
	}
	s.lans, s.claimed = s.members, make([]*simHost, s.members)
	if pick(2) {
		s.lans += 1 + s.rng.IntN(2)
	}
	version, common := uint8(3), []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second}[s.rng.IntN(3)]
	if pick(3) {
		version, common = 2, time.Second
	}
	// A version 2 router drops adverts with another interval (RFC 3768 section 7.1);
	// a version 3 one learns it.
	learns, both := !s.grouped && pick(4), pick(12)
	s.crossed = pick(4)
	if both {
		common = time.Second
	}
	hosts := 2 + s.rng.IntN(3)
	if pick(4) {
		hosts = 2 + s.rng.IntN(6)
	}
	for n := range hosts {
		h := &simHost{name: string(rune('A' + n)), down: make([]bool, s.lans)}
		set := Settings{
			Version: version, AdvertInterval: common, Addresses: addresses, GarpRepeat: 1,
			Priority: []uint8{1, 100, 100, 101, 150, 200, 254}[s.rng.IntN(7)],
			Preempt:  s.rng.IntN(3) > 0,
		}
		if pick(4) {
			set.PreemptDelay = time.Duration(s.rng.Int64N(int64(5 * common)))
		}
		if pick(6) {
			set.HigherPrioSilent, set.LowerPrioNoAdvert = pick(2), pick(2)
		}
		if both && pick(3) {
			set.Version, set.AdvertInterval = 5-version, time.Second
		} else if learns && version == 3 {
			set.AdvertInterval = common * time.Duration(1+s.rng.IntN(4))
		}
		s.slow = max(s.slow, set.AdvertInterval)
		for m := range s.members {
			set.VRID = uint8(m + 1)
			h.set = append(h.set, set)
			last := byte(n + 1)
			if s.crossed && m == 1 {
				last = byte(100 - n)
			}
			h.addr = append(h.addr, netip.AddrFrom4([4]byte{10, 99, byte(m), last}))
		}
		s.hosts = append(s.hosts, h)
	}
	for range s.lans {
		var lan [][]bool
		for range s.hosts {
			lan = append(lan, make([]bool, hosts))
		}
		s.cut = append(s.cut, lan)
	}
	s.steady = pick(4)
	s.gate()
	s.prepare(seed)
	s.logf("%d routers a host, %d heartbeat paths, steady delay %v", s.members, s.lans-s.members, s.steady)
	for _, h := range s.hosts {
		s.start(h)
	}
	return s
}

func (s *sim) logf(format string, args ...any) {
	if s.traced {
		s.trace = append(s.trace, fmt.Sprintf("%12v  ", s.now.Sub(epoch))+fmt.Sprintf(format, args...))
	}
}

func (s *sim) index(h *simHost) int { return slices.Index(s.hosts, h) }

// uses says that the adverts of a member go over a LAN.
func (s *sim) uses(member, lan int) bool { return lan == member || lan >= s.members }

// start begins the life of a host. A process that died a moment ago goes on as
// MASTER when no backup can have taken over yet, in a group only as a whole.
func (s *sim) start(h *simHost) {
	resume := h.was != nil
	for m, was := range h.was {
		resume = resume && was == Master && !h.down[m] && s.now.Sub(h.ended)+h.set[m].AdvertInterval < h.set[m].Takeover()
	}
	h.m, h.g, h.alive, h.was, h.paused = nil, nil, true, nil, time.Time{}
	if !resume {
		clear(h.addresses.up)
	}
	clear(h.addresses.asked)
	h.inbox, h.said, h.told = make([][]simMessage, s.lans), make([]uint8, s.members), make([]bool, s.members)
	for m := range s.members {
		i := New(s.now, h.set[m])
		i.SetSource(h.addr[m])
		i.SetGates(s.now, s.gateFor(h, m), nil)
		h.m = append(h.m, Member{fmt.Sprintf("VI_%d", m), i})
	}
	s.logf("%s starts: version %d, priority %d, every %v, preempt %v, resume %v",
		h.name, h.set[0].Version, h.set[0].Priority, h.set[0].AdvertInterval, h.set[0].Preempt, resume)
	if s.grouped {
		h.g = NewGroup(s.now)
		s.takeGroup(h, h.g.Regroup(s.now, h.m, nil))
	}
	for m := range h.m {
		ev := Event{Kind: EventStart}
		switch {
		case h.down[m]:
			ev = Event{Kind: EventFault, Cause: linkDown}
		case resume:
			ev = Event{Kind: EventResume}
		}
		s.step(h, m, s.now, ev)
	}
}

// end is a crash, or a clean stop.
func (s *sim) end(h *simHost, clean bool) {
	s.logf("%s ends, clean %v", h.name, clean)
	h.was = nil
	for m := range h.m {
		if !clean {
			h.was = append(h.was, h.m[m].State())
			continue
		}
		s.step(h, m, s.now, Event{Kind: EventShutdown, Cause: Cause{Reason: ReasonStopped}})
	}
	h.alive, h.ended = false, s.now
	s.forget(h)
}

// plug switches the interface of a host on or off. That of a heartbeat path is
// no reason to give up.
func (s *sim) plug(h *simHost, lan int, down bool) {
	if h.down[lan] == down {
		return
	}
	s.logf("%s: interface of LAN %d down: %v", h.name, lan, down)
	h.down[lan] = down
	switch {
	case !h.alive || lan >= s.members:
	case down:
		s.step(h, lan, s.now, Event{Kind: EventFault, Cause: linkDown})
	default:
		s.step(h, lan, s.now, Event{Kind: EventRecover, Cause: recovered})
	}
}

// step moves one router and carries out what it answers.
func (s *sim) step(h *simHost, member int, at time.Time, ev Event) {
	if h.g != nil {
		s.gacts = h.g.Step(at, member, ev, s.gacts[:0])
		s.takeGroup(h, s.gacts)
		return
	}
	s.acts = h.m[member].Step(at, ev, s.acts[:0])
	for _, a := range s.acts {
		s.take(h, member, a)
	}
}

func (s *sim) takeGroup(h *simHost, acts []GroupAction) {
	for _, a := range acts {
		if a.Member < 0 {
			s.logf("%s: group %v -> %v, %s: %v", h.name, a.Transition.From, a.Transition.To, a.Transition.Member, a.Transition.Cause)
			continue
		}
		s.take(h, a.Member, a.Action)
	}
}

func (s *sim) take(h *simHost, member int, a Action) {
	switch a.Kind {
	case ActionAsk:
		s.ask(h, member, a)
	case ActionUnask:
		s.unask(h, member)
	case ActionPrepare, ActionAcquire, ActionAnnounce, ActionUnready, ActionRelease:
		s.handle(h, member, a)
	case ActionStay:
		s.logf("%s %s stays: %v", h.name, h.m[member].Name, a.Transition.Cause)
	case ActionNotify:
		s.moves++
		s.logf("%s %s %v -> %v: %v", h.name, h.m[member].Name, a.Transition.From, a.Transition.To, a.Transition.Cause)
	case ActionAdvert:
		if h.reading && h.told[member] && h.said[member] == a.Priority {
			return // many adverts that had waited are answered by one
		}
		h.told[member] = true
		if a.Priority != h.said[member] {
			s.logf("%s %s says %d", h.name, h.m[member].Name, a.Priority)
			h.said[member] = a.Priority
		}
		s.send(h, member, a.Priority)
	}
}

// send puts an advert on every path of a router.
func (s *sim) send(h *simHost, member int, priority uint8) {
	set := &h.set[member]
	msg := simMessage{member: member, src: h.addr[member], adv: Advert{
		Version: set.Version, VRID: set.VRID, Priority: priority, Interval: set.AdvertInterval,
	}}
	from := s.index(h)
	for lan := range s.lans {
		if !s.uses(member, lan) || h.down[lan] {
			continue
		}
		msg.lan = lan
		for n, to := range s.hosts {
			if to == h || s.cut[lan][from][n] || s.rng.Float64() < s.loss {
				continue
			}
			msg.to = to
			copies := 1
			if s.rng.Float64() < s.dup {
				copies = 2
			}
			for range copies {
				msg.at = s.now.Add(s.delay)
				if !s.steady {
					msg.at = s.now.Add(time.Duration(s.rng.Int64N(int64(s.delay) + 1)))
				}
				at := [4]int{from, n, lan, member}
				if last := s.newest[at]; msg.at.Before(last) && !s.shuffle {
					msg.at = last
				} else if msg.at.After(last) {
					s.newest[at] = msg.at
				}
				s.air = append(s.air, msg)
			}
		}
	}
}

// hear gives a host an advert, with the time of its arrival.
func (s *sim) hear(h *simHost, m *simMessage) {
	i := h.m[m.member]
	if i.settings.Check(&m.adv, m.src, Group4(), TTL) == DiscardNone {
		s.step(h, m.member, m.at, Event{Kind: EventAdvert, Src: m.src, Priority: m.adv.Priority, Interval: m.adv.Interval})
	}
}

// next is the earliest thing to happen: an arrival (its index in air), an answer
// (-2 and less: its index in questions) or a host that has to act.
func (s *sim) next() (at time.Time, arrival int, host *simHost) {
	arrival = -1
	earlier := func(t time.Time) bool { return !t.IsZero() && (at.IsZero() || t.Before(at)) }
	for i := range s.air {
		if earlier(s.air[i].at) {
			at, arrival = s.air[i].at, i
		}
	}
	for i := range s.questions {
		at2 := s.questions[i].at
		if p := s.questions[i].host.paused; at2.Before(p) {
			at2 = p
		}
		if earlier(at2) {
			at, arrival, host = at2, -2-i, nil
		}
	}
	for _, h := range s.hosts {
		if !h.alive {
			continue
		}
		for lan := range h.inbox {
			if len(h.inbox[lan]) > 0 && earlier(h.paused) {
				at, arrival, host = h.paused, -1, h
			}
		}
		for _, m := range h.m {
			t := m.Deadline()
			if !t.IsZero() && t.Before(h.paused) {
				t = h.paused
			}
			if earlier(t) {
				at, arrival, host = t, -1, h
			}
		}
	}
	return at, arrival, host
}

// run lets time pass until a point, or until the condition holds.
func (s *sim) run(d time.Duration, until func() bool) bool {
	end := s.now.Add(d)
	for ; s.steps < maxSteps; s.steps++ {
		if len(s.air) > maxAir {
			s.steps = maxSteps
			return false
		}
		if until != nil && until() {
			return true
		}
		at, arrival, host := s.next()
		if at.IsZero() || at.After(end) {
			s.now = end
			return false
		}
		if at.After(s.now) {
			s.now = at
		}
		if arrival < -1 {
			q := s.questions[-2-arrival]
			s.questions = slices.Delete(s.questions, -2-arrival, -1-arrival)
			s.answer(q)
			continue
		}
		if arrival < 0 {
			s.wake(host)
			continue
		}
		m := s.air[arrival]
		s.air = slices.Delete(s.air, arrival, arrival+1)
		switch h := m.to; {
		case !h.alive || h.down[m.lan]:
		case s.now.Before(h.paused):
			h.inbox[m.lan] = append(h.inbox[m.lan], m)
		default:
			s.hear(h, &m)
		}
	}
	return false
}

// wake lets a host do what is due: first what has arrived while it stalled, LAN
// after LAN in any order, then its timers.
func (s *sim) wake(h *simHost) {
	s.listen(h)
	for m, i := range h.m {
		if d := i.Deadline(); !d.IsZero() && !d.After(s.now) {
			s.step(h, m, s.now, Event{Kind: EventTimer})
		}
	}
}

// listen reads what has arrived.
func (s *sim) listen(h *simHost) {
	h.reading = true
	clear(h.told)
	first := s.rng.IntN(s.lans)
	for n := range s.lans {
		lan := (first + n) % s.lans
		for i := range h.inbox[lan] {
			s.hear(h, &h.inbox[lan][i])
		}
		h.inbox[lan] = h.inbox[lan][:0]
	}
	h.reading = false
}
