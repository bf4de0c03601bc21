package netlab

import (
	"context"
	"sync"
	"time"
)

// Stalls measures for how long this machine stands still: a goroutine that wants to wake up every few milliseconds notes when it
// could not. What is measured of others meanwhile says as much about the machine as about them.
type Stalls struct {
	mu   sync.Mutex
	late []stall
}

// stall is one time of standing still.
type stall struct {
	end  time.Time
	long time.Duration
}

// stallStep is how long the goroutine sleeps, and the shortest stall that counts.
const stallStep = 5 * time.Millisecond

// WatchStalls measures until ctx ends.
func WatchStalls(ctx context.Context) *Stalls {
	s := &Stalls{}
	go func() {
		for ctx.Err() == nil {
			before := time.Now()
			time.Sleep(stallStep)
			now := time.Now()
			if late := now.Sub(before) - stallStep; late > stallStep {
				s.mu.Lock()
				s.late = append(s.late, stall{now, late})
				s.mu.Unlock()
			}
		}
	}()
	return s
}

// Longest returns the longest stall that ended between two moments.
func (s *Stalls) Longest(from, to time.Time) time.Duration {
	var worst time.Duration
	s.each(from, to, func(long time.Duration) { worst = max(worst, long) })
	return worst
}

// Total returns for how long the machine stood still, by the stalls that ended between two moments.
func (s *Stalls) Total(from, to time.Time) time.Duration {
	var all time.Duration
	s.each(from, to, func(long time.Duration) { all += long })
	return all
}

func (s *Stalls) each(from, to time.Time, see func(long time.Duration)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.late {
		if l.end.After(from) && !l.end.After(to) {
			see(l.long)
		}
	}
}
