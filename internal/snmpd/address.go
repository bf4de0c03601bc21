package snmpd

import (
	"net/netip"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// addressRow is a virtual or a static address.
type addressRow struct {
	index      agentx.OID
	prefix     netip.Prefix
	device     string
	options    *config.AddressOptions
	set        bool
	advertised bool
}

// addresses are vrrpAddressTable: the static ones in the place of instance 0, then for
// each instance those that its adverts list, then the others.
func (s *state) addresses(instances []instanceRow) []agentx.Object {
	var rows []addressRow
	static := s.static()
	for i := range s.config.StaticAddresses {
		a := &s.config.StaticAddresses[i]
		rows = append(rows, addressRow{agentx.OID{0, uint32(i + 1)}, a.Prefix, a.Device, &a.AddressOptions, static.addresses.has(i), false})
	}
	for i := range instances {
		in := &instances[i]
		held := make(map[netip.Addr]*control.Address)
		for _, now := range in.now {
			for j := range now.Addresses {
				held[now.Addresses[j].Prefix.Addr()] = &now.Addresses[j]
			}
		}
		n := uint32(0)
		add := func(a *config.VirtualAddress, advertised bool) {
			n++
			row := addressRow{agentx.OID{in.index, n}, a.Prefix, a.Device, &a.AddressOptions, false, advertised}
			if h := held[a.Prefix.Addr()]; h != nil {
				row.set, row.device = h.Installed, h.Device
			}
			rows = append(rows, row)
		}
		for j := range in.Addresses {
			add(&in.Addresses[j], true)
		}
		for j := range in.Excluded {
			add(&in.Excluded[j], false)
		}
	}
	return table(vrrpPart.Append(6, 1), rows, func(r *addressRow) agentx.OID { return r.index }, []column[addressRow]{
		{2, func(r *addressRow) agentx.Value { return addressType(r.prefix.Addr()) }},
		{3, func(r *addressRow) agentx.Value { return address(r.prefix.Addr()) }},
		{4, func(r *addressRow) agentx.Value {
			broadcast := r.options.BroadcastOf(r.prefix)
			if !broadcast.IsValid() && r.prefix.Addr().Is4() {
				broadcast = netip.IPv4Unspecified()
			}
			return address(broadcast)
		}},
		{5, func(r *addressRow) agentx.Value { return agentx.Gauge(uint64(r.prefix.Bits())) }},
		{6, func(r *addressRow) agentx.Value { return scope(r.options.Scope) }},
		{7, func(r *addressRow) agentx.Value { return s.link(r.device) }},
		{8, func(r *addressRow) agentx.Value { return text(r.device) }},
		{9, func(r *addressRow) agentx.Value { return text(r.options.Label) }},
		{10, func(r *addressRow) agentx.Value { return yes(r.set) }},
		{11, func(r *addressRow) agentx.Value { return yes(r.advertised) }},
		{12, func(r *addressRow) agentx.Value { return address(r.options.Peer.Addr()) }},
	})
}

// kernelItems are what the kernel is to hold, in the order of the configuration.
type kernelItems []control.KernelItem

// has says that the kernel holds an item. While a reload is under way, the state may
// have fewer items than the configuration.
func (l kernelItems) has(i int) bool { return i < len(l) && l[i].Installed }

// staticItems are those that are there as long as the daemon lives.
type staticItems struct{ addresses, routes, rules kernelItems }

func (s *state) static() staticItems {
	v, c := s.status.VRRP, s.config
	addresses, routes, rules := len(c.StaticAddresses), len(c.StaticRoutes), len(c.StaticRules)
	if v == nil || len(v.Static) < addresses+routes+rules {
		return staticItems{}
	}
	list := v.Static[len(v.Static)-addresses-routes-rules:] // in front are settings of interfaces
	return staticItems{list[:addresses], list[addresses : addresses+routes], list[addresses+routes:]}
}

// link is the number of an interface, none while the host has no such.
func (s *state) link(name string) agentx.Value {
	if l, has := s.links[name]; has {
		return agentx.Integer(l.index)
	}
	return none
}

// scope is an InetScopeType (RFC 4001) for those of the kernel's scopes that it knows.
func scope(s string) agentx.Value {
	n, ok := config.ScopeNumber(s)
	if s == "" {
		n, ok = 0, true
	}
	if !ok {
		return none
	}
	switch n {
	case 0:
		return agentx.Integer(14) // global
	case 200:
		return agentx.Integer(5) // siteLocal
	case 253:
		return agentx.Integer(2) // linkLocal
	case 254:
		return agentx.Integer(1) // interfaceLocal
	}
	return none
}
