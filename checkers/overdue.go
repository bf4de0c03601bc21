package checkers

import (
	"fmt"
	"slices"
	"time"
)

// A new server waits for its first verdict, and until the missing ones could not change
// it any more the state of the pool is open. That has a bound: else a server whose checks
// cannot be made, as a file or an address is missing on this host, would leave its pool
// without a sorry server, without a state and without a word to anybody. After
// VerdictWithin it is overdue, and counts as one that is not well until there is a
// verdict. One that was found in service or is trusted stays there: nothing speaks
// against it.

// late says that the server has waited for its first verdict for too long.
func (s *Server) late(now time.Time) bool {
	return s.State == Unknown && s.Config.VerdictWithin > 0 && now.Sub(s.Since) >= s.Config.VerdictWithin
}

// obstacle tells why there is no verdict.
func (s *Server) obstacle() string {
	for _, c := range s.Checks {
		switch {
		case c.Health.State != Unknown:
		case c.Last.At.IsZero():
			return c.Config.Label + " has brought no result yet"
		default:
			return c.Config.Label + ": " + c.Last.Text
		}
	}
	return "there is no check"
}

// Overdue reports whether verdicts have been missing for too long, and since when they
// are or last were.
func (p *Pool) Overdue() (yes bool, since time.Time) { return p.overdue, p.overdueSince }

// await decides which servers are overdue, and appends the change when the first is or
// the last was. Nobody misses a verdict about a server that an operator took out.
func (p *Pool) await(now time.Time, changes []Change) []Change {
	var names []string
	var first *Server
	for _, s := range p.All() {
		s.overdue = s.late(now)
		if s.overdue && s.override.Order != Maintenance {
			names = append(names, s.Config.Name)
			if first == nil {
				first = s
			}
		}
	}
	if yes := len(names) > 0; yes != p.overdue {
		p.overdue = yes
		change := Change{From: p.state, To: p.state, Reason: VerdictsCame, Detail: "no server waits for its first verdict any more"}
		if yes {
			p.overdueSince = now
			change.Reason = VerdictsMissing
			change.Detail = fmt.Sprintf("no verdict after %v about %s, %s", first.Config.VerdictWithin, list(names), first.obstacle())
		}
		changes = append(changes, change)
	}
	return changes
}

// awaits returns when another server will be overdue; false: none.
func (p *Pool) awaits() (next time.Time, ok bool) {
	for _, s := range p.All() {
		if s.State != Unknown || s.overdue || s.Config.VerdictWithin == 0 {
			continue
		}
		if at := s.Since.Add(s.Config.VerdictWithin); !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	return next, ok
}

// Tick does what is due by time alone: weights rise, and verdicts are waited for no
// longer. It returns the changes that follow, and whether the Entry may be another one
// now.
func (p *Pool) Tick(now time.Time) ([]Change, bool) {
	if slices.ContainsFunc(p.All(), func(s *Server) bool { return s.late(now) != s.overdue }) {
		return p.judge(now, nil), true
	}
	return p.warm(now, nil)
}

// Next returns when Tick has something to do; false: not before something else happens.
func (p *Pool) Next() (time.Time, bool) {
	rises, rising := p.rises()
	late, waiting := p.awaits()
	if rising && (!waiting || rises.Before(late)) {
		return rises, true
	}
	return late, waiting
}
