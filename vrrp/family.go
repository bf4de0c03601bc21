package vrrp

import (
	"fmt"
	"net/netip"
)

// Family is the address family over which a virtual router speaks. Its adverts
// list addresses of that family only (RFC 9568 section 5.1).
type Family uint8

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6 // version 3 only
)

// String returns the family's stable name: ipv4 or ipv6.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	}
	return fmt.Sprintf("family %d", uint8(f))
}

// FamilyOf returns the family of an address.
func FamilyOf(a netip.Addr) Family {
	if a.Is6() {
		return IPv6
	}
	return IPv4
}

// Group returns the multicast group of VRRP, 224.0.0.18 or ff02::12 (RFC 9568
// sections 5.1.1.2 and 5.1.2.2).
func (f Family) Group() netip.Addr {
	if f == IPv6 {
		return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
	}
	return netip.AddrFrom4([4]byte{224, 0, 0, 18})
}

// Group4 is IPv4.Group.
func Group4() netip.Addr { return IPv4.Group() }

// HeaderLen is the length of the IP header in front of an advert, in bytes.
func (f Family) HeaderLen() int {
	if f == IPv6 {
		return 40
	}
	return 20
}

// addrLen is the length of an address in bytes.
func (f Family) addrLen() int {
	if f == IPv6 {
		return 16
	}
	return 4
}
