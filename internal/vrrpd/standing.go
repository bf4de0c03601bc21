package vrrpd

import (
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
)

// What an operator has ordered for a virtual router stands above the configuration:
//
//	release  it hands its addresses over and stays the last resort: priority 1
//	prefer   it takes them over, from whatever other priority, and keeps them: 254
//
// Both are priorities of the protocol, so that every other router understands them,
// keepalived too.
const (
	releasedPriority  = 1
	preferredPriority = 254
)

// standing is what stands for a router, nil: nothing.
func (e *engine) standing(r *router) *control.Override {
	if o, ok := e.orders[r.cfg.Name]; ok && r.cfg.Priority != vrrp.PriorityOwner {
		return &o
	}
	return nil
}

// stand puts in force what stands now.
func (e *engine) stand(now time.Time, orders map[string]control.Override) {
	e.orders = orders
	var changed []*router
	for _, r := range e.order {
		o := e.standing(r)
		was := r.ordered.What()
		if r.ordered = o; o.What() != was {
			changed = append(changed, r)
		}
	}
	// The good-byes first: a lower priority before them would only be another advert.
	for _, r := range changed {
		if r.ordered.What() == control.VerbRelease {
			e.step(r, now, vrrp.Event{Kind: vrrp.EventYield, Cause: vrrp.Cause{Reason: vrrp.ReasonReleased, Detail: r.ordered.Says()}})
		}
	}
	for _, r := range changed {
		r.sm.Reconfigure(now, e.settings(r, r.cfg))
		e.reviewRouter(r, now)
		e.timers.fix(r)
	}
	e.touched = e.touched || len(changed) > 0
}

// settings are those of the configuration with what stands: who is preferred takes
// over at once, whatever the configuration says of preemption.
func (e *engine) settings(r *router, cfg *config.Instance) vrrp.Settings {
	set := familySettings(cfg, r.key.family)
	if r.ordered.What() == control.VerbPrefer {
		set.Preempt, set.PreemptDelay = true, 0
	}
	if e.roles.behind[cfg.Name] {
		set.Prepare = prepareLimit
	}
	return set
}
