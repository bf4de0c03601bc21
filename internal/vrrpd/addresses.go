package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
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
	list := make([]*address, 0, len(addrs))
	for _, a := range addrs {
		if !r.own(a) {
			list = append(list, a)
		}
		a.wanted, a.repairing, a.doubtful, a.err, a.failures, a.losses = false, false, false, nil, 0, 0
	}
	r.pending += len(list)
	e.job(r, link.Remove, list, 0)
}

// clean removes addresses that are nobody's any more.
func (e *engine) clean(list []link.Address) {
	if len(list) > 0 {
		e.jobs = append(e.jobs, link.Job{Op: link.Remove, Addresses: list})
	}
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
	superseded := errors.Is(res.Err, link.ErrSuperseded)
	r := e.byID[res.Instance]
	if r == nil {
		if res.Op == link.Remove && res.Err != nil && !superseded {
			e.log.Error("cannot remove address", "vip", res.Address.Prefix, "reason", res.Err)
		}
		return
	}
	a := r.address(res.Address)
	switch res.Op {
	case link.Add:
		if a != nil && a.wanted && !superseded {
			e.added(r, a, now, res)
		}
	case link.Remove:
		e.removed(r, a, now, res)
		r.pending--
		e.unlocked(r)
		e.settle(r)
	case link.Announce:
		if res.Err != nil && !superseded && !errors.Is(res.Err, link.ErrNotInstalled) &&
			r.warn(warnAnnounce, warning{text: res.Err.Error(), at: now}) {
			e.log.Warn("cannot announce address", "instance", r.cfg.Name, "vip", res.Address.Prefix, "reason", res.Err)
		}
	}
}

func (e *engine) added(r *router, a *address, now time.Time, res link.Result) {
	e.touched = true
	if res.Err != nil {
		a.installed = false
		if a.failures == 0 {
			e.log.Error("cannot add address", "instance", r.cfg.Name, "vip", a.prefix, "reason", res.Err)
		}
		e.retryLater(r, a, now, res.Err)
		return
	}
	a.ours = a.ours || !res.Already || r.cfg.Priority != vrrp.PriorityOwner
	if a.doubtful {
		// A removal was reported since the Add was asked for, and nobody can say
		// which of them came last.
		a.doubtful, a.installed, a.repairing = false, false, true
		e.add(r, []*address{a})
		e.announce(r, []*address{a}, r.cfg.Garp.Repeat)
		return
	}
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
	if r.own(a) {
		e.log.Info("the host had the address before, it will stay at a stop", "instance", r.cfg.Name, "vip", a.prefix)
	}
}

func (e *engine) removed(r *router, a *address, now time.Time, res link.Result) {
	superseded := errors.Is(res.Err, link.ErrSuperseded)
	failed := res.Err != nil && !superseded
	if failed && (a == nil || a.failures == 0) {
		e.log.Error("cannot remove address", "instance", r.cfg.Name, "vip", res.Address.Prefix, "reason", res.Err)
	}
	if a == nil || a.wanted {
		return
	}
	e.touched = true
	if failed {
		if !r.left {
			e.retryLater(r, a, now, res.Err)
		}
		return
	}
	a.installed, a.ours, a.err, a.failures = false, false, nil, 0
}

// retryLater records that a kernel call for an address failed and when it is
// made again.
func (e *engine) retryLater(r *router, a *address, now time.Time, err error) {
	if a.failures == 0 {
		a.since = now
	}
	a.failures++
	a.err = err
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
	var add, remove []*address
	for _, a := range r.addrs {
		switch {
		case a.err == nil:
		case a.retryAt.After(now):
			if r.retryAt.IsZero() || a.retryAt.Before(r.retryAt) {
				r.retryAt = a.retryAt
			}
		case a.wanted:
			add = append(add, a)
		default:
			remove = append(remove, a)
		}
	}
	e.add(r, add)
	e.announce(r, add, r.cfg.Garp.Repeat)
	r.pending += len(remove)
	e.job(r, link.Remove, remove, 0)
}

const (
	// repairCalm is how long nobody must have removed an address for the next
	// removal to count as the first.
	repairCalm = time.Minute
	// promptRepairs is how many removals in a row are repaired at once; further
	// ones wait longer and longer, so that two programs that disagree about an
	// address do not keep the host busy.
	promptRepairs = 3
)

var errContested = errors.New("somebody else keeps removing it")

// lost puts back an address that somebody else removed from a MASTER.
func (e *engine) lost(now time.Time, device string, prefix netip.Prefix) {
	r := e.holders[place{prefix, device}]
	if r == nil || r.sm.State() != vrrp.Master {
		return
	}
	a := r.byPlace[place{prefix, device}]
	switch {
	case !a.wanted:
		return
	case !a.installed:
		a.doubtful = true
		return
	}
	e.touched = true
	a.installed, a.repairing = false, true
	if now.Sub(a.lostAt) > repairCalm {
		a.losses = 0
	}
	a.lostAt = now
	if a.losses++; a.losses > promptRepairs {
		a.failures = a.losses - promptRepairs - 1
		if a.failures == 0 {
			e.log.Error("somebody else keeps removing an address", "instance", r.cfg.Name, "vip", a.prefix)
		}
		e.retryLater(r, a, now, errContested)
		return
	}
	e.add(r, []*address{a})
	e.announce(r, []*address{a}, r.cfg.Garp.Repeat)
}

// settle ends a router that has left, when its last address is off.
func (e *engine) settle(r *router) {
	if !r.left || r.pending > 0 {
		return
	}
	e.dismiss(r)
}

// dismiss drops a router that has left, and tells its end.
func (e *engine) dismiss(r *router) {
	if i := slices.Index(e.leaving, r); i >= 0 {
		e.leaving = slices.Delete(e.leaving, i, i+1)
	}
	delete(e.byID, r.id)
	e.part(r.subject)
	e.partGroup(r.group)
}
