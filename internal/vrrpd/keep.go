package vrrpd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// maxBackoff bounds the wait between attempts at a kernel call that fails.
const maxBackoff = 60 * time.Second

// acquire asks for everything that a new MASTER holds and announces its addresses.
func (e *engine) acquire(r *router, repeat int) {
	e.take(&r.holding)
	e.announce(r, r.items, repeat)
}

// take asks for every item, in their order.
func (e *engine) take(h *holding) {
	for _, i := range h.items {
		i.wanted = true
	}
	e.add(h, h.items)
}

// release takes every item off, also those that only may be there.
func (e *engine) release(h *holding) {
	h.retryAt = time.Time{}
	e.remove(h, h.items)
}

func (e *engine) add(h *holding, items []*item) {
	e.job(h, link.Add, items, 0)
}

// remove takes items off: rules and routes in reverse order, then the addresses that
// they may need, what the addresses needed, and settings last.
func (e *engine) remove(h *holding, items []*item) {
	list := make([]*item, 0, len(items))
	for _, i := range slices.Backward(items) {
		if k := i.Key().Kind; k == link.KindRule || k == link.KindRoute {
			list = append(list, i)
		}
	}
	for _, kind := range []link.Kind{link.KindAddress, link.KindBlock, link.KindUp, link.KindVMAC, link.KindSetting} {
		for _, i := range items {
			switch {
			case i.Key().Kind != kind,
				kind == link.KindSetting && !i.ours,
				kind == link.KindVMAC && h.router != nil: // it stays, for the next time
			default:
				list = append(list, i)
			}
		}
	}
	for _, i := range items {
		i.wanted, i.repairing, i.doubtful, i.err, i.failures, i.losses = false, false, false, nil, 0, 0
	}
	h.pending += len(list)
	e.job(h, link.Remove, list, 0)
}

// clean removes items that are nobody's any more.
func (e *engine) clean(list ...link.Item) {
	if len(list) > 0 {
		e.jobs = append(e.jobs, link.Job{Op: link.Remove, Items: list})
	}
}

// announce announces the addresses among items.
func (e *engine) announce(r *router, items []*item, repeat int) {
	if repeat > 0 {
		is := func(i *item) bool { return i.Key().Kind == link.KindAddress }
		if first := slices.IndexFunc(items, is); first >= 0 {
			items = items[first:]
			if n := slices.IndexFunc(items, func(i *item) bool { return !is(i) }); n >= 0 {
				items = items[:n] // they stand together
			}
			e.job(&r.holding, link.Announce, items, repeat)
			e.jobs[len(e.jobs)-1].Gap = r.cfg.Garp.Interval.D()
		}
	}
}

func (e *engine) job(h *holding, op link.Op, items []*item, count int) {
	if len(items) == 0 {
		return
	}
	list := make([]link.Item, len(items))
	for n, i := range items {
		list[n] = i.Item
		if a, ok := i.Item.(link.Address); ok && op == link.Remove && h.own(i) {
			a.OnlyMarked = true
			list[n] = a
		}
	}
	e.jobs = append(e.jobs, link.Job{Instance: h.id, Op: op, Items: list, Count: count})
}

// result takes what the worker reports of one item.
func (e *engine) result(now time.Time, res link.Result) {
	superseded := errors.Is(res.Err, link.ErrSuperseded)
	h := e.holdings[res.Instance]
	if h == nil {
		if res.Op == link.Remove && res.Err != nil && !superseded {
			e.log.Error("cannot remove from the kernel", "item", res.Item, "reason", res.Err)
		}
		return
	}
	i := h.find(res.Item)
	switch res.Op {
	case link.Add:
		if i != nil && i.wanted && !superseded {
			e.added(h, i, now, res)
		}
	case link.Remove:
		e.removed(h, i, now, res)
		h.pending--
		e.roles.stale = true
		if h.router != nil {
			e.unlocked(h.router)
		}
		e.settle(h)
	case link.Announce:
		if r := h.router; r != nil && res.Err != nil && !superseded && !errors.Is(res.Err, link.ErrNotInstalled) &&
			r.warn(warnAnnounce, warning{text: res.Err.Error(), at: now}) {
			e.log.Warn("cannot announce address", "instance", h.name, "vip", res.Item, "reason", res.Err)
		}
	}
}

func (e *engine) added(h *holding, i *item, now time.Time, res link.Result) {
	e.touched = true
	if res.Err != nil {
		i.installed = false
		if i.failures == 0 {
			e.log.Error("cannot add to the kernel", "instance", h.name, "item", i, "reason", res.Err)
		}
		e.retryLater(h, i, now, res.Err)
		return
	}
	i.ours = i.ours || !res.Already || !h.hosts
	if i.doubtful {
		// A removal was reported since the Add was asked for, and nobody can say
		// which of them came last.
		i.doubtful, i.installed, i.repairing = false, false, true
		e.putBack(h, i)
		return
	}
	switch {
	case i.repairing && res.Already:
		i.losses = max(0, i.losses-1) // it was another one that went, or it came back
	case i.repairing:
		e.repairs++
		e.repaired = now
		e.send(watchdog.Message{Event: &control.Event{
			Time: now, Generation: e.generation, Kind: i.Key().Kind.String(),
			Subject: fmt.Sprintf("%s/%s", h.name, i.short()),
			From:    "absent", To: "present",
			Reason: i.lossReason(), Code: "repaired",
		}})
	}
	if i.failures > 0 {
		e.log.Info("added to the kernel after all", "instance", h.name, "item", i)
	}
	i.installed, i.repairing, i.err, i.failures = true, false, nil, 0
	if h.own(i) {
		e.log.Info("the host had this before, it will stay at a stop", "instance", h.name, "item", i)
	}
}

func (e *engine) removed(h *holding, i *item, now time.Time, res link.Result) {
	superseded := errors.Is(res.Err, link.ErrSuperseded)
	failed := res.Err != nil && !superseded
	if failed && (i == nil || i.failures == 0) {
		e.log.Error("cannot remove from the kernel", "instance", h.name, "item", res.Item, "reason", res.Err)
	}
	if i == nil || i.wanted {
		return
	}
	e.touched = true
	if failed {
		if !h.left {
			e.retryLater(h, i, now, res.Err)
		}
		return
	}
	i.err, i.failures = nil, 0
	if a, ok := res.Item.(link.Address); !ok || !a.OnlyMarked || !res.Already {
		i.installed, i.ours = false, false
	}
}

// retryLater records that a kernel call for an item failed and when it is made
// again.
func (e *engine) retryLater(h *holding, i *item, now time.Time, err error) {
	if i.failures == 0 {
		i.since = now
	}
	i.failures++
	i.err = err
	i.retryAt = now.Add(backoff(i.failures))
	if h.retryAt.IsZero() || i.retryAt.Before(h.retryAt) {
		h.retryAt = i.retryAt
		e.timers.fix(h.timer)
	}
}

// backoff is the wait after the n-th failure in a row: 1, 2, 4 ... 60 seconds.
func backoff(n int) time.Duration {
	if n > 6 {
		return maxBackoff
	}
	return min(time.Second<<(n-1), maxBackoff)
}

func (e *engine) retryItems(h *holding, now time.Time) {
	h.retryAt = time.Time{}
	var add, remove []*item
	for _, i := range h.items {
		switch {
		case i.err == nil:
		case i.retryAt.After(now):
			if h.retryAt.IsZero() || i.retryAt.Before(h.retryAt) {
				h.retryAt = i.retryAt
			}
		case i.wanted:
			add = append(add, i)
		default:
			remove = append(remove, i)
		}
	}
	e.add(h, add)
	if h.router != nil {
		e.announce(h.router, add, h.router.cfg.Garp.Repeat)
	}
	h.pending += len(remove)
	slices.Reverse(remove)
	e.job(h, link.Remove, remove, 0)
}

const (
	// repairCalm is how long nobody must have removed an address for the next
	// removal to count as the first.
	repairCalm = time.Minute
	// promptRepairs is how many removals in a row are repaired at once; further
	// ones wait longer and longer, so that two programs that disagree do not keep the host busy.
	promptRepairs = 3
)

var errContested = errors.New("somebody else keeps removing it")

// lost puts back what somebody else took from the kernel.
func (e *engine) lost(now time.Time, key link.Key) {
	h := e.holders[key]
	if h == nil {
		return
	}
	i := h.byKey[key]
	switch {
	case i == nil || !i.wanted || i.untracked:
		return
	case !i.installed:
		i.doubtful = true
		return
	}
	e.touched = true
	i.installed, i.repairing = false, true
	if now.Sub(i.lostAt) > repairCalm {
		i.losses = 0
	}
	i.lostAt = now
	if i.losses++; i.losses > promptRepairs {
		i.failures = i.losses - promptRepairs - 1
		if i.failures == 0 {
			e.log.Error("somebody else keeps removing it from the kernel", "instance", h.name, "item", i)
		}
		e.retryLater(h, i, now, errContested)
		return
	}
	e.putBack(h, i)
}

// putBack adds an item again that is gone or may be.
func (e *engine) putBack(h *holding, i *item) {
	e.add(h, []*item{i})
	if h.router != nil {
		e.announce(h.router, []*item{i}, h.router.cfg.Garp.Repeat)
	}
}

// recheck asks once more for the routes and static items that a change of an
// interface or of its addresses may have taken along: of routes that went in this
// way the kernel does not tell.
func (e *engine) recheck(name string) {
	for _, h := range e.passing {
		e.confirm(h, func(i *item) bool { return i.touches(name) })
	}
}

// recheckAll asks once more for all routes and rules, when notifications about them
// were lost.
func (e *engine) recheckAll() {
	for _, h := range e.passing {
		e.confirm(h, func(i *item) bool { k := i.Key().Kind; return k == link.KindRoute || k == link.KindRule })
	}
}

// confirm adds items again that should be there.
func (e *engine) confirm(h *holding, which func(*item) bool) {
	var list []*item
	for _, i := range h.items {
		if i.wanted && !i.untracked && !errors.Is(i.err, errContested) && which(i) {
			i.repairing = i.repairing || i.installed
			list = append(list, i)
		}
	}
	e.add(h, list)
}

// settle ends a router that has left, when the last of its items is off.
func (e *engine) settle(h *holding) {
	if !h.left || h.pending > 0 || h.router == nil {
		return
	}
	e.dismiss(h.router)
}

// dismiss drops a router that has left, and tells its end.
func (e *engine) dismiss(r *router) {
	if i := slices.Index(e.leaving, r); i >= 0 {
		e.leaving = slices.Delete(e.leaving, i, i+1)
	}
	delete(e.holdings, r.id)
	e.part(r.subject)
	e.partGroup(r.group)
	e.leaveHost()
}
