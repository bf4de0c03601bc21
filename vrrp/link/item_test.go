package link

import (
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netlinkAddr is an address that somebody else adds or removes.
func netlinkAddr(a Address, index int) *netlink.Addr {
	ip := a.Prefix.Addr()
	out := &netlink.Addr{
		IPNet:     &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), ip.BitLen())},
		LinkIndex: index,
		Broadcast: net.IPv4zero,
	}
	if ip.Is6() {
		out.Flags = unix.IFA_F_NODAD
	}
	return out
}

func labelled(i Item, label string) Item {
	a := i.(Address)
	a.Label = label
	return a
}

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }
