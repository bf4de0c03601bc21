package vrrp

import (
	"net/netip"
	"time"
)

// backupAdvert is RFC 9568 section 6.4.2, "if an advertisement is received".
//
// After a stall sockets are read one after the other, so that what has come to
// one is taken before older adverts on another. Those are old news, and would
// set the timer back.
func (i *Instance) backupAdvert(now time.Time, ev Event, acts []Action) []Action {
	if now.Before(i.heard) {
		return acts
	}
	i.heard = now
	if ev.Priority == PriorityStop {
		i.master, i.masterPriority, i.stopping = ev.Src, 0, true
		i.timerSet, i.dead = now, Cause{}
		i.timer = now.Add(SkewTime(i.settings.Version, i.priority, i.interval))
		if now.Before(i.patient) {
			i.timer = i.timer.Add(i.interval)
		}
		if i.gates.stage != gatesIdle {
			acts, i.wants = i.closeGates(acts), false // another case, with other gates
		}
		if !i.preemptAt.IsZero() {
			i.preemptAt, i.lower = time.Time{}, netip.Addr{} // a delay is that of one MASTER
		}
		return acts
	}
	if i.settings.Preempt && ev.Priority < i.priority {
		if i.gates.stage != gatesIdle && (!i.lower.IsValid() || i.wants && before(i.wish.Reason) != BeforePreempt) {
			// Somebody serves after all: to preempt is another case, with other gates.
			acts, i.wants, i.stopping = i.closeGates(acts), false, false
			i.armMasterDown(now)
		}
		i.lowerAdvert(now, ev)
		return acts
	}
	acts = i.closeGates(acts)
	i.preemptAt = time.Time{}
	i.follow(now, ev)
	return acts
}

// follow accepts an advert: its sender is the MASTER, and the wait for the next one
// begins.
func (i *Instance) follow(now time.Time, ev Event) {
	i.master, i.masterPriority, i.stopping = ev.Src, ev.Priority, false
	i.lower, i.wants = netip.Addr{}, false
	if i.settings.Version == 3 {
		i.interval = ev.Interval
	}
	i.armMasterDown(now)
}

// lowerAdvert takes an advert of a MASTER that is to be preempted. It is discarded:
// the running timer decides (RFC 9568 section 6.4.2).
//
// A preempt delay begins with the first of them. Until it is over they are accepted,
// so that a lower MASTER which falls silent is replaced as any other, and the
// takeover is due at its end and our skew, though never earlier than without a delay.
func (i *Instance) lowerAdvert(now time.Time, ev Event) {
	if i.settings.PreemptDelay > 0 && !i.lower.IsValid() {
		if i.preemptAt.IsZero() {
			i.preemptAt = now.Add(i.settings.PreemptDelay + SkewTime(i.settings.Version, i.priority, i.interval))
			if now.Before(i.patient) {
				i.preemptAt = i.preemptAt.Add(i.interval)
			}
			if i.preemptAt.Before(i.timer) {
				i.preemptAt = i.timer
			}
		}
		i.follow(now, ev)
		if i.timer.Before(i.preemptAt) {
			return
		}
		i.timer = i.preemptAt
	}
	i.lower, i.lowerPriority = ev.Src, ev.Priority
	if i.wants && i.settings.Version == 3 {
		i.interval = ev.Interval
	}
	if i.dead.Reason != ReasonNone || i.wants {
		// Somebody serves: no hurry any more. Who is kept from preempting it waits for
		// it to fall silent as well, by its interval.
		i.stopping = false
		i.armMasterDown(now)
	}
}

// reconfigureBackup puts in force what a change of the settings means for the
// timers of a BACKUP.
func (i *Instance) reconfigureBackup(old *Settings) {
	if i.state != Backup {
		return
	}
	s := &i.settings
	if longer := s.MasterDownTime(i.priority, i.interval) - old.MasterDownTime(i.priority, i.interval); !i.stopping &&
		old.Version == s.Version && (i.preemptAt.IsZero() || !i.lower.IsValid()) {
		i.timer = i.timer.Add(longer)
	}
	switch {
	case i.preemptAt.IsZero():
	case s.PreemptDelay == 0:
		i.preemptAt = time.Time{}
	default:
		i.preemptAt = i.preemptAt.Add(s.PreemptDelay - old.PreemptDelay)
	}
}

func (i *Instance) backupTimer(now time.Time, acts []Action) []Action {
	if now.Before(i.timer) {
		return acts
	}
	return i.takeOver(now, i.silenceCause(now), acts)
}

// silenceCause is why a BACKUP would take over now.
func (i *Instance) silenceCause(now time.Time) Cause {
	cause := Cause{Reason: ReasonMasterDown, Peer: i.master, Silence: now.Sub(i.timerSet)}
	if i.wants && i.lower.IsValid() {
		cause.Peer = i.lower // its adverts started the timer
	}
	switch {
	case i.dead.Reason != ReasonNone:
		cause = i.dead
	case i.stopping:
		cause.Reason = ReasonMasterStopped
	case i.lower.IsValid() && !i.wants:
		cause = Cause{Reason: ReasonPreempted, Peer: i.lower, Priority: i.lowerPriority, Silence: cause.Silence}
	}
	return cause
}

// takeOver makes a BACKUP that has a cause for it MASTER, as soon as its gates
// and its group allow it.
func (i *Instance) takeOver(now time.Time, cause Cause, acts []Action) []Action {
	gated := i.gated(cause.Reason)
	if i.wants && before(cause.Reason) != before(i.wish.Reason) {
		acts = i.closeGates(acts) // another case, with other gates
	}
	if i.grouped || gated {
		i.want(now, cause)
		if gated {
			acts = i.knock(now, acts)
		}
		return acts
	}
	return i.becomeMaster(now, cause, acts)
}

func (i *Instance) becomeBackup(now time.Time, cause Cause, acts []Action) []Action {
	i.interval = i.settings.AdvertInterval
	i.master, i.masterPriority, i.stopping, i.lower = netip.Addr{}, 0, false, netip.Addr{}
	i.armMasterDown(now)
	return i.enter(now, Backup, cause, acts)
}

func (i *Instance) armMasterDown(now time.Time) {
	i.timerSet, i.dead = now, Cause{}
	i.timer = now.Add(i.MasterDownTime())
	if now.Before(i.patient) {
		i.timer = i.timer.Add(i.interval)
	}
	if len(i.gates.list) > 0 {
		i.armGates(now)
	}
}
