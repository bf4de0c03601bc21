package vrrp

import (
	"slices"
	"time"
)

// Member is one virtual router of a Group, with the name that causes tell.
type Member struct {
	Name string
	*Instance
}

// GroupTransition is a change of state of a whole Group. Member and Cause tell
// which of its routers led to it, and why.
type GroupTransition struct {
	From, To State
	Member   string
	Cause    Cause
}

// GroupAction is one thing to do: an Action of one of the members, or with
// Member -1 to tell about Transition.
type GroupAction struct {
	Member     int
	Action     Action
	Transition GroupTransition
}

// Group is a sync group: virtual routers on several links that are MASTER
// together or not at all. It is keepalived's addition to VRRP; other routers see
// nothing of it but the adverts of its members.
//
//   - One member in FAULT puts all in FAULT; they leave it when no member has a
//     cause of its own.
//   - A member whose master-down time is over waits. When every member is MASTER or
//     waits, those that wait become MASTER.
//   - A member that follows another MASTER takes all others back to BACKUP. They
//     give up with priority 0, so that who has the one link soon has the others.
//
// The members of a group are moved by its Step only, never by their own.
type Group struct {
	members     []Member
	reason      Reason // that members give when they follow another
	decider     int    // the member whose link settles who comes first
	state       State
	since       time.Time
	newest      GroupTransition
	transitions uint64
	disputed    time.Time // before this, others may have gone back as it has
	acts        []Action  // scratch
}

// NewGroup returns a group without members in INIT; see Regroup.
func NewGroup(now time.Time) *Group { return &Group{since: now, reason: ReasonGroup} }

// NewPair returns a Group for the routers of one instance that has addresses of
// both families. It differs in the reason that its members give: ReasonFamily.
func NewPair(now time.Time) *Group { return &Group{since: now, reason: ReasonFamily} }

// State returns the state that the members share; while some have not been
// started, or one has just joined, the one they shared last.
func (g *Group) State() State { return g.state }

// Since returns when the present state was entered.
func (g *Group) Since() time.Time { return g.since }

// Newest returns the newest transition.
func (g *Group) Newest() GroupTransition { return g.newest }

// Transitions returns how often the state changed.
func (g *Group) Transitions() uint64 { return g.transitions }

// Regroup makes the given routers the members. They may be in any state, and
// members that stay keep theirs; who is no longer a member goes on alone. A group
// without members has been dissolved.
func (g *Group) Regroup(now time.Time, members []Member, acts []GroupAction) []GroupAction {
	for _, m := range g.members {
		if !slices.ContainsFunc(members, func(n Member) bool { return n.Instance == m.Instance }) {
			m.grouped, m.wants = false, false
		}
	}
	g.members = members
	g.decider = 0
	for i, m := range members {
		m.grouped = true
		if m.before(members[g.decider].Instance) {
			g.decider = i
		}
	}
	trigger := max(g.faulty(-1), 0)
	if len(members) > 0 {
		acts = g.fault(now, trigger, acts)
	}
	return g.settle(now, trigger, acts)
}

// Step moves one member by one event, and all that this concerns, and appends
// what is to be done, in order. It allocates nothing on an advert or timer that
// changes no state, when acts has room.
func (g *Group) Step(now time.Time, member int, ev Event, acts []GroupAction) []GroupAction {
	m := g.members[member]
	if other := g.faulty(member); other >= 0 {
		switch ev.Kind {
		case EventStart, EventResume:
			ev = Event{Kind: EventFault, Cause: g.with(other)}
		case EventRecover:
			// Its own cause is gone, not the group's.
			for i, n := range g.members {
				if n.state == Fault && (i == member || n.cause.Shared()) {
					n.cause = g.with(other)
				}
			}
			return acts
		}
	}
	if ev.Kind == EventAdvert && member == g.decider && now.Before(g.disputed) && ev.Priority == m.priority && m.source.Less(ev.Src) {
		m.patient = now.Add(2 * m.settings.AdvertInterval) // it has lost here as well, to another one
	}
	was := m.state
	acts = g.move(now, member, ev, acts)
	if was == Master && m.state == Backup && (m.cause.Reason == ReasonGate || m.cause.Reason == ReasonReleased) {
		acts = g.yield(now, member, acts)
	}
	switch ev.Kind {
	case EventFault:
		acts = g.fault(now, member, acts)
	case EventRecover:
		for i, n := range g.members {
			if n.state == Fault {
				acts = g.move(now, i, ev, acts)
			}
		}
	case EventAdvert:
		if m.follows() {
			acts = g.yield(now, member, acts)
		} else if m.state == Master && (m.lastConflict.Equal(now) || m.contested) {
			acts = g.announceAgain(now, acts)
		}
	}
	return g.settle(now, member, acts)
}

// move steps one member.
func (g *Group) move(now time.Time, member int, ev Event, acts []GroupAction) []GroupAction {
	g.acts = g.members[member].Step(now, ev, g.acts[:0])
	return g.take(member, acts)
}

// take appends what a member has answered.
func (g *Group) take(member int, acts []GroupAction) []GroupAction {
	for _, a := range g.acts {
		acts = append(acts, GroupAction{Member: member, Action: a})
	}
	return acts
}

// faulty returns a member with a cause of FAULT of its own other than the given
// one, -1 when there is none.
func (g *Group) faulty(except int) int {
	for i, m := range g.members {
		if i != except && m.state == Fault && !m.cause.Shared() {
			return i
		}
	}
	return -1
}

// with is the cause that the others give when they follow a member.
func (g *Group) with(member int) Cause {
	m := g.members[member]
	return Cause{Reason: g.reason, Detail: m.Name + ": " + m.cause.String()}
}

// fault puts all in FAULT when the member is. Those that have not been started
// find it when they are.
func (g *Group) fault(now time.Time, member int, acts []GroupAction) []GroupAction {
	if g.members[member].state != Fault {
		return acts
	}
	for i, m := range g.members {
		if m.state == Backup || m.state == Master {
			acts = g.move(now, i, Event{Kind: EventFault, Cause: g.with(member)}, acts)
		}
	}
	return acts
}

// yield takes every MASTER back to BACKUP.
//
// Two hosts that became MASTER at once, each the winner on another link, both go
// back, and would meet again and again. So one of them waits an interval longer:
// the one that lost on the decider's link, which is the same for both. It does so
// for longer than other hosts take to try, and to say good-bye in their turn.
func (g *Group) yield(now time.Time, member int, acts []GroupAction) []GroupAction {
	for i, m := range g.members {
		if m.state == Master {
			g.disputed = now.Add(m.settings.AdvertInterval)
			if member == g.decider {
				m.patient = now.Add(2 * m.settings.AdvertInterval)
			}
			g.acts = m.yield(now, g.with(member), g.acts[:0])
			acts = g.take(i, acts)
		}
	}
	return acts
}

// announceAgain has every member announce its addresses when one of them has met
// another MASTER: who holds one link by mistake has held all of them, and only
// those members that follow give a sign of it when they go.
func (g *Group) announceAgain(now time.Time, acts []GroupAction) []GroupAction {
	for i, m := range g.members {
		if m.state == Master {
			g.acts = m.announceAgain(now, g.acts[:0])
			acts = g.take(i, acts)
		}
	}
	return acts
}

// settle makes those that wait MASTER when nobody is missing, and tells of the
// state that all have reached.
func (g *Group) settle(now time.Time, member int, acts []GroupAction) []GroupAction {
	ready, acts := g.ready(now, acts)
	state, common := Init, true
	for i, m := range g.members {
		if ready && m.state == Backup {
			g.acts = m.promote(now, g.acts[:0])
			acts = g.take(i, acts)
		}
		if i == 0 {
			state = m.state
		}
		common = common && m.state == state
	}
	if !common || state == g.state {
		return acts
	}
	t := GroupTransition{From: g.state, To: state, Cause: Cause{Reason: ReasonRemoved}}
	if len(g.members) > 0 {
		t.Member, t.Cause = g.members[member].Name, g.members[member].cause
	}
	g.state, g.since, g.newest = state, now, t
	g.transitions++
	return append(acts, GroupAction{Member: -1, Transition: t})
}

// ready says that every member is MASTER or would take over, and that all gates
// allow it.
func (g *Group) ready(now time.Time, acts []GroupAction) (bool, []GroupAction) {
	fresh := now
	for _, m := range g.members {
		if m.state == Backup && m.gates.stage == gatesBlocked {
			return false, g.each(acts, func(m Member, acts []Action) []Action { return m.stepBack(acts) })
		}
		if limit := now.Add(-m.patience()); limit.Before(fresh) {
			fresh = limit
		}
	}
	for phase := range numGatePhases {
		if !g.past(phase) {
			return false, acts
		}
		if phase == phaseAsk {
			acts = g.each(acts, func(m Member, acts []Action) []Action { return m.askAnew(now, fresh, acts) })
		}
		if phase+1 < numGatePhases && g.past(phase) {
			acts = g.each(acts, func(m Member, acts []Action) []Action { return m.nextGates(now, phase, acts) })
		}
	}
	return len(g.members) > 0 && g.past(phaseLast), acts
}

// past says that every member is MASTER or would take over, and has passed a phase
// of its gates.
func (g *Group) past(phase gatePhase) bool {
	for _, m := range g.members {
		if m.state != Master && !(m.state == Backup && m.wants && m.past(phase)) {
			return false
		}
	}
	return true
}

// each lets every member do something.
func (g *Group) each(acts []GroupAction, do func(Member, []Action) []Action) []GroupAction {
	for i, m := range g.members {
		g.acts = do(m, g.acts[:0])
		acts = g.take(i, acts)
	}
	return acts
}

// before orders the members of a group in the same way on every host.
func (i *Instance) before(other *Instance) bool {
	if a, b := i.settings.VRID, other.settings.VRID; a != b {
		return a < b
	}
	a, b := i.settings.Addresses, other.settings.Addresses
	return len(a) > 0 && len(b) > 0 && a[0].Less(b[0])
}

// Wants reports whether a BACKUP of a group would take over and waits for the
// other members.
func (i *Instance) Wants() bool { return i.wants }

// want notes that a grouped BACKUP would take over, and why. The timer runs
// again: what is noted is then as new as it can be.
func (i *Instance) want(now time.Time, cause Cause) {
	if !i.wants {
		i.silent = i.timerSet
	}
	i.wants, i.wish = true, cause
	i.armMasterDown(now)
}

// promote makes a BACKUP that wants it MASTER.
func (i *Instance) promote(now time.Time, acts []Action) []Action {
	cause := i.wish
	cause.Gates = i.passage(now)
	if cause.Silence > 0 {
		cause.Silence = now.Sub(i.silent)
	}
	return i.becomeMaster(now, cause, acts)
}

// yield takes a MASTER back to BACKUP although it has heard no better one.
func (i *Instance) yield(now time.Time, cause Cause, acts []Action) []Action {
	acts = append(acts, Action{Kind: ActionAdvert, Priority: PriorityStop}, Action{Kind: ActionRelease})
	return i.becomeBackup(now, cause, acts)
}

// follows says that another router is MASTER, and that it may stay.
func (i *Instance) follows() bool {
	return i.state == Backup && i.master.IsValid() && !i.wants && !i.stopping && !i.lower.IsValid()
}
