package snmpd

import (
	"flag"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

var update = flag.Bool("update", false, "write testdata/sample.walk anew")

// sample is a state with a value for every object that is answered for.
func sample(t *testing.T) (*agentx.View, *state) {
	t.Helper()
	text, err := os.ReadFile("testdata/sample.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("sample.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	held := func(prefix, device string, installed bool) control.Address {
		return control.Address{Prefix: netip.MustParsePrefix(prefix), Device: device, Installed: installed}
	}
	s := &state{config: c, refresh: 5 * time.Second, links: map[string]link{"lo": {index: 1}, "eth0": {2, "\x02\x00\x00\x00\x00\x02"}, "eth1": {3, "\x02\x00\x00\x00\x00\x03"}, "eth2": {index: 4}}, status: &control.Status{
		Version: "1.2.3", RouterID: "lb-a",
		VRRP: &control.VRRP{
			Instances: []control.Instance{
				{Name: "VI_4", Family: "ipv4", State: "MASTER", Code: "master_down", Priority: 90, MulticastGroup: "224.0.0.18", Source: "192.0.2.1",
					AdvertInterval: time.Second, AdvertsHeard: 1<<32 + 7,
					Moves:     []control.Move{{To: "MASTER", Count: 2}, {To: "BACKUP", Count: 5}, {To: "MASTER", Count: 1}},
					Discards:  map[string]uint64{"bad_checksum": 1, "wrong_version": 2, "zero_interval": 3, "interval_mismatch": 4, "wrong_ttl": 5, "wrong_type": 6, "no_address": 7, "truncated": 8},
					Dropped:   []control.Dropped{{Reason: "wrong_ttl", Last: time.Unix(5, 0)}, {Reason: "bad_checksum", Last: time.Unix(9, 0)}, {Reason: "no_address", Last: time.Unix(10, 0)}},
					Addresses: []control.Address{held("192.0.2.100/24", "eth0", true), held("192.0.2.101/32", "eth0", true), held("198.51.100.1/32", "eth1", true)},
					Routes:    []control.KernelItem{{Installed: true}, {}}, Rules: []control.KernelItem{{}, {Installed: true}}},
				{Name: "both", Family: "ipv4", State: "MASTER", Priority: 100, MulticastGroup: "224.0.0.18", Addresses: []control.Address{held("192.0.2.110/24", "eth0", true)},
					Routes: []control.KernelItem{{Installed: true}}},
				{Name: "both", Family: "ipv6", State: "BACKUP", HeldBack: "a gate", Priority: 101, MulticastGroup: "ff02::12", Source: "fe80::1%eth0", Master: "fe80::2%eth0",
					Addresses: []control.Address{held("2001:db8::110/64", "eth0", false)}, Routes: []control.KernelItem{{}}},
				{Name: "old", Family: "ipv4", State: "FAULT", Priority: 100, Source: "192.0.2.1", AdvertInterval: 2 * time.Second,
					Moves: []control.Move{{To: "MASTER", Count: 4}}, AdvertsHeard: 9,
					Discards:  map[string]uint64{"bad_checksum": 11, "wrong_version": 12, "wrong_password": 13, "wrong_auth_type": 14, "wrong_ttl": 15},
					Addresses: []control.Address{held("192.0.2.120/24", "eth1", false)}},
			},
			Groups:   []control.Group{{Name: "G", State: "FAULT"}},
			Scripts:  []control.Script{{Name: "nginx", State: "down"}},
			Trackers: []control.Tracker{{Kind: "file", Name: "maintenance", Number: -3, State: "down"}, {Kind: "process", Name: "nginx", Number: 4, State: "up"}},
			BFD:      []control.BFD{{Name: "router", State: "Up", Verdict: "up"}},
			Static:   []control.KernelItem{{What: "a setting"}, {Installed: true}, {Installed: true}, {}},
		},
		Checkers: &control.Checkers{Services: []control.Service{
			{Name: "web", State: "up",
				Counters: control.Counters{Connections: 1<<33 + 5, InPackets: 1<<32 + 7, OutPackets: 8, InBytes: 1 << 40, OutBytes: 10},
				Rates:    control.Rates{Connections: 1<<32 + 11, InPackets: 12, OutPackets: 13, InBytes: 1<<33 + 14, OutBytes: 15},
				Servers: []control.Server{
					{Name: "web1", Health: "up", Weight: 10, EffectiveWeight: 7, Active: 3, Inactive: 4, Persistent: 5, Counters: control.Counters{Connections: 21}},
					{Name: "10.0.0.2:80", Health: "down", EffectiveWeight: 1, Checks: []control.CheckStatus{{State: "down"}, {State: "up"}}},
				},
				SorryServers: []control.Server{{Name: "10.0.0.9:80", Health: "up"}}},
			{Name: "six", State: "sorry"},
		}},
	}}
	a := agent()
	v, err := agentx.NewView(s.objects(&a))
	if err != nil {
		t.Fatal(err)
	}
	return v, s
}

// TestSample compares a walk of the sample with a list that was read by people.
func TestSample(t *testing.T) {
	v, _ := sample(t)
	mib := readMIBs(t)
	var b strings.Builder
	for at := v.Next(agentx.Range{}); at.Value.Type != agentx.TypeEndOfMIBView; at = v.Next(agentx.Range{Start: at.Name}) {
		n := len(at.Name)
		for mib[at.Name[:n].String()].name == "" {
			n--
		}
		b.WriteString(mib[at.Name[:n].String()].name + "." + at.Name[n:].String() + " = " + at.Value.String() + "\n")
	}
	const golden = "testdata/sample.walk"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(b.String(), "\n")); diff != "" {
		t.Errorf("the walk (-want +got):\n%s", diff)
	}
}

// What is longer than a DisplayString may be is cut off.
func TestLongText(t *testing.T) {
	if v := command([]string{strings.Repeat("x", 300)}); len(v.Bytes) != 255 {
		t.Errorf("%d bytes", len(v.Bytes))
	}
	if v := text(""); v.There() {
		t.Error("an empty text is there")
	}
}
