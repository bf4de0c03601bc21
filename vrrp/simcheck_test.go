package vrrp

import (
	"fmt"
	"slices"
)

// What must hold on links that have been quiet for long enough.

// state is that of the host's group, or of its router.
func (h *simHost) state() State {
	if h.g != nil {
		return h.g.State()
	}
	return h.m[0].State()
}

// hears says that a host accepts the adverts of another one.
func (h *simHost) hears(from *simHost) bool {
	set := &from.set[0]
	adv := Advert{Version: set.Version, VRID: set.VRID, Priority: 100, Interval: set.AdvertInterval}
	return h.set[0].Check(&adv, from.addr[0], Group4(), TTL) == DiscardNone
}

// reach says that adverts of one host's member come to that of another, over any path.
func (s *sim) reach(from, to *simHost, member int) bool {
	if !from.alive || !to.alive || !to.hears(from) {
		return false
	}
	a, b := s.index(from), s.index(to)
	for lan := range s.lans {
		if s.uses(member, lan) && !s.cut[lan][a][b] && !from.down[lan] && !to.down[lan] {
			return true
		}
	}
	return false
}

// check lets time pass in which nothing may happen, and looks at the masters.
func (s *sim) check() error {
	before := s.moves
	s.run(20*s.slow, nil)
	if s.steps >= maxSteps {
		return fmt.Errorf("the routers answer each other without end")
	}
	if s.moves != before {
		return fmt.Errorf("%d transitions without a cause", s.moves-before)
	}
	able, masters := 0, 0
	for _, h := range s.hosts {
		if !h.alive {
			continue
		}
		faulty := slices.Contains(h.down[:s.members], true)
		if !faulty {
			able++
		}
		if h.state() == Master {
			masters++
		}
		for m, i := range h.m {
			if i.State() != h.state() || faulty != (i.State() == Fault) {
				return fmt.Errorf("%s is split: %s is %v, the group %v, a link down: %v", h.name, i.Name, i.State(), h.state(), faulty)
			}
			if err := s.checkRouter(h, m); err != nil {
				return err
			}
		}
	}
	if able > 0 && masters == 0 {
		return fmt.Errorf("no master among %d hosts", able)
	}
	if err := s.checkAddresses(); err != nil {
		return err
	}
	return s.checkGates()
}

// checkRouter holds a router against those that it hears.
func (s *sim) checkRouter(h *simHost, member int) error {
	i := h.m[member]
	var master *simHost
	best := -1 // the highest priority among the masters that it hears
	for _, o := range s.hosts {
		if o == h || !s.reach(o, h, member) || o.m[member].State() != Master {
			continue
		}
		if i.State() == Master && s.reach(h, o, member) {
			return fmt.Errorf("%s and %s are both master of %s, and hear each other", h.name, o.name, i.Name)
		}
		best = max(best, int(o.m[member].Priority()))
		if i.master == o.addr[member] {
			master = o
		}
	}
	if i.State() != Backup || i.Wants() {
		return nil // a member that waits for others is ready
	}
	switch {
	case best < 0:
		return fmt.Errorf("%s %s is backup and hears no master", h.name, i.Name)
	case i.settings.Preempt && int(i.Priority()) > best:
		return fmt.Errorf("%s %s with priority %d does not preempt a master with %d", h.name, i.Name, i.Priority(), best)
	case master == nil:
		return fmt.Errorf("%s %s takes %v for the master, which is none", h.name, i.Name, i.master)
	case i.Interval() != master.set[member].AdvertInterval:
		return fmt.Errorf("%s %s waits by %v, its master advertises every %v", h.name, i.Name, i.Interval(), master.set[member].AdvertInterval)
	}
	return nil
}
