package vrrpd

import (
	"net/netip"
	"strings"
	"testing"

	"director/config"
	"director/vrrp/link"
)

// The source over IPv6 does not depend on the order in which addresses came.
func TestSourceOverIPv6(t *testing.T) {
	six := func(c *config.Instance) {}
	peers := func(list ...string) func(*config.Instance) {
		return func(c *config.Instance) {
			c.UnicastTTL = 255
			for _, p := range list {
				c.Peers = append(c.Peers, config.UnicastPeer{Address: netip.MustParseAddr(p), MinTTL: 255, MaxTTL: 255})
			}
		}
	}
	source := func(multicast, unicast string) func(*config.Instance) {
		return func(c *config.Instance) {
			if multicast != "" {
				c.Source.IPv6 = netip.MustParseAddr(multicast)
				return
			}
			peers("2001:db8::2")(c)
			c.UnicastSource.IPv6 = netip.MustParseAddr(unicast)
		}
	}
	for _, tc := range []struct {
		name   string
		change func(*config.Instance)
		addrs  string
		pass   string // a deprecated or temporary one
		want   string // source, or reason
	}{
		{"lowest link-local", six, "fe80::9/64 2001:db8::1/64 fe80::3/64", "", "fe80::3"},
		{"deprecated", six, "fe80::9/64 fe80::3/64", "fe80::3", "fe80::9"},
		{"none", six, "2001:db8::1/64 192.0.2.1/24", "", "no IPv6 link-local address"},
		{"global peers", peers("2001:db8::2"), "fe80::1/64 2001:db8::9/64 2001:db8::4/64 2001:db8::10/64", "2001:db8::4", "2001:db8::9"},
		{"link-local peers", peers("fe80::2"), "fe80::1/64 2001:db8::9/64", "", "fe80::1"},
		{"no global one", peers("2001:db8::2"), "fe80::1/64 2001:db8::10/64", "", "no global IPv6 address"},
		{"named", source("fe80::9", ""), "fe80::9/64 fe80::3/64", "", "fe80::9"},
		{"named, absent", source("fe80::9", ""), "fe80::3/64", "", "mcast_src_ip fe80::9 is not on interface eth0"},
		{"named to peers", source("", "2001:db8::7"), "fe80::9/64 2001:db8::1/64 2001:db8::7/64", "", "2001:db8::7"},
		{"named to peers, absent", source("", "2001:db8::7"), "fe80::9/64", "", "unicast_src_ip 2001:db8::7 is on no interface"},
	} {
		w := newWorld(t)
		c := instance("web", 51, 100, "2001:db8::10/64")
		tc.change(&c)
		ifi := link.Interface{Name: "eth0", Index: 2, Up: true}
		for _, a := range strings.Fields(tc.addrs) {
			ifi.Addrs = append(ifi.Addrs, netip.MustParsePrefix(a))
		}
		if tc.pass != "" {
			ifi.Passing = []netip.Addr{netip.MustParseAddr(tc.pass)}
		}
		w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: ifi})
		if err := w.configure(nil, c); err != nil {
			t.Fatal(err)
		}
		i := w.router("web")
		if got := i.Source; got != tc.want && (i.State != "FAULT" || !strings.Contains(i.Reason, tc.want)) {
			t.Errorf("%s: source %q, %s: %s", tc.name, got, i.State, i.Reason)
		}
	}
}
