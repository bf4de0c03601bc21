package snmpd

import (
	"net/netip"
	"slices"
	"strconv"
	"time"

	"director/config"
	"director/internal/agentx"
)

// routeRow is a virtual or a static route.
type routeRow struct {
	index agentx.OID
	*config.Route
	set bool
}

// hopRow is one of several ways of a route.
type hopRow struct {
	index agentx.OID
	*config.NextHop
}

// placed finds the state of the routes or rules of an instance, which each of its
// families has in the order of the configuration.
type placed struct {
	instance *instanceRow
	items    func(ipv6 bool) kernelItems
	seen     map[bool]int
}

func (r *instanceRow) placed(routes bool) placed {
	return placed{r, func(ipv6 bool) kernelItems {
		for _, in := range r.now {
			if len(r.now) == 1 || (in.Family == "ipv6") == ipv6 {
				if routes {
					return in.Routes
				}
				return in.Rules
			}
		}
		return nil
	}, make(map[bool]int)}
}

// next says whether the kernel has the next item.
func (p *placed) next(ipv6 bool) bool {
	if len(p.instance.now) == 1 {
		ipv6 = false // what is of a family without a router goes with the only one
	}
	p.seen[ipv6]++
	return p.items(ipv6).has(p.seen[ipv6] - 1)
}

// routes are vrrpRouteTable and vrrpRouteNextHopTable, the static ones in the place of
// instance 0.
func (s *state) routes(instances []instanceRow) []agentx.Object {
	var rows []routeRow
	var hops []hopRow
	add := func(instance uint32, i int, r *config.Route, set bool) {
		rows = append(rows, routeRow{agentx.OID{instance, uint32(i + 1)}, r, set})
		for j := range r.Hops {
			hops = append(hops, hopRow{agentx.OID{instance, uint32(i + 1), uint32(j + 1)}, &r.Hops[j]})
		}
	}
	static := s.static().routes
	for i := range s.config.StaticRoutes {
		add(0, i, &s.config.StaticRoutes[i], static.has(i))
	}
	for n := range instances {
		held := instances[n].placed(true)
		for i := range instances[n].Routes {
			r := &instances[n].Routes[i]
			add(instances[n].index, i, r, held.next(r.To.Addr().Is6()))
		}
	}
	return append(
		table(vrrpPart.Append(7, 1), rows, func(r *routeRow) agentx.OID { return r.index }, append(s.routeColumns(), metricColumns()...)),
		table(vrrpPart.Append(11, 1), hops, func(r *hopRow) agentx.OID { return r.index }, []column[hopRow]{
			{2, func(r *hopRow) agentx.Value { return addressType(r.Via) }},
			{3, func(r *hopRow) agentx.Value { return address(r.Via) }},
			{4, func(r *hopRow) agentx.Value { return s.link(r.Device) }},
			{5, func(r *hopRow) agentx.Value { return text(r.Device) }},
			{6, func(r *hopRow) agentx.Value { return agentx.Gauge(uint64(r.Weight)) }},
			{7, func(r *hopRow) agentx.Value { return yes(r.OnLink) }},
		})...)
}

func (s *state) routeColumns() []column[routeRow] {
	type R = routeRow
	return []column[R]{
		{2, func(r *R) agentx.Value { return addressType(r.To.Addr()) }},
		{3, func(r *R) agentx.Value { return address(r.To.Addr()) }},
		{4, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.To.Bits())) }},
		{5, func(r *R) agentx.Value { return address(r.Via) }},
		{7, func(r *R) agentx.Value { return address(r.Src) }},
		{8, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.Metric)) }},
		{9, func(r *R) agentx.Value { return scope(r.Scope) }},
		{10, func(r *R) agentx.Value { return routeType(r.Route) }},
		{11, func(r *R) agentx.Value { return s.link(r.Device) }},
		{12, func(r *R) agentx.Value { return text(r.Device) }},
		{13, func(r *R) agentx.Value { return tableNumber(r.Table) }},
		{14, func(r *R) agentx.Value { return yes(r.set) }},
		{15, func(r *R) agentx.Value { return address(r.From.Addr()) }},
		{16, func(r *R) agentx.Value { return prefixLength(r.From) }},
		{17, func(r *R) agentx.Value { return positive(uint32(r.TOS)) }},
		{18, func(r *R) agentx.Value { return protocol(r.Protocol) }},
		{19, func(r *R) agentx.Value { return yes(r.ECN) }},
		{20, func(r *R) agentx.Value { return yes(r.QuickAck) }},
		{21, func(r *R) agentx.Value {
			if r.Expires == 0 {
				return none
			}
			return agentx.Integer(int(r.Expires.D() / time.Second))
		}},
		{24, func(r *R) agentx.Value { return positive(r.HopLimit) }},
		{33, func(r *R) agentx.Value { return positive(r.Window) }},
		{40, func(r *R) agentx.Value { return positive(r.InitCwnd) }},
		{41, func(r *R) agentx.Value { return positive(r.InitRwnd) }},
		{42, func(r *R) agentx.Value { return text(r.Congestion) }},
		{43, func(r *R) agentx.Value {
			if !r.To.Addr().Is6() {
				return none
			}
			return numberOf(r.Preference, "low", "medium", "high")
		}},
		{44, func(r *R) agentx.Value { return positive(r.Realm) }},
		{55, func(r *R) agentx.Value { return yes(r.FastOpenNoCookie) }},
	}
}

// metricColumns are the metrics that can be locked, each with its lock behind it.
func metricColumns() []column[routeRow] {
	var list []column[routeRow]
	for _, m := range []struct {
		number uint32
		name   string
		value  func(*config.Route) uint32
	}{
		{22, "mtu", func(r *config.Route) uint32 { return r.MTU }},
		{25, "advmss", func(r *config.Route) uint32 { return r.AdvMSS }},
		{27, "rtt", func(r *config.Route) uint32 { return uint32(r.RTT.D() / time.Millisecond) }},
		{29, "rttvar", func(r *config.Route) uint32 { return uint32(r.RTTVar.D() / time.Millisecond) }},
		{31, "reordering", func(r *config.Route) uint32 { return r.Reordering }},
		{34, "cwnd", func(r *config.Route) uint32 { return r.Cwnd }},
		{36, "ssthresh", func(r *config.Route) uint32 { return r.SSThresh }},
		{38, "rto_min", func(r *config.Route) uint32 { return uint32(r.RTOMin.D() / time.Millisecond) }},
	} {
		list = append(list,
			column[routeRow]{m.number, func(r *routeRow) agentx.Value { return positive(m.value(r.Route)) }},
			column[routeRow]{m.number + 1, func(r *routeRow) agentx.Value {
				if m.value(r.Route) == 0 {
					return none
				}
				return yes(slices.Contains(r.Lock, m.name))
			}})
	}
	return list
}

// routeType is a RouteType, none for one of type local, which that does not know.
func routeType(r *config.Route) agentx.Value {
	if len(r.Hops) > 0 {
		return agentx.Integer(2) // ecmp
	}
	return numberOf(r.Type, "unicast", "", "blackhole", "", "", "", "unreachable", "prohibit", "throw")
}

// tableNumber is the number of a routing table, none where a name has none.
func tableNumber(s string) agentx.Value {
	n, ok := config.TableNumber(s)
	if !ok {
		return none
	}
	return agentx.Gauge(uint64(n))
}

// positive is a number of which 0 says that there is none.
func positive(n uint32) agentx.Value {
	if n == 0 {
		return none
	}
	return agentx.Gauge(uint64(n))
}

func prefixLength(p netip.Prefix) agentx.Value {
	if !p.IsValid() {
		return none
	}
	return agentx.Gauge(uint64(p.Bits()))
}

// protocol is who has made a route or a rule: the kernel's number and 1 up to dhcp,
// and 112.
func protocol(n uint8) agentx.Value {
	if n == 112 {
		return agentx.Integer(112)
	}
	if n <= 4 || n >= 8 && n <= 16 {
		return agentx.Integer(int(n) + 1)
	}
	return none
}

// ruleRow is a virtual or a static rule.
type ruleRow struct {
	index agentx.OID
	*config.Rule
	set bool
}

// rules are vrrpRuleTable, the static ones in the place of instance 0.
func (s *state) rules(instances []instanceRow) []agentx.Object {
	type R = ruleRow
	var rows []R
	static := s.static().rules
	for i := range s.config.StaticRules {
		rows = append(rows, R{agentx.OID{0, uint32(i + 1)}, &s.config.StaticRules[i], static.has(i)})
	}
	for n := range instances {
		held := instances[n].placed(false)
		for i := range instances[n].Rules {
			r := &instances[n].Rules[i]
			rows = append(rows, R{agentx.OID{instances[n].index, uint32(i + 1)}, r, held.next(r.Family == "inet6")})
		}
	}
	// The obsolete columns have the one address that a rule once had.
	only := func(r *R) (direction string, p netip.Prefix) {
		if r.From.IsValid() {
			return "from", r.From
		}
		if r.To.IsValid() {
			return "to", r.To
		}
		return "", netip.Prefix{}
	}
	when := func(there bool, v uint64) agentx.Value {
		if !there {
			return none
		}
		return agentx.Gauge(v)
	}
	ports := func(s string) (from, to uint64) { f, t := config.Ports(s); return uint64(f), uint64(t) }
	return table(vrrpPart.Append(8, 1), rows, func(r *R) agentx.OID { return r.index }, []column[R]{
		{2, func(r *R) agentx.Value { d, _ := only(r); return text(d) }},
		{3, func(r *R) agentx.Value { _, p := only(r); return addressType(p.Addr()) }},
		{4, func(r *R) agentx.Value { _, p := only(r); return address(p.Addr()) }},
		{5, func(r *R) agentx.Value { _, p := only(r); return prefixLength(p) }},
		{6, func(r *R) agentx.Value { return ruleTable(r.Rule) }},
		{7, func(r *R) agentx.Value { return yes(r.set) }},
		{8, func(r *R) agentx.Value { return yes(r.Not) }},
		{9, func(r *R) agentx.Value { return addressType(r.To.Addr()) }},
		{10, func(r *R) agentx.Value { return address(r.To.Addr()) }},
		{11, func(r *R) agentx.Value { return prefixLength(r.To) }},
		{12, func(r *R) agentx.Value { return addressType(r.From.Addr()) }},
		{13, func(r *R) agentx.Value { return address(r.From.Addr()) }},
		{14, func(r *R) agentx.Value { return prefixLength(r.From) }},
		{15, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.TOS)) }},
		{16, func(r *R) agentx.Value { return positive(r.FWMark) }},
		{17, func(r *R) agentx.Value { return positive(r.FWMask) }},
		{20, func(r *R) agentx.Value { return text(r.IIf) }},
		{21, func(r *R) agentx.Value { return text(r.OIf) }},
		{22, func(r *R) agentx.Value { return positive(r.Goto) }},
		{23, func(r *R) agentx.Value {
			return numberOf(r.Action, "table", "goto", "nop", "", "", "blackhole", "unreachable", "prohibit")
		}},
		{24, func(r *R) agentx.Value { return ruleTable(r.Rule) }},
		{25, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.Priority)) }},
		{26, func(r *R) agentx.Value {
			return when(r.SuppressPrefixLength >= 0, uint64(max(0, r.SuppressPrefixLength)))
		}},
		{27, func(r *R) agentx.Value {
			if r.SuppressIfGroup < 0 {
				return none
			}
			return text(strconv.Itoa(r.SuppressIfGroup))
		}},
		{28, func(r *R) agentx.Value { return when(r.TunnelID != 0, 0) }}, // director's are of 32 bits
		{29, func(r *R) agentx.Value { return positive(r.TunnelID) }},
		{30, func(r *R) agentx.Value { from, _, ok := r.Users(); return when(ok, uint64(from)) }},
		{31, func(r *R) agentx.Value { _, to, ok := r.Users(); return when(ok, uint64(to)) }},
		{32, func(r *R) agentx.Value { return yes(r.L3Mdev) }},
		{33, func(r *R) agentx.Value { return protocol(r.Protocol) }},
		{34, func(r *R) agentx.Value { return positive(uint32(r.ProtocolNumber())) }},
		{35, func(r *R) agentx.Value { from, _ := ports(r.Sport); return when(r.Sport != "", from) }},
		{36, func(r *R) agentx.Value { _, to := ports(r.Sport); return when(r.Sport != "", to) }},
		{37, func(r *R) agentx.Value { from, _ := ports(r.Dport); return when(r.Dport != "", from) }},
		{38, func(r *R) agentx.Value { _, to := ports(r.Dport); return when(r.Dport != "", to) }},
	})
}

// ruleTable is where a rule looks, of those that look into a table.
func ruleTable(r *config.Rule) agentx.Value {
	if r.Action != "table" && r.Action != "" || r.L3Mdev {
		return none
	}
	return tableNumber(r.Table)
}
