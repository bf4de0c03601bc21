package test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
	"director/ipvs"
	"director/ipvs/kernel"
)

// TestBenchFarm measures how the kernel's table is programmed, changed and emptied, beside keepalived and ipvsadm: on this kernel,
// or, where it has no IPVS, in User Mode Linux with one processor and slow system calls. There only ratios count.
func TestBenchFarm(t *testing.T) {
	if !benching() {
		return
	}
	if !labtest.RequireIPVS(t, filepath.Dir(binary(t))) {
		return
	}
	t.Run("10000", func(t *testing.T) { benchmarkTable(t, benchFarm{services: 100, servers: 100}, benchRounds(3), true) })
	t.Run("40000", func(t *testing.T) { benchmarkTable(t, benchFarm{services: 2000, servers: 20}, benchRounds(2), false) })
	t.Run("list", benchmarkList)
}

// tableBench is the host whose IPVS table a program fills.
type tableBench struct {
	*labtest.Lab
	t     *testing.T
	hosts int
	h     *netlab.Host
	k     *kernel.Kernel
	farm  benchFarm
}

func newTableBench(t *testing.T, f benchFarm) *tableBench {
	b := &tableBench{Lab: labtest.New(t, "table"), t: t, farm: f}
	b.farm.port = 80
	return b
}

// next gives the program whose turn it is a host of its own. In one table for all it would pay for the one before it: the kernel
// keeps each server that was removed for two minutes, and looks through those for each one that is added.
func (b *tableBench) next() {
	b.t.Helper()
	if b.h != nil {
		b.h.KillAll()
	}
	b.hosts++
	b.h = b.Host(fmt.Sprintf("h%d", b.hosts))
	var err error
	b.k, err = kernel.OpenNamespace("/run/netns/" + b.h.Namespace())
	b.Must(err)
	k := b.k
	b.t.Cleanup(func() { k.Close() })
}

func serviceKey(at netip.AddrPort) ipvs.ServiceKey {
	return ipvs.ServiceKey{Protocol: ipvs.TCP, Addr: at}
}

// servers returns the servers that the kernel has of a service of the farm.
func (b *tableBench) servers(n int) map[ipvs.DestKey]ipvs.Destination {
	b.t.Helper()
	key := serviceKey(b.farm.service(n))
	table, _, err := b.k.Read(func(k ipvs.ServiceKey) bool { return k == key })
	b.Must(err)
	if e := table[key]; e != nil {
		return e.Dests
	}
	return nil
}

// entries counts the servers in the table.
func (b *tableBench) entries() (n int) {
	b.t.Helper()
	table, err := b.k.Dump()
	b.Must(err)
	for _, e := range table {
		n += len(e.Dests)
	}
	return n
}

// until waits for a state of the table and returns when it was seen. It looks as rarely as the result bears: the machine may have
// one processor, which it takes from whom it watches.
func (b *tableBench) until(what string, cond func() bool) time.Time {
	b.t.Helper()
	for end := time.Now().Add(4 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return time.Now()
		}
	}
	b.t.Fatalf("not within four minutes: %s; the table has %d servers", what, b.entries())
	return time.Time{}
}

// complete waits until the whole farm is in the table.
func (b *tableBench) complete() time.Time {
	b.t.Helper()
	for _, n := range []int{0, b.farm.services / 2} {
		b.until("a service has its servers", func() bool { return len(b.servers(n)) == b.farm.servers })
	}
	at := b.until("the last service has its servers", func() bool { return len(b.servers(b.farm.services-1)) == b.farm.servers })
	if want, got := b.farm.services*b.farm.servers, b.entries(); got != want {
		at = b.until("the table is complete", func() bool { return b.entries() == want })
	}
	return at
}

// run starts a program for the farm, and returns how to reload it.
func (b *tableBench) run(who string) (p *netlab.Process, reload func(benchFarm)) {
	b.t.Helper()
	if who == "director" {
		d := launchDirector(b.t, b.h, b.farm.director())
		return d.Process, func(f benchFarm) {
			d.WriteConfig(f.director())
			b.Must(d.Signal(syscall.SIGHUP))
		}
	}
	path, err := b.h.WriteFile(netlab.KeepalivedConf, b.farm.keepalived())
	b.Must(err)
	p, err = b.h.Start("keepalived", "keepalived", "-n", "-G", "-C", "-f", path, "-p", b.h.Path("keepalived.pid"), "-c", b.h.Path("checkers.pid"))
	b.Must(err)
	return p, func(f benchFarm) {
		_, err := b.h.WriteFile(netlab.KeepalivedConf, f.keepalived())
		b.Must(err)
		b.Must(p.Signal(syscall.SIGHUP))
	}
}

// restore is the table in ipvsadm's language.
func (b *tableBench) restore() string {
	var w strings.Builder
	for s := range b.farm.services {
		fmt.Fprintf(&w, "-A -t %v -s rr\n", b.farm.service(s))
		for n := range b.farm.servers {
			fmt.Fprintf(&w, "-a -t %v -r %v -m -w 1\n", b.farm.service(s), b.farm.server(s, n))
		}
	}
	return w.String()
}

// change reloads another configuration and waits until the kernel has it. It returns how long that took.
func (b *tableBench) change(reload func(benchFarm), to benchFarm) float64 {
	b.t.Helper()
	at, n := to.services/2, to.servers/2
	want, _ := netip.ParseAddrPort(to.server(at, n).String())
	begin := time.Now()
	reload(to)
	end := b.until("the change is in the table", func() bool {
		have := b.servers(at)
		d, there := have[ipvs.CanonicalDest(want)]
		return there && int(d.Weight) == to.weightOf(at, n) && len(have) == to.servers
	})
	return ms(end.Sub(begin))
}

func benchmarkTable(t *testing.T, f benchFarm, rounds int, adm bool) {
	b := newTableBench(t, f)
	total := f.services * f.servers
	size := fmt.Sprintf("%d servers", total)
	program := &contest{name: size + ": start to complete table", unit: "ms", goal: 1.0 / 3}
	weight := &contest{name: size + ": reload, one weight changed", unit: "ms"}
	server := &contest{name: size + ": reload, one server replaced", unit: "ms"}
	stop := &contest{name: size + ": graceful stop", unit: "ms"}
	left := &contest{name: size + ": entries left by the stop", unit: "", limit: 1}
	cpu := &contest{name: size + ": CPU of the start", unit: "ms"}
	memory := &contest{name: size + ": memory (PSS), no checks", unit: "MB"}
	restore := &contest{name: size + ": director beside ipvsadm -R", unit: "ms", rival: "ipvsadm -R"}
	if total > 10_000 {
		weight.limit, server.limit, program.goal = 1000, 1000, 0
	} else {
		stop.limit = 1000
	}
	for range rounds {
		for _, who := range []string{"director", "keepalived"} {
			add := func(c *contest, v float64) { c.add(who, v) }
			b.next()
			begin := time.Now()
			p, reload := b.run(who)
			took := ms(b.complete().Sub(begin))
			add(program, took)
			if who == "director" {
				restore.ours = append(restore.ours, took)
			}
			time.Sleep(2 * time.Second) // what belongs to the start is over
			var spent time.Duration
			var held float64
			for _, i := range b.h.Processes() {
				spent += cpuTime(i.Pid)
				held += pss(i.Pid)
			}
			add(cpu, ms(spent))
			add(memory, held/1024)
			to := b.farm
			for _, w := range []int{7, 1} {
				to.weight = w
				add(weight, b.change(reload, to))
				time.Sleep(time.Second)
			}
			for _, r := range []bool{true, false} {
				to.replaced = r
				add(server, b.change(reload, to))
				time.Sleep(time.Second)
			}
			begin = time.Now()
			b.Must(p.Signal(syscall.SIGTERM))
			_, err := p.Wait(2 * time.Minute)
			b.Must(err)
			add(stop, ms(time.Since(begin)))
			add(left, float64(b.entries()))
			t.Logf("%s: start %.0f, stop %.0f, left %d", who, took, ms(time.Since(begin)), b.entries())
		}
		if adm {
			b.next()
			cmd := b.h.Command(t.Context(), "ipvsadm", "-R")
			cmd.Stdin = strings.NewReader(b.restore())
			begin := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("ipvsadm -R: %v: %s", err, out)
			}
			restore.theirs = append(restore.theirs, ms(time.Since(begin)))
		}
	}
	list := []*contest{program, cpu, weight, server, stop, left, memory}
	if adm {
		list = append(list, restore)
	}
	tell(t, list...)
}

// benchmarkList: the commands that print and fill a table, beside ipvsadm's.
func benchmarkList(t *testing.T) {
	b := newTableBench(t, benchFarm{services: 100, servers: 100})
	text := b.restore()
	list := &contest{name: "director ipvs list, 10000 servers", unit: "ms", rival: "ipvsadm", goal: 1}
	restore := &contest{name: "director ipvs restore, 10000 servers", unit: "ms", rival: "ipvsadm", goal: 1.0 / 3}
	version := &contest{name: "director version: start of a process", unit: "ms"}
	took := func(input string, argv ...string) float64 {
		cmd := b.h.Command(t.Context(), argv...)
		cmd.Stdin = strings.NewReader(input)
		begin := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
		return ms(time.Since(begin))
	}
	for range benchRounds(5) {
		b.next()
		restore.theirs = append(restore.theirs, took(text, "ipvsadm", "-R"))
		b.next()
		restore.ours = append(restore.ours, took(text, binary(t), "ipvs", "restore"))
		list.ours = append(list.ours, took("", binary(t), "ipvs", "list"))
		list.theirs = append(list.theirs, took("", "ipvsadm", "-Ln"))
		version.ours = append(version.ours, took("", binary(t), "version"))
	}
	tell(t, restore, list, version)
}
