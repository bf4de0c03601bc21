package checkers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The panic guard bounds what bad verdicts may take out of service: at least the
// configured share of a pool's weight stays. It is for the day when the checks are
// wrong, or when the few servers left would break under the load of all.
//
// The base is the weight of the servers that nobody ordered out of service: an
// operator or an agent that takes a server out is obeyed, and the guard shares out
// the rest. One that drains gets no new connections from the guard either, but while
// the verdicts are not to be trusted none of them cuts off those it has. Of those that are down, the ones that failed last stay, as many as the
// share needs. What has no verdict yet counts as in service, so that a start does
// not raise an alarm before the checks have spoken.
//
// The quorum goes by health alone: a pool whose quorum is lost says so, while the
// guard keeps it in service. Sorry servers answer only when the guard has nothing
// to keep.

// dismissed says that a check was told to take the server out of service, whatever
// its health. An operator's order takes its weight.
func (s *Server) dismissed() bool {
	return slices.ContainsFunc(s.Checks, func(c *Check) bool { return c.Advice.Order == Maintenance })
}

// guardable returns the weight that the guard shares out.
func (p *Pool) guardable() int {
	total := 0
	for _, s := range p.servers {
		if !s.dismissed() {
			total += int(s.Weight())
		}
	}
	return total
}

// GuardNeeds returns the least weight that the panic guard leaves in service, and
// the weight that it is the share of. Both are 0 without a guard.
func (p *Pool) GuardNeeds() (needs, of int) {
	if p.config.PanicThreshold == 0 {
		return 0, 0
	}
	of = p.guardable()
	return int((int64(of)*int64(p.config.PanicThreshold) + 99) / 100), of
}

// distrusts says that so much is down, had nobody drained anything, that the guard would
// keep servers in service: then a bad verdict cuts no connection of a server that drains.
func (p *Pool) distrusts() bool {
	up, of := int64(0), int64(0)
	for _, s := range p.servers {
		if s.override.Order == Maintenance || s.dismissed() {
			continue
		}
		of += int64(s.offered())
		if s.State != Down {
			up += int64(s.offered())
		}
	}
	return up*100 < of*int64(p.config.PanicThreshold)
}

// Guarding reports whether the panic guard keeps servers in service that are down,
// and since when it does or last did.
func (p *Pool) Guarding() (yes bool, since time.Time) { return p.guarding, p.guardedSince }

// guard decides which servers that are down stay in service, and appends the change
// when it begins or ceases to keep any.
func (p *Pool) guard(now time.Time, changes []Change) []Change {
	p.distrust = p.distrusts()
	needs, of := p.GuardNeeds()
	w := p.Weights()
	missing := needs - w.Up - w.Held - w.Pending
	var down []*Server
	for _, s := range p.servers {
		s.Kept = false
		bad := s.State == Down || s.overdue && s.held != In
		if bad && s.Weight() > 0 && !s.dismissed() {
			down = append(down, s)
		}
	}
	if missing > 0 {
		// Of whom nothing bad is known comes before those that are down.
		slices.SortStableFunc(down, func(a, b *Server) int { return cmp.Or(cmp.Compare(a.State, b.State), b.Since.Compare(a.Since)) })
	}
	var kept []string
	for _, s := range down {
		if missing <= 0 {
			break
		}
		s.Kept = true
		missing -= int(s.Weight())
		kept = append(kept, s.Config.Name)
	}
	for i := range changes {
		if c := &changes[i]; c.To == Down && slices.Contains(kept, c.Server) {
			c.Detail += "; the panic guard keeps it in service"
		}
	}
	if guarding := len(kept) > 0; guarding != p.guarding {
		p.guarding = guarding
		change := Change{From: p.state, To: p.state, Reason: PanicEnded, Detail: p.guardEnd(needs)}
		if guarding {
			p.guardedSince = now
			change.Reason = PanicBegan
			change.Detail = fmt.Sprintf("healthy weight %d of %d is less than the %d%% that have to stay; in service although down: %s", w.Up, of, p.config.PanicThreshold, list(kept))
		}
		changes = append(changes, change)
	}
	return changes
}

// guardEnd says why the guard keeps nobody any more.
func (p *Pool) guardEnd(needs int) string {
	if p.config.PanicThreshold == 0 {
		return "there is no panic_threshold any more"
	}
	return fmt.Sprintf("healthy weight %d, at least %d have to stay", p.Weights().Up, needs)
}

// list names the first few.
func list(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}
