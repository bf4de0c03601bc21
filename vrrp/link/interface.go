package link

import (
	"net"
	"net/netip"
	"slices"
)

// Interface is a network interface as it was at one instant.
type Interface struct {
	Index int
	Name  string
	// Up says that the interface is switched on and can carry packets
	// (IFF_UP and IFF_RUNNING).
	Up           bool
	AdminUp      bool // it is switched on (IFF_UP), as when the interface was looked at
	Master       int  // index of the VRF, bridge or bond that it belongs to, likewise; 0: none
	NoARP        bool // resolves no neighbours (IFF_NOARP): loopback, tunnels, point-to-point
	MTU          int
	HardwareAddr net.HardwareAddr // not to be changed
	// Addrs are the addresses of both families in the kernel's order: primary
	// addresses first, so that the first of a family is the interface's own unless
	// it was set after a virtual one; of IPv6 the order says nothing. Addresses that
	// the kernel has not found to be unique yet (tentative), or found not to be, are
	// left out: nothing can be sent from them. Not to be changed.
	Addrs []netip.Prefix
	// Passing are those of them from which no new conversation should be begun:
	// deprecated and temporary ones. Not to be changed.
	Passing []netip.Addr
}

// Fleeting says that an address is deprecated or temporary.
func (i Interface) Fleeting(a netip.Addr) bool { return slices.Contains(i.Passing, a) }

// Primary returns the first address of a family for which skip does not return
// true, or the zero Addr. A nil skip skips none. It is how an instance finds the
// source of its adverts among addresses that may be virtual ones.
func (i Interface) Primary(ipv6 bool, skip func(netip.Addr) bool) netip.Addr {
	for _, p := range i.Addrs {
		if a := p.Addr(); a.Is6() == ipv6 && (skip == nil || !skip(a)) {
			return a
		}
	}
	return netip.Addr{}
}
