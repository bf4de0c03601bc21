package config

import (
	"net/netip"
)

// unicast checks the peers of an instance and what goes with them. There is no
// way from peers back to multicast but to take the key out of the file.
func (v *validator) unicast(at place, in *Instance) {
	list := at.child("unicast_peer")
	if !list.exists() {
		for _, key := range []string{"unicast_src_ip", "unicast_ttl"} {
			if at := at.child(key); at.exists() {
				v.errorf(at.atKey(), "has no meaning without unicast_peer, allowed is it together with a list of peers")
			}
		}
		return
	}
	if at := at.child("mcast_src_ip"); at.exists() {
		v.errorf(at.atKey(), "contradicts unicast_peer, allowed with peers is unicast_src_ip")
	}
	v.peers(list, in, in.Peers, in.UnicastSource, at.child("unicast_src_ip"))
}

// peers checks a list of peers of an instance, and the source address of the
// adverts that go to them.
func (v *validator) peers(list place, in *Instance, peers []UnicastPeer, source netip.Addr, sourceAt place) {
	if v.ok(list) && len(peers) == 0 {
		v.errorf(list, "an empty list is not allowed, allowed is at least one peer; without the key adverts go to the multicast group")
	}
	if sourceAt.exists() && v.ok(sourceAt) {
		if what := hostAddressProblem(source); what != "" {
			v.errorf(sourceAt, "%q %s, allowed is an IPv4 address of this host", source, what)
		}
	}
	virtual := make(map[netip.Addr]bool)
	for _, a := range in.Addresses {
		virtual[a.Prefix.Addr()] = true
	}
	for _, a := range in.Excluded {
		virtual[a.Prefix.Addr()] = true
	}
	seen := make(map[netip.Addr]bool)
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
		switch what := hostAddressProblem(peer.Address); {
		case peer.Address.Is6():
			v.errorf(addrAt, "%q is an IPv6 address, allowed are IPv4 addresses: this version runs VRRP over IPv4 only", peer.Address)
		case what != "":
			v.errorf(addrAt, "%q %s, allowed is the address of another router", peer.Address, what)
		case seen[peer.Address]:
			v.errorf(addrAt, "%q is already in the list, allowed is each once", peer.Address)
		case peer.Address == source:
			v.errorf(addrAt, "%q is this host's own address, the unicast_src_ip, allowed are the addresses of the other routers", peer.Address)
		case virtual[peer.Address]:
			v.errorf(addrAt, "%q is a virtual address of the instance, allowed are the routers' own addresses", peer.Address)
		}
		seen[peer.Address] = true
	}
}
