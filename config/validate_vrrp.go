package config

import (
	"net/netip"
	"time"
)

// instances checks the VRRP instances, each alone and then among each other.
func (v *validator) instances() {
	type router struct {
		dev  string
		vrid uint8
		ipv6 bool
	}
	type ownership struct {
		dev  string
		addr netip.Addr
	}
	routers := make(map[router]place)
	owners := make(map[ownership]place)
	routes, rules := v.static(func(dev string, addr netip.Addr, at place) { owners[ownership{dev, addr}] = at })
	vmacs := make(map[string]place)
	known := v.trackers()

	v.multicastGroup(v.root.child("global").child("mcast_group"))
	tables := v.root.child("vrrp_instance")
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		at := tables.child(in.Name)
		v.protocol(at, in)
		v.timing(at, in)
		v.gates(at, in)
		v.unicast(at, in)
		v.families(at, in)
		v.presence(at, in, vmacs)

		idAt := at.child("virtual_router_id")
		for _, ipv6 := range []bool{false, true} {
			if !in.Family(ipv6) {
				continue
			}
			id := router{in.Interface, in.VRID, ipv6}
			if first, taken := routers[id]; taken {
				v.errorf(idAt, "%d is already used on %s by %s, allowed is one instance for each number, interface and address family, whatever its mcast_group",
					in.VRID, in.Interface, ref(first))
				break
			} else if v.ok(idAt) && v.ok(at.child("interface")) {
				routers[id] = at
			}
		}

		own := func(list place, addrs []VirtualAddress) {
			for j, e := range list.list() {
				e = e.asShort("address")
				if !v.ok(e) || !v.ok(e.child("address")) {
					continue
				}
				v.virtualAddress(e, in, &addrs[j])
				o := ownership{addrs[j].Device, addrs[j].Prefix.Addr()}
				if first, taken := owners[o]; taken {
					v.errorf(e.child("address"), "%s is already a virtual address on %s, in %s, allowed is each address once",
						o.addr, o.dev, ref(first))
				} else if o.dev != "" {
					owners[o] = e
				}
			}
		}
		own(at.child("virtual_ipaddress"), in.Addresses)
		own(at.child("virtual_ipaddress_excluded"), in.Excluded)
		v.routes(at.child("virtual_routes"), in.Routes, routes)
		v.rules(at.child("virtual_rules"), in.Rules, rules)
		if list := at.child("virtual_ipaddress"); list.exists() && v.ok(list) {
			if len(in.Addresses) == 0 {
				v.errorf(list, "an empty list is not allowed, allowed are 1 to 255 addresses: routers drop an advert without any (RFC 9568 section 5.2.5); for an instance that shall only elect, write one that nobody uses, such as { address = \"192.0.0.8\", device = \"lo\" }")
			}
		}

		v.tracking(at, &in.Tracking, known, in.Priority == 255)
		v.triggers(at, in)

		if in.Notify.User == "" {
			in.Notify.User = v.cfg.Global.ScriptUser
		}
		commands := in.Notify.Commands()
		v.users(at.child("notify"), commands[:]...)
	}

	v.heartbeats()
	v.groups(known)
	v.unused(known)
}

// protocol checks the keys of an instance that depend on each other.
func (v *validator) protocol(at place, in *Instance) {
	versionKnown := v.ok(at.child("version"))
	interval := in.AdvertInterval.D()
	if at := at.child("advert_interval"); at.exists() && v.ok(at) && versionKnown {
		switch {
		case in.Version == 2 && (interval < time.Second || interval%time.Second != 0):
			v.errorf(at, "%s is not a whole number of seconds, allowed with version = 2 are 1s to 255s", show(at.raw))
		case in.Version == 3 && interval > 40950*time.Millisecond:
			v.errorf(at, "%s is out of range, allowed with version = 3 are 10ms to 40.95s", show(at.raw))
		case in.Version == 3 && interval%(10*time.Millisecond) != 0:
			v.errorf(at, "%s is not a multiple of 10ms, allowed with version = 3 are 10ms to 40.95s in steps of 10ms", show(at.raw))
		}
	}

	v.authentication(at, in)

	if in.NoPreempt && v.ok(at.child("priority")) {
		at := at.child("nopreempt")
		switch {
		case in.Priority == 255:
			v.errorf(at, "contradicts priority = 255, allowed with nopreempt is a priority from 1 to 254: the address owner always takes over (RFC 9568 section 6.1)")
		case in.InitialState == "MASTER":
			v.warnf(at, "together with state = \"MASTER\" is unusual: the state is only a hint, and nopreempt works as if it were \"BACKUP\"")
		}
	}
}

// virtualAddress checks one address and fills in its device.
func (v *validator) virtualAddress(e place, in *Instance, a *VirtualAddress) {
	if a.Device == "" {
		a.Device = in.deviceOf(a.Prefix.Addr().Is6())
	}
	at := e.child("address")
	shown := a.Prefix.String()
	if s, ok := at.raw.(string); ok {
		shown = s
	}
	if what := hostAddressProblem(a.Prefix.Addr()); what != "" {
		v.errorf(at, "%q %s, allowed is the address of a host", shown, what)
	} else if what := networkProblem(a.Prefix); what != "" {
		v.errorf(at, "%q %s, allowed is the address of a host", shown, what)
	}
	v.addressOptions(e, a.Prefix, a.Device, &a.AddressOptions)
}

// hostAddressProblem says why an address cannot be a host's, "" when it can.
func hostAddressProblem(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "is a loopback address"
	case a.IsMulticast():
		return "is a multicast address"
	case a.IsUnspecified(), a.Is4() && a.As4()[0] == 0:
		return "is not the address of a host"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	}
	return ""
}

// networkProblem says that an address is the first of its network, or over IPv4
// the last. The masks /31 (RFC 3021) and /32, /127 (RFC 6164) and /128 have
// neither.
func networkProblem(p netip.Prefix) string {
	if p.Addr().Is6() {
		if p.Bits() < 127 && p.Masked().Addr() == p.Addr() {
			return "is the subnet-router anycast address of its network"
		}
		return ""
	}
	if p.Bits() >= 31 {
		return ""
	}
	switch p.Addr() {
	case p.Masked().Addr():
		return "is the address of the network itself"
	case lastOf(p):
		return "is the broadcast address of its network"
	}
	return ""
}

// unknownName reports a name for which there is no table [kind.NAME].
func (v *validator) unknownName(at place, kind, name string, names []string) {
	// A file whose every name is wrong is not worth the search for each.
	const mostCompared = 100_000
	near := ""
	if v.compared += len(names); v.compared <= mostCompared {
		near = nearest(name, names)
	}
	if near != "" {
		v.errorf(at, "there is no [%s.%s], did you mean %q?", kind, quoteKey(name), near)
		return
	}
	if len(names) == 0 {
		v.errorf(at, "there is no [%s.%s], and no other %s", kind, quoteKey(name), kind)
		return
	}
	const most = 10
	shown := names
	if len(shown) > most {
		shown = shown[:most]
	}
	more := ""
	if len(names) > most {
		more = ", ..."
	}
	v.errorf(at, "there is no [%s.%s], allowed are %s%s", kind, quoteKey(name), orList(shown), more)
}
