package vrrpd

import (
	"slices"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// script is one track script at run time. It is run once for all routers that
// use it; the parent does the running, on request.
type script struct {
	cfg      config.Script
	debounce vrrp.Debounce

	next     time.Time // next start; the schedule is kept start to start
	running  uint64    // ID of the request under way, 0 = none
	skipped  uint64    // starts left out because the former run had not ended
	since    time.Time // of the verdict
	lastRun  time.Time
	last     watchdog.ScriptDone
	heapSlot int
}

func newScript(now time.Time, c config.Script) *script {
	return &script{
		cfg:      c,
		debounce: vrrp.Debounce{Rise: max(c.Rise, 1), Fall: max(c.Fall, 1)},
		next:     now,
		since:    now,
	}
}

// sameRun reports whether two configurations run the same thing in the same
// way, so that results of one speak for the other.
func sameRun(a, b config.Script) bool {
	return slices.Equal(a.Command, b.Command) && a.User == b.User
}

func (s *script) deadline() time.Time { return s.next }

func (s *script) slot() *int { return &s.heapSlot }

// due starts the next run, unless the former one still goes on, and returns the
// request for the parent.
func (s *script) due(now time.Time, id uint64) *watchdog.RunScript {
	s.next = s.next.Add(s.cfg.Interval.D())
	if !s.next.After(now) {
		s.next = now.Add(s.cfg.Interval.D())
	}
	if s.running != 0 {
		s.skipped++
		return nil
	}
	s.running, s.lastRun = id, now
	return &watchdog.RunScript{ID: id, Name: s.cfg.Name}
}

// done takes a result and reports whether the verdict changed.
func (s *script) done(now time.Time, d *watchdog.ScriptDone) bool {
	if s.running != d.ID {
		return false // of a run before a reload
	}
	s.running, s.last = 0, *d
	if !s.debounce.Step(d.OK) {
		return false
	}
	s.since = now
	return true
}

// inherit takes over the verdict of the command that a reload has replaced, until
// the new one has given its own: a reload by itself changes no priority.
func (s *script) inherit(old *script) {
	s.debounce.Resume(old.debounce.Verdict().String())
	s.since = old.since
	s.last.Result, s.last.Output, s.last.Duration = old.last.Result, old.last.Output, old.last.Duration
}

// resume takes over the verdict of a former life, so that a respawn changes no
// priority.
func (s *script) resume(old control.Script) {
	s.debounce.Resume(old.State)
	s.since = old.Since
	s.last.Result, s.last.Output, s.last.Duration = old.Result, old.Output, old.Duration
}

func (s *script) snapshot() control.Script {
	return control.Script{
		Name:     s.cfg.Name,
		State:    s.debounce.Verdict().String(),
		Since:    s.since,
		LastRun:  s.lastRun,
		Duration: s.last.Duration,
		Result:   s.last.Result,
		Output:   s.last.Output,
	}
}

// scriptDone takes the outcome of a track script's run.
func (e *engine) scriptDone(now time.Time, d *watchdog.ScriptDone) {
	s := e.scripts[d.Name]
	if s == nil {
		return
	}
	from := s.debounce.Verdict()
	if !s.done(now, d) {
		return
	}
	e.changed = true
	e.send(watchdog.Message{Event: &control.Event{
		Time: now, Generation: e.generation, Kind: "script", Subject: d.Name,
		From: from.String(), To: s.debounce.Verdict().String(), Reason: d.Result, Code: "script",
	}})
	e.review(now)
}
