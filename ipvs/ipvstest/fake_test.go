package ipvstest_test

import (
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"director/ipvs"
	"director/ipvs/ipvstest"
)

func TestFakeKeepsContract(t *testing.T) {
	ipvstest.RunContract(t, func(t *testing.T) ipvstest.Bed {
		k := ipvstest.New(nil)
		return ipvstest.Bed{
			Kernel: k,
			ByHand: func(t ipvstest.T, ops ...ipvs.Op) {
				t.Helper()
				if err := k.ByHand(ops...); err != nil {
					t.Fatal(err)
				}
			},
			Saved:      func(ipvstest.T) string { return k.String() },
			Schedulers: slices.DeleteFunc(ipvs.Schedulers(), func(s string) bool { return s == "twos" }),
		}
	})
}

// What a test can make the kernel in memory do.
func TestFakeFailsOnDemand(t *testing.T) {
	key := ipvs.MarkService(1, ipvs.IPv4)
	add := ipvs.Op{Kind: ipvs.AddService, Key: key, Service: ipvs.Service{Scheduler: "rr"}}
	var k ipvstest.Kernel
	k.OnApply = func(op ipvs.Op) error {
		if op.Kind == ipvs.EditService {
			return syscall.ENOBUFS
		}
		if op.Kind == ipvs.DeleteService { // somebody is quicker
			if err := k.ByHand(op); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	edit, remove := add, add
	edit.Kind, remove.Kind = ipvs.EditService, ipvs.DeleteService
	errs := k.Apply([]ipvs.Op{add, edit, remove})
	if len(errs) != 3 || errs[0] != nil || !errors.Is(errs[1], syscall.ENOBUFS) || !errors.Is(errs[2], syscall.ESRCH) {
		t.Errorf("got %v", errs)
	}
	if got, want := k.Log(), "-A -f 1 -s rr\n-D -f 1\n"; got != want {
		t.Errorf("the log is %q, want %q", got, want)
	}

	k.OnDump = func() error { return syscall.EPERM }
	k.OnStats = func() error { return syscall.ENOMEM }
	if _, err := k.Dump(); !errors.Is(err, syscall.EPERM) {
		t.Errorf("dump: %v", err)
	}
	if _, err := k.Stats(); !errors.Is(err, syscall.ENOMEM) || k.Dumps() != 0 {
		t.Errorf("statistics: %v after %d dumps", err, k.Dumps())
	}
}

func TestFakeStats(t *testing.T) {
	key, d := ipvs.MarkService(1, ipvs.IPv4), netip.MustParseAddrPort("10.0.0.1:80")
	table := ipvs.Table{}
	table.Set(key, ipvs.Service{Scheduler: "rr"}).Dests[d] = ipvs.Destination{Weight: 1}
	table.Set(ipvs.MarkService(2, ipvs.IPv4), ipvs.Service{Scheduler: "rr"})
	k := ipvstest.New(table)
	want := ipvs.DestStats{Active: 3, Counters: ipvs.Counters{Connections: 9}}
	k.SetStats(ipvs.Stats{key: {Dests: map[ipvs.DestKey]ipvs.DestStats{d: want}}})
	s, err := k.Stats()
	if err != nil || len(s) != 2 || s[key].Dests[d] != want {
		t.Errorf("got %v, %v", s, err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	k.Reopen()
	if got, err := k.Dump(); err != nil || !got.Equal(table) {
		t.Errorf("after a restart: %v, %v", got, err)
	}
}
