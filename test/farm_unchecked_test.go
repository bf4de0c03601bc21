package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"director/internal/control"
)

// testUnchecked takes from a director the address that its checks are made from: the servers stay as they are, an alarm says
// that nobody would notice their death, neither a new process nor a restart tells it again, and it ends by itself.
func testUnchecked(t *testing.T) {
	f := newFarm(t, 1, 1)
	f.webServers(f.servers...)
	h, source := f.directors[0], netip.MustParsePrefix("10.0.0.99/24")
	f.Must(h.AddAddr("eth1", source))
	conf := `
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
real_server = [{ name = "s1", address = "10.0.0.11:80" }]
check = { type = "tcp", interval = "200ms", timeout = "1s", bind_address = "10.0.0.99" }
`
	d := startDirector(t, h, conf)
	d.WaitServer("web", "s1", "up")
	f.Must(h.DelAddr("eth1", source))
	wanted := func(s control.Status) error {
		web, err := findService(s, "web")
		if r := &web.Servers[0]; err == nil && (web.NoVerdict == nil || r.Health != "up" || !r.Installed || r.Unchecked.IsZero() || !strings.Contains(r.Obstacle, "cannot assign requested address")) {
			err = fmt.Errorf("%+v", web)
		}
		return err
	}
	d.waitFor(patience, "the alarm", wanted)
	out, _ := d.CLI("status")
	for _, want := range []string{"NOT WELL: checks of virtual server web cannot be made", "unchecked for "} {
		if !strings.Contains(out, want) {
			t.Errorf("status does not say %q:\n%s", want, out)
		}
	}
	pid := d.Kill("checkers")
	d.WaitRespawn("checkers", pid, patience)
	d.waitFor(patience, "the alarm is known to the next process", wanted)
	alarms := func(want int) {
		t.Helper()
		out, err := d.CLI("events", "--kind", "alarm")
		f.Must(err)
		if n := strings.Count(out, "no_verdict"); n != want {
			t.Errorf("%d events of the alarm, want %d:\n%s", n, want, out)
		}
	}
	alarms(1)
	d.Stop()
	d = startDirector(t, h, conf)
	d.waitFor(patience, "the alarm outlives the daemon", func(s control.Status) error {
		web, err := findService(s, "web")
		if err == nil && (web.NoVerdict == nil || web.Servers[0].Unchecked.IsZero()) {
			err = fmt.Errorf("%+v", web)
		}
		return err
	})
	alarms(1) // the journal outlives it as well
	f.Must(h.AddAddr("eth1", source))
	d.waitFor(patience, "it is over", func(s control.Status) error {
		web, err := findService(s, "web")
		if err == nil && (web.NoVerdict != nil || web.Servers[0].Health != "up" || !web.Servers[0].Unchecked.IsZero()) {
			err = fmt.Errorf("%+v", web)
		}
		return err
	})
	alarms(2)
}
