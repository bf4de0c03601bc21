package vrrpd

import (
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// group is one sync group at run time.
type group struct {
	cfg        *config.SyncGroup
	generation uint64
	sm         *vrrp.Group
	members    []*router
	farewell   *control.Event // told when the last address of the members is off
}

// configureGroups forms the groups anew from the routers of the configuration.
// A group of the same name keeps its state.
func (e *engine) configureGroups(now time.Time, cfgs []config.SyncGroup) {
	old := e.groups
	e.groups = make(map[string]*group, len(cfgs))
	byName := make(map[string]*router, len(e.order))
	for _, r := range e.order {
		r.group = nil
		byName[r.cfg.Name] = r
	}
	kept := make(map[string]bool)
	for _, c := range cfgs {
		kept[c.Name] = true
	}
	for name, g := range old {
		if !kept[name] {
			e.regroup(g, now, nil)
		}
	}
	for i := range cfgs {
		c := &cfgs[i]
		g := old[c.Name]
		if g == nil {
			g = &group{sm: vrrp.NewGroup(now)}
		}
		g.cfg, g.generation = c, e.generation
		e.groups[c.Name] = g
		var members []*router
		for _, name := range c.Members {
			if r := byName[name]; r != nil {
				r.group, r.member = g, len(members)
				members = append(members, r)
			}
		}
		e.regroup(g, now, members)
		for _, r := range members {
			r.tracks = e.groupTracks(r)
		}
	}
}

func (e *engine) regroup(g *group, now time.Time, routers []*router) {
	members := make([]vrrp.Member, len(routers))
	for i, r := range routers {
		members[i] = vrrp.Member{Name: r.cfg.Name, Instance: r.sm}
	}
	g.members = routers
	e.carryOutGroup(g, now, g.sm.Regroup(now, members, e.groupActs[:0]))
}

// groupTracks lists what a member tracks: what it tracks itself, what the group
// does, and what the other members do with a weight. A tracker without weight
// that only another member tracks reaches it through the state of the group.
func (e *engine) groupTracks(r *router) []track {
	tracks := slices.Clone(r.tracks)
	add := func(list []track, all bool) {
		for _, t := range list {
			if (all || t.weight != 0) && !slices.ContainsFunc(tracks, func(o track) bool { return o.tracker == t.tracker }) {
				tracks = append(tracks, t)
			}
		}
	}
	add(e.uses(&r.group.cfg.Tracking), true)
	for _, m := range r.group.members {
		add(e.uses(&m.cfg.Tracking), false)
	}
	return tracks
}

// stepGroup moves one member of a group, and all that this concerns.
func (e *engine) stepGroup(r *router, now time.Time, ev vrrp.Event) {
	e.carryOutGroup(r.group, now, r.group.sm.Step(now, r.member, ev, e.groupActs[:0]))
}

func (e *engine) carryOutGroup(g *group, now time.Time, acts []vrrp.GroupAction) {
	e.groupActs = acts
	for _, a := range acts {
		if a.Member < 0 {
			e.notifyGroup(g, now, a.Transition)
			continue
		}
		e.carryOut(g.members[a.Member], now, a.Action)
	}
	for _, m := range g.members {
		if m.heapSlot >= 0 {
			e.timers.fix(m)
		}
	}
}

// notifyGroup tells the parent about a transition of a group. Its end waits for
// the end of its members.
func (e *engine) notifyGroup(g *group, now time.Time, t vrrp.GroupTransition) {
	to := t.To.String()
	if t.To == vrrp.Init {
		to = "STOP"
	}
	ev := &control.Event{
		Time: now, Generation: g.generation, Kind: "group", Subject: g.cfg.Name,
		From: t.From.String(), To: to, Reason: groupReason(t), Code: t.Cause.Reason.String(),
	}
	e.touched = true
	if t.To == vrrp.Init && slices.ContainsFunc(g.members, func(r *router) bool { return r.pending > 0 }) {
		g.farewell = ev
		return
	}
	e.send(watchdog.Message{Event: ev})
}

func groupReason(t vrrp.GroupTransition) string {
	if t.Member == "" {
		return t.Cause.String()
	}
	return t.Member + ": " + t.Cause.String()
}

// partGroup tells the end of a group whose last member is dismissed.
func (e *engine) partGroup(g *group) {
	if g == nil || g.farewell == nil ||
		slices.ContainsFunc(g.members, func(r *router) bool { return slices.Contains(e.leaving, r) }) {
		return
	}
	e.send(watchdog.Message{Event: g.farewell})
	g.farewell = nil
}

// gate is router.gate for a router with all others of its group: none of them
// starts before all can.
func (e *engine) gate(r *router) string {
	if e.delay.pending() {
		return startDelayReason
	}
	if r.group == nil {
		return r.gate()
	}
	for _, m := range r.group.members {
		if why := m.gate(); why != "" {
			return why
		}
	}
	return ""
}

// resumeTogether takes the right to go on as MASTER from the members of a group
// that cannot all do so.
func (e *engine) resumeTogether() {
	for _, g := range e.groups {
		all := !slices.ContainsFunc(g.members, func(r *router) bool { return !r.resume })
		for _, r := range g.members {
			if !all && !r.started {
				e.giveUpResume(r)
			}
		}
	}
}

func (g *group) snapshot() control.Group {
	t := g.sm.Newest()
	s := control.Group{
		Name: g.cfg.Name, Members: g.cfg.Members, State: g.sm.State().String(), Since: g.sm.Since(),
		Transitions: g.sm.Transitions(),
	}
	if t.To != vrrp.Init || t.From != vrrp.Init {
		s.Reason, s.Code = groupReason(t), t.Cause.Reason.String()
	}
	var ready, others []string
	for _, r := range g.members {
		if r.sm.Wants() {
			ready = append(ready, r.cfg.Name)
		} else if r.sm.State() != vrrp.Master {
			others = append(others, r.cfg.Name+" ("+r.sm.State().String()+")")
		}
	}
	if len(ready) > 0 && len(others) > 0 {
		s.Waiting = strings.Join(ready, ", ") + " would take over, waiting for " + strings.Join(others, ", ")
	}
	return s
}
