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
	w, r := newWorker(a)
	var many []string
	for n := range 20 {
		many = append(many, fmt.Sprintf("10.1.0.%d/32", 100+n))
	}
	addrs := vips("eth0", many...)
	w.Submit(Job{ID: 1, Instance: "one", Op: Add, Items: addrs})
	r.ok(1)
	const gap = 5 * time.Millisecond
	begun := time.Now()
	w.Submit(Job{ID: 2, Instance: "one", Op: Announce, Items: addrs, Gap: gap})
	w.Submit(Job{ID: 3, Instance: "two", Op: Announce, Items: addrs, Gap: gap})
	w.Submit(Job{ID: 4, Instance: "one", Op: Add, Items: vips("eth0", "10.1.0.99/32")})
	w.Submit(Job{ID: 5, Instance: "three", Op: Announce, Items: addrs[:1]}) // keeps none
	r.ok(4)
	r.ok(5)
	if took := time.Since(begun); took > 39*gap {
		t.Errorf("an address waited %v for announcements", took)
	}
	r.ok(2)
	r.ok(3)
	if took := time.Since(begun); took < 39*gap {
		t.Errorf("40 announcements took %v, want at least %v", took, 39*gap)
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
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("the removal took %v", took)
	}
}
