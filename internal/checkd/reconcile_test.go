package checkd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/ipvs"
)

// ops writes an operation for ByHand.
func onDest(kind ipvs.OpKind, service, server string) ipvs.Op {
	return ipvs.Op{Kind: kind, Key: key(service), DestKey: address(server), Dest: ipvs.Destination{Weight: int32(server[1] - '0')}}
}

func onService(kind ipvs.OpKind, service, scheduler string) ipvs.Op {
	return ipvs.Op{Kind: kind, Key: key(service), Service: ipvs.Service{Scheduler: scheduler}}
}

func TestHandEditsAreRepaired(t *testing.T) {
	tests := []struct {
		name    string
		edit    []ipvs.Op
		events  string
		repairs uint64
		logged  string
	}{
		{"a server removed", []ipvs.Op{onDest(ipvs.DeleteDest, "web", "a1")}, "web/a missing>repaired", 1, "was removed from the kernel's table; added again"},
		{"a weight changed", []ipvs.Op{onDest(ipvs.EditDest, "web", "a7")}, "web/a changed>repaired", 1, "had weight 7 instead of 1; set back"},
		{"a server added", []ipvs.Op{onDest(ipvs.AddDest, "web", "z3")}, "web/10.0.0.26:80 unexpected>repaired", 1, "appeared in the kernel's table with weight 3; removed"},
		{"a service changed", []ipvs.Op{onService(ipvs.EditService, "web", "sh")}, "web changed>repaired", 1, "had scheduler sh instead of rr; set back"},
		{"a service removed", []ipvs.Op{onService(ipvs.DeleteService, "web", "")}, "web missing>repaired", 1, "was removed from the kernel's table with its 2 servers; added again"},
		{"all at once", []ipvs.Op{onService(ipvs.DeleteService, "dns", ""), onDest(ipvs.DeleteDest, "web", "a1"), onDest(ipvs.EditDest, "web", "b0")}, "dns missing>repaired, web/a missing>repaired, web/b changed>repaired", 3, ""},
		{"a stranger's service", []ipvs.Op{onService(ipvs.AddService, "other", "sh"), onDest(ipvs.AddDest, "other", "z1")}, "", 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				w.run()
				w.configure(configOf("web: a1 b1; dns: c1"))
				w.pass(15 * time.Second)
				w.events()
				if err := w.kernel.ByHand(test.edit...); err != nil {
					t.Fatal(err)
				}
				stranger := strings.Contains(tableText(w.kernel.Table()), "other")
				w.pass(10 * time.Second)
				want := "web: a1 b1; dns: c1"
				if stranger {
					want += "; other: z1"
				}
				w.table(want)
				if got := w.events(); got != test.events {
					t.Errorf("events %q, want %q", got, test.events)
				}
				if got := w.inquire().Repairs; got != test.repairs {
					t.Errorf("%d repairs, want %d", got, test.repairs)
				}
				if !strings.Contains(w.log.String(), test.logged) {
					t.Errorf("the log lacks %q:\n%s", test.logged, &w.log)
				}
				w.kill()
			})
		})
	}
}

// A server that is down is not put back because somebody else put it there.
func TestHandAddedDeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "b")
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(15 * time.Second)
		if err := w.kernel.ByHand(onDest(ipvs.AddDest, "web", "b1")); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Second)
		w.table("web: a1")
		w.kill()
	})
}

// Asking for status finds what the kernel really has.
func TestInquiryFindsHandEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1", func(c *config.Config) { c.Global.ReconcileInterval = config.Duration(time.Hour) }))
		w.pass(time.Second)
		if err := w.kernel.ByHand(onDest(ipvs.DeleteDest, "web", "a1")); err != nil {
			t.Fatal(err)
		}
		w.inquire()
		w.table("web: a1 b1")
		w.kill()
	})
}

// Somebody who undoes each repair is reported, but not each time.
func TestFightingProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1")
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(time.Second)
		w.events()
		for range 16 {
			if err := w.kernel.ByHand(onDest(ipvs.EditDest, "web", "a5")); err != nil {
				t.Fatal(err)
			}
			w.pass(10 * time.Second)
		}
		if got := strings.Count(w.events(), "repaired"); got != 5 { // 1, 2, 4, 8, 16
			t.Errorf("%d reports of 16 repairs", got)
		}
		if got := w.inquire().Repairs; got != 16 {
			t.Errorf("%d repairs", got)
		}
		if !strings.Contains(w.log.String(), "16 times in a row: another program changes it") {
			t.Errorf("the log does not tell:\n%s", &w.log)
		}
		w.kill()
	})
}

func TestExclusive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1; other: z1")
		exclusive := func(c *config.Config) { c.Global.ExclusiveIPVS = true }
		w.run()
		w.configure(configOf("web: a1"))
		w.table("web: a1; other: z1")
		w.configure(configOf("web: a1", exclusive))
		w.table("web: a1")
		if err := w.kernel.ByHand(onService(ipvs.AddService, "other", "rr")); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Second)
		w.table("web: a1")
		if got := w.events(); !strings.Contains(got, "192.0.2.9:80/tcp unexpected>repaired") {
			t.Errorf("events %q", got)
		}
		w.kill()
	})
}

// What a former configuration listed is removed even if nobody ran when it was
// dropped; what no configuration ever listed is not.
func TestServiceDroppedWhileNobodyRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "other: z1")
		w.run()
		w.configure(configOf("web: a1; dns: b1"))
		w.pass(time.Second)
		w.kill()
		w.run()
		w.configure(configOf("web: a1"))
		w.table("web: a1; other: z1")
		owned, err := readRecord(w.dir)
		if err != nil || len(owned) != 1 || !owned.Has(key("web")) {
			t.Errorf("record %v, %v", owned, err)
		}
		w.kill()
		w.run()
		w.configure(configOf(""))
		w.table("other: z1")
		w.kill()
	})
}

func TestFailingOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var failing atomic.Bool
		failing.Store(true)
		var tries atomic.Int32
		w.kernel.OnApply = func(o ipvs.Op) error {
			if o.Kind == ipvs.AddDest && o.DestKey == address("a") && failing.Load() {
				tries.Add(1)
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1 b1; dns: c1"))
		start := time.Now()
		w.pass(time.Second)
		w.table("web: b1; dns: c1") // one failure holds up nobody else
		w.acks(1)
		s := w.inquire()
		if len(s.Failures) != 1 || s.Failures[0].What != "add 192.0.2.1:80/tcp 10.0.0.1:80" || !strings.Contains(s.Failures[0].Error, "no buffer space available") {
			t.Errorf("failures %+v", s.Failures)
		}
		if s.Services[0].Servers[0].Installed || s.Services[0].Servers[0].Health != "up" {
			t.Errorf("server %+v", s.Services[0].Servers[0])
		}
		w.pass(2*time.Minute - time.Since(start))
		// At 0.1 s and at once again, then 1, 2, 4, 8, 16, 32 s later: 63.1 s; then each minute.
		if n := tries.Load(); n != 8 {
			t.Errorf("%d tries in 2 minutes", n)
		}
		if got := w.inquire().Failures[0].Count; got != 8 {
			t.Errorf("counted %d", got)
		}
		if n := strings.Count(w.log.String(), "kernel call failed"); n != 1 {
			t.Errorf("%d log lines about one failure", n)
		}
		w.farm.set(refused, "b") // changes of others are not delayed
		w.pass(20 * time.Second)
		w.table("web:; dns: c1")

		failing.Store(false)
		w.pass(time.Minute)
		w.table("web: a1; dns: c1")
		if s := w.inquire(); len(s.Failures) != 0 || s.Repairs != 0 {
			t.Errorf("failures %+v, %d repairs", s.Failures, s.Repairs)
		}
		w.kill()
	})
}

func TestFailingOperationNoLongerWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.kernel.OnApply = func(o ipvs.Op) error {
			if o.Kind == ipvs.AddService && o.Key == key("dns") {
				return syscall.ENOENT // an unknown scheduler, say
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1; dns: c1"))
		w.pass(time.Second)
		w.table("web: a1")
		// Only the service is reported, not each of its servers.
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "add 192.0.2.2:80/tcp" {
			t.Errorf("failures %+v", s.Failures)
		}
		w.configure(configOf("web: a1"))
		w.pass(time.Minute)
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

// A server that could not be added, and then its service neither: the failure of
// the service is the one to show, and both are tried again in good time.
func TestFailureUponFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var failing atomic.Int32
		failing.Store(int32(ipvs.AddDest))
		w.kernel.OnApply = func(o ipvs.Op) error {
			if int32(o.Kind) == failing.Load() {
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(10 * time.Second)
		failing.Store(int32(ipvs.AddService))
		if err := w.kernel.ByHand(onService(ipvs.DeleteService, "web", "")); err != nil {
			t.Fatal(err)
		}
		dumps := w.kernel.Dumps()
		w.pass(time.Minute)
		if n := w.kernel.Dumps() - dumps; n > 15 {
			t.Errorf("the table was read %d times in a minute", n)
		}
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "add 192.0.2.1:80/tcp" {
			t.Errorf("failures %+v", s.Failures)
		}
		failing.Store(0)
		w.pass(time.Minute)
		w.table("web: a1")
		w.kill()
	})
}

// An error because somebody else was faster is put right at once.
func TestTableChangedUnderOurFeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "b", "c")
		w.run()
		w.configure(configOf("web: a1 b1 c1"))
		w.pass(11 * time.Second)
		w.table("web: a1")
		w.farm.set(healthy, "b", "c")
		if err := w.kernel.ByHand(onService(ipvs.DeleteService, "web", "")); err != nil {
			t.Fatal(err)
		}
		for tableText(w.kernel.Table()) == "" {
			w.pass(time.Millisecond)
		}
		if got := tableText(w.kernel.Table()); !strings.HasPrefix(got, "web: a1 ") {
			t.Errorf("table %q", got)
		}
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

// As long as nobody knows what the kernel has, nothing is changed.
func TestTableCannotBeReadAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1")
		var failing atomic.Bool
		failing.Store(true)
		w.kernel.OnDump = func() error {
			if failing.Load() {
				return syscall.ENOMEM
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(10 * time.Second)
		w.acks()
		w.ops()
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "read the IPVS table" || s.Failures[0].Count != 5 {
			t.Errorf("failures %+v", s.Failures)
		}
		failing.Store(false)
		w.pass(10 * time.Second)
		w.acks(1)
		w.ops()
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

func TestTableCannotBeReadLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1")
		var failing atomic.Bool
		w.kernel.OnDump = func() error {
			if failing.Load() {
				return syscall.ENOMEM
			}
			return nil
		}
		w.kernel.OnStats = w.kernel.OnDump
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(10 * time.Second)
		failing.Store(true)
		w.farm.set(refused, "a")
		w.pass(time.Minute)
		w.table("web: b1") // verdicts are obeyed all the same
		if s := w.inquire(); len(s.Failures) != 2 {
			t.Errorf("failures %+v", s.Failures)
		}
		failing.Store(false)
		w.pass(time.Minute)
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	if owned, err := readRecord(dir); err != nil || len(owned) != 0 {
		t.Errorf("no record: %v, %v", owned, err)
	}
	want := ipvs.Set{}
	want.Add(key("web"), key("dns"), ipvs.MarkService(7, ipvs.IPv6))
	if err := writeRecord(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(dir)
	if err != nil || len(got) != 3 || !got.Has(key("web")) || !got.Has(key("dns")) || !got.Has(ipvs.MarkService(7, ipvs.IPv6)) {
		t.Errorf("read %v, %v", got, err)
	}
	path := filepath.Join(dir, recordName)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, bad := range []string{"{", `{"version":2,"services":[]}`} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := readRecord(dir); err == nil || len(got) != 0 {
			t.Errorf("%s: read %v, %v", bad, got, err)
		}
	}
	if err := writeRecord(dir, nil); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left in the directory: %v", entries)
	}
	if err := writeRecord(dir, nil); err != nil {
		t.Error("removing what is not there:", err)
	}
	if err := writeRecord(filepath.Join(dir, "none"), want); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}

// A record that cannot be written is shown and tried again.
func TestRecordCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		good := w.dir
		w.dir = filepath.Join(good, "later")
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(10 * time.Second)
		w.table("web: a1")
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "write the record of owned services" || s.Failures[0].Count != 5 {
			t.Errorf("failures %+v", s.Failures)
		}
		if err := os.Mkdir(w.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Second)
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		if owned, err := readRecord(w.dir); err != nil || !owned.Has(key("web")) {
			t.Errorf("record %v, %v", owned, err)
		}
		w.kill()
	})
}
