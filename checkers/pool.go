package checkers

import (
	"fmt"
	"time"

	"director/ipvs"
)

// SorryConfig is the server that answers when a pool has no quorum.
type SorryConfig struct {
	Key  ipvs.DestKey
	Dest ipvs.Destination
}

// PoolConfig is one virtual service with its real servers. The keys of the
// servers differ from each other.
type PoolConfig struct {
	Name               string
	Service            ipvs.Service
	Quorum, Hysteresis int
	Sorry              *SorryConfig
	Servers            []ServerConfig
	// DrainOnRemove is for how long at most a server that is taken out of the
	// configuration keeps its connections; 0: not at all.
	DrainOnRemove time.Duration
}

// Pool is a virtual service with the health of its servers. It is not safe for
// concurrent use.
type Pool struct {
	config  PoolConfig
	servers []*Server // in the configuration's order
	leaving []Leaving
	quorum  Quorum

	state  State
	since  time.Time
	reason Reason
	detail string

	heldSorry bool // the sorry server was found in service; counts while state is Unknown
}

// NewPool makes a pool out of its configuration, what the kernel's table holds
// for it now (nil: nothing), and what a former process knew (nil: nothing), and
// returns the changes that follow at once.
func NewPool(cfg PoolConfig, have *ipvs.Entry, memory *Memory, now time.Time) (*Pool, []Change) {
	p := &Pool{since: now}
	p.configure(cfg)
	for _, s := range p.servers {
		s.Since = now
		if memory != nil {
			s.override = memory.Overrides[s.Config.Key]
		}
		if have != nil {
			d, present := have.Dests[ipvs.CanonicalDest(s.Config.Key)]
			s.adopt(d.Weight, present)
			p.quorum.Serving = p.quorum.Serving || d.Weight > 0
		}
	}
	if have != nil && cfg.Sorry != nil && !p.quorum.Serving {
		_, p.heldSorry = have.Dests[ipvs.CanonicalDest(cfg.Sorry.Key)]
	}
	if memory != nil {
		p.recall(memory)
		p.recallLeaving(memory.Leaving, have)
	}
	return p, p.settle(now)
}

// configure makes the servers of cfg out of those there are and new ones.
func (p *Pool) configure(cfg PoolConfig) {
	old := make(map[ipvs.DestKey]*Server, len(p.servers))
	for _, s := range p.servers {
		old[s.Config.Key] = s
	}
	p.config = cfg
	p.quorum.Need, p.quorum.Hysteresis = cfg.Quorum, cfg.Hysteresis
	p.servers = make([]*Server, len(cfg.Servers))
	for i, want := range cfg.Servers {
		s := old[want.Key]
		if s == nil {
			s = &Server{}
		}
		delete(old, want.Key)
		s.reconfigure(want)
		p.servers[i] = s
	}
}

// Apply puts another configuration in force and returns the changes that
// follow. Servers whose address is in both, and their checks that ask the same
// as before, keep their health; new servers start out of the pool.
func (p *Pool) Apply(cfg PoolConfig, now time.Time) []Change {
	stood := p.standing()
	p.configure(cfg)
	p.depart(now, stood)
	for _, s := range p.servers {
		if s.Since.IsZero() {
			s.Since = now
		}
	}
	return p.settle(now)
}

// settle brings every server and the pool in line with the checks.
func (p *Pool) settle(now time.Time) []Change {
	var changes []Change
	for _, s := range p.servers {
		if c, ok := s.settle(now); ok {
			changes = append(changes, c)
		}
	}
	return p.judge(now, changes)
}

// Step counts a result of one of the pool's checks and returns the changes that
// follow: none, the server's, or the server's and the pool's. A change of the
// server's weight alone has the same state on both sides.
func (p *Pool) Step(now time.Time, s *Server, c *Check, r Result) []Change {
	c.Last = r
	c.Spent += r.Duration
	before, place := s.Weight(), p.Place(s)
	in := place == In || place == Quiesced && s.override.Order == Drain
	var changes []Change
	if c.Health.Step(now, c.heed(r), in) {
		if change, ok := s.settle(now); ok {
			changes = append(changes, change)
		}
	}
	if after := s.Weight(); after != before && len(changes) == 0 {
		changes = append(changes, Change{Server: s.Config.Name, From: s.State, To: s.State, Reason: WeightChanged,
			Detail: fmt.Sprintf("%d, was %d; %s", after, before, s.advised())})
	}
	if len(changes) == 0 {
		return nil
	}
	return p.judge(now, changes)
}

// judge evaluates the quorum and appends the pool's own change, if there is one.
func (p *Pool) judge(now time.Time, changes []Change) []Change {
	w := p.Weights()
	p.quorum.Step(w)
	to := p.quorum.State
	if to == Down && p.config.Sorry != nil {
		to = Sorry
	}
	if to == p.state {
		return changes
	}
	change := Change{From: p.state, To: to, Reason: QuorumLost,
		Detail: fmt.Sprintf("healthy weight %d, %d needed", w.Up, p.quorum.Gain())}
	switch {
	case to == Up:
		change.Reason = QuorumGained
	case p.state == Down || p.state == Sorry:
		change.Reason = SorryChanged
	case p.state == Up || p.quorum.Serving:
		change.Detail = fmt.Sprintf("healthy weight %d, %d needed", w.Up+w.Held, p.quorum.Keep())
	}
	p.state, p.since, p.reason, p.detail = to, now, change.Reason, change.Detail
	return append(changes, change)
}

// Weights returns the sums that the quorum is judged by.
func (p *Pool) Weights() Weights {
	var w Weights
	for _, s := range p.servers {
		weight := int(s.Weight())
		switch {
		case s.State == Up:
			w.Up += weight
		case s.State == Unknown && s.held == In:
			w.Held += weight
		case s.State == Unknown:
			w.Pending += weight
		}
	}
	return w
}

// sorryIn says whether the sorry server answers in place of the pool.
func (p *Pool) sorryIn() bool {
	return p.state == Sorry || p.state == Unknown && p.heldSorry && p.config.Sorry != nil
}

// Place returns where a server of the pool should stand in the kernel's table.
//
// Without a sorry server, what is healthy of a pool that lost its quorum goes on
// serving; with one, it alone serves.
func (p *Pool) Place(s *Server) Place {
	if place, is := s.ordered(); is {
		return place
	}
	place := Out
	switch {
	case s.serving():
		place = In
	case s.State == Unknown:
		return s.held
	}
	if place == In && !p.sorryIn() {
		return In
	}
	if s.Config.Inhibit {
		return Quiesced
	}
	return Out
}

// Entry returns what should stand in the kernel's table.
func (p *Pool) Entry() *ipvs.Entry {
	e := &ipvs.Entry{Service: p.config.Service, Dests: make(map[ipvs.DestKey]ipvs.Destination, len(p.servers)+len(p.leaving)+1)}
	for _, l := range p.leaving {
		e.Dests[l.Key] = l.Dest
	}
	for _, s := range p.servers {
		d := s.Config.Dest
		switch p.Place(s) {
		case Out:
			continue
		case Quiesced:
			d.Weight = 0
		default:
			d.Weight = s.Weight()
		}
		e.Dests[s.Config.Key] = d
	}
	if p.sorryIn() {
		e.Dests[p.config.Sorry.Key] = p.config.Sorry.Dest
	}
	return e
}

// Pending says whether the server waits for its first verdict outside the pool,
// so that its checks should be made quickly.
func (p *Pool) Pending(s *Server) bool { return s.State == Unknown && p.Place(s) != In }

// Config returns the configuration in force.
func (p *Pool) Config() PoolConfig { return p.config }

// Servers returns the servers in the configuration's order. A server stays the
// same value, and so do its checks, for as long as it stays in the configuration.
func (p *Pool) Servers() []*Server { return p.servers }

// State returns the pool's state, since when it has it, and why.
func (p *Pool) State() (state State, since time.Time, reason string) {
	return p.state, p.since, why(p.reason, p.detail)
}

// SorryIn reports whether the sorry server answers in place of the pool.
func (p *Pool) SorryIn() bool { return p.sorryIn() }
