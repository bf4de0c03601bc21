package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// lockable are the metrics of a route that the kernel can be kept from changing.
var lockable = strings.Fields("mtu advmss window rtt rttvar rto_min ssthresh cwnd initcwnd initrwnd reordering hoplimit")

// static checks what is there as long as the daemon lives. Its routes and rules are
// returned, so that a virtual one cannot be the same.
func (v *validator) static(own func(dev string, addr netip.Addr, at place)) (routes, rules map[string]place) {
	type key struct {
		dev    string
		prefix netip.Prefix
	}
	seen := make(map[key]place)
	for i, e := range v.root.child("static_address").list() {
		a := &v.cfg.StaticAddresses[i]
		at := e.child("address")
		if !v.ok(e) || !v.ok(at) || !a.Prefix.IsValid() {
			continue
		}
		ip := a.Prefix.Addr()
		switch {
		case ip.IsMulticast() && a.AutoJoin:
		case ip.IsMulticast():
			v.errorf(at, "%q is a multicast address, allowed is it with autojoin = true", a.Prefix)
		case ip.IsUnspecified():
			v.errorf(at, "%q is not the address of a host", a.Prefix)
		}
		k := key{a.Device, a.Prefix}
		if first, taken := seen[k]; taken && a.Device != "" {
			v.errorf(at, "%s is already a static address of %s, in %s, allowed is each address once", a.Prefix, a.Device, ref(first))
		}
		seen[k] = e
		if a.Device != "" {
			own(a.Device, ip, e)
		}
		v.addressOptions(e, a.Prefix, a.Device, &a.AddressOptions)
	}
	routes, rules = make(map[string]place), make(map[string]place)
	v.routes(v.root.child("static_route"), v.cfg.StaticRoutes, routes)
	v.rules(v.root.child("static_rule"), v.cfg.StaticRules, rules)
	return routes, rules
}

// addressOptions checks what is said of an address beside its place.
func (v *validator) addressOptions(e place, p netip.Prefix, device string, o *AddressOptions) {
	if at := e.child("label"); at.exists() && v.ok(at) && device != "" &&
		o.Label != device && !strings.HasPrefix(o.Label, device+":") {
		v.errorf(at, "%q does not begin with the device, allowed is %q, or %q and more, at most %d characters",
			o.Label, device, device+":", maxInterfaceName)
	}
	if !p.IsValid() {
		return
	}
	only := func(family string, is bool, keys ...string) {
		for _, key := range keys {
			if at := e.child(key); !is && at.exists() && v.ok(at) && at.raw != false {
				v.errorf(at.atKey(), "has a meaning for an %s address only, here is %s", family, p.Addr())
			}
		}
	}
	only("IPv4", p.Addr().Is4(), "label", "broadcast")
	only("IPv6", p.Addr().Is6(), "home", "dad", "mngtmpaddr", "preferred_lft")
	if at := e.child("autojoin"); o.AutoJoin && v.ok(at) && !p.Addr().IsMulticast() {
		v.errorf(at.atKey(), "the kernel joins the group of a multicast address, %s is none", p.Addr())
	}
	if at := e.child("mngtmpaddr"); o.ManageTemp && v.ok(at) && p.Bits() != 64 {
		v.errorf(at.atKey(), "temporary addresses are made in a /64, allowed is it for an address with that mask (RFC 8981)")
	}
	if at := e.child("broadcast"); at.exists() && v.ok(at) && (o.Broadcast == "+" || o.Broadcast == "-") && p.Bits() > 30 {
		v.errorf(at, "%q needs a subnet, allowed with it is a mask of at most 30, here is /%d", o.Broadcast, p.Bits())
	}
	if at := e.child("peer"); at.exists() && v.ok(at) && o.Peer.Addr().Is4() != p.Addr().Is4() {
		v.errorf(at, "%q is of another family than %q, allowed is the same", o.Peer.Addr(), p.Addr())
	} else if at.exists() && v.ok(at) && !p.IsSingleIP() {
		v.errorf(at, "the mask is that of the peer, allowed with a peer is an address without one")
	}
}

// family finds out the family of a table from its key of that name and the
// addresses in it, all of which have to agree.
func (v *validator) family(e place, family string, values map[string]netip.Addr) (v6 bool) {
	v6 = family == "inet6"
	first := ""
	if family != "" {
		first = "family = " + fmt.Sprintf("%q", family)
	}
	for _, key := range []string{"to", "from", "src", "via"} {
		a := values[key]
		switch {
		case !a.IsValid():
		case first == "":
			first, v6 = fmt.Sprintf("%s = %q", key, e.child(key).raw), a.Is6()
		case a.Is6() != v6 && v.ok(e.child(key)):
			v.errorf(e.child(key), "%q is of another family than %s, allowed is one family", e.child(key).raw, first)
		}
	}
	return v6
}

// settle gives a destination its family.
func settle(p *netip.Prefix, given, v6 bool) {
	switch {
	case !given || *p != anywhere:
	case v6:
		*p = netip.MustParsePrefix("::/0")
	default:
		*p = netip.MustParsePrefix("0.0.0.0/0")
	}
}

// routes checks a list of routes, and that none of them was listed before.
func (v *validator) routes(list place, routes []Route, seen map[string]place) {
	for i, e := range list.list() {
		r := &routes[i]
		if !v.ok(e) || !v.ok(e.child("to")) || !e.child("to").exists() {
			continue
		}
		addrs := map[string]netip.Addr{"to": r.To.Addr(), "src": r.Src, "from": r.From.Addr()}
		if r.Via.Is4() || !r.To.IsValid() && r.Family == "" {
			addrs["via"] = r.Via // an IPv6 gateway may serve IPv4, not the other way round
		}
		v6 := v.family(e, r.Family, addrs)
		settle(&r.To, true, v6)
		settle(&r.From, e.has("from"), v6)
		if r.From.IsValid() && r.From.Bits() == 0 {
			r.From = netip.Prefix{}
		}
		if r.Table == "" {
			r.Table = "main"
			if r.Type == "local" {
				r.Table = "local"
			}
		}
		if r.Insert == "" {
			r.Insert = "prepend"
			if v6 {
				r.Insert = "add"
			}
		}
		v.hops(e, r, v6)
		if r.Scope == "" {
			r.Scope = "global"
			switch {
			case v6:
			case r.Type == "local":
				r.Scope = "host"
			case r.Type == "unicast" && !r.Via.IsValid() && len(r.Hops) == 0:
				r.Scope = "link"
			}
		}
		v.notIn(e, v6, "IPv6", "tos", "scope", "realm")
		v.notIn(e, !v6, "IPv4", "from", "hoplimit", "pref", "expires")
		if at := e.child("insert"); v6 && r.Insert == "prepend" && v.ok(at) {
			v.errorf(at, "\"prepend\" works in IPv4 only, allowed in IPv6 are \"add\" and \"append\"")
		}
		metric := r.Metric
		if v6 && metric == 0 {
			metric = 1024
		}
		id := fmt.Sprintf("%v %v %s %d %d %s", r.To, r.From, r.Table, metric, r.TOS, r.Type)
		if first, taken := seen[id]; taken {
			v.errorf(e.child("to"), "%q is already a route with the same table, metric and tos, in %s, allowed is each once; several ways are nexthop tables of one route", e.child("to").raw, ref(first))
		} else {
			seen[id] = e
		}
	}
}

// notIn reports keys that a family does not have.
func (v *validator) notIn(e place, wrong bool, family string, keys ...string) {
	for _, key := range keys {
		if at := e.child(key); wrong && at.exists() && v.ok(at) {
			v.errorf(at.atKey(), "has no meaning in %s, allowed is it in the other family", family)
		}
	}
}

// hops checks where a route leads to.
func (v *validator) hops(e place, r *Route, v6 bool) {
	leads := r.Type == "unicast" || r.Type == "local"
	for _, key := range []string{"via", "device", "onlink", "nexthop"} {
		if at := e.child(key); !leads && at.exists() && v.ok(at) && at.raw != false {
			v.errorf(at.atKey(), "has no meaning with type = %q, which leads nowhere", r.Type)
		}
		if at := e.child(key); key != "nexthop" && len(r.Hops) > 0 && at.exists() && v.ok(at) {
			v.errorf(at.atKey(), "contradicts nexthop, allowed is it in each nexthop")
		}
	}
	if leads && !r.Via.IsValid() && r.Device == "" && len(r.Hops) == 0 && v.ok(e.child("via")) && v.ok(e.child("device")) && v.ok(e.child("nexthop")) {
		v.errorf(e, "a %s route leads somewhere, required is via, device or nexthop", r.Type)
	}
	if r.OnLink && (!r.Via.IsValid() || r.Device == "") && v.ok(e.child("onlink")) {
		v.errorf(e.child("onlink").atKey(), "says that a gateway is on the link, required with it are via and device")
	}
	v.gateway(e.child("via"), r.Via, r.Device, v6)
	for i, at := range e.child("nexthop").list() {
		if h := r.Hops[i]; v.ok(at) {
			if !h.Via.IsValid() && h.Device == "" && v.ok(at.child("via")) && v.ok(at.child("device")) {
				v.errorf(at, "leads nowhere, required is via or device")
			}
			v.gateway(at.child("via"), h.Via, h.Device, v6)
		}
	}
}

func (v *validator) gateway(at place, via netip.Addr, device string, v6 bool) {
	switch {
	case !at.exists() || !v.ok(at):
	case via.IsUnspecified() || via.IsMulticast():
		v.errorf(at, "%q is not the address of a router", via)
	case via.IsLinkLocalUnicast() && via.Is6() && device == "":
		v.errorf(at, "%q is on every link, required with it is device", via)
	case via.Is4() && v6:
		v.errorf(at, "%q is an IPv4 address, allowed for an IPv6 route is an IPv6 gateway", via)
	}
}

// rules checks a list of rules, and that none of them was listed before.
func (v *validator) rules(list place, rules []Rule, seen map[string]place) {
	for i, e := range list.list() {
		r := &rules[i]
		if !v.ok(e) {
			continue
		}
		v6 := v.family(e, r.Family, map[string]netip.Addr{"from": r.From.Addr(), "to": r.To.Addr()})
		r.Family = "inet"
		if v6 {
			r.Family = "inet6"
		}
		for p, key := range map[*netip.Prefix]string{&r.From: "from", &r.To: "to"} {
			settle(p, e.has(key), v6)
			if p.IsValid() && p.Bits() == 0 {
				*p = netip.Prefix{} // everything, as the kernel writes it
			}
		}
		if at := e.child("table"); at.exists() && v.ok(at) && (r.Action != "table" || r.L3Mdev) {
			v.errorf(at.atKey(), "contradicts %s, allowed is one of them", map[bool]string{true: "l3mdev", false: fmt.Sprintf("action = %q", r.Action)}[r.L3Mdev])
		}
		if r.Table == "" && r.Action == "table" && !r.L3Mdev {
			r.Table = "main"
		}
		if at := e.child("goto"); r.Action == "goto" && v.ok(at) {
			switch {
			case !at.exists():
				v.errorf(e, "action = \"goto\" needs a rule to go to, required is goto with its priority")
			case r.Goto <= r.Priority && v.ok(e.child("priority")):
				v.errorf(at, "%d is not behind this rule, allowed is a priority above %d", r.Goto, r.Priority)
			}
		}
		if at := e.child("fwmask"); at.exists() && v.ok(at) && r.FWMark&^r.FWMask != 0 {
			v.errorf(at, "%#x leaves out bits of fwmark = %#x, so that no packet matches", r.FWMask, r.FWMark)
		}
		for _, key := range []string{"sport", "dport"} {
			if at := e.child(key); at.exists() && v.ok(at) && !slices.Contains([]uint8{6, 17, 33, 132}, r.ProtocolNumber()) {
				v.errorf(at.atKey(), "is a port, required with it is ipproto \"tcp\", \"udp\" or \"sctp\"")
			}
		}
		if at := e.child("suppress_prefixlength"); !v6 && r.SuppressPrefixLength > 32 && v.ok(at) {
			v.errorf(at, "%d is out of range, allowed in IPv4 are -1 to 32", r.SuppressPrefixLength)
		}
		same := *r
		same.Protocol, same.NoTrack = 0, false
		id := fmt.Sprintf("%+v", same)
		if first, taken := seen[id]; taken {
			v.errorf(e, "is already a rule, in %s, allowed is each once", ref(first))
		} else {
			seen[id] = e
		}
	}
}
