package vrrpd

import (
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// host is what the kernel is to hold as long as the daemon lives: the static
// addresses, routes and rules, and the settings without which virtual addresses
// would not come and go as they should.
type host struct {
	holding
	heapSlot int
}

func newHost() *host {
	h := &host{holding: holding{id: "static", name: "static", hosts: true}, heapSlot: -1}
	h.timer = h
	return h
}

func (h *host) deadline() time.Time { return h.retryAt }

func (h *host) slot() *int { return &h.heapSlot }

// keepHost puts there what the host is to have. A process that follows one that
// died finds most of it.
func (e *engine) keepHost(c *watchdog.Configure) {
	h := &e.host.holding
	next := static(c.Config)
	// A setting is only undone at a stop: the addresses that need it may still be on
	// their way out.
	wanted := make(map[link.Key]bool)
	for _, i := range next {
		wanted[i.Key()] = true
	}
	for _, i := range h.items {
		if i.Key().Kind == link.KindSetting && !wanted[i.Key()] {
			next = append(next, i)
		}
	}
	ours := make(map[link.Key]bool)
	if c.Resume != nil && c.Resume.Snapshot.VRRP != nil {
		former := make(map[string]bool)
		for _, i := range c.Resume.Snapshot.VRRP.Static {
			former[i.What] = i.Installed && !i.Own
		}
		for _, i := range next {
			ours[i.Key()] = former[i.String()]
		}
	}
	gone, grown := h.change(next, ours)
	e.remove(h, gone)
	if grown {
		e.take(h)
	}
}

// sweep removes what carries our mark in the kernel and is in no configuration any
// more: a former director that was killed left it behind.
func (e *engine) sweep() {
	keep := make(map[link.Key]bool, len(e.holders))
	for key := range e.holders {
		keep[key] = true
	}
	e.clean(&link.Leftovers{Keep: keep})
}

// hasRoutes says that there are routes or rules whose removal by others matters.
func (e *engine) hasRoutes() bool {
	for key := range e.holders {
		if key.Kind == link.KindRoute || key.Kind == link.KindRule {
			return true
		}
	}
	return false
}

// leaveHost takes everything back at a stop, when the last router has gone.
func (e *engine) leaveHost() {
	if h := e.host; e.stopping && len(e.leaving) == 0 && !h.left {
		e.timers.remove(h)
		h.left = true
		e.release(&h.holding)
	}
}

func (h *host) snapshot() (list []control.KernelItem) {
	for _, i := range h.items {
		list = append(list, i.status(h.own(i)))
	}
	return list
}

// static lists what a configuration has for the host. The settings come first.
func static(c *config.Config) (list []*item) {
	seen := make(map[string]bool)
	for n := range c.Instances {
		in := &c.Instances[n]
		if !in.PromoteSecondaries {
			continue
		}
		for _, i := range addressItems(in, vrrp.IPv4) {
			a, ok := i.address()
			if !ok || !a.Prefix.Addr().Is4() || a.Prefix.IsSingleIP() || seen[a.Device] ||
				a.Device == in.VMACDevice(false) { // which has it from the start
				continue
			}
			seen[a.Device] = true
			list = append(list, newItem(link.Setting{Device: a.Device, Name: link.PromoteSecondaries, Value: 1}, false))
		}
	}
	list = append(list, vmacHost(c)...)
	list = append(list, staticAddresses(c.StaticAddresses)...)
	list = append(list, routeItems(c.StaticRoutes)...)
	return append(list, ruleItems(c.StaticRules)...)
}
