package vrrpd

import (
	"math"
	"net/netip"
	"time"

	"director/config"
	"director/vrrp"
	"director/vrrp/link"
)

// items lists what the router of a family holds as MASTER: what goes in front of the
// addresses, the addresses, then the routes, then the rules.
func items(c *config.Instance, family vrrp.Family) []*item {
	addresses := addressItems(c, family)
	all := append(presence(c, family, addresses), addresses...)
	mine := goesWith(c, family)
	for _, i := range routeItems(c.Routes) {
		if mine(i.Item.(*link.Route).To.Addr().Is6()) {
			all = append(all, i)
		}
	}
	for _, i := range ruleItems(c.Rules) {
		if mine(i.Item.(*link.Rule).IPv6) {
			all = append(all, i)
		}
	}
	return all
}

// addressItems lists the addresses that the router of a family holds as MASTER, those
// in adverts first.
func addressItems(c *config.Instance, family vrrp.Family) []*item {
	all := make([]*item, 0, len(c.Addresses)+len(c.Excluded))
	mine := goesWith(c, family)
	for _, list := range [][]config.VirtualAddress{c.Addresses, c.Excluded} {
		for n := range list {
			v := &list[n]
			device := v.Device
			if device == "" {
				device = c.Interface
			}
			if mine(v.Prefix.Addr().Is6()) {
				all = append(all, addressItem(v.Prefix, device, &v.AddressOptions))
			}
		}
	}
	return all
}

// goesWith says what goes with the router of a family, by whether it is of IPv6. What
// is of a family that has no router goes with the only one.
func goesWith(c *config.Instance, family vrrp.Family) func(v6 bool) bool {
	both := c.Family(false) && c.Family(true)
	return func(v6 bool) bool { return !both || v6 == (family == vrrp.IPv6) }
}

func staticAddresses(list []config.StaticAddress) (all []*item) {
	for n := range list {
		v := &list[n]
		all = append(all, addressItem(v.Prefix, v.Device, &v.AddressOptions))
	}
	return all
}

func addressItem(prefix netip.Prefix, device string, o *config.AddressOptions) *item {
	a := link.Address{
		Prefix: prefix, Device: device, Label: o.Label, Broadcast: o.BroadcastOf(prefix),
		NoPrefixRoute: o.NoPrefixRoute, AutoJoin: o.AutoJoin, Home: o.Home, ManageTemp: o.ManageTemp, DetectDuplicates: o.DAD,
	}
	a.Scope, _ = config.ScopeNumber(o.Scope) // empty in a test: global
	if o.Peer.IsValid() {
		a.Peer = o.Peer.Addr()
		a.Prefix = netip.PrefixFrom(prefix.Addr(), o.Peer.Bits())
	}
	if seconds, limited := o.Preferred(prefix); limited {
		a.Preferred, a.Deprecated = seconds, seconds == 0
	}
	return newItem(a, o.NoTrack)
}

func routeItems(list []config.Route) (all []*item) {
	for n := range list {
		all = append(all, newItem(route(&list[n]), list[n].NoTrack))
	}
	return all
}

func route(c *config.Route) *link.Route {
	r := &link.Route{
		To: c.To, From: c.From, Type: c.Type, Metric: c.Metric, TOS: c.TOS, Protocol: c.Protocol, Src: c.Src,
		Congestion: c.Congestion, Realm: c.Realm, Expires: uint32(c.Expires.D() / time.Second),
	}
	// What is not right here the validation has refused.
	r.Table, _ = config.TableNumber(c.Table)
	r.Scope, _ = config.ScopeNumber(c.Scope)
	if c.To.Addr().Is6() && c.Preference != "medium" {
		r.Preference = c.Preference
	}
	switch c.Insert {
	case "prepend":
		r.Insert = link.InsertPrepend
	case "append":
		r.Insert = link.InsertAppend
	}
	for _, h := range c.Hops {
		r.Hops = append(r.Hops, link.Hop{Via: h.Via, Device: h.Device, Weight: h.Weight, OnLink: h.OnLink})
	}
	if c.Via.IsValid() || c.Device != "" {
		r.Hops = []link.Hop{{Via: c.Via, Device: c.Device, OnLink: c.OnLink}}
	}
	r.Metrics = [link.NumMetrics]uint32{
		link.MetricMTU: c.MTU, link.MetricAdvMSS: c.AdvMSS, link.MetricWindow: c.Window,
		link.MetricRTT: milliseconds(c.RTT), link.MetricRTTVar: milliseconds(c.RTTVar), link.MetricRTOMin: milliseconds(c.RTOMin),
		link.MetricSSThresh: c.SSThresh, link.MetricCwnd: c.Cwnd, link.MetricInitCwnd: c.InitCwnd, link.MetricInitRwnd: c.InitRwnd,
		link.MetricReordering: c.Reordering, link.MetricHopLimit: c.HopLimit,
		link.MetricQuickAck: bit(c.QuickAck), link.MetricFastOpenNoCookie: bit(c.FastOpenNoCookie), link.MetricFeatures: bit(c.ECN),
	}
	numbers := map[string]int{
		"mtu": link.MetricMTU, "advmss": link.MetricAdvMSS, "window": link.MetricWindow, "rtt": link.MetricRTT,
		"rttvar": link.MetricRTTVar, "rto_min": link.MetricRTOMin, "ssthresh": link.MetricSSThresh, "cwnd": link.MetricCwnd,
		"initcwnd": link.MetricInitCwnd, "initrwnd": link.MetricInitRwnd, "reordering": link.MetricReordering, "hoplimit": link.MetricHopLimit,
	}
	for _, name := range c.Lock {
		r.Lock |= 1 << numbers[name]
	}
	return r
}

func milliseconds(d config.Duration) uint32 { return uint32(min(d.D().Milliseconds(), math.MaxUint32)) }

func bit(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

func ruleItems(list []config.Rule) (all []*item) {
	for n := range list {
		all = append(all, newItem(rule(&list[n]), list[n].NoTrack))
	}
	return all
}

func rule(c *config.Rule) *link.Rule {
	r := &link.Rule{
		IPv6: c.Family == "inet6", Priority: c.Priority, Invert: c.Not, From: c.From, To: c.To, TOS: c.TOS,
		Mark: c.FWMark, Mask: c.FWMask, IIf: c.IIf, OIf: c.OIf, IPProto: c.ProtocolNumber(), TunnelID: uint64(c.TunnelID),
		Action: c.Action, Goto: c.Goto, L3Mdev: c.L3Mdev, Protocol: c.Protocol,
		SuppressPrefix: c.SuppressPrefixLength, SuppressGroup: c.SuppressIfGroup,
	}
	if c.Table != "" {
		r.Table, _ = config.TableNumber(c.Table)
	}
	r.Sport.From, r.Sport.To = config.Ports(c.Sport)
	r.Dport.From, r.Dport.To = config.Ports(c.Dport)
	if from, to, ok := c.Users(); ok {
		r.UID = &link.Range32{From: from, To: to}
	}
	return r
}

// devices lists the interfaces without which an item cannot do its work.
func devices(i *item) (names []string) {
	switch v := i.Item.(type) {
	case link.Address:
		names = append(names, v.Device)
	case *link.Route:
		for _, h := range v.Hops {
			names = append(names, h.Device)
		}
	case *link.Rule:
		names = append(names, v.IIf, v.OIf)
	}
	n := 0
	for _, name := range names {
		if name != "" {
			names[n] = name
			n++
		}
	}
	return names[:n]
}
