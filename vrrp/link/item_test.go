package link

import (
	"net"

	"github.com/vishvananda/netlink"
)

// netlinkAddr is an address that somebody else adds or removes.
func netlinkAddr(a Address, index int) *netlink.Addr {
	ip := a.Prefix.Addr()
	return &netlink.Addr{
		IPNet:     &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), ip.BitLen())},
		LinkIndex: index,
		Broadcast: net.IPv4zero,
	}
}

func labelled(i Item, label string) Item {
	a := i.(Address)
	a.Label = label
	return a
}
