package vrrpd

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"director/vrrp"
)

// A verdict changes when, and only when, the other one has been seen without a
// break for its delay. The first counts at once.
func TestDelayed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(0, 5).Draw(t, name)) * time.Millisecond
		}
		d := delayed{up: ms("up"), down: ms("down"), heapSlot: -1}
		now := time.Unix(1000, 0)
		seen, from, want := vrrp.Unknown, now, vrrp.Unknown
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			v := vrrp.Up
			if rapid.Bool().Draw(t, "down") {
				v = vrrp.Down
			}
			before := d.verdict()
			if changed := d.see(now, v); changed != (d.verdict() != before) {
				t.Fatalf("see says %v from %v to %v", changed, before, d.verdict())
			}
			if v != seen {
				seen, from = v, now
			}
			for end := now.Add(ms("pause")); ; now = now.Add(time.Millisecond) {
				d.expire(now)
				wait := d.up
				if seen == vrrp.Down {
					wait = d.down
				}
				if want == vrrp.Unknown || now.Sub(from) >= wait {
					want = seen
				}
				if d.verdict() != want {
					t.Fatalf("after %v of %v it is %v", now.Sub(from), seen, d.verdict())
				}
				if now.Equal(end) {
					break
				}
			}
		}
	})
}
