package test

import (
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"director/internal/netlab"
)

// lostAfter is when an answer counts as lost that did not come: later than any machine stands still.
const lostAfter = 5 * time.Second

// masterPair starts A as MASTER and B as BACKUP with fast adverts, and a
// load from the client to the VIP.
func masterPair(t *testing.T, lines ...string) (p *pair, a, b *director, load *netlab.Load) {
	p = newPair(t)
	lines = append(lines, fast)
	a = startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", lines...))
	a.WaitInstance("VI_1", "MASTER", patience)
	b = startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", lines...))
	b.WaitInstance("VI_1", "BACKUP", patience)
	for _, h := range []*netlab.Host{p.a, p.b} {
		echo, err := h.EchoServer(netip.MustParseAddrPort("0.0.0.0:7"), h.Name())
		p.Must(err)
		t.Cleanup(echo.Close)
	}
	load, err := p.client.LoadUDP(t.Context(), "192.0.2.100:7", 2*time.Millisecond, lostAfter)
	p.Must(err)
	p.Must(load.AwaitOK(patience, 50))
	return p, a, b, load
}

// The VRRP child is killed on the master: it is back before a backup's
// master-down time, goes on as MASTER, and no answer
// is lost.
func TestKilledVRRPChildMovesNothing(t *testing.T) {
	p, a, b, load := masterPair(t, forbearing)
	from := time.Now()
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	if i := a.WaitInstance("VI_1", "MASTER", patience); i.Code != "resumed" {
		t.Errorf("A is MASTER because: %s", i.Reason)
	}
	p.Holds(3*lull, "the address stays", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	load.Stop()
	if s := load.Since(from); s.Failed > 0 {
		t.Errorf("the kill cost answers: %v", s)
	}
	if i := b.Instance("VI_1"); i.State != "BACKUP" || i.Transitions != 1 {
		t.Errorf("B noticed: %s after %d transitions, %s", i.State, i.Transitions, i.Reason)
	}
}

// A hung VRRP child is found by its silence, killed and started again. Its peer
// has taken over by then, so it must not go on as MASTER with the address still there.
func TestHungVRRPChildIsReplaced(t *testing.T) {
	p := newPair(t)
	conf := func(prio int) string {
		return "[global]\nchild_timeout = \"500ms\"\n" + vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, "nopreempt = true")
	}
	a := startDirector(t, p.a, conf(150))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, conf(100))
	b.WaitInstance("VI_1", "BACKUP", patience)
	pid := a.SignalRole("vrrp", syscall.SIGSTOP)
	b.WaitInstance("VI_1", "MASTER", patience)
	role := a.WaitRespawn("vrrp", pid, patience)
	if role.Restarts != 1 {
		t.Errorf("%d restarts", role.Restarts)
	}
	a.WaitInstance("VI_1", "BACKUP", patience)
	p.onlyOn(p.b, vip, patience)
}

// The parent is killed: the VRRP child says good-bye, so that the peer takes
// over after its skew time, and no process is left behind holding the address.
func TestKilledParentLeavesNoOrphan(t *testing.T) {
	t.Parallel()
	p, a, b, load := masterPair(t)
	child := a.PID("vrrp")
	p.cap.Reset()
	killed := time.Now()
	a.Kill("parent")
	b.WaitInstance("VI_1", "MASTER", patience)
	p.onlyOn(p.b, vip, patience)
	p.Within(patience, "the child has ended", func() bool { return syscall.Kill(child, 0) != nil })
	load.Stop()
	zero := false
	for _, adv := range p.cap.Adverts() {
		zero = zero || adv.Priority == 0
	}
	if !zero {
		t.Error("no priority 0 was sent")
	}
	if i := b.Instance("VI_1"); i.Code != "master_stopped" {
		t.Errorf("B took over: %s", i.Reason)
	}
	t.Logf("the client: %v", load.Since(killed))
	if left := p.a.Processes(); len(left) > 0 {
		t.Errorf("left on A: %v", fmt.Sprint(left))
	}
}

// A second daemon on the same runtime directory is refused and disturbs nothing.
func TestSecondDaemonIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	a.WaitInstance("VI_1", "MASTER", patience)
	if out, err := a.CLI("run", "-c", a.ConfigPath()); err == nil {
		t.Errorf("a second daemon ran and said: %s", out)
	}
	p.Holds(lull, "the first goes on", func() bool { return p.a.HasAddr(vip) })
	if i := a.Instance("VI_1"); i.State != "MASTER" || i.Transitions != 2 {
		t.Errorf("the first is %s after %d transitions", i.State, i.Transitions)
	}
}
