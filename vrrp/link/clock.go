package link

import (
	"time"

	"golang.org/x/sys/unix"
)

// Monotonic returns CLOCK_MONOTONIC in nanoseconds. It counts from the boot of
// the machine, is the same for every process of it, and does not jump when the
// wall clock is set; so one process can judge an instant noted by another.
func Monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		// The clock exists on every Linux and the pointer is valid.
		panic("link: clock_gettime: " + err.Error())
	}
	return ts.Nano()
}

// SinceBoot returns the time since the boot of the machine, with the time that it
// was suspended: what /proc/uptime shows.
func SinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("link: clock_gettime: " + err.Error()) // as above
	}
	return time.Duration(ts.Nano())
}

// Suspended returns for how long the machine has been suspended since its boot, give or
// take the time between two readings.
func Suspended() time.Duration { return SinceBoot() - time.Duration(Monotonic()) }

// anchor ties Go's monotonic readings to CLOCK_MONOTONIC. Both are the same
// clock, but package time keeps its own zero to itself.
type anchor struct {
	at   time.Time
	mono int64
}

func newAnchor() anchor {
	// The wall time is read between two readings of the clock it is tied to, so
	// the middle of the two is right within half of what the readings took;
	// the narrowest of a few attempts leaves out a thread that was descheduled.
	var best anchor
	width := int64(-1)
	for range 5 {
		before := Monotonic()
		at := time.Now()
		after := Monotonic()
		if width < 0 || after-before < width {
			width = after - before
			best = anchor{at: at, mono: before + width/2}
		}
	}
	return best
}

// monotonic converts t to CLOCK_MONOTONIC nanoseconds.
func (a anchor) monotonic(t time.Time) int64 {
	return a.mono + int64(t.Sub(a.at))
}
