package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"director/internal/netlab"
)

// testVRF runs a pair whose interface belongs to a VRF, over IPv4 and IPv6, by multicast and unicast and with a virtual MAC address:
// a virtual route stands in the table of the VRF, the client gets answers, and both move to the peer. It needs a kernel with VRFs, so
// it runs where IPVS does.
func testVRF(t *testing.T) {
	p := newPair(t)
	for i, h := range []*netlab.Host{p.a, p.b} {
		p.Run(h, "ip", "link", "add", "blue", "type", "vrf", "table", "10")
		p.Run(h, "ip", "link", "set", "blue", "up")
		p.Run(h, "ip", "link", "set", "eth0", "master", "blue")
		p.Run(h, "ip", "address", "replace", fmt.Sprintf("192.0.2.%d/24", i+1), "dev", "eth0")
		p.Run(h, "ip", "address", "add", fmt.Sprintf("2001:db8::%d/64", i+1), "dev", "eth0", "nodad")
	}
	p.Run(p.client, "ip", "address", "add", "2001:db8::50/64", "dev", "eth0", "nodad")
	const both = `["192.0.2.100/24", "fe80::51/64", "2001:db8::100/64"]`
	route := `virtual_routes = [{ to = "198.51.100.0/24", via = "192.0.2.50", table = "10" }]`
	for _, tc := range []struct {
		name string
		more [2][]string // of each host
	}{
		{"multicast", [2][]string{{route}, {route}}},
		{"virtual MAC address", [2][]string{{"use_vmac = true"}, {"use_vmac = true"}}},
		{"unicast", [2][]string{
			{`unicast_peer = ["192.0.2.2", "2001:db8::2"]`},
			{`unicast_peer = ["192.0.2.1", "2001:db8::1"]`}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conf := func(prio int, more []string) string {
				return strings.Replace(vrrp("VI_1", 51, prio, "X", append(more, `advert_interval = "300ms"`)...), `["X"]`, both, 1)
			}
			a := startDirector(t, p.a, conf(150, tc.more[0]))
			b := startDirector(t, p.b, conf(100, tc.more[1]))
			defer a.Stop()
			defer b.Stop()
			a.WaitInstance("VI_1", "MASTER", patience)
			b.WaitInstance("VI_1", "BACKUP", patience)
			answers := func(when string) {
				t.Helper()
				for _, addr := range []string{"192.0.2.100", "2001:db8::100"} {
					p.Eventually(patience, when+" "+addr+" answers", func() error {
						_, err := p.client.Run("ping", "-c1", "-W1", addr)
						return err
					})
				}
			}
			answers("at first")
			if tc.name == "multicast" {
				if out := p.Run(p.a, "ip", "route", "show", "vrf", "blue", "198.51.100.0/24"); !strings.Contains(out, "via 192.0.2.50") {
					t.Errorf("the route in the VRF: %q", out)
				}
			}
			if tc.name == "virtual MAC address" {
				if out := p.Run(p.a, "ip", "link", "show", "vrrp.51"); !strings.Contains(out, "master blue") {
					t.Errorf("the interface with the virtual MAC address is not in the VRF: %s", out)
				}
			}
			a.Stop()
			b.WaitInstance("VI_1", "MASTER", patience)
			p.Within(patience, "the addresses moved", func() bool {
				return !p.a.HasAddr(vip) && p.b.HasAddr(vip) && p.b.HasAddr(netip.MustParseAddr("2001:db8::100"))
			})
			answers("after the move")
		})
	}
}
