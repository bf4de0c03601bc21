package test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The better host starts late, leaves the lower master in peace for its preempt delay,
// and takes over then. Two missed adverts are enough to replace it.
func TestDelays(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	b := startDirector(t, p.b, "[vrrp_process]\nrt_priority = 50\n"+vrrp("VI_1", 51, 100, "192.0.2.100/24", "down_timer_adverts = 2"))
	p.onlyOn(p.b, vip, patience)
	began := time.Now()
	a := startDirector(t, p.a, "[global]\nstart_delay = \"1s\"\n"+
		vrrp("VI_1", 51, 150, "192.0.2.100/24", "down_timer_adverts = 2", `preempt_delay = "1500ms"`))
	if i := a.Instance("VI_1"); i.State == "INIT" {
		if i.Code != "start_delay" || !strings.HasPrefix(i.Reason, "waiting for the start delay, 1s left") {
			t.Errorf("A waits: %s", i.Reason)
		}
	} else if time.Since(began) < time.Second {
		t.Errorf("A is %s within its start delay", i.State)
	}
	a.WaitInstance("VI_1", "BACKUP", patience)
	p.Eventually(patience, "A counts down", func() error {
		if i := a.Instance("VI_1"); i.PreemptsAt.IsZero() || i.Master != "192.0.2.2" {
			return fmt.Errorf("%s, preempts at %v, master %q", i.State, i.PreemptsAt, i.Master)
		}
		return nil
	})
	i := a.WaitInstance("VI_1", "MASTER", patience)
	if waited := i.Since.Sub(began); waited < 2500*time.Millisecond {
		t.Errorf("A became MASTER after %v", waited)
	}
	if i.Code != "preempted" {
		t.Errorf("A is MASTER because: %s", i.Reason)
	}
	p.onlyOn(p.a, vip, patience)
	b.WaitInstance("VI_1", "BACKUP", patience)
	cut := time.Now()
	p.Must(p.a.PowerOff())
	// 2 intervals of a second and (256-100)/256 of one; with a third interval it were 3.61 s.
	i = b.WaitInstance("VI_1", "MASTER", patience)
	silence, err := time.ParseDuration(strings.TrimPrefix(i.Reason, "no advert from 192.0.2.1 for "))
	if err != nil || silence < 2600*time.Millisecond || silence > 3600*time.Millisecond+stood(cut) {
		t.Errorf("B took over: %s", i.Reason)
	}
}
