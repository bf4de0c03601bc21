package webd

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
)

// sampleTime is when the sample state was taken.
var sampleTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// sample is a state in which every metric has a value.
func sample() *control.Status {
	since := sampleTime.Add(-time.Hour)
	var late control.LatenessMeter
	for _, d := range []time.Duration{30 * time.Microsecond, 70 * time.Microsecond, 2 * time.Millisecond, 9 * time.Second} {
		late.Observe(d)
	}
	instance := control.Instance{
		Name: "outside", Family: "ipv4", Group: "pair", Interface: "eth0", VRID: 51, Version: 3, State: "MASTER", Since: since,
		Reason: "no advert from 192.0.2.2 for 3.6s", Code: "master_down", Priority: 80, BasePriority: 100, AdvertInterval: time.Second,
		Terms: []control.PriorityTerm{{Source: "script nginx", Kind: "script", Name: "nginx", Verdict: "down", Weight: -20, Value: -20, Note: "script nginx is down"}},
		Peers: []control.Peer{{Address: netip.MustParseAddr("192.0.2.2"), Heard: 17, LastHeard: since}},
		Paths: []control.Path{{Name: "eth0", Own: true, State: control.PathUp}, {Name: "eth1", State: control.PathSilent}},
		Addresses: []control.Address{
			{Prefix: netip.MustParsePrefix("192.0.2.80/24"), Device: "eth0", Installed: true},
			{Prefix: netip.MustParsePrefix("192.0.2.81/24"), Device: "eth0", Error: "no such device"},
		},
		Transitions: 3, Moves: []control.Move{{To: "BACKUP", Code: "started", Count: 1}, {To: "MASTER", Code: "master_down", Count: 2}},
		AdvertsSent: 3600, AdvertsHeard: 12, Discards: map[string]uint64{"authentication": 4},
	}
	six := instance
	six.Family, six.State, six.Master, six.MasterPriority, six.Addresses = "ipv6", "BACKUP", "fe80::2", 200, nil
	six.HeldBack = "reference 192.0.2.254 does not answer"
	check := control.CheckStatus{Kind: "http", Target: "10.0.0.1:80", State: "up", Result: "status 200", Duration: 3 * time.Millisecond, Spent: time.Second, Passed: 300, Failed: 2, Expires: time.Unix(1800000000, 0)}
	counters := control.Counters{Connections: 1 << 40, InPackets: 2, OutPackets: 3, InBytes: 1 << 52, OutBytes: 5}
	rates := control.Rates{Connections: 10, InPackets: 20, OutPackets: 30, InBytes: 40, OutBytes: 50}
	return &control.Status{
		Version: "1.2.3", RouterID: "lb1", ConfigPath: "/etc/director/director.toml", Generation: 4, LoadedAt: since,
		LastReload: &control.ReloadResult{At: since, Took: 40 * time.Millisecond, OK: true}, Reloads: control.Reloads{Done: 3, Refused: 1},
		Processes: []control.Process{
			{Role: "parent", PID: 10, State: "running", StartedAt: since},
			{Role: "vrrp", PID: 11, State: "running", StartedAt: since, Restarts: 1, LastExit: "signal: killed"},
			{Role: "checkers", PID: 12, State: "running", StartedAt: since},
			{Role: "web", PID: 13, State: "running", StartedAt: since, Listen: []string{"127.0.0.1:9650"}},
		},
		VRRP: &control.VRRP{
			Generation: 4, Instances: []control.Instance{instance, six}, Lateness: late.Report(), Repairs: 2,
			Groups:    []control.Group{{Name: "pair", Members: []string{"outside"}, State: "MASTER", Since: since, Transitions: 3}},
			BFD:       []control.BFD{{Name: "peer", State: "Up", Sent: 9, Received: 8, DetectTime: 900 * time.Millisecond, Discards: map[string]uint64{"ttl": 1}}},
			BFDStrays: map[string]uint64{"no_session": 3},
			Scripts:   []control.Script{{Name: "nginx", State: "down", Duration: 2 * time.Millisecond, Result: "exit status 7", Since: since}},
			Trackers:  []control.Tracker{{Kind: "interface", Name: "eth0", State: "up", Since: since}},
			Failures:  []control.Failure{{What: "add 192.0.2.81/24", Error: "no such device", Since: since, Count: 3}},
			Alarms:    []control.Alarm{{Instance: "outside", Interface: "eth0", VRID: 51, Family: "ipv4", Code: "peer_authentication", Level: control.LevelAlarm, Since: since, Count: 6, Reason: "192.0.2.2 sends another password"}},
		},
		Checkers: &control.Checkers{
			Generation: 4, Reconciled: since, Repairs: 1, Work: control.TableWork{Comparisons: 360, Operations: 12, Failed: 1},
			Failures: []control.Failure{{What: "x", Error: "y", Since: since}}, Unwritten: []control.Failure{{What: "/x"}},
			Sync: &control.IPVSSync{Daemons: []control.SyncDaemon{{Role: "master", Running: true}}, Learned: 5, Own: 6, Queued: 7, Dropped: 8},
			Services: []control.Service{{
				Name: "web", Address: "192.0.2.80:80/tcp", Scheduler: "wrr", Forwarding: "nat", State: "up", Since: since, Reason: "quorum reached", Quorum: 1, UpWeight: 1,
				Installed: true, Counters: counters, Rates: rates,
				Servers: []control.Server{
					{Name: "10.0.0.1:80", Address: "10.0.0.1:80", Health: "up", Since: since, Weight: 1, EffectiveWeight: 1, Installed: true, KernelWeight: 1, Active: 7, Inactive: 8, Persistent: 9,
						Checks: []control.CheckStatus{check, check}, Counters: counters, Rates: rates},
					{Name: "10.0.0.2:80", Address: "10.0.0.2:80", Health: "down", Since: since, Reason: "http: connection refused", Weight: 1, KernelWeight: -1,
						Override: &control.Override{Order: control.VerbMaintain, Author: "alice", Reason: "new disk", Since: since}},
				},
				SorryServers: []control.Server{{Name: "sorry server", Address: "10.0.0.9:80", Active: 1, Unchecked: since}},
			}},
		},
		Notify: []control.NotifyChannel{{Channel: "mail", Sent: 3, Failed: 1, Queued: 2}},
	}
}

// testDaemon has been told a state.
func testDaemon(t testing.TB, s *control.Status, change ...func(*config.Web)) *Daemon {
	t.Helper()
	settings := config.Web{Listen: []string{"127.0.0.1:0"}, UpdateInterval: config.Duration(time.Second), MaxConnections: 32, MaxServerSeries: 5000}
	for _, f := range change {
		f(&settings)
	}
	d, err := New(testLog(t), settings, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	d.take(watchdog.News{Status: s}, time.Now())
	return d
}

// ask returns the answer to a request.
func ask(d *Daemon, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func scrape(t testing.TB, d *Daemon) string {
	t.Helper()
	w := ask(d, "GET", "/metrics")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// TestMetricsAreClean has promtool judge names, types, units and help texts.
func TestMetricsAreClean(t *testing.T) {
	text := scrape(t, testDaemon(t, sample()))
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

// TestMetricsValues compares all that is told of the sample.
func TestMetricsValues(t *testing.T) {
	text := scrape(t, testDaemon(t, sample()))
	text = regexp.MustCompile(`(?m)^director_snapshot_timestamp_seconds .*$`).ReplaceAllString(text, "director_snapshot_timestamp_seconds NOW")
	text = regexp.MustCompile(`goversion="[^"]*"`).ReplaceAllString(text, `goversion="GO"`)
	golden(t, "metrics.txt", text)
	for _, f := range families() {
		if !strings.Contains(text, "\n"+f.name) {
			t.Errorf("%s has no series in the sample state", f.name)
		}
		if f.help == "" || f.per == "" || !strings.HasSuffix(f.help, ".") {
			t.Errorf("%s: help %q, per %q", f.name, f.help, f.per)
		}
	}
}

// golden compares with a file of testdata, and writes it where UPDATE_GOLDEN is set.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 writes it):\n%s", path, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

// TestMetricsWithoutAState: nothing is told before there is something.
func TestMetricsWithoutAState(t *testing.T) {
	d, err := New(testLog(t), config.Web{MaxConnections: 8}, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if text := scrape(t, d); text != "" {
		t.Errorf("metrics of nothing:\n%s", text)
	}
	for _, s := range []*control.Status{{}, {VRRP: &control.VRRP{}, Checkers: &control.Checkers{}}} {
		scrape(t, testDaemon(t, s))
	}
}

// TestScrapeIsConsistent: every value of a scrape is of one state, whatever comes
// meanwhile.
func TestScrapeIsConsistent(t *testing.T) {
	d := testDaemon(t, numbered(0))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
				d.take(watchdog.News{Status: numbered(n)}, time.Now())
			}
		}
	}()
	values := regexp.MustCompile(`(?m)^director_(?:config_generation|vrrp_repairs_total|ipvs_repairs_total|virtual_server_connections_total\{.*\}) (.*)$`)
	seen := make(map[string]bool)
	for range 200 {
		found := values.FindAllStringSubmatch(scrape(t, d), -1)
		if len(found) != 4 {
			t.Fatalf("%d values", len(found))
		}
		for _, f := range found {
			if f[1] != found[0][1] {
				t.Fatalf("values of two states in one scrape: %v", found)
			}
		}
		seen[found[0][1]] = true
	}
	close(stop)
	<-done
	if len(seen) < 2 {
		t.Error("only one state was seen")
	}
}

// numbered is a state in which all counters have one value.
func numbered(n uint64) *control.Status {
	return &control.Status{
		Generation: n, VRRP: &control.VRRP{Repairs: n},
		Checkers: &control.Checkers{Repairs: n, Services: []control.Service{{Name: "web", Counters: control.Counters{Connections: n}}}},
	}
}

// farm is a state with so many virtual servers and real servers of each.
func farm(services, servers int) *control.Status {
	s := sample()
	model := s.Checkers.Services[0]
	s.Checkers.Services = nil
	for i := range services {
		v := model
		v.Name = fmt.Sprintf("service-%04d", i)
		v.SorryServers, v.Servers = nil, nil
		for j := range servers {
			r := model.Servers[0]
			r.Name = fmt.Sprintf("10.%d.%d.%d:80", i/250, i%250, j)
			r.Address, r.Checks = r.Name, slices.Clone(r.Checks[:1])
			r.Checks[0].Target = r.Name
			v.Servers = append(v.Servers, r)
		}
		s.Checkers.Services = append(s.Checkers.Services, v)
	}
	return s
}

// TestCardinality: the number of series is what the reference says, and a farm that is
// too large is told without its single servers.
func TestCardinality(t *testing.T) {
	series := func(d *Daemon) (all, servers int) {
		for _, line := range strings.Split(scrape(t, d), "\n") {
			if line == "" || line[0] == '#' {
				continue
			}
			all++
			if strings.Contains(line, `server="`) {
				servers++
			}
		}
		return all, servers
	}
	secure, plain := farm(10, 10), farm(10, 10)
	for i := range plain.Checkers.Services {
		for j := range plain.Checkers.Services[i].Servers {
			plain.Checkers.Services[i].Servers[j].Checks[0].Expires = time.Time{}
		}
	}
	for want, state := range map[int]*control.Status{24: plain, 25: secure} {
		if _, few := series(testDaemon(t, state)); few != want*100 {
			t.Errorf("%d series for 100 real servers, the reference says %d for each", few, want)
		}
	}
	large := testDaemon(t, farm(10, 10), func(w *config.Web) { w.MaxServerSeries = 99 })
	all, servers := series(large)
	if servers != 0 || all == 0 || !strings.Contains(scrape(t, large), "\ndirector_real_server_metrics_omitted 100\n") {
		t.Errorf("%d series of single servers beyond the limit", servers)
	}
}

// BenchmarkScrape is of 2,000 virtual servers with 20 real servers each.
func BenchmarkScrape(b *testing.B) {
	for _, most := range []int{5000, 100_000} {
		b.Run(fmt.Sprintf("max_server_series=%d", most), func(b *testing.B) {
			d := testDaemon(b, farm(2000, 20), func(w *config.Web) { w.MaxServerSeries = most })
			n := 0
			for b.Loop() {
				n = len(scrape(b, d))
			}
			b.ReportMetric(float64(n), "B/scrape")
		})
	}
}

// TestReference: docs/metrics.md is what the code says.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Metrics

Every metric of /metrics, generated from the code. [monitoring.md](monitoring.md) tells how to use them. All values of one scrape
are of one state; counters begin anew when the process that counts is started again. "Series" says how many there are.

The label of a VRRP instance is ` + "`vrrp_instance`" + `, because Prometheus itself calls what it scrapes ` + "`instance`" + `. Both address families
of an instance have series of their own. ` + "`service`" + ` is the name of a virtual server, ` + "`server`" + ` that of a real server. A real server with
one check has 24 series, 25 where the check speaks TLS: with more than ` + "`web.max_server_series`" + ` (5000) real servers there are none of single ones. Reasons are those of
[operating.md](operating.md) (` + "`reason_code`" + `); reasons and kinds of transition have a series once they occurred.
`)
	sections := map[string]string{
		"director_build": "The daemon", "director_vrrp_instance": "VRRP", "director_vrrp_tracker": "Trackers, alarms, BFD",
		"director_virtual_server_info": "Virtual servers", "director_real_server_metrics": "Real servers and checks", "director_ipvs_comparisons": "The kernel's table",
	}
	for _, f := range families() {
		for prefix, title := range sections {
			if strings.HasPrefix(f.name, prefix) {
				fmt.Fprintf(&b, "\n## %s\n\n| metric | type | labels | meaning | series |\n|---|---|---|---|---|\n", title)
				delete(sections, prefix)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | one per %s |\n", f.name, f.kind, strings.Join(f.labels, ", "), f.help, f.per)
	}
	if len(sections) > 0 {
		t.Errorf("no metric begins the sections %v", sections)
	}
	golden(t, "../../../docs/metrics.md", b.String())
}
