package test

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// checkBench is one host with a web server and, in turns, both programs.
type checkBench struct {
	*labtest.Lab
	t    testing.TB
	h    *netlab.Host
	lib  string
	port uint16
}

func newCheckBench(t testing.TB) *checkBench {
	b := &checkBench{Lab: labtest.New(t, "checks"), t: t, lib: noIPVSLibrary(t), port: 8099}
	b.h = b.Host("h")
	return b
}

// start starts one of the programs without IPVS.
func (b *checkBench) start(who string, f benchFarm) *netlab.Process {
	b.t.Helper()
	return b.launch(who, f.text(who))
}

// launch starts one of the programs with a configuration.
func (b *checkBench) launch(who, conf string) *netlab.Process {
	b.t.Helper()
	if who == "director" {
		path, err := b.h.WriteFile("director.toml", conf)
		b.Must(err)
		self, err := os.Executable()
		b.Must(err)
		p, err := b.h.StartEnv("director", []string{stubEnv + "=" + path}, self)
		b.Must(err)
		return p
	}
	path, err := b.h.WriteFile(netlab.KeepalivedConf, conf)
	b.Must(err)
	p, err := b.h.StartEnv("keepalived", []string{"LD_PRELOAD=" + b.lib}, "keepalived", "-n", "-l", "-D", "-C", "-f", path, "-p", b.h.Path("keepalived.pid"), "-c", b.h.Path("checkers.pid"))
	b.Must(err)
	return p
}

// cpu is the computing time of a program and its children, and memory what they hold (PSS), in kilobytes.
func (b *checkBench) used(p *netlab.Process) (cpu time.Duration, memory float64) {
	for _, i := range b.h.Processes() {
		if i.Pid != p.Pid() && i.Parent != p.Pid() {
			continue
		}
		cpu += cpuTime(i.Pid)
		memory += pss(i.Pid)
	}
	return cpu, memory
}

// opened counts the connections that were opened on the host so far.
func (b *checkBench) opened() (n int) {
	b.t.Helper()
	b.Must(b.h.Do(func() error {
		text, err := os.ReadFile("/proc/thread-self/net/snmp")
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 5 && f[0] == "Tcp:" {
				n, _ = strconv.Atoi(f[5]) // ActiveOpens; the line of names before gives 0
			}
		}
		return err
	}))
	return n
}

// settle waits until what belongs to the start of a program is over: it makes as many checks a second as it should, for three
// seconds, or has had a minute for it.
func (b *checkBench) settle(perSecond int) {
	b.t.Helper()
	for good, end := 0, time.Now().Add(time.Minute); good < 3 && time.Now().Before(end); {
		before, began := b.opened(), time.Now()
		time.Sleep(time.Second)
		rate := float64(b.opened()-before) / time.Since(began).Seconds()
		if good++; math.Abs(rate-float64(perSecond)) > 0.1*float64(perSecond) {
			good = 0
		}
	}
}

// TestBenchChecks measures the computing time of a check, and the memory, at 1000 checks a second.
func TestBenchChecks(t *testing.T) {
	if !benching() {
		return
	}
	rounds, span := benchRounds(3), 20*time.Second
	if s := os.Getenv("BENCH_SPAN"); s != "" {
		span, _ = time.ParseDuration(s)
	}
	for _, kind := range []string{"tcp", "http"} {
		b := newCheckBench(t)
		_, err := b.h.Nginx(netip.AddrPortFrom(netip.IPv4Unspecified(), b.port), "ok", netlab.NginxOptions{})
		b.Must(err)
		f := benchFarm{services: 10, servers: 100, check: kind, port: b.port, interval: time.Second}
		cpu := &contest{name: "CPU of a " + kind + " check at 1000 a second", unit: "us", goal: 0.5}
		memory := &contest{name: "memory (PSS) at 1000 " + kind + " checks a second", unit: "MB"}
		for range rounds {
			for _, who := range []string{"director", "keepalived"} {
				p := b.start(who, f)
				b.settle(1000)
				began, opened := time.Now(), b.opened()
				before, _ := b.used(p)
				time.Sleep(span)
				after, held := b.used(p)
				n := b.opened() - opened
				per := float64((after - before).Microseconds()) / float64(n)
				t.Logf("%s %s: %.1f us, %.0f checks/s, %.1f MB", who, kind, per, float64(n)/time.Since(began).Seconds(), held/1024)
				cpu.add(who, per)
				memory.add(who, held/1024)
				p.KillGroup()
			}
		}
		tell(t, cpu, memory)
	}
}

// TestBenchReload measures, with a thousand checks a second by three sizes of farm, the memory, and whether a reload of one weight
// holds up the checks: the longest time without one, while nothing happens and around the reload.
func TestBenchReload(t *testing.T) {
	if !benching() {
		return
	}
	for _, f := range []benchFarm{{services: 10, servers: 100}, {services: 100, servers: 100}, {services: 2000, servers: 20}} {
		b := newCheckBench(t)
		_, err := b.h.Nginx(netip.AddrPortFrom(netip.IPv4Unspecified(), b.port), "ok", netlab.NginxOptions{})
		b.Must(err)
		n := f.services * f.servers
		f.check, f.port, f.interval = "tcp", b.port, time.Duration(n)*time.Millisecond
		size := fmt.Sprintf("%d servers, 1000 checks a second: ", n)
		memory := &contest{name: size + "memory (PSS)", unit: "MB"}
		quiet := &contest{name: size + "longest gap", unit: "ms"}
		gap := &contest{name: size + "longest gap around a reload", unit: "ms", limit: 1000}
		for range benchRounds(1) {
			for _, who := range []string{"director", "keepalived"} {
				p := b.start(who, f)
				b.settle(1000)
				quiet.add(who, b.gap(5*time.Second, func() {}))
				_, held := b.used(p)
				memory.add(who, held/1024)
				for _, w := range []int{7, 1} {
					to := f
					to.weight = w
					gap.add(who, b.gap(5*time.Second, func() {
						name := "director.toml"
						if who == "keepalived" {
							name = netlab.KeepalivedConf
						}
						_, err := b.h.WriteFile(name, to.text(who))
						b.Must(err)
						b.Must(p.Signal(syscall.SIGHUP))
					}))
				}
				p.KillGroup()
			}
		}
		tell(t, memory, quiet, gap)
	}
}

// gap does something and returns the longest time in a span around it in which no check began, in milliseconds.
func (b *checkBench) gap(span time.Duration, do func()) float64 {
	b.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); time.Sleep(span / 5); do() }()
	last, longest := b.opened(), time.Duration(0)
	seen := time.Now()
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if n := b.opened(); n != last {
			longest = max(longest, time.Since(seen))
			last, seen = n, time.Now()
		}
	}
	<-done
	return ms(max(longest, time.Since(seen)))
}
