package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Route is a route of either family.
type Route struct {
	To   netip.Prefix // 0.0.0.0/0 or ::/0 for the default route; masked
	From netip.Prefix // of the packet's source address, IPv6 only; invalid: any
	// Type is unicast, local, blackhole, unreachable, prohibit or throw. Empty: unicast.
	Type  string
	Table uint32 // 254 is main
	// Metric is the route's priority, the least first. 0 is the kernel's default,
	// which is 1024 in IPv6.
	Metric   uint32
	TOS      uint8 // IPv4 only
	Scope    uint8 // IPv4 only
	Protocol uint8
	Src      netip.Addr // invalid: the kernel chooses
	// Hops are the ways to go, more than one for a multipath route; none for the types
	// that lead nowhere.
	Hops []Hop
	// Metrics are the kernel's by number (the constants Metric...), 0 is unset; Lock
	// has a bit for each that path MTU discovery and TCP must not change.
	Metrics [NumMetrics]uint32
	Lock    uint32
	// Congestion is the name of TCP's congestion control, empty: the host's.
	Congestion string
	Preference string // of an IPv6 router (RFC 4191): low, medium or high; empty: medium
	Expires    uint32 // seconds after which the kernel removes an IPv6 route; 0: never
	Realm      uint32 // IPv4 only; 0: none
	Insert     Insert
}

// Hop is one way that a route goes.
type Hop struct {
	Via    netip.Addr // invalid: the destination is on the link
	Device string     // empty: the kernel finds it by Via
	Weight int        // share of the packets in a multipath route, 1 to 256; 0 counts as 1
	OnLink bool       // Via is on the link though no address of ours says so
}

// Insert says what happens when there is a route to the same destination with the
// same table, TOS and metric already.
type Insert uint8

// The ways to insert a route.
const (
	InsertAdd     Insert = iota // it is an error, unless that route is the same
	InsertPrepend               // it goes before that one, which comes back when it goes; IPv4 only
	InsertAppend                // it goes behind that one; in IPv6 both are used by turns
)

// The metrics of a route (linux/rtnetlink.h, RTAX_). Those of time are in
// milliseconds.
const (
	MetricMTU              = unix.RTAX_MTU
	MetricWindow           = unix.RTAX_WINDOW
	MetricRTT              = unix.RTAX_RTT
	MetricRTTVar           = unix.RTAX_RTTVAR
	MetricSSThresh         = unix.RTAX_SSTHRESH
	MetricCwnd             = unix.RTAX_CWND
	MetricAdvMSS           = unix.RTAX_ADVMSS
	MetricReordering       = unix.RTAX_REORDERING
	MetricHopLimit         = unix.RTAX_HOPLIMIT
	MetricInitCwnd         = unix.RTAX_INITCWND
	MetricFeatures         = unix.RTAX_FEATURES
	MetricRTOMin           = unix.RTAX_RTO_MIN
	MetricInitRwnd         = unix.RTAX_INITRWND
	MetricQuickAck         = unix.RTAX_QUICKACK
	MetricFastOpenNoCookie = unix.RTAX_FASTOPEN_NO_COOKIE
	NumMetrics             = unix.RTAX_FASTOPEN_NO_COOKIE + 1
)

var metricNames = [NumMetrics]string{
	MetricMTU: "mtu", MetricWindow: "window", MetricRTT: "rtt", MetricRTTVar: "rttvar", MetricSSThresh: "ssthresh",
	MetricCwnd: "cwnd", MetricAdvMSS: "advmss", MetricReordering: "reordering", MetricHopLimit: "hoplimit",
	MetricInitCwnd: "initcwnd", MetricFeatures: "features", MetricRTOMin: "rto_min", MetricInitRwnd: "initrwnd",
	MetricQuickAck: "quickack", MetricFastOpenNoCookie: "fastopen_no_cookie",
}

var routeTypes = map[string]uint8{
	"": unix.RTN_UNICAST, "unicast": unix.RTN_UNICAST, "local": unix.RTN_LOCAL, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT, "throw": unix.RTN_THROW,
}

// ipv6DefaultMetric is what the kernel makes of metric 0 in IPv6.
const ipv6DefaultMetric = 1024

// routeID is what a route is found by.
type routeID struct {
	table, metric uint32
	to, from      netip.Prefix
	tos, kind     uint8
}

func (id routeID) key() Key {
	if id.to.Addr().Is6() {
		id.tos = 0
		if id.metric == 0 {
			id.metric = ipv6DefaultMetric
		}
	}
	from := ""
	if id.from.IsValid() && id.from.Bits() > 0 {
		from = " from " + id.from.String()
	}
	return Key{Kind: KindRoute, Rest: fmt.Sprintf("%v%s table %d metric %d tos %d type %d", id.to, from, id.table, id.metric, id.tos, id.kind)}
}

// Key returns what the kernel tells routes apart by, but for the next hops.
func (r *Route) Key() Key {
	return routeID{table: r.Table, metric: r.Metric, to: r.To, from: r.From, tos: r.TOS, kind: routeTypes[r.Type]}.key()
}

// On returns the interface of the first hop that names one.
func (r *Route) On() string {
	for _, h := range r.Hops {
		if h.Device != "" {
			return h.Device
		}
	}
	return ""
}

// Variant describes the route in full.
func (r *Route) Variant() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s scope %d protocol %d insert %d lock %x", r, r.Scope, r.Protocol, r.Insert, r.Lock)
	for i, name := range metricNames {
		if r.Metrics[i] != 0 {
			fmt.Fprintf(&b, " %s %d", name, r.Metrics[i])
		}
	}
	fmt.Fprintf(&b, " %s %s %d %d", r.Congestion, r.Preference, r.Expires, r.Realm)
	return b.String()
}

// String describes the route as ip(8) does, without what is rarely asked for.
func (r *Route) String() string {
	var b strings.Builder
	b.WriteString("route ")
	if r.Type != "" && r.Type != "unicast" {
		b.WriteString(r.Type + " ")
	}
	if r.To.Bits() == 0 {
		if b.WriteString("default"); r.To.Addr().Is6() {
			b.WriteString(" (IPv6)")
		}
	} else {
		b.WriteString(r.To.String())
	}
	if r.From.IsValid() {
		fmt.Fprintf(&b, " from %v", r.From)
	}
	for _, h := range r.Hops {
		if len(r.Hops) > 1 {
			b.WriteString(" nexthop")
		}
		b.WriteString(h.String())
		if len(r.Hops) > 1 {
			fmt.Fprintf(&b, " weight %d", max(h.Weight, 1))
		}
	}
	if r.Src.IsValid() {
		fmt.Fprintf(&b, " src %v", r.Src)
	}
	if r.Table != unix.RT_TABLE_MAIN {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	if r.TOS != 0 {
		fmt.Fprintf(&b, " tos %#x", r.TOS)
	}
	return b.String()
}

func (h Hop) String() string {
	s := ""
	if h.Via.IsValid() {
		s += " via " + h.Via.String()
	}
	if h.Device != "" {
		s += " dev " + h.Device
	}
	if h.OnLink {
		s += " onlink"
	}
	return s
}

func (r *Route) add(k *kernel) (already bool, err error) {
	flags := unix.NLM_F_CREATE
	switch r.Insert {
	case InsertAdd:
		flags |= unix.NLM_F_EXCL
	case InsertAppend:
		flags |= unix.NLM_F_APPEND
	}
	err = k.onAll(r.devices(), func(index map[string]int) error {
		parts, err := r.message(index, true)
		if err == nil {
			_, err = k.request(unix.RTM_NEWROUTE, flags, parts...)
		}
		return err
	})
	if !errors.Is(err, unix.EEXIST) {
		return false, err
	}
	if r.Insert != InsertAdd {
		// Without EXCL the kernel says so only of the very same route.
		return true, nil
	}
	other, err := r.rival(k)
	if err != nil {
		return false, err
	}
	if other != "" {
		return false, fmt.Errorf("%w: another route is there, %s; give this one another metric", unix.EEXIST, other)
	}
	return true, nil
}

func (r *Route) remove(k *kernel) (already bool, err error) {
	err = k.onAll(r.devices(), func(index map[string]int) error {
		parts, err := r.message(index, false)
		if err == nil {
			_, err = k.request(unix.RTM_DELROUTE, 0, parts...)
		}
		return err
	})
	if absent(err) {
		return true, nil
	}
	return false, err
}

func (r *Route) devices() (names []string) {
	for _, h := range r.Hops {
		if h.Device != "" {
			names = append(names, h.Device)
		}
	}
	return names
}

// rival describes the route that stands in this one's place, "" when that is the
// same as this one.
func (r *Route) rival(k *kernel) (string, error) {
	family := netlink.FAMILY_V4
	if r.To.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	filter := &netlink.Route{Table: int(r.Table), Dst: &net.IPNet{IP: r.To.Addr().AsSlice(), Mask: net.CIDRMask(r.To.Bits(), r.To.Addr().BitLen())}}
	list, err := k.handle.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	if err != nil {
		return "", fmt.Errorf("%w; and the routes cannot be listed: %w", unix.EEXIST, err)
	}
	metric := r.Metric
	if family == netlink.FAMILY_V6 && metric == 0 {
		metric = ipv6DefaultMetric
	}
	rival := ""
	for _, other := range list {
		if uint32(other.Priority) != metric || family == netlink.FAMILY_V4 && other.Tos != int(r.TOS) {
			continue
		}
		if r.same(k, other) {
			return "", nil
		}
		rival = strings.TrimSpace(other.String())
	}
	return rival, nil // an empty one: it went meanwhile
}

// same compares what decides where packets go.
func (r *Route) same(k *kernel, other netlink.Route) bool {
	src, _ := netip.AddrFromSlice(other.Src)
	if other.Type != int(routeTypes[r.Type]) || r.Src.IsValid() && r.Src != src.Unmap() {
		return false
	}
	paths := other.MultiPath
	if len(paths) == 0 && len(r.Hops) > 0 {
		paths = []*netlink.NexthopInfo{{LinkIndex: other.LinkIndex, Gw: other.Gw, Via: other.Via}}
	}
	if len(paths) != len(r.Hops) {
		return false
	}
	for _, h := range r.Hops {
		if !slices.ContainsFunc(paths, func(p *netlink.NexthopInfo) bool {
			via, _ := netip.AddrFromSlice(p.Gw)
			if v, ok := p.Via.(*netlink.Via); ok {
				via, _ = netip.AddrFromSlice(v.Addr)
			}
			if via = via.Unmap(); via.IsValid() && via.IsUnspecified() {
				via = netip.Addr{}
			}
			d, err := k.device(h.Device)
			return via == h.Via && (h.Device == "" || err == nil && d.Index == p.LinkIndex)
		}) {
			return false
		}
	}
	return true
}

// message builds the request; without metrics and the like it is one to delete.
func (r *Route) message(index map[string]int, whole bool) ([]nl.NetlinkRequestData, error) {
	kind, known := routeTypes[r.Type]
	if !known {
		return nil, fmt.Errorf("unknown type %q", r.Type)
	}
	msg := nl.NewRtMsg()
	msg.Family = unix.AF_INET
	if r.To.Addr().Is6() {
		msg.Family = unix.AF_INET6
	} else {
		msg.Scope = r.Scope
	}
	msg.Dst_len, msg.Tos, msg.Protocol, msg.Type = uint8(r.To.Bits()), r.TOS, r.Protocol, kind
	msg.Table = unix.RT_TABLE_UNSPEC
	parts := []nl.NetlinkRequestData{msg, nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(r.Table))}
	put := func(kind int, data []byte) { parts = append(parts, nl.NewRtAttr(kind, data)) }
	if r.To.Bits() > 0 {
		put(unix.RTA_DST, r.To.Addr().AsSlice())
	}
	if r.From.IsValid() {
		msg.Src_len = uint8(r.From.Bits())
		put(unix.RTA_SRC, r.From.Addr().AsSlice())
	}
	if r.Src.IsValid() {
		put(unix.RTA_PREFSRC, r.Src.AsSlice())
	}
	if r.Metric != 0 {
		put(unix.RTA_PRIORITY, nl.Uint32Attr(r.Metric))
	}
	switch len(r.Hops) {
	case 0:
	case 1:
		h := r.Hops[0]
		if h.OnLink {
			msg.Flags |= unix.RTNH_F_ONLINK
		}
		if h.Device != "" {
			put(unix.RTA_OIF, nl.Uint32Attr(uint32(index[h.Device])))
		}
		if g := h.gateway(r.To.Addr()); g != nil {
			parts = append(parts, g)
		}
	default:
		var data []byte
		for _, h := range r.Hops {
			next := &nl.RtNexthop{RtNexthop: unix.RtNexthop{Hops: uint8(max(h.Weight, 1) - 1), Ifindex: int32(index[h.Device])}}
			if h.OnLink {
				next.Flags |= unix.RTNH_F_ONLINK
			}
			if g := h.gateway(r.To.Addr()); g != nil {
				next.Children = append(next.Children, g)
			}
			data = append(data, next.Serialize()...)
		}
		put(unix.RTA_MULTIPATH, data)
	}
	if !whole {
		return parts, nil
	}
	if m := r.metrics(); m != nil {
		parts = append(parts, m)
	}
	if r.Realm != 0 {
		put(unix.RTA_FLOW, nl.Uint32Attr(r.Realm))
	}
	if r.Expires != 0 {
		put(unix.RTA_EXPIRES, nl.Uint32Attr(r.Expires))
	}
	if p, ok := map[string]byte{"low": 3, "medium": 0, "high": 1}[r.Preference]; ok {
		put(unix.RTA_PREF, []byte{p})
	}
	return parts, nil
}

// gateway is the attribute for Via; RTA_VIA when it is of the other family.
func (h Hop) gateway(to netip.Addr) *nl.RtAttr {
	switch {
	case !h.Via.IsValid():
		return nil
	case h.Via.Is4() == to.Is4():
		return nl.NewRtAttr(unix.RTA_GATEWAY, h.Via.AsSlice())
	}
	family := make([]byte, 2, 18)
	nl.NativeEndian().PutUint16(family, unix.AF_INET6)
	return nl.NewRtAttr(unix.RTA_VIA, append(family, h.Via.AsSlice()...))
}

func (r *Route) metrics() *nl.RtAttr {
	if r.Metrics == [NumMetrics]uint32{} && r.Lock == 0 && r.Congestion == "" {
		return nil
	}
	nest := nl.NewRtAttr(unix.RTA_METRICS, nil)
	if r.Lock != 0 {
		nest.AddRtAttr(unix.RTAX_LOCK, nl.Uint32Attr(r.Lock))
	}
	for i, v := range r.Metrics {
		switch {
		case v == 0:
			continue
		case i == MetricRTT: // the kernel counts eighths and quarters
			v *= 8
		case i == MetricRTTVar:
			v *= 4
		}
		nest.AddRtAttr(i, nl.Uint32Attr(v))
	}
	if r.Congestion != "" {
		nest.AddRtAttr(unix.RTAX_CC_ALGO, nl.ZeroTerminated(r.Congestion))
	}
	return nest
}
