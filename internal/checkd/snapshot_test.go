package checkd

import (
	"testing"
	"testing/synctest"
	"time"

	"director/ipvs"
)

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "b")
		w.run()
		w.configure(configOf("web: a3 b1", sorry("s")))
		w.pass(time.Minute)
		w.kernel.SetStats(ipvs.Stats{key("web"): {
			Counters: ipvs.Counters{Connections: 9, InBytes: 1 << 40},
			Dests:    map[ipvs.DestKey]ipvs.DestStats{address("a"): {Active: 4, Inactive: 2, Counters: ipvs.Counters{Connections: 7}}},
		}})
		c := w.inquire()
		s := c.Services[0]
		if c.Generation != 1 || s.Name != "web" || s.Address != "192.0.2.1:80/tcp" || s.Scheduler != "rr" || s.Forwarding != "nat" ||
			s.State != "up" || s.Quorum != 1 || s.UpWeight != 3 || !s.Installed || s.Counters.Connections != 9 || s.Counters.InBytes != 1<<40 {
			t.Errorf("service %+v", s)
		}
		a, b := s.Servers[0], s.Servers[1]
		if a.Name != "a" || a.Address != "10.0.0.1:80" || a.Health != "up" || a.Reason != "checks passed" || a.Weight != 3 || !a.Installed ||
			a.KernelWeight != 3 || a.Active != 4 || a.Inactive != 2 || a.Counters.Connections != 7 || a.Checks[0].Kind != "tcp" ||
			a.Checks[0].Target != "10.0.0.1:80" || a.Checks[0].State != "up" || a.Checks[0].Result != "connected" || a.Checks[0].Passed < 10 {
			t.Errorf("server a %+v", a)
		}
		if b.Health != "down" || b.Installed || b.KernelWeight != -1 || b.Checks[0].Failed < 10 || b.Checks[0].Passed != 0 ||
			b.Reason != "check failed: tcp 10.0.0.2:80: refused: connect: connection refused" {
			t.Errorf("server b %+v", b)
		}
		if len(s.SorryServers) != 1 || s.SorryServers[0].Installed || s.SorryServers[0].Address != "10.0.0.19:80" {
			t.Errorf("sorry server %+v", s.SorryServers)
		}
		w.kill()
	})
}

// Snapshots that nobody asked for come after changes, and not more often than
// the limit.
func TestSnapshotsOnChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1"))
		count := func() (n int) {
			for _, m := range w.parent.take(whatever) {
				if m.Snapshot != nil {
					n++
				}
			}
			return n
		}
		w.pass(time.Minute)
		if n := count(); n < 1 || n > 2 {
			t.Errorf("%d snapshots at the start", n)
		}
		w.pass(time.Minute)
		if n := count(); n != 0 {
			t.Errorf("%d snapshots though nothing changed", n)
		}
		w.farm.set(refused, "a", "b")
		w.pass(20 * time.Second)
		if n := count(); n < 1 || n > 2 {
			t.Errorf("%d snapshots after two changes", n)
		}
		w.kill()
	})
}
