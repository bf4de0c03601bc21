package config

import "net/netip"

const (
	// maxHeartbeats is more than there are ways between two hosts.
	maxHeartbeats = 8
	// maxHeartbeatAddresses leaves room for the two addresses by which an advert on
	// a heartbeat path is known.
	maxHeartbeatAddresses = 253
)

// heartbeats checks the heartbeat paths of all instances. On the interface of a
// path the number of the instance is taken as on its own: routers of another
// instance would take its adverts for their master's.
func (v *validator) heartbeats() {
	type router struct {
		dev  string
		vrid uint8
	}
	owner := make(map[router]string)
	tables := v.root.child("vrrp_instance")
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		owner[router{in.Interface, in.VRID}] = in.Name
	}
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		list := tables.child(in.Name).child("heartbeat")
		if !list.exists() || !v.ok(list) {
			continue
		}
		switch n := len(in.Heartbeats); {
		case n > maxHeartbeats:
			v.errorf(list, "%d heartbeat paths are too many, allowed are up to %d", n, maxHeartbeats)
		case n > 0 && len(in.Addresses) > maxHeartbeatAddresses:
			v.errorf(list, "with a heartbeat path the %d addresses of virtual_ipaddress are too many, allowed are up to %d: an advert on such a path carries two more, which tell who sent it; put others into virtual_ipaddress_excluded",
				len(in.Addresses), maxHeartbeatAddresses)
		}
		multicast := make(map[string]bool)
		peers := make(map[netip.Addr]bool)
		if !in.Unicast() {
			multicast[in.Interface] = true
		}
		for _, p := range in.Peers {
			peers[p.Address] = true
		}
		for j, at := range list.list() {
			h := &in.Heartbeats[j]
			if !v.ok(at) || !v.ok(at.child("interface")) || !v.ok(at.child("unicast_peer")) {
				continue
			}
			if h.Interface == "" {
				h.Interface = in.Interface
			}
			v.heartbeat(at, in, h, multicast, peers)
			id := router{h.Interface, in.VRID}
			if other, taken := owner[id]; taken && other != in.Name {
				v.errorf(at, "a path over %s needs virtual_router_id %d there, which [vrrp_instance.%s] uses, allowed is a number that no other instance has on that interface",
					h.Interface, in.VRID, quoteKey(other))
				continue
			}
			owner[id] = in.Name
		}
	}
}

// heartbeat checks one path. What is a path already, and who is a peer already,
// is in the two sets.
func (v *validator) heartbeat(at place, in *Instance, h *Heartbeat, multicast map[string]bool, peers map[netip.Addr]bool) {
	if list := at.child("unicast_peer"); list.exists() {
		v.peers(list, in, h.Peers, at.child("unicast_src_ip"), h.Source)
		for j, e := range list.list() {
			addr := h.Peers[j].Address
			if e = e.asShort("address"); addr.IsValid() && peers[addr] {
				v.errorf(e.child("address"), "%q is a peer of this instance on another path, allowed is each peer on one path: two ways to one address are one way", addr)
			}
		}
		for _, p := range h.Peers {
			peers[p.Address] = true
		}
		return
	}
	v.needPeers(at)
	switch {
	case !at.has("interface"):
		v.errorf(at, "a heartbeat path without interface and without unicast_peer leads nowhere, allowed is another interface, a list of peers, or both")
	case multicast[h.Interface]:
		v.errorf(at.child("interface"), "the adverts of this instance go out by multicast on %s already, allowed is another interface, or this one with unicast_peer", h.Interface)
	}
	multicast[h.Interface] = true
}
