package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

// tableConfig is a director without VRRP, for whom the table is all there is. Its server's host need not exist.
const tableConfig = `
[global]
reconcile_interval = "1s"

[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "wrr"
real_server = [
  { name = "s1", address = "10.0.0.11:80", weight = 3 },
  { name = "s2", address = "10.0.0.12:80", weight = 2 },
  { name = "s3", address = "10.0.0.13:80" },
]

[virtual_server.dns]
address = "192.0.2.80:53"
protocol = "udp"
forwarding = "dr"
real_server = ["10.0.0.11", "10.0.0.12"]
`

const tableWanted = `
	-A -t 192.0.2.80:80 -s wrr
	-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 3
	-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 2
	-a -t 192.0.2.80:80 -r 10.0.0.13:80 -m -w 1
	-A -u 192.0.2.80:53 -s wlc
	-a -u 192.0.2.80:53 -r 10.0.0.11:53 -g -w 1
	-a -u 192.0.2.80:53 -r 10.0.0.12:53 -g -w 1`

// stranger is a service of somebody else.
const stranger = `
	-A -t 198.51.100.7:25 -s lc
	-a -t 198.51.100.7:25 -r 10.0.0.99:25 -m -w 5`

// testTable lets other programs interfere with the table.
func testTable(t *testing.T) {
	f := newFarm(t, 1, 0)
	h := f.directors[0]
	admin := func(t *testing.T, lines string) {
		t.Helper()
		for _, l := range strings.Split(strings.TrimSpace(lines), "\n") {
			if _, err := h.Run(append([]string{"ipvsadm"}, strings.Fields(l)...)...); err != nil {
				t.Fatal(err)
			}
		}
	}

	admin(t, stranger)
	t.Run("start over a stale table", func(t *testing.T) {
		// Half of what a former run left is gone, some of it differs, and there is something else.
		admin(t, `
			-A -t 192.0.2.80:80 -s rr
			-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 3
			-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 7
			-a -t 192.0.2.80:80 -r 10.0.0.77:80 -m -w 1`)
		d := startDirector(t, h, tableConfig)
		wantTable(t, h, tableWanted+stranger)
		// scheduler changed, s2 changed, one server too much, s3, dns and its two servers missing; s1 was right.
		d.waitLog(0, 1, "kernel_changes=7")
		if c := d.Status().Checkers; c.Repairs != 0 {
			t.Errorf("%d repairs counted at the start", c.Repairs)
		}
		d.Stop()
		wantTable(t, h, stranger)
	})

	t.Run("a service that is gone from the file", func(t *testing.T) {
		// It was ours in a former run that was killed: the next one removes it although its file does not name it.
		d := startDirector(t, h, tableConfig)
		d.Kill("parent")
		f.Eventually(patience, "no process is left", func() error {
			if left := h.Processes(); len(left) > 0 {
				return fmt.Errorf("%v", left)
			}
			return nil
		})
		wantTable(t, h, tableWanted+stranger)
		before, _, _ := strings.Cut(tableConfig, "[virtual_server.dns]")
		d = startDirector(t, h, before)
		wanted, _, _ := strings.Cut(tableWanted, "-A -u")
		wantTable(t, h, wanted+stranger)
		d.Stop()
		wantTable(t, h, stranger)
	})

	d := startDirector(t, h, tableConfig)
	repairs := uint64(0)
	for _, edit := range []struct {
		name, command string
		repairs       uint64
		says          []string
	}{
		{"a server is deleted", "-d -t 192.0.2.80:80 -r 10.0.0.12:80", 1, []string{"ipvs=web/s2 from=missing to=repaired", "was removed from the kernel's table; added again"}},
		{"a weight is changed", "-e -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 40", 1, []string{"ipvs=web/s1 from=changed to=repaired", "had weight 40 instead of 3; set back"}},
		{"a server is added", "-a -t 192.0.2.80:80 -r 10.0.0.66:80 -m -w 1", 1, []string{"ipvs=web/10.0.0.66:80 from=unexpected to=repaired", "appeared in the kernel's table with weight 1; removed"}},
		{"the forwarding is changed", "-e -u 192.0.2.80:53 -r 10.0.0.11:53 -m -w 1", 1, []string{"ipvs=dns/10.0.0.11:53 from=changed to=repaired", "had forwarding nat instead of dr; set back"}},
		{"the scheduler is changed", "-E -t 192.0.2.80:80 -s sh", 1, []string{"ipvs=web from=changed to=repaired", "had scheduler sh instead of wrr; set back"}},
		{"a service is deleted", "-D -u 192.0.2.80:53", 1, []string{"ipvs=dns from=missing to=repaired", "was removed from the kernel's table with its 2 servers; added again"}},
		{"the table is flushed", "-C", 2, []string{"ipvs=web from=missing to=repaired", "was removed from the kernel's table with its 3 servers; added again"}},
	} {
		t.Run(edit.name, func(t *testing.T) {
			begin := len(d.Log())
			began := time.Now()
			admin(t, edit.command)
			want := tableWanted + stranger
			if edit.command == "-C" {
				want = tableWanted // the stranger has to look after itself
			}
			waitTable(t, h, want)
			wantWithin(t, "repaired", time.Since(began), time.Second) // the reconcile_interval
			repairs += edit.repairs
			d.waitFor(patience, "the repair is counted", func(s control.Status) error {
				if s.Checkers.Repairs < repairs {
					return fmt.Errorf("%d repairs are counted, want %d", s.Checkers.Repairs, repairs)
				}
				return nil
			})
			found := ""
			if err := netlab.EventuallyWithin(patience, func() error {
				found = linesWith(d.Log()[begin:], "to=repaired")
				for _, w := range edit.says {
					if !strings.Contains(found, w) {
						return fmt.Errorf("the log does not say %q:\n%s", w, found)
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			t.Log(strings.TrimSpace(found))
		})
	}
	if c := d.Status().Checkers; c.Repairs != repairs || len(c.Failures) != 0 {
		t.Errorf("%d repairs, failures %v; want %d repairs", c.Repairs, c.Failures, repairs)
	}
	for _, v := range d.Status().Checkers.Services {
		if !v.Installed {
			t.Errorf("%s is not installed", v.Name)
		}
	}

	t.Run("exclusive", func(t *testing.T) {
		admin(t, stranger)
		if err := d.Reload(strings.Replace(tableConfig, "[global]", "[global]\nexclusive_ipvs = true", 1)); err != nil {
			t.Fatal(err)
		}
		waitTable(t, h, tableWanted)
	})
	d.Stop()
	wantTable(t, h, "")
}
