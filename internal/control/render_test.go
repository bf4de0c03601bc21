package control

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func at(ago time.Duration) time.Time { return renderNow.Add(-ago) }

var renderNow = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func calm() *Status {
	return &Status{
		Version: "0.1.0", RouterID: "lb1", ConfigPath: "/etc/director/director.toml", Generation: 1, LoadedAt: at(26*time.Hour + 5*time.Minute),
		Processes: []Process{
			{Role: "parent", PID: 100, State: "running", StartedAt: at(26*time.Hour + 5*time.Minute)},
			{Role: "vrrp", PID: 102, State: "running", StartedAt: at(26*time.Hour + 5*time.Minute)},
			{Role: "checkers", State: "not needed"},
			{Role: "web", PID: 104, State: "running", StartedAt: at(26*time.Hour + 5*time.Minute), Listen: []string{"127.0.0.1:9650"}},
		},
		VRRP: &VRRP{Generation: 1, Instances: []Instance{{
			Name: "web", Interface: "eth0", VRID: 80, Version: 3, State: "MASTER", Since: at(133 * time.Second),
			Reason: "no advert from 10.0.0.2 (priority 90) for 3.609s", Priority: 100, BasePriority: 100, AdvertsHeard: 7,
			Addresses: []Address{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Device: "eth0", Installed: true}},
		}}},
	}
}

// farm has many virtual servers, of which a few are not in order, or as many as bad says.
func farm(services, bad int) *Status {
	s := calm()
	s.FileChanged = at(5 * time.Minute)
	s.Checkers = &Checkers{Reconciled: at(time.Minute)}
	for i := range services {
		v := Service{Name: fmt.Sprintf("web%04d", i), Address: fmt.Sprintf("192.0.2.%d:80/tcp", i%250), Scheduler: "wlc", Forwarding: "nat", State: "up", Since: at(time.Hour),
			Reason: "quorum gained: healthy weight 1, 1 needed", Quorum: 1, Installed: true}
		for j := range 4 {
			r := Server{Name: fmt.Sprintf("app%d", j), Address: fmt.Sprintf("10.0.0.%d:80", j), Health: "up", Since: at(time.Hour), Weight: 1, EffectiveWeight: 1, KernelWeight: 1, Installed: true, Active: 7}
			if i < bad && j == 0 {
				r.Health, r.Reason, r.Installed, r.KernelWeight = "down", "check failed: tcp: connection refused", false, -1
			}
			v.Servers = append(v.Servers, r)
		}
		v.UpWeight = 4
		if i < bad {
			v.UpWeight = 3
		}
		if bad > 30 && i == 50 {
			v.State, v.Reason = "down", "quorum lost: healthy weight 3, 4 needed"
		}
		s.Checkers.Services = append(s.Checkers.Services, v)
	}
	if services > 7 {
		s.Checkers.Services[7].Servers[2].Override = &Override{Order: VerbDrain, Author: "root", Since: at(time.Minute), Reason: "kernel"}
	}
	return s
}

func troubled() *Status {
	s := calm()
	s.Generation = 3
	s.LoadedAt = at(3 * time.Hour)
	s.LastReload = &ReloadResult{At: at(40 * time.Second), Errors: []string{
		`/etc/director/director.toml:12: vrrp_instance.web.priority: 300 is out of range, allowed is a whole number from 1 to 255`,
		`/etc/director/director.toml:14: vrrp_instance.web.virtual_router: unknown key, did you mean virtual_router_id?`,
	}}
	s.Processes = []Process{
		{Role: "parent", PID: 100, State: "running", StartedAt: at(3 * time.Hour)},
		{Role: "vrrp", PID: 1402, State: "running", StartedAt: at(8 * time.Second), Restarts: 2, LastExit: "signal: killed", Stale: true},
		{Role: "checkers", State: "respawn in 4s", Restarts: 5, LastExit: "exit status 1"},
		{Role: "web", PID: 1500, State: "running", StartedAt: at(3 * time.Hour), Listen: []string{"127.0.0.1:9650", "[::1]:9650"}},
	}
	s.LogLevels = []LogLevel{
		{Process: "vrrp", Level: "debug", Configured: "info", Ordered: true, Author: "root for alice", Until: at(-9 * time.Minute)},
		{Process: "checkers", Level: "debug", Configured: "info", Ordered: true, Author: "root for alice", Until: at(-9 * time.Minute)},
		{Process: "web", Level: "error", Configured: "info", Ordered: true, Author: "root"},
	}
	s.VRRP.Repairs, s.VRRP.Repaired = 1, at(2*time.Minute)
	s.VRRP.Instances = []Instance{
		{
			Name: "web", Interface: "eth0", VRID: 80, Version: 3, State: "BACKUP", Since: at(12 * time.Second), PreemptsAt: at(-42 * time.Second),
			Reason: "heard 10.0.0.2 with the higher priority 90", Priority: 80, BasePriority: 100, Master: "10.0.0.2", MasterPriority: 90,
			Terms: []PriorityTerm{{Source: "script chk_nginx", Value: -20, Note: "down, weight -20"}, {Source: "script chk_dns", Value: 0, Up: true, Note: "up, weight -5"},
				{Source: "interface eth2", Fault: true, Note: "down, FAULT while down: interface eth2 is down"}},
			Addresses: []Address{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Device: "eth0"}, {Prefix: netip.MustParsePrefix("2001:db8::1/64"), Device: "eth0", Installed: true}},
			Peers: []Peer{
				{Address: netip.MustParseAddr("10.0.0.2"), Heard: 4711, LastHeard: at(time.Second)},
				{Address: netip.MustParseAddr("10.0.0.3")},
				{Address: netip.MustParseAddr("10.0.0.1"), Self: true},
			},
			Paths: []Path{
				{Name: "eth0", Interface: "eth0", Own: true, State: PathSilent, Since: at(8 * time.Second), Heard: 12, LastHeard: at(12 * time.Second), From: "10.0.0.2"},
				{Name: "eth1", Interface: "eth1", State: PathUp, Sent: 1, Heard: 17, LastHeard: at(time.Second), From: "10.0.0.2"},
				{Name: "eth2 to 198.51.100.2", Interface: "eth2", State: PathDown, Note: "interface eth2 is down"},
				{Name: "eth3", Interface: "eth3", State: PathUp},
			},
			Discards: map[string]uint64{"wrong_password": 7, "wrong_ttl": 12, "bad_checksum": 0, "not_running": 30},
		},
		{
			Peers: []Peer{{Address: netip.MustParseAddr("10.0.17.2")}},
			Paths: []Path{{Name: "eth1", Interface: "eth1", State: PathUp, Sent: 400}},
			Name:  "db", Interface: "bond0.17", VRID: 81, Version: 2, State: "MASTER", Since: at(400 * time.Hour), Reason: "address owner (priority 255) started", Priority: 255, BasePriority: 255,
			Addresses: []Address{
				{Prefix: netip.MustParsePrefix("192.0.2.7/24"), Device: "bond0.17", Error: "permission denied"},
				{Prefix: netip.MustParsePrefix("192.0.2.8/24"), Device: "bond0.17"},
			},
		},
		{Name: "lab", Interface: "eth9", VRID: 9, Version: 3, State: "FAULT", Since: at(time.Minute), Reason: "interface eth9 does not exist", Priority: 50, BasePriority: 50},
	}
	s.VRRP.Groups = []Group{{Name: "farm", Members: []string{"web", "db"}, State: "BACKUP", Since: at(12 * time.Second),
		Reason: "web: heard 10.0.0.2", Waiting: "db would take over, waiting for web (BACKUP)"}}
	s.VRRP.BFD = []BFD{
		{Name: "peer", Neighbor: netip.MustParseAddr("10.0.0.2"), Interface: "eth0", State: "Up", Since: at(3 * time.Hour), Reason: "10.0.0.2 and this host hear each other",
			RemoteState: "Up", RemoteDiscr: 7, TxInterval: 50 * time.Millisecond, RxInterval: 50 * time.Millisecond, DetectTime: 150 * time.Millisecond, Sent: 3840, Received: 3838},
		{Name: "gateway", Neighbor: netip.MustParseAddr("198.51.100.1"), Multihop: true, State: "Down", Since: at(time.Minute), Reason: "198.51.100.1 says that its session is down (none)",
			RemoteState: "Down", RemoteDiag: "path_down", RemoteDiscr: 8, TxInterval: time.Second, DetectTime: 3 * time.Second, Sent: 60, Unsent: 3,
			Discards: map[string]uint64{"ttl": 7, "my_discriminator": 1}, Error: "sendto: network is unreachable"},
		{Name: "new", Neighbor: netip.MustParseAddr("2001:db8::2"), State: "Down", Since: at(time.Second), Reason: "started", RemoteState: "Down"},
	}
	s.VRRP.BFDStrays = map[string]uint64{"unknown_session": 4}
	s.VRRP.Trackers = []Tracker{
		{Kind: "interface", Name: "eth2", State: "down", Since: at(12 * time.Second), Detail: "interface eth2 is down"},
		{Kind: "target", Name: "gateway", State: "up", Since: at(3 * time.Hour), Detail: "reply in 312µs"},
		{Kind: "file", Name: "maintenance", State: "unknown"},
	}
	s.VRRP.Scripts = []Script{
		{Name: "chk_nginx", State: "down", Since: at(12 * time.Second), LastRun: at(time.Second), Duration: 3456 * time.Microsecond, Result: "exit status 1", Output: "nginx is\nnot \x1b[31mrunning"},
		{Name: "chk_dns", State: "up", Since: at(3 * time.Hour), LastRun: at(0), Duration: 2*time.Second + 34*time.Millisecond, Result: "exit status 0", Output: "fine"},
		{Name: "chk_new", State: "unknown"},
		{Name: "chk_slow", State: "unknown", Since: at(4 * time.Second), LastRun: at(4 * time.Second)},
	}
	s.VRRP.Failures = []Failure{{What: "add 192.0.2.7/24 to bond0.17", Error: "permission denied", Since: at(400 * time.Hour), Count: 1017}}
	s.Notify = []NotifyChannel{
		{Channel: "script", Sent: 7},
		{Channel: "mail", Sent: 12, Failed: 3, Dropped: 1, Queued: 2, LastError: "mail server mx: connection refused", LastErrorAt: at(4 * time.Second)},
	}
	s.Checkers = &Checkers{Generation: 2, Repairs: 3, Repaired: at(26 * time.Hour), Services: []Service{
		{
			Name: "web", Address: "192.0.2.1:80/tcp", Scheduler: "wrr", Forwarding: "nat", State: "up", Since: at(3 * time.Hour), Reason: "quorum reached: weight 3 of 2",
			Quorum: 2, UpWeight: 3, Installed: true,
			Servers: []Server{
				{Name: "10.0.1.1:80", Address: "10.0.1.1:80", Health: "up", Since: at(3 * time.Hour), Weight: 3, EffectiveWeight: 2, KernelWeight: 2, Installed: true, Active: 120, Inactive: 4071, Checks: []CheckStatus{
					{Kind: "agent", Target: "10.0.1.1:9707", State: "up", Result: "up 50%", LastRun: at(5 * time.Second), Advice: "50%"},
					{Kind: "ping", State: "up", Result: "answered", LastRun: at(4 * time.Second), Duration: 210 * time.Microsecond},
					{Kind: "http", Target: "10.0.1.1:80/", State: "up", Result: "status 200", LastRun: at(2 * time.Second), Duration: 3456 * time.Microsecond, Warning: "the certificate ends on 2026-03-01, in 5 days"},
				}},
				{Name: "blue", Address: "10.0.1.2:80", Health: "down", Since: at(75 * time.Second), Reason: "http: status 503, wanted 200-299", Weight: 3, KernelWeight: -1, Checks: []CheckStatus{
					{Kind: "http", State: "down", Result: "status 503", LastRun: at(3 * time.Second), Duration: 12 * time.Millisecond},
					{Kind: "ping", State: "up", Result: "answered", LastRun: at(time.Second)},
				}},
				{Name: "10.0.1.3:80", Address: "10.0.1.3:80", Health: "unknown", Weight: 1, Checks: []CheckStatus{{Kind: "tcp", State: "unknown"}}},
			},
		},
		{
			Name: "dns", Address: "fwmark 3", Scheduler: "rr", Forwarding: "dr", State: "sorry", Since: at(5 * time.Second), Reason: "quorum lost: weight 0 of 1", Quorum: 1,
			SorryServers: []Server{{Address: "10.0.9.9:53", Health: "up", Weight: 1, KernelWeight: 1, Installed: true}},
		},
	}}
	return s
}

// many is 40 instances, of which two are not in order.
func many() *Status {
	s := calm()
	one := s.VRRP.Instances[0]
	one.AdvertInterval = time.Second
	s.VRRP.Lateness = Lateness{Count: 4711, Max: 2 * time.Millisecond}
	s.VRRP.Instances = nil
	for n := range 40 {
		i := one
		i.Name, i.VRID, i.AdvertsHeard, i.Source, i.MulticastGroup = fmt.Sprintf("web%02d", n+1), uint8(n+1), 0, "10.0.0.1", "224.0.0.18"
		i.Addresses = []Address{{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)}), 24), Device: "eth0", Installed: true}}
		i.Terms = []PriorityTerm{{Source: "interface eth1", Up: true, Note: "up"}}
		if n%2 == 1 {
			i.State, i.Reason, i.Master, i.MasterPriority, i.AdvertsHeard = "BACKUP", "started", "10.0.0.2", 150, 5
			i.Addresses[0].Installed = false
		}
		s.VRRP.Instances = append(s.VRRP.Instances, i)
	}
	list := s.VRRP.Instances
	list[6].Addresses[0].Error = "permission denied"
	list[13].State, list[13].Master, list[13].Reason = "FAULT", "", "script chk_nginx failed"
	list[13].Terms = append(list[13].Terms, PriorityTerm{Source: "script chk_nginx", Fault: true, Note: "down, FAULT while down: exit status 1"})
	for n := range 14 {
		s.VRRP.Trackers = append(s.VRRP.Trackers, Tracker{Kind: "interface", Name: fmt.Sprintf("eth%d", n), State: "up", Since: at(time.Hour), Detail: "up"})
	}
	s.VRRP.Trackers[3].State = "down"
	return s
}

func TestRender(t *testing.T) {
	for _, tc := range []struct {
		name   string
		status *Status
		view   View
	}{
		{"calm", calm(), View{}},
		{"troubled", troubled(), View{}},
		{"troubled_all", troubled(), View{All: true}},
		{"many", many(), View{}},
		{"alarms", split(), View{}},
		{"farm", farm(12, 2), View{}},
		{"farm_large", farm(2000, 1), View{}},
		{"farm_broken", farm(100, 60), View{}},
		{"colour", troubled(), View{Colour: true}},
		{"empty", &Status{Version: "0.1.0", RouterID: "lb1"}, View{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			tc.view.Now = renderNow
			if err := Render(&out, tc.status, tc.view); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", tc.name+".golden")
			if *update {
				if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out.String()); d != "" {
				t.Errorf("differs from %s (go test -update writes it anew):\n%s", path, d)
			}
		})
	}
}

func TestAges(t *testing.T) {
	v := View{Now: renderNow}
	for want, d := range map[string]time.Duration{
		"0s": -time.Hour, "59s": 59*time.Second + 999*time.Millisecond, "1m0s": time.Minute, "59m59s": time.Hour - time.Second,
		"1h0m": time.Hour, "23h59m": 24*time.Hour - time.Second, "1d0h": 24 * time.Hour, "400d1h": 400*24*time.Hour + 90*time.Minute,
	} {
		if got := v.age(at(d)); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
	if got := v.ago(time.Time{}); got != "never" {
		t.Errorf("never: %s", got)
	}
	for want, d := range map[string]time.Duration{"12µs": 12345, "3.5ms": 3456 * time.Microsecond, "2.03s": 2034 * time.Millisecond} {
		if got := span(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
