package control

import "time"

// Lateness says how late the VRRP loop woke up for its timers.
type Lateness struct {
	Count uint64        `json:"count"`
	Last  time.Duration `json:"last"` // nanoseconds, as the other durations
	Max   time.Duration `json:"max"`
	Sum   time.Duration `json:"sum"`
	// Buckets count the timers by how late they were, each those that were later
	// than the bucket before says; those later than the last are in none.
	Buckets []LatenessBucket `json:"buckets,omitempty"`
}

// LatenessBucket counts the timers that were at most so late.
type LatenessBucket struct {
	AtMost time.Duration `json:"at_most"`
	Count  uint64        `json:"count"`
}

// latenessBounds are close enough for the shortest advertisement interval, 10 ms,
// and go on to where every master-down time is over.
var latenessBounds = [...]time.Duration{
	50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// LatenessMeter measures lateness without allocating.
type LatenessMeter struct {
	sum     Lateness
	buckets [len(latenessBounds)]uint64
}

// Observe takes the lateness of one timer.
func (m *LatenessMeter) Observe(d time.Duration) {
	m.sum.Count++
	m.sum.Last = d
	m.sum.Sum += d
	m.sum.Max = max(m.sum.Max, d)
	for i, most := range latenessBounds {
		if d <= most {
			m.buckets[i]++
			return
		}
	}
}

// Report returns what was measured.
func (m *LatenessMeter) Report() Lateness {
	l := m.sum
	l.Buckets = make([]LatenessBucket, len(latenessBounds))
	for i, most := range latenessBounds {
		l.Buckets[i] = LatenessBucket{most, m.buckets[i]}
	}
	return l
}

// Within returns the least bound that holds the share of all timers, 0 to 1; 0
// when nothing was measured, and Max when it is beyond the last bound.
func (l Lateness) Within(share float64) time.Duration {
	if l.Count == 0 {
		return 0
	}
	var sum uint64
	for _, b := range l.Buckets {
		sum += b.Count
		if float64(sum) >= share*float64(l.Count) {
			return min(b.AtMost, l.Max)
		}
	}
	return l.Max
}
