package test

import (
	"fmt"
	"strings"
	"testing"

	"director/internal/control"
)

// A better host that could not serve steps back behind the other one, both say so, and it comes back when it is mended.
func TestReadiness(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(own, other int, priority int, more string) string {
		return fmt.Sprintf("[global]\nrouter_id = \"lb%d\"\n[readiness]\nweight = -150\ndelay = \"200ms\"\ndoctor_interval = \"10s\"\ninterval = \"200ms\"\n"+
			"listen = \"192.0.2.%[1]d:8849\"\npeer = [\"192.0.2.%[2]d:8849\"]\nkey = \"0123456789abcdef0123456789abcdef\"\n", own, other) +
			vrrp("VI", 51, priority, "192.0.2.100/24", more)
	}
	// A rival of the second host, for doctor to find.
	rival, err := p.b.WriteFile("keepalived", "")
	p.Must(err)
	_, err = p.b.Run("cp", "/bin/sleep", rival)
	p.Must(err)
	_, err = p.b.Run("chmod", "755", rival)
	p.Must(err)
	sleeping, err := p.b.Start("keepalived", rival, "600")
	p.Must(err)

	a := startDirector(t, p.a, conf(1, 2, 100, ""))
	b := startDirector(t, p.b, conf(2, 1, 200, ""))
	b.WaitAlarmEvent("not_ready", "rival")
	a.WaitInstance("VI", "MASTER", patience)
	if i := b.WaitInstance("VI", "BACKUP", patience); i.Priority != 50 {
		t.Errorf("B has the priority %d", i.Priority)
	}
	a.waitFor(patience, "A shows that B is not ready", func(s control.Status) error {
		r := s.Readiness
		if r == nil || !r.Ready || len(r.Differs) > 0 || len(r.Peers) != 1 {
			return fmt.Errorf("readiness %+v", r)
		}
		if q := r.Peers[0]; !q.Fresh || q.Ready || q.RouterID != "lb2" || !strings.Contains(strings.Join(q.Broken, " "), "rival") {
			return fmt.Errorf("peer %+v", q)
		}
		return nil
	})
	text, err := a.CLI("status")
	if err != nil || !strings.Contains(text, "lb2 192.0.2.2:8849") || !strings.Contains(text, "not ready") {
		t.Errorf("status (%v):\n%s", err, text)
	}
	// The files differ: both say so, and nobody moves.
	a.WriteConfig(conf(1, 2, 100, "down_timer_adverts = 5\n"))
	if out, err := a.CLI("reload"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a.WaitAlarmEvent("config_differs", "vrrp_instance")
	b.WaitAlarmEvent("config_differs", "vrrp_instance")
	// The rival goes, and the better host comes back at doctor's next visit.
	sleeping.Kill()
	b.WaitInstance("VI", "MASTER", patience)
	a.WaitInstance("VI", "BACKUP", patience)
	if i := b.Instance("VI"); i.Priority != 200 {
		t.Errorf("B has the priority %d", i.Priority)
	}
}

// WaitAlarmEvent waits until an alarm of readiness was raised for a reason.
func (d *director) WaitAlarmEvent(code, reason string) {
	d.t.Helper()
	d.waitFor(patience, code+" is raised", func(control.Status) error {
		out, err := d.CLI("events", "--json")
		if err != nil {
			return err
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, `"`+code+`"`) && strings.Contains(line, "raised") && strings.Contains(line, reason) {
				return nil
			}
		}
		return fmt.Errorf("events:\n%s", out)
	})
}
