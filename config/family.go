package config

import "net/netip"

// PerFamily is an address of IPv4 and one of IPv6, either of which may be
// missing (invalid). In a file it is one address or a list of two.
type PerFamily struct{ IPv4, IPv6 netip.Addr }

// Of returns the address of one family.
func (p PerFamily) Of(ipv6 bool) netip.Addr {
	if ipv6 {
		return p.IPv6
	}
	return p.IPv4
}

// set puts an address into its place and says false when that is taken.
func (p *PerFamily) set(a netip.Addr) bool {
	at := &p.IPv4
	if a.Is6() {
		at = &p.IPv6
	}
	if at.IsValid() {
		return false
	}
	*at = a
	return true
}

// or fills what is missing.
func (p PerFamily) or(other PerFamily) PerFamily {
	if !p.IPv4.IsValid() {
		p.IPv4 = other.IPv4
	}
	if !p.IPv6.IsValid() {
		p.IPv6 = other.IPv6
	}
	return p
}

// vrrpGroups are the multicast groups of VRRP (RFC 9568 sections 5.1.1.2 and
// 5.1.2.2).
func vrrpGroups() PerFamily {
	return PerFamily{netip.AddrFrom4([4]byte{224, 0, 0, 18}), netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})}
}

// familyName names a family for a person.
func familyName(ipv6 bool) string {
	if ipv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Family says whether the instance lists addresses of a family in its adverts,
// and so runs VRRP over it.
func (i *Instance) Family(ipv6 bool) bool {
	for _, a := range i.Addresses {
		if a.Prefix.IsValid() && a.Prefix.Addr().Is6() == ipv6 {
			return true
		}
	}
	return false
}
