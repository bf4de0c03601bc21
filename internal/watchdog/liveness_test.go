package watchdog

import (
	"testing"
	"time"

	"director/config"
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
	for n, want := range map[int]time.Duration{0: configureLimit, 1000: configureLimit + 500*time.Millisecond, 40_000: configureLimit + 20*time.Second} {
		farm := make([]config.VirtualServer, n/20)
		for i := range farm {
			farm[i].RealServers = make([]config.RealServer, 19)
		}
		for _, cfg := range []*config.Config{{Instances: make([]config.Instance, n)}, {VirtualServers: farm}} {
			c := &child{want: &generation{config: cfg}}
			if got := c.patience(); got != want {
				t.Errorf("%d instances or servers: %v, want %v", n, got, want)
			}
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
