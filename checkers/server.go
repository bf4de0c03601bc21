package checkers

import (
	"fmt"
	"time"

	"director/ipvs"
)

// CheckID identifies what a check asks: two checks with the same ID ask the same
// question of the same target. Its content is the caller's affair.
type CheckID string

// CheckConfig is one check of a server.
type CheckConfig struct {
	ID CheckID
	// Label names the check in reasons: "http 10.0.0.1:80/health".
	Label string
	// Weighs says that the check's results may change the server's weight.
	Weighs bool
	// WarnBefore is how long before its end a certificate is warned of. 0: never.
	WarnBefore time.Duration
	Thresholds
}

// ServerConfig is one real server of a pool.
type ServerConfig struct {
	Name string
	Key  ipvs.DestKey
	// Dest is the server as it stands in the kernel while it is healthy.
	Dest ipvs.Destination
	// Inhibit keeps a server that is down in the table with weight 0, so that its
	// connections live on, instead of removing it. A sorry server has it while it
	// does not answer.
	Inhibit bool
	// StartsIn puts a server that is new into service before its first verdict.
	StartsIn bool
	// RampUp is how long the weight takes to rise when the server comes into
	// service. 0: it has it at once.
	RampUp time.Duration
	Checks []CheckConfig // none: always up
	// VerdictWithin is how long at most the first verdict is waited for. 0: for ever.
	VerdictWithin time.Duration
}

// Place is where a server stands in the kernel's table.
type Place uint8

// The places.
const (
	Out      Place = iota // not in the table
	Quiesced              // in the table with weight 0: keeps its connections, gets no new ones
	In                    // in the table with its weight
	placeCount
)

var placeNames = [...]string{Out: "out", Quiesced: "quiesced", In: "in"}

func (p Place) String() string {
	if int(p) < len(placeNames) {
		return placeNames[p]
	}
	return fmt.Sprintf("place(%d)", uint8(p))
}

// Result is what came back from one probe.
type Result struct {
	Outcome  Outcome
	Text     string // for people: "status 200", "timeout: connect: no answer after 3s"
	At       time.Time
	Duration time.Duration
	// Warning tells of what is well now and will not be for long.
	Warning string
	// Expires is when the first certificate of the server ends; zero: none was seen.
	Expires time.Time
	Advice  Advice
	// Withheld says of an Inconclusive result that there is no verdict on purpose: none
	// is missed.
	Withheld bool
}

// Check is a check of one server and its health.
type Check struct {
	Config CheckConfig
	Health Health
	Last   Result        // Last.At is zero before the first result
	Spent  time.Duration // in all probes whose results came
	Blind  time.Time     // since when the check cannot be made; zero: it can
	// Expires is when the first of the certificates ends that were last seen.
	Expires time.Time
	// Advice is what is in force of what the results advised.
	Advice Advice

	warned bool // it had seen a certificate that ends soon when the last result came

	said  Outcome // the last word about the server's health
	heard bool    // there was a result
}

// Server is a real server of a pool. Pool's methods change it; others read.
type Server struct {
	Config ServerConfig
	State  State
	Since  time.Time
	Reason Reason
	Detail string // particulars of Reason
	Checks []*Check
	Sorry  bool // it is a sorry server
	Kept   bool // it is down, and the panic guard keeps it in service

	override Override
	lingers  bool  // of a sorry server that drains: it answered before, and keeps its connections
	told     State // in maintenance: the state that was the last news

	held       Place // the place while State is Unknown
	heldWeight int32 // the weight that was found with it
	trusted    bool  // held in service without having been found there
	ramp       ramp
	overdue    bool // the first verdict is waited for no longer
	blind      bool // it has a verdict, and a check of it could not be made for too long
}

// verdict joins the checks' states: down when one is down, up when all are up,
// otherwise what it was.
func (s *Server) verdict() State {
	all := true
	for _, c := range s.Checks {
		switch c.Health.State {
		case Down:
			return Down
		case Unknown:
			all = false
		}
	}
	if all {
		return Up
	}
	return s.State
}

// serving says whether the server has a place in which it gets connections, as
// far as its own state goes.
func (s *Server) serving() bool {
	return s.State == Up || s.State == Unknown && s.held == In
}

// settle brings the server's state in line with its checks and returns the
// change, if there is one that is news.
func (s *Server) settle(now time.Time) (Change, bool) {
	to := s.verdict()
	if to == s.State {
		return Change{}, false
	}
	switch {
	case to == Down:
		s.ramp = ramp{}
	case s.State == Down && !s.Kept:
		s.ramp.due = true
	}
	change := Change{Server: s.Config.Name, From: s.State, To: to, Reason: ChecksPassed}
	if len(s.Checks) == 0 {
		change.Reason = NoChecks
	}
	for _, c := range s.Checks {
		if to == Down && c.Health.State == Down {
			change.Reason, change.Detail = CheckFailed, c.Config.Label+": "+c.Last.Text
			break
		}
	}
	s.State, s.Since, s.Reason, s.Detail = to, now, change.Reason, change.Detail
	// A sorry server without checks is no news.
	return change, s.override.Order != Maintenance && (!s.Sorry || len(s.Checks) > 0)
}

// trust puts a server that is new into service until its first verdict.
func (s *Server) trust() { s.held, s.heldWeight, s.trusted = In, s.Config.Dest.Weight, true }

// adopt takes the place that the server has in the kernel. weight is its weight
// there, present whether it is there at all.
func (s *Server) adopt(weight int32, present bool) {
	s.heldWeight = weight
	switch {
	case !present:
		s.held = Out
	case weight == 0 && s.base() != 0:
		s.held = Quiesced
	default:
		s.held = In
	}
}

// reconfigure gives the server its new settings. A check that asks the same as
// before keeps its health and its counters, and one that asks the same target in
// another way knows its certificates.
func (s *Server) reconfigure(cfg ServerConfig) {
	old := s.Checks
	s.Config = cfg
	s.Checks = make([]*Check, len(cfg.Checks))
	for i, want := range cfg.Checks {
		for j, c := range old {
			if c != nil && c.Config.ID == want.ID {
				s.Checks[i], old[j] = c, nil
				break
			}
		}
		if s.Checks[i] == nil {
			s.Checks[i] = &Check{Expires: shown(old, want.Label)}
		}
		s.Checks[i].Config = want
		s.Checks[i].Health.Thresholds = want.Thresholds
	}
}
