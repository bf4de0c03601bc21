package checkers

import (
	"fmt"
	"slices"
	"time"

	"director/ipvs"
)

// PoolConfig is one virtual service with its real servers. The keys of the
// servers differ from each other.
type PoolConfig struct {
	Name               string
	Service            ipvs.Service
	Quorum, Hysteresis int
	// PanicThreshold is the share of the weight, in hundredths, that bad verdicts
	// leave in service. 0: no guard.
	PanicThreshold int
	Sorry          []ServerConfig // answer without a quorum, the first that is well; none has weight 0
	Servers        []ServerConfig
	// DrainOnRemove is for how long at most a server that is taken out of the
	// configuration keeps its connections; 0: not at all.
	DrainOnRemove time.Duration
	// Moved says, to Apply, that the virtual service is at another address than before, or
	// not in the table: none of its former servers serves it for a while.
	Moved bool
}

// Pool is a virtual service with the health of its servers. It is not safe for
// concurrent use.
type Pool struct {
	config   PoolConfig
	servers  []*Server // in the configuration's order
	sorry    []*Server // likewise
	leaving  []Leaving
	relieved []Leaving // since somebody asked
	quorum   Quorum

	state  State
	since  time.Time
	reason Reason
	detail string

	heldSorry    bool    // a sorry server was found in service; counts while state is Unknown
	answers      *Server // the sorry server that answers in place of the pool; nil: none
	guarding     bool    // the panic guard keeps servers in service
	distrust     bool    // it would, had nobody drained anything
	guardedSince time.Time

	expiring      time.Time // the end of the certificate that is warned of; zero: none is
	expiringSince time.Time

	overdue      bool // verdicts about servers have been missing for too long
	overdueSince time.Time
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
		switch {
		case have != nil:
			d, present := have.Dests[ipvs.CanonicalDest(s.Config.Key)]
			s.adopt(d.Weight, present)
			p.quorum.Serving = p.quorum.Serving || d.Weight > 0
		case s.Config.StartsIn:
			s.trust()
			p.quorum.Serving = true
		}
	}
	for _, s := range p.servers { // what comes to those that serve comes slowly
		s.ramp.due = have != nil && p.quorum.Serving && s.held != In
	}
	p.adoptSorry(have, memory, now)
	if memory != nil {
		p.recallFormer(memory.Leaving, have)
		p.recall(memory)
		p.recallLeaving(memory.Leaving, have)
	}
	return p, p.settle(now)
}

// configure makes the servers of cfg out of those there are and new ones.
func (p *Pool) configure(cfg PoolConfig) {
	p.config = cfg
	p.quorum.Need, p.quorum.Hysteresis = cfg.Quorum, cfg.Hysteresis
	p.servers = arrange(p.servers, cfg.Servers)
	p.sorry = arrange(p.sorry, cfg.Sorry)
	for _, s := range p.sorry {
		s.Sorry = true
	}
}

// arrange makes a list of servers out of those there are and new ones.
func arrange(have []*Server, want []ServerConfig) []*Server {
	old := make(map[ipvs.DestKey]*Server, len(have))
	for _, s := range have {
		old[s.Config.Key] = s
	}
	list := make([]*Server, len(want))
	for i, cfg := range want {
		s := old[cfg.Key]
		if s == nil {
			s = &Server{}
		}
		delete(old, cfg.Key)
		s.reconfigure(cfg)
		list[i] = s
	}
	return list
}

// Apply puts another configuration in force and returns the changes that
// follow. Servers whose address is in both, and their checks that ask the same
// as before, keep their health; new servers start out of the pool, or where their
// configuration says. What leaves the configuration and served goes on doing so while
// the pool lacks its quorum and new servers may still bring it (see Leaving).
func (p *Pool) Apply(cfg PoolConfig, now time.Time) []Change {
	serves := slices.ContainsFunc(p.servers, func(s *Server) bool { return p.Place(s) == In })
	stood := p.standing()
	p.configure(cfg)
	for _, s := range p.All() {
		if s.Since.IsZero() {
			s.Since, s.ramp.due = now, serves
			if s.Config.StartsIn {
				s.trust()
			}
		}
	}
	p.depart(now, stood)
	p.quorum.Open = p.quorum.State == Up
	return p.settle(now)
}

// settle brings every server and the pool in line with the checks.
func (p *Pool) settle(now time.Time) []Change {
	var changes []Change
	for _, s := range p.All() {
		if c, ok := s.settle(now); ok {
			changes = append(changes, c)
		}
	}
	return p.certify(now, p.judge(now, changes))
}

// Step counts a result of one of the pool's checks and returns the changes that
// follow: none, the server's, or the server's and the pool's. A change of the
// server's weight alone has the same state on both sides.
func (p *Pool) Step(now time.Time, s *Server, c *Check, r Result) []Change {
	certificates, sight := c.see(now, r), c.observe(now, r)
	changes := p.count(now, s, c, r)
	if sight && p.overdue && len(changes) == 0 {
		changes = p.judge(now, nil)
	}
	if certificates {
		changes = p.certify(now, changes)
	}
	return changes
}

// count does Step but for the certificates.
func (p *Pool) count(now time.Time, s *Server, c *Check, r Result) []Change {
	c.Last = r
	c.Spent += r.Duration
	before, place, dismissed := s.Weight(), p.Place(s), s.dismissed()
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
	if len(changes) == 0 && s.dismissed() == dismissed {
		return nil
	}
	return p.judge(now, changes)
}

// judge evaluates what follows from the states of the servers, and appends the
// changes that it brings: which servers stay in service although they are down,
// whether there is a quorum, which sorry server answers, whose weight rises.
func (p *Pool) judge(now time.Time, changes []Change) []Change {
	changes = p.await(now, changes)
	changes = p.guard(now, changes)
	p.relieve(now)
	changes = p.judgeQuorum(now, changes)
	changes = p.chooseSorry(changes)
	changes, _ = p.warm(now, changes)
	return changes
}

// judgeQuorum appends the change of the pool's own state, if there is one.
func (p *Pool) judgeQuorum(now time.Time, changes []Change) []Change {
	w := p.Weights()
	p.quorum.Step(w)
	to := p.quorum.State
	if to == Down && p.mayApologize() {
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
		case s.State == Unknown && !s.overdue:
			w.Pending += weight
		}
	}
	for _, l := range p.leaving {
		w.Former += int(l.Dest.Weight)
	}
	return w
}

// Place returns where a server of the pool should stand in the kernel's table.
//
// Without a sorry server that is well, what is healthy of a pool that lost its
// quorum goes on serving; with one, it alone serves.
func (p *Pool) Place(s *Server) Place {
	if place, is := p.ordered(s); is {
		return place
	}
	place := Out
	switch {
	case s.Sorry:
		if s == p.answers {
			return In
		}
	case s.serving() || s.Kept:
		place = In
	case s.State == Unknown:
		return s.held
	}
	if place == In && p.answers == nil {
		return In
	}
	if s.Config.Inhibit {
		return Quiesced
	}
	return Out
}

// Entry returns what should stand in the kernel's table.
func (p *Pool) Entry() *ipvs.Entry {
	e := &ipvs.Entry{Service: p.config.Service, Dests: make(map[ipvs.DestKey]ipvs.Destination, len(p.servers)+len(p.leaving)+len(p.sorry))}
	for _, l := range p.leaving {
		d := l.Dest
		if p.answers != nil { // in the place of all others
			d.Weight = 0
		}
		e.Dests[l.Key] = d
	}
	for _, s := range p.All() {
		d := s.Config.Dest
		switch p.Place(s) {
		case Out:
			continue
		case Quiesced:
			d.Weight = 0
		default:
			d.Weight = s.RampedWeight()
		}
		e.Dests[s.Config.Key] = d
	}
	return e
}

// Pending says whether the server waits for its first verdict outside the pool, or
// in it on trust, so that its checks should be made quickly.
func (p *Pool) Pending(s *Server) bool {
	return s.State == Unknown && (p.Place(s) != In || s.trusted)
}

// Config returns the configuration in force.
func (p *Pool) Config() PoolConfig { return p.config }

// Servers returns the servers in the configuration's order. A server stays the
// same value, and so do its checks, for as long as it stays in the configuration.
func (p *Pool) Servers() []*Server { return p.servers }

// SorryServers returns the sorry servers by preference, under the same promise.
func (p *Pool) SorryServers() []*Server { return p.sorry }

// All returns the servers and after them the sorry servers.
func (p *Pool) All() []*Server {
	if len(p.sorry) == 0 {
		return p.servers
	}
	return slices.Concat(p.servers, p.sorry)
}

// State returns the pool's state, since when it has it, and why.
func (p *Pool) State() (state State, since time.Time, reason string) {
	return p.state, p.since, why(p.reason, p.detail)
}
