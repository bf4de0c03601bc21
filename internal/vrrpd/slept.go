package vrrpd

import (
	"time"

	"director/vrrp"
)

// leastSleep is the shortest suspension that is taken for one: two clocks are not read
// in the same moment.
const leastSleep = 100 * time.Millisecond

// sleepWatch notices that the host was suspended: the monotonic clock, by which
// everything here runs, stands still then, and with it all that is known of others.
type sleepWatch struct {
	wall      func(now time.Time) time.Duration // the wall clock against the monotonic one: costs nothing, but may be set
	suspended func() time.Duration              // in all since boot

	lastWall, lastSuspended time.Duration
}

func newSleepWatch(now time.Time, suspended func() time.Duration) sleepWatch {
	return sleepWatch{
		wall:          func(t time.Time) time.Duration { return t.Round(0).Sub(now.Round(0)) - t.Sub(now) },
		suspended:     suspended,
		lastSuspended: suspended(),
	}
}

// slept returns how long the host was suspended since it was asked last.
func (w *sleepWatch) slept(now time.Time) time.Duration {
	wall := w.wall(now)
	if ahead := wall - w.lastWall; ahead < leastSleep {
		w.lastWall = min(wall, w.lastWall)
		return 0
	}
	suspended := w.suspended()
	d := suspended - w.lastSuspended
	w.lastWall, w.lastSuspended = wall, suspended
	if d < leastSleep {
		return 0 // the wall clock was set
	}
	return d
}

// wake is called when the loop wakes up, before anything is read.
func (e *engine) wake(now time.Time) {
	d := e.sleep.slept(now)
	if d == 0 {
		return
	}
	e.log.Warn("this host was suspended", "duration", d.Round(time.Millisecond))
	for _, r := range e.order {
		e.step(r, now, vrrp.Event{Kind: vrrp.EventSlept, Interval: d})
	}
}
