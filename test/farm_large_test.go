package test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
	"director/ipvs"
	"director/ipvs/kernel"
)

// The large table: 100 virtual servers with 100 servers each.
const (
	largeServices = 100
	largeServers  = 100
)

// largePatience is for what is done with all of them.
const largePatience = 10 * patience

// largeConfig is that table in keepalived's language. Nothing is checked. The weight is that of one server in the middle.
func largeConfig(vip string, weight int) string {
	var b strings.Builder
	for i := range largeServices {
		fmt.Fprintf(&b, "virtual_server %s %d {\n  lb_algo wrr\n  lb_kind NAT\n  protocol TCP\n", vip, 1000+i)
		for j := range largeServers {
			w := 1
			if i == 50 && j == 50 {
				w = weight
			}
			fmt.Fprintf(&b, "  real_server 10.1.%d.%d 80 {\n    weight %d\n  }\n", i, j+1, w)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// A kernelTable is a look at the IPVS table of a host, and a hand on it.
type kernelTable struct {
	t    *testing.T
	host *netlab.Host
	k    *kernel.Kernel
}

func openTable(t *testing.T, h *netlab.Host) *kernelTable {
	t.Helper()
	kt := &kernelTable{t: t, host: h, k: openKernel(t, h)}
	t.Cleanup(func() { kt.k.Close() })
	return kt
}

// dump returns the table.
func (kt *kernelTable) dump() ipvs.Table {
	kt.t.Helper()
	table, err := kt.k.Dump()
	if err != nil {
		kt.t.Fatal(err)
	}
	return table
}

// entries counts the table's services and servers.
func (kt *kernelTable) entries() int {
	services, servers := kt.dump().Len()
	return services + servers
}

// waitEntries waits until there are so many.
func (kt *kernelTable) waitEntries(want int) {
	kt.t.Helper()
	if err := netlab.EventuallyWithin(largePatience, func() error {
		if n := kt.entries(); n != want {
			return fmt.Errorf("%d entries on %s, want %d", n, kt.host.Name(), want)
		}
		return nil
	}); err != nil {
		kt.t.Fatal(err)
	}
}

// halve takes out every second server and every tenth service, changes the weight of every fifth, and returns how many changes bring back
// what was there.
func (kt *kernelTable) halve() int {
	kt.t.Helper()
	have, want := kt.dump(), ipvs.Table{}
	for i, key := range have.Keys() {
		if i%10 == 9 {
			continue
		}
		e := want.Set(key, have[key].Service)
		for j, dest := range have[key].Keys() {
			d := have[key].Dests[dest]
			if j%5 == 4 {
				d.Weight = 9
			}
			if j%2 == 0 {
				e.Dests[dest] = d
			}
		}
	}
	for i, err := range kt.k.Apply(ipvs.Diff(have, want, ipvs.Everything)) {
		if err != nil {
			kt.t.Fatalf("change %d: %v", i, err)
		}
	}
	return len(ipvs.Diff(want, have, ipvs.Everything))
}

var kernelChanges = regexp.MustCompile(`msg="configuration applied".* kernel_changes=(\d+)`)

// lastChanges is how many entries of the kernel's table the newest configuration of a log has changed.
func lastChanges(t *testing.T, log string) int {
	t.Helper()
	all := kernelChanges.FindAllStringSubmatch(log, -1)
	if len(all) == 0 {
		t.Fatalf("the log does not say how many changes there were:\n%s", linesWith(log, "configuration"))
	}
	n, _ := strconv.Atoi(all[len(all)-1][1])
	return n
}

// testLargeTable starts, reloads and stops director and keepalived with 10,000 servers, over no table, a full one and one of which half is
// missing: director changes what differs, all of it and nothing else, and leaves nothing behind. keepalived adds what is missing and
// leaves the rest as it finds it; how much of its table a stop leaves behind depends on how much it gets done in 5 s.
func testLargeTable(t *testing.T) {
	const all = largeServices * (largeServers + 1)
	r := newRivalry(t, 0)
	start := func(weight int) time.Duration {
		t.Helper()
		began, log := time.Now(), 0
		if r.ours != nil {
			log = len(r.ours.Log())
		}
		// Not by the status: to write that of 10,000 servers again and again takes the time that is measured.
		r.ours = launchWith(t, r.directors[0], netlab.KeepalivedConf, largeConfig(ourVIP, weight))
		r.Within(largePatience, "director has started", func() bool { return kernelChanges.MatchString(r.ours.Log()[log:]) })
		t.Logf("director has started: %v", time.Since(began).Round(time.Millisecond))
		return time.Since(began)
	}
	our, their := openTable(t, r.directors[0]), openTable(t, r.directors[1])
	took := func(what string, began time.Time) {
		t.Helper()
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
	}
	// reload returns when it began. A machine that is so busy that the parent takes its child for dead gets another try.
	reload := func(weight int) (began time.Time) {
		t.Helper()
		for n := 1; ; n++ {
			began = time.Now()
			err := r.ours.Reload(largeConfig(ourVIP, weight))
			if err == nil {
				return began
			}
			if n == 3 || !strings.Contains(err.Error(), "hung") {
				t.Fatal(err)
			}
			t.Log(err)
		}
	}
	changed := func(want int) {
		t.Helper()
		// The log is written after a reload has been answered.
		if err := netlab.EventuallyWithin(patience, func() error {
			if n := lastChanges(t, r.ours.Log()); n != want {
				return fmt.Errorf("%d changes in the kernel's table, want %d", n, want)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}

	start(1)
	changed(all)
	our.waitEntries(all)
	began := time.Now()
	r.startTheirs(largeConfig(theirVIP, 1))
	their.waitEntries(all)
	took("keepalived has started", began)
	full := their.dump()

	t.Run("one server of them all", func(t *testing.T) {
		before := our.dump()
		took("director has reloaded", reload(7))
		changed(1)
		ops := ipvs.Diff(before, our.dump(), ipvs.Everything)
		if len(ops) != 1 {
			t.Errorf("%d differences, want one: %v", len(ops), ops)
		}
	})
	t.Run("over a full table", func(t *testing.T) {
		r.ours.Kill("parent")
		r.Within(patience, "no process is left", func() bool { return len(r.directors[0].Processes()) == 0 })
		start(7)
		changed(0)
	})
	t.Run("over a half", func(t *testing.T) {
		r.ours.Kill("parent")
		r.Within(patience, "no process is left", func() bool { return len(r.directors[0].Processes()) == 0 })
		before := our.dump()
		missing := our.halve()
		t.Logf("%d entries are left, %d changes are due", our.entries(), missing)
		started := start(7)
		changed(missing)
		began := reload(3)
		took("director has reloaded right after", began)
		// keepalived's takes six times as long as its start: it still tries to add what is there.
		if d := time.Since(began); d > 4*started+slack+stood(began) {
			t.Errorf("the reload after the start took %v", d)
		}
		changed(1)
		if ops := ipvs.Diff(before, our.dump(), ipvs.Everything); len(ops) != 1 {
			t.Errorf("%d differences from the table before, want the one of the reload", len(ops))
		}
	})
	t.Run("keepalived over a half", func(t *testing.T) {
		r.directors[1].KillAll()
		due := their.halve()
		began := time.Now()
		r.startTheirs(largeConfig(theirVIP, 1))
		their.waitEntries(all)
		took("keepalived looks complete", began)
		left := len(ipvs.Diff(their.dump(), full, ipvs.Everything))
		t.Logf("%d changes were due, %d still are", due, left)
		if left == 0 {
			t.Error("keepalived has mended what differed")
		}
	})
	t.Run("stop", func(t *testing.T) {
		began := time.Now()
		r.ours.Stop()
		took("director has stopped", began)
		if n := our.entries(); n != 0 {
			t.Errorf("%d entries are left", n)
		}
		began = time.Now()
		r.Must(r.theirs.Stop(largePatience))
		took("keepalived has stopped", began)
		t.Logf("keepalived leaves %d entries", their.entries())
	})
}
