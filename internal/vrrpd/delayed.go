package vrrpd

import (
	"time"

	"director/internal/control"
	"director/vrrp"
)

// delayed is a verdict that follows what is seen only when that has lasted. The
// first thing seen counts at once.
type delayed struct {
	up, down time.Duration // how long each must have lasted

	now      vrrp.Verdict
	from     time.Time    // of the verdict
	next     vrrp.Verdict // what is seen, while due is set
	due      time.Time
	heapSlot int
}

func (d *delayed) verdict() vrrp.Verdict { return d.now }

func (d *delayed) since() time.Time { return d.from }

func (d *delayed) deadline() time.Time { return d.due }

func (d *delayed) slot() *int { return &d.heapSlot }

// see takes what is seen now and reports whether the verdict has changed.
func (d *delayed) see(now time.Time, v vrrp.Verdict) bool {
	wait := d.up
	if v == vrrp.Down {
		wait = d.down
	}
	switch {
	case v == d.now:
		d.due = time.Time{}
	case d.now == vrrp.Unknown || wait == 0:
		return d.set(now, v)
	case d.due.IsZero() || d.next != v:
		d.next, d.due = v, now.Add(wait)
	}
	return false
}

// set changes the verdict at once.
func (d *delayed) set(now time.Time, v vrrp.Verdict) bool {
	d.due = time.Time{}
	if d.now == v {
		return false
	}
	d.now, d.from = v, now
	return true
}

// expire takes what has lasted long enough.
func (d *delayed) expire(now time.Time) bool {
	if d.due.IsZero() || d.due.After(now) {
		return false
	}
	return d.set(now, d.next)
}

// resume takes over the verdict of a former life. What has been seen since then
// begins to last now.
func (d *delayed) resume(now time.Time, old control.Tracker) bool {
	former, ok := vrrp.ParseVerdict(old.State)
	if !ok || former == vrrp.Unknown {
		return false
	}
	seen := d.now
	if !d.due.IsZero() {
		seen = d.next
	}
	d.now, d.from, d.due = former, old.Since, time.Time{}
	if seen != vrrp.Unknown {
		d.see(now, seen)
	}
	return true
}
