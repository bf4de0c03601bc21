package checkers

import (
	"fmt"
	"time"
)

// State is how a check, a server or a pool is.
type State uint8

// The states.
const (
	// Unknown: there is no verdict yet.
	Unknown State = iota
	// Up: a check passes, a server is healthy, a pool has its quorum.
	Up
	// Down: a check fails, a server is sick, a pool has no quorum.
	Down
	// Sorry: a pool has no quorum and its sorry server answers. Pools only.
	Sorry
	stateCount
)

var stateNames = [...]string{Unknown: "unknown", Up: "up", Down: "down", Sorry: "sorry"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState returns the state with the given name, and whether there is one.
func ParseState(name string) (State, bool) {
	for s, n := range stateNames {
		if n == name {
			return State(s), true
		}
	}
	return Unknown, false
}

// Outcome is what one probe says about a server.
type Outcome uint8

// The outcomes.
const (
	// Inconclusive: the probe could not be made. It is no verdict about the server.
	Inconclusive Outcome = iota
	Pass
	Fail
	outcomeCount
)

var outcomeNames = [...]string{Inconclusive: "inconclusive", Pass: "pass", Fail: "fail"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Thresholds say how many results in a row change a check's state. Values below
// 1 count as 1.
type Thresholds struct {
	Rise int // good results to be up
	Fall int // bad results to be down
}

// Health is the state of one check. The zero value with its Thresholds set is
// ready for use: unknown.
type Health struct {
	Thresholds
	State State
	Since time.Time // of the state; zero while unknown from the start
	// Passed and Failed count the results of each sort since the check was made.
	Passed, Failed uint64

	streak int // results in a row that speak for a change
}

// Changing says that the newest result speaks for a change that is not there yet.
func (h *Health) Changing() bool { return h.streak > 0 }

// Step counts one result and reports whether the state changed. in says whether
// the server is in service now, which decides how much proof a first verdict
// needs: see the package's description.
func (h *Health) Step(now time.Time, o Outcome, in bool) bool {
	var to State
	switch o {
	case Pass:
		h.Passed++
		to = Up
	case Fail:
		h.Failed++
		to = Down
	default:
		return false
	}
	if h.State == to {
		h.streak = 0
		return false
	}
	need := 1
	switch {
	case to == Up && (h.State == Down || !in):
		need = h.Rise
	case to == Down && (h.State == Up || in):
		need = h.Fall
	}
	if h.streak++; h.streak < need {
		return false
	}
	h.State, h.Since, h.streak = to, now, 0
	return true
}
