package ipvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
)

// Protocol is the transport of a service, numbered as in the IP header.
type Protocol uint8

// The transports that IPVS balances.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

// String returns tcp, udp, sctp, or proto-N.
func (p Protocol) String() string {
	switch p {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case SCTP:
		return "sctp"
	}
	return "proto-" + strconv.Itoa(int(p))
}

// Family is an address family.
type Family uint8

// The address families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// String returns ipv4, ipv6, or family-N.
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	}
	return "family-" + strconv.Itoa(int(f))
}

// FamilyOf returns the family under which IPVS files an address. An
// IPv4-mapped address (::ffff:10.0.0.7) is an IPv6 address here, as it is for
// the kernel.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// ServiceKey names a virtual service: either a transport, an address and a
// port, or a firewall mark and an address family. Canonical keys are equal
// exactly when the kernel takes them for the same service.
type ServiceKey struct {
	Protocol Protocol       // zero for a firewall mark
	Addr     netip.AddrPort // zero for a firewall mark; port 0 means every port
	FWMark   uint32         // 1..2^32-1; zero for an address
	Family   Family         // of a firewall mark only; zero for an address
}

// AddrService names the service at an address and port.
func AddrService(p Protocol, a netip.AddrPort) ServiceKey {
	return ServiceKey{Protocol: p, Addr: a}.Canonical()
}

// MarkService names the service of a firewall mark. The same mark in IPv4 and
// in IPv6 makes two services.
func MarkService(mark uint32, f Family) ServiceKey {
	return ServiceKey{FWMark: mark, Family: f}.Canonical()
}

// Canonical clears the fields that have no meaning for the kind of key, and
// an address's zone, which IPVS does not know.
func (k ServiceKey) Canonical() ServiceKey {
	if k.FWMark != 0 {
		if k.Family == 0 {
			k.Family = IPv4
		}
		return ServiceKey{FWMark: k.FWMark, Family: k.Family}
	}
	return ServiceKey{Protocol: k.Protocol, Addr: CanonicalDest(k.Addr)}
}

// IPFamily returns the service's address family.
func (k ServiceKey) IPFamily() Family {
	if k.FWMark != 0 {
		if k.Family == IPv6 {
			return IPv6
		}
		return IPv4
	}
	return FamilyOf(k.Addr.Addr())
}

// String returns 192.0.2.1:80/tcp, [2001:db8::1]:80/udp, fwmark 3 or
// fwmark 3 ipv6.
func (k ServiceKey) String() string {
	if k.FWMark != 0 {
		if k.IPFamily() == IPv6 {
			return fmt.Sprintf("fwmark %d ipv6", k.FWMark)
		}
		return fmt.Sprintf("fwmark %d", k.FWMark)
	}
	return k.Addr.String() + "/" + k.Protocol.String()
}

// Compare orders keys as ipvsadm lists them: addresses by family, transport,
// address and port, and after them the firewall marks by number and family.
func (k ServiceKey) Compare(o ServiceKey) int {
	if mark, other := k.FWMark != 0, o.FWMark != 0; mark != other {
		if mark {
			return 1
		}
		return -1
	}
	if k.FWMark != 0 {
		return cmp.Or(cmp.Compare(k.FWMark, o.FWMark), cmp.Compare(k.IPFamily(), o.IPFamily()))
	}
	return cmp.Or(
		cmp.Compare(k.IPFamily(), o.IPFamily()),
		cmp.Compare(k.Protocol, o.Protocol),
		k.Addr.Compare(o.Addr),
	)
}

// adm returns the service as ipvsadm's options name it.
func (k ServiceKey) adm() string {
	if k.FWMark != 0 {
		if k.IPFamily() == IPv6 {
			return fmt.Sprintf("-f %d -6", k.FWMark)
		}
		return fmt.Sprintf("-f %d", k.FWMark)
	}
	switch k.Protocol {
	case TCP:
		return "-t " + k.Addr.String()
	case UDP:
		return "-u " + k.Addr.String()
	case SCTP:
		return "--sctp-service " + k.Addr.String()
	}
	return "--" + k.Protocol.String() + "-service " + k.Addr.String()
}

// DestKey names a real server within a service by its address and port. A
// port of 0 is usual in services of a firewall mark: the packet keeps its own.
type DestKey = netip.AddrPort

// CanonicalDest removes an address's zone, which IPVS does not know.
func CanonicalDest(d DestKey) DestKey {
	if d.Addr().Zone() == "" {
		return d
	}
	return netip.AddrPortFrom(d.Addr().WithZone(""), d.Port())
}

// Set is a set of services; its Has method can be given to Diff.
type Set map[ServiceKey]struct{}

// Has reports whether the set holds the service.
func (s Set) Has(k ServiceKey) bool {
	_, ok := s[k.Canonical()]
	return ok
}

// Add puts services into the set.
func (s Set) Add(keys ...ServiceKey) {
	for _, k := range keys {
		s[k.Canonical()] = struct{}{}
	}
}

// Everything says that every service in the kernel is ours to delete. It is
// what Diff is given on a host where no other program uses IPVS.
func Everything(ServiceKey) bool { return true }
