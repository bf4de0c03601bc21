package config

import (
	"net/netip"
)

// needPeers refuses the keys that have no meaning where there are no peers.
func (v *validator) needPeers(at place) {
	for _, key := range []string{"unicast_src_ip", "unicast_ttl"} {
		if at := at.child(key); at.exists() {
			v.errorf(at.atKey(), "has no meaning without unicast_peer, allowed is it together with a list of peers")
		}
	}
}

// unicast checks the peers of an instance and what goes with them. There is no
// way from peers back to multicast but to take the key out of the file.
func (v *validator) unicast(at place, in *Instance) {
	list := at.child("unicast_peer")
	if !list.exists() {
		v.needPeers(at)
		return
	}
	if at := at.child("mcast_src_ip"); at.exists() {
		v.errorf(at.atKey(), "contradicts unicast_peer, allowed with peers is unicast_src_ip")
	}
	families := v.peers(list, in, in.Peers, at.child("unicast_src_ip"), in.UnicastSource)
	for _, ipv6 := range []bool{false, true} {
		if v.ok(list) && len(families) > 0 && in.Family(ipv6) && !families[ipv6] {
			name := familyName(ipv6)
			v.errorf(list, "has no %s address, allowed are peers of each family that virtual_ipaddress has: adverts of %s go over %s", name, name, name)
		}
	}
}

// peers checks a list of peers of an instance and the source address of the
// adverts that go to them. It returns which families the peers have, by whether
// they are of IPv6.
func (v *validator) peers(list place, in *Instance, peers []UnicastPeer, sourceAt place, source PerFamily) map[bool]bool {
	if v.ok(list) && len(peers) == 0 {
		v.errorf(list, "an empty list is not allowed, allowed is at least one peer; without the key adverts go to the multicast group")
	}
	v.source(sourceAt, in, false)
	virtual := make(map[netip.Addr]bool)
	for _, a := range in.Addresses {
		virtual[a.Prefix.Addr()] = true
	}
	for _, a := range in.Excluded {
		virtual[a.Prefix.Addr()] = true
	}
	seen := make(map[netip.Addr]bool)
	families := make(map[bool]bool)
	for i, e := range list.list() {
		e = e.asShort("address")
		addrAt, peer := e.child("address"), peers[i]
		if e.exists() && v.ok(e.child("min_ttl")) && v.ok(e.child("max_ttl")) && peer.MinTTL > peer.MaxTTL {
			where := e.child("min_ttl")
			if !where.exists() {
				where = e.child("max_ttl")
			}
			v.errorf(where, "min_ttl = %d is more than max_ttl = %d, allowed is min_ttl up to max_ttl (each is 255 when it is absent)", peer.MinTTL, peer.MaxTTL)
		}
		if !v.ok(e) || !v.ok(addrAt) || !peer.Address.IsValid() {
			continue
		}
		families[peer.Address.Is6()] = true
		switch what := hostAddressProblem(peer.Address); {
		case what != "":
			v.errorf(addrAt, "%q %s, allowed is the address of another router", peer.Address, what)
		case seen[peer.Address]:
			v.errorf(addrAt, "%q is already in the list, allowed is each once", peer.Address)
		case peer.Address == source.Of(peer.Address.Is6()):
			v.errorf(addrAt, "%q is this host's own address, the unicast_src_ip, allowed are the addresses of the other routers", peer.Address)
		case virtual[peer.Address]:
			v.errorf(addrAt, "%q is a virtual address of the instance, allowed are the routers' own addresses", peer.Address)
		default:
			v.spoken(addrAt, in, peer.Address)
		}
		seen[peer.Address] = true
	}
	return families
}
