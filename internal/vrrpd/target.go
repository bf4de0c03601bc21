package vrrpd

import (
	"fmt"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/internal/control"
	"director/vrrp"
)

// target is a tracked target: something in the network that is asked at an
// interval, never twice at a time.
type target struct {
	cfg      config.TargetTracker
	question string // what is asked, as a text: answers to another one do not count
	debounce vrrp.Debounce
	from     time.Time // of the verdict
	found    string

	next     time.Time // of the next question; the schedule is kept start to start
	asking   uint64    // ID of the question under way, 0 = none
	heapSlot int
}

func (t *target) id() trackerKey { return trackerKey{config.KindTarget, t.cfg.Name} }

func (t *target) verdict() vrrp.Verdict { return t.debounce.Verdict() }

func (t *target) since() time.Time { return t.from }

func (t *target) finding() string { return t.found }

func (t *target) cause() vrrp.Cause {
	return vrrp.Cause{Reason: vrrp.ReasonTracker, Detail: fmt.Sprintf("target %s: %s", t.cfg.Name, t.found)}
}

func (t *target) deadline() time.Time { return t.next }

func (t *target) slot() *int { return &t.heapSlot }

func (t *target) resume(_ time.Time, old control.Tracker) {
	t.debounce.Resume(old.State)
	t.from, t.found = old.Since, old.Detail
}

// configure gives the target its settings. Other ones than before leave the
// verdict until the new ones have given theirs.
func (t *target) configure(now time.Time, c config.TargetTracker) {
	question := fmt.Sprint(c.Kind, c.Address, c.Gateway, c.Port, c.Interface, c.Path, c.Host, c.Method, c.Status, c.Body)
	if question != t.question {
		verdict := t.debounce.Verdict()
		t.debounce = vrrp.Debounce{}
		t.debounce.Resume(verdict.String())
		t.question, t.next, t.asking = question, now, 0
	} else if next := now.Add(c.Interval.D()); next.Before(t.next) {
		t.next = next
	}
	t.cfg = c
	t.debounce.Rise, t.debounce.Fall = max(c.Rise, 1), max(c.Fall, 1)
}

// answered is posted when a target was asked.
type answered struct {
	id     uint64
	name   string
	result probe.Result
}

func (e *engine) configureTargets(now time.Time, cfgs []config.TargetTracker, used map[trackerKey]bool, old map[trackerKey]tracker) {
	for _, c := range cfgs {
		key := trackerKey{config.KindTarget, c.Name}
		if !used[key] {
			continue
		}
		t, ok := old[key].(*target)
		if !ok {
			t = &target{from: now, heapSlot: -1}
			e.timers.add(t)
		}
		t.configure(now, c)
		e.timers.fix(t)
		e.trackers[key] = t
	}
}

// ask asks a target that is due, unless the former question is still open.
func (e *engine) ask(now time.Time, t *target) {
	t.next = t.next.Add(t.cfg.Interval.D())
	if !t.next.After(now) {
		t.next = now.Add(t.cfg.Interval.D())
	}
	e.timers.fix(t)
	if t.asking == 0 {
		e.nextID++
		t.asking = e.nextID
		e.observer.ask(t.asking, t.cfg)
	}
}

// answered takes the answer of a target.
func (e *engine) answered(now time.Time, a answered) {
	t, ok := e.trackers[trackerKey{config.KindTarget, a.name}].(*target)
	if !ok || t.asking != a.id {
		return
	}
	from := said(t)
	t.asking = 0
	if found := a.result.String(); found != t.found {
		t.found = found
		e.touched = e.touched || !a.result.OK // the time of a good answer differs each time
	}
	// A question that this host could not put says nothing of the target.
	if a.result.Conclusive() && t.debounce.Step(a.result.OK) {
		t.from = now
		e.changed(now, t, from)
	}
}
