package config

import (
	"net/netip"
	"slices"
)

// addressesAt calls check for each address at a key that takes one of each
// family.
func (v *validator) addressesAt(at place, check func(e place, a netip.Addr)) {
	for _, e := range at.list() {
		if s, ok := e.raw.(string); ok && v.ok(e) {
			if a, err := parseAddr(s); err == nil {
				check(e, a)
			}
		}
	}
}

// families checks what an instance says about its address families, and fills in
// what goes for the families that it does not speak of.
func (v *validator) families(at place, in *Instance) {
	v.source(at.child("mcast_src_ip"), in, true)
	groupAt := at.child("mcast_group")
	v.multicastGroup(groupAt)
	v.addressesAt(groupAt, func(e place, a netip.Addr) { v.spoken(e, in, a) })
	if groupAt.exists() && at.child("unicast_peer").exists() {
		v.errorf(groupAt.atKey(), "contradicts unicast_peer, allowed is it without peers: adverts go to the group or to peers")
	}
	in.Group = in.Group.or(v.cfg.Global.Group).or(vrrpGroups())

	if at := at.child("checksum"); at.exists() && v.ok(at) {
		switch {
		case in.Version == 2:
			v.errorf(at.atKey(), "has no meaning with version = 2, allowed is it with version = 3: the checksum of version 2 never covers the pseudo-header")
		case in.Family(true) && !in.Family(false):
			v.errorf(at.atKey(), "has no meaning over IPv6, allowed is it with virtual addresses of IPv4: over IPv6 the checksum always covers the pseudo-header")
		}
	}

	list := at.child("virtual_ipaddress")
	if !list.exists() || !v.ok(list) {
		return
	}
	count := make(map[bool]int)
	for i, e := range list.list() {
		p := in.Addresses[i].Prefix
		if !p.IsValid() {
			continue
		}
		count[p.Addr().Is6()]++
		if p.Addr().Is6() && in.Version == 2 && v.ok(at.child("version")) {
			v.errorf(e.asShort("address").child("address"), "%q is an IPv6 address, allowed with version = 2 are IPv4 addresses: VRRP version 2 is for IPv4 alone (RFC 3768)", p)
		}
	}
	for _, ipv6 := range []bool{false, true} {
		if n := count[ipv6]; n > 255 {
			v.errorf(list, "%d %s addresses are too many, allowed are 1 to 255: an advert holds no more; put the others into virtual_ipaddress_excluded", n, familyName(ipv6))
		}
	}
	// 1500 bytes, less the headers of IPv6 and VRRP, hold 90 addresses.
	if n := count[true]; n > 90 && n <= 255 {
		v.warnf(list, "an advert with %d IPv6 addresses needs an interface with an MTU of %d, and the instance is in FAULT on one with less; virtual_ipaddress_excluded takes addresses that no advert has to name", n, 40+8+16*n)
	}
}

// multicastGroup checks an mcast_group.
func (v *validator) multicastGroup(at place) {
	v.addressesAt(at, func(e place, a netip.Addr) {
		if !a.IsMulticast() {
			v.errorf(e, "%q is not a multicast address, allowed are addresses of 224.0.0.0/4 and ff00::/8", a)
		}
	})
}

// source checks the source address of adverts. By multicast over IPv6 it is a
// link-local one (RFC 9568 section 5.1.2.1).
func (v *validator) source(at place, in *Instance, multicast bool) {
	v.addressesAt(at, func(e place, a netip.Addr) {
		virtual := func(list []VirtualAddress) bool {
			return slices.ContainsFunc(list, func(va VirtualAddress) bool { return va.Prefix.Addr() == a })
		}
		switch what := hostAddressProblem(a); {
		case what != "":
			v.errorf(e, "%q %s, allowed is an address of this host", a, what)
		case !v.spoken(e, in, a):
		case multicast && a.Is6() && !a.IsLinkLocalUnicast():
			v.errorf(e, "%q is not a link-local address, allowed is an address of fe80::/10: adverts over IPv6 come from one (RFC 9568 section 5.1.2.1)", a)
		case in.Priority != 255 && (virtual(in.Addresses) || virtual(in.Excluded)):
			v.errorf(e, "%q is a virtual address of the instance, allowed is an address that this host has as its own", a)
		}
	})
}

// spoken reports an address of a family over which the instance does not run.
func (v *validator) spoken(e place, in *Instance, a netip.Addr) bool {
	if in.Family(a.Is6()) || !in.Family(!a.Is6()) {
		return true
	}
	v.errorf(e, "%q is an %s address, allowed are addresses of a family that virtual_ipaddress has", a, familyName(a.Is6()))
	return false
}
