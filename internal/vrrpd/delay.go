package vrrpd

import (
	"fmt"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// startDelayReason is why a router that could start does not.
const startDelayReason = "waiting for the start delay"

// startDelay keeps every router out for a while after the start of the daemon or of
// the host, until switches forward and routes are learned. Interfaces and trackers
// are looked after meanwhile, and what is heard is shown.
type startDelay struct {
	begun     time.Time // the daemon's first configuration
	begunMono int64     // the same in CLOCK_MONOTONIC, for a successor of this process
	at        time.Time // when it ends
	over      bool
	heapSlot  int // in the engine's timers while it is pending
}

func (d *startDelay) deadline() time.Time { return d.at }

func (d *startDelay) slot() *int { return &d.heapSlot }

func (d *startDelay) pending() bool { return !d.at.IsZero() && !d.over }

func (d *startDelay) left() string {
	left := max(time.Until(d.at), 0)
	return fmt.Sprintf("%s, %v left", startDelayReason, (left + time.Second - 1).Truncate(time.Second))
}

// configureDelay begins the delay with the first configuration, and while it runs
// obeys a changed one. A process that replaces another goes on where that one was.
func (e *engine) configureDelay(now time.Time, g *config.Global, res *watchdog.Resume) {
	d := &e.delay
	if d.begun.IsZero() {
		d.begun, d.begunMono = now, link.Monotonic()
		if res != nil && res.Snapshot.VRRP != nil && res.Snapshot.VRRP.BegunMono > 0 {
			d.begun = now.Add(-time.Duration(d.begunMono - res.Snapshot.VRRP.BegunMono))
			d.begunMono = res.Snapshot.VRRP.BegunMono
		}
	}
	was := d.pending()
	if d.over {
		return
	}
	d.at = d.begun.Add(g.StartDelay.D())
	if booted := now.Add(g.DelayAfterBoot.D() - e.sinceBoot()); g.DelayAfterBoot > 0 && booted.After(d.at) {
		d.at = booted
	}
	d.over = !d.at.After(now)
	switch is := d.pending(); {
	case is && was:
		e.timers.fix(d)
	case is:
		e.timers.add(d)
	case was:
		e.timers.remove(d)
	}
}

// endDelay lets the routers start, or none of them any more.
func (e *engine) endDelay() {
	if e.delay.pending() {
		e.delay.over = true
		e.timers.remove(&e.delay)
	}
}
