package vrrpd

import (
	"fmt"
	"reflect"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// configure puts a generation in force. Whatever did not change keeps its
// state, timers, sockets and counters. A returned error is final: nothing of
// what is configured can work.
func (e *engine) configure(now time.Time, c *watchdog.Configure) error {
	first := e.generation == 0
	e.generation = c.Generation
	e.routerID = c.Config.Global.RouterID
	e.configureDelay(now, &c.Config.Global, c.Resume)
	e.touched = true
	e.configureBFD(now, c.Config.BFD)
	e.configureTrackers(now, c)
	e.configureBehind(c.Config)

	old, previous := e.routers, e.order
	ours := e.ours(c.Resume)
	e.routers = make(map[routerKey]*router, len(c.Config.Instances))
	e.order = make([]*router, 0, len(c.Config.Instances))
	names := make(map[string]bool, len(c.Config.Instances))
	var added []*router
	var configs []*config.Instance // of each router of order
	for i := range c.Config.Instances {
		cfg := &c.Config.Instances[i]
		names[cfg.Name] = true
		for _, family := range families(cfg) {
			key := routerKey{cfg.Interface, cfg.VRID, family}
			r := old[key]
			if r == nil {
				e.nextID++
				r = &router{
					key:      key,
					cfg:      cfg,
					sm:       vrrp.New(now, familySettings(cfg, family)),
					heapSlot: -1,
				}
				r.holding = holding{id: fmt.Sprintf("%s#%d", cfg.Name, e.nextID), router: r, timer: r}
				e.holdings[r.id] = &r.holding
				e.timers.add(r)
				added = append(added, r)
			}
			r.generation = c.Generation
			e.routers[key] = r
			e.order = append(e.order, r)
			configs = append(configs, cfg)
			r.tracks = append(e.uses(&cfg.Tracking), e.readinessTrack()...)
		}
	}
	e.formSubjects(configs)
	// What is given up goes before what is claimed, so that an address can pass
	// from one router to another.
	for _, r := range previous {
		if e.routers[r.key] != r {
			e.leave(r, now, vrrp.ReasonRemoved, names[r.cfg.Name])
		}
	}
	var grown []*router
	for i, r := range e.order {
		if e.reconfigure(r, now, configs[i], ours) {
			grown = append(grown, r)
		}
	}
	e.configureGroups(now, c.Config.Groups)
	for _, r := range grown {
		e.acquire(r, r.cfg.Garp.Repeat)
	}
	e.keepHost(c)
	e.index()
	if first {
		e.sweep()
	}
	e.configureLookout()
	e.resume(now, added, c.Resume)
	err := e.openPorts(now)
	e.review(now)
	return err
}

// ours lists what we have put into the kernel, in this life or in the former one.
func (e *engine) ours(res *watchdog.Resume) map[link.Key]bool {
	set := make(map[link.Key]bool)
	for _, r := range e.order {
		for _, i := range r.items {
			if i.ours {
				set[i.Key()] = true
			}
		}
	}
	if res != nil && res.Snapshot.VRRP != nil {
		for _, i := range res.Snapshot.VRRP.Instances {
			for _, a := range i.Addresses {
				if !a.Own && (a.Installed || i.State == vrrp.Master.String()) {
					set[link.Address{Prefix: a.Prefix, Device: a.Device}.Key()] = true
				}
			}
		}
	}
	return set
}

// index notes who has to do with which interface and address.
func (e *engine) index() {
	e.users = make(map[string][]*router)
	e.holders = make(map[link.Key]*holding)
	e.passing = nil
	e.vips = make(map[vip]bool)
	e.guests = make(map[routerKey]*router)
	e.carriers = make(map[string][]*router)
	e.roaming = nil
	e.vmacs = make(map[string]*router)
	for _, r := range e.order {
		if r.vmac.device != "" {
			e.vmacs[r.vmac.device] = r
		}
		for _, name := range r.needs {
			e.users[name] = append(e.users[name], r)
		}
		if want, _ := r.wantedSource(); want.IsValid() {
			e.roaming = append(e.roaming, r)
		}
		e.indexPaths(r)
		for _, i := range r.items {
			if a, ok := i.address(); ok && r.cfg.Priority != vrrp.PriorityOwner {
				e.vips[vipOf(a.Prefix.Addr(), a.Device)] = true
			}
		}
		e.indexItems(&r.holding)
	}
	e.indexItems(&e.host.holding)
}

func (e *engine) indexItems(h *holding) {
	passing := h.router == nil
	for _, i := range h.items {
		e.holders[i.Key()] = h
		passing = passing || i.Key().Kind != link.KindAddress
	}
	if passing {
		e.passing = append(e.passing, h)
	}
}

// reconfigure gives a router its new settings. A MASTER takes removed
// addresses off; the answer says whether it has to acquire new ones.
func (e *engine) reconfigure(r *router, now time.Time, cfg *config.Instance, ours map[link.Key]bool) (grown bool) {
	master := r.sm.State() == vrrp.Master
	gone, grown := r.change(items(cfg, r.key.family), ours)
	if master {
		e.remove(&r.holding, gone)
	}
	before := r.cfg
	r.cfg, r.name, r.hosts = cfg, cfg.Name, cfg.Priority == vrrp.PriorityOwner
	r.vmac = vmacOf(cfg, r.key.family)
	r.needs = append(r.needs[:0], r.key.device)
	for _, i := range r.items {
		if !i.untracked || i.Key().Kind == link.KindAddress {
			for _, name := range devices(i) {
				if name != r.vmac.device { // it is there when the interface below is
					r.need(name)
				}
			}
		}
	}
	r.ordered = e.standing(r)
	set := e.settings(r, cfg)
	r.meet(set.Peers)
	if !reflect.DeepEqual(set, *r.sm.Settings()) {
		e.clearAlarms(r, now, vrrp.EndReconfigured)
	}
	r.sm.Reconfigure(now, set)
	e.configureGates(r, now, before)
	e.meetPaths(r, now, &set)
	r.configureAuth(now, cfg)
	e.timers.fix(r)
	return master && grown && !r.sm.Preparing()
}

// resume decides for each router of a respawned process whether it goes on as
// MASTER. It may while no backup can have taken over yet; else what it left
// behind is taken off.
func (e *engine) resume(now time.Time, added []*router, res *watchdog.Resume) {
	var former *control.VRRP
	if res != nil {
		former = res.Snapshot.VRRP
	}
	masters := make(map[routerKey]bool)
	if former != nil {
		e.resumeTrackers(now, former)
		e.closeAlarms(now, former.Alarms)
		for _, i := range former.Instances {
			if i.State == vrrp.Master.String() {
				family := vrrp.IPv4
				if i.Family == vrrp.IPv6.String() {
					family = vrrp.IPv6
				}
				masters[routerKey{i.Interface, i.VRID, family}] = true
			}
		}
		// What the former process had installed and the configuration no longer
		// knows would stay for ever.
		for at := range e.ours(res) {
			if at.Kind == link.KindAddress && e.holders[at] == nil {
				e.clean(link.Address{Prefix: at.Prefix, Device: at.Device})
			}
		}
	}
	for _, r := range added {
		if masters[r.key] {
			s := r.sm.Settings()
			// The last advert left at most one interval before the former process
			// was last seen alive; the quickest backup has priority 254.
			silent := time.Duration(link.Monotonic()-res.AliveMono) + s.AdvertInterval
			limit := s.Takeover()
			if r.resume = silent < limit; r.resume {
				continue
			}
			e.log.Warn("too late to go on as MASTER", "instance", r.cfg.Name,
				"reason", fmt.Sprintf("no advert for up to %v, a backup takes over after %v", silent, limit))
		}
		if r.cfg.Priority != vrrp.PriorityOwner {
			e.release(&r.holding)
		}
	}
	e.resumeTogether()
}

// leave ends a router. It stays known until its addresses are off. When its
// name goes on at another place (moved), its end is told at once: what is told
// of that name next belongs to the router that took over the name.
func (e *engine) leave(r *router, now time.Time, why vrrp.Reason, moved bool) {
	e.timers.remove(r)
	e.leaving = append(e.leaving, r)
	delete(e.routers, r.key)
	r.left, r.moved = true, moved
	e.clearAlarms(r, now, vrrp.EndGone)
	for i := range r.paths {
		e.tellPath(r, now, &r.paths[i], control.PathUp, "this router is no more")
	}
	if r.sm.State() != vrrp.Init {
		e.step(r, now, vrrp.Event{Kind: vrrp.EventShutdown, Cause: vrrp.Cause{Reason: why}})
	}
	e.settle(&r.holding)
}

// isLeaving says that a router has left and is not dismissed yet: that it is one of
// e.leaving.
func (e *engine) isLeaving(r *router) bool { return r.left && e.holdings[r.id] != nil }

// stop ends every router. The loop goes on until settled reports true.
func (e *engine) stop(now time.Time) {
	e.endDelay()
	e.stopBFD(now)
	for _, r := range e.order {
		e.leave(r, now, vrrp.ReasonStopped, false)
	}
	e.order, e.users, e.roaming, e.holders, e.passing = nil, nil, nil, nil, nil
	e.guests, e.carriers = nil, nil
	for _, t := range e.trackers {
		if timer, ok := t.(timed); ok {
			e.timers.remove(timer)
		}
	}
	clear(e.trackers)
	e.observer.files(nil, false)
	e.observer.processes(nil)
	e.stopping = true
	e.leaveHost()
}

// settled reports whether everything that the routers that left had in the kernel
// is off, and at a stop what was there for the host as well.
func (e *engine) settled() bool {
	return len(e.leaving) == 0 && (!e.stopping || e.host.left && e.host.pending == 0)
}

// abandon gives up waiting for the addresses of routers that left: their end is
// told all the same.
func (e *engine) abandon() {
	for len(e.leaving) > 0 {
		e.dismiss(e.leaving[0])
	}
}
