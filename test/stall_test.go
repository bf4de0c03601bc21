package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

// A stall of the VRRP process that is longer than the backups' master-down time, and shorter than the time after which the watchdog would end it.
const stall = 2 * lull

// unwatched is the setting of that time.
const unwatched = "[global]\nchild_timeout = \"60s\"\n"

// stalled stops the VRRP process for a while, and lets it go on.
func stalled(d *director) {
	d.SignalRole("vrrp", syscall.SIGSTOP)
	time.Sleep(stall)
	d.SignalRole("vrrp", syscall.SIGCONT)
}

// kstalled does so with keepalived's VRRP process.
func kstalled(t *testing.T, h *netlab.Host) {
	t.Helper()
	procs := h.Processes()
	for _, child := range procs {
		for _, parent := range procs {
			if child.Parent == parent.Pid && strings.Contains(strings.Join(child.Args, " "), "keepalived") {
				if err := syscall.Kill(child.Pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				time.Sleep(stall)
				if err := syscall.Kill(child.Pid, syscall.SIGCONT); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	}
	t.Fatalf("no VRRP process of keepalived among %v", procs)
}

// sentBy counts the adverts of a host that say a priority.
func (p *pair) sentBy(host string, priority int) int {
	n := 0
	for _, adv := range p.cap.Adverts() {
		if adv.Source.String() == host && adv.Priority == priority {
			n++
		}
	}
	return n
}

// A backup that did not run for longer than its master-down time reads the adverts
// that have queued up before it looks at its timer: it says nothing.
func TestStalledBackup(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, unwatched+vrrp("VI_1", 51, 100, "192.0.2.100/24", fast))
	p.onlyOn(p.a, vip, patience)
	b.WaitInstance("VI_1", "BACKUP", patience)
	stalled(b)
	p.Holds(lull, "the address stays on A alone", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	if i, j := a.Instance("VI_1"), b.Instance("VI_1"); i.Transitions != 2 || j.Transitions != 1 || p.sentBy("192.0.2.2", 100) > 0 {
		t.Errorf("A has %d transitions, B %d and %d adverts", i.Transitions, j.Transitions, p.sentBy("192.0.2.2", 100))
	}
}

// A master that did not run is replaced, once. When it goes on it hears the new one
// before it says anything: with a higher priority it takes back what is its own, with
// nopreempt it follows.
func TestStalledMaster(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, line, end  string
		moves, movesThat uint64 // of A and of B
	}{
		{"preempts", "", "A", 2, 3},
		{"nopreempt", "nopreempt = true", "B", 3, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			a := startDirector(t, p.a, unwatched+vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, tc.line))
			a.WaitInstance("VI_1", "MASTER", patience)
			b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast, tc.line))
			p.onlyOn(p.a, vip, patience)
			b.WaitInstance("VI_1", "BACKUP", patience)
			p.cap.Reset()
			stalled(a)
			owner := p.a
			if tc.end == "B" {
				owner = p.b
			}
			p.onlyOn(owner, vip, patience)
			p.Holds(lull, "it stays there", func() bool { return p.a.HasAddr(vip) == (owner == p.a) && p.b.HasAddr(vip) == (owner == p.b) })
			if i, j := a.Instance("VI_1"), b.Instance("VI_1"); i.Transitions != tc.moves || j.Transitions != tc.movesThat {
				t.Errorf("A has %d transitions (%s), B %d (%s)", i.Transitions, i.Reason, j.Transitions, j.Reason)
			}
			p.noDoubleMaster(51, 50*time.Millisecond)
		})
	}
	k := keepalivedPair(t, "nopreempt")
	kstalled(t, k.a)
	time.Sleep(lull)
	t.Logf("keepalived with nopreempt in the same place: the address is on A %v, on B %v", k.a.HasAddr(vip), k.b.HasAddr(vip))
}

// A hundred instances on a host whose processors are all taken by others:
// nobody takes over from a master that lives.
func TestOverloadedHost(t *testing.T) {
	const count, burners, load = 100, 6, 2 * time.Second
	burn := func(h *netlab.Host) (stop func()) {
		var all []*netlab.Process
		for n := range burners {
			b, err := h.Start(fmt.Sprintf("burner%d", n), "timeout", "30", "sh", "-c", "while :; do :; done")
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b)
		}
		return func() {
			for _, b := range all {
				b.KillGroup()
			}
		}
	}
	p := newPair(t)
	conf := func(prio int) string {
		var s strings.Builder
		s.WriteString("[vrrp_process]\nrt_priority = 50\n")
		for n := range count {
			s.WriteString(vrrp(fmt.Sprintf("VI_%d", n+1), n+1, prio, fmt.Sprintf("203.0.113.%d/32", n+1), fast))
		}
		return s.String()
	}
	a := startDirector(t, p.a, conf(150))
	settled := func(state string, moves uint64) func(control.Status) error {
		return func(s control.Status) error {
			for _, i := range s.VRRP.Instances {
				if i.State != state || i.Transitions != moves {
					return fmt.Errorf("%s is %s after %d transitions: %s", i.Name, i.State, i.Transitions, i.Reason)
				}
			}
			return nil
		}
	}
	a.waitFor(patience, "A is master of all", settled("MASTER", 2))
	b := startDirector(t, p.b, conf(100))
	b.waitFor(patience, "B is backup of all", settled("BACKUP", 1))
	stop := burn(p.b)
	time.Sleep(load)
	stop()
	for _, d := range []struct {
		*director
		state string
		moves uint64
	}{{a, "MASTER", 2}, {b, "BACKUP", 1}} {
		s := d.Status()
		if err := settled(d.state, d.moves)(s); err != nil {
			t.Errorf("%s: %v", d.host.Name(), err)
		}
		t.Logf("%s: lateness %+v", d.host.Name(), s.VRRP.Lateness)
	}
	a.Stop()
	b.Stop()

	k := newPair(t)
	kconf := func(prio int) string {
		s := keepalived("VI_1", 3, 1, prio, keepalivedFast, "203.0.113.1/32")
		for n := 1; n < count; n++ {
			one := keepalived(fmt.Sprintf("VI_%d", n+1), 3, n+1, prio, keepalivedFast, fmt.Sprintf("203.0.113.%d/32", n+1))
			s += one[strings.Index(one, "vrrp_instance"):]
		}
		return s
	}
	_, err := k.a.Keepalived(kconf(150))
	k.Must(err)
	k.Within(patience, "keepalived has an address", func() bool { a, _ := k.a.Addrs("eth0"); return len(a) > count })
	_, err = k.b.Keepalived(kconf(100))
	k.Must(err)
	time.Sleep(time.Second)
	k.cap.Reset()
	stop = burn(k.b)
	time.Sleep(load)
	stop()
	t.Logf("keepalived in the same place, without real-time priority: the backup sends %d adverts", k.sentBy("192.0.2.2", 100))
}
