package vrrp

import (
	"net/netip"
	"time"
)

// slept begins anew after the host was suspended. Nothing was heard meanwhile, and the
// clock that timers run by stood still.
//
// A MASTER has been silent for all that time: its next advert is due, before which its
// owner listens, and it finds out whether it was replaced as after any other stall. A
// BACKUP knows nothing of its MASTER any more, and waits for it for the whole time.
func (i *Instance) slept(now time.Time, d time.Duration, acts []Action) []Action {
	switch i.state {
	case Master:
		i.sent, i.timer = i.sent.Add(-d), now
		for n := range i.gates.list {
			if i.gates.list[n].Held {
				i.gates.timer = now
			}
		}
	case Backup:
		acts = i.closeGates(acts)
		i.wants, i.stopping, i.lower = false, false, netip.Addr{}
		i.armMasterDown(now)
	}
	return acts
}
