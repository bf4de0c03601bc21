package vrrpd

import (
	"fmt"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// trackerKey names a tracker.
type trackerKey struct {
	kind config.TrackKind
	name string
}

func (k trackerKey) String() string { return string(k.kind) + " " + k.name }

// tracker watches one thing that routers depend on. There is one for all that
// use it; the loop alone calls its methods. Whatever takes time happens
// elsewhere and comes back through the inbox, where changed tells of it.
type tracker interface {
	id() trackerKey
	verdict() vrrp.Verdict
	since() time.Time // of the verdict
	// finding is what led to the verdict, for a person: "exit status 1".
	finding() string
	// cause is why a router that depends on it cannot serve while it is down.
	cause() vrrp.Cause
}

// track is the use of a tracker by a router.
type track struct {
	tracker
	weight  int
	reverse bool
}

func (t track) term() vrrp.Term {
	term := vrrp.Term{Weight: t.weight, Reverse: t.reverse, Verdict: t.verdict()}
	if n, ok := t.tracker.(numbered); ok {
		term.Numeric, term.Number = true, n.number()
	}
	return term
}

// fault is the reason for FAULT of a term that says so.
func (t track) fault() fault {
	f := fault{key: t.id().String(), cause: t.cause()}
	if t.reverse && t.term().Verdict == vrrp.Up {
		f.cause = vrrp.Cause{Reason: vrrp.ReasonTracker, Detail: fmt.Sprintf("%s is %s, tracked in reverse", t.id(), said(t.tracker))}
	}
	return f
}

// explain tells the part that the tracker has in the effective priority.
func (t track) explain() control.PriorityTerm {
	term := t.term()
	note := fmt.Sprintf("%s, weight %d", said(t.tracker), term.Weight)
	switch {
	case term.Weight == 0 && t.reverse:
		note = said(t.tracker) + ", FAULT while up"
	case term.Weight == 0:
		note = said(t.tracker) + ", FAULT while down"
	case t.reverse:
		note += " in reverse"
	}
	found := t.finding()
	if found != "" && term.Verdict != vrrp.Up {
		note += ": " + found
	}
	return control.PriorityTerm{
		Source: t.id().String(), Kind: string(t.id().kind), Name: t.id().name,
		Verdict: term.Verdict.String(), Weight: t.weight, Reverse: t.reverse,
		Value: term.Value(), Up: term.Verdict == vrrp.Up, Fault: term.Fault(),
		Detail: found, Note: note,
	}
}

// uses finds the trackers of a list that was validated.
func (e *engine) uses(t *config.Tracking) []track {
	var list []track
	for _, u := range t.Uses() {
		list = append(list, track{e.trackers[trackerKey{u.Kind, u.Name}], u.Weight, u.Reverse})
	}
	return list
}

// tracked lists the trackers that a configuration uses.
func tracked(cfg *config.Config) map[trackerKey]bool {
	used := make(map[trackerKey]bool)
	add := func(t *config.Tracking) {
		for _, u := range t.Uses() {
			used[trackerKey{u.Kind, u.Name}] = true
		}
	}
	for i := range cfg.Instances {
		add(&cfg.Instances[i].Tracking)
	}
	for i := range cfg.Groups {
		add(&cfg.Groups[i].Tracking)
	}
	return used
}

// configureTrackers makes the trackers that the configuration uses. Those that
// watch the same thing in the same way as before keep what they know.
func (e *engine) configureTrackers(now time.Time, c *watchdog.Configure) {
	cfg := c.Config
	used := tracked(cfg)
	old := e.trackers
	e.trackers = make(map[trackerKey]tracker, len(used))
	e.configureScripts(now, cfg.Scripts, used, old)
	e.configureInterfaces(now, cfg.Interfaces, used, old)
	e.configureFiles(c.Resume == nil, cfg.Files, used, old)
	e.configureProcesses(now, cfg.Processes, used, old)
	e.configureTargets(now, cfg.Targets, used, old)
	e.trackBFD(used)
	e.configureReadiness(now, cfg.Readiness, old)
	for key, t := range old {
		if timer, ok := t.(timed); ok && e.trackers[key] != t {
			e.timers.remove(timer)
		}
	}
}

// expiring is a tracker whose verdict may change because time has passed.
type expiring interface {
	tracker
	timed
	expire(now time.Time) bool
}

// changed tells the parent about a new verdict and moves the routers that it
// concerns.
func (e *engine) changed(now time.Time, t tracker, from string) {
	e.tell(now, t, from)
	e.review(now)
}

// tell tells the parent about a new verdict. Scripts are told as such, all
// others as trackers.
func (e *engine) tell(now time.Time, t tracker, from string) {
	if w, ok := t.(*watchedInterface); ok && !w.told {
		return // an instance's own: the instance tells of it
	}
	ev := &control.Event{
		Time: now, Generation: e.generation, Kind: "tracker", Subject: t.id().String(),
		From: from, To: said(t), Reason: t.finding(), Code: string(t.id().kind),
	}
	if t.id().kind == config.KindScript {
		ev.Kind, ev.Subject = "script", t.id().name
	}
	e.touched = true
	e.send(watchdog.Message{Event: ev})
}

// resumeTrackers takes over what a former process knew, so that a respawn
// changes no priority. What has changed since then is told.
func (e *engine) resumeTrackers(now time.Time, former *control.VRRP) {
	for _, s := range former.Scripts {
		if own, ok := e.trackers[trackerKey{config.KindScript, s.Name}].(*script); ok && own.lastRun.IsZero() {
			own.resume(s)
		}
	}
	for _, old := range former.Trackers {
		t := e.trackers[trackerKey{config.TrackKind(old.Kind), old.Name}]
		r, ok := t.(interface {
			resume(now time.Time, old control.Tracker)
		})
		if !ok {
			continue
		}
		r.resume(now, old)
		if timer, ok := t.(timed); ok {
			e.timers.fix(timer)
		}
		if t.verdict().String() != old.State && old.State != vrrp.Unknown.String() {
			e.tell(now, t, old.State)
		}
	}
}

// trackerStatus is what status shows of a tracker that is no script.
func trackerStatus(t tracker) control.Tracker {
	s := control.Tracker{
		Kind: string(t.id().kind), Name: t.id().name,
		State: t.verdict().String(), Since: t.since(), Detail: t.finding(),
	}
	switch t := t.(type) {
	case numbered:
		s.Number = t.number()
	case *process:
		s.Number = t.count
	}
	return s
}
