package config

import (
	"net/netip"
	"slices"
)

// bfd checks the BFD sessions, each alone and then among each other.
func (v *validator) bfd() {
	tables := v.root.child("bfd")
	seen := make(sessions)
	for i := range v.cfg.BFD {
		s := &v.cfg.BFD[i]
		at := tables.child(s.Name)
		neighbor, source := at.child("neighbor_ip"), at.child("source_ip")
		if neighbor.exists() && v.ok(neighbor) {
			switch what := endpointProblem(s.Neighbor); {
			case what != "":
				v.errorf(neighbor, "%q %s, allowed is the address of another host", s.Neighbor, what)
			case s.Neighbor.IsLinkLocalUnicast() && s.Neighbor.Is6() && s.Interface == "" && v.ok(at.child("interface")):
				v.errorf(neighbor, "%q is a link-local address, allowed is one together with interface: every link has them", s.Neighbor)
			case s.Neighbor.IsLinkLocalUnicast() && s.Multihop:
				v.errorf(neighbor, "%q is a link-local address, allowed with multihop = true is one that routers forward", s.Neighbor)
			}
		}
		if source.exists() && v.ok(source) && v.ok(neighbor) {
			switch what := endpointProblem(s.Source); {
			case what != "":
				v.errorf(source, "%q %s, allowed is an address of this host", s.Source, what)
			case s.Source.Is4() != s.Neighbor.Is4():
				v.errorf(source, "%q is of another family than neighbor_ip = %q, allowed are two IPv4 or two IPv6 addresses: each family has a session of its own (RFC 5881 section 2)", s.Source, s.Neighbor)
			case s.Source == s.Neighbor:
				v.errorf(source, "%q is neighbor_ip as well, allowed are two addresses", s.Source)
			}
		}
		hops, ttl := at.child("max_hops"), at.child("ttl")
		if v.ok(hops) && v.ok(at.child("multihop")) {
			switch {
			case s.Multihop && !hops.exists():
				v.errorf(at.child("multihop"), "multihop = true needs max_hops, the number of routers on the way: packets from further away can be forged by anybody and are dropped (255 admits all)")
			case !s.Multihop && s.MaxHops > 0:
				v.errorf(hops, "%d has no meaning without multihop = true: a packet for a single hop must arrive with the time to live 255 (RFC 5881 section 5)", s.MaxHops)
			}
		}
		if !s.Multihop && s.TTL != 255 && v.ok(ttl) {
			v.warnf(ttl, "%d instead of 255: a neighbour that follows RFC 5881 drops such packets", s.TTL)
		}
		if first := seen.add(s); first != "" {
			v.errorf(neighbor, "%q has a session already, in %s, allowed is another session with it only from another source_ip or on another interface, which both then name",
				s.Neighbor, ref(tables.child(first)))
		}
	}
}

// sessions are names of BFD sessions that were looked at, by what tells one from
// another.
type sessions map[sessionID]string

type sessionID struct {
	neighbor    netip.Addr
	multihop    bool
	dev, source string // empty: the session names none; everywhere: whatever they name
}

const everywhere = "/" // no name of an interface and no address

// add adds a session and returns the name of one that it cannot be told from, "" when
// there is none: a session that names no interface or source is on any.
func (list sessions) add(s *BFD) (twin string) {
	if !s.Neighbor.IsValid() {
		return ""
	}
	source := ""
	if s.Source.IsValid() {
		source = s.Source.String()
	}
	meets := func(own string) []string {
		if own == "" {
			return []string{everywhere}
		}
		return []string{own, ""}
	}
	for _, dev := range meets(s.Interface) {
		for _, source := range meets(source) {
			if twin == "" {
				twin = list[sessionID{s.Neighbor, s.Multihop, dev, source}]
			}
		}
	}
	for _, dev := range []string{s.Interface, everywhere} {
		for _, source := range []string{source, everywhere} {
			if id := (sessionID{s.Neighbor, s.Multihop, dev, source}); list[id] == "" {
				list[id] = s.Name
			}
		}
	}
	return twin
}

// endpointProblem says what an address is that no session can have, empty for
// one that it can.
func endpointProblem(a netip.Addr) string {
	switch {
	case a.Is4():
		return hostAddressProblem(a)
	case a.IsLoopback():
		return "is a loopback address"
	case a.IsMulticast():
		return "is a multicast address"
	case a.IsUnspecified():
		return "is not the address of a host"
	}
	return ""
}

// triggers checks the sessions that make an instance take over.
func (v *validator) triggers(at place, in *Instance) {
	list := at.child("bfd_trigger").list()
	if len(list) == 0 {
		return
	}
	v4, v6 := in.Family(false), in.Family(true)
	seen := make(map[BFDTrigger]bool)
	for j, e := range list {
		e = e.asShort("name")
		t := &in.BFDTriggers[j]
		name, addr := e.child("name"), e.child("address")
		if !v.ok(e) || !v.ok(name) || !v.ok(addr) || t.Name == "" {
			continue
		}
		i, known := v.names.sessions.index[t.Name]
		if !known {
			v.unknownName(name, "bfd", t.Name, v.names.sessions.list)
			continue
		}
		where := addr
		if !t.Address.IsValid() {
			t.Address, where = v.cfg.BFD[i].Neighbor, name
		}
		peer := func(p UnicastPeer) bool { return p.Address == t.Address }
		switch {
		case !t.Address.IsValid():
		case seen[*t]:
			v.errorf(e, "%q is already in the list with this address, allowed is each once", t.Name)
		case t.Address.Is4() && !v4 || t.Address.Is6() && !v6:
			if v4 || v6 {
				v.errorf(where, "%s never sends adverts of this instance, which has no virtual address of that family, allowed is the source address of another router's adverts, as address = \"...\" beside the name", t.Address)
			}
		case t.Address.Is6() && !t.Address.IsLinkLocalUnicast() && !in.Unicast():
			v.errorf(where, "%s never sends adverts: those of IPv6 come from link-local addresses (RFC 9568 section 5.1.2.2), allowed is the other router's as address = \"fe80::...\" beside the name", t.Address)
		case in.Unicast() && !slices.ContainsFunc(in.Peers, peer):
			v.errorf(where, "%s is no unicast_peer, so its adverts are never heard, allowed is the address of one, as address = \"...\" beside the name", t.Address)
		}
		seen[*t] = true
	}
}
