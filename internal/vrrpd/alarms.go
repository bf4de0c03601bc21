package vrrpd

import (
	"net/netip"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// drops is what is remembered of dropped packets, by vrrp.Discard.
type drops [32]struct {
	last time.Time
	peer netip.Addr
}

// drop counts a packet that was dropped.
func (r *router) drop(why vrrp.Discard, d *link.Datagram) {
	r.counters.discards[why]++
	if r.counters.dropped == nil {
		r.counters.dropped = new(drops)
	}
	note := &r.counters.dropped[why]
	note.last, note.peer = d.Arrival, d.Src
}

// suspect looks at a dropped packet for what is configured otherwise on the
// other side. One that says nothing of the kind is logged.
func (e *engine) suspect(r *router, adv *vrrp.Advert, why vrrp.Discard, d *link.Datagram) {
	kind := why.Alarm()
	if kind == vrrp.AlarmNone {
		if r.warn(warnDiscard, warning{text: why.String(), peer: d.Src, at: d.Arrival}) {
			e.log.Warn("advert dropped", "instance", r.cfg.Name, "reason", why.String(), "peer", d.Src)
		}
		return
	}
	said := uint64(why)
	switch kind {
	case vrrp.AlarmVersion:
		said = uint64(adv.Version)
	case vrrp.AlarmTTL:
		said = uint64(d.TTL)
	case vrrp.AlarmAuthentication:
		said |= uint64(adv.AuthType)<<8 | uint64(keyOf(adv))<<16
	case vrrp.AlarmInterval:
		said = uint64(adv.Interval)
	}
	own := r.sm.Settings()
	seen := r.alarms.See(d.Arrival, kind, vrrp.Who{Addr: d.Src}, said, max(own.AdvertInterval, adv.Interval))
	if ev := seen.Describe; ev != nil {
		ev.Priority = adv.Priority
		ev.Says, ev.Here = r.differing(why, adv, d)
	}
	e.sighted(r, d.Arrival, seen)
}

// compare looks at an accepted advert for what is configured otherwise on the
// other side, and notes what agrees again.
func (e *engine) compare(r *router, adv *vrrp.Advert, d *link.Datagram) {
	own := r.sm.Settings()
	interval := max(own.AdvertInterval, adv.Interval)
	who := vrrp.Who{Addr: d.Src}
	same := adv.SameAddresses(own.Addresses)
	owners := adv.Priority == vrrp.PriorityOwner && own.Priority == vrrp.PriorityOwner
	// Tracking may make priorities meet for a while; that is nobody's mistake.
	equal := adv.Priority == own.Priority && adv.Priority == r.sm.Priority() && !owners
	if !r.alarms.Empty() {
		for _, k := range [...]vrrp.AlarmKind{vrrp.AlarmVersion, vrrp.AlarmAuthentication, vrrp.AlarmChecksum,
			vrrp.AlarmReplay, vrrp.AlarmTransport, vrrp.AlarmPeer, vrrp.AlarmTTL} {
			r.alarms.Well(d.Arrival, k, d.Src)
		}
		for _, k := range [...]struct {
			kind vrrp.AlarmKind
			well bool
		}{
			{vrrp.AlarmAddresses, same}, {vrrp.AlarmInterval, adv.Interval == own.AdvertInterval},
			{vrrp.AlarmOwners, !owners}, {vrrp.AlarmEqualPriority, !equal},
		} {
			if k.well {
				r.alarms.Well(d.Arrival, k.kind, d.Src)
			}
		}
	}
	if !same {
		seen := r.alarms.See(d.Arrival, vrrp.AlarmAddresses, who, adv.AddressDigest(), interval)
		if ev := seen.Describe; ev != nil {
			ev.Priority = adv.Priority
			ev.Says = addressList(adv.Addresses(), adv.Address)
			ev.Here = addressList(len(own.Addresses), func(i int) netip.Addr { return own.Addresses[i] })
		}
		e.sighted(r, d.Arrival, seen)
	}
	if adv.Interval != own.AdvertInterval {
		seen := r.alarms.See(d.Arrival, vrrp.AlarmInterval, who, uint64(adv.Interval), interval)
		if ev := seen.Describe; ev != nil {
			ev.Priority = adv.Priority
			ev.Says, ev.Here = adv.Interval.String(), own.AdvertInterval.String()
		}
		e.sighted(r, d.Arrival, seen)
	}
	switch {
	case owners:
		e.samePriority(r, vrrp.AlarmOwners, adv, d)
	case equal:
		e.samePriority(r, vrrp.AlarmEqualPriority, adv, d)
	}
}

func (e *engine) samePriority(r *router, kind vrrp.AlarmKind, adv *vrrp.Advert, d *link.Datagram) {
	seen := r.alarms.See(d.Arrival, kind, vrrp.Who{Addr: d.Src}, uint64(adv.Priority), adv.Interval)
	e.describePriority(r, seen, adv)
	e.sighted(r, d.Arrival, seen)
}

func (e *engine) describePriority(r *router, seen vrrp.Seen, adv *vrrp.Advert) {
	if ev := seen.Describe; ev != nil {
		ev.Priority = adv.Priority
		ev.Says, ev.Here = priorityText(adv.Priority), priorityText(r.sm.Priority())
	}
}

// rival notes that another MASTER was heard that has to give way to this one. A
// sighting is one that had an advert of ours in between: what gathers while this
// process does not run is answered by a single one.
func (e *engine) rival(r *router, adv *vrrp.Advert, d *link.Datagram, answered time.Time) {
	r.rivalAt = d.Arrival
	if adv.Priority == vrrp.PriorityStop || answered.IsZero() || d.Arrival.Before(answered) {
		return
	}
	seen := r.alarms.See(d.Arrival, vrrp.AlarmTwoMasters, vrrp.Who{Addr: d.Src}, uint64(adv.Priority),
		max(r.sm.Settings().AdvertInterval, adv.Interval))
	e.describePriority(r, seen, adv)
	e.sighted(r, d.Arrival, seen)
}

// sighted tells of an alarm that a sighting raised, and sees to it that it ends.
func (e *engine) sighted(r *router, now time.Time, seen vrrp.Seen) {
	e.lookOut(now)
	if seen.Raised {
		e.tellAlarm(r, now, seen.Alarm, "clear", "raised", alarmReason(r, seen.Alarm))
	}
}

// reviewAlarms ends what is over.
func (e *engine) reviewAlarms(r *router, now time.Time) {
	r.alarms.Review(now, r.sm.State() == vrrp.Master, func(a *vrrp.Alarm, end vrrp.End) {
		e.tellAlarm(r, now, a, "raised", "clear", endReason(now, a, end))
	})
}

// clearAlarms ends all alarms of a router.
func (e *engine) clearAlarms(r *router, now time.Time, end vrrp.End) {
	r.alarms.Clear(end, func(a *vrrp.Alarm, end vrrp.End) {
		e.tellAlarm(r, now, a, "raised", "clear", endReason(now, a, end))
	})
}

// closeAlarms ends the alarms of a former process: whoever was told of them would
// wait for their end for ever. What is still true will be seen again.
func (e *engine) closeAlarms(now time.Time, list []control.Alarm) {
	for _, a := range list {
		a.Reason = "the VRRP process was started anew and looks afresh"
		e.send(watchdog.Message{Event: &control.Event{
			Time: now, Generation: e.generation, Kind: control.KindAlarm, Subject: a.Instance,
			From: "raised", To: "clear", Reason: a.Reason, Code: a.Code, Alarm: &a,
		}})
	}
}

// tellAlarm tells the parent that an alarm was raised or is over; the parent logs
// it and tells everybody else.
func (e *engine) tellAlarm(r *router, now time.Time, a *vrrp.Alarm, from, to, reason string) {
	e.touched = true
	shown := alarmStatus(r, a)
	shown.Reason = reason
	e.sendAlarm(r, now, shown, from, to)
}

// sendAlarm sends the event of an alarm of a router.
func (e *engine) sendAlarm(r *router, now time.Time, a control.Alarm, from, to string) {
	e.send(watchdog.Message{Event: &control.Event{
		Time: now, Generation: r.generation, Kind: control.KindAlarm, Subject: r.cfg.Name,
		From: from, To: to, Reason: a.Reason, Code: a.Code, Priority: int(r.sm.Priority()), Alarm: &a,
	}})
}

// alarmStatus is what status and notifications show of an alarm.
func alarmStatus(r *router, a *vrrp.Alarm) control.Alarm {
	s := control.Alarm{
		Instance: r.cfg.Name, Interface: r.key.device, VRID: r.key.vrid, Family: r.key.family.String(),
		Code: a.Kind.String(), Level: control.LevelAlarm,
		Since: a.Since, First: a.First, Last: a.Last, Count: a.Count, Others: a.Others,
		Reason: alarmReason(r, a),
	}
	if a.Kind.Warning() {
		s.Level = control.LevelWarning
	}
	for i := range a.Evidence {
		ev := &a.Evidence[i]
		c := control.Evidence{
			Says: ev.Says, Here: ev.Here, VRID: ev.VRID, Priority: int(ev.Priority),
			First: ev.First, Last: ev.Last, Count: ev.Count,
		}
		if ev.Addr.IsValid() {
			c.Peer = ev.Addr.String()
		}
		if ev.MAC != [6]byte{} {
			c.MAC = macText(ev.MAC)
		}
		if ev.Address.IsValid() {
			c.Address = ev.Address.String()
		}
		s.Evidence = append(s.Evidence, c)
	}
	return s
}

// alarmsOf lists the raised alarms of a router. That another host has the address comes
// last: it has many causes, and an alarm that names one says more.
func alarmsOf(r *router, list []control.Alarm) []control.Alarm {
	var foreign []control.Alarm
	r.alarms.Raised(func(a *vrrp.Alarm) {
		if a.Kind == vrrp.AlarmForeignMAC {
			foreign = append(foreign, alarmStatus(r, a))
			return
		}
		list = append(list, alarmStatus(r, a))
	})
	return r.pathAlarms(append(list, foreign...))
}
