package checkd

import (
	"fmt"
	"slices"
	"time"

	"director/checkers"
	"director/internal/control"
	"director/ipvs"
)

// quiet is how long a server must be seen without connections to count as drained: a
// client whose handshake is under way, which the kernel does not count as active,
// gets the time to come.
const quiet = 3 * time.Second

// maintenance is what the loop knows of orders beside those in the services.
type maintenance struct {
	stale  bool      // what is in force differs from the file
	lookAt time.Time // when connections are counted again
	// dropped is what ended with the newest configuration, in case that is taken back.
	dropped []savedOverride
	// kept is what is in the record beside what is in force: see keepForTrial.
	kept []savedOverride
}

// overridden lists the servers of a service for which an order is in force. The loop
// asks at every turn, and nearly always there are none: then no server is looked at.
func (s *service) overridden() []target {
	if len(s.overrides) == 0 {
		return nil
	}
	var list []target
	for _, rs := range s.pool.All() {
		if t := (target{s, rs}); t.override() != nil {
			list = append(list, t)
		}
	}
	return list
}

// draining lists those whose connections are waited for.
func (s *service) draining() []target {
	return slices.DeleteFunc(s.overridden(), func(t target) bool { return t.override().Order != control.VerbDrain })
}

// ending lists the servers whose leave is a matter of their connections.
func (s *service) ending() []checkers.Leaving {
	return slices.DeleteFunc(s.pool.Leaving(), checkers.Leaving.Serves)
}

// tickMaintenance ends what is due to end and looks at connections that are waited for.
func (d *Daemon) tickMaintenance(now time.Time) {
	waits := false
	for _, s := range d.services {
		waits = waits || len(s.draining())+len(s.ending()) > 0
		for _, t := range s.overridden() {
			if o := t.override(); !o.Until.IsZero() && !now.Before(o.Until) {
				delete(s.overrides, t.key())
				d.maintained(now, t.subject(), o.Who(), o.What(), control.VerbReady, "the time of the order is over", "time_over")
				d.maintenance.stale = true
				d.enforce(now, t)
			}
		}
	}
	if waits {
		d.watchConnections(now)
	}
	d.keepMaintenance(now)
}

// nextMaintenance returns when there is something to do; false: nothing before an order.
func (d *Daemon) nextMaintenance() (next time.Time, ok bool) {
	consider := func(at time.Time) {
		if !at.IsZero() && (!ok || at.Before(next)) {
			next, ok = at, true
		}
	}
	for _, s := range d.services {
		for _, o := range s.overrides {
			consider(o.Until)
			consider(o.By)
			if o.Order == control.VerbDrain {
				consider(d.maintenance.lookAt)
			}
		}
		for _, l := range s.ending() {
			consider(l.Deadline)
			consider(d.maintenance.lookAt)
		}
	}
	return next, ok
}

// watchConnections ends drains and leaves whose connections have ended or whose time
// is over.
func (d *Daemon) watchConnections(now time.Time) {
	look, calm := !now.Before(d.maintenance.lookAt), true
	for _, s := range d.services {
		for _, t := range s.draining() {
			o := t.override()
			calm = calm && !o.Drained.IsZero()
			look = look || !o.By.IsZero() && !now.Before(o.By)
		}
		for _, l := range s.ending() {
			calm = false
			look = look || !now.Before(l.Deadline)
		}
	}
	if look {
		every := d.gap()
		if calm { // nobody waits, but a client may come back
			every *= 10
		}
		d.maintenance.lookAt = now.Add(every)
		d.readStats(now)
		look = d.statsAt.Equal(now)
	}
	for _, s := range d.services {
		for _, t := range s.draining() {
			d.watchDrain(now, t, look)
		}
		for _, l := range s.ending() {
			d.watchLeaving(now, s, l, look)
		}
	}
}

// watchDrain looks at one server that drains; look says that connections were counted
// just now.
func (d *Daemon) watchDrain(now time.Time, t target, look bool) {
	o := t.override()
	left, known := d.connections(t.service, t.key())
	empty := look && d.empty(now, t.service, t.key(), left, known)
	over := !o.By.IsZero() && !now.Before(o.By)
	reason := ""
	switch {
	case empty:
		reason = "no connection is left"
	case over:
		reason = "the deadline is over with " + connectionsText(left) + " left"
	case look && known && left > 0 && !o.Drained.IsZero():
		o.Drained = time.Time{} // a client came back
		d.maintenance.stale = true
		return
	default:
		return
	}
	if o.By.IsZero() { // it stays as it is
		if o.Drained.IsZero() {
			o.Drained = now
			d.maintenance.stale = true
			d.maintained(now, t.subject(), o.Who(), control.VerbDrain, "drained", reason, "drained")
		}
		return
	}
	next := *o
	next.Order, next.By, next.After = control.VerbMaintain, time.Time{}, control.AfterDrained
	if !empty {
		next.After, next.Left = control.AfterDeadline, left
	}
	t.service.overrides[t.key()] = &next
	d.maintenance.stale = true
	d.maintained(now, t.subject(), o.Who(), control.VerbDrain, control.VerbMaintain, reason, next.After)
	d.enforce(now, t)
}

// watchLeaving looks at one server that leaves.
func (d *Daemon) watchLeaving(now time.Time, s *service, l checkers.Leaving, look bool) {
	left, known := d.connections(s, l.Key)
	reason := "no connection is left"
	if !look || !d.empty(now, s, l.Key, left, known) {
		if now.Before(l.Deadline) {
			return
		}
		reason = "drain_on_remove is over with " + connectionsText(left) + " left"
	}
	s.pool.Gone(l.Key)
	delete(s.idle, l.Key)
	d.maintenance.stale = true
	d.changed[s] = struct{}{}
	d.maintained(now, s.pool.Config().Name+"/"+l.Name, "", "leaving", "gone", reason, "left_configuration")
}

// relieved tells of servers that the configuration lists no more and that do not serve
// any longer.
func (d *Daemon) relieved(now time.Time, s *service) {
	for _, l := range s.pool.Relieved() {
		to, why := "gone", "others serve in its place, or nobody has to be waited for"
		if drain := s.pool.Config().DrainOnRemove; drain > 0 {
			to, why = "drain", fmt.Sprintf("%s; it keeps its connections for up to %v", why, drain)
		}
		d.maintenance.stale = true
		d.maintained(now, s.pool.Config().Name+"/"+l.Name, "", "leaving", to, why, "left_configuration")
	}
}

// left compares the servers that leave with those that did before a reload.
func (d *Daemon) left(now time.Time, s *service, before []checkers.Leaving) {
	past := make(map[ipvs.DestKey]bool, len(before))
	for _, l := range before {
		past[l.Key] = true
	}
	name := s.pool.Config().Name
	for _, l := range s.pool.Leaving() {
		if !past[l.Key] {
			d.maintenance.stale = true
			why := fmt.Sprintf("it keeps its connections for up to %v", l.Deadline.Sub(now))
			if l.Serves() {
				why = fmt.Sprintf("it serves until those that came in its place have a verdict, for up to %v", l.Deadline.Sub(now))
			}
			d.maintained(now, name+"/"+l.Name, "", "listed", "leaving", "is not in the configuration any more; "+why, "left_configuration")
		}
		delete(past, l.Key)
	}
	for _, l := range before {
		if past[l.Key] {
			delete(s.idle, l.Key)
			d.maintenance.stale = true
			d.maintained(now, name+"/"+l.Name, "", "leaving", "listed", "is in the configuration again", "back_in_configuration")
		}
	}
}

// empty says whether a server was seen without connections for long enough.
func (d *Daemon) empty(now time.Time, s *service, key ipvs.DestKey, left uint64, known bool) bool {
	if !known || left > 0 {
		delete(s.idle, key)
		return false
	}
	if s.idle[key].IsZero() {
		s.idle[key] = now
	}
	return now.Sub(s.idle[key]) >= quiet
}

// connections returns how many connections and bound clients a server of a service had
// when that was last read, and whether that is known. Of TCP and SCTP, connections that
// are closing or that have not begun do not count. Those of UDP never become active in
// the kernel, and behind a mark may be anything: all that are remembered count.
func (d *Daemon) connections(s *service, server ipvs.DestKey) (n uint64, known bool) {
	for _, key := range s.keys {
		e, name := d.table.have[key], destKey(server, key)
		if e == nil {
			continue
		}
		if _, there := e.Dests[name]; !there {
			continue
		}
		stats := d.stats[key]
		if stats == nil {
			return n, false
		}
		count, there := stats.Dests[name]
		if !there {
			return n, false
		}
		n += uint64(count.Active) + uint64(count.Persistent)
		if key.Protocol != ipvs.TCP && key.Protocol != ipvs.SCTP {
			n += uint64(count.Inactive)
		}
	}
	return n, true
}

func connectionsText(n uint64) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// leavingStatus is what status shows of the servers that leave.
func (d *Daemon) leavingStatus(s *service, have held) []control.LeavingServer {
	var list []control.LeavingServer
	for _, l := range s.pool.Leaving() {
		dest, installed := have.dests[l.Key]
		n := have.stats.Dests[l.Key]
		left, _ := d.connections(s, l.Key)
		list = append(list, control.LeavingServer{Name: l.Name, Address: l.Key.String(), Since: l.Since, Deadline: l.Deadline,
			Serves: l.Serves(), Installed: installed, KernelWeight: int(dest.Weight), Active: n.Active, Inactive: n.Inactive, Persistent: n.Persistent, Left: left})
	}
	return list
}
