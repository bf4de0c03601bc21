package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The check of the NAT farm. Its times are short for the test's sake.
const (
	natInterval = 500 * time.Millisecond
	natRise     = 2
	natFall     = 3
)

const natFarm = `
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
forwarding = "nat"
persistence_timeout = "50s"
sorry_server = "10.0.0.20:80"
check = { type = "http", path = "/health", status = [200], body = "ok", interval = "500ms", timeout = "3s", rise = 2, fall = 3 }
real_server = [
  { name = "s1", address = "10.0.0.11:80" },
  { name = "s2", address = "10.0.0.12:80" },
  { name = "s3", address = "10.0.0.13:80" },
]

[virtual_server.spread]
address = "192.0.2.80:8080"
scheduler = "rr"
sorry_server = "10.0.0.20:80"
check = { type = "http", path = "/health", status = [200], body = "ok", interval = "500ms", timeout = "3s", rise = 2, fall = 3 }
real_server = [
  { name = "s1", address = "10.0.0.11:80" },
  { name = "s2", address = "10.0.0.12:80" },
  { name = "s3", address = "10.0.0.13:80" },
]
`

// testNAT is the web farm behind NAT (set-up 7): three real nginx, round robin, with persistence on port 80 and without on
// port 8080, an HTTP check of status and body, and a sorry server.
func testNAT(t *testing.T) {
	f := newFarm(t, 1, 3)
	sorry := f.server("sorry", "10.0.0.20/24")
	web := f.nginx(append(f.servers, sorry)...)
	d := startDirector(t, f.directors[0], pairConfig(100, "300ms")+natFarm)
	d.waitMaster()
	d.WaitServers()
	const (
		sticky = "http://" + outsideVIP + "/"
		spread = "http://" + outsideVIP + ":8080/"
	)

	// The kernel's table in the words of another program.
	full := `
		-A -t 192.0.2.80:80 -s rr -p 50
		-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 1
		-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 1
		-a -t 192.0.2.80:80 -r 10.0.0.13:80 -m -w 1
		-A -t 192.0.2.80:8080 -s rr
		-a -t 192.0.2.80:8080 -r 10.0.0.11:80 -m -w 1
		-a -t 192.0.2.80:8080 -r 10.0.0.12:80 -m -w 1
		-a -t 192.0.2.80:8080 -r 10.0.0.13:80 -m -w 1`
	wantTable(t, d.host, full)

	// Round robin is exact; with persistence, a client has one server.
	if diff := cmp.Diff(map[string]int{"s1": 10, "s2": 10, "s3": 10}, f.ask(30, spread)); diff != "" {
		t.Errorf("without persistence (-want +got):\n%s", diff)
	}
	mine := only(t, f.ask(10, sticky))
	yours := only(t, f.askFrom("192.0.2.101", 10, sticky))
	if mine == yours {
		t.Errorf("both clients have %s with round robin", mine)
	}

	// The counters of the status are the kernel's: an open connection is seen as active.
	conn, err := f.client.Dial("tcp", outsideVIP+":8080")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The kernel adds its counters up every 2 s.
	f.Eventually(patience, "31 connections", func() error {
		if c := d.Service("spread").Counters; c.Connections != 31 || c.OutPackets == 0 {
			return fmt.Errorf("the status says %+v", c)
		}
		return nil
	})
	counts := d.wantOwnCounts()
	active := uint32(0)
	for _, s := range []string{"10.0.0.11:80", "10.0.0.12:80", "10.0.0.13:80"} {
		active += counts["192.0.2.80:8080 "+s].Active
	}
	if active != 1 {
		t.Errorf("%d active connections, want the one that is open", active)
	}

	// A server that answers 503 is out after fall checks and back after rise, on both ports. Who had it gets another.
	sick := map[string]int{"s1": 0, "s2": 1, "s3": 2}[mine]
	changed := time.Now()
	f.Must(web[sick].SetHealthy(false))
	down := d.WaitServer("web", mine, "down")
	wantWithin(t, mine+" out", down.Since.Sub(changed), natFall*natInterval)
	if down.Installed {
		t.Errorf("%s is down but in the kernel's table", mine)
	}
	d.WaitServer("spread", mine, "down")
	if got := f.ask(10, spread); got[mine] != 0 || total(got) != 10 {
		t.Errorf("answers %v while %s is out", got, mine)
	}
	if now := only(t, f.ask(5, sticky)); now == mine {
		t.Errorf("the client still gets %s", now)
	}
	changed = time.Now()
	f.Must(web[sick].SetHealthy(true))
	up := d.WaitServer("web", mine, "up")
	wantWithin(t, mine+" back", up.Since.Sub(changed), natRise*natInterval)
	d.WaitServers()
	wantTable(t, d.host, full)

	// So is one whose answer has the right status and the wrong text.
	ok := f.servers[0].Path("nginx/www/ok")
	replaceFile(t, ok, "starting\n")
	if s := d.WaitServer("web", "s1", "down"); len(s.Checks) != 1 || s.Checks[0].State != "down" {
		t.Errorf("the check of the text: %+v", s.Checks)
	} else {
		t.Logf("s1 is down: %s; last result: %s", s.Reason, s.Checks[0].Result)
	}
	replaceFile(t, ok, "ok\n")
	d.WaitServers()

	// With no server left, the sorry server answers; the first one back takes over from it.
	for _, w := range web[:3] {
		f.Must(w.SetHealthy(false))
	}
	for _, name := range []string{"web", "spread"} {
		if s := d.WaitService(name, "sorry"); len(s.SorryServers) != 1 || !s.SorryServers[0].Installed {
			t.Errorf("%s: sorry server %+v", name, s.SorryServers)
		}
	}
	wantTable(t, d.host, `
		-A -t 192.0.2.80:80 -s rr -p 50
		-a -t 192.0.2.80:80 -r 10.0.0.20:80 -m -w 1
		-A -t 192.0.2.80:8080 -s rr
		-a -t 192.0.2.80:8080 -r 10.0.0.20:80 -m -w 1`)
	for _, url := range []string{sticky, spread} {
		if got := f.ask(3, url); got["sorry"] != 3 {
			t.Errorf("%s: answers %v, want the sorry server's", url, got)
		}
	}
	f.Must(web[2].SetHealthy(true))
	d.WaitService("web", "up")
	d.WaitService("spread", "up")
	for _, url := range []string{sticky, spread} {
		if got := f.ask(3, url); got["s3"] != 3 {
			t.Errorf("%s: answers %v, want s3's", url, got)
		}
	}
	for _, w := range web[:2] {
		f.Must(w.SetHealthy(true))
	}
	d.WaitServers()
	d.wantOwnCounts()
	if s := d.Status(); s.Checkers.Repairs != 0 || len(s.Checkers.Failures) != 0 {
		t.Errorf("%d repairs, failures %v, want none", s.Checkers.Repairs, s.Checkers.Failures)
	}
	d.Stop()
	wantTable(t, d.host, "")
}

// askFrom is ask with a source address of the client.
func (f *farm) askFrom(source string, n int, url string) map[string]int {
	f.t.Helper()
	answers := map[string]int{}
	for range n {
		out, err := f.client.Run("curl", "-s", "-S", "-f", "--max-time", "10", "--interface", source, url)
		if err != nil {
			f.t.Fatal(err)
		}
		answers[sortLines(out)]++
	}
	return answers
}

// slack is what the test's own delays may add to a time that is asserted: User Mode Linux on a busy machine.
const slack = 3 * time.Second

// wantWithin asserts a time and tells it.
func wantWithin(t testing.TB, what string, took, limit time.Duration) {
	t.Helper()
	t.Logf("%s after %v (at most %v)", what, took.Round(time.Millisecond), limit)
	if took <= 0 || took > limit+slack+stood(time.Now().Add(-took)) {
		t.Errorf("%s after %v, want at most %v", what, took, limit)
	}
}
