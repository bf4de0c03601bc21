package watchdog

import (
	"maps"

	"director/config"
)

// Sessions tells how the BFD sessions are that checks follow. One that the VRRP child
// does not run, or has not told of yet, is not listed.
type Sessions struct{ States map[string]Session }

// Session is one of them.
type Session struct {
	State   string // AdminDown, Down, Init, Up
	Verdict string // up, down, unknown; see control.BFD
	Code    string // why, as control.BFD has it
	Reason  string // for a person
}

// relaySessions tells the checker child how the BFD sessions are that its checks
// follow, whenever that has changed. While the VRRP child is away its last word stands:
// servers do not die with the process that watches them.
func (p *parent) relaySessions() {
	vrrp, checkers := p.child(RoleVRRP), p.child(RoleCheckers)
	if !checkers.follows() || vrrp.last == nil || vrrp.last.VRRP == nil {
		return
	}
	followed := followedSessions(checkers.want.config)
	if len(followed) == 0 && len(checkers.run.bfd) == 0 {
		return
	}
	states := make(map[string]Session, len(followed))
	for _, s := range vrrp.last.VRRP.BFD {
		if followed[s.Name] {
			states[s.Name] = Session{State: s.State, Verdict: s.Verdict, Code: s.Code, Reason: s.Reason}
		}
	}
	if checkers.run.bfd != nil && maps.Equal(states, checkers.run.bfd) {
		return
	}
	checkers.run.bfd = states
	checkers.run.ch.Send(Message{Sessions: &Sessions{States: states}})
}

// followedSessions returns the names of the sessions that checks follow.
func followedSessions(c *config.Config) map[string]bool {
	names := map[string]bool{}
	add := func(checks []config.Check) {
		for i := range checks {
			if checks[i].Kind == config.CheckBFD {
				names[checks[i].Session] = true
			}
		}
	}
	for i := range c.VirtualServers {
		v := &c.VirtualServers[i]
		for j := range v.RealServers {
			add(v.RealServers[j].Checks)
		}
		for j := range v.SorryServers {
			add(v.SorryServers[j].Checks)
		}
	}
	return names
}
