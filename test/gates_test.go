package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/internal/control"
)

// gate writes one promotion gate of the instance VI_1.
func gate(kind, otherwise string, lines ...string) string {
	return fmt.Sprintf("[[vrrp_instance.VI_1.promotion_gate]]\ntype = %q\notherwise = %q\nretry = \"200ms\"\n%s\n", kind, otherwise, strings.Join(lines, "\n"))
}

// waitHeldBack waits until a gate keeps VI_1 from a takeover for a reason with a text in it.
func (d *director) waitHeldBack(text string) {
	d.t.Helper()
	d.waitFor(patience, "a gate says "+text, func(s control.Status) error {
		if s.VRRP == nil || len(s.VRRP.Instances) == 0 {
			return fmt.Errorf("there is no instance")
		}
		if i := s.VRRP.Instances[0]; i.State != "BACKUP" || !strings.Contains(i.HeldBack, text) {
			return fmt.Errorf("%s, held back by %q, gates %+v", i.State, i.HeldBack, i.Gates)
		}
		return nil
	})
}

// A backup that is cut off from everything does not take over: it cannot reach its
// reference. When only the master is gone, it does.
func TestReferenceGate(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ref := gate("reference", "stay", `target = "192.0.2.50"`, `timeout = "300ms"`)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast)+ref)
	if i := a.WaitInstance("VI_1", "MASTER", patience); !strings.Contains(i.Reason, "reference 192.0.2.50") {
		t.Errorf("A is MASTER because: %s", i.Reason)
	}
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast)+ref)
	b.WaitInstance("VI_1", "BACKUP", patience)
	p.Must(p.portB.Cut())
	b.waitHeldBack("reference 192.0.2.50: ")
	p.Holds(lull, "no second master", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	text, err := b.CLI("status")
	p.Must(err)
	if !strings.Contains(text, "would take over, held back by gate reference 192.0.2.50") {
		t.Errorf("status does not say why:\n%s", text)
	}
	p.Must(p.portB.Heal())
	p.Eventually(patience, "B hears A again", func() error {
		if i := b.Instance("VI_1"); i.HeldBack != "" || i.Master != "192.0.2.1" {
			return fmt.Errorf("held back by %q, master %q", i.HeldBack, i.Master)
		}
		return nil
	})
	if i := b.Instance("VI_1"); i.Transitions != 1 {
		t.Errorf("B made %d transitions", i.Transitions)
	}
	p.Must(p.a.PowerOff())
	b.WaitInstance("VI_1", "MASTER", patience)
}

// A firewall drops the adverts, but the master still answers for its address: no split
// brain, and the status says why. Of a master that is gone nobody answers.
func TestVIPFreeGate(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast)+gate("vip_free", "stay", `timeout = "1s"`))
	p.onlyOn(p.a, vip, patience)
	b.WaitInstance("VI_1", "BACKUP", patience)
	p.Run(p.b, "nft", "add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in meta l4proto 112 drop")
	mac, err := p.a.MAC("eth0")
	p.Must(err)
	b.waitHeldBack("vip_free: 192.0.2.100 is in use: " + mac.String() + " answers for it on eth0")
	p.Holds(lull, "no second master", func() bool { return !p.b.HasAddr(vip) })
	p.onlyOn(p.a, vip, patience) // and the client's neighbour entry has not moved
	p.Must(p.a.PowerOff())
	p.Must(p.portA.Cut()) // its kernel would go on answering
	b.WaitInstance("VI_1", "MASTER", patience)
}

// Two hosts that share a file and hear nothing of each other: who has the lock is the
// one master, and the other follows when it is given up.
func TestLockGate(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	lock := gate("lock", "stay", fmt.Sprintf("file = %q", filepath.Join(t.TempDir(), "lock")))
	conf := func(id string, prio int) string {
		return fmt.Sprintf("[global]\nrouter_id = %q\n", id) + vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, "nopreempt = true") + lock
	}
	a := startDirector(t, p.a, conf("lb-a", 150))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, conf("lb-b", 100))
	p.Must(p.portA.Isolate(true))
	p.Must(p.portB.Isolate(true))
	b.waitHeldBack("held by another: lb-a VI_1 since ")
	p.Holds(lull, "one master", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	// Its child dies and resumes: the lock is free for a moment, and one of the two has it.
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	p.Within(patience, "one of them has the address", func() bool { return p.a.HasAddr(vip) != p.b.HasAddr(vip) })
	if i := b.Instance("VI_1"); i.State == "BACKUP" {
		a.Stop()
	}
	b.WaitInstance("VI_1", "MASTER", patience)
	p.onlyOn(p.b, vip, patience)
}

// The backup takes over when the fencing command has succeeded; not when it failed,
// nor when it ran out of time.
func TestFenceGate(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast))
	a.WaitInstance("VI_1", "MASTER", patience)
	what, record := p.b.Path("what"), p.b.Path("record")
	say := func(text string) { p.Must(os.WriteFile(what, []byte(text), 0o644)) }
	say("exit 7")
	script, err := p.b.WriteFile("fence.sh", "#!/bin/sh\necho \"$DIRECTOR_INSTANCE $DIRECTOR_PEER $1\" >>"+record+"\n. "+what+"\n")
	p.Must(err)
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast)+
		gate("fence", "stay", fmt.Sprintf("script = [%q, \"lb-a\"]", script), `timeout = "500ms"`))
	p.Eventually(patience, "B hears A", func() error {
		if i := b.Instance("VI_1"); i.Master != "192.0.2.1" {
			return fmt.Errorf("master %q", i.Master)
		}
		return nil
	})
	if _, err := os.Stat(record); err == nil {
		t.Error("fenced while the master was heard")
	}
	p.Must(p.a.PowerOff())
	b.waitHeldBack("exit status 7")
	say("sleep 60")
	b.waitHeldBack("no answer within 500ms")
	if p.b.HasAddr(vip) {
		t.Error("B has the address although the fencing failed")
	}
	say("exit 0")
	if i := b.WaitInstance("VI_1", "MASTER", patience); !strings.Contains(i.Reason, "fence "+script) {
		t.Errorf("B is MASTER because: %s", i.Reason)
	}
	text, err := os.ReadFile(record)
	p.Must(err)
	if line, _, _ := strings.Cut(string(text), "\n"); line != "VI_1 192.0.2.1 lb-a" {
		t.Errorf("the command was told %q", line)
	}
}
