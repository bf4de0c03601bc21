package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// maxBackoff bounds the wait between attempts at a kernel call that fails.
const maxBackoff = 60 * time.Second

// acquire asks for every address of a new MASTER and announces them.
func (e *engine) acquire(r *router, repeat int) {
	for _, a := range r.addrs {
		a.wanted = true
	}
	e.add(r, r.addrs)
	e.announce(r, r.addrs, repeat)
}

// release takes every address off, also those that only may be there.
func (e *engine) release(r *router) {
	r.retryAt = time.Time{}
	e.remove(r, r.addrs)
}

func (e *engine) add(r *router, addrs []*address) {
	e.job(r, link.Add, addrs, 0)
}

func (e *engine) remove(r *router, addrs []*address) {
	for _, a := range addrs {
		a.wanted, a.repairing, a.err, a.failures = false, false, nil, 0
	}
	r.pending += len(addrs)
	e.job(r, link.Remove, addrs, 0)
}

func (e *engine) announce(r *router, addrs []*address, repeat int) {
	if repeat > 0 {
		e.job(r, link.Announce, addrs, repeat)
	}
}

func (e *engine) job(r *router, op link.Op, addrs []*address, count int) {
	if len(addrs) == 0 {
		return
	}
	list := make([]link.Address, len(addrs))
	for i, a := range addrs {
		list[i] = a.link()
	}
	e.jobs = append(e.jobs, link.Job{Instance: r.id, Op: op, Addresses: list, Count: count})
}

// result takes what the worker reports of one address.
func (e *engine) result(now time.Time, res link.Result) {
	r := e.byID[res.Instance]
	if r == nil {
		return
	}
	a := r.address(res.Address)
	superseded := errors.Is(res.Err, link.ErrSuperseded)
	switch res.Op {
	case link.Add:
		if a != nil && a.wanted && !superseded {
			e.added(r, a, now, res)
		}
	case link.Remove:
		if !superseded && res.Err != nil {
			e.log.Error("cannot remove address", "instance", r.cfg.Name, "vip", res.Address.Prefix, "reason", res.Err)
		}
		if a != nil && !a.wanted {
			a.installed = false
			e.changed = true
		}
		r.pending--
		e.settle(r)
	case link.Announce:
		if res.Err != nil && !superseded && !errors.Is(res.Err, link.ErrNotInstalled) {
			e.warn(r, warnAnnounce, "cannot announce address", fmt.Sprintf("%s: %v", res.Address.Prefix, res.Err))
		}
	}
}

func (e *engine) added(r *router, a *address, now time.Time, res link.Result) {
	e.changed = true
	if res.Err == nil {
		if a.repairing && !res.Already {
			e.repairs++
			e.send(watchdog.Message{Event: &control.Event{
				Time: now, Generation: e.generation, Kind: "address",
				Subject: fmt.Sprintf("%s/%s", r.cfg.Name, a.prefix),
				From:    "absent", To: "present",
				Reason: "somebody else removed it from " + a.device + "; put back", Code: "repaired",
			}})
		}
		if a.failures > 0 {
			e.log.Info("address added after all", "instance", r.cfg.Name, "vip", a.prefix)
		}
		a.installed, a.repairing, a.err, a.failures = true, false, nil, 0
		return
	}
	a.installed = false
	if a.failures == 0 {
		a.since = now
		e.log.Error("cannot add address", "instance", r.cfg.Name, "vip", a.prefix, "reason", res.Err)
	}
	a.failures++
	a.err = res.Err
	a.retryAt = now.Add(backoff(a.failures))
	if r.retryAt.IsZero() || a.retryAt.Before(r.retryAt) {
		r.retryAt = a.retryAt
		e.timers.fix(r)
	}
}

// backoff is the wait after the n-th failure in a row: 1, 2, 4 ... 60 seconds.
func backoff(n int) time.Duration {
	if n > 6 {
		return maxBackoff
	}
	return min(time.Second<<(n-1), maxBackoff)
}

func (e *engine) retryAddresses(r *router, now time.Time) {
	r.retryAt = time.Time{}
	var again []*address
	for _, a := range r.addrs {
		switch {
		case !a.wanted || a.err == nil:
		case a.retryAt.After(now):
			if r.retryAt.IsZero() || a.retryAt.Before(r.retryAt) {
				r.retryAt = a.retryAt
			}
		default:
			again = append(again, a)
		}
	}
	e.add(r, again)
	e.announce(r, again, r.cfg.Garp.Repeat)
}

// lost puts back an address that somebody else removed from a MASTER.
func (e *engine) lost(device string, prefix netip.Prefix) {
	for _, r := range e.order {
		if r.sm.State() != vrrp.Master {
			continue
		}
		for _, a := range r.addrs {
			if a.prefix == prefix && a.device == device && a.wanted && a.installed {
				a.installed, a.repairing = false, true
				e.add(r, []*address{a})
				e.announce(r, []*address{a}, r.cfg.Garp.Repeat)
				e.changed = true
			}
		}
	}
}

// settle tells the end of a router whose last address is off.
func (e *engine) settle(r *router) {
	if r.pending > 0 || r.farewell == nil {
		return
	}
	e.send(watchdog.Message{Event: r.farewell})
	r.farewell = nil
	e.forget(r)
}

// forget drops a router that has left and holds nothing any more.
func (e *engine) forget(r *router) {
	for i, l := range e.leaving {
		if l == r {
			e.leaving = append(e.leaving[:i], e.leaving[i+1:]...)
			delete(e.byID, r.id)
			return
		}
	}
}
