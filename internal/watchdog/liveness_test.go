package watchdog

import (
	"testing"
	"time"
)

// An acknowledgement is a sign of life: questions from before it are not yet late.
func TestAcknowledgementIsASignOfLife(t *testing.T) {
	start := time.Now()
	run := &process{lastCycle: start, pings: []ping{{1, start}, {2, start.Add(time.Second)}}}
	run.lives(start.Add(1900 * time.Millisecond))
	if got := run.silent(start.Add(2*time.Second), 2*time.Second); got != 100*time.Millisecond {
		t.Errorf("silent for %v, want 100ms", got)
	}
	run.answered(2)
	if got := run.silent(start.Add(3*time.Second), 2*time.Second); got != 0 {
		t.Errorf("silent for %v after the answer", got)
	}
}

// A large configuration may take longer.
func TestPatienceGrowsWithTheConfiguration(t *testing.T) {
	for size, want := range map[int]time.Duration{0: configureLimit, 1000: configureLimit + time.Millisecond, 40_000_000: configureLimit + 40*time.Second} {
		c := &child{want: &generation{text: make([]byte, size)}}
		if got := c.patience(); got != want {
			t.Errorf("%d bytes: %v, want %v", size, got, want)
		}
	}
	if got := new(child).patience(); got != configureLimit {
		t.Errorf("without a configuration: %v", got)
	}
}

// A machine too slow for the first attempt is given longer for the next, however long that takes.
func TestPatienceGrowsWithEachDeath(t *testing.T) {
	c := new(child)
	limit := configureLimit
	for range maxDoublings + 2 {
		if got := c.patience(); got != limit {
			t.Fatalf("after %d deaths: %v, want %v", c.backoff.deaths, got, limit)
		}
		run := &process{spawned: time.Now().Add(-c.patience())} // it was ended before it was ready
		c.backoff.died(run.lived())
		limit = min(2*limit, configureLimit<<maxDoublings)
	}
	ready := &process{spawned: time.Now().Add(-settled), ready: true}
	if c.backoff.died(ready.lived()); c.patience() != 2*configureLimit {
		t.Errorf("after a minute of work and one death: %v", c.patience())
	}
}
