package vrrpd

import (
	"time"

	"director/vrrp"
	"director/vrrp/link"
)

// review looks at everything that decides whether each router may run, and
// starts, faults or recovers it accordingly.
func (e *engine) review(now time.Time) {
	for _, r := range e.order {
		e.reviewRouter(r, now)
	}
}

func (e *engine) reviewRouter(r *router, now time.Time) {
	before := r.faults
	e.inspect(r)
	e.inspectPaths(r, now)
	prio := r.effective()
	if prio != r.sm.Priority() {
		e.step(r, now, vrrp.Event{Kind: vrrp.EventPriority, Priority: prio})
		e.touched = true
	}
	switch {
	case len(r.faults) > 0:
		if !r.started || r.sm.State() != vrrp.Fault || r.sm.Cause() != r.faults[0].cause {
			e.giveUpResume(r)
			r.started, r.waiting = true, ""
			e.step(r, now, vrrp.Event{Kind: vrrp.EventFault, Cause: r.faults[0].cause})
			e.touched = true
		}
	case r.started && r.sm.State() == vrrp.Fault:
		if r.waiting = e.gate(r); r.waiting != "" {
			return
		}
		cause := vrrp.Cause{Reason: vrrp.ReasonRecovered, Detail: "FAULT"}
		if len(before) > 0 {
			cause.Detail = before[0].cause.String()
		} else if c := r.sm.Cause(); c.Reason != vrrp.ReasonNone {
			cause.Detail = c.String()
		}
		e.step(r, now, vrrp.Event{Kind: vrrp.EventRecover, Cause: cause})
	case !r.started:
		if r.waiting = e.gate(r); r.waiting != "" {
			e.giveUpResume(r)
			return
		}
		r.started = true
		kind := vrrp.EventStart
		if r.resume {
			kind = vrrp.EventResume
		}
		e.step(r, now, vrrp.Event{Kind: kind})
	}
}

// giveUpResume takes off what a former MASTER left behind when it cannot go on.
func (e *engine) giveUpResume(r *router) {
	if r.resume {
		r.resume = false
		e.release(&r.holding)
	}
}

// inspect brings the router's source address and list of faults up to date.
func (e *engine) inspect(r *router) {
	device := r.key.device
	faults := r.faults
	r.faults = nil
	add := func(key string, c vrrp.Cause) {
		r.faults = append(r.faults, fault{key, c})
	}
	for _, name := range r.needs {
		cause := e.interfaceFault(name)
		if cause == nil || name == device && r.cfg.NoTrackPrimary && cause.Reason == vrrp.ReasonInterfaceDown {
			continue
		}
		add("interface "+name, *cause)
	}
	if ifi, ok := e.link(device); ok {
		src, why := e.chooseSource(r, ifi)
		if why != "" {
			add("source", vrrp.Cause{Reason: vrrp.ReasonNoSource, Detail: why})
		} else if src != r.source {
			r.source = src
			r.sm.SetSource(src)
			r.sign()
			e.touched = true
		}
		if why := tooLong(r, r.sm.Settings(), ifi); why != "" {
			add("advert size", vrrp.Cause{Reason: vrrp.ReasonAdvertSize, Detail: why})
		}
		for _, key := range []portKey{r.key.port(), r.sendsBy(r.key)} {
			if p := e.ports[key]; p != nil && p.sock == nil && p.err != nil {
				add("socket", vrrp.Cause{Reason: vrrp.ReasonSocket, Detail: device + ": " + p.err.Error()})
				break
			}
		}
	}
	for _, t := range r.tracks {
		if t.term().Fault() {
			r.faults = append(r.faults, t.fault())
		}
	}
	// The oldest cause stays the one that is told, so that a second one does
	// not rewrite the history of the first.
	if len(faults) > 0 {
		for i, f := range r.faults {
			if f.key == faults[0].key {
				copy(r.faults[1:i+1], r.faults[:i])
				r.faults[0] = f
				if f.cause.Reason == faults[0].cause.Reason {
					r.faults[0].cause = faults[0].cause
				}
			}
		}
	}
}

func (e *engine) link(name string) (link.Interface, bool) {
	ifi, ok := e.links[name]
	return ifi, ok
}
