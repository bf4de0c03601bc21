package kernel_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"

	"director/ipvs"
	"director/ipvs/ipvstest"
	"director/ipvs/kernel"
)

var (
	web = ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("192.0.2.1:80"))
	one = ipvs.Destination{Weight: 1}
)

func do(t *testing.T, b ipvstest.Bed, ops ...ipvs.Op) {
	t.Helper()
	if errs := b.Kernel.Apply(ops); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
}

// eventually waits for what only the real kernel's own clock brings about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			modules, _ := os.ReadFile("/proc/modules")
			t.Fatalf("waited in vain for %s\n%s", what, modules)
		}
	}
}

// many makes a table of services with n servers each.
func many(services, n int) ipvs.Table {
	t := ipvs.Table{}
	for s := range services {
		e := t.Set(ipvs.AddrService(ipvs.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(2 + s>>8), byte(s)}), 80)), ipvs.Service{Scheduler: "rr"})
		for d := range n {
			e.Dests[netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(s), byte(d >> 8), byte(d)}), 80)] = one
		}
	}
	return t
}

func info(t *testing.T) {
	b := open(t)
	out := adm(t, "-Ln")
	i := b.Kernel.(*kernel.Kernel).Info()
	if want := fmt.Sprintf("IP Virtual Server version %s (size=%d)", i.Version, i.TableSize); !strings.HasPrefix(out, want) {
		t.Errorf("Info is %q, ipvsadm says %q", want, out)
	}
}

func timeouts(t *testing.T) {
	k := open(t).Kernel.(*kernel.Kernel)
	if err := k.SetTimeouts(ipvs.Timeouts{TCP: 901 * time.Second, TCPFin: 121 * time.Second, UDP: 301 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if err := k.SetTimeouts(ipvs.Timeouts{TCPFin: 60 * time.Second}); err != nil { // the others stay
		t.Fatal(err)
	}
	got, err := k.Timeouts()
	if want := (ipvs.Timeouts{TCP: 901 * time.Second, TCPFin: time.Minute, UDP: 301 * time.Second}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	if out := adm(t, "-L", "--timeout"); !strings.Contains(out, "901 60 301") {
		t.Errorf("ipvsadm says %q", out)
	}
	for _, d := range []time.Duration{-time.Second, 1500 * time.Millisecond} {
		if err := k.SetTimeouts(ipvs.Timeouts{UDP: d}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// unprivileged runs Open as a user without rights.
func unprivileged(t *testing.T) {
	runtime.LockOSThread() // the thread ends with the test
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
		t.Fatal(errno)
	}
	_, err := kernel.Open()
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("got %v", err)
	}
	if errors.Is(err, kernel.ErrNoIPVS) {
		t.Errorf("%v is taken for a missing module", err)
	}
}

// statistics compares our counters with ipvsadm's after some traffic.
func statistics(t *testing.T) {
	b := open(t)
	for _, a := range []string{"192.0.2.1/32", "192.0.2.2/32"} {
		if out, err := exec.Command("ip", "addr", "add", a, "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	server, err := net.ListenPacket("udp4", "192.0.2.2:5000")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	vip := ipvs.AddrService(ipvs.UDP, netip.MustParseAddrPort("192.0.2.1:53"))
	rs := netip.MustParseAddrPort("192.0.2.2:5000")
	do(t, b, ipvs.Op{Kind: ipvs.AddService, Key: vip, Service: ipvs.Service{Scheduler: "rr", PersistenceTimeout: 60}},
		ipvs.Op{Kind: ipvs.AddDest, Key: vip, DestKey: rs, Dest: one})
	for range 3 {
		c, err := net.Dial("udp4", "192.0.2.1:53")
		if err != nil {
			t.Fatal(err)
		}
		c.Write(make([]byte, 100))
		c.Write(make([]byte, 100))
		buf := make([]byte, 200)
		server.SetReadDeadline(time.Now().Add(30 * time.Second))
		for range 2 {
			if _, _, err := server.ReadFrom(buf); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
	}
	var stats ipvs.Stats
	eventually(t, "the kernel's counters, which it sums up every 2 s", func() bool {
		if stats, err = b.Kernel.Stats(); err != nil {
			t.Fatal(err)
		}
		return stats[vip].Counters.InPackets != 0
	})
	want := ipvs.Counters{Connections: 3, InPackets: 6, InBytes: 6 * 128}
	s := stats[vip]
	got := s.Counters
	got.ConnectionRate, got.InPacketRate, got.InByteRate = 0, 0, 0
	if got != want {
		t.Errorf("service: got %+v, want %+v", got, want)
	}
	d := s.Dests[rs]
	if d.Counters.InBytes != want.InBytes || d.Counters.Connections != 3 {
		t.Errorf("server: got %+v", d)
	}
	if d.Active != 0 || d.Inactive != 3 || d.Persistent != 1 {
		t.Errorf("connections: active %d, inactive %d, persistent %d", d.Active, d.Inactive, d.Persistent)
	}
	for _, f := range []string{"--stats", "--thresholds"} {
		out := adm(t, "-Ln", "--exact", f)
		line := regexp.MustCompile(`(?m)^  -> 192\.0\.2\.2:5000 +(.*)$`).FindStringSubmatch(out)
		if line == nil {
			t.Fatalf("ipvsadm says:\n%s", out)
		}
		var says []uint64
		for _, n := range strings.Fields(line[1]) {
			v, err := strconv.ParseUint(n, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			says = append(says, v)
		}
		ours := []uint64{d.Counters.Connections, d.Counters.InPackets, d.Counters.OutPackets, d.Counters.InBytes, d.Counters.OutBytes}
		if f == "--thresholds" {
			ours = []uint64{0, 0, uint64(d.Active), uint64(d.Inactive)}
		}
		if fmt.Sprint(says) != fmt.Sprint(ours) {
			t.Errorf("%s: ipvsadm says %v, we %v", f, says, ours)
		}
	}
}

// syncDaemon: while one runs, the kernel takes no servers of the other family.
func syncDaemon(t *testing.T) {
	b := open(t)
	do(t, b, ipvs.Op{Kind: ipvs.AddService, Key: web, Service: ipvs.Service{Scheduler: "rr"}})
	adm(t, "--start-daemon", "backup", "--mcast-interface", "lo")
	defer adm(t, "--stop-daemon", "backup")
	errs := b.Kernel.Apply([]ipvs.Op{{
		Kind: ipvs.AddDest, Key: web, DestKey: netip.MustParseAddrPort("[2001:db8::1]:80"), Dest: ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel},
	}})
	if len(errs) != 1 || !errors.Is(errs[0], unix.EINVAL) {
		t.Errorf("got %v", errs)
	}
}

// namespaces: a Kernel stays with the namespace in which it was opened.
func namespaces(t *testing.T) {
	first := open(t)
	do(t, first, ipvs.Op{Kind: ipvs.AddService, Key: web, Service: ipvs.Service{Scheduler: "rr"}})
	second := open(t)
	if table, err := second.Kernel.Dump(); err != nil || len(table) != 0 {
		t.Errorf("the second namespace holds %v, %v", table, err)
	}
	if table, err := first.Kernel.Dump(); err != nil || len(table) != 1 {
		t.Errorf("the first namespace holds %v, %v", table, err)
	}
}

// mobyAgrees: the prescribed library, used rightly, sees services as we do.
func mobyAgrees(t *testing.T) {
	b := open(t)
	want := many(300, 2)
	do(t, b, ipvs.Diff(nil, want, nil)...)
	h, err := moby.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	services, err := h.GetServices()
	if err != nil || len(services) != 300 {
		t.Fatalf("%d services, %v", len(services), err)
	}
	for _, s := range services {
		a, _ := netip.AddrFromSlice(s.Address)
		e := want[ipvs.AddrService(ipvs.TCP, netip.AddrPortFrom(a, s.Port))]
		if e == nil || s.SchedName != e.Service.Scheduler {
			t.Errorf("moby sees %+v", s)
		}
		if dests, err := h.GetDestinations(s); err != nil || len(dests) != 2 {
			t.Errorf("%v: %d servers, %v", a, len(dests), err)
		}
	}
}

// disturbed: dumps while another program adds and deletes have no entry twice
// (they are maps), none that never was, and no error.
func disturbed(t *testing.T) {
	b := open(t)
	base := many(1, 600)
	do(t, b, ipvs.Diff(nil, base, nil)...)
	other, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	key := base.Keys()[0]
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		d := netip.MustParseAddrPort("10.200.0.1:80")
		for {
			select {
			case <-stop:
				return
			default:
				other.Apply([]ipvs.Op{{Kind: ipvs.AddDest, Key: key, DestKey: d, Dest: one}, {Kind: ipvs.DeleteDest, Key: key, DestKey: d}})
			}
		}
	})
	for range 50 {
		table, err := b.Kernel.Dump()
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for d := range table[key].Dests {
			if _, ok := base[key].Dests[d]; ok {
				n++
			}
		}
		if n < 550 {
			t.Errorf("only %d of 600 servers are in the dump", n)
		}
	}
	close(stop)
	wg.Wait()
	if table, err := b.Kernel.Dump(); err != nil || !table.Equal(base) {
		t.Errorf("in the end the tables differ: %v", err)
	}
}

// abandoned: a dump that was left in the middle does not spoil the next one,
// which the kernel would refuse with EBUSY.
func abandoned(t *testing.T) {
	b := open(t)
	want := many(200, 1)
	do(t, b, ipvs.Diff(nil, want, nil)...)
	if err := b.Kernel.(*kernel.Kernel).AbandonDump(); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Kernel.Dump(); err != nil || !got.Equal(want) {
		t.Errorf("%d services, %v", len(got), err)
	}
}

// restored: what our tables print, ipvsadm restores to the same table.
func restored(t *testing.T) {
	b := open(t)
	want := many(3, 50)
	e := want.Set(web, ipvs.Service{Scheduler: "sh", Flags: ipvs.FlagSched2, PersistenceTimeout: 60, PersistenceMask: ipvs.Mask(ipvs.IPv4, 24)})
	e.Dests[netip.MustParseAddrPort("10.0.0.1:80")] = ipvs.Destination{
		Forwarding: ipvs.Tunnel, Weight: 70000, TunnelType: ipvs.GUE, TunnelPort: 6080, UpperThreshold: 9, LowerThreshold: 8,
	}
	want.Set(ipvs.MarkService(7, ipvs.IPv6), ipvs.Service{Scheduler: "rr", PersistenceTimeout: 60, PersistenceEngine: "sip"})
	restore(t, want)
	if got, err := b.Kernel.Dump(); err != nil || !got.Equal(want) {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s", err, got, want)
	}
}

func restore(t *testing.T, table ipvs.Table) time.Duration {
	t.Helper()
	cmd := exec.Command("ipvsadm", "-R")
	cmd.Stdin = strings.NewReader(table.String())
	begin := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Fatalf("ipvsadm -R: %v\n%s", err, out)
	}
	return time.Since(begin)
}

// speed measures programming beside ipvsadm -R. User Mode Linux has slow system
// calls: the ratio is what counts.
func speed(t *testing.T) {
	for _, c := range []struct{ services, servers int }{{100, 100}, {1, 10000}} {
		name := fmt.Sprintf("%d services of %d servers", c.services, c.servers)
		want := many(c.services, c.servers)
		b := open(t)
		ops := ipvs.Diff(nil, want, nil)
		begin := time.Now()
		do(t, b, ops...)
		ours := time.Since(begin)
		begin = time.Now()
		got, err := b.Kernel.Dump()
		dump := time.Since(begin)
		if err != nil || !got.Equal(want) {
			t.Fatalf("%s: the dump differs: %v", name, err)
		}
		begin = time.Now()
		adm(t, "-Ln")
		list := time.Since(begin)
		begin = time.Now()
		do(t, b, ipvs.Diff(got, nil, ipvs.Everything)...)
		stop := time.Since(begin)
		theirs := restore(t, want)
		n := float64(len(ops))
		t.Logf("%s: director %v (%.0f ops/s), ipvsadm -R %v (%.0f ops/s): %.1f times as fast; dump %v, ipvsadm -Ln %v; delete %v",
			name, ours.Round(time.Millisecond), n/ours.Seconds(), theirs.Round(time.Millisecond), n/theirs.Seconds(),
			theirs.Seconds()/ours.Seconds(), dump.Round(time.Millisecond), list.Round(time.Millisecond), stop.Round(time.Millisecond))
		for tries := 0; ours > theirs && tries < 4; tries++ { // the machine may have had other work meanwhile
			do(t, b, ipvs.Diff(want, nil, ipvs.Everything)...)
			begin = time.Now()
			do(t, b, ops...)
			ours = time.Since(begin)
			do(t, b, ipvs.Diff(want, nil, ipvs.Everything)...)
			theirs = restore(t, want)
		}
		if ours > theirs {
			t.Errorf("%s: slower than ipvsadm -R", name)
		}
	}
}

// noSilentSuccess: with the module gone, nothing is reported as done.
func noSilentSuccess(t *testing.T) {
	b := open(t)
	eventually(t, "ip_vs to go, once the namespaces of earlier tests are gone", func() bool {
		users, _ := filepath.Glob("/sys/module/ip_vs/holders/*")
		for _, m := range append(users, "ip_vs") {
			exec.Command("busybox", "rmmod", filepath.Base(m)).Run()
		}
		_, err := os.Stat("/sys/module/ip_vs/refcnt")
		return err != nil
	})
	if _, err := b.Kernel.Dump(); !errors.Is(err, kernel.ErrNoIPVS) {
		t.Errorf("dump: %v", err)
	}
	for _, err := range b.Kernel.Apply([]ipvs.Op{
		{Kind: ipvs.AddService, Key: web, Service: ipvs.Service{Scheduler: "rr"}},
		{Kind: ipvs.AddDest, Key: web, DestKey: netip.MustParseAddrPort("10.0.0.1:80"), Dest: one},
	}) {
		if err == nil {
			t.Error("an operation was reported as done")
		}
	}
}
