package checkd

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/watchdog"
	"director/ipvs/ipvstest"
)

// bigConfig has the given number of services with 20 servers each, all checked by
// TCP at the interval.
func bigConfig(services int, interval time.Duration) *config.Config {
	c := &config.Config{Global: config.Global{ReconcileInterval: config.Duration(10 * time.Second)}}
	for i := range services {
		v := config.VirtualServer{
			Name: fmt.Sprintf("service %d", i), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 80),
			Protocol: config.TCP, Scheduler: "rr", Forwarding: config.NAT, Quorum: 1,
		}
		for j := range 20 {
			n := i*20 + j
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 80)
			v.RealServers = append(v.RealServers, config.RealServer{Name: a.String(), Address: a, Weight: 1, Forwarding: config.NAT, Alpha: true,
				Checks: []config.Check{{Kind: config.CheckTCP, Interval: config.Duration(interval), Timeout: config.Duration(3 * time.Second), Rise: 2, Fall: 3}}})
		}
		c.VirtualServers = append(c.VirtualServers, v)
	}
	return c
}

// bench is a daemon whose methods are called without its loop.
func bench(b *testing.B, k Kernel) *Daemon {
	d := New(slog.New(slog.DiscardHandler), Options{RuntimeDir: b.TempDir(), OpenKernel: func(string) (Kernel, error) { return k, nil }})
	d.ch = &parent{down: make(chan watchdog.Message)}
	d.schedule = newScheduler(b.Context(), d.opts.Probe, d.opts.MaxProbes)
	return d
}

// BenchmarkReload changes one weight among 40,000 servers.
func BenchmarkReload(b *testing.B) {
	d := bench(b, ipvstest.New(nil))
	cfgs := []*config.Config{bigConfig(2000, 5*time.Second), bigConfig(2000, 5*time.Second)}
	cfgs[1].VirtualServers[1000].RealServers[10].Weight = 7
	d.configure(time.Now(), &watchdog.Configure{Generation: 1, Config: cfgs[0]})
	n := uint64(1)
	for b.Loop() {
		n++
		d.configure(time.Now(), &watchdog.Configure{Generation: n, Config: cfgs[n%2]})
	}
}

// BenchmarkStart is the first configuration with 40,000 servers.
func BenchmarkStart(b *testing.B) {
	cfg := bigConfig(2000, 5*time.Second)
	for b.Loop() {
		bench(b, ipvstest.New(nil)).configure(time.Now(), &watchdog.Configure{Generation: 1, Config: cfg})
	}
}

// BenchmarkCompare is the periodic comparison with 40,000 servers in place.
func BenchmarkCompare(b *testing.B) {
	k := ipvstest.New(nil)
	d := bench(b, k)
	d.configure(time.Now(), &watchdog.Configure{Generation: 1, Config: allUp(bigConfig(2000, 5*time.Second))})
	for b.Loop() {
		d.table.compare(time.Now())
	}
}

// BenchmarkSnapshot is what an inquiry costs with 40,000 servers.
func BenchmarkSnapshot(b *testing.B) {
	d := bench(b, ipvstest.New(nil))
	d.configure(time.Now(), &watchdog.Configure{Generation: 1, Config: allUp(bigConfig(2000, 5*time.Second))})
	for b.Loop() {
		d.readStats(time.Now())
		d.snapshot()
	}
}

// allUp takes the checks away.
func allUp(c *config.Config) *config.Config {
	for i := range c.VirtualServers {
		for j := range c.VirtualServers[i].RealServers {
			c.VirtualServers[i].RealServers[j].Checks = nil
		}
	}
	return c
}

// BenchmarkThousandChecks measures the processor time of a check at 1000 checks a
// second on loopback, the whole daemon included, and with HTTP the server.
func BenchmarkThousandChecks(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go s.Serve(l)
	defer s.Close()
	for _, kind := range []config.CheckKind{config.CheckTCP, config.CheckHTTP, config.CheckPing} {
		b.Run(string(kind), func(b *testing.B) {
			cfg := bigConfig(50, time.Second)
			port := l.Addr().(*net.TCPAddr).AddrPort().Port()
			for i := range cfg.VirtualServers {
				for j := range cfg.VirtualServers[i].RealServers {
					rs := &cfg.VirtualServers[i].RealServers[j]
					rs.Checks = slices.Clone(rs.Checks)
					rs.Checks[0].Kind = kind
					rs.Checks[0].Path = fmt.Sprintf("/%d/%d", i, j) // no two the same
					rs.Checks[0].ConnectAddress = netip.AddrFrom4([4]byte{127, 0, 0, 1})
					if kind != config.CheckHTTP {
						rs.Checks[0].ConnectAddress = netip.AddrFrom4([4]byte{127, 1, byte(i), byte(j)})
					}
					rs.Checks[0].ConnectPort = port
				}
			}
			if kind == config.CheckTCP {
				all, err := net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", port+1))
				if err != nil {
					b.Fatal(err)
				}
				defer all.Close()
				for i := range cfg.VirtualServers {
					for j := range cfg.VirtualServers[i].RealServers {
						cfg.VirtualServers[i].RealServers[j].Checks[0].ConnectPort = port + 1
					}
				}
			}
			d := New(slog.New(slog.DiscardHandler), Options{RuntimeDir: b.TempDir(), OpenKernel: func(string) (Kernel, error) { return ipvstest.New(nil), nil }})
			ctx, cancel := context.WithCancel(b.Context())
			ch := &parent{down: make(chan watchdog.Message, 1)}
			ended := make(chan error)
			go func() { ended <- d.Run(ctx, ch) }()
			ch.down <- watchdog.Message{Configure: &watchdog.Configure{Generation: 1, Config: cfg}}
			time.Sleep(3 * time.Second)
			passed := func() (n, bad uint64) {
				ch.down <- watchdog.Message{Inquire: &watchdog.Ping{Seq: 1}}
				for {
					time.Sleep(time.Millisecond)
					for _, m := range ch.take(func(m watchdog.Message) bool { return m.Snapshot != nil && m.Snapshot.Seq == 1 }) {
						for _, s := range m.Snapshot.Checkers.Services {
							for _, rs := range s.Servers {
								n += rs.Checks[0].Passed
								bad += rs.Checks[0].Failed
							}
						}
						return n, bad
					}
				}
			}
			before, _ := passed()
			start, began := used(), time.Now()
			time.Sleep(5 * time.Second)
			cpu, took := used()-start, time.Since(began)
			after, bad := passed()
			b.ReportMetric(float64(cpu)/float64(after-before)/1e3, "cpu-us/check")
			b.ReportMetric(float64(after-before)/took.Seconds(), "checks/s")
			b.ReportMetric(float64(bad), "failed")
			cancel()
			<-ended
			ch.hangUp()
		})
	}
}

// used is the processor time of this process so far, in nanoseconds.
func used() int64 {
	var r unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}
