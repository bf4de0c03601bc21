package vrrp

import (
	"net/netip"
	"time"
)

// conflictAnnounce is the least time between two announcements that answer
// adverts of a router that should not be MASTER, so that a stubborn one cannot
// make us flood the link.
const conflictAnnounce = time.Second

// masterAdvert is RFC 9568 section 6.4.3, "if an advertisement is received".
func (i *Instance) masterAdvert(now time.Time, ev Event, acts []Action) []Action {
	if i.settings.OwnerIgnoreAdverts && i.priority == PriorityOwner {
		return acts
	}
	cause := Cause{Peer: ev.Src, Priority: ev.Priority}
	silence := now.Sub(i.sent)
	switch {
	case ev.Priority > i.priority:
		cause.Reason = ReasonHigherPriority
	case ev.Priority == i.priority && i.source.Less(ev.Src):
		cause.Reason = ReasonHigherAddress
	case !i.settings.Preempt && ev.Priority != PriorityStop && silence >= i.settings.Takeover():
		// This process did not run for so long that a backup has rightly taken over.
		// To take the addresses back would be to preempt it.
		cause.Reason, cause.Silence = ReasonReplaced, silence
	}
	if cause.Reason == ReasonNone {
		// The loser is answered at once, so that it learns of us without waiting
		// for our next advert (RFC 9568 section 6.4.3), and so is one that gives up
		// by priority 0.
		if !i.settings.LowerPrioNoAdvert || ev.Priority == PriorityStop {
			i.timer = now.Add(i.interval)
			acts = i.say(now, acts)
		}
		return i.announceAgain(now, acts)
	}
	switch {
	case cause.Reason == ReasonReplaced, i.grouped && !i.settings.HigherPrioSilent:
		// With our priority the winner of a replacement would give way to us, and one
		// link of a group would take others along that are still being settled. Priority
		// 0 tells it the same: it answers, and announces again.
		acts = append(acts, Action{Kind: ActionAdvert, Priority: PriorityStop})
	case !i.settings.HigherPrioSilent:
		// The winner cannot know that there were two of us unless it hears us once:
		// it then announces the addresses again, which our own announcement may
		// have drawn here. Its answer finds us a BACKUP, so there is no more than
		// this.
		acts = i.say(now, acts)
	}
	i.master, i.masterPriority = ev.Src, ev.Priority
	acts = append(acts, Action{Kind: ActionRelease})
	acts = i.enter(now, Backup, cause, acts)
	i.interval = i.settings.AdvertInterval
	if i.settings.Version == 3 {
		i.interval = ev.Interval
	}
	i.lower, i.stopping, i.heard = netip.Addr{}, false, now
	i.armMasterDown(now)
	return acts
}

// say sends an advert of the MASTER that we are.
func (i *Instance) say(now time.Time, acts []Action) []Action {
	i.sent = now
	return append(acts, Action{Kind: ActionAdvert, Priority: i.priority})
}

// announceAgain tells the link once more who has the addresses, after another
// router may have said that it has them.
func (i *Instance) announceAgain(now time.Time, acts []Action) []Action {
	if i.Preparing() {
		return acts // they will be announced when they are up
	}
	repeat, delay := i.settings.lowerBurst()
	if next := i.lastConflict.Add(conflictAnnounce); now.Before(next) {
		// Too soon; but the other one may have said that it has the addresses since
		// then. The link is told again when it has fallen silent.
		if silent := now.Add(i.interval * 3 / 2); silent.Before(next) {
			next = silent
		}
		i.announce, i.announceBig, i.contested = next, repeat, true
		return acts
	}
	i.lastConflict, i.contested = now, false
	if delay > 0 {
		// The other one's announcement may still be under way and come last:
		// ours is repeated when that one has long given up.
		i.announce, i.announceBig = now.Add(delay), repeat
	}
	return append(acts, Action{Kind: ActionAnnounce, Repeat: repeat})
}

func (i *Instance) masterTimer(now time.Time, acts []Action) []Action {
	if !now.Before(i.timer) {
		silence := now.Sub(i.sent)
		acts = i.say(now, acts)
		// A backup may have taken over meanwhile, announced the addresses, and be
		// gone again.
		if silence >= i.settings.Takeover() {
			acts = i.announceAgain(now, acts)
		}
		// The schedule is kept, so that small delays do not add up; after a stall
		// the missed adverts are not made up for.
		i.timer = i.timer.Add(i.interval)
		if !now.Before(i.timer) {
			i.timer = now.Add(i.interval)
		}
	}
	acts = i.prepareTimer(now, acts)
	if !i.announce.IsZero() && !now.Before(i.announce) {
		repeat := i.announceBig
		if repeat == 0 {
			repeat = max(i.settings.GarpRefreshRepeat, 1)
		}
		acts = append(acts, Action{Kind: ActionAnnounce, Repeat: repeat})
		i.announce, i.announceBig = time.Time{}, 0
		if i.settings.GarpRefresh > 0 {
			i.announce = now.Add(i.settings.GarpRefresh)
		}
		if _, delay := i.settings.lowerBurst(); i.contested {
			i.contested, i.lastConflict = false, now
			if delay > 0 {
				i.announce, i.announceBig = now.Add(delay), repeat
			}
		}
	}
	return acts
}

// becomeMaster: the advert goes first, so that other backups hold still, then
// the addresses and their announcement (RFC 9568 section 6.4.2).
func (i *Instance) becomeMaster(now time.Time, cause Cause, acts []Action) []Action {
	i.interval = i.settings.AdvertInterval
	acts = i.claim(now, cause, i.say(now, acts))
	i.timer = now.Add(i.interval)
	i.master, i.masterPriority, i.stopping, i.lower, i.preemptAt = netip.Addr{}, 0, false, netip.Addr{}, time.Time{}
	return i.enter(now, Master, cause, acts)
}
