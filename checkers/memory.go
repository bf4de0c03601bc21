package checkers

import (
	"time"

	"director/ipvs"
)

// Memory is what a former process knew of a pool. It spares those who watch a
// second round of "up" reports after a process was replaced; the kernel's table
// decides where the two differ.
type Memory struct {
	State        State
	Since        time.Time
	Reason       string
	GuardedSince time.Time // since when the panic guard kept servers in service; zero: it kept none
	// Expiring is the end of the certificate that the pool warned of, and since when
	// it did; zero: of none.
	Expiring, ExpiringSince time.Time
	// OverdueSince is since when verdicts were missing; zero: none was.
	OverdueSince time.Time
	// Standby says that the pool was kept out of the kernel's table, which
	// therefore decides nothing.
	Standby bool
	Servers map[ipvs.DestKey]ServerMemory // and sorry servers
	// Overrides are in force, whatever the kernel's table holds; Leaving are the
	// servers that leave, as far as it holds them.
	Overrides map[ipvs.DestKey]Override
	Leaving   []Leaving
}

// ServerMemory is what a former process knew of a server.
type ServerMemory struct {
	State  State
	Since  time.Time
	Reason string
	Kept   bool      // in service although it was down
	Ramp   time.Time // when its weight began to rise; zero: it did not
	Checks []CheckMemory
}

// CheckMemory is what a former process knew of a check. Label tells which.
type CheckMemory struct {
	Label          string
	State          State
	Last           Result
	Blind          time.Time // since when it could not be made; zero: it could
	Advice         Advice
	Passed, Failed uint64
	Spent          time.Duration
	Expires        time.Time // of the certificates that were seen
}

// recall sets the states that memory and the kernel's table agree upon. It is
// only called on a new pool.
func (p *Pool) recall(m *Memory) {
	p.guarding, p.guardedSince = !m.GuardedSince.IsZero(), m.GuardedSince
	p.expiring, p.expiringSince = m.Expiring, m.ExpiringSince
	p.overdue, p.overdueSince = !m.OverdueSince.IsZero(), m.OverdueSince
	for _, s := range p.All() {
		known, ok := m.Servers[s.Config.Key]
		if ok {
			if p.overdue && known.State == Unknown && !known.Since.IsZero() {
				s.Since = known.Since // it does not get the time once more
			}
			s.recall(known, p.heldSorry, m.Standby)
		}
	}
	if m.Standby {
		p.quorum.Serving = m.State == Up
		p.heldSorry = m.State == Sorry
	}
	switch {
	case m.State == Up && p.quorum.Serving:
		p.quorum.State, p.quorum.Open = Up, true
	case m.State == Sorry && p.heldSorry, m.State == Down && !p.heldSorry:
		p.quorum.State = Down
	default:
		return
	}
	p.state, p.since, p.reason, p.detail = m.State, m.Since, Resumed, m.Reason
}

// recall takes over a server's state and that of its checks. The kernel's table
// must agree: a down server has no weight there unless it was kept, and an up
// one is, unless a sorry server answers for it. On standby and of a server in maintenance
// the table says nothing.
func (s *Server) recall(m ServerMemory, sorry, standby bool) {
	pairs := s.remembered(m.Checks)
	for c, k := range pairs {
		c.recall(k)
	}
	if s.held == Quiesced && s.Weight() == 0 {
		s.held = In // it has no weight because its checks say so
	}
	in := s.held == In
	agrees := m.State == Up && (in || sorry || s.Sorry) || m.State == Down && (s.heldWeight == 0 || m.Kept)
	if m.State == Unknown || !agrees && !standby && s.override.Order != Maintenance {
		return
	}
	s.State, s.Since, s.Reason, s.Detail = m.State, m.Since, Resumed, m.Reason
	s.Kept, s.ramp = m.Kept, ramp{began: m.Ramp}
	for c, k := range pairs {
		c.Last, c.Spent, c.Health.Passed, c.Health.Failed = k.Last, k.Spent, k.Passed, k.Failed
		if k.State == Up || k.State == Down && m.State == Down {
			c.Health.State, c.Health.Since = k.State, k.Last.At
		}
	}
}

// remembered finds what is known of each check.
func (s *Server) remembered(known []CheckMemory) map[*Check]CheckMemory {
	pairs := make(map[*Check]CheckMemory, len(s.Checks))
	for _, c := range s.Checks {
		for i, k := range known {
			if k.Label == c.Config.Label {
				pairs[c] = k
				known = append(known[:i:i], known[i+1:]...)
				break
			}
		}
	}
	return pairs
}

// recall takes over the certificates that the check has seen, since when it cannot be
// made and what it advised, if it may still advise anything.
func (c *Check) recall(k CheckMemory) {
	c.Expires, c.Blind = k.Expires, k.Blind
	c.warned = !c.Expires.IsZero() // if it was not, the next result has nothing to change
	if !c.Config.Weighs {
		return
	}
	c.Advice, c.heard = k.Advice, k.State != Unknown
	if k.State == Down && k.Advice.Order != Maintenance {
		c.said = Fail
	}
}
