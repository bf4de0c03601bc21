package test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
	"director/internal/watchdog"
)

// TestFarmChecks has each kind of check find out how its server fails: one director, a real server of its Debian package for each protocol,
// and a virtual server for each check.
func TestFarmChecks(t *testing.T) {
	t.Parallel()
	if !labtest.RequireIPVS(t, filepath.Dir(binary(t))) {
		return
	}
	t.Run("kinds", testCheckKinds)
	t.Run("recovery, beside keepalived", testRecovery)
}

// checkWeight is the weight of the real servers, checkRhythm how they are asked, checkBack the interval after which one that is well again is
// asked. The time limit is the one that a server must exceed to be slow, and no other on a busy machine.
const (
	checkWeight = 8
	checkRhythm = `interval = "2s", interval_changing = "500ms", interval_down = "1s", timeout = "5s", rise = 1, fall = 2`
	checkBack   = time.Second
)

// checkPatience is for waits that many servers must be ready for, which share one slow processor.
const checkPatience = 10 * patience

// A target is a virtual server with one real server.
type target struct {
	name    string
	port    int    // of the real server, noPort if the check asks none
	check   string // what is asked, in TOML
	server  string // the real server's address, if not the common one
	v6      bool
	udp     bool
	inhibit bool
}

const noPort = 1

// A trial is a real server, the virtual servers that have it, and the ways in which it fails.
type trial struct {
	targets []target
	faults  []fault // one after another, each at the same time as one of every other trial
	slow    fault
	dead    fault
}

// A fault is something that goes wrong with a server. Virtual servers that it does not name bear it.
type fault struct {
	what       string
	begin, end func()
	out        map[string]string // by virtual server, what must be said about the server that goes out
	weights    map[string]int    // by virtual server, the weight that the server has meanwhile
	starts     bool              // it ends with the start of the server, which takes its time
	after      []string          // virtual servers that this takes out for a moment
	warnings   map[string]string // by virtual server, what is said about a server that stays
}

// A checkFarm is a farm whose real servers are all on one host, but for those that are asked by ping.
type checkFarm struct {
	*farm
	host    *netlab.Host
	ca      *labtest.Authority
	d       *director
	targets []target
	began   time.Time
	seen    uint64 // the last event that was judged
}

// The common addresses of the real servers.
const (
	checkServer  = "10.0.0.11"
	checkServer6 = "2001:db8:b::11"
)

func testCheckKinds(t *testing.T) {
	f := &checkFarm{farm: newFarm(t, 1, 1), began: time.Now()}
	f.host = f.servers[0]
	// Servers ask for their own names: without a way to the name server they learn at once that there is none.
	f.Run(f.host, "ip", "route", "del", "default")
	f.ca = labtest.NewAuthority(t, f.host.Path("ca"))
	f.Must(f.host.Sysctl("net.ipv4.icmp_ratelimit", "0")) // of a closed port each datagram is to learn
	f.Must(f.directors[0].AddAddr("eth1", netip.MustParsePrefix("2001:db8:b::1/64")))
	f.Must(f.host.AddAddr("eth0", netip.MustParsePrefix(checkServer6+"/64")))
	trials := []*trial{f.databases(), f.mariadb(), f.web(), f.haproxy(), f.names(), f.mail(), f.grpc(), f.redis(), f.directory(), f.ping(), f.script(), f.files()}
	conf := "[global]\nscript_user = \"root\"\nchild_timeout = \"1m\"\n" // it may get no processor for a while
	for _, c := range trials {
		for _, v := range c.targets {
			conf += v.config(len(f.targets))
			f.targets = append(f.targets, v)
		}
	}
	f.listening()
	t.Logf("the servers have started after %v", time.Since(f.began).Round(time.Millisecond))
	f.d = launchDirector(t, f.directors[0], conf+mixedFarm)
	f.d.WaitServersWithin(checkPatience)
	f.waitTable()
	t.Logf("%d virtual servers are up after %v", len(f.targets), time.Since(f.began).Round(time.Millisecond))
	f.seen = f.events()[len(f.events())-1].Seq

	for i, more := 0, true; more; i++ {
		var round []fault
		for _, c := range trials {
			if i < len(c.faults) {
				round = append(round, c.faults[i])
			}
		}
		if more = len(round) > 0; more {
			f.suffer(fmt.Sprintf("round %d", i+1), round...)
		}
	}
	var slow, dead []fault
	for _, c := range trials {
		slow, dead = append(slow, c.slow), append(dead, c.dead)
	}
	f.suffer("all are slow", slow...)
	f.suffer("all are dead", dead...)
	if s := f.d.Status(); s.Checkers.Repairs != 0 || len(s.Checkers.Failures) != 0 {
		t.Errorf("%d repairs, failures %v, want none", s.Checkers.Repairs, s.Checkers.Failures)
	}
	if lines := linesWith(f.d.Log(), "level=ERROR"); lines != "" {
		t.Errorf("the log has errors:\n%s", lines)
	}
	f.d.Stop()
	wantTable(t, f.d.host, "")
}

// mixedFarm are services with servers of the other IP version, which a tunnel reaches, and their table.
const (
	mixedFarm = `
[virtual_server.six-to-four]
address = "[2001:db8:a::80]:9000"
scheduler = "rr"
forwarding = "tunnel"
real_server = ["10.0.0.11", "2001:db8:b::11"]
[virtual_server.four-to-six]
address = "192.0.2.80:9000"
scheduler = "rr"
forwarding = "tunnel"
real_server = ["2001:db8:b::11", "10.0.0.11"]
`
	mixedTable = `
-A -t [2001:db8:a::80]:9000 -s rr
-a -t [2001:db8:a::80]:9000 -r 10.0.0.11:9000 -i -w 1 --tun-type ipip
-a -t [2001:db8:a::80]:9000 -r [2001:db8:b::11]:9000 -i -w 1 --tun-type ipip
-A -t 192.0.2.80:9000 -s rr
-a -t 192.0.2.80:9000 -r 10.0.0.11:9000 -i -w 1 --tun-type ipip
-a -t 192.0.2.80:9000 -r [2001:db8:b::11]:9000 -i -w 1 --tun-type ipip
`
)

// config is the virtual server in TOML; each has a port of its own.
func (v *target) config(i int) string {
	protocol := "tcp"
	if v.udp {
		protocol = "udp"
	}
	return fmt.Sprintf("[virtual_server.%s]\naddress = %q\nprotocol = %q\nscheduler = \"rr\"\ncheck = { %s, %s }\nreal_server = { name = \"s\", address = %q, weight = %d, inhibit_on_failure = %v }\n",
		v.name, v.address(i), protocol, v.check, checkRhythm, v.realServer(), checkWeight, v.inhibit)
}

func (v *target) address(i int) string {
	if v.v6 {
		return fmt.Sprintf("[2001:db8:a::80]:%d", 1000+i)
	}
	return fmt.Sprintf("192.0.2.80:%d", 1000+i)
}

func (v *target) realServer() string {
	ip := v.server
	switch {
	case ip != "":
	case v.v6:
		ip = checkServer6
	default:
		ip = checkServer
	}
	return netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(v.port)).String()
}

// table is what ipvsadm must say: everything, but for the servers that are out or have another weight.
func (f *checkFarm) table(faults []fault) string {
	text := mixedTable
	for i, v := range f.targets {
		flag, weight := "-t", checkWeight
		if v.udp {
			flag = "-u"
		}
		out := false
		for _, one := range faults {
			if _, is := one.out[v.name]; is {
				out, weight = true, 0
			}
			if w, is := one.weights[v.name]; is {
				weight = w
			}
		}
		text += fmt.Sprintf("-A %s %s -s rr\n", flag, v.address(i))
		if !out || v.inhibit {
			text += fmt.Sprintf("-a %s %s -r %s -m -w %d\n", flag, v.address(i), v.realServer(), weight)
		}
	}
	return text
}

// waitTable waits until the kernel's table is what it is to be under the faults, and goes on without.
func (f *checkFarm) waitTable(faults ...fault) {
	f.t.Helper()
	if err := netlab.EventuallyWithin(checkPatience, func() error {
		got, err := f.d.host.Run("ipvsadm", "-Sn")
		if err != nil {
			return err // on a busy machine it may take more time than it is given
		}
		if diff := cmp.Diff(sortLines(f.table(faults)), sortLines(got)); diff != "" {
			return fmt.Errorf("ipvsadm -Sn (-want +got):\n%s", diff)
		}
		return nil
	}); err != nil {
		f.t.Error(err)
	}
}

// suffer lets faults happen at the same time, and sees what they change in the kernel and what is said about it; then it ends them.
func (f *checkFarm) suffer(what string, faults ...fault) {
	f.t.Helper()
	t := f.t
	t.Logf("%s, %v after the start:", what, time.Since(f.began).Round(100*time.Millisecond))
	out, warnings := map[string]string{}, map[string]string{}
	for _, one := range faults {
		if one.what != "" {
			t.Log(one.what)
		}
		maps.Copy(out, one.out)
		maps.Copy(warnings, one.warnings)
		if one.begin != nil {
			one.begin()
		}
	}
	f.waitTable(faults...)
	f.d.waitFor(patience, "the warnings", func(s control.Status) error {
		for name, want := range warnings {
			v, err := findService(s, name)
			if err != nil {
				return err
			}
			if got := v.Servers[0].Checks[0].Warning; !strings.Contains(got, want) {
				return fmt.Errorf("%s: warning %q, want %q", name, got, want)
			}
		}
		return nil
	})
	for _, v := range f.d.Status().Checkers.Services {
		health := "up"
		want, isOut := out[v.Name]
		if isOut {
			health = "down"
		}
		if s := v.Servers[0]; s.Health != health || !strings.Contains(s.Reason, want) {
			t.Errorf("%s is %s: %s; want %s: %s", v.Name, s.Health, s.Reason, health, want)
		} else if isOut {
			t.Logf("%s is down: %s", v.Name, s.Reason)
		}
	}
	text, err := f.d.CLI("status", "--all")
	f.Must(err)
	for _, want := range slices.Concat(slices.Collect(maps.Values(out)), slices.Collect(maps.Values(warnings))) {
		if !strings.Contains(text, want) {
			t.Errorf("the status does not say %q:\n%s", want, text)
		}
	}
	ended := make([]time.Time, len(faults))
	for i, one := range faults {
		if one.end != nil {
			one.end()
		}
		ended[i] = time.Now()
	}
	f.waitTable()
	f.d.WaitServersWithin(checkPatience)
	f.judge(ended, faults)
}

// judge holds the events since the last call against what has happened: the servers that the faults name went down and came back, and
// nothing else happened to any. Each event has its line in the log. ended are the ends of the faults.
func (f *checkFarm) judge(ended []time.Time, faults []fault) {
	f.t.Helper()
	last := map[string]time.Time{}
	count := map[string]int{}
	log := f.d.Log()
	for _, e := range f.events() {
		if e.Seq <= f.seen {
			continue
		}
		f.seen = e.Seq
		count[e.Subject+" "+e.To]++
		last[e.Subject] = e.Time
		if name, _, isServer := strings.Cut(e.Subject, "/"); isServer && !slices.ContainsFunc(faults, func(one fault) bool { return one.explains(name, e) }) {
			f.t.Errorf("event %+v", e)
		}
		mark := fmt.Sprintf("seq=%d\n", e.Seq)
		if !strings.Contains(log, mark) {
			f.d.waitLog(0, 1, mark)
			log = f.d.Log()
		}
		if line := linesWith(log, mark); !strings.Contains(line, "reason="+strconv.Quote(e.Reason)) || !strings.Contains(line, e.Subject) {
			f.t.Errorf("the log says %q about the event %+v", line, e)
		}
	}
	for i, one := range faults {
		for name := range one.out {
			for _, change := range []string{"/s down", "/s up", " down", " up"} {
				if n := count[name+change]; n != 1 {
					f.t.Errorf("%d events %q", n, name+change)
				}
			}
			took := last[name+"/s"].Sub(ended[i])
			f.t.Logf("%s was back %v after the fault", name, took.Round(time.Millisecond))
			if took > checkBack+20*time.Second+stood(ended[i]) && !one.starts {
				f.t.Errorf("%s was back %v after the fault, want at most %v and what a busy machine adds", name, took, checkBack)
			}
		}
	}
}

// explains reports whether an event about a virtual server's real server is the fault's doing.
func (one *fault) explains(name string, e control.Event) bool {
	want, is := one.out[name]
	return is && (e.To != "down" || strings.Contains(e.Reason, want)) || slices.Contains(one.after, name)
}

// events are all events so far of virtual and real servers.
func (f *checkFarm) events() []control.Event {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	c, err := control.Dial(ctx, watchdog.SocketPath(f.d.RuntimeDir()))
	f.Must(err)
	defer c.Close()
	list, err := c.Events(ctx, control.EventQuery{})
	f.Must(err)
	return slices.DeleteFunc(list, func(e control.Event) bool { return e.Kind != "server" && e.Kind != "service" })
}

// run starts a server on the real servers' host. It returns the faults of being slow and dead, in which the server does this to
// its virtual servers.
func (f *checkFarm) run(name string, argv []string, slow, dead map[string]string) (halted, killed fault) {
	f.t.Helper()
	p := f.Start(f.host, name, argv...)
	halted = fault{out: slow, begin: func() { f.Must(p.SignalGroup(syscall.SIGSTOP)) }, end: func() { f.Must(p.SignalGroup(syscall.SIGCONT)) }}
	killed = fault{out: dead, starts: true, begin: func() { p.KillGroup() }, end: func() { p = f.Start(f.host, name, argv...) }}
	return halted, killed
}

// listening waits until all servers do: several of them start slowly in the company of checks.
func (f *checkFarm) listening() {
	f.t.Helper()
	f.Eventually(checkPatience, "all servers listen", func() error {
		for _, v := range f.targets {
			if v.udp || v.port == noPort {
				continue
			}
			c, err := f.directors[0].Dial("tcp", v.realServer())
			if err != nil {
				return err
			}
			c.Close()
		}
		return nil
	})
}

// says expects the same words about several virtual servers.
func says(reason string, names ...string) map[string]string {
	m := map[string]string{}
	for _, n := range names {
		m[n] = reason
	}
	return m
}

// folder is where a server has its files.
func (f *checkFarm) folder(name string) string { return f.host.Path(name) }

// at is a port of the real servers' host.
func (f *checkFarm) at(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(checkServer), port)
}
