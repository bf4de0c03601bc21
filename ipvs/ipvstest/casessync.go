package ipvstest

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"director/ipvs"
)

func start(d ipvs.SyncDaemon) ipvs.SyncOp { return ipvs.SyncOp{Start: true, Daemon: d} }

func stop(r ipvs.SyncRole) ipvs.SyncOp { return ipvs.SyncOp{Daemon: ipvs.SyncDaemon{Role: r}} }

func (b Bed) sync(t T) []ipvs.SyncDaemon {
	t.Helper()
	list, err := b.Kernel.SyncDaemons()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// reachSync leads the kernel to a set of daemons, and checks that they stay.
func (b Bed) reachSync(t T, want []ipvs.SyncDaemon) {
	t.Helper()
	all := func(ipvs.SyncRole) bool { return true }
	for _, op := range ipvs.DiffSync(b.sync(t), want, all) {
		if err := b.Kernel.ApplySync(op); err != nil {
			t.Fatal(err)
		}
	}
	has := b.sync(t)
	if ops := ipvs.DiffSync(has, want, all); len(ops) > 0 {
		t.Fatalf("wanted %v, the kernel has %v, and more is to do: %v", want, has, ops)
	}
	if len(has) != len(want) {
		t.Fatalf("wanted %v, the kernel has %v", want, has)
	}
}

func (b Bed) refusesSync(t T, op ipvs.SyncOp, want error) {
	t.Helper()
	if err := b.Kernel.ApplySync(op); !errors.Is(err, want) {
		t.Errorf("%v: got %v, want %v", op, err, want)
	}
}

func syncDaemons(t *testing.T, b Bed) {
	master, backup := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "lo"}, ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "lo", ID: 7}
	if list := b.sync(t); len(list) != 0 {
		t.Fatalf("an empty kernel has %v", list)
	}
	b.refusesSync(t, stop(ipvs.SyncMaster), syscall.ESRCH)
	b.refusesSync(t, stop(ipvs.SyncBackup), syscall.ESRCH)
	b.refusesSync(t, stop(3), syscall.EINVAL)
	b.refusesSync(t, start(ipvs.SyncDaemon{Role: ipvs.SyncMaster}), syscall.EINVAL)
	b.refusesSync(t, start(ipvs.SyncDaemon{Role: 3, Interface: "lo"}), syscall.EINVAL)
	b.refusesSync(t, start(ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "lo", Group: netip.MustParseAddr("192.0.2.1")}), syscall.EINVAL)

	b.reachSync(t, []ipvs.SyncDaemon{master, backup})
	for _, d := range []ipvs.SyncDaemon{master, backup} {
		b.refusesSync(t, start(d), syscall.EEXIST)
	}
	if d := b.sync(t)[0]; d.Group.String() != "224.0.0.81" || d.Port != 8848 || d.TTL != 1 || d.MaxLen != 1472 {
		t.Errorf("by default a master is %+v", d)
	}
	if d := b.sync(t)[1]; d.ID != 7 || d.Interface != "lo" || d.MaxLen < 1472 {
		t.Errorf("the backup is %+v", d)
	}
	// Each option is read back, and a change of one replaces the daemon.
	for _, change := range []func(*ipvs.SyncDaemon){
		func(d *ipvs.SyncDaemon) { d.ID = 255 },
		func(d *ipvs.SyncDaemon) { d.Port = 9000 },
		func(d *ipvs.SyncDaemon) { d.TTL = 9 },
		func(d *ipvs.SyncDaemon) { d.Group = netip.MustParseAddr("239.1.2.3") },
		func(d *ipvs.SyncDaemon) { d.MaxLen = 4000 },
		func(d *ipvs.SyncDaemon) { d.MaxLen = 0; d.TTL = 0 },
	} {
		change(&master)
		change(&backup)
		if ops := ipvs.DiffSync(b.sync(t), []ipvs.SyncDaemon{master}, nil); len(ops) != 2 || ops[0].Start || !ops[1].Start {
			t.Errorf("to reach %v: %v", master, ops)
		}
		b.reachSync(t, []ipvs.SyncDaemon{master, backup})
	}
	b.reachSync(t, []ipvs.SyncDaemon{backup})
	if ops := ipvs.DiffSync(b.sync(t), nil, nil); len(ops) != 0 {
		t.Errorf("a stranger's daemon is stopped: %v", ops)
	}
	if _, err := b.Kernel.SyncStats(backup); err != nil {
		t.Error(err)
	}
	b.reachSync(t, nil)
}

// syncMixed: sync and real servers of another family exclude each other.
func syncMixed(t *testing.T, b Bed) {
	tunnel := ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel}
	backup := ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "lo"}
	mixed := addDest(web, "[2001:db8:1::1]:80", tunnel)
	b.apply(t, add(web, rr), addDest(web, "10.0.0.1:80", tunnel), mixed)
	b.refusesSync(t, start(backup), syscall.EINVAL)
	b.apply(t, removeDest(web, "[2001:db8:1::1]:80"))
	b.reachSync(t, []ipvs.SyncDaemon{backup})
	if errs := b.Kernel.Apply([]ipvs.Op{mixed}); len(errs) != 1 || !errors.Is(errs[0], syscall.EINVAL) {
		t.Errorf("while sync runs: %v", errs)
	}
	b.apply(t, addDest(web, "10.0.0.2:80", tunnel))
	b.reachSync(t, nil)
	b.apply(t, mixed)
}

// anySync leads the kernel from any daemons to any others.
func anySync(t *testing.T, b Bed) {
	daemon := func(rt *rapid.T, r ipvs.SyncRole) ipvs.SyncDaemon {
		return ipvs.SyncDaemon{
			Role: r, Interface: "lo",
			ID:     rapid.SampledFrom([]uint8{0, 1, 255}).Draw(rt, "id"),
			Group:  rapid.SampledFrom([]netip.Addr{{}, netip.MustParseAddr("224.0.0.81"), netip.MustParseAddr("239.0.0.1")}).Draw(rt, "group"),
			Port:   rapid.SampledFrom([]uint16{0, 8848, 65535}).Draw(rt, "port"),
			TTL:    rapid.SampledFrom([]uint8{0, 1, 255}).Draw(rt, "ttl"),
			MaxLen: rapid.SampledFrom([]uint16{0, 1200, 1472, 9000}).Draw(rt, "maxlen"),
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		var want []ipvs.SyncDaemon
		for _, r := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
			if rapid.Bool().Draw(rt, r.String()) {
				want = append(want, daemon(rt, r))
			}
		}
		b.reachSync(rt, want)
		// What is not ours stays.
		if len(want) > 0 {
			before := b.sync(rt)
			for _, op := range ipvs.DiffSync(before, want[1:], func(r ipvs.SyncRole) bool { return r != want[0].Role }) {
				if err := b.Kernel.ApplySync(op); err != nil {
					rt.Fatal(err)
				}
			}
			if after := b.sync(rt); !slices.Equal(before, after) {
				rt.Fatalf("had %v, now %v", before, after)
			}
		}
	})
	b.reachSync(t, nil)
}

func timeouts(t *testing.T, b Bed) {
	was, err := b.Kernel.Timeouts()
	if err != nil || was != (ipvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}) {
		t.Fatalf("at first %+v, %v", was, err)
	}
	for _, set := range []ipvs.Timeouts{{TCP: time.Hour}, {TCPFin: time.Second}, {UDP: 31 * 24 * time.Hour}, {TCP: time.Second, UDP: time.Minute}} {
		if err := b.Kernel.SetTimeouts(set); err != nil {
			t.Fatal(err)
		}
		want := set.Over(was)
		if was, err = b.Kernel.Timeouts(); err != nil || was != want {
			t.Errorf("%+v: got %+v, %v, want %+v", set, was, err, want)
		}
	}
	for _, bad := range []ipvs.Timeouts{{TCP: -time.Second}, {UDP: 1500 * time.Millisecond}} {
		if err := b.Kernel.SetTimeouts(bad); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
