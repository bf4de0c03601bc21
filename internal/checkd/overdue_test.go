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

		// One that serves goes on with the verdict it has, and it is known who stopped
		// being watched, since when and why.
		since := time.Now()
		w.farm.set(cannot, "a", "b")
		w.pass(15 * time.Second)
		if got := w.alarms(); got != "" {
			t.Errorf("alarms %s", got)
		}
		w.pass(time.Minute)
		w.table("web: a1 b1; dns: c1")
		got := w.alarms()
		if !strings.HasPrefix(got, "web raised no_verdict: nobody would notice the death of a, b, unchecked since ") && !strings.HasPrefix(got, "web raised no_verdict: nobody would notice the death of a, unchecked since ") ||
			!strings.HasSuffix(got, " UTC: tcp 10.0.0.1:80: local failure: bind to 10.9.9.9: cannot assign requested address") {
			t.Errorf("alarms %s", got)
		}
		s = w.inquire()
		for _, r := range s.Services[0].Servers {
			if r.Health != "up" || !r.Installed || r.Unchecked.Before(since) || r.Unchecked.Sub(since) > 5*time.Second || !strings.HasSuffix(r.Obstacle, "cannot assign requested address") ||
				!r.Checks[0].Unchecked.Equal(r.Unchecked) {
				t.Errorf("status %+v", r)
			}
		}

		// Neither another process nor a restart of director makes that news.
		for _, last := range [][]*control.Checkers{{s}, nil} {
			w.kill()
			w.run()
			w.configure(cfg, last...)
			w.pass(time.Minute)
			if got := w.alarms(); got != "" {
				t.Errorf("another process tells %s", got)
			}
			w.table("web: a1 b1; dns: c1")
		}

		// Whoever is out of service needs no verdict, and one of several is not enough.
		w.obeys("maintain web b")
		w.farm.set(healthy, "a")
		w.pass(10 * time.Second)
		if got := w.alarms(); !strings.HasPrefix(got, "web clear no_verdict: ") {
			t.Errorf("alarms %s", got)
		}
		if s := w.inquire().Services[0]; s.NoVerdict != nil || !s.Servers[0].Unchecked.IsZero() || !s.Servers[1].Unchecked.IsZero() {
			t.Errorf("status %+v", s)
		}
		w.obeys("ready web b")
		if got := w.alarms(); !strings.HasPrefix(got, "web raised no_verdict: ") {
			t.Errorf("alarms %s", got)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if got := w.alarms(); got != "" {
			t.Errorf("at the stop: %s", got)
		}

		// Mended while director did not run, it is over with the first verdicts.
		w.farm.set(healthy, "b")
		w.run()
		w.configure(cfg)
		w.pass(10 * time.Second)
		if got := w.alarms(); !strings.HasPrefix(got, "web clear no_verdict: ") {
			t.Errorf("alarms %s", got)
		}
		w.kill()
	})
}

// A check that says nothing on purpose, such as one of a BFD session that its neighbour
// has shut down, is not missed.
func TestVerdictsWithheld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(10 * time.Second)
		w.farm.set(probe.Result{Reason: probe.Withheld, Detail: "the session is down by order"}, "a")
		w.pass(10 * time.Minute)
		if got := w.alarms(); got != "" {
			t.Errorf("alarms %s", got)
		}
		w.kill()
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
