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
