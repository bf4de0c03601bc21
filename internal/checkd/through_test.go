package checkd

import (
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/ipvs"
)

// markBase is the first mark of the probes through virtual addresses in these tests.
const markBase = 5000

// through has every check go through the virtual address, and every server forwarded
// to directly.
func through(c *config.Config) {
	c.Global.ProbeMarkBase = markBase
	for i := range c.VirtualServers {
		for j := range c.VirtualServers[i].RealServers {
			rs := &c.VirtualServers[i].RealServers[j]
			rs.Forwarding = config.DR
			for k := range rs.Checks {
				rs.Checks[k].ThroughVIP = true
			}
		}
	}
}

// asked records the questions by their marks, and answers as the kernel's table says:
// a probe whose mark leads nowhere is refused.
func (w *world) asked(marks map[uint32]string) func(context.Context, Query, *Plan) probe.Result {
	return func(_ context.Context, q Query, _ *Plan) probe.Result {
		w.farm.mu.Lock()
		defer w.farm.mu.Unlock()
		e := w.kernel.Table()[ipvs.MarkService(q.Mark, ipvs.IPv4)]
		if e == nil || len(e.Dests) != 1 {
			return refused
		}
		server := letter(e.Keys()[0].Addr())
		marks[q.Mark] = server + " " + q.TargetText()
		if r, ok := w.farm.answer[server]; ok {
			return r
		}
		return healthy
	}
}

func TestThroughVIP(t *testing.T) {
	var refuse atomic.Bool // the kernel takes no private service
	run := func(t *testing.T, have string, f func(w *world, marks map[uint32]string)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, have)
			marks := map[uint32]string{}
			w.ask = w.asked(marks)
			w.kernel.OnApply = func(op ipvs.Op) error {
				if refuse.Load() && op.Kind == ipvs.AddService && op.Key.FWMark != 0 {
					return syscall.ENOBUFS
				}
				return nil
			}
			w.run()
			defer func() { w.kill() }()
			f(w, marks)
		})
	}
	const both = "web: a1 b1; dns: a1"
	const private = "; fwmark 5000: a1; fwmark 5001: b1"

	t.Run("one private service a server", func(t *testing.T) {
		run(t, "", func(w *world, marks map[uint32]string) {
			w.configure(configOf(both, through))
			w.pass(time.Second)
			w.table(both + private)
			want := map[uint32]string{5001: "b 192.0.2.1:80 through 10.0.0.2"}
			if got := marks[5001]; got != want[5001] {
				t.Errorf("mark 5001 asks %q, want %q", got, want[5001])
			}
			if got := marks[5000]; !strings.HasPrefix(got, "a 192.0.2.") {
				t.Errorf("mark 5000 asks %q", got)
			}
			// Only the one that does not answer on the way goes.
			w.farm.set(refused, "b")
			w.pass(20 * time.Second)
			w.table("web: a1; dns: a1" + private)
			for _, s := range w.inquire().Services {
				if s.Name != "web" && s.Name != "dns" {
					t.Errorf("status lists %q", s.Name)
				}
			}
			for i, r := range strings.Split(w.events(), ", ") {
				if r == "web/b up>down" && !strings.Contains(w.reasons[i], "through 10.0.0.2") {
					t.Errorf("the reason is %q", w.reasons[i])
				}
			}
		})
	})
	t.Run("reload and stop", func(t *testing.T) {
		run(t, "", func(w *world, _ map[uint32]string) {
			w.configure(configOf(both, through))
			w.pass(time.Second)
			w.kernel.Log()
			w.configure(configOf("web: b1", through)) // b keeps its mark
			w.table("web: b1; fwmark 5001: b1")
			w.configure(configOf("web: b1 c1", through))
			w.pass(time.Second)
			w.table("web: b1 c1; fwmark 5000: c1; fwmark 5001: b1")
			w.configure(configOf("web: b1 c1"))
			w.table("web: b1 c1")
			w.configure(configOf("web: b1", through))
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			w.table("")
			w.run()
		})
	})
	t.Run("kept table keeps no private service", func(t *testing.T) {
		run(t, "", func(w *world, _ map[uint32]string) {
			w.configure(configOf("web: a1", through, func(c *config.Config) { c.Global.KeepIPVSOnStop = true }))
			w.pass(time.Second)
			if err := w.stop(); err != nil {
				t.Fatal(err)
			}
			w.table("web: a1")
			w.run()
		})
	})
	t.Run("respawn adopts", func(t *testing.T) {
		run(t, "", func(w *world, _ map[uint32]string) {
			w.configure(configOf("web: a1", through))
			w.configure(configOf("web: b1 a1", through)) // a 5000, b 5001
			w.configure(configOf("web: b1", through))
			w.pass(time.Second)
			w.kernel.Log()
			w.kill()
			w.run()
			w.configure(configOf("web: b1", through))
			w.pass(time.Second)
			w.table("web: b1; fwmark 5001: b1")
			w.ops()
			// And what the configuration does not want any more goes.
			w.kill()
			w.run()
			w.configure(configOf("web: b1"))
			w.table("web: b1")
		})
	})
	t.Run("strangers keep their marks", func(t *testing.T) {
		run(t, "", func(w *world, _ map[uint32]string) {
			stranger := ipvs.MarkService(5000, ipvs.IPv4)
			w.kernel.ByHand(ipvs.Op{Kind: ipvs.AddService, Key: stranger, Service: ipvs.Service{Scheduler: "sh"}})
			w.configure(configOf("web: a1", through))
			w.pass(time.Second)
			w.table("web: a1; fwmark 5000:; fwmark 5001: a1")
			if !strings.Contains(w.log.String(), "another program has a service with a mark") {
				t.Error("the log does not tell of the stranger")
			}
		})
	})
	t.Run("a service that somebody takes away is no fault of the server", func(t *testing.T) {
		run(t, "", func(w *world, _ map[uint32]string) {
			w.configure(configOf("web: a1", through))
			w.pass(5 * time.Second)
			w.events()
			for range 10 {
				w.kernel.ByHand(ipvs.Op{Kind: ipvs.DeleteService, Key: ipvs.MarkService(5000, ipvs.IPv4)})
				w.pass(6 * time.Second)
			}
			w.table("web: a1; fwmark 5000: a1")
			if got := w.events(); strings.Contains(got, "web/a") || !strings.Contains(got, "probes through 10.0.0.1 (fwmark 5000) missing>repaired") {
				t.Errorf("events %q", got)
			}
		})
	})
	t.Run("not asked while the kernel refuses the service", func(t *testing.T) {
		run(t, "", func(w *world, marks map[uint32]string) {
			refuse.Store(true)
			w.configure(configOf("web: a1", through))
			w.pass(3 * time.Second)
			if len(marks) > 0 {
				t.Errorf("asked %v", marks)
			}
			c := w.inquire().Services[0].Servers[0].Checks[0]
			if !strings.Contains(c.Result, "private IPVS service") || c.State != "unknown" {
				t.Errorf("the check is %s: %s", c.State, c.Result)
			}
			refuse.Store(false)
			w.pass(10 * time.Second)
			w.table("web: a1; fwmark 5000: a1")
		})
	})
}

// TestPassages holds what tells two ways apart.
func TestPassages(t *testing.T) {
	v := &config.VirtualServer{Name: "web", Address: netip.MustParseAddrPort("192.0.2.1:80"), Protocol: config.TCP, Scheduler: "wlc"}
	server := func(f config.Forwarding, tunnel *config.TunnelOptions, address string) config.RealServer {
		return config.RealServer{Address: netip.MustParseAddrPort(address), Forwarding: f, Tunnel: tunnel, Weight: 7, Thresholds: config.Thresholds{Upper: 9},
			Checks: []config.Check{{Kind: config.CheckHTTP, Path: "/x", ConnectPort: 8080, ThroughVIP: true}}}
	}
	v.RealServers = []config.RealServer{
		server(config.DR, nil, "10.0.0.1:80"),
		server(config.Tunnel, nil, "10.0.0.1:81"),
		server(config.Tunnel, &config.TunnelOptions{Type: "gue", Port: 6080}, "[2001:db8::1]:80"),
	}
	var got []string
	for i, o := range translate(v).orders {
		p := o[0].Through
		op := ipvs.Op{Kind: ipvs.AddDest, Key: p.key(uint32(9 + i)), DestKey: p.destKey(), Dest: p.entry().Dests[p.destKey()]}
		got = append(got, o[0].Label()+" | "+op.String()+" | "+o[0].Host)
	}
	want := []string{
		"http 192.0.2.1:8080/x through 10.0.0.1 | -a -f 9 -r 10.0.0.1:0 -g -w 1 | ",
		"http 192.0.2.1:8080/x through 10.0.0.1 | -a -f 10 -r 10.0.0.1:0 -i -w 1 --tun-type ipip | ",
		"http 192.0.2.1:8080/x through 2001:db8::1 | -a -f 11 -r [2001:db8::1]:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum | ",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}
