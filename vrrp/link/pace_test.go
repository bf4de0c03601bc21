package link

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Announcements of all instances on an interface keep their distance, and what
// else is asked for does not wait for them, least of all the end of a MASTER.
func TestAnnouncementsKeepTheirDistance(t *testing.T) {
	a, _ := cabled(t)
	w, r, release := hold(a)
	defer release()
	var many []string
	for n := range 20 {
		many = append(many, fmt.Sprintf("10.1.0.%d/32", 100+n))
	}
	addrs := vips("eth0", many...)
	w.Submit(Job{ID: 1, Instance: "one", Op: Add, Items: addrs})
	const gap = 5 * time.Millisecond
	w.Submit(Job{ID: 2, Instance: "one", Op: Announce, Items: addrs, Gap: gap})
	w.Submit(Job{ID: 3, Instance: "two", Op: Announce, Items: addrs, Gap: gap})
	w.Submit(Job{ID: 4, Instance: "one", Op: Add, Items: vips("eth0", "10.1.0.99/32")})
	w.Submit(Job{ID: 5, Instance: "three", Op: Announce, Items: addrs[:1]}) // keeps none
	begun := time.Now()
	release()
	r.ok(1)
	r.ok(4)
	r.ok(5)
	r.ok(2)
	r.ok(3)
	if took := time.Since(begun); took < 39*gap {
		t.Errorf("40 announcements took %v, want at least %v", took, 39*gap)
	}
	after := func(job uint64) (announced int) {
		for _, x := range r.all() {
			if x.Job == job {
				break
			}
			if x.Job == 2 || x.Job == 3 {
				announced++
			}
		}
		return announced
	}
	if after(4) > 20 || after(5) > 20 {
		t.Errorf("of 40 announcements %d went before another address, and %d before one that keeps no distance", after(4), after(5))
	}
	begun = time.Now()
	w.Submit(Job{ID: 6, Instance: "one", Op: Announce, Items: addrs, Count: 100, Gap: time.Second})
	w.Submit(Job{ID: 7, Instance: "one", Op: Remove, Items: addrs})
	r.ok(7)
	for _, x := range r.of(6) {
		if x.Err != nil && !errors.Is(x.Err, ErrSuperseded) {
			t.Errorf("announcement of %v: %v", x.Item, x.Err)
		}
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("the removal took %v", took)
	}
}
