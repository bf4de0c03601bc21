package vrrp

import (
	"net/netip"
	"time"
)

// backupAdvert is RFC 9568 section 6.4.2, "if an advertisement is received".
func (i *Instance) backupAdvert(now time.Time, ev Event, acts []Action) []Action {
	if ev.Priority == PriorityStop {
		i.master, i.masterPriority, i.stopping = ev.Src, 0, true
		i.timerSet, i.dead = now, Cause{}
		i.timer = now.Add(SkewTime(i.settings.Version, i.priority, i.interval))
		return acts
	}
	if i.settings.Preempt && ev.Priority < i.priority {
		// Discarded: the running timer decides (section 6.4.2 line 455).
		i.lower, i.lowerPriority = ev.Src, ev.Priority
		if i.dead.Reason != ReasonNone {
			i.armMasterDown(now) // somebody serves: no hurry any more
		}
		return acts
	}
	i.master, i.masterPriority, i.stopping = ev.Src, ev.Priority, false
	i.lower, i.wants = netip.Addr{}, false
	if i.settings.Version == 3 {
		i.interval = ev.Interval
	}
	i.armMasterDown(now)
	return acts
}

func (i *Instance) backupTimer(now time.Time, acts []Action) []Action {
	if now.Before(i.timer) {
		return acts
	}
	cause := Cause{Reason: ReasonMasterDown, Peer: i.master, Silence: now.Sub(i.timerSet)}
	switch {
	case i.dead.Reason != ReasonNone:
		cause = i.dead
	case i.stopping:
		cause.Reason = ReasonMasterStopped
	case i.lower.IsValid():
		cause = Cause{Reason: ReasonPreempted, Peer: i.lower, Priority: i.lowerPriority, Silence: cause.Silence}
	}
	return i.takeOver(now, cause, acts)
}

// takeOver makes a BACKUP that has a cause for it MASTER, as soon as its group
// allows it.
func (i *Instance) takeOver(now time.Time, cause Cause, acts []Action) []Action {
	if i.grouped {
		i.want(now, cause)
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
}
