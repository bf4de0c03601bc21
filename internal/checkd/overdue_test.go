package checkd

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
)

var cannot = probe.Result{Reason: probe.Local, Detail: "bind to 10.9.9.9: cannot assign requested address"}

// alarms takes the alarms since the last time, as "web raised: no verdict ...".
func (w *world) alarms() string {
	var list []string
	for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Event != nil && m.Event.Kind == control.KindAlarm }) {
		list = append(list, m.Event.Subject+" "+m.Event.To+" "+m.Event.Code+": "+m.Event.Reason)
	}
	return strings.Join(list, "\n")
}

// Probes that cannot be made leave no pool undecided for ever: after a while its servers
// count as not well, a sorry server answers, and an alarm tells the cause. A new process
// goes on with that, and the first verdicts end it.
func TestProbesThatCannotBeMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.farm.set(cannot, "a", "b")
		cfg := configOf("web: a1 b1; dns: c1", sorry("d"))
		w.configure(cfg)
		w.pass(15 * time.Second) // less than rise x (interval + timeout)
		w.table("web:; dns: c1")
		if got := w.events(); strings.Contains(got, "web ") {
			t.Errorf("events %s", got)
		}
		w.pass(2 * time.Second)
		w.table("web: d1; dns: c1")
		if got := w.alarms(); got != "web raised no_verdict: no verdict after 16s about a, b, tcp 10.0.0.1:80: local failure: bind to 10.9.9.9: cannot assign requested address" {
			t.Errorf("alarms %s", got)
		}
		if got := w.events(); got != "web unknown>sorry" {
			t.Errorf("events %s", got)
		}
		s := w.inquire()
		if v := s.Services[0]; v.NoVerdict == nil || v.State != "sorry" || v.Servers[0].Health != "unknown" || !strings.HasPrefix(v.Servers[0].Reason, "no verdict: tcp 10.0.0.1:80: local failure") {
			t.Errorf("status %+v", v)
		}
		if n := w.farm.starts("a"); n > 12 {
			t.Errorf("%d tries in 17 s", n)
		}
		w.kill()
		w.run()
		w.configure(cfg, s)
		w.pass(time.Minute)
		w.table("web: d1; dns: c1")
		if got := w.events(); got != "" {
			t.Errorf("a new process tells %s", got)
		}
		w.farm.set(healthy, "a", "b")
		w.pass(10 * time.Second)
		w.table("web: a1 b1; dns: c1")
		if got := w.alarms(); !strings.HasPrefix(got, "web clear no_verdict: ") {
			t.Errorf("alarms %s", got)
		}
		if w.inquire().Services[0].NoVerdict != nil {
			t.Error("the alarm stands in the status")
		}

		// One that serves goes on, and it is known who stopped being watched.
		w.farm.set(cannot, "a", "b")
		w.pass(time.Minute)
		w.table("web: a1 b1; dns: c1")
		w.events()
		w.farm.set(cannot, "e")
		w.configure(configOf("web: a1 b1 e1; dns: c1", sorry("d")))
		w.pass(time.Minute)
		w.table("web: a1 b1; dns: c1")
		if got := w.alarms(); !strings.HasPrefix(got, "web raised no_verdict: no verdict after 16s about e, ") {
			t.Errorf("alarms %s", got)
		}
		w.obeys("maintain web e") // whoever is out of service needs no verdict
		if got := w.alarms(); !strings.HasPrefix(got, "web clear no_verdict: ") {
			t.Errorf("alarms %s", got)
		}
		w.obeys("ready web e")
		w.alarms()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if got := w.alarms(); got != "web clear no_verdict: director stops" {
			t.Errorf("at the stop: %s", got)
		}
	})
}

// With a panic guard, servers of which nothing bad is known serve before those that are
// down, when the start finds no verdict about them.
func TestGuardWithoutVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.farm.set(refused, "a", "b")
		w.farm.set(cannot, "c", "d")
		w.configure(configOf("web: a1 b1 c1 d1", func(c *config.Config) { c.VirtualServers[0].PanicThreshold = "75%" }))
		w.pass(10 * time.Second)
		w.table("web: a1") // c and d may still come
		w.pass(10 * time.Second)
		w.table("web: a1 c1 d1")
		w.farm.set(healthy, "b", "c", "d")
		w.pass(time.Minute)
		w.table("web: b1 c1 d1")
		w.kill()
	})
}

// Servers that serve on trust, or did before this process began, stay.
func TestTrustedServersWithoutVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1")
		w.run()
		w.farm.set(cannot, "a", "b")
		w.configure(configOf("web: a1; dns: b1", func(c *config.Config) { c.VirtualServers[1].RealServers[0].Alpha = false }))
		w.pass(10 * time.Minute)
		w.table("web: a1; dns: b1")
		if got := w.alarms(); strings.Count(got, "raised no_verdict") != 2 {
			t.Errorf("alarms %s", got)
		}
		if n := w.farm.starts("b"); n > 125 {
			t.Errorf("%d tries in ten minutes", n)
		}
		w.kill()
	})
}
