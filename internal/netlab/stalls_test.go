package netlab

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestStalls: the stalls of a time are those that ended in it. In a bubble nothing is late, so that what is counted is what is put there.
func TestStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := WatchStalls(ctx)
		begin := time.Now()
		time.Sleep(time.Second)
		if got := s.Total(begin, time.Now()); got != 0 {
			t.Errorf("stood still for %v", got)
		}
		cancel()
		time.Sleep(stallStep)
		at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
		s.late = []stall{{at(100), 30 * time.Millisecond}, {at(200), 70 * time.Millisecond}, {at(300), 50 * time.Millisecond}}
		for _, tc := range []struct{ from, to, longest, total int }{
			{0, 1000, 70, 150}, {100, 1000, 70, 120}, {200, 1000, 50, 50}, {0, 200, 70, 100}, {300, 1000, 0, 0},
		} {
			longest, total := s.Longest(at(tc.from), at(tc.to)), s.Total(at(tc.from), at(tc.to))
			if longest != time.Duration(tc.longest)*time.Millisecond || total != time.Duration(tc.total)*time.Millisecond {
				t.Errorf("from %d to %d: longest %v, total %v, want %d and %d ms", tc.from, tc.to, longest, total, tc.longest, tc.total)
			}
		}
	})
}
