package vrrpd

import (
	"fmt"
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
	changed  time.Time // to the verdict
	lastRun  time.Time
	last     watchdog.ScriptDone
	heapSlot int
}

func newScript(now time.Time, c config.Script) *script {
	s := &script{
		cfg:      c,
		debounce: vrrp.Debounce{Rise: max(c.Rise, 1), Fall: max(c.Fall, 1)},
		next:     now,
		changed:  now,
	}
	if c.InitFail {
		s.debounce.Resume(vrrp.Down.String())
		s.last.Result = "not yet run, and taken for failed (init_fail)"
	}
	return s
}

// sameRun reports whether two configurations run the same thing in the same
// way, so that results of one speak for the other.
func sameRun(a, b config.Script) bool {
	return slices.Equal(a.Command, b.Command) && a.User == b.User
}

func (s *script) id() trackerKey { return trackerKey{config.KindScript, s.cfg.Name} }

func (s *script) verdict() vrrp.Verdict { return s.debounce.Verdict() }

func (s *script) since() time.Time { return s.changed }

func (s *script) finding() string { return s.last.Result }

func (s *script) cause() vrrp.Cause {
	return vrrp.Cause{Reason: vrrp.ReasonScript, Detail: fmt.Sprintf("%s failed: %s", s.cfg.Name, s.last.Result)}
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
	s.changed = now
	return true
}

// inherit takes over the verdict of the command that a reload has replaced, until
// the new one has given its own: a reload by itself changes no priority.
func (s *script) inherit(old *script) {
	s.debounce.Resume(old.debounce.Verdict().String())
	s.changed = old.changed
	s.last.Result, s.last.Output, s.last.Duration = old.last.Result, old.last.Output, old.last.Duration
}

// resume takes over the verdict of a former life, so that a respawn changes no
// priority.
func (s *script) resume(old control.Script) {
	s.debounce.Resume(old.State)
	s.changed = old.Since
	s.last.Result, s.last.Output, s.last.Duration = old.Result, old.Output, old.Duration
}

func (s *script) snapshot() control.Script {
	return control.Script{
		Name:     s.cfg.Name,
		State:    s.debounce.Verdict().String(),
		Since:    s.changed,
		LastRun:  s.lastRun,
		Duration: s.last.Duration,
		Result:   s.last.Result,
		Output:   s.last.Output,
	}
}

// scriptDone takes the outcome of a track script's run.
func (e *engine) scriptDone(now time.Time, d *watchdog.ScriptDone) {
	s, ok := e.trackers[trackerKey{config.KindScript, d.Name}].(*script)
	if !ok {
		return
	}
	from := said(s)
	if s.done(now, d) {
		e.changed(now, s, from)
	}
}

// configureScripts keeps the results of scripts that still run the same thing.
func (e *engine) configureScripts(now time.Time, scripts []config.Script, used map[trackerKey]bool, old map[trackerKey]tracker) {
	for _, c := range scripts {
		key := trackerKey{config.KindScript, c.Name}
		if !used[key] {
			continue
		}
		s, ok := old[key].(*script)
		if !ok || !sameRun(s.cfg, c) {
			changed := newScript(now, c)
			if ok {
				changed.inherit(s)
			}
			s = changed
			e.timers.add(s)
		} else {
			if next := s.lastRun.Add(c.Interval.D()); s.cfg.Interval != c.Interval && next.Before(s.next) {
				s.next = next
				e.timers.fix(s)
			}
			s.cfg = c
			s.debounce.Rise, s.debounce.Fall = max(c.Rise, 1), max(c.Fall, 1)
		}
		e.trackers[key] = s
	}
}
