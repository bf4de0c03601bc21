package test

import (
	"fmt"
	"testing"

	"director/internal/control"
)

// readyFarm is one of two directors that compare what they see of the servers.
func readyFarm(own, other, priority int) string {
	return fmt.Sprintf(`
[global]
router_id = "lb%[1]d"
[readiness]
weight = -100
delay = "1s"
interval = "200ms"
listen = "192.0.2.%[1]d:8849"
peer = ["192.0.2.%[2]d:8849"]
key = "0123456789abcdef0123456789abcdef"
[vrrp_instance.outside]
interface = "eth0"
virtual_router_id = 51
priority = %[3]d
advert_interval = "300ms"
virtual_ipaddress = ["192.0.2.80/24"]
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
check = { type = "tcp", interval = "300ms", timeout = "2s", rise = 1, fall = 2 }
real_server = [{ name = "s1", address = "10.0.0.11:80" }, { name = "s2", address = "10.0.0.12:80" }]
`, own, other, priority)
}

// testPoolDownHere cuts the better director off from the servers, which the other one reaches: it says why it is not ready and gives way. When
// the servers are dead for both, neither is to blame.
func testPoolDownHere(t *testing.T) {
	f := newFarm(t, 2, 2)
	web := f.webServers(f.servers...)
	a := startDirector(t, f.directors[0], readyFarm(1, 2, 200))
	b := startDirector(t, f.directors[1], readyFarm(2, 1, 150))
	for _, d := range []*director{a, b} {
		d.WaitServers()
		d.waitFor(patience, "both are ready and know of each other", func(s control.Status) error {
			if r := s.Readiness; r == nil || !r.Ready || len(r.Peers) != 1 || !r.Peers[0].Fresh || !r.Peers[0].Ready {
				return fmt.Errorf("readiness %+v", r)
			}
			return nil
		})
	}
	a.WaitInstance("outside", "MASTER", patience)
	b.WaitInstance("outside", "BACKUP", patience)

	inside := a.host.Ports()[1]
	f.Must(inside.Cut())
	a.WaitAlarmEvent("not_ready", "here and up on lb2")
	b.WaitInstance("outside", "MASTER", patience)
	if i := a.WaitInstance("outside", "BACKUP", patience); i.Priority != 100 {
		t.Errorf("A has the priority %d, want 100", i.Priority)
	}
	b.waitFor(patience, "B shows what is down at A", func(s control.Status) error {
		if p := s.Readiness.Peers[0]; !s.Readiness.Ready || p.RouterID != "lb1" || len(p.Down) != 1 || p.Down[0] != "web" {
			return fmt.Errorf("peer %+v", p)
		}
		return nil
	})
	f.Must(inside.Heal())
	a.WaitInstance("outside", "MASTER", patience)
	if i := a.Instance("outside"); i.Priority != 200 {
		t.Errorf("A has the priority %d, want 200", i.Priority)
	}

	for _, w := range web {
		w.Close()
	}
	for _, d := range []*director{a, b} {
		d.WaitService("web", "down")
		d.waitFor(patience, "it is down for both, which is held against neither", func(s control.Status) error {
			if r := s.Readiness; !r.Ready || len(r.Reasons) > 0 || len(r.Peers[0].Down) != 1 {
				return fmt.Errorf("readiness %+v", r)
			}
			return nil
		})
	}
	if i := a.WaitInstance("outside", "MASTER", patience); i.Priority != 200 {
		t.Errorf("A has the priority %d, want 200", i.Priority)
	}
}
