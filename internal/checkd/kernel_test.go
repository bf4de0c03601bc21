package checkd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/kernel"
)

// counting counts the operations that reach the kernel.
type counting struct {
	Kernel
	ops atomic.Int64
}

func (c *counting) Apply(ops []ipvs.Op) []error {
	c.ops.Add(int64(len(ops)))
	return c.Kernel.Apply(ops)
}

// TestKernel runs the daemon over the real IPVS table, with real probes of real
// web servers on this host's own addresses.
func TestKernel(t *testing.T) {
	if !labtest.RequireIPVS(t) {
		return
	}
	r := &real{t: t}
	for _, a := range []string{"192.0.2.1", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"} {
		r.sh("ip", "addr", "add", a+"/32", "dev", "lo")
	}
	const stranger = "-A -t 198.51.100.9:80 -s sh"
	r.sh("ipvsadm", strings.Fields(stranger)...)
	a, b, c := r.web("10.0.0.1:8080", "a"), r.web("10.0.0.2:8080", "b"), r.web("10.0.0.3:8080", "c")
	r.web("192.0.2.1:80", "c") // where packets that are forwarded directly arrive
	cfg := r.config()
	r.start()
	r.configure(cfg, nil)

	const (
		serviceLine = "-A -t 192.0.2.1:80 -s rr"
		lineA       = "-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 1"
		lineB       = "-a -t 192.0.2.1:80 -r 10.0.0.2:8080 -m -w 2"
		lineC       = "-a -t 192.0.2.1:80 -r 10.0.0.3:80 -g -w 3"
		lineSorry   = "-a -t 192.0.2.1:80 -r 10.0.0.4:8080 -m -w 1"
	)
	all := []string{stranger, serviceLine, lineA, lineB, lineC}

	t.Run("programs what is healthy", func(t *testing.T) { r.table(t, all...) })
	t.Run("connections reach the servers", func(t *testing.T) {
		seen := map[string]bool{}
		for range 12 {
			body, err := r.get("http://192.0.2.1/")
			if err != nil {
				t.Error(err)
			}
			seen[body] = true
		}
		if !seen["a"] || !seen["b"] || !seen["c"] {
			t.Errorf("answers from %v", seen)
		}
		// The kernel brings its counters up to date every two seconds.
		err := netlab.EventuallyWithin(time.Minute, func() error {
			s := r.inquire(t).Services[0]
			if s.Counters.Connections != 12 || s.Servers[0].Counters.Connections != 4 || s.Servers[0].Inactive != 4 {
				return fmt.Errorf("status %+v", s)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("a dead server goes", func(t *testing.T) {
		b.Close()
		r.table(t, stranger, serviceLine, lineA, lineC)
	})
	t.Run("a sick server goes", func(t *testing.T) {
		c.sick.Store(true)
		r.table(t, stranger, serviceLine, lineA)
		for _, s := range r.inquire(t).Services[0].Servers {
			if s.Name == "c" && !strings.Contains(s.Reason, "bad status: status 503") {
				t.Errorf("reason %q", s.Reason)
			}
		}
	})
	t.Run("the sorry server answers for all", func(t *testing.T) {
		a.sick.Store(true)
		r.table(t, stranger, serviceLine, lineSorry)
		a.sick.Store(false)
		r.table(t, stranger, serviceLine, lineA)
	})
	t.Run("servers return", func(t *testing.T) {
		b = r.web("10.0.0.2:8080", "b")
		c.sick.Store(false)
		r.table(t, all...)
	})
	t.Run("hand edits are repaired", func(t *testing.T) {
		r.sh("ipvsadm", "-e", "-t", "192.0.2.1:80", "-r", "10.0.0.1:8080", "-m", "-w", "9")
		r.sh("ipvsadm", "-d", "-t", "192.0.2.1:80", "-r", "10.0.0.2:8080")
		r.sh("ipvsadm", "-a", "-t", "192.0.2.1:80", "-r", "10.0.0.9:8080", "-m")
		r.sh("ipvsadm", "-E", "-t", "192.0.2.1:80", "-s", "wlc")
		r.table(t, all...)
		r.sh("ipvsadm", "-D", "-t", "192.0.2.1:80")
		r.table(t, all...)
		if n := r.inquire(t).Repairs; n != 5 {
			t.Errorf("%d repairs", n)
		}
	})
	t.Run("a new process changes nothing", func(t *testing.T) {
		b.Close()
		r.table(t, stranger, serviceLine, lineA, lineC)
		conn, err := net.Dial("tcp", "192.0.2.1:80")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		last := r.inquire(t)
		r.kill()
		r.start()
		r.configure(cfg, last)
		time.Sleep(time.Second) // several checks and reconciles
		r.table(t, stranger, serviceLine, lineA, lineC)
		if n := r.kernel.ops.Load(); n != 0 {
			t.Errorf("%d operations", n)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.0\r\n\r\n")
		if text, err := io.ReadAll(conn); err != nil || !strings.Contains(string(text), "200 OK") {
			t.Errorf("the old connection got %q, %v", text, err)
		}
		b = r.web("10.0.0.2:8080", "b")
		r.table(t, all...)
	})
	t.Run("stop removes what is ours", func(t *testing.T) {
		r.ch.down <- watchdog.Message{Stop: &watchdog.Stop{}}
		if err := <-r.ended; err != nil {
			t.Error(err)
		}
		r.table(t, stranger)
	})
}

// real is a daemon over the real kernel.
type real struct {
	t      *testing.T
	dir    string
	kernel *counting
	ch     *parent
	cancel context.CancelFunc
	ended  chan error
	gen    uint64
}

func (r *real) start() {
	if r.dir == "" {
		r.dir = r.t.TempDir()
	}
	r.ch = &parent{down: make(chan watchdog.Message, 10)}
	d := New(slog.New(slog.NewTextHandler(r.t.Output(), nil)), Options{
		RuntimeDir: r.dir,
		OpenKernel: func(string) (Kernel, error) {
			k, err := kernel.Open()
			r.kernel = &counting{Kernel: k}
			return r.kernel, err
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.ended = make(chan error, 1)
	go func(ch *parent, ended chan error) { ended <- d.Run(ctx, ch) }(r.ch, r.ended)
}

func (r *real) kill() {
	r.cancel()
	<-r.ended
	r.ch.hangUp()
}

func (r *real) configure(cfg *config.Config, last *control.Checkers) {
	r.t.Helper()
	r.gen++
	c := &watchdog.Configure{Generation: r.gen, Config: cfg}
	if last != nil {
		c.Resume = &watchdog.Resume{Snapshot: watchdog.Snapshot{Checkers: last}}
	}
	r.ch.down <- watchdog.Message{Configure: c}
	m := r.await(r.t, func(m watchdog.Message) bool { return m.Ack != nil })
	if m.Ack.Error != "" || m.Ack.Generation != r.gen {
		r.t.Fatalf("acknowledged %+v", m.Ack)
	}
}

func (r *real) inquire(t *testing.T) *control.Checkers {
	t.Helper()
	r.ch.down <- watchdog.Message{Inquire: &watchdog.Ping{Seq: 7}}
	return r.await(t, func(m watchdog.Message) bool { return m.Snapshot != nil && m.Snapshot.Seq == 7 }).Snapshot.Checkers
}

func (r *real) await(t *testing.T, match func(watchdog.Message) bool) watchdog.Message {
	t.Helper()
	var found watchdog.Message
	err := netlab.EventuallyWithin(time.Minute, func() error {
		if got := r.ch.take(match); len(got) > 0 {
			found = got[0]
			return nil
		}
		return errors.New("no such message")
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// table waits until `ipvsadm -Sn` prints these lines, in any order.
func (r *real) table(t *testing.T, want ...string) {
	t.Helper()
	sort.Strings(want)
	err := netlab.EventuallyWithin(time.Minute, func() error {
		out, err := exec.Command("ipvsadm", "-Sn").CombinedOutput()
		if err != nil {
			return fmt.Errorf("ipvsadm: %w: %s", err, out)
		}
		got := strings.Split(strings.TrimSpace(string(out)), "\n")
		for i := range got {
			got[i] = strings.TrimSpace(got[i])
		}
		sort.Strings(got)
		if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
			return fmt.Errorf("the table is\n%s\nwant\n%s", g, w)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func (r *real) sh(name string, args ...string) {
	r.t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		r.t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

func (r *real) get(url string) (string, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	return string(text), err
}

// webServer answers with its name, and with 503 at /health while it is sick.
type webServer struct {
	*http.Server
	sick atomic.Bool
}

func (r *real) web(addr, name string) *webServer {
	r.t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	w := &webServer{}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, name) })
	mux.HandleFunc("/health", func(rw http.ResponseWriter, _ *http.Request) {
		if w.sick.Load() {
			http.Error(rw, "sick", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(rw, "all is well")
	})
	w.Server = &http.Server{Handler: mux}
	go w.Serve(l)
	r.t.Cleanup(func() { w.Close() })
	return w
}

// config is a farm of three: a is asked by HTTP and TCP, b by TCP and ping, and
// c, which is reached directly, by HTTP on another port than it serves.
func (r *real) config() *config.Config {
	check := func(kind config.CheckKind) config.Check {
		return config.Check{Kind: kind, Interval: config.Duration(200 * time.Millisecond), Timeout: config.Duration(20 * time.Second), Rise: 2, Fall: 2}
	}
	health := check(config.CheckHTTP)
	health.Path, health.Body = "/health", "well"
	direct := health
	direct.ConnectPort = 8080
	return &config.Config{
		Global: config.Global{ReconcileInterval: config.Duration(300 * time.Millisecond)},
		VirtualServers: []config.VirtualServer{{
			Name: "web", Address: netip.MustParseAddrPort("192.0.2.1:80"), Protocol: config.TCP,
			Scheduler: "rr", Forwarding: config.NAT, Quorum: 1,
			SorryServers: []config.SorryServer{{Address: netip.MustParseAddrPort("10.0.0.4:8080"), Forwarding: config.NAT}},
			RealServers: []config.RealServer{
				{Alpha: true, Name: "a", Address: netip.MustParseAddrPort("10.0.0.1:8080"), Weight: 1, Forwarding: config.NAT, Checks: []config.Check{health, check(config.CheckTCP)}},
				{Alpha: true, Name: "b", Address: netip.MustParseAddrPort("10.0.0.2:8080"), Weight: 2, Forwarding: config.NAT, Checks: []config.Check{check(config.CheckTCP), check(config.CheckPing)}},
				{Alpha: true, Name: "c", Address: netip.MustParseAddrPort("10.0.0.3:80"), Weight: 3, Forwarding: config.DR, Checks: []config.Check{direct}},
			},
		}},
	}
}
