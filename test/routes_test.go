package test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"director/internal/netlab"
)

// gateway is an instance with an address with a mask, a source route in a table of
// its own, a rule that leads there, and a route in the main table.
func gateway(priority int) string {
	return vrrp("gw", 60, priority, "192.0.2.100/24", fast, forbearing) + `
[[vrrp_instance.gw.virtual_routes]]
to = "default"
via = "192.0.2.50"
src = "192.0.2.100"
table = 100
[[vrrp_instance.gw.virtual_routes]]
to = "203.0.113.0/24"
via = "192.0.2.50"
device = "eth0"
src = "192.0.2.100"
mtu = 1400
[[vrrp_instance.gw.virtual_rules]]
priority = 1000
from = "192.0.2.100"
table = 100
`
}

// marked lists the routes and rules of a host that director put there.
func (p *pair) marked(h *netlab.Host) (list []string) {
	p.t.Helper()
	for _, args := range [][]string{{"route", "show", "table", "all"}, {"rule", "show"}} {
		var objects []map[string]any
		text := p.Run(h, append([]string{"ip", "-j", "-N", "-d"}, args...)...)
		if strings.TrimSpace(text) == "" {
			continue
		}
		p.Must(json.Unmarshal([]byte(text), &objects))
		for _, o := range objects {
			if o["protocol"] == "112" {
				list = append(list, fmt.Sprint(o["dst"], " ", o["table"], " ", o["priority"]))
			}
		}
	}
	return list
}

// moved waits until everything of the gateway is on one host and nothing of it on
// the other.
func (p *pair) moved(owner, other *netlab.Host) {
	p.t.Helper()
	p.onlyOn(owner, vip, patience)
	p.Eventually(patience, "routes and rules are on "+owner.Name()+" alone", func() error {
		if here, there := p.marked(owner), p.marked(other); len(here) != 3 || len(there) != 0 {
			return fmt.Errorf("%s has %q, %s has %q", owner.Name(), here, other.Name(), there)
		}
		return nil
	})
	if out := p.Run(owner, "ip", "route", "get", "198.51.100.1", "from", "192.0.2.100"); !strings.Contains(out, "via 192.0.2.50") {
		p.t.Errorf("packets from the address go %s", out)
	}
	if out := p.Run(owner, "ip", "route", "get", "203.0.113.1"); !strings.Contains(out, "src 192.0.2.100") {
		p.t.Errorf("packets to the network go %s", out)
	}
}

// Set-up 10, the router pair: routes and rules move with the address, come back when
// an administrator deletes them, and survive the death of the child that put them there.
func TestRoutesMoveWithTheAddress(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, gateway(150))
	a.WaitInstance("gw", "MASTER", patience)
	b := startDirector(t, p.b, gateway(100))
	p.moved(p.a, p.b)

	repaired := func(what string, n int) {
		t.Helper()
		p.Within(patience, fmt.Sprintf("%d are back after %s", n, what), func() bool {
			return len(p.marked(p.a)) == 3 && p.a.HasAddr(vip)
		})
		p.Within(patience, what+" is counted", func() bool { return int(a.Status().VRRP.Repairs) >= n })
	}
	p.Run(p.a, "ip", "route", "del", "203.0.113.0/24")
	repaired("ip route del", 1)
	p.Run(p.a, "ip", "rule", "del", "priority", "1000")
	repaired("ip rule del", 2)
	p.Run(p.a, "ip", "route", "flush", "table", "100")
	repaired("ip route flush", 3)
	// With the address the kernel removes the routes from it, and tells nobody.
	p.Run(p.a, "ip", "address", "del", "192.0.2.100/24", "dev", "eth0")
	repaired("ip address del", 4)
	text, err := a.CLI("status")
	p.Must(err)
	for _, want := range []string{"203.0.113.0/24 via 192.0.2.50 dev eth0 src 192.0.2.100 here", "1000: from 192.0.2.100/32 lookup 100 here"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}

	// A route more and one less in a reload leave the others alone.
	repairs := a.Status().VRRP.Repairs
	p.Must(a.Reload(strings.Replace(gateway(150), "203.0.113.0/24", "198.18.0.0/15", 1)))
	p.Within(patience, "the other route is there", func() bool {
		return strings.Contains(strings.Join(p.marked(p.a), "\n"), "198.18.0.0/15")
	})
	if got := p.marked(p.a); len(got) != 3 || a.Status().VRRP.Repairs != repairs {
		t.Errorf("after the reload: %q, %d repairs", got, a.Status().VRRP.Repairs-repairs)
	}
	p.Must(a.Reload(gateway(150)))
	p.moved(p.a, p.b)

	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	p.moved(p.a, p.b)
	if i := b.Instance("gw"); i.State != "BACKUP" || i.Transitions != 1 {
		t.Errorf("B is %s after %d transitions", i.State, i.Transitions)
	}

	a.Stop()
	p.moved(p.b, p.a)
	if out := p.Run(p.a, "cat", "/proc/sys/net/ipv4/conf/eth0/promote_secondaries"); strings.TrimSpace(out) != "0" {
		t.Errorf("promote_secondaries of A is %s after a stop", out)
	}
}

// What is static is there before any MASTER, through everything, and gone after a
// stop; what a killed director left behind goes at the next start.
func TestStaticItemsAndLeftovers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const static = `
[[static_address]]
address = "10.7.0.1/24"
device = "eth0"
broadcast = "+"
[[static_address]]
address = "2001:db8:7::1/64"
device = "eth0"
preferred_lft = "600s"
[[static_route]]
to = "203.0.113.0/24"
via = "10.7.0.254"
[[static_route]]
to = "2001:db8:8::/48"
type = "unreachable"
[[static_rule]]
priority = 900
iif = "eth0"
table = "main"
`
	// A start delay keeps the instance in INIT.
	conf := "[global]\nstart_delay = \"60s\"\n" + vrrp("gw", 60, 150, "192.0.2.100/24", fast) + static
	a := startDirector(t, p.a, conf)
	addr := netip.MustParseAddr("10.7.0.1")
	all := func() bool {
		return p.a.HasAddr(addr) && p.a.HasAddr(netip.MustParseAddr("2001:db8:7::1")) && len(p.marked(p.a)) == 3
	}
	p.Within(patience, "everything static is there", all)
	if i := a.Instance("gw"); i.State != "INIT" {
		t.Errorf("gw is %s", i.State)
	}
	if out := p.Run(p.a, "ip", "-6", "route", "show", "2001:db8:8::/48"); !strings.Contains(out, "unreachable") {
		t.Errorf("the IPv6 route is %q", out)
	}
	p.Run(p.a, "ip", "address", "flush", "dev", "eth0", "to", "10.7.0.0/24")
	p.Within(patience, "everything is back after a flush", all)
	p.Run(p.a, "ip", "rule", "del", "priority", "900")
	p.Within(patience, "the rule is back", all)
	p.Must(p.a.LinkDown("eth0"))
	p.Must(p.a.LinkUp("eth0"))
	p.Within(patience, "everything is back after a flap", all)
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	p.Within(patience, "everything is there after the death of the child", all)
	p.Must(a.Reload(strings.Replace(conf, "priority = 900", "priority = 901", 1)))
	p.Within(patience, "the rule moved", func() bool {
		return strings.Contains(p.Run(p.a, "ip", "rule", "show"), "901:") && all()
	})

	// Parent and child die without a chance to take anything off.
	child := a.PID("vrrp")
	a.SignalRole("parent", syscall.SIGSTOP)
	p.Must(syscall.Kill(child, syscall.SIGKILL))
	a.Kill("parent")
	p.Within(patience, "the child has ended", func() bool { return syscall.Kill(child, 0) != nil })
	if !all() {
		t.Fatal("there is nothing left behind to clean up")
	}
	a.WriteConfig(vrrp("gw", 60, 150, "192.0.2.100/24", fast) + "[[static_address]]\naddress = \"10.7.0.1/24\"\ndevice = \"eth0\"\n")
	a = a.Again()
	p.Within(patience, "what no configuration knows any more is gone", func() bool {
		return len(p.marked(p.a)) == 0 && !p.a.HasAddr(netip.MustParseAddr("2001:db8:7::1"))
	})
	if !p.a.HasAddr(addr) {
		t.Error("an address that is still configured is gone")
	}
	a.Stop()
	if p.a.HasAddr(addr) || p.a.HasAddr(vip) {
		t.Error("an address is left after a stop")
	}
}

// Of two addresses of one subnet either may be removed without the other one: the
// kernel would take the second along with the first.
func TestAddressesOfOneSubnetGoOneByOne(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(list string) string {
		return strings.Replace(vrrp("gw", 60, 150, "@", fast), `["@"]`, list, 1)
	}
	one, two := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	a := startDirector(t, p.a, conf(`["10.9.0.1/24", "10.9.0.2/24"]`))
	both := func() bool { return p.a.HasAddr(one) && p.a.HasAddr(two) }
	p.Within(patience, "both are there", both)
	for gone, stays := range map[netip.Addr]netip.Addr{one: two, two: one} {
		p.Must(a.Reload(conf(fmt.Sprintf("[%q]", stays.String()+"/24"))))
		p.Within(patience, gone.String()+" alone is gone", func() bool { return !p.a.HasAddr(gone) && p.a.HasAddr(stays) })
		p.Must(a.Reload(conf(`["10.9.0.1/24", "10.9.0.2/24"]`)))
		p.Within(patience, "both are there again", both)
	}
	if n := a.Status().VRRP.Repairs; n != 0 {
		t.Errorf("%d addresses had to be put back", n)
	}
}
