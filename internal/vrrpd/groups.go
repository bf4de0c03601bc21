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

// groupKey tells the sync groups of the configuration from the pairs that the
// routers of one instance make, whose name is the instance's.
type groupKey struct {
	name string
	pair bool
}

// group is one sync group at run time, or the pair of an instance that has both
// address families and is in no sync group.
type group struct {
	pair       bool
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
	e.groups = make(map[groupKey]*group, len(cfgs))
	byName := make(map[string]*subject, len(e.order))
	for _, r := range e.order {
		r.group = nil
		byName[r.cfg.Name] = r.subject
	}
	wanted := e.groupsOf(cfgs)
	kept := make(map[groupKey]bool)
	for _, w := range wanted {
		kept[w.key] = true
	}
	for key, g := range old {
		if !kept[key] {
			e.regroup(g, now, nil)
		}
	}
	for _, w := range wanted {
		g := old[w.key]
		switch {
		case g != nil:
		case w.key.pair:
			g = &group{pair: true, sm: vrrp.NewPair(now)}
		default:
			g = &group{sm: vrrp.NewGroup(now)}
		}
		g.cfg, g.generation = w.cfg, e.generation
		e.groups[w.key] = g
		var members []*router
		for _, name := range w.cfg.Members {
			if in := byName[name]; in != nil {
				for _, r := range in.routers {
					r.group, r.member = g, len(members)
					members = append(members, r)
				}
			}
		}
		e.regroup(g, now, members)
		shared := e.groupTracks(g) // while each still has but its own
		for _, r := range members {
			r.tracks = withOthers(r.tracks, shared)
		}
	}
}

type wantedGroup struct {
	key groupKey
	cfg *config.SyncGroup
}

// groupsOf lists the configured groups and the pairs, in the order of the
// configuration.
func (e *engine) groupsOf(cfgs []config.SyncGroup) []wantedGroup {
	var list []wantedGroup
	grouped := make(map[string]bool)
	for i := range cfgs {
		list = append(list, wantedGroup{groupKey{name: cfgs[i].Name}, &cfgs[i]})
		for _, name := range cfgs[i].Members {
			grouped[name] = true
		}
	}
	for _, r := range e.order {
		if name := r.cfg.Name; r.both() && r == r.subject.routers[0] && !grouped[name] {
			list = append(list, wantedGroup{groupKey{name, true}, &config.SyncGroup{Name: name, Members: []string{name}}})
		}
	}
	return list
}

func (e *engine) regroup(g *group, now time.Time, routers []*router) {
	members := make([]vrrp.Member, len(routers))
	for i, r := range routers {
		members[i] = vrrp.Member{Name: r.title(), Instance: r.sm}
		if g.pair {
			members[i].Name = familyTitle(r.key.family)
		}
	}
	g.members = routers
	e.carryOutGroup(g, now, g.sm.Regroup(now, members, e.groupActs[:0]))
}

// groupTracks lists what a group has its members track: what it tracks itself, and
// what they do with a weight. A tracker without weight that only one member tracks
// reaches the others through the state of the group.
func (e *engine) groupTracks(g *group) []track {
	var list []track
	seen := make(map[tracker]bool)
	add := func(t track) {
		if !seen[t.tracker] {
			seen[t.tracker] = true
			list = append(list, t)
		}
	}
	for _, t := range e.uses(&g.cfg.Tracking) {
		add(t)
	}
	for _, r := range g.members {
		for _, t := range r.tracks {
			if t.weight != 0 {
				add(t)
			}
		}
	}
	return list
}

// withOthers adds to what a member tracks itself what it lacks of a list that names
// no tracker twice.
func withOthers(own, others []track) []track {
	tracks := slices.Clone(own)
	for _, t := range others {
		if !slices.ContainsFunc(own, func(o track) bool { return o.tracker == t.tracker }) {
			tracks = append(tracks, t)
		}
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
			e.tellGroup(g, now, a.Transition)
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

// tellGroup is notifyGroup, at the end of a tick: after what is told of the members.
func (e *engine) tellGroup(g *group, now time.Time, t vrrp.GroupTransition) {
	if e.ticking {
		e.later = append(e.later, func() { e.notifyGroup(g, now, t) })
		return
	}
	e.notifyGroup(g, now, t)
}

// notifyGroup tells the parent about a transition of a group. Its end waits for
// the end of its members.
func (e *engine) notifyGroup(g *group, now time.Time, t vrrp.GroupTransition) {
	if g.pair {
		return // its members tell of themselves, together
	}
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
	if g == nil || g.farewell == nil || slices.ContainsFunc(g.members, e.isLeaving) {
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
			ready = append(ready, r.title())
		} else if r.sm.State() != vrrp.Master {
			others = append(others, r.title()+" ("+r.sm.State().String()+")")
		}
	}
	if len(ready) > 0 && len(others) > 0 {
		s.Waiting = strings.Join(ready, ", ") + " would take over, waiting for " + strings.Join(others, ", ")
	}
	return s
}
