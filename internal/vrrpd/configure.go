package vrrpd

import (
	"errors"
	"fmt"
	"io/fs"
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
	e.changed = true
	e.configureScripts(now, c.Config.Scripts, c.Config.Instances)

	old := e.routers
	e.routers = make(map[routerKey]*router, len(c.Config.Instances))
	e.order = e.order[:0]
	clear(e.vips)
	var added []*router
	for i := range c.Config.Instances {
		cfg := &c.Config.Instances[i]
		key := routerKey{cfg.Interface, cfg.VRID}
		r := old[key]
		if r != nil {
			delete(old, key)
		} else {
			e.nextID++
			r = &router{
				id:       fmt.Sprintf("%s#%d", cfg.Name, e.nextID),
				key:      key,
				cfg:      cfg,
				sm:       vrrp.New(now, settings(cfg)),
				addrs:    addresses(cfg),
				heapSlot: -1,
			}
			e.byID[r.id] = r
			e.timers.add(r)
			added = append(added, r)
		}
		e.routers[key] = r
		e.order = append(e.order, r)
		if cfg.Priority != vrrp.PriorityOwner {
			for _, a := range addresses(cfg) {
				e.vips[a.prefix.Addr()] = true
			}
		}
		r.tracks = r.tracks[:0]
		for _, t := range cfg.TrackScripts {
			r.tracks = append(r.tracks, track{e.scripts[t.Name], t.Weight})
		}
	}
	// Routers that are gone say good-bye before others may claim what they held.
	for _, r := range old {
		e.leave(r, now, vrrp.ReasonRemoved)
	}
	for i, r := range e.order {
		e.reconfigure(r, now, &c.Config.Instances[i])
	}
	e.resume(now, added, c.Resume)
	err := e.openPorts(now)
	e.review(now)
	return err
}

// configureScripts keeps the results of scripts that still run the same thing.
func (e *engine) configureScripts(now time.Time, scripts []config.Script, instances []config.Instance) {
	used := make(map[string]bool)
	for _, i := range instances {
		for _, t := range i.TrackScripts {
			used[t.Name] = true
		}
	}
	old := e.scripts
	e.scripts = make(map[string]*script, len(scripts))
	for _, c := range scripts {
		if !used[c.Name] {
			continue
		}
		s := old[c.Name]
		if s == nil || !sameRun(s.cfg, c) {
			s = newScript(now, c)
			e.timers.add(s)
		} else {
			delete(old, c.Name)
			if next := s.lastRun.Add(c.Interval.D()); s.cfg.Interval != c.Interval && next.Before(s.next) {
				s.next = next
				e.timers.fix(s)
			}
			s.cfg = c
			s.debounce.Rise, s.debounce.Fall = max(c.Rise, 1), max(c.Fall, 1)
		}
		e.scripts[c.Name] = s
	}
	for _, s := range old {
		e.timers.remove(s)
	}
}

// reconfigure gives a kept router its new settings. A MASTER takes removed
// addresses off, adds new ones and announces all of them.
func (e *engine) reconfigure(r *router, now time.Time, cfg *config.Instance) {
	next := addresses(cfg)
	master := r.sm.State() == vrrp.Master
	gone := slices.Clone(r.addrs)
	grown := false
	for i, a := range next {
		at := slices.IndexFunc(gone, func(g *address) bool { return g.link() == a.link() })
		if at >= 0 {
			next[i] = gone[at]
			gone = slices.Delete(gone, at, at+1)
			continue
		}
		grown = true
	}
	if master {
		e.remove(r, gone)
	}
	r.cfg, r.addrs = cfg, next
	r.sm.Reconfigure(now, settings(cfg))
	if master && grown {
		e.acquire(r, cfg.Garp.Repeat)
	}
	e.timers.fix(r)
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
		for _, s := range former.Scripts {
			if own := e.scripts[s.Name]; own != nil && own.lastRun.IsZero() {
				own.resume(s)
			}
		}
		for _, i := range former.Instances {
			if i.State == vrrp.Master.String() {
				masters[routerKey{i.Interface, i.VRID}] = true
			}
		}
	}
	for _, r := range added {
		if masters[r.key] {
			s := r.sm.Settings()
			// The last advert left at most one interval before the former process
			// was last seen alive; the quickest backup has priority 254.
			silent := time.Duration(link.Monotonic()-res.AliveMono) + s.AdvertInterval
			limit := vrrp.MasterDownTime(s.Version, vrrp.PriorityOwner-1, s.AdvertInterval)
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
}

// leave ends a router. It stays known until its addresses are off.
func (e *engine) leave(r *router, now time.Time, why vrrp.Reason) {
	e.timers.remove(r)
	e.leaving = append(e.leaving, r)
	delete(e.routers, r.key)
	if r.sm.State() == vrrp.Init {
		e.forget(r)
		return
	}
	e.step(r, now, vrrp.Event{Kind: vrrp.EventShutdown, Cause: vrrp.Cause{Reason: why}})
	if r.farewell == nil {
		e.forget(r)
	}
}

// stop ends every router. The loop goes on until stopped reports true.
func (e *engine) stop(now time.Time) {
	for _, r := range e.order {
		e.leave(r, now, vrrp.ReasonStopped)
	}
	e.order = nil
	for _, s := range e.scripts {
		e.timers.remove(s)
	}
	clear(e.scripts)
}

// stopped reports whether every address of the routers that left is off.
func (e *engine) stopped() bool { return len(e.leaving) == 0 }

// openPorts opens the sockets that are needed, closes those that are not, and
// tells each which virtual routers it is for. Only a missing permission is an
// error: it cannot pass by itself.
func (e *engine) openPorts(now time.Time) error {
	vrids := make(map[string][]uint8)
	for _, r := range e.order {
		vrids[r.key.device] = append(vrids[r.key.device], r.key.vrid)
	}
	for name, p := range e.ports {
		if vrids[name] == nil {
			// The good-byes of routers that just left are still queued here.
			if p.sock != nil {
				if p.queued {
					_ = p.sock.Flush() // best effort: the socket is closed next
				}
				_ = p.sock.Close()
			}
			delete(e.ports, name)
		}
	}
	var final error
	for name, ids := range vrids {
		p := e.ports[name]
		if p == nil {
			p = &port{name: name}
			e.ports[name] = p
		}
		p.vrids = ids
		if p.sock == nil {
			e.openPort(now, p)
		} else if err := p.sock.SetVRIDs(ids); err != nil {
			e.log.Error("cannot set packet filter", "interface", name, "reason", err)
		}
		if errors.Is(p.err, fs.ErrPermission) {
			final = p.err
		}
	}
	return final
}

// openPort opens the socket of a port whose interface exists. A failure is
// retried with back-off.
func (e *engine) openPort(now time.Time, p *port) {
	p.retryAt = time.Time{}
	ifi, ok := e.link(p.name)
	if !ok {
		return
	}
	sock, err := e.net.Open(ifi)
	if err == nil {
		if err = sock.SetVRIDs(p.vrids); err == nil {
			p.sock, p.index, p.err, p.failed = sock, ifi.Index, nil, 0
			return
		}
		_ = sock.Close()
	}
	if p.failed == 0 {
		e.log.Error("cannot open VRRP socket", "interface", p.name, "reason", err)
	}
	p.failed++
	p.err = err
	p.retryAt = now.Add(backoff(p.failed))
}

// closePort gives up the socket of an interface that has vanished.
func (p *port) closePort() {
	if p.sock != nil {
		_ = p.sock.Close() // the interface is gone: there is nothing left to lose
	}
	p.sock, p.index, p.queued = nil, 0, false
}
