package checkd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/ipvs"
)

// Two services with the same servers and the same checks: each server is asked
// once, and both services hear of it.
func TestIdenticalProbesAreMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1; dns: a1 b1; mail: a1"))
		w.pass(quick)
		w.table("web: a1 b1; dns: a1 b1; mail: a1")
		if n := w.farm.starts("a"); n != 2 {
			t.Errorf("%d probes for a rise of 2", n)
		}
		w.pass(20 * time.Second)
		w.farm.starts("a")
		w.pass(50 * time.Second)
		if n := w.farm.starts("a"); n != 10 {
			t.Errorf("%d probes in 50 s", n)
		}
		w.farm.set(refused, "a")
		w.pass(20 * time.Second)
		w.table("web: b1; dns: b1; mail:")
		w.kill()
	})
}

// Of two users of one probe, one may go.
func TestSharedProbeOutlivesAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1; dns: a1"))
		w.pass(time.Minute)
		w.configure(configOf("dns: a1"))
		w.farm.set(refused, "a")
		w.pass(20 * time.Second)
		w.table("dns:")
		w.configure(configOf("dns: b1"))
		w.farm.starts("a")
		w.pass(time.Minute)
		if n := w.farm.starts("a"); n != 0 {
			t.Errorf("%d probes of a server that nobody has", n)
		}
		w.kill()
	})
}

// A new service over a known server gets its verdict quickly, not at the
// known one's next interval.
func TestNewUserOfARunningProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		slow := eachCheck(func(c *config.Check) { c.Interval = config.Duration(time.Hour) })
		w.configure(configOf("web: a1", slow))
		w.pass(2 * time.Hour)
		w.configure(configOf("web: a1; dns: a1", slow))
		w.pass(quick)
		w.table("web: a1; dns: a1")
		w.kill()
	})
}

func TestProbesNeverOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.delay["a"] = 700 * time.Millisecond
		w.run()
		w.configure(configOf("web: a1", eachCheck(func(c *config.Check) { c.Interval = config.Duration(100 * time.Millisecond) })))
		w.pass(7 * time.Second)
		if _, _, overlap := w.farm.load(); overlap {
			t.Error("a probe ran twice at the same time")
		}
		if n := w.farm.starts("a"); n != 11 {
			t.Errorf("%d probes of 0.7 s in 7 s", n) // the eleventh has just begun
		}
		w.table("web: a1")
		w.kill()
	})
}

// The interval counts from start to start, however long the answer takes.
func TestIntervalIsStartToStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1")
		w.farm.delay["a"] = 1300 * time.Millisecond
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(time.Minute)
		starts := w.farm.take()["a"]
		if len(starts) < 10 {
			t.Fatalf("%d probes", len(starts))
		}
		for i := 1; i < len(starts); i++ {
			if d := starts[i].Sub(starts[i-1]); d != 5*time.Second {
				t.Errorf("%s between probes %d and %d", d, i-1, i)
			}
		}
		w.kill()
	})
}

// farmOf is a configuration with n servers in one service.
func farmOf(n int) *config.Config {
	c := configOf("web: a1")
	rs := c.VirtualServers[0].RealServers[0]
	c.VirtualServers[0].RealServers = nil
	for i := range n {
		rs.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 8080)
		rs.Name = rs.Address.String()
		c.VirtualServers[0].RealServers = append(c.VirtualServers[0].RealServers, rs)
	}
	return c
}

// Servers that were found in service are probed spread over the interval; new
// ones at once, and spread from then on.
func TestFirstProbesAreSpread(t *testing.T) {
	for _, found := range []bool{true, false} {
		t.Run(fmt.Sprintf("found=%v", found), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 200
				w := newWorld(t, "web:")
				cfg := farmOf(n)
				if found {
					for _, rs := range cfg.VirtualServers[0].RealServers {
						op := ipvs.Op{Kind: ipvs.AddDest, Key: key("web"), DestKey: rs.Address, Dest: ipvs.Destination{Weight: 1}}
						if err := w.kernel.ByHand(op); err != nil {
							t.Fatal(err)
						}
					}
				}
				w.run()
				begin := time.Now()
				w.configure(cfg)
				if found {
					w.pass(5 * time.Second)
				} else {
					w.pass(quick)
					if _, servers := w.kernel.Table().Len(); servers != n {
						t.Errorf("%d servers are in after %s", servers, quick)
					}
					w.farm.take()
					begin = time.Now()
					w.pass(5 * time.Second)
				}
				var slots [10]int
				total := 0
				for _, starts := range w.farm.take() {
					for _, s := range starts {
						slots[min(int(s.Sub(begin)/(500*time.Millisecond)), 9)]++
						total++
					}
				}
				if total != n || slices.Max(slots[:]) > 2*n/10 || slices.Min(slots[:]) < n/10/3 {
					t.Errorf("%d probes in 5 s, in each half second %v", total, slots)
				}
				w.kill()
			})
		})
	}
}

func TestProbesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.max = 10
		for i := range 256 {
			w.farm.delay[letter(netip.AddrFrom4([4]byte{0, 0, 0, byte(i)}))] = 200 * time.Millisecond
		}
		w.run()
		w.configure(farmOf(100))
		w.pass(5 * time.Second)
		if _, most, _ := w.farm.load(); most != 10 {
			t.Errorf("%d probes at the same time", most)
		}
		if _, servers := w.kernel.Table().Len(); servers != 100 {
			t.Errorf("%d of 100 servers are in", servers)
		}
		w.pass(time.Minute)
		if log := w.log.String(); strings.Count(log, "probes are late") != 1 || strings.Count(log, "probes are in time again") != 1 {
			t.Errorf("log\n%s", log)
		}
		w.kill()
	})
}

// A machine that has no file descriptors left must not empty its pools.
func TestInconclusiveProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "c")
		w.run()
		w.configure(configOf("web: a1 b1 c1"))
		w.pass(time.Minute)
		w.farm.set(nofiles, "a", "b", "c")
		w.pass(time.Hour)
		w.table("web: a1 b1")
		s := w.inquire().Services[0].Servers[0]
		if s.Health != "up" || s.Checks[0].Result != "local failure: socket: too many open files" {
			t.Errorf("server %+v", s)
		}
		if n := strings.Count(w.log.String(), "cannot probe"); n != 3 {
			t.Errorf("%d log lines for three probes", n)
		}
		w.farm.set(healthy, "a", "b", "c")
		w.pass(time.Minute)
		w.table("web: a1 b1 c1")
		if n := strings.Count(w.log.String(), "can probe again"); n != 3 {
			t.Errorf("%d log lines for three probes that work again", n)
		}
		w.kill()
	})
}

func TestPhase(t *testing.T) {
	for i := range 1000 {
		o := order{schedule: schedule{
			Query:    Query{Kind: config.CheckTCP, Target: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)},
			interval: time.Hour,
		}}
		p := (&task{order: o}).phase()
		if p <= 0 || p > o.interval {
			t.Errorf("phase %s of %s", p, o.interval)
		}
		if again := (&task{order: o}).phase(); again != p {
			t.Errorf("phase %s, then %s", p, again)
		}
	}
}

func TestTranslate(t *testing.T) {
	ms := func(n int) config.Duration { return config.Duration(time.Duration(n) * time.Millisecond) }
	v := config.VirtualServer{
		Name: "web", Address: netip.MustParseAddrPort("192.0.2.1:53"), Protocol: config.UDP, Scheduler: "sh",
		Forwarding: config.DR, Scheduling: config.Scheduling{PersistenceTimeout: config.Duration(50 * time.Second)}, Quorum: 2, Hysteresis: 1,
		SorryServers: []config.SorryServer{{Address: netip.MustParseAddrPort("10.0.0.9:53")}},
		RealServers: []config.RealServer{{
			Address: netip.MustParseAddrPort("10.0.0.1:53"), Weight: 7, Forwarding: config.Tunnel, Inhibit: true,
			Checks: []config.Check{
				{Kind: config.CheckPing, Interval: ms(100), Timeout: ms(50), Rise: 1, Fall: 2},
				{Kind: config.CheckTCP, ConnectPort: 8080, Interval: ms(100), Timeout: ms(50)},
				{Kind: config.CheckHTTP, ConnectAddress: netip.MustParseAddr("10.9.9.9"), ConnectPort: 80, Path: "/health", Method: "HEAD",
					Status: []config.StatusRange{{From: 200, To: 299}, {From: 304, To: 304}}, Body: "ok", Interval: ms(100), Timeout: ms(50)},
			},
		}},
	}
	f := translate(&v)
	p := f.pool
	if p.Name != "web" || fmt.Sprint(f.keys) != "[192.0.2.1:53/udp]" || p.Service.Scheduler != "sh" || p.Service.PersistenceTimeout != 50 || p.Quorum != 2 || p.Hysteresis != 1 {
		t.Errorf("pool %+v", p)
	}
	if p.Sorry[0].Key.String() != "10.0.0.9:53" || p.Sorry[0].Dest.Forwarding != ipvs.DirectRoute || p.Sorry[0].Dest.Weight != 1 {
		t.Errorf("sorry server %+v", p.Sorry)
	}
	s := p.Servers[0]
	if s.Name != "10.0.0.1:53" || s.Dest.Weight != 7 || s.Dest.Forwarding != ipvs.Tunnel || !s.Inhibit || s.Checks[0].Rise != 1 || s.Checks[0].Fall != 2 {
		t.Errorf("server %+v", s)
	}
	var labels []string
	for _, c := range s.Checks {
		labels = append(labels, c.Label)
	}
	if got := strings.Join(labels, ", "); got != "ping 10.0.0.1, tcp 10.0.0.1:8080, http 10.9.9.9:80/health" {
		t.Errorf("labels %s", got)
	}
	if q := f.orders[0][2].Query; q.Host != "10.0.0.1" || q.Path != "/health" {
		t.Errorf("query %+v", q)
	}

	mark := config.VirtualServer{FWMark: 3, RealServers: []config.RealServer{{Address: netip.MustParseAddrPort("[2001:db8::1]:0")}}}
	if got := fmt.Sprint(serviceKeys(&mark)); got != "[fwmark 3 ipv6]" {
		t.Errorf("keys %s", got)
	}
}

func TestAsk(t *testing.T) {
	ctx := t.Context()
	ask := func(kind config.CheckKind, to string) probe.Result {
		return Ask(ctx, Query{Kind: kind, Target: netip.MustParseAddrPort(to)}, NewPlan(&config.Check{Kind: kind}))
	}
	if r := ask(config.CheckPing, "127.0.0.1:0"); !r.OK {
		t.Errorf("ping: %s", r)
	}
	for _, kind := range []config.CheckKind{
		config.CheckTCP, config.CheckUDP, config.CheckHTTP, config.CheckHTTPS, config.CheckTLS, config.CheckDNS, config.CheckSMTP,
		config.CheckGRPC, config.CheckMySQL, config.CheckPostgres, config.CheckRedis, config.CheckLDAP,
	} {
		if r := ask(kind, "127.0.0.1:1"); r.Reason != probe.Refused {
			t.Errorf("%s: %s", kind, r)
		}
	}
	if r := ask(config.CheckAgent, "127.0.0.1:1"); !r.OK || !r.Advice.Silent {
		t.Errorf("agent: %+v", r)
	}
	if r := ask("telepathy", "127.0.0.1:1"); r.Conclusive() {
		t.Errorf("a kind that does not exist: %s", r)
	}
}
