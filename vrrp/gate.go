package vrrp

import (
	"slices"
	"time"
)

// Answer is what was found out about a promotion gate.
type Answer uint8

// The answers.
const (
	Unanswered Answer = iota
	Passed            // what must hold does hold
	Denied            // it does not
	Untold            // nobody can say: no answer in time, or no way to ask
	numAnswers
)

var answerNames = [numAnswers]string{"unanswered", "passed", "denied", "no answer"}

func (a Answer) String() string {
	if int(a) < len(answerNames) {
		return answerNames[a]
	}
	return "unknown answer"
}

// Before says before which kinds of takeover a gate is asked. It is a set.
type Before uint8

// The kinds of takeover.
const (
	BeforeSilent  Before = 1 << iota // the MASTER is silent, or none was heard at all
	BeforeStopped                    // the MASTER said good-bye by priority 0
	BeforePreempt                    // a lower MASTER lives, or the address owner starts
	BeforeAny     = BeforeSilent | BeforeStopped | BeforePreempt
)

func before(r Reason) Before {
	switch r {
	case ReasonMasterDown, ReasonBFDDown:
		return BeforeSilent
	case ReasonMasterStopped:
		return BeforeStopped
	}
	return BeforePreempt
}

// Gate is something that must hold before a BACKUP becomes MASTER. The owner of the
// Instance finds out about it: ActionAsk asks, EventGate answers. Gates are asked all
// at once, but those that are Held or Last.
type Gate struct {
	Name    string // in causes
	Timeout time.Duration
	Promote bool          // when nobody can say: take over all the same, else stay
	Pause   time.Duration // after a gate kept the BACKUP, until all are asked again
	Before  Before
	Ahead   bool // asked already when adverts are missed, so that a takeover need not wait
	Last    bool // asked when all others have passed: it does something that is not undone
	// Held must hold as long as the router is MASTER: it is asked again a Pause after
	// each answer, and a MASTER without it gives up. Before a takeover it is asked when
	// the others have passed, but before the Last ones.
	Held bool
}

// GateStatus is the newest of a gate.
type GateStatus struct {
	Gate   Gate
	Answer Answer // the newest there was
	Detail string // why
	At     time.Time
	Asked  time.Time // of the question that is open, zero: none is
}

// gateStage is how far a BACKUP is with the gates of a phase.
type gateStage uint8

const (
	gatesIdle    gateStage = iota
	gatesAhead             // those that can be were asked ahead of time
	gatesAsked             // those of the phase were asked
	gatesPassed            // they have passed; in a group, the phases of the others are waited for
	gatesBlocked           // one has not; all are asked again at gates.timer
)

// gatePhase orders the gates. A group begins a phase when all its members have
// passed the one before.
type gatePhase uint8

const (
	phaseAsk  gatePhase = iota
	phaseHold           // gates that are Held: taken only when nothing else is in the way, for others want them too
	phaseLast           // gates that are Last
	numGatePhases
)

func (g *gate) phase() gatePhase {
	switch {
	case g.Last:
		return phaseLast
	case g.Held:
		return phaseHold
	}
	return phaseAsk
}

// gates are the promotion gates of an Instance and what is known of them.
type gates struct {
	list  []gate
	stage gateStage
	phase gatePhase // of gatesAsked and gatesPassed
	timer time.Time // the next thing to do about them, zero = none
	since time.Time // when the takeover that they delay was due
	told  string    // of the takeover held back, so that it is told once

	heldBack string // by which gate and why
	ask      uint64 // of the newest question; never used twice
}

type gate struct {
	Gate
	ask    uint64 // of this round, 0 = not asked
	asked  time.Time
	answer Answer // of this round
	newest GateStatus
}

// Gates returns the newest of each gate.
func (i *Instance) Gates() []GateStatus {
	list := make([]GateStatus, len(i.gates.list))
	for n := range i.gates.list {
		g := &i.gates.list[n]
		list[n] = g.newest
		list[n].Gate = g.Gate
		if g.ask != 0 && g.answer == Unanswered {
			list[n].Asked = g.asked
		}
	}
	return list
}

// HeldBack says which gate keeps a BACKUP that would take over, and why; empty when
// none does.
func (i *Instance) HeldBack() string { return i.gates.heldBack }

// SetGates puts other gates in force. What is held is asked for at once by a
// MASTER; a BACKUP asks anew when it would take over next.
func (i *Instance) SetGates(now time.Time, list []Gate, acts []Action) []Action {
	if slices.EqualFunc(i.gates.list, list, func(a gate, b Gate) bool { return a.Gate == b }) {
		return acts
	}
	if i.state == Backup {
		acts = i.closeGates(acts)
	}
	next := make([]gate, len(list))
	for n := range list {
		next[n].Gate = list[n]
		for _, old := range i.gates.list {
			if old.Gate.Name == list[n].Name {
				next[n].newest = old.newest
			}
		}
	}
	i.gates.list = next
	if i.state == Master {
		i.gates.timer = now
	}
	return acts
}
