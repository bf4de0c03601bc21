package checkd

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"director/checkers"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
)

// configure puts a generation in force, now or as soon as the kernel's table
// can be read. Its error ends the daemon.
func (d *Daemon) configure(now time.Time, c *watchdog.Configure) error {
	if d.ackWaits {
		d.ack() // a reload follows on the heels of the start: the former one stands
	}
	if d.waiting != nil && c.Resume == nil {
		c.Resume = d.waiting.Resume
	}
	d.waiting = nil
	if err := distinct(c.Config.VirtualServers); err != nil {
		d.refuse(c, err, false)
		return nil
	}
	if err := d.openKernel(c.Config); err != nil {
		final := !d.configured && isFinal(err)
		d.refuse(c, err, final)
		switch {
		case final:
			return fmt.Errorf("checkd: %w: %w", ErrFinal, err)
		case !d.configured:
			return fmt.Errorf("checkd: %w", err)
		}
		return nil
	}
	if d.table.kernel != nil && !d.table.known && !d.table.load(now) {
		d.waiting = c // tried again by the table's own back-off
		return nil
	}
	d.apply(now, c)
	return nil
}

// refuse tells the parent that the former generation stays in force.
func (d *Daemon) refuse(c *watchdog.Configure, err error, final bool) {
	d.log.Error("cannot apply the configuration", "generation", c.Generation, "reason", err)
	d.ch.Send(watchdog.Message{Ack: &watchdog.Ack{Generation: c.Generation, Error: err.Error(), Final: final}})
}

// distinct says whether no two virtual servers are the same to the kernel.
func distinct(servers []config.VirtualServer) error {
	names := make(map[ipvs.ServiceKey]string, len(servers))
	for i := range servers {
		for _, key := range serviceKeys(&servers[i]) {
			if other, taken := names[key]; taken {
				return fmt.Errorf("virtual servers %q and %q are both %s", other, servers[i].Name, key)
			}
			names[key] = servers[i].Name
		}
	}
	return nil
}

// openKernel opens the kernel's table when the configuration needs it. The
// first time, it reads the record of owned services as well.
func (d *Daemon) openKernel(cfg *config.Config) error {
	if !d.configured && d.table.kernel == nil {
		owned, err := readRecord(d.opts.RuntimeDir)
		if err != nil {
			d.log.Warn("services of a former configuration may stay in the kernel", "reason", err)
			d.recordStale = true
		}
		d.table.owned = owned
		if d.whole.record, err = readWhole(d.opts.RuntimeDir); err != nil {
			d.log.Warn("sync daemons or timeouts of a former configuration may stay in the kernel", "reason", err)
		}
	}
	if d.table.kernel != nil {
		return nil
	}
	needed := len(cfg.VirtualServers) > 0 || cfg.IPVSSync != nil || cfg.IPVSTimeouts != nil
	if !needed && len(d.table.owned) == 0 && d.whole.record.empty() && !cfg.Global.ExclusiveIPVS {
		return nil
	}
	namespace := ""
	if name := cfg.Global.IPVSNamespace; name != "" {
		namespace = "/run/netns/" + name
	}
	k, err := d.opts.OpenKernel(namespace)
	if err == nil {
		d.table.kernel = k
		return nil
	}
	if needed {
		return err
	}
	d.log.Warn("cannot look for services of a former configuration", "reason", err)
	return nil
}

// apply puts a generation in force. What did not change is not touched: its
// health, its counters and its timers stay.
func (d *Daemon) apply(now time.Time, c *watchdog.Configure) {
	first, back := !d.configured, c.Back || c.Generation < d.generation
	dropped := d.maintenance.dropped
	d.maintenance.dropped = nil
	d.generation, d.configured, d.global = c.Generation, true, c.Config.Global
	d.schedule.generation = c.Generation
	d.table.exclusive = d.global.ExclusiveIPVS
	if every := d.global.ReconcileInterval.D(); every > 0 && every != d.table.interval {
		d.table.interval = every
		d.table.compareAt = now.Add(every)
	}
	memories := map[string]*checkers.Memory{}
	if c.Resume != nil && first {
		memories = recall(c.Resume.Snapshot.Checkers)
	} else if first {
		d.recallAlarms(now, memories, c.Config)
	}
	var overrides map[string]map[ipvs.DestKey]*control.Override
	if first {
		overrides = d.recallMaintenance(now, memories)
	}

	var ordered []savedOverride
	if c.Trial {
		ordered = d.orders()
	}
	old := d.services
	d.services = make([]*service, len(c.Config.VirtualServers))
	kept, changed := d.match(old, c.Config.VirtualServers), 0
	past := d.ordersByAddress()
	clear(d.byKey)
	for i := range c.Config.VirtualServers {
		v := &c.Config.VirtualServers[i]
		s := kept[i]
		switch {
		case s == nil:
			s = d.create(now, v, memories[v.Name], overrides[v.Name])
			delete(overrides, v.Name)
			d.inherit(now, s, past)
			changed++
		case !s.source.Same(v):
			d.update(now, s, v)
			changed++
		}
		d.services[i] = s
		for _, key := range s.keys {
			d.byKey[key] = s
		}
	}
	stays := make(map[*service]bool, len(kept))
	for _, s := range kept {
		stays[s] = true
	}
	removed := 0
	for _, s := range old {
		if !stays[s] {
			d.endAlarms(now, s)
			d.remove(now, s)
			removed++
		}
	}
	for name, list := range overrides { // of virtual servers that are no more
		for key, o := range list {
			d.dropOverride(now, name, key, nil, o)
		}
	}
	if back {
		d.restoreOverrides(now, dropped)
	}
	if c.Trial && first { // the former process took the record along
		ordered = d.maintenance.dropped
	}
	d.keepForTrial(slices.Clone(ordered))
	if !first && !d.dry {
		d.table.refresh(now)
	}
	d.keepMaintenance(now)
	d.watchFiles()
	d.openPassages()
	d.claim(now)
	before := d.table.done
	seen := d.witness()
	d.configureWhole(now, c.Config)
	d.flush(now)
	d.settleWhole(now)
	d.changes = seen.end(d)
	d.news = true
	d.log.Info("configuration applied", "generation", d.generation, "services", len(d.services),
		"changed", changed, "removed", removed, "kernel_changes", d.table.done-before)
	d.ackWaits = true
	d.ackBy = now
	if first {
		d.ackBy = now.Add(settleLimit)
	}
}

// match returns for each virtual server the service that it was so far: the one
// of the same name that has an address in common with it, else any at one of its addresses,
// else the one of the same name; nil for a new one.
func (d *Daemon) match(old []*service, servers []config.VirtualServer) []*service {
	byName := make(map[string]*service, len(old))
	for _, s := range old {
		byName[s.source.Name] = s
	}
	kept := make([]*service, len(servers))
	taken := make(map[*service]bool, len(old))
	for _, sameName := range []bool{true, false} {
		for i := range servers {
			for _, key := range serviceKeys(&servers[i]) {
				if s := d.byKey[key]; kept[i] == nil && s != nil && !taken[s] && (!sameName || s.source.Name == servers[i].Name) {
					kept[i], taken[s] = s, true
					delete(byName, s.source.Name)
				}
			}
		}
	}
	for i := range servers {
		if s := byName[servers[i].Name]; kept[i] == nil && s != nil {
			kept[i] = s
			delete(byName, servers[i].Name)
		}
	}
	return kept
}

// create makes a service, which takes over what the kernel has of it.
func (d *Daemon) create(now time.Time, v *config.VirtualServer, memory *checkers.Memory, overrides map[ipvs.DestKey]*control.Override) *service {
	f := translate(v)
	s := &service{source: *v, keys: f.keys, tasks: map[*checkers.Check]*task{}, standby: d.startsOnStandby(v.ActiveWith, f.keys),
		overrides: overrides, idle: map[ipvs.DestKey]time.Time{}}
	if overrides == nil {
		s.overrides = map[ipvs.DestKey]*control.Override{}
	}
	var changes []checkers.Change
	known := names(f.pool)
	if memory != nil {
		known = append(known, leavingKeys(memory.Leaving)...)
	}
	have := heldBy(d.table.have, f.keys, known)
	if memory != nil {
		memory.Standby = memory.Standby && have == nil
	}
	s.pool, changes = checkers.NewPool(f.pool, have, memory, now)
	d.dropOverrides(now, s, nil)
	d.announce(now, s, changes)
	d.assign(now, s, f)
	return s
}

// update gives a service its new settings.
func (d *Daemon) update(now time.Time, s *service, v *config.VirtualServer) {
	f := translate(v)
	f.pool.Moved = s.standby || slices.ContainsFunc(f.keys, func(key ipvs.ServiceKey) bool { return !slices.Contains(s.keys, key) })
	stays := ipvs.Set{}
	stays.Add(f.keys...)
	for _, key := range s.keys {
		if !stays.Has(key) {
			d.table.set(key, nil)
		}
	}
	if s.source.Name != v.Name { // the records go by names
		d.alarmsStale = true
		d.maintenance.stale = d.maintenance.stale || len(s.overrides)+len(s.pool.Leaving()) > 0
	}
	s.keys = f.keys
	s.source = *v
	d.reviewStandby(s)
	before, leaving := s.pool.All(), s.pool.Leaving()
	d.announce(now, s, s.pool.Apply(f.pool, now))
	d.dropOverrides(now, s, before)
	for _, t := range s.overridden() { // one that changed between real and sorry servers
		if t.server.Override() != inPool(t.override()) {
			d.enforce(now, t)
		}
	}
	d.left(now, s, leaving)
	d.assign(now, s, f)
}

// remove ends a service, and with it what was ordered for its servers.
func (d *Daemon) remove(now time.Time, s *service) {
	for key, o := range s.overrides {
		d.dropOverride(now, s.pool.Config().Name, key, s.pool.All(), o)
	}
	d.maintenance.stale = d.maintenance.stale || len(s.pool.Leaving()) > 0
	for _, rs := range s.pool.All() {
		for _, c := range rs.Checks {
			d.schedule.detach(s.tasks[c], c)
		}
	}
	delete(d.changed, s)
	delete(d.rising, s)
	for _, key := range s.keys {
		if d.byKey[key] == nil { // its address may be another's by now
			d.table.set(key, nil)
		}
	}
}

// assign gives each check of a service its task, and leaves alone those that
// have the right one.
func (d *Daemon) assign(now time.Time, s *service, f farm) {
	tasks := make(map[*checkers.Check]*task, len(s.tasks))
	for i, rs := range s.pool.All() {
		for j, c := range rs.Checks {
			o, u := f.orders[i][j], user{s, rs, c}
			t := s.tasks[c]
			delete(s.tasks, c)
			if t == nil || t.schedule != o.schedule {
				if t != nil {
					d.schedule.detach(t, c)
				}
				t = d.schedule.attach(now, o, u)
			}
			tasks[c] = t
		}
	}
	for c, t := range s.tasks { // checks that are no more
		d.schedule.detach(t, c)
	}
	s.tasks = tasks
}

// claim notes which services are ours, before the kernel gets them: a process
// that dies in between leaves nothing that its successor would not know.
func (d *Daemon) claim(now time.Time) {
	own := func(key ipvs.ServiceKey) {
		if !d.table.owned.Has(key) {
			d.table.owned.Add(key)
			d.recordStale = true
		}
	}
	for key := range d.byKey {
		own(key)
	}
	private := ipvs.Set{}
	for p, mark := range d.marks {
		private.Add(p.key(mark))
		own(p.key(mark))
	}
	d.keepRecord(now)
	for key := range d.table.have {
		if d.byKey[key] == nil && !private.Has(key) && d.table.owns(key) {
			d.table.set(key, nil)
		}
	}
}

// keepRecord brings the record of owned services up to date: what is neither
// wanted nor in the kernel is ours no more.
func (d *Daemon) keepRecord(now time.Time) {
	t := d.table
	if t.known && len(t.owned) > len(d.byKey)+len(d.marks) {
		for key := range t.owned {
			if d.byKey[key] == nil && t.want[key] == nil && t.have[key] == nil {
				delete(t.owned, key)
				d.recordStale = true
			}
		}
	}
	d.keep(now, d.opts.RuntimeDir, recordName, &d.recordStale, func() error { return writeRecord(d.opts.RuntimeDir, t.owned) })
}

// settled says whether no pool waits for its first server.
func (d *Daemon) settled() bool {
	for _, s := range d.services {
		state, _, _ := s.pool.State()
		if e := d.table.want[s.keys[0]]; state == checkers.Unknown && (e == nil || len(e.Dests) == 0) {
			return false
		}
	}
	return true
}

// ack tells the parent that the generation is in force.
func (d *Daemon) ack() {
	d.ackWaits = false
	d.ch.Send(watchdog.Message{Ack: &watchdog.Ack{Generation: d.generation, Changes: d.changes}})
	d.changes = nil
}

// recall turns the former process' last snapshot into memories, by service name.
func recall(last *control.Checkers) map[string]*checkers.Memory {
	memories := map[string]*checkers.Memory{}
	if last == nil {
		return memories
	}
	for _, s := range last.Services {
		m := &checkers.Memory{Since: s.Since, Reason: s.Reason, Servers: make(map[ipvs.DestKey]checkers.ServerMemory, len(s.Servers))}
		m.State, _ = checkers.ParseState(s.State)
		m.Standby = s.Standby
		if s.PanicGuard != nil {
			m.GuardedSince = s.PanicGuard.Since
		}
		if s.Expiring != nil {
			m.Expiring, m.ExpiringSince = s.Expiring.At, s.Expiring.Since
		}
		if s.NoVerdict != nil {
			m.OverdueSince = s.NoVerdict.Since
		}
		for _, rs := range slices.Concat(s.Servers, s.SorryServers) {
			key, err := netip.ParseAddrPort(rs.Address)
			if err != nil {
				continue
			}
			known := checkers.ServerMemory{Since: rs.Since, Reason: rs.Reason, Kept: rs.Kept}
			if rs.RampUp != nil {
				known.Ramp = rs.RampUp.Began
			}
			known.State, _ = checkers.ParseState(rs.Health)
			for _, c := range rs.Checks {
				cm := checkers.CheckMemory{Label: c.Kind + " " + c.Target, Passed: c.Passed, Failed: c.Failed, Spent: c.Spent, Expires: c.Expires, Blind: c.Unchecked}
				cm.State, _ = checkers.ParseState(c.State)
				cm.Last = checkers.Result{Text: c.Result, At: c.LastRun, Duration: c.Duration, Warning: c.Warning}
				cm.Advice = checkers.ParseAdvice(c.Advice)
				known.Checks = append(known.Checks, cm)
			}
			m.Servers[key] = known
		}
		memories[s.Name] = m
	}
	return memories
}
