package watchdog

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestMemorySettles looks when a process gives back memory: soon after a configuration and once more
// later, and not for one that another has overtaken.
func TestMemorySettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		m := newMemory(slog.New(slog.DiscardHandler))
		m.free = func() { at = append(at, time.Since(start)) }
		m.configured(false)
		time.Sleep(10 * time.Second)
		m.configured(false)
		time.Sleep(time.Second)
		m.configured(false)
		time.Sleep(time.Hour)
		want := []time.Duration{settleTime, 11*time.Second + settleTime, 11*time.Second + lateTime}
		if d := cmp.Diff(want, at); d != "" {
			t.Error(d)
		}
		m.configured(false)
		m.locked = true // by hand: the test's own memory stays as it is
		time.Sleep(time.Hour)
		if len(at) != len(want) {
			t.Error("locked memory was given back")
		}
	})
}
