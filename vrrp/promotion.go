package vrrp

import (
	"fmt"
	"strings"
	"time"
)

// gated says that a gate has to be asked before a takeover for this reason.
func (i *Instance) gated(r Reason) bool {
	for n := range i.gates.list {
		if i.gates.list[n].Before&before(r) != 0 {
			return true
		}
	}
	return false
}

// armGates has those gates that can be asked ahead of the takeover for which the
// timer was just started asked so early that their time is over with the timer,
// but not before an advert was missed.
func (i *Instance) armGates(now time.Time) {
	if i.wants {
		return
	}
	var longest time.Duration
	for n := range i.gates.list {
		if g := &i.gates.list[n]; g.Ahead {
			longest = max(longest, g.Timeout)
		}
	}
	i.gates.timer = time.Time{}
	if lead := min(longest, i.timer.Sub(now)-i.interval*3/2); lead > 0 {
		i.gates.timer = i.timer.Add(-lead)
	}
}

// knock asks the gates for a takeover that is due.
func (i *Instance) knock(now time.Time, acts []Action) []Action {
	s := &i.gates
	switch s.stage {
	case gatesAsked, gatesBlocked:
		return acts
	case gatesPassed:
		if i.grouped {
			return acts // see Group.settle
		}
		acts = i.closeGates(acts) // it has left its group meanwhile
	}
	s.since = now
	for n := range s.list {
		if g := &s.list[n]; g.answer == Denied {
			g.ask, g.answer = 0, Unanswered // it may have been the MASTER, who answered for its address
		}
	}
	s.stage, s.phase = gatesAsked, phaseAsk
	return i.weigh(now, acts)
}

// weigh goes on as far as the answers allow.
func (i *Instance) weigh(now time.Time, acts []Action) []Action {
	s := &i.gates
	for s.stage == gatesAsked {
		var ready bool
		if ready, acts = i.askGates(now, s.phase, acts); !ready {
			return acts
		}
		s.stage, s.timer = gatesPassed, time.Time{}
		if i.grouped {
			return acts // the group goes on when all of it are as far
		}
		if s.phase+1 == numGatePhases {
			return i.promote(now, acts)
		}
		s.stage, s.phase = gatesAsked, s.phase+1
	}
	return acts
}

// nextGates begins the phase after one that every member of the group has passed.
func (i *Instance) nextGates(now time.Time, passed gatePhase, acts []Action) []Action {
	if s := &i.gates; i.state == Backup && s.stage == gatesPassed && s.phase == passed {
		s.stage, s.phase = gatesAsked, passed+1
		return i.weigh(now, acts)
	}
	return acts
}

// askAnew has gates asked again whose answers are from before a point: the other
// members of the group have taken long.
func (i *Instance) askAnew(now, since time.Time, acts []Action) []Action {
	s := &i.gates
	if i.state != Backup || s.stage != gatesPassed || s.phase != phaseAsk {
		return acts
	}
	for n := range s.list {
		if g := &s.list[n]; g.phase() == phaseAsk && g.ask != 0 && g.newest.At.Before(since) {
			g.ask, g.answer = 0, Unanswered
			s.stage = gatesAsked
		}
	}
	return i.weigh(now, acts)
}

// patience is how long the answers of gates are good for while other members of the
// group are waited for. It is longer than any of them takes, so that a group
// with slow gates on several members is not kept asking.
func (i *Instance) patience() time.Duration {
	longest := time.Duration(0)
	for n := range i.gates.list {
		longest = max(longest, i.gates.list[n].Timeout)
	}
	return 2 * (i.MasterDownTime() + longest)
}

// stepBack gives up what is held when a gate keeps another member of the group: a
// host that can take over may want it. What the last gates did stays done.
func (i *Instance) stepBack(acts []Action) []Action {
	s := &i.gates
	if i.state != Backup || s.phase == phaseAsk || s.stage != gatesAsked && s.stage != gatesPassed {
		return acts
	}
	for n := range s.list {
		if g := &s.list[n]; g.phase() == phaseHold || g.phase() == phaseLast && g.answer != Passed {
			g.ask, g.answer = 0, Unanswered
		}
	}
	s.stage, s.phase, s.timer = gatesPassed, phaseAsk, time.Time{}
	return append(acts, Action{Kind: ActionUnask})
}

// askGates asks the gates of a phase that have not been asked, looks at the answers of
// the others, and reports whether all have passed. One that has not ends the round.
func (i *Instance) askGates(now time.Time, phase gatePhase, acts []Action) (ready bool, _ []Action) {
	s := &i.gates
	ready, s.timer = true, time.Time{}
	for n := range s.list {
		g := &s.list[n]
		if g.Before&before(i.wish.Reason) == 0 || g.phase() != phase {
			continue
		}
		if g.ask == 0 {
			acts = i.askGate(now, n, i.wish, acts)
		}
		g.expire(now)
		switch {
		case g.refuses():
			return false, i.holdBack(now, g, acts)
		case g.answer == Unanswered:
			ready = false
			s.timer = earliest(s.timer, g.asked.Add(g.Timeout))
		}
	}
	return ready, acts
}

func (i *Instance) askGate(now time.Time, n int, cause Cause, acts []Action) []Action {
	g := &i.gates.list[n]
	i.gates.ask++
	g.ask, g.asked, g.answer = i.gates.ask, now, Unanswered
	return append(acts, Action{Kind: ActionAsk, Gate: n, Ask: g.ask, Transition: Transition{From: i.state, To: Master, Cause: cause}})
}

func (g *gate) answered(now time.Time, a Answer, detail string) {
	g.answer = a
	g.newest = GateStatus{Answer: a, Detail: detail, At: now}
}

// expire gives up on a question that was open for too long, and reports whether it
// did.
func (g *gate) expire(now time.Time) bool {
	if g.answer != Unanswered || now.Sub(g.asked) < g.Timeout {
		return false
	}
	g.answered(now, Untold, fmt.Sprintf("no answer within %v", g.Timeout))
	return true
}

// refuses says that the answer keeps a BACKUP from taking over, and takes the role
// from a MASTER that must hold the gate.
func (g *gate) refuses() bool {
	return g.answer == Denied || g.answer == Untold && !g.Promote
}

// holdBack keeps a BACKUP that would take over, tells so once, and has all gates
// asked again after a pause.
func (i *Instance) holdBack(now time.Time, by *gate, acts []Action) []Action {
	s := &i.gates
	why := fmt.Sprintf("%s: %s", by.Name, by.newest.Detail)
	acts = i.resetGates(acts)
	s.stage, s.timer, s.heldBack = gatesBlocked, now.Add(by.Pause), why
	if told := by.Name + by.newest.Answer.String(); told != s.told {
		s.told = told
		acts = append(acts, Action{Kind: ActionStay, Transition: Transition{From: Backup, To: Backup,
			Cause: Cause{Reason: ReasonGate, Peer: i.wish.Peer, Silence: i.wish.Silence, Detail: why}}})
	}
	return acts
}

// resetGates forgets the questions of a round and gives back what is held.
func (i *Instance) resetGates(acts []Action) []Action {
	for n := range i.gates.list {
		g := &i.gates.list[n]
		g.ask, g.answer = 0, Unanswered
	}
	return append(acts, Action{Kind: ActionUnask})
}

// closeGates ends a takeover that is not wanted any more.
func (i *Instance) closeGates(acts []Action) []Action {
	if i.gates.stage == gatesIdle {
		return acts
	}
	acts = i.resetGates(acts)
	i.gates.stage, i.gates.timer, i.gates.told, i.gates.heldBack = gatesIdle, time.Time{}, "", ""
	return acts
}

// enterGates follows a transition.
func (i *Instance) enterGates(now time.Time, to State, acts []Action) []Action {
	s := &i.gates
	s.stage, s.told, s.heldBack = gatesIdle, "", ""
	if to != Master {
		if to != Backup { // whose timer was armed with the time to ask ahead
			s.timer = time.Time{}
		}
		return i.resetGates(acts)
	}
	s.timer = time.Time{}
	for n := range s.list {
		if g := &s.list[n]; g.Held {
			s.timer = now.Add(g.Pause)
			if g.answer == Unanswered {
				s.timer = now // resumed, or new
			}
		}
	}
	return acts
}

// gateTimer does what is due about the gates.
func (i *Instance) gateTimer(now time.Time, acts []Action) []Action {
	s := &i.gates
	if s.timer.IsZero() || now.Before(s.timer) {
		return acts
	}
	s.timer = time.Time{}
	switch {
	case i.state == Master:
		return i.checkHeld(now, acts)
	case i.state != Backup:
		return acts
	case s.stage == gatesIdle:
		return i.askAhead(now, acts)
	case s.stage == gatesBlocked:
		s.stage, s.phase = gatesAsked, phaseAsk
	}
	return i.weigh(now, acts)
}

// askAhead asks before the master-down time is over.
func (i *Instance) askAhead(now time.Time, acts []Action) []Action {
	cause := i.silenceCause(now)
	for n := range i.gates.list {
		if g := &i.gates.list[n]; g.Ahead && g.Before&before(cause.Reason) != 0 {
			i.gates.stage = gatesAhead
			acts = i.askGate(now, n, cause, acts)
		}
	}
	return acts
}

// checkHeld asks a MASTER's gates that must hold as long as it is MASTER.
func (i *Instance) checkHeld(now time.Time, acts []Action) []Action {
	for n := range i.gates.list {
		g := &i.gates.list[n]
		if !g.Held {
			continue
		}
		if g.ask != 0 && g.expire(now) && g.refuses() {
			return i.lostGate(now, g, acts)
		}
		acts = i.askGate(now, n, i.cause, acts)
		i.gates.timer = now.Add(g.Timeout)
	}
	return acts
}

// lostGate makes a MASTER give up what it must not be without the gate.
func (i *Instance) lostGate(now time.Time, g *gate, acts []Action) []Action {
	return i.yield(now, Cause{Reason: ReasonGate, Detail: fmt.Sprintf("%s: %s", g.Name, g.newest.Detail)}, acts)
}

// gateAnswer takes an answer.
func (i *Instance) gateAnswer(now time.Time, ev Event, acts []Action) []Action {
	if ev.Gate >= len(i.gates.list) {
		return acts
	}
	g := &i.gates.list[ev.Gate]
	if g.ask == 0 || g.ask != ev.Ask || g.answer != Unanswered {
		return acts // of a question that was taken back
	}
	g.answered(now, ev.Answer, ev.Cause.Detail)
	switch {
	case i.state == Master && g.Held:
		if g.refuses() {
			return i.lostGate(now, g, acts)
		}
		i.gates.timer = now.Add(g.Pause)
	case i.state == Backup && i.wants:
		return i.weigh(now, acts)
	case i.state == Backup && i.gates.stage > gatesAhead:
		return i.closeGates(acts) // it has left its group meanwhile
	}
	return acts
}

// past says that the gates of a phase do not keep a BACKUP that wants to take over.
func (i *Instance) past(phase gatePhase) bool {
	s := &i.gates
	switch {
	case !i.gated(i.wish.Reason):
		return true
	case s.stage == gatesPassed:
		return s.phase >= phase
	}
	return s.stage == gatesAsked && s.phase > phase
}

// passage tells the gates that a takeover has passed and the time that it cost.
func (i *Instance) passage(now time.Time) string {
	if !i.gated(i.wish.Reason) {
		return ""
	}
	var passed, untold []string
	for n := range i.gates.list {
		switch g := &i.gates.list[n]; {
		case g.Before&before(i.wish.Reason) == 0:
		case g.answer == Passed:
			passed = append(passed, g.Name)
		default:
			untold = append(untold, fmt.Sprintf("%s (%s)", g.Name, g.newest.Detail))
		}
	}
	text := ""
	if len(passed) > 0 {
		text = fmt.Sprintf("gates passed in %v: %s", now.Sub(i.gates.since).Round(100*time.Microsecond), strings.Join(passed, ", "))
	}
	if len(untold) > 0 {
		if text != "" {
			text += "; "
		}
		text += "took over without an answer of " + strings.Join(untold, ", ")
	}
	return text
}
