package checkd

import (
	"fmt"
	"time"

	"director/bfd"
	"director/checkers/probe"
	"director/config"
	"director/internal/watchdog"
)

// sessionsTold takes the parent's word about BFD sessions, and has the checks look now
// that follow one which has changed.
func (d *Daemon) sessionsTold(now time.Time, states map[string]watchdog.Session) {
	old := d.schedule.sessions
	d.schedule.sessions = states
	for key, t := range d.schedule.tasks {
		if key.Kind == config.CheckBFD && old[key.Path] != states[key.Path] {
			d.schedule.hurry(now, t)
		}
	}
}

// session returns what is known of a session, nil when that is nothing.
func (s *scheduler) session(name string) *watchdog.Session {
	if told, ok := s.sessions[name]; ok {
		return &told
	}
	return nil
}

// judgeSession makes a result of what is known of a BFD session. Nothing is held
// against a server whose session has not had the time to come up, nor against one
// that has taken its session down on purpose (RFC 5880 section 6.2).
func judgeSession(s *watchdog.Session) probe.Result {
	if s == nil {
		return probe.Result{Reason: probe.Withheld, Detail: "the VRRP process has not told of the session yet"}
	}
	text := fmt.Sprintf("session is %s: %s", s.State, s.Reason)
	switch {
	case s.Verdict == "up":
		return probe.Result{OK: true, Detail: text}
	case s.Verdict == "unknown", s.State == bfd.AdminDown.String(), s.Code == bfd.ReasonPeerAdminDown.String():
		return probe.Result{Reason: probe.Withheld, Detail: text}
	}
	return probe.Result{Reason: probe.Unreachable, Detail: text}
}
