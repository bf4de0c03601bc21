package vrrpd

import (
	"fmt"
	"reflect"
	"slices"
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
	e.generation = c.Generation
	e.routerID = c.Config.Global.RouterID
	e.configureDelay(now, &c.Config.Global, c.Resume)
	e.touched = true
	e.configureTrackers(now, c)

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
					id:       fmt.Sprintf("%s#%d", cfg.Name, e.nextID),
					key:      key,
					cfg:      cfg,
					sm:       vrrp.New(now, familySettings(cfg, family)),
					heapSlot: -1,
				}
				e.byID[r.id] = r
				e.timers.add(r)
				added = append(added, r)
			}
			r.generation = c.Generation
			e.routers[key] = r
			e.order = append(e.order, r)
			configs = append(configs, cfg)
			r.tracks = e.uses(&cfg.Tracking)
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
	e.index()
	e.configureLookout()
	e.resume(now, added, c.Resume)
	err := e.openPorts(now)
	e.review(now)
	return err
}

// ours lists where we have put addresses, in this life or in the former one.
func (e *engine) ours(res *watchdog.Resume) map[place]bool {
	set := make(map[place]bool)
	for _, r := range e.order {
		for _, a := range r.addrs {
			if a.ours {
				set[a.place()] = true
			}
		}
	}
	if res != nil && res.Snapshot.VRRP != nil {
		for _, i := range res.Snapshot.VRRP.Instances {
			for _, a := range i.Addresses {
				if !a.Own && (a.Installed || i.State == vrrp.Master.String()) {
					set[place{a.Prefix, a.Device}] = true
				}
			}
		}
	}
	return set
}

// index notes who has to do with which interface and address.
func (e *engine) index() {
	e.users = make(map[string][]*router)
	e.holders = make(map[place]*router)
	e.vips = make(map[vip]bool)
	e.roaming = nil
	for _, r := range e.order {
		for _, name := range r.needs {
			e.users[name] = append(e.users[name], r)
		}
		if want, _ := r.wantedSource(); want.IsValid() {
			e.roaming = append(e.roaming, r)
		}
		for _, a := range r.addrs {
			e.holders[a.place()] = r
			if r.cfg.Priority != vrrp.PriorityOwner {
				e.vips[vipOf(a.prefix.Addr(), a.device)] = true
			}
		}
	}
}

// reconfigure gives a router its new settings. A MASTER takes removed
// addresses off; the answer says whether it has to acquire new ones.
func (e *engine) reconfigure(r *router, now time.Time, cfg *config.Instance, ours map[place]bool) (grown bool) {
	next := addresses(cfg, r.key.family)
	master := r.sm.State() == vrrp.Master
	kept := make(map[*address]bool, len(next))
	for i, a := range next {
		if had := r.byPlace[a.place()]; had != nil && had.label == a.label {
			next[i] = had
			kept[had] = true
			continue
		}
		a.ours = ours[a.place()]
		grown = true
	}
	if master {
		gone := slices.DeleteFunc(slices.Clone(r.addrs), func(a *address) bool { return kept[a] })
		e.remove(r, gone)
	}
	before := r.cfg
	r.cfg = cfg
	r.hold(next)
	r.needs = append(r.needs[:0], r.key.device)
	for _, a := range next {
		r.need(a.device)
	}
	set := familySettings(cfg, r.key.family)
	r.meet(set.Peers)
	if !reflect.DeepEqual(set, *r.sm.Settings()) {
		r.alarms.Reconfigured(func(a *vrrp.Alarm, end vrrp.End) {
			e.tellAlarm(r, now, a, "raised", "clear", endReason(now, a, end))
		})
	}
	r.sm.Reconfigure(now, set)
	e.configureGates(r, now, before)
	e.timers.fix(r)
	return master && grown
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
		var orphans []link.Address
		for at := range e.ours(res) {
			if e.holders[at] == nil {
				orphans = append(orphans, link.Address{Prefix: at.prefix, Device: at.device})
			}
		}
		e.clean(orphans)
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
			e.release(r)
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
	if r.sm.State() != vrrp.Init {
		e.step(r, now, vrrp.Event{Kind: vrrp.EventShutdown, Cause: vrrp.Cause{Reason: why}})
	}
	e.settle(r)
}

// stop ends every router. The loop goes on until settled reports true.
func (e *engine) stop(now time.Time) {
	e.endDelay()
	for _, r := range e.order {
		e.leave(r, now, vrrp.ReasonStopped, false)
	}
	e.order, e.users, e.roaming, e.holders = nil, nil, nil, nil
	for _, t := range e.trackers {
		if timer, ok := t.(timed); ok {
			e.timers.remove(timer)
		}
	}
	clear(e.trackers)
	e.observer.files(nil, false)
	e.observer.processes(nil)
}

// settled reports whether every address of the routers that left is off.
func (e *engine) settled() bool { return len(e.leaving) == 0 }

// abandon gives up waiting for the addresses of routers that left: their end is
// told all the same.
func (e *engine) abandon() {
	for len(e.leaving) > 0 {
		e.dismiss(e.leaving[0])
	}
}
