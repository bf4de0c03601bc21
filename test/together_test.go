package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"director/internal/netlab"
)

// everything is a configuration in which the parts of VRRP meet: both families, signed
// adverts, virtual MAC addresses, no accepting, routes and rules, a gate, a sync
// group, a static address.
func everything(priority int, key string) string {
	auth := fmt.Sprintf(`authentication = { type = "HMAC", active_key = 1, keys = [{ id = 1, key = %q }] }`, strings.Repeat(key, 64))
	return strings.Replace(vrrp("inside", 51, priority, "192.0.2.100/24", fast, forbearing, auth, "use_vmac = true", "accept = false"),
		`["192.0.2.100/24"]`, `["192.0.2.100/24", "2001:db8::100/64", "fe80::51/64"]`, 1) + `
[[vrrp_instance.inside.virtual_routes]]
to = "203.0.113.0/24"
via = "192.0.2.50"
src = "192.0.2.100"
[[vrrp_instance.inside.virtual_rules]]
priority = 1000
from = "192.0.2.100"
table = 100
[[vrrp_instance.inside.promotion_gate]]
type = "reference"
otherwise = "stay"
target = "192.0.2.50"
timeout = "1s"
retry = "200ms"
` + vrrp("outside", 52, priority, "192.0.2.101/24", fast, forbearing, auth) + `
[vrrp_sync_group.both]
group = ["inside", "outside"]
[[static_address]]
address = "198.51.100.1/24"
device = "eth0"
`
}

// held is what a host has in its kernel that director could have changed.
func (p *pair) held(h *netlab.Host) string {
	p.t.Helper()
	var all []string
	for _, args := range [][]string{
		{"ip", "-o", "address", "show"}, {"ip", "route", "show", "table", "all"}, {"ip", "-6", "route", "show", "table", "all"},
		{"ip", "rule", "show"}, {"ip", "-6", "rule", "show"}, {"ip", "-o", "link", "show"}, {"nft", "list", "ruleset"},
		{"sh", "-c", "cd /proc/sys/net && grep -r . ipv4/conf/eth0/arp_ignore ipv4/conf/eth0/arp_announce ipv4/conf/eth0/promote_secondaries ipv4/conf/eth0/rp_filter"},
	} {
		all = append(all, strings.Join(args, " "), p.Run(h, args...))
	}
	return strings.Join(all, "\n")
}

// What meets in one configuration: three deaths of the child in a row, a reload that
// changes many things at once, a stop, a death of all processes.
func TestEverythingTogether(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for h, addr := range map[*netlab.Host]string{p.a: "2001:db8::1/64", p.b: "2001:db8::2/64", p.client: "2001:db8::50/64"} {
		p.Run(h, "ip", "address", "add", addr, "dev", "eth0", "nodad")
	}
	p.Eventually(patience, "A has its link-local address", func() error {
		if out := p.Run(p.a, "ip", "-6", "-o", "address", "show", "dev", "eth0"); !strings.Contains(out, "fe80") || strings.Contains(out, "tentative") {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	before := p.held(p.a)
	clean := func(when string) {
		t.Helper()
		p.Eventually(patience, when+" A is as it was", func() error {
			if after := p.held(p.a); after != before {
				return fmt.Errorf("it was\n%s\nand is\n%s", before, after)
			}
			return nil
		})
	}
	a := startDirector(t, p.a, everything(150, "a"))
	a.WaitInstance("inside", "MASTER", patience)
	a.WaitInstance("outside", "MASTER", patience)
	b := startDirector(t, p.b, everything(100, "a"))
	b.WaitInstance("inside", "BACKUP", patience)
	ping := func(when string) {
		t.Helper()
		// Without accepting nobody answers a ping to it, but ARP does.
		p.Eventually(patience, when+" the addresses are known", func() error {
			if mac := p.neighbour("192.0.2.100"); mac != "00:00:5e:00:01:33" {
				return fmt.Errorf("192.0.2.100 is at %s", mac)
			}
			_, err := p.client.Run("ping", "-c1", "-W1", "192.0.2.101")
			return err
		})
	}
	ping("at first")

	for n := range 3 {
		pid := a.Kill("vrrp")
		a.WaitRespawn("vrrp", pid, patience)
		for _, name := range []string{"inside", "outside"} {
			if i := a.WaitInstance(name, "MASTER", patience); i.Code != "resumed" {
				t.Errorf("after death %d %s is MASTER because: %s", n+1, name, i.Reason)
			}
		}
	}
	p.Holds(lull, "B takes nothing over", func() bool { return !p.b.HasAddr(vip) })
	if i := b.Instance("outside"); i.Transitions != 1 {
		t.Errorf("B noticed: %s after %d transitions, %s", i.State, i.Transitions, i.Reason)
	}
	ping("after the deaths")

	// Another priority, no virtual MAC address, no group, no IPv6, an address more, no routes, another number of the second.
	p.cap.Reset()
	auth := fmt.Sprintf(`authentication = { type = "HMAC", active_key = 1, keys = [{ id = 1, key = %q }] }`, strings.Repeat("a", 64))
	p.Must(a.Reload(strings.Replace(vrrp("inside", 51, 160, "192.0.2.100/24", fast, auth), `["192.0.2.100/24"]`, `["192.0.2.100/24", "192.0.2.110/24"]`, 1) +
		vrrp("outside", 53, 150, "192.0.2.101/24", fast, auth)))
	p.onlyOn(p.a, vip, patience)
	if i := a.Instance("inside"); i.State != "MASTER" || i.Code != "resumed" || i.Priority != 160 || i.VMAC != nil || len(i.Addresses) != 2 {
		t.Errorf("after the reload: %+v", i)
	}
	bye := false
	for _, adv := range p.cap.Adverts() {
		if adv.VRID == 51 && adv.Source == netip.MustParseAddr("192.0.2.1") && adv.Priority == 0 {
			t.Errorf("A gave 51 up: %v", adv)
		}
		bye = bye || adv.VRID == 52 && adv.Priority == 0
	}
	if !bye {
		t.Error("no good-bye of the number that A does not use any more")
	}
	if got := p.Run(p.a, "ip", "-o", "link", "show"); strings.Contains(got, "vrrp.51") {
		t.Errorf("A still has %s", got)
	}
	a.WaitInstance("outside", "MASTER", patience)
	p.Must(a.Reload(everything(150, "a")))
	a.WaitInstance("inside", "MASTER", patience)
	a.WaitInstance("outside", "MASTER", patience)
	ping("after the reload back")

	a.Stop()
	clean("after a stop")
	b.WaitInstance("inside", "MASTER", patience)
	b.WaitInstance("outside", "MASTER", patience)
	ping("after the stop")
	b.Stop()

	// Everything dies at once, and what starts then has another configuration.
	a = a.Again()
	a.WaitInstance("inside", "MASTER", patience)
	a.KillGroup()
	if after := p.held(p.a); after == before {
		t.Error("a death takes everything along")
	}
	a = startDirector(t, p.a, vrrp("other", 60, 100, "192.0.2.160/24", fast))
	a.WaitInstance("other", "MASTER", patience)
	a.Stop()
	clean("after a start with another configuration")
}
