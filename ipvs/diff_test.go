package ipvs_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"director/ipvs"
	"director/ipvs/ipvstest"
)

// pool makes a table of one service with servers 10.0.0.N:80, given as
// "N weight" or "N weight method".
func pool(scheduler string, servers ...string) ipvs.Table {
	t := ipvs.Table{}
	e := t.Set(tcp("192.0.2.1:80"), ipvs.Service{Scheduler: scheduler})
	for _, s := range servers {
		var n int
		var d ipvs.Destination
		var method string
		fmt.Sscan(s, &n, &d.Weight, &method)
		d.Forwarding = map[string]ipvs.Forwarding{"": ipvs.NAT, "dr": ipvs.DirectRoute, "tun": ipvs.Tunnel}[method]
		e.Dests[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80)] = d
	}
	return t
}

func TestDiff(t *testing.T) {
	owned := func(k ipvs.ServiceKey) bool { return k.Addr.Port() == 80 }
	stranger := func(t ipvs.Table) ipvs.Table {
		t.Set(tcp("192.0.2.1:25"), ipvs.Service{Scheduler: "rr"})
		return t
	}
	kernelForm := pool("rr", "1 1")
	e := kernelForm[tcp("192.0.2.1:80")]
	e.Service.Flags |= ipvs.FlagHashed
	e.Service.PersistenceMask = ipvs.Mask(ipvs.IPv4, 32)

	for _, c := range []struct {
		name       string
		have, want ipvs.Table
		owned      func(ipvs.ServiceKey) bool
		ops        string
	}{
		{"nothing to nothing", ipvs.Table{}, ipvs.Table{}, owned, ``},
		{"nil tables", nil, nil, nil, ``},
		{"from nothing", ipvs.Table{}, pool("rr", "2 1", "1 1"), owned, `
			-A -t 192.0.2.1:80 -s rr
			-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1
			-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1`},
		{"the same, as the kernel reads it back", kernelForm, pool("rr", "1 1"), owned, ``},
		{"weight", pool("rr", "1 1", "2 1"), pool("rr", "1 1", "2 5"), owned, `
			-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 5`},
		{"forwarding is an edit", pool("rr", "1 1"), pool("rr", "1 1 dr"), owned, `
			-e -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1`},
		{"scheduler is an edit", pool("rr", "1 1"), pool("wlc", "1 1"), owned, `
			-E -t 192.0.2.1:80 -s wlc`},
		{"exchange: add, then delete", pool("rr", "1 1"), pool("rr", "2 1"), owned, `
			-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1
			-d -t 192.0.2.1:80 -r 10.0.0.1:80`},
		{"weights exchanged: up, then down", pool("rr", "1 1", "2 0", "3 2"), pool("rr", "1 0", "2 1", "3 3"), owned, `
			-e -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1
			-e -t 192.0.2.1:80 -r 10.0.0.3:80 -m -w 3
			-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0`},
		{"ours goes, a stranger's stays", stranger(pool("rr", "1 1")), ipvs.Table{}, owned, `
			-D -t 192.0.2.1:80`},
		{"nothing is ours", stranger(pool("rr", "1 1")), ipvs.Table{}, nil, ``},
		{"everything is ours", stranger(pool("rr", "1 1")), ipvs.Table{}, ipvs.Everything, `
			-D -t 192.0.2.1:25
			-D -t 192.0.2.1:80`},
		{"a server that is not ours, in a service that is", pool("rr", "1 1", "9 1"), pool("rr", "1 1"), nil, `
			-d -t 192.0.2.1:80 -r 10.0.0.9:80`},
		{"services: adds first, deletes last", stranger(ipvs.Table{}), pool("rr", "1 1"), ipvs.Everything, `
			-A -t 192.0.2.1:80 -s rr
			-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1
			-D -t 192.0.2.1:25`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got, want []string
			for _, op := range ipvs.Diff(c.have, c.want, c.owned) {
				got = append(got, op.String())
			}
			for line := range strings.Lines(c.ops) {
				if line = strings.TrimSpace(line); line != "" {
					want = append(want, line)
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("wanted (-), got (+):\n%s", d)
			}
		})
	}
}

// members says of each pool whether it has servers, and servers with a weight.
func members(t ipvs.Table, k ipvs.ServiceKey) (some, usable bool) {
	if e := t[k]; e != nil {
		for _, d := range e.Dests {
			some, usable = true, usable || d.Weight > 0
		}
	}
	return some, usable
}

// Applied to any table, the difference to any other one leads there, never
// fails, touches nothing of strangers, and never empties a pool on the way.
func TestDiffLeadsFromAnyTableToAnyOther(t *testing.T) {
	draw := ipvstest.Tables(ipvs.Schedulers())
	rapid.Check(t, func(t *rapid.T) {
		have, want := draw.Draw(t, "have"), draw.Draw(t, "want")
		owned := ipvs.Set{}
		owned.Add(rapid.SliceOf(rapid.SampledFrom(ipvstest.Keys())).Draw(t, "owned")...)

		expected := want.Canonical()
		for k, e := range have.Canonical() {
			if _, ok := expected[k]; !ok && !owned.Has(k) {
				expected[k] = e
			}
		}
		haveBefore, wantBefore := have.Clone(), want.Clone()
		ops := ipvs.Diff(have, want, owned.Has)
		if !cmp.Equal(have.String(), haveBefore.String()) || !cmp.Equal(want.String(), wantBefore.String()) {
			t.Fatal("Diff changed its arguments")
		}

		now := have.Canonical()
		for i, op := range ops {
			if err := now.Apply(op); err != nil {
				t.Fatalf("operation %d of %v: %v", i, ops, err)
			}
			for k := range expected {
				some1, usable1 := members(have, k)
				some2, usable2 := members(expected, k)
				some, usable := members(now, k)
				if some1 && some2 && !some {
					t.Fatalf("%v is empty after operation %d of %v", k, i, ops)
				}
				if usable1 && usable2 && !usable {
					t.Fatalf("%v takes no connections after operation %d of %v", k, i, ops)
				}
			}
		}
		if d := cmp.Diff(expected.String(), now.String()); d != "" {
			t.Fatalf("wanted (-), reached (+):\n%s", d)
		}
		if again := ipvs.Diff(now, want, owned.Has); len(again) > 0 {
			t.Fatalf("a second difference: %v", again)
		}
	})
}

func TestApplyChangesNothingWhenItFails(t *testing.T) {
	tab := pool("rr", "1 1")
	before := tab.String()
	k := tcp("192.0.2.1:80")
	for _, op := range []ipvs.Op{
		{Kind: ipvs.AddService, Key: k, Service: ipvs.Service{Scheduler: "wlc"}},
		{Kind: ipvs.EditDest, Key: k, DestKey: ap("10.0.0.1:80"), Dest: ipvs.Destination{Weight: -5}},
		{Kind: ipvs.AddService, Key: ipvs.ServiceKey{Protocol: ipvs.TCP, Addr: ap("192.0.2.9:80"), Family: ipvs.IPv4}, Service: ipvs.Service{Scheduler: "rr"}},
		{Kind: ipvs.EditService, Key: k, Service: ipvs.Service{Scheduler: "rr\x00"}},
	} {
		err := tab.Apply(op)
		var oe *ipvs.OpError
		var errno syscall.Errno
		if !errors.As(err, &oe) || !errors.As(err, &errno) {
			t.Errorf("%v: %v", op, err)
		}
	}
	if tab.String() != before {
		t.Errorf("changed to:\n%s", tab)
	}
}

// A table whose entry was made without a map of servers takes some.
func TestApplyToABareEntry(t *testing.T) {
	k := tcp("192.0.2.1:80")
	tab := ipvs.Table{k: {Service: ipvs.Service{Scheduler: "rr"}}}
	if err := tab.Apply(ipvs.Op{Kind: ipvs.AddDest, Key: k, DestKey: ap("10.0.0.1:80")}); err != nil {
		t.Fatal(err)
	}
	if s, d := tab.Len(); s != 1 || d != 1 {
		t.Errorf("%d services, %d servers", s, d)
	}
}

// One server of 40,000 changes: what a health check costs at the largest.
func BenchmarkDiffOneChange(b *testing.B) {
	have := ipvs.Table{}
	for s := range 2000 {
		e := have.Set(ipvs.AddrService(ipvs.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(s >> 8), byte(s)}), 80)), ipvs.Service{Scheduler: "wlc"})
		for d := range 20 {
			e.Dests[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(s >> 8), byte(s), byte(d + 1)}), 80)] = ipvs.Destination{Weight: 1}
		}
	}
	have = have.Canonical()
	want := have.Clone()
	e := want[have.Keys()[1000]]
	e.Dests[e.Keys()[7]] = ipvs.Destination{}
	for b.Loop() {
		if ops := ipvs.Diff(have, want, nil); len(ops) != 1 {
			b.Fatal(ops)
		}
	}
}
