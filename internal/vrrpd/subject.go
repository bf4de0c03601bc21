package vrrpd

import (
	"slices"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// subject is one configured instance at run time, as events name it. It has a router for each
// address family. To whoever is told of it they are one: a change of state is
// told once, when the last of them has made it.
type subject struct {
	routers  []*router
	told     vrrp.State     // the newest state that was told
	farewell *control.Event // told when the last address is off
}

// formSubjects joins the routers of each configured instance; configs are those
// of e.order. What was told last goes on with them; a router that left keeps its
// former subject.
func (e *engine) formSubjects(configs []*config.Instance) {
	for first := 0; first < len(configs); {
		end := first + 1
		for end < len(configs) && configs[end] == configs[first] {
			end++
		}
		in := &subject{routers: slices.Clone(e.order[first:end])}
		first = end
		for _, r := range in.routers {
			if r.subject != nil {
				in.told = r.subject.told
			}
		}
		if len(in.routers) == 1 {
			in.told = in.routers[0].reached // it may have been one of two that differed
		}
		for _, r := range in.routers {
			r.subject = in
		}
	}
}

// notify tells the parent about a transition, when all routers of the instance
// have made it; the parent logs it, runs scripts and keeps the history.
func (e *engine) notify(r *router, now time.Time, t vrrp.Transition) {
	r.warned = [numWarnings]warning{}
	if t.To == vrrp.Master {
		e.lookOut(now)
	}
	r.reached = t.To
	e.touched = true
	in := r.subject
	if in.told == t.To {
		return
	}
	cause := t.Cause
	for _, o := range in.routers { // without r, when a reload has taken its family away
		if o.reached != t.To {
			return
		}
		if cause.Shared() {
			cause = o.sm.Cause() // what it has of its own says more
		}
	}
	to := t.To.String()
	if t.To == vrrp.Init {
		// The end of an instance is told as STOP, keepalived's word, when its
		// addresses are off.
		to = "STOP"
	}
	ev := &control.Event{
		Time:       now,
		Generation: r.generation,
		Kind:       "instance",
		Subject:    r.cfg.Name,
		From:       in.told.String(),
		To:         to,
		Reason:     cause.String(),
		Code:       cause.Reason.String(),
		Priority:   int(r.sm.Priority()),
	}
	if r.source.IsValid() {
		ev.Source = r.source.String()
	}
	in.told = t.To
	if t.To == vrrp.Init && in.pending() && !r.moved {
		in.farewell = ev
		return
	}
	e.send(watchdog.Message{Event: ev})
}

// pending says that addresses are still being taken off.
func (in *subject) pending() bool {
	return slices.ContainsFunc(in.routers, func(r *router) bool { return r.pending > 0 })
}

// part tells the end of an instance whose last router is dismissed.
func (e *engine) part(in *subject) {
	if in.farewell == nil || slices.ContainsFunc(in.routers, e.isLeaving) {
		return
	}
	e.send(watchdog.Message{Event: in.farewell})
	in.farewell = nil
}

// both says that the router has a twin of the other family.
func (r *router) both() bool { return len(r.subject.routers) > 1 }

// title names the router among others: the instance, with the family where that
// has both.
func (r *router) title() string {
	if r.both() {
		return r.cfg.Name + " (" + familyTitle(r.key.family) + ")"
	}
	return r.cfg.Name
}

func familyTitle(f vrrp.Family) string {
	if f == vrrp.IPv6 {
		return "IPv6"
	}
	return "IPv4"
}
