package checkers

import (
	"fmt"
	"strings"
)

// Reason is why a server or a pool changed its state.
type Reason uint8

// The reasons.
const (
	NotChecked      Reason = iota // no verdict yet; the reason of the first state
	ChecksPassed                  // a server: all checks are up
	CheckFailed                   // a server: a check went down
	NoChecks                      // a server: it has no checks, so it is up
	QuorumGained                  // a pool: enough weight is healthy
	QuorumLost                    // a pool: too little weight is healthy
	SorryChanged                  // a pool without a quorum: another sorry server answers, or the first comes or the last goes
	WeightChanged                 // a server: its checks advise another weight
	RampBegan                     // a server: its weight begins to rise
	RampEnded                     // a server: it has its whole weight
	PanicBegan                    // a pool: the guard keeps servers in service that are down
	PanicEnded                    // a pool: it keeps none any more
	CertificateEnds               // a pool: a certificate of a server ends soon, or has ended
	CertificateGood               // a pool: none ends soon any more
	VerdictsMissing               // a pool: a server has waited for a verdict, its first or a new one, for too long
	VerdictsCame                  // a pool: none does any more
	Resumed                       // the state of the former process, found again
	reasonCount
)

var reasonNames = [...]string{
	NotChecked: "not_checked", ChecksPassed: "checks_passed", CheckFailed: "check_failed", NoChecks: "no_checks",
	QuorumGained: "quorum_gained", QuorumLost: "quorum_lost", SorryChanged: "sorry_server_changed", WeightChanged: "weight_changed",
	RampBegan: "ramp_up_began", RampEnded: "ramp_up_ended", PanicBegan: "panic_guard", PanicEnded: "panic_guard_ended",
	CertificateEnds: "certificate_ends", CertificateGood: "certificate_good",
	VerdictsMissing: "no_verdict", VerdictsCame: "no_verdict_over", Resumed: "resumed",
}

// String returns the reason's stable name, fit for a metric label.
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
func (s *Server) Why() string {
	if s.overdue {
		return "no verdict: " + s.obstacle()
	}
	return why(s.Reason, s.Detail)
}

func why(r Reason, detail string) string {
	text := strings.ReplaceAll(r.String(), "_", " ")
	switch {
	case r == NotChecked:
		return "waiting for the first check results"
	case r == NoChecks:
		return "no checks configured"
	case detail == "":
		return text
	case r == Resumed:
		return detail // the former process' own words
	}
	return text + ": " + detail
}
