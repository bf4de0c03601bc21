package checkd

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/ipvs"
)

func TestReload(t *testing.T) {
	const start = "web: a1 b1; dns: c1"
	rename := func(c *config.Config) { c.VirtualServers[0].Name = "renamed" }
	move := func(c *config.Config) { c.VirtualServers[0].Address = configOf("mail:").VirtualServers[0].Address }
	tests := []struct {
		name  string
		to    *config.Config
		table string // at once
		ops   string
		later string // after a second
	}{
		{"nothing", configOf(start), start, "", start},
		{"a weight", configOf("web: a1 b5; dns: c1"), "web: a1 b5; dns: c1", "-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 5", "web: a1 b5; dns: c1"},
		{"a server more", configOf("web: a1 b1 e1; dns: c1"), start, "", "web: a1 b1 e1; dns: c1"},
		{"a server less", configOf("web: a1; dns: c1"), "web: a1; dns: c1", deleteB, "web: a1; dns: c1"},
		{"a server replaced", configOf("web: a1 e1; dns: c1"), "web: a1; dns: c1", deleteB, "web: a1 e1; dns: c1"},
		{"a service more", configOf("web: a1 b1; dns: c1; mail: d1"), "web: a1 b1; dns: c1; mail:", "-A -t 192.0.2.3:80 -s rr", "web: a1 b1; dns: c1; mail: d1"},
		{"a service less", configOf("web: a1 b1"), "web: a1 b1", "-D -t 192.0.2.2:80", "web: a1 b1"},
		{"other order", configOf("dns: c1; web: b1 a1"), start, "", start},
		{"renamed", configOf(start, rename), start, "", start},
		{"moved to another address, health kept", configOf(start, move), "dns: c1; mail: a1 b1",
			"-A -t 192.0.2.3:80 -s rr\n-a -t 192.0.2.3:80 -r 10.0.0.1:80 -m -w 1\n-a -t 192.0.2.3:80 -r 10.0.0.2:80 -m -w 1\n-D -t 192.0.2.1:80", "dns: c1; mail: a1 b1"},
		{"check interval", configOf(start, eachCheck(func(c *config.Check) { c.Interval = config.Duration(time.Second) })), start, "", start},
		{"check of another kind", configOf(start, eachCheck(func(c *config.Check) { c.Kind = config.CheckPing })), start, "", start},
		{"scheduler", configOf(start, func(c *config.Config) { c.VirtualServers[0].Scheduler = "wlc" }), start, "-E -t 192.0.2.1:80 -s wlc", start},
		{"all gone", configOf(""), "", "-D -t 192.0.2.1:80\n-D -t 192.0.2.2:80", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				w.run()
				w.configure(configOf(start))
				w.pass(time.Minute)
				w.kernel.Log()
				w.acks(1)
				w.events()
				w.plan(configOf("web: e1")) // which must leave no trace
				w.pass(time.Minute)
				w.ops()
				w.events()
				plan := w.plan(test.to)
				w.ops()
				if got := strings.Join(plan.IPVS, "\n"); got != test.ops || plan.Repairs != 0 {
					t.Errorf("the plan is, with %d repairs,\n%s\nwant\n%s", plan.Repairs, got, test.ops)
				}
				w.configure(test.to)
				w.table(test.table)
				w.ops(strings.Split(test.ops, "\n")...)
				w.acks(2)
				w.pass(time.Second)
				w.table(test.later)
				w.pass(time.Minute)
				w.table(test.later)
				if got := w.inquire(); got.Repairs != 0 || got.Generation != 2 {
					t.Errorf("%d repairs, generation %d", got.Repairs, got.Generation)
				}
				if err := w.stop(); err != nil {
					t.Error(err)
				}
				w.table("")
			})
		})
	}
}

// A reload looks at the kernel as it is: it puts right what somebody else has done, as
// the plan has said.
func TestReloadRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1; dns: c1", func(c *config.Config) { c.Global.ReconcileInterval = config.Duration(time.Hour) }))
		w.pass(time.Minute)
		w.kernel.ByHand(onDest(ipvs.EditDest, "dns", "c9"))
		w.kernel.Log()
		w.events()
		next := configOf("web: a1 b5; dns: c1", func(c *config.Config) { c.Global.ReconcileInterval = config.Duration(time.Hour) })
		ops := []string{"-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 5", "-e -t 192.0.2.2:80 -r 10.0.0.3:80 -m -w 1"}
		if plan := w.plan(next); strings.Join(plan.IPVS, "\n") != strings.Join(ops, "\n") || plan.Repairs != 1 {
			t.Errorf("the plan is %+v", plan)
		}
		w.configure(next)
		w.ops(ops...)
		w.table("web: a1 b5; dns: c1")
		if got := w.events(); got != "dns/c changed>repaired" {
			t.Errorf("events %q", got)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// What did not change keeps its health, its counters and its timers, to the
// moment of the next probe.
func TestReloadKeepsTimersAndCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(reload bool) (starts []time.Duration, passed uint64) {
			w := newWorld(t, "")
			w.farm.set(refused, "b")
			w.run()
			begin := time.Now()
			w.configure(configOf("web: a1 b1; dns: c1"))
			w.pass(17 * time.Second)
			if reload {
				w.configure(configOf("web: a1 b1 e1; dns: c9; mail: d1"))
			}
			w.pass(17 * time.Second)
			for _, s := range w.farm.take()["a"] {
				starts = append(starts, s.Sub(begin))
			}
			s := w.inquire().Services[0].Servers[0]
			w.kill()
			return starts, s.Checks[0].Passed
		}
		starts, passed := run(false)
		again, passedAgain := run(true)
		if len(starts) < 5 || len(starts) != len(again) || passed != passedAgain {
			t.Fatalf("%d probes and %d passed without a reload, %d and %d with", len(starts), passed, len(again), passedAgain)
		}
		for i := range starts {
			if starts[i] != again[i] {
				t.Errorf("probe %d at %s without a reload, %s with", i, starts[i], again[i])
			}
		}
	})
}

// A half counted verdict goes on counting.
func TestReloadKeepsStreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(time.Minute)
		w.farm.set(refused, "a")
		w.farm.starts("a")
		for range 14 { // a reload each second: the third failure still is the third
			w.pass(time.Second)
			w.configure(configOf("web: a1 b2"))
			w.configure(configOf("web: a1 b1"))
		}
		w.pass(time.Second)
		w.table("web: b1")
		if n := w.farm.starts("a"); n != 3 {
			t.Errorf("%d probes", n)
		}
		w.kill()
	})
}

// A reload right after the start acknowledges both generations, in order.
func TestReloadBeforeTheFirstAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.delay["a"] = time.Minute
		w.run()
		w.configure(configOf("web: a1"))
		w.configure(configOf("web: a1 b1"))
		w.acks(1, 2)
		w.kill()
	})
}

// A probe under way for a check that a reload removes is ended, and its result
// is nobody's.
func TestReloadDuringAProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.delay["a"] = 2 * time.Second
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(time.Second)
		w.configure(configOf("web: b1"))
		if now, _, _ := w.farm.load(); now != 0 {
			t.Errorf("%d probes are under way", now)
		}
		w.configure(configOf("web: a1 b1"))
		w.pass(time.Minute)
		w.table("web: a1 b1")
		if _, _, overlap := w.farm.load(); overlap {
			t.Error("a probe ran twice at the same time")
		}
		w.kill()
	})
}

// A configuration on trial that is taken back takes the end of orders back, too.
func TestTrialTakenBackKeepsOrders(t *testing.T) {
	for _, back := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			w.run()
			w.configure(configOf("web: a1 b1"))
			w.pass(time.Minute)
			w.obeys("drain web a")
			w.configure(configOf("web: b1"))
			w.pass(time.Second)
			w.gen++
			w.parent.down <- watchdog.Message{Configure: &watchdog.Configure{Generation: w.gen, Config: configOf("web: a1 b1"), Back: back}}
			w.pass(time.Second)
			if o := w.inquire().Services[0].Servers[0].Override; (o != nil) != back {
				t.Errorf("taken back %v: the order is %+v", back, o)
			}
			if err := w.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A reload that replaces all servers of a virtual server is no outage and no alarm: the
// former ones serve until those in their place have a verdict.
func TestReloadThatReplacesAllServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.delay["c"], w.farm.delay["d"] = 2*time.Second, 3*time.Second
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(time.Minute)
		w.events()
		others := configOf("web: c1 d1")
		for i := range others.VirtualServers[0].RealServers {
			others.VirtualServers[0].RealServers[i].Alpha = true
		}
		if got := strings.Join(w.plan(others).Joining, "; "); !strings.HasSuffix(got, "; -d -t 192.0.2.1:80 -r 10.0.0.1:80; -d -t 192.0.2.1:80 -r 10.0.0.2:80") {
			t.Errorf("the plan: %s", got)
		}
		w.kernel.Log()
		w.configure(others)
		w.pass(time.Second)
		w.table("web: a1 b1")
		w.ops()
		s := w.inquire()
		if v := s.Services[0]; v.State != "up" || len(v.Leaving) != 2 || !v.Leaving[0].Serves || v.Leaving[0].KernelWeight != 1 || v.Leaving[0].Deadline.IsZero() {
			t.Errorf("status %+v", v)
		}
		if got := w.events(); got != "web/a listed>leaving, web/b listed>leaving" {
			t.Errorf("events %s", got)
		}
		w.kill() // a new process goes on
		w.run()
		w.configure(others, s)
		w.pass(time.Second)
		w.table("web: a1 b1")
		w.pass(10 * time.Second)
		w.table("web: c1 d1")
		if got := w.events(); got != "web/a leaving>gone, web/b leaving>gone, web/c unknown>up, web/d unknown>up" {
			t.Errorf("events %s", got)
		}
		if f, err := readMaintenance(w.dir); err != nil || len(f.Leaving) > 0 {
			t.Errorf("the record lists %+v, %v", f.Leaving, err)
		}

		// At another address they have never served.
		elsewhere := configOf("web: a1")
		elsewhere.VirtualServers[0].Address = netip.MustParseAddrPort(vips["mail"])
		w.farm.delay["a"] = 2 * time.Second
		w.configure(elsewhere)
		w.pass(time.Second)
		w.table("mail:")
		w.pass(10 * time.Second)
		w.table("mail: a1")
		w.kill()
	})
}
