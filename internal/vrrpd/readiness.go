package vrrpd

import (
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// readiness is the parent's judgement whether this host could serve, as a tracker of
// every instance.
type readiness struct {
	weight int
	state  vrrp.Verdict
	at     time.Time
	reason string
}

var readinessKey = trackerKey{config.KindReadiness, "this host"}

func (r *readiness) id() trackerKey        { return readinessKey }
func (r *readiness) verdict() vrrp.Verdict { return r.state }
func (r *readiness) since() time.Time      { return r.at }
func (r *readiness) finding() string       { return r.reason }

func (r *readiness) cause() vrrp.Cause {
	return vrrp.Cause{Reason: vrrp.ReasonTracker, Detail: "this host could not serve: " + r.reason}
}

func (r *readiness) resume(_ time.Time, old control.Tracker) {
	if v, ok := vrrp.ParseVerdict(old.State); ok && r.state == vrrp.Unknown {
		r.state, r.at, r.reason = v, old.Since, old.Detail
	}
}

// configureReadiness keeps what is known.
func (e *engine) configureReadiness(now time.Time, c *config.Readiness, old map[trackerKey]tracker) {
	if c == nil || c.Weight == 0 {
		return
	}
	r, ok := old[readinessKey].(*readiness)
	if !ok {
		r = &readiness{at: now}
	}
	r.weight = c.Weight
	e.trackers[readinessKey] = r
}

// readinessTrack is how an instance depends on it.
func (e *engine) readinessTrack() []track {
	if r, ok := e.trackers[readinessKey].(*readiness); ok {
		return []track{{r, r.weight, false}}
	}
	return nil
}

// readinessTold takes the parent's judgement.
func (e *engine) readinessTold(now time.Time, m *watchdog.Readiness) {
	r, ok := e.trackers[readinessKey].(*readiness)
	if !ok {
		return
	}
	verdict := vrrp.Up
	if !m.Ready {
		verdict = vrrp.Down
	}
	r.reason = m.Reason
	if from := r.state; verdict != from {
		r.state, r.at = verdict, now
		e.changed(now, r, from.String())
	}
}
