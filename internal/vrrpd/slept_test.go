package vrrpd

import (
	"testing"
	"time"
)

func TestSuspendedHost(t *testing.T) {
	var wall, suspended time.Duration
	c := instance("web", 51, 200, "192.0.2.10/32")
	c.NoPreempt = true
	w := masterWorld(t, c)
	w.e.sleep = sleepWatch{
		wall:      func(time.Time) time.Duration { return wall },
		suspended: func() time.Duration { return suspended },
	}
	wake := func() {
		w.e.wake(w.now)
		w.e.tick(w.now)
		w.settle()
	}
	wake()
	wall = time.Hour // the clock is set, forth and back
	wake()
	wall = 0
	wake()
	w.want()
	wall, suspended = time.Minute, time.Minute
	wake()
	w.want("advert 200 from 192.0.2.1", "announce 192.0.2.10/32")
	wake()
	w.want()
	// Another one has taken over meanwhile. It is heard before anything is said.
	wall, suspended = 2*time.Minute, 2*time.Minute
	w.queue = append(w.queue, func(*engine) { w.hear("192.0.2.2", 100, settings(&c)) })
	wake()
	w.want("advert 0 from 192.0.2.1", "remove 192.0.2.10/32", "web MASTER->BACKUP (replaced)")
}

func TestSleepIsCheapToLookFor(t *testing.T) {
	asked := 0
	watch := newSleepWatch(time.Now(), func() time.Duration { asked++; return 0 })
	for range 100 {
		if d := watch.slept(time.Now()); d != 0 {
			t.Fatalf("slept %v", d)
		}
	}
	if asked > 2 {
		t.Errorf("the kernel was asked %d times", asked)
	}
}
