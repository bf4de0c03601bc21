package ipvs_test

import (
	"net/netip"
	"strings"
	"testing"

	"director/ipvs"
)

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func tcp(s string) ipvs.ServiceKey { return ipvs.AddrService(ipvs.TCP, ap(s)) }

func TestKeysAreEqualWhenTheKernelTakesThemForOne(t *testing.T) {
	zone := netip.AddrPortFrom(netip.MustParseAddr("fe80::1%eth0"), 80)
	for _, c := range []struct {
		name string
		a, b ipvs.ServiceKey
		same bool
	}{
		{"family of an address", ipvs.ServiceKey{Protocol: ipvs.TCP, Addr: ap("192.0.2.1:80"), Family: ipvs.IPv4}, tcp("192.0.2.1:80"), true},
		{"zone", ipvs.AddrService(ipvs.TCP, zone), tcp("[fe80::1]:80"), true},
		{"protocol of a mark", ipvs.ServiceKey{FWMark: 3, Protocol: ipvs.UDP}, ipvs.MarkService(3, ipvs.IPv4), true},
		{"address of a mark", ipvs.ServiceKey{FWMark: 3, Addr: ap("192.0.2.1:80"), Family: ipvs.IPv6}, ipvs.MarkService(3, ipvs.IPv6), true},
		{"families of a mark", ipvs.MarkService(3, ipvs.IPv4), ipvs.MarkService(3, ipvs.IPv6), false},
		{"IPv4-mapped", tcp("[::ffff:192.0.2.1]:80"), tcp("192.0.2.1:80"), false},
		{"transport", ipvs.AddrService(ipvs.UDP, ap("192.0.2.1:80")), tcp("192.0.2.1:80"), false},
		{"port", tcp("192.0.2.1:0"), tcp("192.0.2.1:80"), false},
	} {
		if got := c.a.Canonical() == c.b.Canonical(); got != c.same {
			t.Errorf("%s: %v and %v: same = %v", c.name, c.a, c.b, got)
		}
		if got := c.a.Canonical().Compare(c.b.Canonical()) == 0; got != c.same {
			t.Errorf("%s: Compare of %v and %v says same = %v", c.name, c.a, c.b, got)
		}
	}
}

func TestServiceCanonical(t *testing.T) {
	m24 := ipvs.Mask(ipvs.IPv4, 24)
	for _, c := range []struct {
		name     string
		in, want ipvs.Service
	}{
		{"hashed bit", ipvs.Service{Scheduler: "rr", Flags: ipvs.FlagHashed}, ipvs.Service{Scheduler: "rr"}},
		{"persistence sets its bit", ipvs.Service{PersistenceTimeout: 5}, ipvs.Service{PersistenceTimeout: 5, Flags: ipvs.FlagPersistent}},
		{"mask without persistence", ipvs.Service{PersistenceMask: m24}, ipvs.Service{}},
		{"mask with persistence", ipvs.Service{PersistenceTimeout: 5, PersistenceMask: m24},
			ipvs.Service{PersistenceTimeout: 5, PersistenceMask: m24, Flags: ipvs.FlagPersistent}},
		{"full IPv4 mask", ipvs.Service{PersistenceTimeout: 5, PersistenceMask: ipvs.Mask(ipvs.IPv4, 32)},
			ipvs.Service{PersistenceTimeout: 5, Flags: ipvs.FlagPersistent}},
		{"full IPv6 mask", ipvs.Service{PersistenceTimeout: 5, PersistenceMask: ipvs.Mask(ipvs.IPv6, 128)},
			ipvs.Service{PersistenceTimeout: 5, Flags: ipvs.FlagPersistent}},
		{"empty mask is one", ipvs.Service{PersistenceTimeout: 5, PersistenceMask: ipvs.Mask(ipvs.IPv4, 0)},
			ipvs.Service{PersistenceTimeout: 5, PersistenceMask: netip.IPv4Unspecified(), Flags: ipvs.FlagPersistent}},
		{"other bits stay", ipvs.Service{Flags: ipvs.FlagOnePacket | ipvs.FlagSched2}, ipvs.Service{Flags: ipvs.FlagOnePacket | ipvs.FlagSched2}},
	} {
		got := c.in.Canonical()
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		if got != got.Canonical() {
			t.Errorf("%s: canonical twice is another", c.name)
		}
	}
}

func TestDestinationCanonical(t *testing.T) {
	all := ipvs.Destination{Weight: 1, TunnelType: ipvs.GUE, TunnelPort: 6080, TunnelFlags: ipvs.TunnelChecksum}
	for _, c := range []struct {
		name string
		f    ipvs.Forwarding
		t    ipvs.TunnelType
		want ipvs.Destination
	}{
		{"nat has no tunnel", ipvs.NAT, ipvs.GUE, ipvs.Destination{Weight: 1}},
		{"ipip has no port and checksum", ipvs.Tunnel, ipvs.IPIP, ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel}},
		{"gre has no port", ipvs.Tunnel, ipvs.GRE,
			ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GRE, TunnelFlags: ipvs.TunnelChecksum}},
		{"gue has all", ipvs.Tunnel, ipvs.GUE,
			ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE, TunnelPort: 6080, TunnelFlags: ipvs.TunnelChecksum}},
	} {
		d := all
		d.Forwarding, d.TunnelType = c.f, c.t
		if got := d.Canonical(); got != c.want || got != got.Canonical() {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct {
		f    ipvs.Family
		bits int
		want string
	}{
		{ipvs.IPv4, 0, "0.0.0.0"}, {ipvs.IPv4, 20, "255.255.240.0"}, {ipvs.IPv4, 32, "255.255.255.255"},
		{ipvs.IPv6, 0, "::"}, {ipvs.IPv6, 64, "ffff:ffff:ffff:ffff::"}, {ipvs.IPv6, 128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
		{ipvs.IPv4, 33, "invalid IP"}, {ipvs.IPv4, -1, "invalid IP"}, {ipvs.IPv6, 129, "invalid IP"},
	} {
		m := ipvs.Mask(c.f, c.bits)
		if m.String() != c.want {
			t.Errorf("Mask(%v, %d) = %v, want %s", c.f, c.bits, m, c.want)
		}
		if n, ok := ipvs.MaskBits(m); ok != m.IsValid() || ok && n != c.bits {
			t.Errorf("MaskBits(%v) = %d, %v", m, n, ok)
		}
	}
	for _, s := range []string{"255.0.255.0", "0.0.0.1", "255.255.253.0", "ffff::1"} {
		if n, ok := ipvs.MaskBits(netip.MustParseAddr(s)); ok {
			t.Errorf("MaskBits(%s) = %d: that is no mask", s, n)
		}
	}
}

// The texts are what ipvsadm v1.31 printed for the same tables.
func TestTablePrintsAsIpvsadmSaves(t *testing.T) {
	p24 := ipvs.Mask(ipvs.IPv4, 24)
	tab := ipvs.Table{}
	e := tab.Set(tcp("192.0.2.1:80"), ipvs.Service{Scheduler: "wlc", PersistenceTimeout: 300, PersistenceMask: p24})
	e.Dests[ap("10.0.0.1:80")] = ipvs.Destination{Weight: 70000, UpperThreshold: 10, LowerThreshold: 5}
	e.Dests[ap("10.0.0.2:80")] = ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE, TunnelPort: 6080}
	e.Dests[ap("10.0.0.3:80")] = ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GUE, TunnelPort: 6081, TunnelFlags: ipvs.TunnelChecksum}
	e.Dests[ap("10.0.0.4:80")] = ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel, TunnelType: ipvs.GRE, TunnelFlags: ipvs.TunnelChecksum}
	e.Dests[ap("10.0.0.6:80")] = ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel}
	e.Dests[ap("10.0.0.7:80")] = ipvs.Destination{Weight: 1, Forwarding: ipvs.DirectRoute}
	e.Dests[ap("[2001:db8::7]:80")] = ipvs.Destination{Weight: 1, Forwarding: ipvs.Tunnel}
	tab.Set(tcp("192.0.2.1:81"), ipvs.Service{Scheduler: "mh", Flags: ipvs.FlagSched2})
	tab.Set(tcp("192.0.2.1:83"), ipvs.Service{Scheduler: "rr", Flags: ipvs.FlagSched1 | ipvs.FlagSched3})
	udp := func(s string) ipvs.ServiceKey { return ipvs.AddrService(ipvs.UDP, ap(s)) }
	tab.Set(udp("192.0.2.1:53"), ipvs.Service{Scheduler: "sh", Flags: ipvs.FlagOnePacket | ipvs.FlagSched1 | ipvs.FlagSched2})
	tab.Set(udp("192.0.2.1:5060"), ipvs.Service{Scheduler: "rr", PersistenceTimeout: 60, PersistenceEngine: "sip", Flags: ipvs.FlagOnePacket})
	tab.Set(ipvs.AddrService(ipvs.SCTP, ap("192.0.2.1:81")), ipvs.Service{Scheduler: "mh", Flags: ipvs.FlagSched1})
	tab.Set(tcp("[::ffff:10.0.0.7]:80"), ipvs.Service{Scheduler: "rr"})
	tab.Set(tcp("[2001:db8::1]:80"), ipvs.Service{Scheduler: "none", PersistenceTimeout: 99})
	tab.Set(ipvs.MarkService(7, ipvs.IPv6), ipvs.Service{Scheduler: "rr", PersistenceTimeout: 10, PersistenceMask: ipvs.Mask(ipvs.IPv6, 64)})
	tab.Set(ipvs.MarkService(7, ipvs.IPv4), ipvs.Service{Scheduler: "rr"}).Dests[ap("10.0.0.1:0")] = ipvs.Destination{Weight: 1}
	tab.Set(ipvs.MarkService(8, ipvs.IPv4), ipvs.Service{Scheduler: "rr", PersistenceTimeout: 10, PersistenceMask: ipvs.Mask(ipvs.IPv4, 0)})
	const want = `
-A -t 192.0.2.1:80 -s wlc -p 300 -M 255.255.255.0
-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 70000 -x 10 -y 5
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.1:80 -r 10.0.0.3:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-csum
-a -t 192.0.2.1:80 -r 10.0.0.4:80 -i -w 1 --tun-type gre --tun-csum
-a -t 192.0.2.1:80 -r 10.0.0.6:80 -i -w 1 --tun-type ipip
-a -t 192.0.2.1:80 -r 10.0.0.7:80 -g -w 1
-a -t 192.0.2.1:80 -r [2001:db8::7]:80 -i -w 1 --tun-type ipip
-A -t 192.0.2.1:81 -s mh -b mh-port
-A -t 192.0.2.1:83 -s rr -b flag-1,flag-3
-A -u 192.0.2.1:53 -s sh -o -b sh-fallback,sh-port
-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip -o
-A --sctp-service 192.0.2.1:81 -s mh -b mh-fallback
-A -t [::ffff:10.0.0.7]:80 -s rr
-A -t [2001:db8::1]:80 -s none -p 99
-A -f 7 -s rr
-a -f 7 -r 10.0.0.1:0 -m -w 1
-A -f 7 -6 -s rr -p 10 -M 64
-A -f 8 -s rr -p 10 -M 0.0.0.0
`
	if got := tab.String(); got != strings.TrimPrefix(want, "\n") {
		t.Errorf("got:\n%s\nwant:%s", got, want)
	}
	shared := tab.Clone()
	for _, k := range shared.Keys() {
		clear(shared[k].Dests)
		shared[k].Service.Scheduler = "changed"
	}
	if tab.String() != want[1:] {
		t.Error("a clone shares something with its table")
	}
	if !tab.Equal(tab.Clone()) || !tab.Equal(tab.Canonical()) || tab.Equal(ipvs.Table{}) {
		t.Error("Equal is wrong")
	}
}

func TestOpPrints(t *testing.T) {
	k, d := tcp("192.0.2.1:80"), ap("10.0.0.1:80")
	for _, c := range []struct {
		op           ipvs.Op
		text, object string
	}{
		{ipvs.Op{Kind: ipvs.AddService, Key: k, Service: ipvs.Service{Scheduler: "wlc"}}, "-A -t 192.0.2.1:80 -s wlc", "add 192.0.2.1:80/tcp"},
		{ipvs.Op{Kind: ipvs.EditService, Key: k, Service: ipvs.Service{Scheduler: "rr"}}, "-E -t 192.0.2.1:80 -s rr", "edit 192.0.2.1:80/tcp"},
		{ipvs.Op{Kind: ipvs.DeleteService, Key: ipvs.MarkService(3, ipvs.IPv6)}, "-D -f 3 -6", "delete fwmark 3 ipv6"},
		{ipvs.Op{Kind: ipvs.AddDest, Key: k, DestKey: d, Dest: ipvs.Destination{Weight: 1}}, "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1", "add 192.0.2.1:80/tcp 10.0.0.1:80"},
		{ipvs.Op{Kind: ipvs.EditDest, Key: k, DestKey: d, Dest: ipvs.Destination{Forwarding: ipvs.DirectRoute}}, "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 0", "edit 192.0.2.1:80/tcp 10.0.0.1:80"},
		{ipvs.Op{Kind: ipvs.DeleteDest, Key: ipvs.MarkService(3, ipvs.IPv4), DestKey: d}, "-d -f 3 -r 10.0.0.1:80", "delete fwmark 3 10.0.0.1:80"},
	} {
		if got := c.op.String(); got != c.text {
			t.Errorf("got %q, want %q", got, c.text)
		}
		if got := c.op.Object(); got != c.object {
			t.Errorf("got %q, want %q", got, c.object)
		}
	}
}

func TestEveryValueHasAName(t *testing.T) {
	names := map[string]bool{}
	check := func(s string, known bool) {
		t.Helper()
		if s == "" || known == strings.Contains(s, "-") || names[s] && !strings.HasPrefix(s, "op-") {
			t.Errorf("%q is no name for a value that is known: %v", s, known)
		}
		names[s] = true
	}
	for _, p := range []ipvs.Protocol{ipvs.TCP, ipvs.UDP, ipvs.SCTP} {
		check(p.String(), true)
	}
	check(ipvs.Protocol(47).String(), false)
	for _, f := range []ipvs.Family{ipvs.IPv4, ipvs.IPv6} {
		check(f.String(), true)
	}
	check(ipvs.Family(0).String(), false)
	for f := ipvs.NAT; f <= ipvs.Bypass; f++ {
		check(f.String(), true)
	}
	check((ipvs.Bypass + 1).String(), false)
	for _, tt := range []ipvs.TunnelType{ipvs.IPIP, ipvs.GUE, ipvs.GRE} {
		check(tt.String(), true)
	}
	check((ipvs.GRE + 1).String(), false)
	for k := ipvs.AddService; k <= ipvs.DeleteService; k++ {
		if s := k.String(); s == "" || strings.Contains(s, "-") {
			t.Errorf("operation %d has no name", k)
		}
	}
	check(ipvs.OpKind(0).String(), false)
}
