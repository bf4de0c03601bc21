package checkers

import "fmt"

// Reason is why a server or a pool changed its state.
type Reason uint8

// The reasons.
const (
	NotChecked   Reason = iota // no verdict yet; the reason of the first state
	ChecksPassed               // a server: all checks are up
	CheckFailed                // a server: a check went down
	NoChecks                   // a server: it has no checks, so it is up
	QuorumGained               // a pool: enough weight is healthy
	QuorumLost                 // a pool: too little weight is healthy
	SorryChanged               // a pool without a quorum: its sorry server came or went with the configuration
	Resumed                    // the state of the former process, found again
	reasonCount
)

var reasonNames = [...]string{
	NotChecked: "waiting for the first check results", ChecksPassed: "checks passed", CheckFailed: "check failed",
	NoChecks: "no checks configured", QuorumGained: "quorum gained", QuorumLost: "quorum lost",
	SorryChanged: "sorry server changed", Resumed: "resumed",
}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Change is one change of state with its cause.
type Change struct {
	Server   string // the server's name; empty: the pool itself
	From, To State
	Reason   Reason
	Detail   string
}

// Why returns the reason and its particulars in one text.
func (c Change) Why() string { return why(c.Reason, c.Detail) }

// Why returns why the server is in its state.
func (s *Server) Why() string { return why(s.Reason, s.Detail) }

func why(r Reason, detail string) string {
	switch {
	case detail == "":
		return r.String()
	case r == Resumed:
		return detail // the former process' own words
	}
	return r.String() + ": " + detail
}
