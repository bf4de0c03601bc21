package link

import (
	"errors"
	"fmt"
	"testing"
)

// An address that passes from one instance to another stays where it is,
// however long the queue of the one that gives it up.
func TestWorkerHandsAddressesOver(t *testing.T) {
	h, _ := cabled(t)
	h.address("eth0", "10.1.0.30/32")
	h.address("eth0", "10.1.0.31/32")
	w, r, release := hold(h)
	defer release()
	given := vips("eth0", "10.1.0.31/32", "10.1.0.30/32")
	w.Submit(Job{ID: 1, Instance: "old", Op: Announce, Items: given, Count: 5})
	w.Submit(Job{ID: 2, Instance: "old", Op: Remove, Items: given})
	w.Submit(Job{ID: 3, Instance: "older", Op: Remove, Items: given[1:]})
	w.Submit(Job{ID: 4, Instance: "new", Op: Add, Items: given[1:]})
	release()
	if got := r.of(4)[0]; got.Err != nil || !got.Already {
		t.Errorf("add: already %v, error %v", got.Already, got.Err)
	}
	removed := r.of(2)
	if removed[0].Err != nil || !errors.Is(removed[1].Err, ErrSuperseded) {
		t.Errorf("removals: %v, %v", removed[0].Err, removed[1].Err)
	}
	if got := r.of(3)[0]; !errors.Is(got.Err, ErrSuperseded) {
		t.Errorf("the other removal: %v", got.Err)
	}
	if got := h.prefixes("eth0"); fmt.Sprint(got) != "[10.1.0.1/24 10.1.0.30/32]" {
		t.Errorf("eth0 has %v", got)
	}
	// What was done is not remembered.
	w.Submit(Job{ID: 5, Instance: "new", Op: Remove, Items: given[1:]})
	r.ok(5)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.removals) != 0 {
		t.Errorf("%d removals are still waited for", len(w.removals))
	}
}

// Another label needs the address to go first.
func TestWorkerChangesLabels(t *testing.T) {
	h, _ := cabled(t)
	h.address("eth0", "10.1.0.30/32")
	w, r, release := hold(h)
	defer release()
	before := vips("eth0", "10.1.0.30/32")
	after := vips("eth0", "10.1.0.30/32")
	after[0] = labelled(after[0], "eth0:vip")
	w.Submit(Job{ID: 1, Instance: "web", Op: Remove, Items: before})
	w.Submit(Job{ID: 2, Instance: "web", Op: Add, Items: after})
	release()
	r.ok(2)
	for _, a := range h.addresses("eth0") {
		if a.IP.String() == "10.1.0.30" && a.Label != "eth0:vip" {
			t.Errorf("the label is %q", a.Label)
		}
	}
}
