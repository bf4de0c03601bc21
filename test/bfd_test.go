package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// triggered writes the configuration of a router that watches another one by BFD,
// 4 packets of 150 ms, while adverts come every second.
func triggered(prio int, neighbors ...string) string {
	tables, names := "", ""
	for i, n := range neighbors {
		tables += fmt.Sprintf("[bfd.peer%d]\nneighbor_ip = %q\ninterface = \"eth0\"\nmin_rx = \"150ms\"\nmin_tx = \"150ms\"\nmultiplier = 4\n", i, n)
		names += fmt.Sprintf("%q, ", fmt.Sprintf("peer%d", i))
	}
	return tables + vrrp("VI", 51, prio, "192.0.2.100/24", "bfd_trigger = ["+names+"]")
}

// The master is gone without a word, and one of two backups takes over within a
// few BFD packets, although adverts come every second. The other one does not
// follow it.
func TestBFDTakeover(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	c := p.Host("c")
	p.Connect(c, "eth0", p.sw, "192.0.2.3/24")
	a := startDirector(t, p.a, triggered(200, "192.0.2.2", "192.0.2.3"))
	a.WaitInstance("VI", "MASTER", patience)
	b := startDirector(t, p.b, triggered(100, "192.0.2.1", "192.0.2.3"))
	cd := startDirector(t, c, triggered(90, "192.0.2.1", "192.0.2.2"))
	proven := func() {
		t.Helper()
		for _, d := range []*director{a, b, cd} {
			d.waitBFD(patience, "Up", nil)
		}
		// A session has to prove itself.
		p.Holds(1500*time.Millisecond, "A is master", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	}
	proven()
	if i := b.Instance("VI"); i.State != "BACKUP" || i.Master != "192.0.2.1" {
		t.Fatalf("B is %s of %s", i.State, i.Master)
	}
	p.cap.Reset()
	cut := time.Now()
	p.Must(p.portA.Cut())
	// As a rule it is B, the better one; it depends on who notices when.
	p.Within(patience, "somebody takes over", func() bool { return p.b.HasAddr(vip) || c.HasAddr(vip) })
	heir, other, from := b, cd, "192.0.2.2"
	if c.HasAddr(vip) {
		heir, other, from = cd, b, "192.0.2.3"
	}
	i := heir.WaitInstance("VI", "MASTER", patience)
	if i.Code != "bfd_down" || !strings.Contains(i.Reason, "BFD session peer0 to 192.0.2.1 is down") {
		t.Errorf("%s took over: %s", from, i.Reason)
	}
	var first time.Time
	for _, adv := range p.cap.Adverts() {
		if adv.Source.String() == from {
			first = adv.Time
			break
		}
	}
	// Up to 600 ms to notice and as much again for the skew; by adverts it would be 2.6 s at least.
	took := first.Sub(cut)
	t.Logf("the first advert of %s came %v after the cut", from, took)
	if first.IsZero() || took > 2500*time.Millisecond+stood(cut) {
		t.Errorf("%s took over after %v", from, took)
	}
	p.Holds(lull, "the other one holds still", func() bool { return !other.host.HasAddr(vip) })
	if i := other.Instance("VI"); i.State != "BACKUP" || i.Transitions != 1 {
		t.Errorf("the other one is %s of %s after %d changes: %s", i.State, i.Master, i.Transitions, i.Reason)
	}

	// A is back, and is stopped in order: priority 0 decides, not BFD.
	p.Must(p.portA.Heal())
	a.WaitInstance("VI", "MASTER", patience)
	b.WaitInstance("VI", "BACKUP", patience)
	proven()
	a.Stop()
	if i := b.WaitInstance("VI", "MASTER", patience); i.Code != "master_stopped" {
		t.Errorf("B took over: %s", i.Reason)
	}
	if i := cd.Instance("VI"); i.State != "BACKUP" {
		t.Errorf("C is %s: %s", i.State, i.Reason)
	}
	p.noDoubleMaster(51, 100*time.Millisecond)
}

// The VRRP process of a master dies and is started anew: its sessions go down and
// come back, and nobody takes over. While one side comes and goes at the start,
// nobody does either.
func TestBFDRespawn(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	// The process is back before its silence is noticed, on a busy machine, too.
	slowly := func(conf string) string { return strings.ReplaceAll(conf, "multiplier = 4", "multiplier = 20") }
	a := startDirector(t, p.a, unwatched+slowly(triggered(200, "192.0.2.2")))
	a.WaitInstance("VI", "MASTER", patience)
	b := startDirector(t, p.b, slowly(triggered(100, "192.0.2.1")))
	b.waitBFD(patience, "Up", nil)
	pid := a.SignalRole("vrrp", syscall.SIGSTOP) // flaps before it is proven
	b.waitBFD(patience, "Down", nil)
	a.SignalRole("vrrp", syscall.SIGCONT)
	b.waitBFD(patience, "Up", nil)
	if i := b.Instance("VI"); i.State != "BACKUP" || i.Transitions != 1 {
		t.Errorf("B is %s after a flap at the start: %s", i.State, i.Reason)
	}
	p.Holds(1500*time.Millisecond, "A is master", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	if got := a.Kill("vrrp"); got != pid {
		t.Errorf("killed %d, not %d", got, pid)
	}
	a.WaitRespawn("vrrp", pid, patience)
	a.waitBFD(patience, "Up", nil)
	b.waitBFD(patience, "Up", nil)
	if i := a.WaitInstance("VI", "MASTER", patience); i.Code != "resumed" {
		t.Errorf("A: %s", i.Reason)
	}
	if i := b.Instance("VI"); i.State != "BACKUP" || i.Transitions != 1 {
		t.Errorf("B is %s after %d changes: %s", i.State, i.Transitions, i.Reason)
	}
	b.waitLog(0, 2, "bfd=peer0 from=Up to=Down") // it did notice
}
