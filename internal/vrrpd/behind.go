package vrrpd

import (
	"slices"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// A virtual server with active_with is in the IPVS table while its instance is MASTER.
// Whoever is answered by an address before that is in place is answered by the host itself,
// with a reset, and connections that were synchronized end so as well. So the addresses
// of a new MASTER wait until the checker process has written the table, and the table
// goes when they are off.

// prepareLimit is how long they wait at most. The way to the checker process and back takes
// milliseconds, ten thousand servers some hundred; without an answer after this time it hangs
// or was killed, and the addresses may lead to more than its virtual servers. It is about
// the time that a killed one takes to be there again, and less than a third of the usual
// master-down time.
const prepareLimit = time.Second

// roleTable is the roles as the parent was told them, and the routers that wait for what
// follows them.
type roleTable struct {
	told    map[string]string // by instance
	stale   bool              // something happened that may have changed one
	behind  map[string]bool   // instances whose addresses wait
	waiting []awaited
	seq     uint64 // of the newest question
}

// awaited is a router that waits for an answer.
type awaited struct {
	*router
	seq uint64 // of the question, 0: not asked yet
}

// configureBehind finds the instances whose addresses lead to virtual servers with
// active_with. The others of a sync group wait as well: the servers' answers come back
// through them.
func (e *engine) configureBehind(c *config.Config) {
	e.roles.stale = true
	e.roles.behind = make(map[string]bool)
	for i := range c.VirtualServers {
		if name := c.VirtualServers[i].ActiveWith; name != "" {
			e.roles.behind[name] = true
		}
	}
	for i := range c.Groups {
		if members := c.Groups[i].Members; slices.ContainsFunc(members, func(name string) bool { return e.roles.behind[name] }) {
			for _, name := range members {
				e.roles.behind[name] = true
			}
		}
	}
	for name := range e.roles.told {
		if !slices.ContainsFunc(c.Instances, func(in config.Instance) bool { return in.Name == name }) {
			delete(e.roles.told, name)
		}
	}
}

// prepare carries out ActionPrepare: the question goes with the role.
func (e *engine) prepare(r *router) {
	e.roles.waiting = slices.DeleteFunc(e.roles.waiting, func(w awaited) bool { return w.router == r })
	e.roles.waiting = append(e.roles.waiting, awaited{router: r})
}

// tellRoles tells the parent which roles have changed, and asks for an answer where a router
// waits for one.
func (e *engine) tellRoles() {
	s := &e.roles
	if !s.stale {
		return
	}
	s.stale = false
	m := &watchdog.Roles{}
	for _, r := range e.order {
		name := r.cfg.Name
		if r != r.subject.routers[0] {
			continue
		}
		if state := e.role(r.subject, name); state != "" && s.told[name] != state {
			if m.States == nil {
				m.States = make(map[string]string)
			}
			if s.told == nil {
				s.told = make(map[string]string)
			}
			s.told[name], m.States[name] = state, state
		}
	}
	for i := range s.waiting {
		if w := &s.waiting[i]; w.seq == 0 {
			if m.Seq == 0 {
				s.seq++
				m.Seq = s.seq
			}
			w.seq = m.Seq
		}
	}
	if m.States != nil || m.Seq != 0 {
		e.parent(watchdog.Message{Roles: m})
	}
}

// role is the state of an instance for what stands behind it: MASTER until its addresses
// are off. It is empty while there is nothing to tell.
func (e *engine) role(in *subject, name string) string {
	state, off := "", true
	for _, r := range in.routers {
		switch r.sm.State() {
		case vrrp.Master:
			return vrrp.Master.String()
		case vrrp.Init:
		default:
			state = r.sm.State().String()
		}
		off = off && r.pending == 0
		if r.group != nil {
			off = off && !slices.ContainsFunc(r.group.members, func(m *router) bool { return m.pending > 0 })
		}
	}
	if !off || slices.ContainsFunc(e.leaving, func(r *router) bool { return r.cfg.Name == name && r.pending > 0 }) {
		return ""
	}
	return state
}

// followed takes the answer: those that have waited for it put their addresses up.
func (e *engine) followed(now time.Time, f *watchdog.Followed) {
	var ready []*router
	e.roles.waiting = slices.DeleteFunc(e.roles.waiting, func(w awaited) bool {
		done := w.seq != 0 && w.seq <= f.Seq
		if done && !w.left {
			ready = append(ready, w.router)
		}
		return done
	})
	for _, r := range ready {
		e.step(r, now, vrrp.Event{Kind: vrrp.EventReady, Cause: vrrp.Cause{Detail: f.Problem}})
	}
}

// unready tells the parent that addresses went up too early.
func (e *engine) unready(r *router, now time.Time, c vrrp.Cause) {
	e.touched = true
	e.send(watchdog.Message{Event: &control.Event{
		Time: now, Generation: r.generation, Kind: "gate", Subject: r.cfg.Name,
		From: "preparing", To: "unready", Reason: c.String(), Code: c.Reason.String(), Priority: int(r.sm.Priority()),
	}})
}
