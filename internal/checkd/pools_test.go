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
	"director/ipvs"
)

// eachServer changes every virtual server.
func eachServer(f func(*config.VirtualServer)) func(*config.Config) {
	return func(c *config.Config) {
		for i := range c.VirtualServers {
			f(&c.VirtualServers[i])
		}
	}
}

// Sorry servers by preference: one that is checked, and the next one while it is down.
// A check that a real server has as well is made once for both.
func TestSorryServersInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		cfg := configOf("web: a1; dns: s1", sorry("s"), sorry("t"), func(c *config.Config) {
			v := &c.VirtualServers[0]
			v.SorryServers[0].Checks = v.RealServers[0].Checks
		})
		w.configure(cfg)
		w.pass(time.Minute)
		w.table("web: a1; dns: s1")
		w.farm.take()
		w.pass(time.Minute)
		if n := w.farm.starts("s"); n != 12 {
			t.Errorf("the server of one pool that is the sorry server of another was probed %d times in a minute, every 5s", n)
		}
		w.events()
		w.farm.set(refused, "a")
		w.pass(20 * time.Second)
		w.table("web: s1; dns: s1")
		w.farm.set(refused, "s")
		w.pass(20 * time.Second)
		w.table("web: t1; dns:")
		if got := w.events(); got != "web/a up>down, web up>sorry, dns/s up>down, dns up>down, web/s up>down, web sorry>sorry" && got != "web/a up>down, web up>sorry, web/s up>down, web sorry>sorry, dns/s up>down, dns up>down" {
			t.Errorf("events %q", got)
		}
		list := w.inquire().Services[0].SorryServers
		if list[0].Name != "s" || list[0].Health != "down" || list[0].Installed || list[1].Health != "up" || !list[1].Installed || len(list[0].Checks) != 1 {
			t.Errorf("status %+v", list)
		}
		// The next process goes on with the same, and says nothing.
		last := w.inquire()
		w.kill()
		w.run()
		w.configure(cfg, last)
		w.table("web: t1; dns:")
		if got := w.events(); got != "" {
			t.Errorf("events %q", got)
		}
		w.farm.set(healthy, "s")
		w.pass(20 * time.Second)
		w.table("web: s1; dns: s1")
		w.kill()
	})
}

func TestRampUpInTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		cfg := configOf("web: a9 b9", eachServer(func(v *config.VirtualServer) { v.RealServers[0].RampUp = config.Duration(100 * time.Second) }))
		w.configure(cfg)
		w.pass(time.Second)
		w.table("web: a9 b9") // nobody ramps at the beginning
		w.farm.set(refused, "a")
		w.pass(20 * time.Second)
		w.table("web: b9")
		w.events()
		w.farm.set(healthy, "a")
		for range 100 {
			w.pass(100 * time.Millisecond)
			if tableText(w.kernel.Table()) == "web: a1 b9" {
				break
			}
		}
		w.table("web: a1 b9") // 10% of 9, rounded up
		if got := w.events(); got != "web/a down>up, web/a up>up" || !strings.HasPrefix(w.reasons[1], "ramp up began: 1 of 9, the whole in 1m40s") {
			t.Errorf("events %q, %q", got, w.reasons)
		}
		w.pass(30 * time.Second)
		w.table("web: a4 b9") // 37%
		if r := w.inquire().Services[0].Servers[0]; r.RampUp == nil || r.RampUp.Weight != 4 || r.EffectiveWeight != 9 || r.KernelWeight != 4 {
			t.Errorf("status %+v", r)
		}
		w.configure(cfg) // a reload
		w.table("web: a4 b9")
		last := w.inquire()
		w.kill()
		w.run()
		w.configure(cfg, last)
		w.table("web: a4 b9")
		w.events()
		w.pass(60 * time.Second)
		w.table("web: a9 b9") // 91%, rounded up
		w.pass(10 * time.Second)
		if got := w.events(); got != "web/a up>up" || w.reasons[0] != "ramp up ended: the whole weight of 9" {
			t.Errorf("events %q, %q", got, w.reasons)
		}
		if r := w.inquire().Services[0].Servers[0]; r.RampUp != nil {
			t.Errorf("it still ramps: %+v", r.RampUp)
		}
		w.kill()
	})
}

func TestPanicGuardInTheTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		guarded := configOf("web: a1 b1 c1 d1", eachServer(func(v *config.VirtualServer) { v.PanicThreshold = "50%" }))
		alarms := func() (list []control.Event) {
			for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Event != nil && m.Event.Kind == control.KindAlarm }) {
				list = append(list, *m.Event)
			}
			return list
		}
		w.configure(guarded)
		w.pass(time.Minute)
		w.farm.set(refused, "d")
		w.pass(time.Minute)
		w.farm.set(refused, "a")
		w.pass(time.Minute)
		w.table("web: b1 c1")
		if list := alarms(); len(list) != 0 {
			t.Errorf("alarms %+v", list)
		}
		w.farm.set(refused, "b")
		w.pass(time.Minute)
		w.table("web: b1 c1")
		list := alarms()
		if len(list) != 1 || list[0].Subject != "web" || list[0].To != "raised" || list[0].Code != "panic_guard" || list[0].Alarm.Service != "web" ||
			list[0].Reason != "healthy weight 1 of 4 is less than the 50% that have to stay; in service although down: b" {
			t.Fatalf("alarms %+v", list)
		}
		raised := list[0].Alarm.Since
		s := w.inquire().Services[0]
		if g := s.PanicGuard; g == nil || *g != (control.PanicGuard{Threshold: 50, Needs: 2, Of: 4, Blocking: true, Since: raised}) || !s.Servers[1].Kept || s.Servers[0].Kept || s.Servers[1].Health != "down" {
			t.Errorf("status %+v, servers %+v", s.PanicGuard, s.Servers)
		}

		// A new process, with memory and without, leaves it so; the first says nothing.
		last := w.inquire()
		w.kill()
		w.run()
		w.configure(guarded, last)
		w.pass(time.Minute)
		w.table("web: b1 c1")
		if list := alarms(); len(list) != 0 {
			t.Errorf("alarms %+v", list)
		}
		if g := w.inquire().Services[0].PanicGuard; !g.Since.Equal(raised) {
			t.Errorf("since %v, raised %v", g.Since, raised)
		}
		w.farm.set(healthy, "a")
		w.pass(time.Minute)
		w.table("web: a1 c1")
		if list = alarms(); len(list) != 1 || list[0].To != "clear" || list[0].From != "raised" || !list[0].Alarm.Since.Equal(raised) {
			t.Errorf("alarms %+v", list)
		}
		w.farm.set(refused, "a", "c")
		w.pass(time.Minute)
		w.kill()
		w.run()
		w.configure(guarded)
		w.table("web: a1 c1")
		w.pass(time.Minute)
		if got := tableText(w.kernel.Table()); len(strings.Fields(got)) != 3 {
			t.Errorf("table %q, want two servers", got)
		}
		if state := w.inquire().Services[0].State; state != "down" {
			t.Errorf("the pool is %s", state)
		}
		// Its end: by a reload, with the service, and with the daemon.
		alarms()
		w.configure(configOf("web: a1 b1 c1 d1"))
		w.table("web:")
		if list = alarms(); len(list) != 1 || list[0].Reason != "there is no panic_threshold any more" {
			t.Errorf("alarms %+v", list)
		}
		w.configure(guarded)
		w.configure(configOf("dns: e1"))
		w.configure(guarded)
		w.pass(time.Minute)
		alarms()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		if list = alarms(); len(list) != 1 || list[0].To != "clear" || list[0].Reason != "director stops" {
			t.Errorf("alarms %+v", list)
		}
	})
}

// A certificate that ends soon is told of once, whatever the number of checks, servers
// and processes that see it, and once that it is renewed.
func TestCertificateAlarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		cfg := configOf("web: a1 b1 c1; dns: d1", eachCheck(func(c *config.Check) { c.ExpiryDays, c.Interval = 14, config.Duration(20*time.Second) }))
		const day = 24 * time.Hour
		begin := time.Now()
		shows := func(days int) probe.Result {
			r := healthy
			r.Expires = begin.Add(time.Duration(days)*day + time.Hour)
			return r
		}
		alarms := func() string {
			var list []string
			for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Event != nil && m.Event.Kind == control.KindAlarm }) {
				e := m.Event
				if e.Code != "certificate_ends" || e.Alarm.Code != e.Code || e.Alarm.Service != e.Subject || e.Alarm.Level != control.LevelAlarm || e.Alarm.Since.IsZero() {
					t.Errorf("event %+v, alarm %+v", e, e.Alarm)
				}
				list = append(list, e.Subject+" "+e.To+": "+e.Reason)
			}
			return strings.Join(list, "\n")
		}
		expect := func(what, want string) {
			t.Helper()
			if got := alarms(); got != want {
				t.Errorf("%s: alarms\n%s\nwant\n%s", what, got, want)
			}
		}
		w.farm.set(shows(15), "a", "b")
		w.farm.set(shows(100), "c", "d")
		w.configure(cfg)
		w.pass(10 * time.Minute)
		expect("in 15 days", "")
		w.pass(day + time.Hour)
		end := begin.Add(15*day + time.Hour).UTC().Format("2006-01-02 15:04 UTC")
		expect("in 14 days", "web raised: a certificate of a ends on "+end+" (tcp 10.0.0.1:80); 1 more check warns as well")
		s := w.inquire().Services[0]
		if s.Expiring == nil {
			t.Fatalf("status %+v", s)
		}
		if !s.Expiring.At.Equal(shows(15).Expires) || !s.Servers[2].Checks[0].Expires.Equal(shows(100).Expires) {
			t.Errorf("status %+v, %+v", s.Expiring, s.Servers[2].Checks)
		}
		raised := s.Expiring.Since

		// A server that is down has not renewed its certificate, and neither a reload nor
		// another process is a reason to tell it again.
		w.farm.set(refused, "a")
		w.pass(time.Minute)
		w.configure(cfg)
		last := w.inquire()
		w.kill()
		w.run()
		w.configure(cfg, last)
		w.pass(time.Minute)
		expect("nothing new", "")
		if s := w.inquire().Services[0]; s.Expiring == nil || !s.Expiring.Since.Equal(raised) {
			t.Errorf("status %+v, raised %v", s.Expiring, raised)
		}

		// One ends sooner; when it is renewed, the next one is told.
		w.farm.set(shows(3), "c")
		w.pass(time.Minute)
		sooner := begin.Add(3*day + time.Hour).UTC().Format("2006-01-02 15:04 UTC")
		expect("sooner", "web raised: a certificate of c ends on "+sooner+" (tcp 10.0.0.3:80); 2 more checks warn as well")
		w.pass(3 * day)
		expect("it has ended", "")
		w.farm.set(shows(400), "c")
		w.pass(time.Minute)
		expect("renewed", "web raised: a certificate of a ends on "+end+" (tcp 10.0.0.1:80); 1 more check warns as well")
		w.farm.set(shows(400), "a")
		w.pass(time.Minute)
		expect("one of two", "")
		w.farm.set(shows(400), "b")
		w.pass(time.Minute)
		expect("both", "web clear: no check warns of a certificate any more")
		if s := w.inquire().Services[0]; s.Expiring != nil {
			t.Errorf("status %+v", s.Expiring)
		}

		// expiry_warning_days changes, the service goes, and director stops.
		w.configure(configOf("web: a1 b1 c1; dns: d1", eachCheck(func(c *config.Check) { c.ExpiryDays = 2000 })))
		if got := alarms(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "dns raised: a certificate of d ends") {
			t.Errorf("alarms %s", got)
		}
		w.configure(configOf("web: a1 b1 c1", eachCheck(func(c *config.Check) { c.ExpiryDays = 2000 })))
		expect("no dns", "dns clear: the virtual server is no more")
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		expect("the stop", "")
	})
}

// Changes of state tell how many real servers are up.
func TestChangesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1 c1", sorry("s")))
		w.pass(time.Minute)
		w.farm.set(refused, "b")
		w.pass(time.Minute)
		w.farm.set(refused, "a", "c")
		w.pass(time.Minute)
		counts := map[string]control.Pool{}
		for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Event != nil }) {
			if e := m.Event; e.Pool == nil {
				t.Errorf("%s %s>%s has no counts", e.Subject, e.From, e.To)
			} else {
				counts[e.Subject+" "+e.To] = *e.Pool
			}
		}
		if counts["web/b down"] != (control.Pool{Up: 2, Total: 3}) || counts["web sorry"] != (control.Pool{Up: 0, Total: 3}) || counts["web up"].Total != 3 {
			t.Errorf("counts %v", counts)
		}
		w.kill()
	})
}

// The stop of director with omega.
func TestOmega(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*config.Config)
		want   string
	}{
		"off":       {func(*config.Config) {}, ""},
		"on":        {eachServer(func(v *config.VirtualServer) { v.Omega = true }), "web/a up>down, web up>down"},
		"kept":      {func(c *config.Config) { c.VirtualServers[0].Omega, c.Global.KeepIPVSOnStop = true, true }, ""},
		"no quorum": {func(c *config.Config) { c.VirtualServers[0].Omega, c.VirtualServers[0].Quorum = true, 2 }, "web/a up>down"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				w.run()
				w.farm.set(refused, "b")
				w.configure(configOf("web: a1 b1", test.change))
				w.pass(time.Minute)
				w.events()
				if err := w.stop(); err != nil {
					t.Error(err)
				}
				if got := w.events(); got != test.want || got != "" && !strings.Contains(strings.Join(w.reasons, ""), "director stops") {
					t.Errorf("events %q for %q, want %q", got, w.reasons, test.want)
				}
			})
		})
	}
}

// A new server without alpha serves at once, and goes when it is proven dead, quickly.
func TestWithoutAlpha(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.farm.set(refused, "b")
		trusting := func(text string) *config.Config {
			return configOf(text, eachServer(func(v *config.VirtualServer) {
				for i := range v.RealServers {
					v.RealServers[i].Alpha = false
				}
			}))
		}
		w.farm.delay["a"], w.farm.delay["b"] = 50*time.Millisecond, 50*time.Millisecond
		w.configure(trusting("web: a1 b1"))
		w.table("web: a1 b1")
		w.pass(time.Second)
		w.table("web: a1")
		if got := w.events(); got != "web/a unknown>up, web unknown>up, web/b unknown>down" {
			t.Errorf("events %q", got)
		}
		w.kill()
		w.run()
		w.configure(trusting("web: a1 b1"))
		w.table("web: a1")
		w.kill()
	})
}

func (w *world) role(state string) {
	w.parent.down <- watchdog.Message{Roles: &watchdog.Roles{States: map[string]string{"lan": state}}}
	synctest.Wait()
}

// A service with active_with is in the table while the instance is MASTER, its servers
// are checked all the time, and no new process changes anything by itself.
func TestActiveWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		cfg := configOf("web: a1 b1; dns: c1", func(c *config.Config) { c.VirtualServers[0].ActiveWith = "lan" })
		w.run()
		w.configure(cfg)
		w.pass(time.Second)
		w.table("dns: c1")
		w.acks(1)
		if s := w.inquire().Services[0]; !s.Standby || s.ActiveWith != "lan" || s.State != "up" || s.Installed {
			t.Errorf("status %+v", s)
		}
		w.farm.set(refused, "b")
		w.pass(time.Minute)
		w.role("INIT")
		w.table("dns: c1")
		w.events()
		w.role("MASTER")
		w.table("web: a1; dns: c1")
		if !strings.Contains(w.log.String(), "virtual servers follow the instance") {
			t.Errorf("log %s", w.log.String())
		}
		if s := w.inquire().Services[0]; s.Standby || !s.Installed {
			t.Errorf("status %+v", s)
		}
		// Neither a new checker process nor a new VRRP process makes it go.
		w.kernel.Log() // what it was told so far
		last := w.inquire()
		w.kill()
		w.run()
		w.configure(cfg, last)
		w.table("web: a1; dns: c1")
		w.role("INIT")
		w.pass(time.Minute)
		w.role("MASTER")
		w.role("STOP")
		w.ops()
		w.role("BACKUP")
		w.table("dns: c1")
		// On standby a new process knows what the former one knew.
		w.farm.set(refused, "a")
		w.farm.set(healthy, "b")
		w.pass(time.Minute)
		last = w.inquire()
		w.kill()
		w.events()
		w.run()
		w.farm.set(nofiles, "a", "b") // and needs no probe for it
		w.configure(cfg, last)
		w.role("MASTER")
		w.table("web: b1; dns: c1")
		if got := w.events(); got != "" {
			t.Errorf("events %q", got)
		}
		w.role("FAULT")
		w.table("dns: c1")
		// A service that somebody else makes meanwhile is removed.
		w.kernel.ByHand(onDest(ipvs.AddService, "web", "a1"))
		w.pass(time.Minute)
		w.table("dns: c1")
		// By a reload, either way.
		w.configure(configOf("web: a1 b1; dns: c1"))
		w.table("web: b1; dns: c1")
		w.configure(cfg)
		w.table("dns: c1")
		w.kill()
	})
	synctest.Test(t, func(t *testing.T) {
		// A table that a former daemon left stays until the role is known.
		w := newWorld(t, "web: a1")
		if err := writeRecord(w.dir, ipvs.Set{key("web"): {}}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.configure(configOf("web: a1", func(c *config.Config) { c.VirtualServers[0].ActiveWith = "lan" }))
		w.pass(time.Minute)
		w.table("web: a1")
		w.role("BACKUP")
		w.table("")
		w.kill()
	})
}

// A step of a ramp is made in time, whether or not a probe is due.
func TestRampWakesTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		hourly := eachCheck(func(c *config.Check) {
			c.Interval, c.IntervalDown, c.Rise, c.Fall = config.Duration(time.Hour), config.Duration(time.Second), 1, 1
		})
		quiet := func(c *config.Config) { c.Global.ReconcileInterval = config.Duration(time.Hour) }
		w.configure(configOf("web: a9 b9", hourly, quiet, eachServer(func(v *config.VirtualServer) { v.RealServers[0].RampUp = config.Duration(10 * time.Second) })))
		w.pass(time.Second)
		w.farm.set(refused, "a")
		w.pass(2 * time.Hour)
		w.farm.set(healthy, "a")
		w.pass(1500 * time.Millisecond) // it is probed once a second
		w.pass(4 * time.Second)
		if got := tableText(w.kernel.Table()); got != "web: a5 b9" && got != "web: a6 b9" { // 46% or 55%
			t.Errorf("table %q", got)
		}
		w.pass(6 * time.Second)
		w.table("web: a9 b9")
		w.kill()
	})
}
