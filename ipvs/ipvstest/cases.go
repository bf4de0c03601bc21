package ipvstest

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"director/ipvs"
)

var (
	web  = ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("192.0.2.1:80"))
	web6 = ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("[2001:db8::1]:80"))
	dns  = ipvs.AddrService(ipvs.UDP, netip.MustParseAddrPort("192.0.2.1:53"))
	wlc  = ipvs.Service{Scheduler: "wlc"}
	rr   = ipvs.Service{Scheduler: "rr"}
	one  = ipvs.Destination{Weight: 1}
)

func dest(s string) ipvs.DestKey { return netip.MustParseAddrPort(s) }

func add(k ipvs.ServiceKey, s ipvs.Service) ipvs.Op {
	return ipvs.Op{Kind: ipvs.AddService, Key: k, Service: s}
}

func edit(k ipvs.ServiceKey, s ipvs.Service) ipvs.Op {
	return ipvs.Op{Kind: ipvs.EditService, Key: k, Service: s}
}

func remove(k ipvs.ServiceKey) ipvs.Op { return ipvs.Op{Kind: ipvs.DeleteService, Key: k} }

func addDest(k ipvs.ServiceKey, d string, to ipvs.Destination) ipvs.Op {
	return ipvs.Op{Kind: ipvs.AddDest, Key: k, DestKey: dest(d), Dest: to}
}

func editDest(k ipvs.ServiceKey, d string, to ipvs.Destination) ipvs.Op {
	return ipvs.Op{Kind: ipvs.EditDest, Key: k, DestKey: dest(d), Dest: to}
}

func removeDest(k ipvs.ServiceKey, d string) ipvs.Op {
	return ipvs.Op{Kind: ipvs.DeleteDest, Key: k, DestKey: dest(d)}
}

// table builds a table by the model's own rules.
func table(t T, ops ...ipvs.Op) ipvs.Table {
	t.Helper()
	m := ipvs.Table{}
	for _, op := range ops {
		if err := m.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func schedulers(t *testing.T, b Bed) {
	if len(b.Schedulers) < 10 {
		t.Fatalf("only %d schedulers: %v", len(b.Schedulers), b.Schedulers)
	}
	var ops []ipvs.Op
	for i, s := range b.Schedulers {
		k := ipvs.AddrService(ipvs.TCP, netip.AddrPortFrom(web.Addr.Addr(), uint16(1000+i)))
		ops = append(ops, add(k, ipvs.Service{Scheduler: s}), addDest(k, "10.0.0.1:80", one), addDest(k, "10.0.0.2:80", one))
	}
	b.reach(t, table(t, ops...))
	for _, s := range b.Schedulers { // each in the place of each other, with servers in the pool
		b.reach(t, table(t, add(web, ipvs.Service{Scheduler: s}), addDest(web, "10.0.0.1:80", one)))
	}
	for _, s := range []string{"sh", "mh"} {
		b.reach(t, table(t, add(web, ipvs.Service{Scheduler: s, Flags: ipvs.FlagSched1})))
		b.reach(t, table(t, add(web, ipvs.Service{Scheduler: s, Flags: ipvs.FlagSched1 | ipvs.FlagSched2})))
	}
	b.reach(t, table(t, add(web, ipvs.Service{Scheduler: "rr", Flags: ipvs.FlagSched3})))
	b.reach(t, table(t, add(dns, ipvs.Service{Scheduler: "rr", Flags: ipvs.FlagOnePacket})))
}

func forwarding(t *testing.T, b Bed) {
	methods := []ipvs.Destination{
		{Weight: 1, Forwarding: ipvs.NAT},
		{Weight: 1, Forwarding: ipvs.DirectRoute},
		{Weight: 1, Forwarding: ipvs.Tunnel},
		{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE, TunnelPort: 6080},
		{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE, TunnelPort: 6081, TunnelFlags: ipvs.TunnelChecksum},
		{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE, TunnelPort: 6081, TunnelFlags: ipvs.TunnelRemoteChecksum},
		{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GRE},
		{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GRE, TunnelFlags: ipvs.TunnelChecksum},
	}
	for i, from := range methods {
		for _, to := range methods[i:] {
			b.reach(t, table(t, add(web, wlc), addDest(web, "10.0.0.1:80", from), addDest(web, "10.0.0.2:80", to)))
			b.reach(t, table(t, add(web, wlc), addDest(web, "10.0.0.1:80", to), addDest(web, "10.0.0.2:80", from)))
		}
		// A change of weight leaves the tunnel as it is.
		from.Weight = 0
		b.apply(t, editDest(web, "10.0.0.1:80", from))
		b.holds(t, table(t, add(web, wlc), addDest(web, "10.0.0.1:80", from), addDest(web, "10.0.0.2:80", methods[i])))
		from.Weight = 1
		b.reach(t, table(t, add(web, wlc), addDest(web, "10.0.0.1:80", from), addDest(web, "10.0.0.2:80", from)))
	}
}

func families(t *testing.T, b Bed) {
	tunnel := ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel}
	sctp := ipvs.AddrService(ipvs.SCTP, web6.Addr)
	anyPort := ipvs.AddrService(ipvs.UDP, netip.AddrPortFrom(web6.Addr.Addr(), 0))
	b.reach(t, table(t,
		add(web6, wlc), addDest(web6, "[2001:db8:1::1]:80", one), addDest(web6, "[2001:db8:1::2]:8080", tunnel),
		addDest(web6, "10.0.0.1:80", tunnel), // IPv4 behind IPv6, by a tunnel
		add(web, wlc), addDest(web, "10.0.0.1:80", one), addDest(web, "[2001:db8:1::1]:80", tunnel),
		add(sctp, rr), addDest(sctp, "[2001:db8:1::1]:80", one),
		add(anyPort, ipvs.Service{Scheduler: "rr", PersistenceTimeout: 60}), addDest(anyPort, "[2001:db8:1::1]:0", one),
	))
	// An IPv4-mapped service is an IPv6 one, and none of 10.0.0.7.
	mapped := ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("[::ffff:10.0.0.7]:80"))
	b.reach(t, table(t, add(mapped, rr), addDest(mapped, "[2001:db8:1::1]:80", one)))
	b.reach(t, table(t, add(mapped, ipvs.Service{Scheduler: "wlc", PersistenceTimeout: 9})))
	b.reach(t, ipvs.Table{})
}

func persistence(t *testing.T, b Bed) {
	for _, s := range []ipvs.Service{
		{Scheduler: "rr", PersistenceTimeout: 300},
		{Scheduler: "rr", PersistenceTimeout: 1, PersistenceMask: ipvs.Mask(ipvs.IPv4, 24)},
		{Scheduler: "rr", PersistenceTimeout: 300, PersistenceMask: ipvs.Mask(ipvs.IPv4, 0)},
		{Scheduler: "rr", PersistenceTimeout: 300, PersistenceMask: ipvs.Mask(ipvs.IPv4, 32)},
		{Scheduler: "rr", PersistenceTimeout: ipvs.MaxPersistence, PersistenceMask: netip.MustParseAddr("255.0.255.0")},
		{Scheduler: "rr"},
	} {
		b.reach(t, table(t, add(web, s), addDest(web, "10.0.0.1:80", one)))
	}
	for _, n := range []int{1, 64, 127, 128} {
		s := ipvs.Service{Scheduler: "wlc", PersistenceTimeout: 300, PersistenceMask: ipvs.Mask(ipvs.IPv6, n)}
		b.reach(t, table(t, add(web6, s)))
	}
	b.reach(t, table(t, add(web6, wlc))) // IPv6 without persistence: the kernel wants a mask all the same
	// The engine is read back, so that an edit of something else does not drop it.
	sip := ipvs.Service{Scheduler: "rr", PersistenceTimeout: 60, PersistenceEngine: "sip", Flags: ipvs.FlagOnePacket}
	b.reach(t, table(t, add(dns, sip)))
	sip.Scheduler = "wlc"
	b.reach(t, table(t, add(dns, sip)))
	sip.PersistenceEngine = ""
	b.reach(t, table(t, add(dns, sip)))
}

func marks(t *testing.T, b Bed) {
	four, six := ipvs.MarkService(7, ipvs.IPv4), ipvs.MarkService(7, ipvs.IPv6)
	last := ipvs.MarkService(math.MaxUint32, ipvs.IPv4)
	b.reach(t, table(t,
		add(four, rr), addDest(four, "10.0.0.1:0", one), addDest(four, "10.0.0.1:81", one),
		add(six, ipvs.Service{Scheduler: "wlc", PersistenceTimeout: 10, PersistenceMask: ipvs.Mask(ipvs.IPv6, 64)}),
		addDest(six, "[2001:db8:1::1]:0", one),
		add(last, rr),
	))
	b.apply(t, remove(four))
	if got := b.dump(t); len(got) != 2 || got[six] == nil {
		t.Fatalf("deleting the IPv4 service of a mark left:\n%v", got)
	}
}

func weights(t *testing.T, b Bed) {
	var ops []ipvs.Op
	for i, w := range []int32{0, 1, 100, 65535, 65536, 70000, math.MaxInt32} {
		ops = append(ops, addDest(web, fmt.Sprintf("10.0.0.%d:80", i+1), ipvs.Destination{Weight: w}))
	}
	b.reach(t, table(t, append([]ipvs.Op{add(web, wlc)}, ops...)...))
	b.reach(t, table(t, add(web, wlc),
		addDest(web, "10.0.0.1:80", ipvs.Destination{Weight: 1, UpperThreshold: 100, LowerThreshold: 80}),
		addDest(web, "10.0.0.2:80", ipvs.Destination{Weight: 1, UpperThreshold: math.MaxUint32, LowerThreshold: math.MaxUint32}),
	))
}

// failures checks the error of each operation, and that nothing is changed by one that fails.
func failures(t *testing.T, b Bed) {
	b.apply(t, add(web, wlc), addDest(web, "10.0.0.1:80", one))
	b.apply(t, add(web6, wlc))
	before := b.dump(t)
	for _, c := range []struct {
		op   ipvs.Op
		want error
		text string
	}{
		{add(web, rr), syscall.EEXIST, "ipvs: add 192.0.2.1:80/tcp: file exists"},
		{edit(dns, rr), syscall.ESRCH, "ipvs: edit 192.0.2.1:53/udp: no such process"},
		{remove(dns), syscall.ESRCH, "ipvs: delete 192.0.2.1:53/udp: no such process"},
		{remove(ipvs.MarkService(3, ipvs.IPv6)), syscall.ESRCH, "ipvs: delete fwmark 3 ipv6: no such process"},
		{add(dns, ipvs.Service{Scheduler: "nonesuch"}), syscall.ENOENT, "ipvs: add 192.0.2.1:53/udp: no such file or directory"},
		{edit(web, ipvs.Service{Scheduler: "nonesuch"}), syscall.ENOENT, ""},
		{add(dns, ipvs.Service{Scheduler: "rr", PersistenceTimeout: 9, PersistenceEngine: "nonesuch"}), syscall.ENOENT, ""},
		{addDest(web, "10.0.0.1:80", one), syscall.EEXIST, "ipvs: add 192.0.2.1:80/tcp 10.0.0.1:80: file exists"},
		{addDest(dns, "10.0.0.1:80", one), syscall.ESRCH, ""},
		{editDest(web, "10.0.0.2:80", one), syscall.ENOENT, "ipvs: edit 192.0.2.1:80/tcp 10.0.0.2:80: no such file or directory"},
		{editDest(dns, "10.0.0.2:80", one), syscall.ESRCH, ""},
		{removeDest(web, "10.0.0.1:81"), syscall.ENOENT, "ipvs: delete 192.0.2.1:80/tcp 10.0.0.1:81: no such file or directory"},
		{removeDest(web6, "10.0.0.1:80"), syscall.ENOENT, ""},
		{removeDest(dns, "10.0.0.1:80"), syscall.ESRCH, ""},
		{addDest(web, "10.0.0.2:80", ipvs.Destination{Weight: -1}), syscall.ERANGE, ""},
		{editDest(web, "10.0.0.1:80", ipvs.Destination{Weight: math.MinInt32}), syscall.ERANGE, ""},
		{addDest(web, "10.0.0.2:80", ipvs.Destination{LowerThreshold: 1}), syscall.ERANGE, ""},
		{editDest(web, "10.0.0.1:80", ipvs.Destination{UpperThreshold: 5, LowerThreshold: 6}), syscall.ERANGE, ""},
		{addDest(web, "10.0.0.1:80", ipvs.Destination{Weight: -1}), syscall.ERANGE, ""}, // before EEXIST
		{addDest(web, "10.0.0.2:80", ipvs.Destination{Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE}), syscall.EINVAL, ""},
		{addDest(web, "[2001:db8:1::1]:80", one), syscall.EINVAL, ""},
		{addDest(web6, "10.0.0.1:80", ipvs.Destination{Forwarding: ipvs.DirectRoute}), syscall.EINVAL, ""},
		{add(dns, ipvs.Service{Scheduler: "rr", PersistenceTimeout: ipvs.MaxPersistence + 1}), syscall.ERANGE, ""},
		{add(dns, ipvs.Service{Scheduler: "0123456789abcdef"}), syscall.EINVAL, ""},
		{edit(web6, ipvs.Service{Scheduler: "rr", PersistenceTimeout: 9, PersistenceMask: ipvs.Mask(ipvs.IPv6, 0)}), syscall.EINVAL, ""},
		{edit(web6, ipvs.Service{Scheduler: "rr", PersistenceTimeout: 9, PersistenceMask: ipvs.Mask(ipvs.IPv4, 24)}), syscall.EINVAL, ""},
		{ipvs.Op{Kind: ipvs.AddService, Service: rr}, syscall.EINVAL, ""},
		{ipvs.Op{Kind: ipvs.AddDest, Key: web}, syscall.EINVAL, ""},
		{add(ipvs.AddrService(47, web.Addr), rr), syscall.EINVAL, "ipvs: add 192.0.2.1:80/proto-47: invalid argument: IPVS does not balance proto-47"},
		{remove(ipvs.AddrService(47, web.Addr)), syscall.ESRCH, ""},
		{ipvs.Op{Key: web}, syscall.EINVAL, ""},
	} {
		errs := b.Kernel.Apply([]ipvs.Op{c.op})
		if len(errs) != 1 || !errors.Is(errs[0], c.want) {
			t.Errorf("%v: got %v, want %v", c.op, errs, c.want)
			continue
		}
		var oe *ipvs.OpError
		if !errors.As(errs[0], &oe) || oe.Op != c.op {
			t.Errorf("%v: the error does not carry its operation: %#v", c.op, errs[0])
		}
		if c.text != "" && errs[0].Error() != c.text {
			t.Errorf("%v:\n got %q\nwant %q", c.op, errs[0], c.text)
		}
	}
	b.holds(t, before)
}

func refusedAddresses(t *testing.T, b Bed) {
	b.apply(t, add(web, rr), add(web6, rr))
	for d, ok := range map[string]bool{
		"0.0.0.0:80": false, "0.1.2.3:80": true, "224.0.0.1:80": false, "239.9.9.9:80": false, "255.255.255.255:80": false,
		"127.0.0.1:80": true, "10.0.0.1:0": true, "203.0.113.255:65535": true,
		"[::]:80": false, "[ff02::1]:80": false, "[fe80::1]:80": false, "[::ffff:10.0.0.1]:80": false,
		"[::1]:80": true, "[fc00::1]:80": true, "[2001:db8::ffff]:80": true,
	} {
		k := web
		if dest(d).Addr().Is6() {
			k = web6
		}
		errs := b.Kernel.Apply([]ipvs.Op{addDest(k, d, one)})
		if ok && errs != nil || !ok && (len(errs) != 1 || !errors.Is(errs[0], syscall.EINVAL)) {
			t.Errorf("%s: got %v, want well: %v", d, errs, ok)
		}
	}
}

// editsKeep checks that an edit of one thing leaves all others.
func editsKeep(t *testing.T, b Bed) {
	s := ipvs.Service{Scheduler: "mh", Flags: ipvs.FlagSched2, PersistenceTimeout: 300, PersistenceMask: ipvs.Mask(ipvs.IPv4, 24)}
	d := ipvs.Destination{Forwarding: ipvs.Tunnel, Weight: 3, UpperThreshold: 10, LowerThreshold: 5, TunnelType: ipvs.GUE, TunnelPort: 6080}
	b.reach(t, table(t, add(web, s), addDest(web, "10.0.0.1:80", d), addDest(web, "10.0.0.2:80", d)))
	d.Weight = 0
	b.apply(t, editDest(web, "10.0.0.1:80", d))
	s.Scheduler = "sh"
	b.apply(t, edit(web, s))
	want := table(t, add(web, s), addDest(web, "10.0.0.1:80", d))
	d.Weight = 3
	want[web].Dests[dest("10.0.0.2:80")] = d
	b.holds(t, want)
}

func handEdits(t *testing.T, b Bed) {
	want := table(t,
		add(web, wlc), addDest(web, "10.0.0.1:80", one), addDest(web, "10.0.0.2:80", one), addDest(web, "10.0.0.3:80", one),
		add(web6, wlc), addDest(web6, "[2001:db8:1::1]:80", one))
	b.reach(t, want)
	hand := []ipvs.Op{
		editDest(web, "10.0.0.1:80", ipvs.Destination{Weight: 70000}),
		editDest(web, "10.0.0.2:80", ipvs.Destination{Weight: 1, Forwarding: ipvs.DirectRoute}),
		removeDest(web, "10.0.0.3:80"),
		addDest(web, "10.0.0.9:80", ipvs.Destination{Forwarding: ipvs.Tunnel, TunnelType: ipvs.GRE, Weight: 5}),
		edit(web, ipvs.Service{Scheduler: "rr", PersistenceTimeout: 120, PersistenceMask: ipvs.Mask(ipvs.IPv4, 16)}),
		remove(web6),
	}
	b.ByHand(t, hand...)
	seen := want.Clone()
	for _, op := range hand {
		if err := seen.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	b.holds(t, seen)
	b.agree(t)
	b.reach(t, want)
}

func strangers(t *testing.T, b Bed) {
	b.ByHand(t, add(dns, rr), addDest(dns, "10.0.0.1:53", one))
	b.ByHand(t, add(web, rr), addDest(web, "10.9.9.9:80", one)) // ours by configuration: adopted
	want := table(t, add(web, wlc), addDest(web, "10.0.0.1:80", one))
	owned := ipvs.Set{}
	owned.Add(web, web6)
	b.apply(t, ipvs.Diff(b.dump(t), want, owned.Has)...)
	b.holds(t, table(t,
		add(dns, rr), addDest(dns, "10.0.0.1:53", one),
		add(web, wlc), addDest(web, "10.0.0.1:80", one)))
	b.apply(t, ipvs.Diff(b.dump(t), ipvs.Table{}, owned.Has)...)
	b.holds(t, table(t, add(dns, rr), addDest(dns, "10.0.0.1:53", one)))
	if ops := ipvs.Diff(b.dump(t), ipvs.Table{}, nil); len(ops) != 0 {
		t.Fatalf("without ownership something is changed: %v", ops)
	}
	b.reach(t, ipvs.Table{}) // exclusive
}

func flushed(t *testing.T, b Bed) {
	want := table(t, add(web, wlc), addDest(web, "10.0.0.1:80", one), addDest(web, "10.0.0.2:80", one))
	b.reach(t, want)
	if err := b.Kernel.Flush(); err != nil {
		t.Fatal(err)
	}
	b.holds(t, ipvs.Table{})
	errs := b.Kernel.Apply([]ipvs.Op{
		editDest(web, "10.0.0.1:80", one), removeDest(web, "10.0.0.2:80"), addDest(web, "10.0.0.3:80", one), edit(web, rr), remove(web),
	})
	if len(errs) != 5 {
		t.Fatalf("%d errors of 5", len(errs))
	}
	for _, err := range errs {
		if !errors.Is(err, syscall.ESRCH) {
			t.Errorf("got %v, want ESRCH", err)
		}
	}
	b.reach(t, want)
}

// batch checks that of 2,000 operations the ones that fail are named, and the others done.
func batch(t *testing.T, b Bed) {
	ops := []ipvs.Op{add(web, wlc)}
	want := table(t, ops...)
	for i := range 2000 {
		op := addDest(web, fmt.Sprintf("10.1.%d.%d:80", i/250, i%250+1), ipvs.Destination{Weight: int32(i + 1)})
		ops = append(ops, op)
		if err := want.Apply(op); err != nil {
			t.Fatal(err)
		}
	}
	bad := map[int]error{
		1:    syscall.ERANGE, // first of a batch, last of a batch, in the middle, the very last
		200:  syscall.EEXIST,
		1000: syscall.EINVAL,
		2000: syscall.ERANGE,
	}
	for i, want1 := range bad {
		delete(want[web].Dests, ops[i].DestKey)
		switch want1 {
		case syscall.ERANGE:
			ops[i].Dest.Weight = -1
		case syscall.EEXIST:
			ops[i].DestKey = ops[i-1].DestKey
		case syscall.EINVAL:
			ops[i].DestKey = dest("224.0.0.1:80")
		}
	}
	errs := b.Kernel.Apply(ops)
	if len(errs) != len(ops) {
		t.Fatalf("%d errors for %d operations", len(errs), len(ops))
	}
	for i, err := range errs {
		if !errors.Is(err, bad[i]) {
			t.Errorf("operation %d, %v: got %v, want %v", i, ops[i], err, bad[i])
		}
	}
	b.holds(t, want)
	stats, err := b.Kernel.Stats()
	if err != nil || len(stats) != 1 || len(stats[web].Dests) != len(want[web].Dests) {
		t.Errorf("statistics of %d services, %d servers: %v", len(stats), len(stats[web].Dests), err)
	}

	// All of them fail at once: as many answers as operations.
	for i := range ops {
		ops[i] = removeDest(web, fmt.Sprintf("10.2.%d.%d:80", i/250, i%250+1))
	}
	errs = b.Kernel.Apply(ops)
	for i, err := range errs {
		if !errors.Is(err, syscall.ENOENT) {
			t.Fatalf("operation %d, %v: got %v, want ENOENT", i, ops[i], err)
		}
	}
	b.reach(t, ipvs.Table{})
}

// anyTable leads the kernel from any table to any other.
func anyTable(t *testing.T, b Bed) {
	rapid.Check(t, func(rt *rapid.T) {
		b.reach(rt, Tables(b.Schedulers).Draw(rt, "table"))
		b.agree(rt)
	})
}

func severalUsers(t *testing.T, b Bed) {
	b.apply(t, add(web, rr), add(web6, rr))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			d := fmt.Sprintf("10.0.0.%d:80", g+1)
			for range 30 {
				if errs := b.Kernel.Apply([]ipvs.Op{addDest(web, d, one)}); errs != nil {
					t.Error(errs)
				}
				got, err := b.Kernel.Dump()
				if err != nil || got[web] == nil || got[web].Dests[dest(d)] != one {
					t.Errorf("%s is not in the dump: %v", d, err)
				}
				if errs := b.Kernel.Apply([]ipvs.Op{editDest(web, d, ipvs.Destination{}), removeDest(web, d), edit(web6, wlc)}); errs != nil {
					t.Error(errs)
				}
			}
		})
	}
	wg.Wait()
	b.holds(t, table(t, add(web, rr), add(web6, wlc)))
}

// closed checks that nothing succeeds silently after Close.
func closed(t *testing.T, b Bed) {
	b.apply(t, add(web, rr))
	if err := b.Kernel.Close(); err != nil {
		t.Fatal(err)
	}
	ended := func(err error) bool { return errors.Is(err, os.ErrClosed) }
	if _, err := b.Kernel.Dump(); !ended(err) {
		t.Errorf("dump: %v", err)
	}
	if _, err := b.Kernel.Stats(); !ended(err) {
		t.Errorf("statistics: %v", err)
	}
	if err := b.Kernel.Flush(); !ended(err) {
		t.Errorf("flush: %v", err)
	}
	for i, err := range b.Kernel.Apply([]ipvs.Op{add(web6, rr), addDest(web, "10.0.0.1:80", one)}) {
		if !ended(err) {
			t.Errorf("operation %d: %v", i, err)
		}
	}
}
