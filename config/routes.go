package config

import (
	"net/netip"
	"strconv"
	"strings"
)

// Route is a virtual or a static route, with the words of ip-route(8).
type Route struct {
	// To is the destination; Parse makes the default route 0.0.0.0/0 or ::/0.
	To   netip.Prefix `toml:"to" form:"destination" required:"true" alias:"dst destination"`
	Type string       `toml:"type" json:",omitzero" oneof:"unicast local blackhole unreachable prohibit throw" default:"unicast"`
	// Family decides for a default route that has no address to tell it by.
	Family string     `toml:"family" json:",omitzero" oneof:"inet inet6" default:"=that of its addresses, else inet"`
	Via    netip.Addr `toml:"via" json:",omitzero" alias:"gw gateway"`
	Device string     `toml:"device" json:",omitzero" form:"interface" alias:"dev oif"`
	OnLink bool       `toml:"onlink" json:",omitzero" default:"false"`
	Hops   []NextHop  `toml:"nexthop" json:",omitzero" alias:"nexthops"`
	Src    netip.Addr `toml:"src" json:",omitzero" alias:"prefsrc"`
	// From is an IPv6 packet's source.
	From netip.Prefix `toml:"from" json:",omitzero" form:"destination"`
	// Table is a number, or a name of rt_tables that Resolve turns into one.
	Table    string `toml:"table" json:",omitzero" form:"table" default:"=main, local for type local"`
	Metric   uint32 `toml:"metric" json:",omitzero" min:"0" max:"4294967295" default:"0" alias:"priority preference"`
	TOS      uint8  `toml:"tos" json:",omitzero" min:"0" max:"255" default:"0" alias:"dsfield"`
	Scope    string `toml:"scope" json:",omitzero" form:"scope" default:"=link without a gateway, host for type local, else global"`
	Protocol uint8  `toml:"protocol" json:",omitzero" min:"1" max:"255" default:"112" alias:"proto"`
	// Insert is add, prepend or append.
	Insert string `toml:"insert" json:",omitzero" oneof:"add prepend append" default:"=prepend in IPv4, add in IPv6"`
	Realm  uint32 `toml:"realm" json:",omitzero" min:"0" max:"65535" default:"0" alias:"realms"`
	// What TCP and the neighbour discovery learn from the route; 0: the kernel's own.
	MTU              uint32   `toml:"mtu" json:",omitzero" min:"0" max:"65535" default:"0"`
	AdvMSS           uint32   `toml:"advmss" json:",omitzero" min:"0" max:"65535" default:"0"`
	Window           uint32   `toml:"window" json:",omitzero" min:"0" max:"4294967295" default:"0"`
	RTT              Duration `toml:"rtt" json:",omitzero" min:"0s" max:"1h" step:"1ms" default:"0s"`
	RTTVar           Duration `toml:"rttvar" json:",omitzero" min:"0s" max:"1h" step:"1ms" default:"0s"`
	RTOMin           Duration `toml:"rto_min" json:",omitzero" min:"0s" max:"1h" step:"1ms" default:"0s"`
	SSThresh         uint32   `toml:"ssthresh" json:",omitzero" min:"0" max:"4294967295" default:"0"`
	Cwnd             uint32   `toml:"cwnd" json:",omitzero" min:"0" max:"4294967295" default:"0"`
	InitCwnd         uint32   `toml:"initcwnd" json:",omitzero" min:"0" max:"4294967295" default:"0"`
	InitRwnd         uint32   `toml:"initrwnd" json:",omitzero" min:"0" max:"4294967295" default:"0"`
	Reordering       uint32   `toml:"reordering" json:",omitzero" min:"0" max:"65535" default:"0"`
	HopLimit         uint32   `toml:"hoplimit" json:",omitzero" min:"0" max:"255" default:"0"`
	QuickAck         bool     `toml:"quickack" json:",omitzero" default:"false"`
	FastOpenNoCookie bool     `toml:"fastopen_no_cookie" json:",omitzero" default:"false"`
	ECN              bool     `toml:"ecn" json:",omitzero" default:"false"`
	Congestion       string   `toml:"congctl" json:",omitzero" form:"name"`
	// Lock lists the keys above that the kernel must not change.
	Lock       []string `toml:"lock" json:",omitzero" form:"metric"`
	Preference string   `toml:"pref" json:",omitzero" oneof:"low medium high" default:"medium"`
	Expires    Duration `toml:"expires" json:",omitzero" min:"0s" max:"8760h" step:"1s" default:"0s"`
	NoTrack    bool     `toml:"no_track" json:",omitzero" default:"false"`
}

// NextHop is one of several ways of a route.
type NextHop struct {
	Via    netip.Addr `toml:"via" json:",omitzero" alias:"gw gateway"`
	Device string     `toml:"device" json:",omitzero" form:"interface" alias:"dev"`
	Weight int        `toml:"weight" json:",omitzero" min:"1" max:"256" default:"1"`
	OnLink bool       `toml:"onlink" json:",omitzero" default:"false"`
}

// Rule is a virtual or a static routing rule, with the words of ip-rule(8).
type Rule struct {
	Priority uint32       `toml:"priority" min:"1" max:"4294967295" required:"true" alias:"pref preference order"`
	Family   string       `toml:"family" json:",omitzero" oneof:"inet inet6" default:"=that of its addresses, else inet"`
	Not      bool         `toml:"not" json:",omitzero" default:"false" alias:"invert"`
	From     netip.Prefix `toml:"from" json:",omitzero" form:"destination"`
	To       netip.Prefix `toml:"to" json:",omitzero" form:"destination"`
	IIf      string       `toml:"iif" json:",omitzero" form:"interface" alias:"dev"`
	OIf      string       `toml:"oif" json:",omitzero" form:"interface"`
	FWMark   uint32       `toml:"fwmark" json:",omitzero" min:"0" max:"4294967295" default:"0"`
	FWMask   uint32       `toml:"fwmask" json:",omitzero" min:"0" max:"4294967295" default:"=all bits, with a fwmark"`
	TOS      uint8        `toml:"tos" json:",omitzero" min:"0" max:"255" default:"0" alias:"dsfield"`
	IPProto  string       `toml:"ipproto" json:",omitzero" form:"ipproto"`
	Sport    string       `toml:"sport" json:",omitzero" form:"ports"`
	Dport    string       `toml:"dport" json:",omitzero" form:"ports"`
	UIDRange string       `toml:"uidrange" json:",omitzero" form:"uids"`
	TunnelID uint32       `toml:"tun_id" json:",omitzero" min:"0" max:"4294967295" default:"0" alias:"tunnel-id tunnel_id"`
	// Action is table, goto, nop, blackhole, unreachable or prohibit.
	Action               string `toml:"action" json:",omitzero" oneof:"table goto nop blackhole unreachable prohibit" default:"table" alias:"type"`
	Table                string `toml:"table" json:",omitzero" form:"table" default:"=main" alias:"lookup"`
	Goto                 uint32 `toml:"goto" json:",omitzero" min:"1" max:"4294967295" default:"=none, it is required there" when:"action=goto"`
	L3Mdev               bool   `toml:"l3mdev" json:",omitzero" default:"false"`
	SuppressPrefixLength int    `toml:"suppress_prefixlength" json:",omitzero" min:"-1" max:"128" default:"-1"`
	SuppressIfGroup      int    `toml:"suppress_ifgroup" json:",omitzero" min:"-1" max:"2147483647" default:"-1"`
	Protocol             uint8  `toml:"protocol" json:",omitzero" min:"1" max:"255" default:"112" alias:"proto"`
	NoTrack              bool   `toml:"no_track" json:",omitzero" default:"false"`
}

// The tables that every kernel has.
var mainTables = map[string]uint32{"unspec": 0, "default": 253, "main": 254, "local": 255}

// TableNumber returns the number of a table that is written as one, or that every
// kernel has; false: the name has to be looked up.
func TableNumber(s string) (uint32, bool) {
	if n, ok := mainTables[s]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

// Tables returns where the configuration names a table of routes, with the path of
// the key that does so, so that the caller may put numbers in place of names.
func (c *Config) Tables(found func(path []string, name *string)) {
	routes := func(list []Route, path ...string) {
		for i := range list {
			found(append(path, "["+strconv.Itoa(i)+"]", "table"), &list[i].Table)
		}
	}
	rules := func(list []Rule, path ...string) {
		for i := range list {
			found(append(path, "["+strconv.Itoa(i)+"]", "table"), &list[i].Table)
		}
	}
	for i := range c.Instances {
		in := &c.Instances[i]
		routes(in.Routes, "vrrp_instance", in.Name, "virtual_routes")
		rules(in.Rules, "vrrp_instance", in.Name, "virtual_rules")
	}
	routes(c.StaticRoutes, "static_route")
	rules(c.StaticRules, "static_rule")
}

// IPProtocols are the names that ipproto knows.
var ipProtocols = map[string]uint8{
	"icmp": 1, "igmp": 2, "ipip": 4, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
	"ipv6-icmp": 58, "icmpv6": 58, "ospf": 89, "vrrp": 112, "sctp": 132, "udplite": 136,
}

// ProtocolNumber returns the number of the rule's ipproto, 0: none.
func (r *Rule) ProtocolNumber() uint8 {
	n, _ := protocolNumber(r.IPProto)
	return n
}

func protocolNumber(s string) (uint8, bool) {
	if n, ok := ipProtocols[s]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil && n > 0
}

// Ports returns a range of ports, 0 and 0 when there is none. The text has been
// found right.
func Ports(s string) (from, to uint16) {
	f, t, _ := parseRange(s, 16)
	return uint16(f), uint16(t)
}

// Users returns the range of user numbers; false: there is none.
func (r *Rule) Users() (from, to uint32, ok bool) {
	f, t, ok := parseRange(r.UIDRange, 32)
	return uint32(f), uint32(t), ok
}

// parseRange reads a number or two with a hyphen between.
func parseRange(s string, bits int) (from, to uint64, ok bool) {
	lo, hi, two := strings.Cut(s, "-")
	if !two {
		hi = lo
	}
	from, err1 := strconv.ParseUint(lo, 10, bits)
	to, err2 := strconv.ParseUint(hi, 10, bits)
	return from, to, err1 == nil && err2 == nil && from <= to
}
