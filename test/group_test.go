package test

import (
	"net/netip"
	"os"
	"strings"
	"testing"
)

// The directors of set-up 7: the inside address, which the servers have as their
// gateway, is where the outside one is. A link is unplugged, and both move to the
// peer and return.
func TestSyncGroup(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sw := p.Switch("inside")
	in := p.Connect(p.a, "eth1", sw, "10.0.0.2/24")
	p.Connect(p.b, "eth1", sw, "10.0.0.3/24")
	gateway := netip.MustParseAddr("10.0.0.1")
	record := p.a.Path("record")
	script, err := p.a.WriteFile("notify.sh", "#!/bin/sh\necho \"$*\" >>"+record+"\n")
	p.Must(err)
	conf := func(prio int, notify string) string {
		return vrrp("outside", 51, prio, "192.0.2.100/24", fast, forbearing) +
			strings.Replace(vrrp("inside", 52, prio, "10.0.0.1/24", fast, forbearing), "eth0", "eth1", 1) +
			"[vrrp_sync_group.farm]\ngroup = [\"outside\", \"inside\"]\n" + notify
	}
	a := startDirector(t, p.a, conf(150, "notify = { all = \""+script+"\" }\n"))
	b := startDirector(t, p.b, conf(100, ""))
	p.onlyOn(p.a, vip, patience)
	p.Within(patience, "A has the inside address too", func() bool { return p.a.HasAddr(gateway) && !p.b.HasAddr(gateway) })

	// The child is killed: the whole group goes on.
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	for _, name := range []string{"outside", "inside"} {
		if i := a.WaitInstance(name, "MASTER", patience); i.Code != "resumed" {
			t.Errorf("%s is MASTER because: %s", name, i.Reason)
		}
	}
	p.Holds(lull, "both stay on A", func() bool {
		return p.a.HasAddr(vip) && p.a.HasAddr(gateway) && !p.b.HasAddr(vip) && !p.b.HasAddr(gateway)
	})

	p.Must(in.Unplug())
	p.onlyOn(p.b, vip, patience)
	p.Within(patience, "B has both", func() bool { return p.b.HasAddr(gateway) && !p.a.HasAddr(gateway) })
	if i := a.WaitInstance("outside", "FAULT", patience); i.Reason != "with its sync group: inside: interface eth1 is down" {
		t.Errorf("outside is in FAULT: %s", i.Reason)
	}
	if text, err := a.CLI("status"); err != nil || !strings.Contains(text, "SYNC GROUP") || !strings.Contains(text, "inside: interface eth1 is down") {
		t.Errorf("status: %v\n%s", err, text)
	}
	p.Must(in.Plug())
	p.onlyOn(p.a, vip, patience)
	p.Within(patience, "A has both again", func() bool { return p.a.HasAddr(gateway) && !p.b.HasAddr(gateway) })
	b.WaitInstance("inside", "BACKUP", patience)
	a.Stop()
	want := []string{"BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"}
	for i, s := range want {
		want[i] = "GROUP farm " + s + " 0"
	}
	got, err := os.ReadFile(record)
	if strings.TrimSpace(string(got)) != strings.Join(want, "\n") {
		t.Errorf("the group's script wrote (%v):\n%s", err, got)
	}
}
