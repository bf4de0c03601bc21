package checkers

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A new server waits for its first verdict, and until the missing ones could not change
// it any more the state of the pool is open. That has a bound: else a server whose checks
// cannot be made, as a file or an address is missing on this host, would leave its pool
// without a sorry server, without a state and without a word to anybody. After
// VerdictWithin it is overdue, and counts as one that is not well until there is a
// verdict. One that was found in service or is trusted stays there: nothing speaks
// against it.
//
// A server that has had its verdict keeps it when its checks cannot be made any more.
// After the same time it is blind: it stays where it is, and somebody has to know that
// nobody would notice its death.

// late says that the server has waited for its first verdict for too long.
func (s *Server) late(now time.Time) bool {
	return s.State == Unknown && s.Config.VerdictWithin > 0 && now.Sub(s.Since) >= s.Config.VerdictWithin
}

// blinded says that a check of a server with a verdict could not be made for too long.
func (s *Server) blinded(now time.Time) bool {
	since := s.blindSince()
	return s.State != Unknown && s.Config.VerdictWithin > 0 && !since.IsZero() && now.Sub(since) >= s.Config.VerdictWithin
}

// blindSince returns since when a check cannot be made, the first of them; zero: all can.
func (s *Server) blindSince() (since time.Time) {
	for _, c := range s.Checks {
		if !c.Blind.IsZero() && (since.IsZero() || c.Blind.Before(since)) {
			since = c.Blind
		}
	}
	return since
}

// waits says that a verdict or a new one is missing, for however short a time.
func (s *Server) waits() bool {
	return s.Config.VerdictWithin > 0 && (s.State == Unknown || !s.blindSince().IsZero())
}

// obstacle tells why there is no verdict.
func (s *Server) obstacle() string {
	for _, c := range s.Checks {
		switch {
		case !c.Blind.IsZero():
			return c.Config.Label + ": " + c.Last.Text
		case s.State != Unknown || c.Health.State != Unknown:
		case c.Last.At.IsZero():
			return c.Config.Label + " has brought no result yet"
		default:
			return c.Config.Label + ": " + c.Last.Text
		}
	}
	return "there is no check"
}

// Unchecked returns since when the server has been waiting for its first verdict, or a
// check of one with a verdict could not be made, and why; zero: neither is so, or not
// for long enough to be told.
func (s *Server) Unchecked() (since time.Time, why string) {
	switch {
	case s.overdue:
		return s.Since, s.obstacle()
	case s.blind:
		return s.blindSince(), s.obstacle()
	}
	return time.Time{}, ""
}

// observe notes whether the check could be made, and says whether that is another answer
// than before.
func (c *Check) observe(now time.Time, r Result) bool {
	before := c.Blind
	switch {
	case r.Outcome != Inconclusive || r.Withheld:
		c.Blind = time.Time{}
	case c.Blind.IsZero():
		c.Blind = now
	}
	return !c.Blind.Equal(before)
}

// Overdue reports whether verdicts have been missing for too long, and since when they
// are or last were.
func (p *Pool) Overdue() (yes bool, since time.Time) { return p.overdue, p.overdueSince }

// await decides which servers are overdue or blind, and appends the change when the
// first is. The last was when no verdict is missing any more: one that is looked at anew,
// as after a restart, is not better for that. Nobody misses a verdict about a server that
// an operator took out.
func (p *Pool) await(now time.Time, changes []Change) []Change {
	var late, blind []*Server
	waiting := false
	for _, s := range p.All() {
		s.overdue, s.blind = s.late(now), s.blinded(now)
		switch {
		case s.override.Order == Maintenance:
			continue
		case s.overdue:
			late = append(late, s)
		case s.blind:
			blind = append(blind, s)
		}
		waiting = waiting || s.waits()
	}
	yes := len(late)+len(blind) > 0
	switch {
	case yes && !p.overdue:
		p.overdue, p.overdueSince = true, now
		changes = append(changes, Change{From: p.state, To: p.state, Reason: VerdictsMissing, Detail: missing(late, blind)})
	case p.overdue && !yes && !waiting:
		p.overdue = false
		changes = append(changes, Change{From: p.state, To: p.state, Reason: VerdictsCame, Detail: "no server waits for a verdict any more"})
	}
	return changes
}

// missing tells whose verdicts are missing, and what is in the way of the first.
func missing(late, blind []*Server) string {
	names := func(servers []*Server) string {
		var all []string
		for _, s := range servers {
			all = append(all, s.Config.Name)
		}
		return list(all)
	}
	var parts []string
	if len(late) > 0 {
		parts = append(parts, fmt.Sprintf("no verdict after %v about %s, %s", late[0].Config.VerdictWithin, names(late), late[0].obstacle()))
	}
	if len(blind) > 0 {
		since, why := blind[0].Unchecked()
		parts = append(parts, fmt.Sprintf("nobody would notice the death of %s, unchecked since %s: %s", names(blind), since.UTC().Format("2006-01-02 15:04:05 UTC"), why))
	}
	return strings.Join(parts, "; ")
}

// awaits returns when another server will be overdue or blind; false: none.
func (p *Pool) awaits() (next time.Time, ok bool) {
	for _, s := range p.All() {
		since := s.Since
		if s.State != Unknown {
			since = s.blindSince()
		}
		if s.overdue || s.blind || s.Config.VerdictWithin == 0 || since.IsZero() {
			continue
		}
		if at := since.Add(s.Config.VerdictWithin); !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	return next, ok
}

// Tick does what is due by time alone: weights rise, and verdicts are waited for no
// longer. It returns the changes that follow, and whether the Entry may be another one
// now.
func (p *Pool) Tick(now time.Time) ([]Change, bool) {
	if slices.ContainsFunc(p.All(), func(s *Server) bool { return s.late(now) != s.overdue || s.blinded(now) != s.blind }) {
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
