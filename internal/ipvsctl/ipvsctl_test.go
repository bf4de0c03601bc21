package ipvsctl

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/ipvs"
	"director/ipvs/ipvstest"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// The limits are those of ipvsadm 1.31.
func TestNumbersAreRoundedAsByIpvsadm(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "        0", 99_999_999: " 99999999", 100_000_000: "  100000K", 999_999_999: "  999999K", 1_000_000_000: "    1000M",
		99_999_999_999: "   99999M", 100_000_000_000: "     100G", 99_999_999_999_999: "   99999G", 100_000_000_000_000: "     100T", 1<<64 - 1: "18446744T",
	} {
		if got := (View{}).number(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
	for n, want := range map[uint64]string{7: "        7", 123_456_789: " 123456789", 1<<64 - 1: " 18446744073709551615"} {
		if got := (View{Exact: true}).number(n); got != want {
			t.Errorf("exact %d: got %q, want %q", n, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	n := NewNames(strings.NewReader("# comment\nhttp\t80/tcp\twww # WorldWideWeb\nhttp-late 80/tcp\ndomain 53/udp\nbroken\nwild x/tcp\n"))
	asked := 0
	n.lookup = func(_ context.Context, addr string) ([]string, error) {
		asked++
		if addr == "192.0.2.1" {
			return []string{"www.example.com."}, nil
		}
		return nil, errors.New("no such host")
	}
	for a, want := range map[string]string{
		"192.0.2.1:80": "www.example.com:http", "192.0.2.1:53": "www.example.com:53", "192.0.2.2:80": "192.0.2.2:http", "[2001:db8::1]:443": "[2001:db8::1]:443",
	} {
		if got := n.of(ap(a), "TCP"); got != want {
			t.Errorf("%s: got %q, want %q", a, got, want)
		}
	}
	if asked != 3 {
		t.Errorf("the resolver was asked %d times for 3 addresses", asked)
	}
	if got := (*Names)(nil).of(ap("192.0.2.1:80"), "tcp"); got != "192.0.2.1:80" {
		t.Errorf("without names: %q", got)
	}
	if p, err := n.Parsing().Port("www", ipvs.TCP); p != 80 || err != nil {
		t.Errorf("www is %d, %v", p, err)
	}
	if _, err := n.Parsing().Port("domain", ipvs.TCP); err == nil || !strings.Contains(err.Error(), "no port domain of tcp") {
		t.Errorf("got %v", err)
	}
}

func TestFilter(t *testing.T) {
	c := ipvs.Connection{Protocol: "TCP", State: "ESTABLISHED", Client: ap("198.51.100.7:4000"), Virtual: ap("192.0.2.1:80"), Server: ap("10.0.0.1:8080")}
	binding := c
	binding.Client = ap("198.51.100.7:0")
	for _, f := range []struct {
		filter Filter
		has    bool
	}{
		{Filter{}, true},
		{Filter{Client: netip.MustParsePrefix("198.51.100.0/24")}, true}, {Filter{Client: netip.MustParsePrefix("198.51.101.0/24")}, false},
		{Filter{Virtual: ap("192.0.2.1:80")}, true}, {Filter{Virtual: ap("192.0.2.1:0")}, true}, {Filter{Virtual: ap("192.0.2.1:81")}, false},
		{Filter{Server: ap("10.0.0.1:0")}, true}, {Filter{Server: ap("10.0.0.1:80")}, false}, {Filter{Server: ap("10.0.0.2:8080")}, false},
		{Filter{Protocol: "tcp"}, true}, {Filter{Protocol: "udp"}, false}, {Filter{State: "established"}, true}, {Filter{State: "SYN_RECV"}, false},
		{Filter{WithoutBinding: true}, true},
	} {
		if f.filter.Has(c) != f.has {
			t.Errorf("%+v: %v", f.filter, !f.has)
		}
	}
	if !(Filter{}).Has(binding) || (Filter{WithoutBinding: true}).Has(binding) {
		t.Error("templates are not told from connections")
	}
}

func TestCounts(t *testing.T) {
	n := Counts{}
	for _, s := range []string{"TCP ESTABLISHED", "UDP UDP", "TCP FIN_WAIT", "TCP ESTABLISHED"} {
		p, state, _ := strings.Cut(s, " ")
		n.Add(ipvs.Connection{Protocol: p, State: state})
	}
	const want = "Prot State        Connections\nTCP  ESTABLISHED            2\nTCP  FIN_WAIT               1\nUDP  UDP                    1\nall                         4\n"
	if d := cmp.Diff(want, n.Text()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]StateCount{{"TCP", "ESTABLISHED", 2}, {"TCP", "FIN_WAIT", 1}, {"UDP", "UDP", 1}}, n.List()); d != "" {
		t.Error(d)
	}
}

// parse reads commands that are right.
func parse(t *testing.T, text string) []ipvs.Command {
	t.Helper()
	list, err := ipvs.ParseCommands(text, ipvs.Names{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPlanRestore(t *testing.T) {
	const have = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n-A -t 192.0.2.9:80 -s rr\n"
	for _, c := range []struct {
		name, text string
		how        How
		clear      bool
		ops        []string
		err        string
	}{
		{name: "added to what is there", text: "-A -t 192.0.2.2:80\n-a -t 192.0.2.1:80 -r 10.0.0.2 -m\n-D -t 192.0.2.9:80",
			ops: []string{"-A -t 192.0.2.2:80 -s wlc", "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1", "-D -t 192.0.2.9:80"}},
		{name: "there already", text: "-A -t 192.0.2.2:80\n-A -t 192.0.2.9:80", err: "line 2: add 192.0.2.9:80/tcp: it is in the table already"},
		{name: "outcome only", text: "-D -t 192.0.2.9:80\n-A -t 192.0.2.9:80 -s rr"},
		{name: "cleared by the text", text: "-C\n-A -t 192.0.2.9:80 -s rr", clear: true, ops: []string{"-A -t 192.0.2.9:80 -s rr"}},
		{name: "cleared", text: "-A -t 192.0.2.9:80 -s rr", how: Replace, clear: true, ops: []string{"-A -t 192.0.2.9:80 -s rr"}},
		{name: "by difference", text: "-C\n-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 2", how: Differ,
			ops: []string{"-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 2", "-D -t 192.0.2.9:80"}},
		{name: "against an empty table", text: "-a -t 192.0.2.1:80 -r 10.0.0.2", how: Differ, err: "line 1: add 192.0.2.1:80/tcp 10.0.0.2:80: the table has no such service"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := ipvs.Table{}
			if err := table.Run(parse(t, have)); err != nil {
				t.Fatal(err)
			}
			got, err := PlanRestore(table, parse(t, c.text), c.how)
			if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
				t.Fatalf("got %v, want %q", err, c.err)
			}
			var ops []string
			for _, op := range got.Ops {
				ops = append(ops, op.String())
			}
			if d := cmp.Diff(c.ops, ops); d != "" || got.Clear != c.clear {
				t.Errorf("clear %v\n%s", got.Clear, d)
			}
			if table.String() != have {
				t.Error("planning has changed the table")
			}
			k := ipvstest.New(table)
			if err := got.Run(k); err != nil && c.err == "" {
				t.Error(err)
			}
		})
	}
}

func TestRestoreTellsEachFailure(t *testing.T) {
	k := ipvstest.New(nil)
	k.OnApply = func(op ipvs.Op) error {
		if op.Key.Addr.Port() == 81 {
			return errors.New("no memory")
		}
		return nil
	}
	r, err := PlanRestore(ipvs.Table{}, parse(t, "-A -t 192.0.2.1:80\n-A -t 192.0.2.1:81\n-A -t 192.0.2.1:82"), Add)
	if err != nil {
		t.Fatal(err)
	}
	err = r.Run(k)
	if err == nil || err.Error() != "ipvs: add 192.0.2.1:81/tcp: no memory\n1 of 3 changes failed" {
		t.Errorf("got %v", err)
	}
	if have, _ := k.Dump(); len(have) != 2 {
		t.Errorf("the table is\n%s", have)
	}
}

func TestDocument(t *testing.T) {
	table, key := ipvs.Table{}, ipvs.AddrService(ipvs.UDP, ap("192.0.2.1:53"))
	e := table.Set(key, ipvs.Service{Scheduler: "sh", Flags: ipvs.FlagOnePacket | ipvs.FlagSched2, PersistenceTimeout: 60, PersistenceMask: ipvs.Mask(ipvs.IPv4, 24)})
	e.Dests[ap("10.0.0.1:53")] = ipvs.Destination{Forwarding: ipvs.Tunnel, Weight: 3, TunnelType: ipvs.GUE, TunnelPort: 6080, TunnelFlags: ipvs.TunnelRemoteChecksum, UpperThreshold: 9}
	stats := ipvs.Stats{key: {Counters: ipvs.Counters{InBytes: 1 << 40, InByteRate: 5}, Dests: map[ipvs.DestKey]ipvs.DestStats{ap("10.0.0.1:53"): {Active: 1, Inactive: 2, Persistent: 3}}}}
	got := Table{Version: "1.2.1", Size: 4096, Table: table, Stats: stats}.Document()
	want := Document{Version: "1.2.1", Size: 4096, Services: []Service{{
		Protocol: "udp", Address: "192.0.2.1:53", Family: "ipv4", Scheduler: "sh", SchedulerFlags: []string{"sh-port"}, OnePacket: true, PersistenceTimeout: 60, PersistenceMask: "255.255.255.0",
		Servers: []Server{{Address: "10.0.0.1:53", Forwarding: "tunnel", Weight: 3, UpperThreshold: 9, Tunnel: &Tunnel{"gue", 6080, "remote-checksum"}, Active: 1, Inactive: 2, Persistent: 3}},
	}}}
	want.Services[0].Counters.InBytes, want.Services[0].Rates.InBytes = 1<<40, 5
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if c := Of(ipvs.Connection{Protocol: "TCP", Client: ap("192.0.2.1:1"), Virtual: ap("192.0.2.2:2"), Server: ap("192.0.2.3:3"), Expires: time.Minute}); c.Expires != 60 || c.Server != "192.0.2.3:3" {
		t.Errorf("got %+v", c)
	}
}
