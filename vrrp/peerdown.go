package vrrp

import "time"

// leastPeerDownUnit keeps the skew of backups that are one priority apart
// longer than an advert is under way, however fast the peer's death is noticed.
const leastPeerDownUnit = 100 * time.Millisecond

// peerDown lets a BACKUP take over from a MASTER that another protocol, such as
// BFD, has found dead, without waiting for the adverts to be missed.
//
// All backups notice at about the same time, so they are skewed by priority here
// as well. The unit is the time that it takes to notice, ev.Interval: in the worst
// case a takeover then needs twice that time, whatever the advertisement interval
// is; and as backups notice at most one of the few packets of that time apart, the
// better one is first as a rule. Where it is not, the first advert of whoever came
// first ends the haste of all others, also of better ones: those preempt it by the
// master-down timer, as they would preempt any other. So no two of them follow the
// same event.
//
// For the same reason only the death of the router heard last counts.
//
// An advert of the router said to be dead ends the haste as well. One that has
// said good-bye by priority 0 is being replaced already.
func (i *Instance) peerDown(now time.Time, ev Event) {
	active := i.master
	if i.lower.IsValid() {
		active = i.lower // heard since, and not accepted only because it is to be preempted
	}
	if i.state != Backup || i.stopping || !active.IsValid() || ev.Src != active {
		return
	}
	unit := min(max(ev.Interval, leastPeerDownUnit), i.interval)
	// Not SkewTime: version 2 counts that in whole seconds.
	due := now.Add(time.Duration(256-int(i.priority)) * unit / 256)
	if due.Before(i.timer) {
		i.timer, i.dead = due, ev.Cause
	}
}
