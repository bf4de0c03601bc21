package vrrpd

import (
	"fmt"
	"net/netip"

	"director/vrrp"
	"director/vrrp/link"
)

// vip is a virtual address that is never the source of an advert. A link-local
// one may be virtual on one interface and a host's own on another.
type vip struct {
	addr   netip.Addr
	device string // of a link-local address
}

func vipOf(addr netip.Addr, device string) vip {
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		return vip{addr, device}
	}
	return vip{addr: addr}
}

// wantedSource returns the configured source address of adverts, invalid when
// there is none, and its key.
func (r *router) wantedSource() (netip.Addr, string) {
	ipv6 := r.key.family == vrrp.IPv6
	if r.cfg.Unicast() {
		return r.cfg.UnicastSource.Of(ipv6), "unicast_src_ip"
	}
	return r.cfg.Source.Of(ipv6), "mcast_src_ip"
}

// chooseSource picks the address that adverts come from: the configured one,
// else one of the interface that is nobody's virtual address (after a crash
// those may still be there).
func (e *engine) chooseSource(r *router, ifi link.Interface) (netip.Addr, string) {
	if want, key := r.wantedSource(); want.IsValid() {
		return e.wantedOn(want, key, ifi)
	}
	return e.sourceOn(ifi, r.key.family, r.sm.Settings().Peers)
}

// sourceOn picks an address of an interface for adverts to the multicast group, or
// to the given peers.
func (e *engine) sourceOn(ifi link.Interface, family vrrp.Family, peers []vrrp.Peer) (netip.Addr, string) {
	virtual := func(a netip.Addr) bool { return e.vips[vipOf(a, ifi.Name)] }
	if family == vrrp.IPv4 {
		if own := ifi.Primary(false, virtual); own.IsValid() {
			return own, ""
		}
		return netip.Addr{}, fmt.Sprintf("interface %s has no IPv4 address of its own", ifi.Name)
	}
	return source6(peers, ifi, virtual)
}

// wantedOn looks for the configured source: a link-local address on the
// interface of the router, any other on any.
func (e *engine) wantedOn(want netip.Addr, key string, ifi link.Interface) (netip.Addr, string) {
	if want.Is6() && want.IsLinkLocalUnicast() {
		for _, p := range ifi.Addrs {
			if p.Addr() == want {
				return want, ""
			}
		}
		return netip.Addr{}, fmt.Sprintf("%s %s is not on interface %s", key, want, ifi.Name)
	}
	for _, l := range e.links {
		for _, p := range l.Addrs {
			if p.Addr() == want {
				return want, ""
			}
		}
	}
	return netip.Addr{}, fmt.Sprintf("%s %s is on no interface", key, want)
}

// source6 picks the source of adverts over IPv6: a link-local address (RFC 9568
// section 5.1.2.1), to peers that are not all link-local a global one. The kernel
// lists addresses of IPv6 in an order that depends on when they came; so that a
// restart changes nothing, the lowest one is taken. Temporary and deprecated
// addresses are passed over.
func source6(peers []vrrp.Peer, ifi link.Interface, virtual func(netip.Addr) bool) (netip.Addr, string) {
	local := true
	for _, p := range peers {
		local = local && p.Addr.IsLinkLocalUnicast()
	}
	var best netip.Addr
	for _, p := range ifi.Addrs {
		a := p.Addr()
		if !a.Is6() || a.IsLinkLocalUnicast() != local || virtual(a) || ifi.Fleeting(a) {
			continue
		}
		if !best.IsValid() || a.Less(best) {
			best = a
		}
	}
	switch {
	case best.IsValid():
		return best, ""
	case local:
		return netip.Addr{}, fmt.Sprintf("interface %s has no IPv6 link-local address of its own that is ready for use", ifi.Name)
	}
	return netip.Addr{}, fmt.Sprintf("interface %s has no global IPv6 address of its own that is ready for use", ifi.Name)
}

// tooLong says that the adverts of a router over IPv6 do not fit into a packet of
// its interface, and how many addresses would. Over IPv4 they may be sent in
// fragments, as other implementations do.
func tooLong(r *router, set *vrrp.Settings, ifi link.Interface) string {
	header := r.key.family.HeaderLen()
	if r.auth.hmac != nil {
		header += vrrp.TrailerLen
	}
	if r.key.family != vrrp.IPv6 || ifi.MTU == 0 || header+set.AdvertLen() <= ifi.MTU {
		return ""
	}
	spare := ifi.MTU - header - (set.AdvertLen() - len(set.Addresses)*16)
	return fmt.Sprintf("%d IPv6 addresses make %d bytes, and %s takes %d, which is enough for %d addresses; others can be in virtual_ipaddress_excluded",
		len(set.Addresses), header+set.AdvertLen(), ifi.Name, ifi.MTU, max(spare/16, 0))
}
