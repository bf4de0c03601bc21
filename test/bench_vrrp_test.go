package test

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// The benchmarks of VRRP at scale: director and keepalived do the same things one after the other, with 1, 100 and 1000 virtual
// routers on four links. Times are the machine's of the moment; what counts is one beside the other.

// benchLinks is how many links the virtual routers are spread over: a link has 255 of them at most.
const benchLinks = 4

// A scale is two routers on four links, each of which is recorded.
type scale struct {
	*labtest.Lab
	b        testing.TB
	hosts    [2]*netlab.Host
	ports    [2][]*netlab.Port
	captures []*netlab.Capture
	n        int
}

func newScale(b testing.TB, n int) *scale {
	binary(b) // built before any clock starts
	s := &scale{Lab: labtest.New(b, "scale"), b: b, n: n}
	s.hosts = [2]*netlab.Host{s.Host("a"), s.Host("b")}
	for l := range min(n, benchLinks) {
		sw := s.Switch(fmt.Sprintf("sw%d", l))
		for i, h := range s.hosts {
			s.ports[i] = append(s.ports[i], s.Connect(h, fmt.Sprintf("eth%d", l), sw, fmt.Sprintf("10.%d.255.%d/16", l, i+1)))
		}
		c, err := sw.Capture(netlab.FilterVRRP)
		s.Must(err)
		b.Cleanup(func() { _ = c.Close() })
		s.captures = append(s.captures, c)
	}
	return s
}

// place is the link, VRID and address of the i-th virtual router.
func place(i int) (link, vrid int, addr string) {
	link, vrid = i%benchLinks, i/benchLinks+1
	return link, vrid, fmt.Sprintf("10.%d.1.%d", link, vrid)
}

// config writes the configuration for one of the programs, with more addresses in the first instance.
func (s *scale) config(who string, prio int, interval time.Duration, more ...string) string {
	var w strings.Builder
	if who == "keepalived" {
		w.WriteString("global_defs {\n router_id x\n vrrp_version 3\n}\n")
	}
	for i := range s.n {
		link, vrid, addr := place(i)
		addrs := []string{addr}
		if i == 0 {
			addrs = append(addrs, more...)
		}
		if who == "keepalived" {
			state := "BACKUP"
			if prio == 255 {
				state = "MASTER" // else it waits for the master-down time in spite of the priority
			}
			fmt.Fprintf(&w, "vrrp_instance VI_%d {\n state %s\n interface eth%d\n virtual_router_id %d\n priority %d\n advert_int %g\n virtual_ipaddress {\n %s\n }\n}\n",
				i, state, link, vrid, prio, interval.Seconds(), strings.Join(addrs, "\n "))
			continue
		}
		fmt.Fprintf(&w, "[vrrp_instance.VI_%d]\ninterface = \"eth%d\"\nvirtual_router_id = %d\npriority = %d\nadvert_interval = %q\nvirtual_ipaddress = [\"%s\"]\n",
			i, link, vrid, prio, interval, strings.Join(addrs, `", "`))
	}
	return w.String()
}

// A router is one of the two programs on one of the hosts.
type router struct {
	*netlab.Process
	reload func(conf string)
}

// start starts a program and does not wait.
func (s *scale) start(who string, host int, conf string) router {
	s.b.Helper()
	h := s.hosts[host]
	if who == "director" {
		d := launchDirector(s.b, h, conf)
		return router{d.Process, func(conf string) {
			d.WriteConfig(conf)
			s.Must(d.Signal(syscall.SIGHUP))
		}}
	}
	path, err := h.WriteFile(netlab.KeepalivedConf, conf)
	s.Must(err)
	// Without its log, which would cost it most of its time.
	k, err := h.Start("keepalived", "keepalived", "-n", "-G", "-f", path,
		"-p", h.Path("keepalived.pid"), "-r", h.Path("keepalived-vrrp.pid"), "-c", h.Path("keepalived-checkers.pid"))
	s.Must(err)
	return router{k, func(conf string) {
		_, err := h.WriteFile(netlab.KeepalivedConf, conf)
		s.Must(err)
		s.Must(k.Signal(syscall.SIGHUP))
	}}
}

// watch records when each virtual address of a host comes.
func (s *scale) watch(host int) (count func() (n int, last time.Time), stop func()) {
	ns, err := netns.GetFromName(s.hosts[host].Namespace())
	s.Must(err)
	updates, done := make(chan netlink.AddrUpdate, 4096), make(chan struct{})
	s.Must(netlink.AddrSubscribeWithOptions(updates, done, netlink.AddrSubscribeOptions{Namespace: &ns, ReceiveBufferSize: 8 << 20}))
	type state struct {
		seen map[string]bool
		last time.Time
	}
	ask, answer := make(chan struct{}), make(chan state)
	go func() {
		st := state{seen: make(map[string]bool)}
		for {
			select {
			case u, ok := <-updates:
				if !ok {
					return
				}
				if ip := u.LinkAddress.IP.To4(); u.NewAddr && ip != nil && ip[2] == 1 && !st.seen[ip.String()] {
					st.seen[ip.String()], st.last = true, time.Now()
				}
			case <-ask:
				answer <- state{map[string]bool{"": len(st.seen) > 0}, st.last}
				answer <- state{seen: st.seen}
			case <-done:
				return
			}
		}
	}()
	return func() (int, time.Time) {
			ask <- struct{}{}
			st := <-answer
			n := len((<-answer).seen)
			return n, st.last
		}, func() {
			close(done)
			ns.Close()
		}
}

// adverts returns, of each virtual router, the adverts that a host has sent since the captures were reset, oldest first.
func (s *scale) adverts(host int) map[[2]int][]time.Time {
	sent := make(map[[2]int][]time.Time, s.n)
	for l, c := range s.captures {
		src := netip.MustParseAddr(fmt.Sprintf("10.%d.255.%d", l, host+1))
		for _, a := range c.Adverts() {
			if a.Source == src && a.Priority > 0 {
				k := [2]int{l, int(a.VRID)}
				sent[k] = append(sent[k], a.Time)
			}
		}
	}
	return sent
}

func (s *scale) reset() {
	for _, c := range s.captures {
		c.Reset()
	}
}

// masters waits until a host has sent an advert of every virtual router.
func (s *scale) masters(host int, limit time.Duration) map[[2]int][]time.Time {
	s.b.Helper()
	var sent map[[2]int][]time.Time
	s.Eventually(limit, "adverts of all virtual routers", func() error {
		if sent = s.adverts(host); len(sent) < s.n {
			return fmt.Errorf("adverts of %d of %d", len(sent), s.n)
		}
		return nil
	})
	return sent
}

// cpu is the computing time of all processes of a host.
func (s *scale) cpu(host int) (sum time.Duration) {
	for _, p := range s.hosts[host].Processes() {
		sum += cpuTime(p.Pid)
	}
	return sum
}

// cpuTime is the computing time of a process so far.
func cpuTime(pid int) (sum time.Duration) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, t.Name()))
		if f := strings.Fields(string(text)); len(f) > 0 {
			ns, _ := strconv.ParseInt(f[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// memory is the proportional share of memory of all processes of a host, in kilobytes.
func (s *scale) memory(host int) (sum float64) {
	for _, p := range s.hosts[host].Processes() {
		sum += pss(p.Pid)
	}
	return sum
}

// pss is the proportional share of memory of a process, in kilobytes.
func pss(pid int) (kb float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range bytes.Lines(text) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[0] == "Pss:" {
			kb, _ = strconv.ParseFloat(f[1], 64)
		}
	}
	return kb
}

// each runs a benchmark for both programs and every size, those of one size beside each other.
func each(b *testing.B, f func(b *testing.B, who string, n int)) {
	for _, n := range []int{1, 100, 1000} {
		for _, who := range []string{"director", "keepalived"} {
			b.Run(fmt.Sprintf("%d/%s", n, who), func(b *testing.B) {
				f(b, who, n)
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// benchmarkStart measures the time from the start of the program to the first advert, to the last router's first advert and to the
// last address.
func benchmarkStart(b *testing.B, who string, n, prio int, interval time.Duration) {
	var first, all, addresses []time.Duration
	for b.Loop() {
		s := newScale(b, n)
		count, stop := s.watch(0)
		conf := s.config(who, prio, interval)
		s.reset()
		begin := time.Now()
		r := s.start(who, 0, conf)
		sent := s.masters(0, 30*time.Second)
		var times []time.Time
		for _, t := range sent {
			times = append(times, t[0])
		}
		slices.SortFunc(times, time.Time.Compare)
		s.Within(30*time.Second, "all addresses", func() bool { got, _ := count(); return got == n })
		_, last := count()
		first = append(first, times[0].Sub(begin))
		all = append(all, times[n-1].Sub(begin))
		addresses = append(addresses, last.Sub(begin))
		stop()
		r.KillGroup()
		s.hosts[0].KillAll()
	}
	b.ReportMetric(ms(median(first)), "first-advert-ms")
	b.ReportMetric(ms(median(all)), "all-adverts-ms")
	b.ReportMetric(ms(median(addresses)), "all-addresses-ms")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkVRRPStartOwner: priority 255 starts as MASTER.
func BenchmarkVRRPStartOwner(b *testing.B) {
	each(b, func(b *testing.B, who string, n int) { benchmarkStart(b, who, n, 255, time.Second) })
}

// BenchmarkVRRPStart: priority 150 waits for the master-down time first, 341.4 ms at adverts every 100 ms.
func BenchmarkVRRPStart(b *testing.B) {
	each(b, func(b *testing.B, who string, n int) { benchmarkStart(b, who, n, 150, 100*time.Millisecond) })
}

// BenchmarkVRRPSteady measures computing time per advert sent by a master and received by a backup, and the memory of both, while
// nothing happens.
func BenchmarkVRRPSteady(b *testing.B) {
	for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond} {
		b.Run(interval.String(), func(b *testing.B) {
			each(b, func(b *testing.B, who string, n int) {
				s := newScale(b, n)
				s.start(who, 0, s.config(who, 200, interval))
				s.masters(0, 30*time.Second)
				s.start(who, 1, s.config(who, 100, interval))
				time.Sleep(5 * interval) // all that belongs to the start is over
				const span = 5 * time.Second
				var sending, receiving time.Duration
				adverts := 0
				for b.Loop() {
					s.reset()
					sent, received := s.cpu(0), s.cpu(1)
					time.Sleep(span)
					sending += s.cpu(0) - sent
					receiving += s.cpu(1) - received
					for _, t := range s.adverts(0) {
						adverts += len(t)
					}
					if stray := len(s.adverts(1)); stray > 0 {
						b.Errorf("the backup became master of %d virtual routers", stray)
					}
				}
				b.ReportMetric(float64(sending.Microseconds())/float64(adverts), "µs-cpu/sent")
				b.ReportMetric(float64(receiving.Microseconds())/float64(adverts), "µs-cpu/received")
				b.ReportMetric(s.memory(0), "master-pss-kB")
				b.ReportMetric(s.memory(1), "backup-pss-kB")
			})
		})
	}
}

// BenchmarkVRRPScaleTakeover measures what a backup of many virtual routers adds to the time that the protocol demands when all
// their masters fall silent: its first advert of each less the last one of the master and the master-down time.
func BenchmarkVRRPScaleTakeover(b *testing.B) {
	const interval = 100 * time.Millisecond
	masterDown := 3*interval + 156*interval/256
	each(b, func(b *testing.B, who string, n int) {
		s := newScale(b, n)
		s.start(who, 0, s.config(who, 200, interval))
		s.masters(0, 30*time.Second)
		s.start(who, 1, s.config(who, 100, interval))
		time.Sleep(10 * interval)
		var over []time.Duration
		for b.Loop() {
			s.reset()
			time.Sleep(3 * interval)
			for _, p := range s.ports[0] {
				s.Must(p.Cut())
			}
			taken := s.masters(1, 30*time.Second)
			last := s.adverts(0)
			for at, t := range taken {
				if sent := last[at]; len(sent) > 0 {
					over = append(over, t[0].Sub(sent[len(sent)-1])-masterDown)
				}
			}
			for _, p := range s.ports[0] {
				s.Must(p.Heal())
			}
			s.Eventually(30*time.Second, "the backup is quiet", func() error {
				s.reset()
				time.Sleep(3 * interval)
				if n := len(s.adverts(1)); n > 0 {
					return fmt.Errorf("it is master of %d", n)
				}
				return nil
			})
		}
		report(b, over)
	})
}

// BenchmarkVRRPReload measures the time from the signal until an address that was added to one of many virtual routers is there.
func BenchmarkVRRPReload(b *testing.B) {
	each(b, func(b *testing.B, who string, n int) {
		s := newScale(b, n)
		r := s.start(who, 0, s.config(who, 255, time.Second))
		s.masters(0, 30*time.Second)
		time.Sleep(time.Second)
		var visible, cpu []time.Duration
		for b.Loop() {
			count, stop := s.watch(0)
			before, begin := s.cpu(0), time.Now()
			r.reload(s.config(who, 255, time.Second, "10.0.1.254"))
			s.Within(30*time.Second, "the address is there", func() bool { got, _ := count(); return got == 1 })
			_, at := count()
			visible = append(visible, at.Sub(begin))
			time.Sleep(500 * time.Millisecond)
			cpu = append(cpu, s.cpu(0)-before)
			stop()
			r.reload(s.config(who, 255, time.Second))
			s.Within(30*time.Second, "the address is gone", func() bool { return !s.hosts[0].HasAddr(netip.MustParseAddr("10.0.1.254")) })
			time.Sleep(500 * time.Millisecond)
		}
		b.ReportMetric(ms(median(visible)), "visible-ms")
		b.ReportMetric(ms(median(cpu)), "cpu-ms")
	})
}
