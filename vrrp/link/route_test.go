package link

import (
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func via(s string) []Hop { return []Hop{{Via: ip(s)}} }

// routeCases are routes with each option, and what ip -j says of them.
var routeCases = []struct {
	r    Route
	want string
}{
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2")}, `{"dst":"10.50.0.0/16","gateway":"10.1.0.2","dev":"eth0","protocol":"112","type":"1","scope":"0"}`},
	{Route{To: prefix("0.0.0.0/0"), Hops: []Hop{{Via: ip("10.1.0.2"), Device: "eth0"}}, Src: ip("10.1.0.1"), Metric: 50}, `{"dst":"default","prefsrc":"10.1.0.1","metric":50}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: []Hop{{Device: "eth1"}}, Scope: 253}, `{"dev":"eth1","scope":"253"}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), TOS: 16}, `{"tos":"0x10"}`},
	{Route{To: prefix("10.50.0.0/16"), Type: "blackhole"}, `{"type":"6"}`},
	{Route{To: prefix("10.50.0.0/16"), Type: "unreachable"}, `{"type":"7"}`},
	{Route{To: prefix("10.50.0.0/16"), Type: "prohibit"}, `{"type":"8"}`},
	{Route{To: prefix("10.50.0.0/16"), Type: "throw"}, `{"type":"9"}`},
	{Route{To: prefix("10.50.0.0/16"), Type: "local", Scope: 254, Hops: []Hop{{Device: "eth0"}}}, `{"type":"2","scope":"254"}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: []Hop{{Via: ip("192.0.2.1"), Device: "eth0", OnLink: true}}}, `{"gateway":"192.0.2.1","flags":["onlink"]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: []Hop{{Via: ip("10.1.0.2"), Weight: 3}, {Via: ip("10.2.0.2"), Weight: 1}}},
		`{"nexthops":[{"dev":"eth0","flags":[],"gateway":"10.1.0.2","weight":3},{"dev":"eth1","flags":[],"gateway":"10.2.0.2","weight":1}]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: []Hop{{Via: ip("fe80::1"), Device: "eth0"}}}, `{"via":{"family":"inet6","host":"fe80::1"}}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Metrics: metrics(MetricMTU, 1400, MetricAdvMSS, 1360, MetricWindow, 9000), Lock: 1 << MetricMTU},
		`{"metrics":[{"mtu":1400,"window":9000,"advmss":1360}]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Metrics: metrics(MetricRTT, 20, MetricRTTVar, 8, MetricRTOMin, 50)},
		`{"metrics":[{"rtt":20,"rttvar":8,"rto_min":50}]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Metrics: metrics(MetricInitCwnd, 20, MetricInitRwnd, 30, MetricCwnd, 40, MetricSSThresh, 50, MetricReordering, 5)},
		`{"metrics":[{"ssthresh":50,"cwnd":40,"reordering":5,"initcwnd":20,"initrwnd":30}]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Metrics: metrics(MetricQuickAck, 1, MetricFastOpenNoCookie, 1, MetricFeatures, 1)},
		`{"metrics":[{"ecn":null,"quickack":1,"fastopen_no_cookie":1}]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Realm: 7}, `{"flow":{"to":"7"}}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Congestion: "reno"}, `{"metrics":[{"congestion":"reno"}]}`},
	{Route{To: prefix("10.50.0.0/16"), Hops: via("10.1.0.2"), Table: 1000}, `{"table":"1000"}`},
	{Route{To: prefix("2001:db8:50::/48"), Hops: []Hop{{Via: ip("2001:db8::2"), Device: "eth0"}}}, `{"gateway":"2001:db8::2","metric":1024,"pref":"medium","protocol":"112"}`},
	{Route{To: prefix("::/0"), Hops: via("2001:db8::2"), Metric: 7, Preference: "high"}, `{"dst":"default","metric":7,"pref":"high"}`},
	{Route{To: prefix("2001:db8:50::/48"), Type: "unreachable"}, `{"type":"7"}`},
	{Route{To: prefix("2001:db8:50::/48"), From: prefix("2001:db8:51::/48"), Hops: via("2001:db8::2")}, `{"from":"2001:db8:51::/48"}`},
	{Route{To: prefix("2001:db8:50::/48"), Hops: []Hop{{Via: ip("2001:db8::2"), Device: "eth0"}, {Via: ip("2001:db8::3"), Device: "eth0", Weight: 2}}},
		`{"nexthops":[{"dev":"eth0","flags":[],"gateway":"2001:db8::2","weight":1},{"dev":"eth0","flags":[],"gateway":"2001:db8::3","weight":2}]}`},
	{Route{To: prefix("2001:db8:50::/48"), Hops: via("2001:db8::2"), Metrics: metrics(MetricHopLimit, 9)}, `{"metrics":[{"hoplimit":9}]}`},
}

func metrics(pairs ...uint32) (m [NumMetrics]uint32) {
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

// TestRouteOptions reads each option of a route back, and finds the route's removal
// by somebody else under its key.
func TestRouteOptions(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	for _, c := range routeCases {
		r := c.r
		r.Protocol = Protocol
		if r.Table == 0 {
			r.Table = 254
		}
		family := "-4"
		if r.To.Addr().Is6() {
			family = "-6"
		} else {
			r.Insert = InsertPrepend
		}
		if already, err := r.add(k); err != nil || already {
			t.Errorf("%s: add: already %v, error %v", &r, already, err)
			continue
		}
		if already, err := r.add(k); err != nil || !already {
			t.Errorf("%s: again: already %v, error %v", &r, already, err)
		}
		var list []map[string]any
		for _, l := range h.tell(family, "route", "show", "table", "all") {
			if l["protocol"] == "112" {
				list = append(list, l)
			}
		}
		if len(list) != 1 {
			t.Errorf("%s: listed are %v", &r, list)
		} else if m := hasAll(list[0], c.want); m != nil {
			t.Errorf("%s: %v", &r, m)
		}
		if text := h.ip("route", "show", "table", "all"); r.Lock != 0 && !strings.Contains(text, "mtu lock 1400") {
			t.Errorf("%s: %s", &r, text)
		}
		number := uint8(unix.AF_INET)
		if r.To.Addr().Is6() {
			number = unix.AF_INET6
		}
		for _, m := range dumped(h, k, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, number) {
			if id, proto, ok := parseRoute(m); ok && proto == Protocol && id.key() != r.Key() {
				t.Errorf("%s: found under %+v, want %+v", &r, id.key(), r.Key())
			}
		}
		if already, err := r.remove(k); err != nil || already {
			t.Errorf("%s: remove: already %v, error %v", &r, already, err)
		}
		if already, err := r.remove(k); err != nil || !already {
			t.Errorf("%s: remove again: already %v, error %v", &r, already, err)
		}
	}
}

func dumped(h *host, k *kernel, command int, kind uint16, family uint8) [][]byte {
	h.t.Helper()
	list, err := k.dump(command, kind, rtHeader(family, 0))
	h.must(err)
	return list
}

// Another route in the same place is not taken for this one.
func TestRouteOfSomebodyElse(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	// IPv4: ours goes before it and leaves it alone.
	h.ip("route", "add", "10.50.0.0/16", "via", "10.1.0.2")
	ours := &Route{To: prefix("10.50.0.0/16"), Table: 254, Protocol: Protocol, Hops: via("10.2.0.2"), Insert: InsertPrepend}
	if already, err := ours.add(k); err != nil || already {
		t.Errorf("already %v, error %v", already, err)
	}
	if got := h.ip("route", "get", "10.50.1.1"); !strings.Contains(got, "via 10.2.0.2") {
		t.Errorf("the kernel uses %s", got)
	}
	if _, err := ours.remove(k); err != nil {
		t.Error(err)
	}
	if got := h.ip("route", "get", "10.50.1.1"); !strings.Contains(got, "via 10.1.0.2") {
		t.Errorf("after the removal the kernel uses %s", got)
	}
	ours.Insert = InsertAdd
	if _, err := ours.add(k); err == nil || !strings.Contains(err.Error(), "another route") {
		t.Errorf("add beside another route: %v", err)
	}
	// The same one is used as it is, and stays.
	same := *ours
	same.Hops = via("10.1.0.2")
	if already, err := same.add(k); err != nil || !already {
		t.Errorf("the same route: already %v, error %v", already, err)
	}
	if already, err := same.remove(k); err != nil || !already {
		t.Errorf("remove what is not marked: already %v, error %v", already, err)
	}
	if got := h.ip("route", "show", "10.50.0.0/16"); got == "" {
		t.Error("somebody else's route is gone")
	}
	// IPv6 knows no order: it is an error.
	h.ip("-6", "route", "add", "2001:db8:50::/48", "via", "2001:db8::2")
	six := &Route{To: prefix("2001:db8:50::/48"), Table: 254, Protocol: Protocol, Hops: via("2001:db8::3")}
	if _, err := six.add(k); err == nil || !strings.Contains(err.Error(), "another route") {
		t.Errorf("add beside another IPv6 route: %v", err)
	}
	six.Hops = []Hop{{Via: ip("2001:db8::2"), Device: "eth0"}}
	if already, err := six.add(k); err != nil || !already {
		t.Errorf("the same IPv6 route: already %v, error %v", already, err)
	}
}

var ruleCases = []struct {
	r    Rule
	want string
}{
	{Rule{Priority: 100, Table: 1000}, `{"priority":100,"src":"all","table":"1000","protocol":"112"}`},
	{Rule{Priority: 100, From: prefix("192.0.2.0/24"), To: prefix("198.51.100.1/32"), Table: 100}, `{"src":"192.0.2.0","srclen":24,"dst":"198.51.100.1","table":"100"}`},
	{Rule{Priority: 100, Invert: true, From: prefix("192.0.2.1/32"), Table: 100}, `{"not":null,"src":"192.0.2.1"}`},
	{Rule{Priority: 100, Mark: 7, Table: 100}, `{"fwmark":"0x7","fwmask":null}`},
	{Rule{Priority: 100, Mark: 7, Mask: 255, Table: 100}, `{"fwmark":"0x7","fwmask":"0xff"}`},
	{Rule{Priority: 100, IIf: "eth0", OIf: "eth1", Table: 100}, `{"iif":"eth0","oif":"eth1"}`},
	{Rule{Priority: 100, TOS: 16, Table: 100}, `{"tos":"0x10"}`},
	{Rule{Priority: 100, IPProto: 6, Sport: Range16{80, 80}, Dport: Range16{1000, 2000}, Table: 100}, `{"ipproto":"ipproto-6","sport":80,"dport_start":1000,"dport_end":2000}`},
	{Rule{Priority: 100, UID: &Range32{0, 1000}, Table: 100}, `{"uid_start":0,"uid_end":1000}`},
	{Rule{Priority: 100, Table: 254, SuppressPrefix: 0}, `{"suppress_prefixlen":0}`},
	{Rule{Priority: 100, Table: 1000, SuppressPrefix: 8, SuppressGroup: 3}, `{"suppress_prefixlen":8}`},
	{Rule{Priority: 100, Action: "goto", Goto: 32766}, `{"goto":32766}`},
	{Rule{Priority: 100, Action: "nop", From: prefix("192.0.2.1/32")}, `{"nop":null}`},
	{Rule{Priority: 100, Action: "blackhole"}, `{"action":"6"}`},
	{Rule{Priority: 100, Action: "unreachable"}, `{"action":"7"}`},
	{Rule{Priority: 100, Action: "prohibit"}, `{"action":"8"}`},
	{Rule{Priority: 100, TunnelID: 77, Table: 100}, `{"tun_id":"77"}`},
	{Rule{Priority: 100, IPv6: true, From: prefix("2001:db8::1/128"), Table: 100}, `{"src":"2001:db8::1"}`},
	{Rule{Priority: 100, L3Mdev: true}, `{"l3mdev":null,"src":"all"}`},
}

func TestRuleOptions(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	for _, c := range ruleCases {
		r := c.r
		r.Protocol = Protocol
		if r.SuppressPrefix == 0 && !strings.Contains(c.want, "suppress") {
			r.SuppressPrefix = -1
		}
		if r.SuppressGroup == 0 {
			r.SuppressGroup = -1
		}
		family, number := "-4", uint8(unix.AF_INET)
		if r.IPv6 {
			family, number = "-6", unix.AF_INET6
		}
		if already, err := r.add(k); err != nil || already {
			t.Errorf("%s: add: already %v, error %v", &r, already, err)
			continue
		}
		if already, err := r.add(k); err != nil || !already {
			t.Errorf("%s: again: already %v, error %v", &r, already, err)
		}
		var listed map[string]any
		for _, l := range h.tell(family, "rule", "show") {
			if l["protocol"] == "112" {
				listed = l
			}
		}
		if m := hasAll(listed, c.want); m != nil {
			t.Errorf("%s: %v in %v", &r, m, listed)
		}
		found := false
		for _, m := range dumped(h, k, unix.RTM_GETRULE, unix.RTM_NEWRULE, number) {
			if p, ok := parseRule(m); ok && p.Protocol == Protocol {
				found = p.Key() == r.Key()
				if !found {
					t.Errorf("%s: found under %+v", &r, p.Key())
				}
			}
		}
		if !found {
			t.Errorf("%s: not found", &r)
		}
		if already, err := r.remove(k); err != nil || already {
			t.Errorf("%s: remove: already %v, error %v", &r, already, err)
		}
		if already, err := r.remove(k); err != nil || !already {
			t.Errorf("%s: remove again: already %v, error %v", &r, already, err)
		}
	}
	// The kernel keeps a rule of somebody else's apart by its protocol.
	h.ip("rule", "add", "priority", "100", "from", "192.0.2.1", "table", "100")
	r := &Rule{Priority: 100, From: prefix("192.0.2.1/32"), Table: 100, Protocol: Protocol, SuppressPrefix: -1, SuppressGroup: -1}
	if already, err := r.add(k); err != nil || already {
		t.Errorf("already %v, error %v", already, err)
	}
	if already, err := r.remove(k); err != nil || already {
		t.Errorf("remove: already %v, error %v", already, err)
	}
	if got := h.ip("rule", "show", "priority", "100"); got == "" {
		t.Error("somebody else's rule is gone")
	}
}
