package control

import (
	"strings"
	"testing"
)

// What a service is told beyond its scheduler, a group, and traffic.
func TestRenderServiceDetails(t *testing.T) {
	s := calm()
	members := []ServiceMember{{Address: "192.0.2.1:80/tcp", Installed: true, Counters: Counters{Connections: 12, InBytes: 999, OutBytes: 1234}}, {Address: "192.0.2.2:80/tcp"}}
	for range 10 {
		members = append(members, ServiceMember{Address: "192.0.2.3:80/tcp", Installed: true})
	}
	s.Checkers = &Checkers{Services: []Service{{
		Name: "web", Address: "192.0.2.1:80/tcp", Group: "vips", Members: members, Scheduler: "mh", State: "up",
		Options:  []string{"mh-port", "persistent for 5m0s by /24"},
		Counters: Counters{Connections: 12, InBytes: 45600, OutBytes: 7890000000}, Rates: Rates{Connections: 3, InBytes: 100, OutBytes: 9999},
		Servers: []Server{
			{Name: "a", Address: "10.0.0.1:80", Health: "up", Forwarding: "tunnel gue 6080 checksum", UpperThreshold: 10},
			{Name: "b", Address: "10.0.0.2:80", Health: "up", Forwarding: "tunnel", UpperThreshold: 10, LowerThreshold: 4},
		},
	}}, Sync: &IPVSSync{Follows: "lan", Learned: 77, Dropped: 5, Daemons: []SyncDaemon{{Role: "backup", What: "backup on eth1, id 7"}}}}
	var b strings.Builder
	if err := Render(&b, s, View{Now: at(0)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"192.0.2.1:80/tcp and 11 more",
		"192.0.2.1:80/tcp: 12 connections, in 999 B, out 1.2 kB",
		"the kernel does not have 192.0.2.2:80/tcp",
		"... 3 more ...",
		"mh-port, persistent for 5m0s by /24",
		"12 connections, in 46 kB, out 7.9 GB; now 3/s, in 100 B/s, out 10 kB/s",
		"by tunnel gue 6080 checksum",
		"from 10 connections until it is below three quarters of that",
		"from 10 connections until it is below 4",
		"backup on eth1, id 7  not running",
		"follows the instance lan",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
