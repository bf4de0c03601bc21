package vrrp

import "time"

// leastPeerDownUnit keeps the skew of backups that are one priority apart
// longer than an advert is under way, however fast the peer's death is noticed.
const leastPeerDownUnit = 100 * time.Millisecond

// peerDown lets a BACKUP take over from a MASTER that another protocol, such as
// BFD, has found dead, without waiting for the adverts to be missed.
//
// All backups notice at about the same time, so they are skewed by priority here
// as well. But they do not notice together, as they heard of an advert together:
// they are up to one of the few packets apart that it takes to notice, which is
// more than a skew of that order makes up for. So the skew counts from what all have
// seen at the same moment, the newest advert of the MASTER. From there on time is
// divided into rounds as long as it takes to notice, ev.Interval; each priority has
// its point in a round, the better ones the earlier, and a backup takes over at its
// next one. That is at most one round later, whatever the advertisement interval
// is, and the better one comes first unless a point of its own lies between the
// moments at which the two noticed.
//
// Where it does not, the first advert of whoever came first ends the haste of all
// others, also of better ones: those preempt it by the master-down timer, as they
// would preempt any other. So no two of them follow the same event.
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
	due := i.timerSet.Add(time.Duration(256-int(i.priority)) * unit / 256)
	if late := now.Sub(due); late > 0 {
		due = due.Add((late + unit - 1) / unit * unit)
	}
	if due.Before(i.timer) {
		i.timer, i.dead = due, ev.Cause
	}
}
