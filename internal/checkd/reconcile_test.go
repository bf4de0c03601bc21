package checkd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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
		reason  string
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
				if got := strings.Join(w.reasons, "\n"); !strings.Contains(got, test.reason) {
					t.Errorf("the reasons %q lack %q", got, test.reason)
				}
				if got := w.inquire().Repairs; got != test.repairs {
					t.Errorf("%d repairs, want %d", got, test.repairs)
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
		if got := strings.Join(w.reasons, "\n"); !strings.Contains(got, "16 times in a row: another program changes it") {
			t.Errorf("the reasons do not tell: %q", got)
		}
		if got := w.inquire().Repairs; got != 16 {
			t.Errorf("%d repairs", got)
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
		if s := w.inquire(); len(s.Unwritten) != 1 || s.Unwritten[0].What != filepath.Join(w.dir, recordName) || s.Unwritten[0].Count != 5 || len(s.Failures) != 0 {
			t.Errorf("files %+v, calls %+v", s.Unwritten, s.Failures)
		}
		if err := os.Mkdir(w.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * time.Second)
		if s := w.inquire(); len(s.Unwritten) != 0 {
			t.Errorf("files %+v", s.Unwritten)
		}
		if owned, err := readRecord(w.dir); err != nil || !owned.Has(key("web")) {
			t.Errorf("record %v, %v", owned, err)
		}
		w.kill()
	})
}
