package control

import (
	"testing"
	"time"
)

func TestLateness(t *testing.T) {
	var m LatenessMeter
	if d := m.Report().Within(0.99); d != 0 {
		t.Errorf("nothing measured: %v", d)
	}
	for range 98 {
		m.Observe(40 * time.Microsecond)
	}
	m.Observe(300 * time.Microsecond)
	m.Observe(time.Minute)
	l := m.Report()
	if l.Count != 100 || l.Max != time.Minute || l.Last != time.Minute {
		t.Errorf("%+v", l)
	}
	for share, want := range map[float64]time.Duration{
		0.5: 50 * time.Microsecond, 0.98: 50 * time.Microsecond, 0.99: 500 * time.Microsecond, 1: time.Minute,
	} {
		if got := l.Within(share); got != want {
			t.Errorf("%v of all are within %v, want %v", share, got, want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { m.Observe(time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
