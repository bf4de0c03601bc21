package vrrpd

import (
	"testing"
	"time"

	"director/config"
	"director/internal/watchdog"
)

// A host that could not serve steps back, also under the next process, and every
// instance does: that is what the weight is for.
func TestReadiness(t *testing.T) {
	w := newWorld(t)
	cfg := config.Config{
		Instances: []config.Instance{instance("web", 51, 100, "192.0.2.10/32"), instance("db", 52, 90, "192.0.2.11/32")},
		Readiness: &config.Readiness{Weight: -50},
	}
	w.apply(nil, cfg)
	want := func(web, db int) {
		t.Helper()
		for i, priority := range []int{web, db} {
			if got := w.e.snapshot().Instances[i].Priority; got != priority {
				t.Errorf("priority %d of instance %d, want %d", got, i, priority)
			}
		}
	}
	tell := func(ready bool, reason string) {
		w.now = w.now.Add(time.Millisecond)
		w.e.readinessTold(w.now, &watchdog.Readiness{Ready: ready, Reason: reason})
		w.settle()
	}
	want(100, 90) // nothing is known
	tell(true, "")
	want(100, 90)
	tell(false, "no ip_vs")
	want(50, 40)
	former := w.e.snapshot()
	if tr := former.Trackers[0]; tr.Kind+" "+tr.Name != "readiness this host" || tr.State != "down" || tr.Detail != "no ip_vs" || !tr.Since.Equal(w.now) {
		t.Errorf("tracker %+v", tr)
	}
	cfg.Readiness = &config.Readiness{Weight: -20}
	w.apply(nil, cfg)
	want(80, 70)
	cfg.Readiness = &config.Readiness{} // the alarm alone
	w.apply(nil, cfg)
	if list := w.e.snapshot().Trackers; len(list) != 0 {
		t.Errorf("without a weight there are the trackers %+v", list)
	}
	cfg.Readiness = nil
	w.apply(nil, cfg)
	want(100, 90)
	tell(false, "still") // overtaken by the reload
	want(100, 90)

	next := newWorld(t)
	cfg.Readiness = &config.Readiness{Weight: -50}
	next.apply(&watchdog.Resume{Snapshot: watchdog.Snapshot{VRRP: former}}, cfg)
	w = next
	want(50, 40)
	if tr := w.e.snapshot().Trackers[0]; tr.Detail != "no ip_vs" || !tr.Since.Equal(former.Trackers[0].Since) {
		t.Errorf("the next process has the tracker %+v", tr)
	}
	tell(true, "")
	want(100, 90)
}
