package vrrp

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The simulation: what RFC 9568, sync groups and heartbeat paths promise must
// hold whatever has happened before, all of it decided by a seed. A seed that
// fails is played again with
//
//	go test ./vrrp -run TestSimulation -seed N

var (
	simSeed  = flag.Int64("seed", -1, "play this seed of the simulation alone, and print its trace")
	simSeeds = flag.Uint64("seeds", 0, "how many seeds of the simulation to play")
)

// simLimit bounds the wall time of the simulation. Thousands of seeds take a few
// seconds; a state machine that never comes to rest is found by maxSteps before.
const simLimit = 8 * time.Minute

func TestSimulation(t *testing.T) {
	if *simSeed >= 0 {
		s, err := simulate(uint64(*simSeed), true)
		t.Log("\n" + strings.Join(s.trace, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	seeds := uint64(3000)
	switch {
	case *simSeeds > 0:
		seeds = *simSeeds
	case testing.Short():
		seeds = 1000
	}
	began, steps := time.Now(), 0
	for seed := range seeds {
		s, err := simulate(seed, false)
		if err != nil {
			s, err := simulate(seed, true)
			trace := s.trace[max(0, len(s.trace)-100):]
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
		steps += s.steps
		if time.Since(began) > simLimit {
			t.Fatalf("only %d of %d seeds in %v", seed, seeds, simLimit)
		}
	}
	t.Logf("%d seeds, %d events in %v", seeds, steps, time.Since(began).Round(time.Millisecond))
}

// simulate plays one seed.
func simulate(seed uint64, traced bool) (*sim, error) {
	s := newSim(seed, traced)
	for range s.rng.IntN(30) {
		s.chaos()
		s.run(time.Duration(s.rng.Int64N(int64(4*s.slow))), nil)
	}
	// The links are quiet, but what is broken may stay broken.
	s.calm()
	for _, h := range s.hosts {
		if !h.alive && s.rng.IntN(2) == 0 {
			s.start(h)
		}
	}
	s.rest()
	if err := s.check(); err != nil {
		return s, fmt.Errorf("quiet: %w", err)
	}
	s.heal()
	if err := s.settled("healed"); err != nil {
		return s, err
	}
	for range 2 {
		if err := s.takeover(); err != nil {
			return s, err
		}
		if err := s.settled("after a takeover"); err != nil {
			return s, err
		}
	}
	for range 2 {
		if err := s.stall(); err != nil {
			return s, fmt.Errorf("stall: %w", err)
		}
		if err := s.settled("after a stall"); err != nil {
			return s, err
		}
	}
	if err := s.reload(); err != nil {
		return s, err
	}
	if err := s.flap(); err != nil {
		return s, fmt.Errorf("flap: %w", err)
	}
	if s.lans > s.members {
		if err := s.sidePaths(); err != nil {
			return s, fmt.Errorf("heartbeat: %w", err)
		}
	}
	return s, nil
}

// chaos does one bad thing.
func (s *sim) chaos() {
	n := s.rng.IntN(len(s.hosts))
	h, lan := s.hosts[n], s.rng.IntN(s.lans)
	able := h.alive && !s.now.Before(h.paused)
	switch s.rng.IntN(16) {
	case 0:
		s.loss, s.dup, s.shuffle = s.rng.Float64()*0.6, s.rng.Float64()*0.3, s.rng.IntN(2) == 0
		s.delay = time.Duration(s.rng.Float64() * float64(s.slow))
		s.logf("links: loss %.2f, twice %.2f, delay up to %v, any order %v", s.loss, s.dup, s.delay, s.shuffle)
	case 1:
		part := s.rng.Uint32()
		s.logf("LAN %d falls into parts %b", lan, part&(1<<len(s.hosts)-1))
		for a := range s.hosts {
			for b := range s.hosts {
				s.cut[lan][a][b] = part>>a&1 != part>>b&1
			}
		}
	case 2:
		to := s.rng.IntN(len(s.hosts))
		s.cut[lan][n][to] = !s.cut[lan][n][to]
		s.logf("LAN %d from %s to %s broken: %v", lan, h.name, s.hosts[to].name, s.cut[lan][n][to])
	case 3, 4:
		h.paused = s.now.Add(time.Duration(s.rng.Int64N(int64(8 * s.slow))))
		s.logf("%s stalls until %v", h.name, h.paused.Sub(epoch))
	case 5:
		if h.alive {
			s.end(h, false)
		}
	case 6:
		if able {
			s.end(h, true)
		}
	case 7, 8:
		if !h.alive {
			s.start(h)
		}
	case 9:
		if able {
			p := uint8(1 + s.rng.IntN(254))
			s.logf("%s has priority %d", h.name, p)
			for m := range h.m {
				s.step(h, m, s.now, Event{Kind: EventPriority, Priority: p})
			}
		}
	case 10, 11:
		if able || !h.alive {
			s.plug(h, lan, !h.down[lan])
		}
	case 12:
		if able {
			s.reconfigure(h)
		}
	case 14, 15:
		if s.gated {
			s.shift(h)
		}
	case 13:
		if h.alive && s.rng.IntN(2) == 0 {
			s.end(h, false)
			s.run(time.Duration(s.rng.Int64N(int64(s.slow))), nil)
			s.start(h)
		}
	}
}

// reconfigure changes the configuration of a running host.
func (s *sim) reconfigure(h *simHost) {
	set := h.set[0]
	switch s.rng.IntN(4) {
	case 0:
		set.Preempt = !set.Preempt && !s.locked
	case 1:
		set.Priority = uint8(1 + s.rng.IntN(254))
	case 2:
		set.Addresses = addresses[:1+s.rng.IntN(len(addresses))]
	case 3:
		if set.Version == 3 && !s.grouped {
			set.AdvertInterval = max(10*time.Millisecond, (s.slow / time.Duration(1+s.rng.IntN(4))).Truncate(10*time.Millisecond))
		}
	}
	s.logf("%s is configured: priority %d, every %v, preempt %v, %d addresses", h.name, set.Priority, set.AdvertInterval, set.Preempt, len(set.Addresses))
	for m := range h.m {
		set.VRID = uint8(m + 1)
		h.set[m] = set
		h.m[m].Reconfigure(s.now, set)
		s.step(h, m, s.now, Event{Kind: EventPriority, Priority: set.Priority})
	}
}

// calm makes the links good; they stay cut where they are.
func (s *sim) calm() {
	s.logf("quiet")
	s.loss, s.dup, s.delay, s.shuffle = 0, s.rng.Float64()*0.3, s.slow/100, s.rng.IntN(2) == 0
	for _, h := range s.hosts {
		if s.now.Before(h.paused) {
			h.paused = s.now
		}
		h.gates.reference = Passed
	}
}

// heal repairs everything but what has crashed.
func (s *sim) heal() {
	s.logf("all links are whole")
	for _, lan := range s.cut {
		for _, row := range lan {
			clear(row)
		}
	}
	for _, h := range s.hosts {
		for lan := range h.down {
			s.plug(h, lan, false)
		}
	}
}

// rest gives the routers time to agree. A group needs more of it: its members
// wait for each other.
func (s *sim) rest() {
	if s.grouped {
		s.run(40*s.slow, nil)
	} else {
		s.run(12*s.slow, nil)
	}
	if s.gated {
		s.run(10*s.slow, nil)
	}
}

// settled checks the hosts when all links are whole.
func (s *sim) settled(when string) error {
	s.rest()
	if err := s.check(); err != nil {
		return fmt.Errorf("%s: %w", when, err)
	}
	return nil
}

// skewTime is that of RFC 9568 and RFC 3768 section 6.1, written anew.
func skewTime(s, master *Settings, priority uint8) time.Duration {
	if s.Version == 2 {
		return time.Second - time.Duration(priority)*time.Second/256
	}
	return master.AdvertInterval - time.Duration(priority)*master.AdvertInterval/256
}

// takeover ends the master of one version, and checks when the next one comes.
func (s *sim) takeover() error {
	for _, old := range s.hosts {
		if !old.alive || old.m[0].State() != Master {
			continue
		}
		way := s.rng.IntN(3) // crash, clean stop, link down
		if way == 2 && s.lans == s.members {
			way = 0
		}
		said := way > 0 // good-bye
		var best, down, gates time.Duration
		for _, b := range s.hosts {
			if b == old || !b.alive || !b.hears(old) {
				continue
			}
			// The members of a group wait for the last of them.
			var wait, long time.Duration
			for m, i := range b.m {
				skew := skewTime(&b.set[m], &old.set[m], i.Priority())
				w := 3*old.set[m].AdvertInterval + skew
				long = max(long, w)
				if said && (way == 1 || m == 0) {
					w = skew
				}
				wait = max(wait, w)
			}
			if best == 0 || wait < best {
				best, down = wait, long
			}
			gates = max(gates, b.gateTime())
		}
		if best == 0 {
			continue
		}
		from, air := s.now, len(s.air)
		if way == 2 {
			s.plug(old, 0, true)
		} else {
			s.end(old, way == 1)
		}
		// The last advert may have left just before and been late, but not earlier
		// than an interval ago.
		latest, soonest := best+s.delay, best-old.set[0].AdvertInterval
		if said && !s.grouped {
			soonest = best
			if air > 0 {
				// An advert that the good-bye overtook, on its LAN or on another one, takes
				// it back.
				latest = down + s.delay
			}
		}
		if s.grouped {
			// Members whose timers ran out while another one waited run anew.
			latest += down
			soonest = 0
		}
		latest += gates
		if s.locked { // another one may have had the lock before, and then been kept
			latest += gates + 2*s.slow
		}
		next := func() bool {
			for _, h := range s.hosts {
				if h != old && h.alive && h.set[0].Version == old.set[0].Version && h.state() == Master {
					return true
				}
			}
			return false
		}
		if !s.run(latest+1, next) {
			return fmt.Errorf("no takeover from %s within %v", old.name, latest)
		}
		if took := s.now.Sub(from); took < soonest {
			return fmt.Errorf("taken over from %s after %v already, the master-down time is %v", old.name, took, best)
		}
		s.rest()
		if way == 2 {
			s.plug(old, 0, false)
		}
		return nil
	}
	return nil
}

// stall stops one host for a while. A backup that reads what has come meanwhile
// has missed nothing, whatever path it reads first and even if one of them broke
// in between. A master is replaced if it stalled too long, once, and either
// follows or takes over again.
func (s *sim) stall() error {
	h := s.hosts[s.rng.IntN(len(s.hosts))]
	if !h.alive {
		return nil
	}
	was, before := h.state(), s.moves
	h.paused = s.now.Add(time.Duration(s.rng.Int64N(int64(8 * s.slow))))
	s.logf("%s stalls as %v until %v", h.name, was, h.paused.Sub(epoch))
	s.run(time.Duration(s.rng.Int64N(int64(h.paused.Sub(s.now)+1))), nil)
	broken := s.lans > s.members && s.rng.IntN(2) == 0
	if broken {
		s.sever(s.rng.IntN(s.lans - 1))
	}
	s.rest()
	moved := s.moves - before
	if broken {
		s.heal()
	}
	if was != Master && moved > 0 {
		return fmt.Errorf("%d transitions because %s stalled as %v", moved, h.name, was)
	}
	// One takes over, and the other one of the two goes back, if not both. Gates may
	// delay the best, so that another is first.
	if moved > 3 && !s.grouped && !s.gated && s.ranked() {
		return fmt.Errorf("%d transitions because a master stalled", moved)
	}
	// Whoever is next becomes MASTER; then this one goes back, or that one does.
	// Several of equal rank may be next at once, and each of them goes back.
	// With equal priorities a group may win on one LAN and lose on another, and
	// then tries again.
	most := 2 * len(s.hosts) * s.members
	if s.grouped && s.crossed {
		most *= 4
	}
	if was == Master && moved > most {
		return fmt.Errorf("%d transitions because a master stalled, %d are enough", moved, most)
	}
	return nil
}

// ranked says that the priorities are so far apart that one backup is always first.
func (s *sim) ranked() bool {
	for i, h := range s.hosts {
		for _, o := range s.hosts[:i] {
			if d := int(h.m[0].Priority()) - int(o.m[0].Priority()); h.alive && o.alive && -8 < d && d < 8 {
				return false
			}
		}
	}
	return true
}

// reload changes of a backup what must move nobody: the addresses, and the
// interval, for a backup waits by that of its master.
func (s *sim) reload() error {
	h := s.hosts[s.rng.IntN(len(s.hosts))]
	if !h.alive || h.state() != Backup {
		return nil
	}
	before := s.moves
	for m, set := range h.set {
		set.Addresses = addresses[:1]
		if set.Version == 3 {
			set.AdvertInterval = 10 * time.Millisecond
		}
		h.m[m].Reconfigure(s.now, set)
	}
	s.logf("%s is configured otherwise", h.name)
	s.rest()
	if s.moves != before {
		return fmt.Errorf("%d transitions because %s was configured otherwise", s.moves-before, h.name)
	}
	for m, set := range h.set {
		h.m[m].Reconfigure(s.now, set)
	}
	return s.settled("after a reload")
}

// flap lets the LANs fall into two parts for a while. Whoever is MASTER when they
// are whole has announced the addresses last, so that clients find it.
//
// Groups that win on one LAN and lose on another may all have gone back when the
// LANs are whole: then nobody knows, until announcements are refreshed.
func (s *sim) flap() error {
	if s.grouped && s.crossed {
		return nil
	}
	for _, h := range s.hosts {
		if h.set[0].HigherPrioSilent || h.set[0].Version != s.hosts[0].set[0].Version {
			return nil
		}
	}
	for _, h := range s.hosts {
		for m := range h.m {
			if h.alive && h.m[m].State() == Master {
				s.claimed[m] = h
			}
		}
	}
	part := s.rng.Uint32()
	s.logf("all LANs fall into parts %b", part&(1<<len(s.hosts)-1))
	for _, lan := range s.cut {
		for a := range s.hosts {
			for b := range s.hosts {
				lan[a][b] = part>>a&1 != part>>b&1
			}
		}
	}
	s.run(time.Duration(s.rng.Int64N(int64(8*s.slow))), nil)
	first := s.rng.IntN(s.members)
	if s.rng.IntN(2) == 0 { // the LAN of one member is whole before the others
		for _, row := range s.cut[first] {
			clear(row)
		}
		s.logf("LAN %d is whole", first)
		s.run(time.Duration(s.rng.Int64N(int64(4*s.slow))), nil)
	}
	s.heal()
	if err := s.settled("healed"); err != nil {
		return err
	}
	for _, h := range s.hosts {
		for m := range h.m {
			if h.alive && h.m[m].State() == Master && s.claimed[m] != h {
				return fmt.Errorf("%s is master of %s, but %s announced the addresses last", h.name, h.m[m].Name, s.claimed[m].name)
			}
		}
	}
	return nil
}

// sidePaths breaks the routers' own LANs: nothing must happen as long as one
// heartbeat path is whole. Then that one breaks too, and all find each other again.
func (s *sim) sidePaths() error {
	whole := s.members + s.rng.IntN(s.lans-s.members)
	s.logf("LAN %d alone is whole", whole)
	before := s.moves
	for lan := range s.cut {
		if lan != whole {
			s.sever(lan)
		}
	}
	if err := s.settled("one path is left"); err != nil {
		return err
	}
	if s.moves != before {
		return fmt.Errorf("%d transitions although one path is whole", s.moves-before)
	}
	if err := s.takeover(); err != nil {
		return err
	}
	if err := s.settled("one path is left, after a takeover"); err != nil {
		return err
	}
	s.logf("no path is left")
	s.sever(whole)
	if err := s.settled("no path is left"); err != nil {
		return err
	}
	s.heal()
	return s.settled("healed again")
}

// sever breaks a LAN between all hosts, or in one direction of each two.
func (s *sim) sever(lan int) {
	oneWay := s.rng.IntN(3) == 0
	for a, row := range s.cut[lan] {
		for b := range row {
			row[b] = a != b && (!oneWay || a < b)
		}
	}
}
