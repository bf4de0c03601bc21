package test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

const (
	// floodEnv makes this program the hostile clients of the address that it holds.
	floodEnv = "DIRECTOR_TEST_FLOOD"
	// floodClients is how many there are, of whom floodEnough have come before a measurement ends.
	floodClients = 3000
	floodEnough  = 1000
	floodRound   = 1300 * time.Millisecond
	floodCome    = "enough clients have come"
)

// floodForever is thousands of slow and hostile clients. It says when enough have connected.
func floodForever(target string) {
	attacks := []func(net.Conn){
		func(net.Conn) {}, // says nothing
		func(c net.Conn) { fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ") },
		func(c net.Conn) { // asks and does not read
			for range 50 {
				fmt.Fprint(c, "GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
			}
		},
		func(c net.Conn) { fmt.Fprint(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n") },
		func(c net.Conn) { fmt.Fprint(c, "\x16\x03\x01\x02\x00", strings.Repeat("\x00", 1000)) },
		func(c net.Conn) { // reads one byte at a time
			fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
			one := make([]byte, 1)
			for {
				if _, err := c.Read(one); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
	}
	var came atomic.Int64
	for i := range floodClients {
		go func() {
			for first := true; ; first = false {
				c, err := net.Dial("tcp", target)
				if first && came.Add(1) == floodEnough {
					fmt.Println(floodCome)
				}
				if err == nil {
					attacks[i%len(attacks)](c)
					io.Copy(io.Discard, io.LimitReader(bufio.NewReader(c), 1)) // until it is thrown out
					c.Close()
				}
				time.Sleep(5 * time.Second) // and comes again
			}
		}()
	}
	select {}
}

// flood starts the hostile clients of port 80 of a host's loopback address, behind everything else that runs: on a real network
// they are on other machines. The answer ends them.
func flood(t *testing.T, h *netlab.Host) *netlab.Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.StartEnv("flood", []string{floodEnv + "=127.0.0.1:80"}, "nice", "-n", "10", exe)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// inTurns measures without and with hostile clients, so many times in turns: what else the machine does is then the same for both.
// quiet and flooded take the measure of what went on since begin. Honest clients are served meanwhile.
func inTurns(t *testing.T, h *netlab.Host, rounds int, begin, quiet, flooded func()) {
	t.Helper()
	answered := 0
	for range rounds {
		begin()
		time.Sleep(floodRound)
		quiet()
		begin()
		p := flood(t, h)
		for end := time.Now().Add(floodRound); time.Now().Before(end) || !strings.Contains(p.Log(), floodCome); time.Sleep(100 * time.Millisecond) {
			if _, err := metric(h, "director_config_generation"); err == nil {
				answered++
			}
			if time.Since(end) > patience {
				t.Fatalf("the clients did not come: %s", p.Log())
			}
		}
		flooded()
		p.Kill()
		<-p.Done()
	}
	if answered == 0 {
		t.Error("no honest client was answered")
	}
}

// TestWebFlood has thousands of slow and hostile clients: the adverts and the scripts of the director go on as if they were not
// there, and honest clients are served.
func TestWebFlood(t *testing.T) {
	p := newPair(t)
	// A script that does not answer in time, once, is a FAULT.
	conf := vrrp("VI_1", 51, 150, "192.0.2.100/24", "advert_interval = \"50ms\"\ntrack_script = [\"well\"]\n") + `
[vrrp_script.well]
script = ["/bin/true"]
user = "nobody"
interval = "250ms"
timeout = "3s"
`
	a := startDirector(t, p.a, webTable+"max_connections = 200\n"+conf+"[vrrp_process]\nrt_priority = 20\n")
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", "advert_interval = \"50ms\"\ndown_timer_adverts = 30\n")+"[vrrp_process]\nrt_priority = 20\n")
	a.WaitInstance("VI_1", "MASTER", patience)
	b.WaitInstance("VI_1", "BACKUP", patience)
	a.observerPID("web", 0)

	before, other := a.Status(), b.Status()
	var begun, quiet, flooded control.Lateness
	inTurns(t, p.a, 3, func() { begun = a.Status().VRRP.Lateness },
		func() { quiet = sum(quiet, since(a.Status().VRRP.Lateness, begun)) },
		func() { flooded = sum(flooded, since(a.Status().VRRP.Lateness, begun)) })
	after, otherAfter := a.Status(), b.Status()
	t.Logf("%d clients; timers at most so late for 9 of 10: %v quiet (%d), %v flooded (%d, latest %v)",
		floodClients, quiet.Within(0.9), quiet.Count, flooded.Within(0.9), flooded.Count, flooded.Max)
	if after.VRRP.Instances[0].Transitions != before.VRRP.Instances[0].Transitions || otherAfter.VRRP.Instances[0].Transitions != other.VRRP.Instances[0].Transitions {
		t.Error("the flood led to a change of state")
	}
	if late := flooded.Within(0.9); late > max(10*quiet.Within(0.9), 25*time.Millisecond) {
		t.Errorf("9 of 10 timers were up to %v late, %v without the flood", late, quiet.Within(0.9))
	}
}

// since is what was measured after a former report.
func since(now, former control.Lateness) control.Lateness {
	d := control.Lateness{Count: now.Count - former.Count, Max: now.Max}
	for i, b := range now.Buckets {
		d.Buckets = append(d.Buckets, control.LatenessBucket{AtMost: b.AtMost, Count: b.Count - former.Buckets[i].Count})
	}
	return d
}

// sum is two measures as one.
func sum(a, b control.Lateness) control.Lateness {
	if a.Count == 0 {
		return b
	}
	s := control.Lateness{Count: a.Count + b.Count, Max: max(a.Max, b.Max)}
	for i := range a.Buckets {
		s.Buckets = append(s.Buckets, control.LatenessBucket{AtMost: a.Buckets[i].AtMost, Count: a.Buckets[i].Count + b.Buckets[i].Count})
	}
	return s
}

// asked is a web server that notes when it is asked.
type asked struct {
	mu    sync.Mutex
	times []time.Time
}

func (s *asked) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.times = append(s.times, time.Now())
	s.mu.Unlock()
	fmt.Fprintln(w, "ok")
}

// between returns the times from one question to the next within a span.
func (s *asked) between(from, to time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var gaps []time.Duration
	for i := 1; i < len(s.times); i++ {
		if s.times[i-1].After(from) && s.times[i].Before(to) {
			gaps = append(gaps, s.times[i].Sub(s.times[i-1]))
		}
	}
	return gaps
}

// testCheckFlood has the same clients while servers are checked: the checks are made in the same rhythm, and none fails.
func testCheckFlood(t *testing.T) {
	const interval = 100 * time.Millisecond
	f := newFarm(t, 1, 2)
	var servers []*asked
	for _, h := range f.servers {
		l, err := h.Listen("tcp", netip.MustParseAddrPort("0.0.0.0:80").String())
		f.Must(err)
		s := &asked{}
		servers = append(servers, s)
		server := &http.Server{Handler: s}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { server.Close() })
	}
	// One check that fails, or is not answered in time, is a change of state.
	d := startDirector(t, f.directors[0], webTable+"max_connections = 200\n"+outsideConfig+`
[virtual_server.web]
address = "192.0.2.80:80"
check = { type = "http", interval = "100ms", timeout = "2s", fall = 1 }
real_server = ["10.0.0.11:80", "10.0.0.12:80"]
`)
	d.WaitInstance("outside", "MASTER", patience)
	d.WaitServers()
	d.observerPID("web", 0)
	before := d.Service("web")
	var begun time.Time
	var quiet, flooded []time.Duration
	gather := func(gaps *[]time.Duration) func() {
		return func() {
			for _, s := range servers {
				*gaps = append(*gaps, s.between(begun, time.Now())...)
			}
		}
	}
	inTurns(t, d.host, 2, func() { begun = time.Now() }, gather(&quiet), gather(&flooded))
	after := d.Service("web")
	for i, r := range after.Servers {
		was := before.Servers[i]
		if r.Health != "up" || !r.Since.Equal(was.Since) || r.Checks[0].Failed != was.Checks[0].Failed {
			t.Errorf("%s under the flood: %s since %v, %d failed checks; before: since %v, %d failed", r.Name, r.Health, r.Since, r.Checks[0].Failed, was.Since, was.Checks[0].Failed)
		}
	}
	within := func(gaps []time.Duration) time.Duration {
		slices.Sort(gaps)
		return gaps[len(gaps)*9/10]
	}
	if len(quiet) < 20 || len(flooded) < 20 {
		t.Fatalf("%d checks without the flood, %d with it", len(quiet), len(flooded))
	}
	t.Logf("%d clients; from check to check at most, for 9 of 10: %v quiet (%d), %v flooded (%d); configured %v", floodClients, within(quiet), len(quiet), within(flooded), len(flooded), interval)
	if late := within(flooded); late > max(4*within(quiet), 5*interval) {
		t.Errorf("checks were made every %v, without the flood every %v", late, within(quiet))
	}
}
