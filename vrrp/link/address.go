package link

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Address is an address on an interface. It carries Protocol, where the kernel
// keeps that of addresses (5.18 and later).
type Address struct {
	// Prefix is the address with its mask, or with that of its peer.
	Prefix netip.Prefix
	Device string
	// Label is the label of an IPv4 address, such as eth0:1; at most 15 bytes.
	// Empty: the name of the device.
	Label string
	// Scope is 0 for global, 200 site, 253 link, 254 host, 255 nowhere. Of an IPv6
	// address the kernel finds it out by itself.
	Scope uint8
	// Broadcast is the broadcast address of an IPv4 address, invalid: none.
	Broadcast netip.Addr
	// Peer is the other end of a point-to-point link, invalid: none.
	Peer netip.Addr
	// Flags that are set beside the address, of which DetectDuplicates takes one away.
	NoPrefixRoute bool // no route to the address's subnet
	AutoJoin      bool // the kernel joins the multicast group that the address is
	Home          bool // IPv6: the home address of mobile IP (RFC 6275)
	ManageTemp    bool // IPv6: temporary addresses are made from it (RFC 8981)
	// DetectDuplicates has the kernel look for the IPv6 address on the link before
	// it uses it. The router that was MASTER a moment ago would fail it.
	DetectDuplicates bool
	// Deprecated makes an IPv6 address one that no connection begins from, and
	// Preferred does so after that many seconds; 0 is never.
	Deprecated bool
	Preferred  uint32
	// OnlyMarked makes a Remove leave the address alone that does not carry Protocol:
	// somebody else put it there.
	OnlyMarked bool
}

// Key returns the address's identity: the kernel allows one local address and mask
// once per interface.
func (a Address) Key() Key { return Key{Kind: KindAddress, Prefix: a.Prefix, Device: a.Device} }

// On returns the interface.
func (a Address) On() string { return a.Device }

func (a Address) String() string { return a.Prefix.String() + " on " + a.Device }

// Variant returns the options in the words of ip(8).
func (a Address) Variant() string {
	plain := Address{Prefix: a.Prefix, Device: a.Device, Label: a.Label, OnlyMarked: a.OnlyMarked}
	if a == plain { // by far the most
		return a.Label
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s scope %d brd %v peer %v", a.Label, a.Scope, a.Broadcast, a.Peer)
	fmt.Fprintf(&b, " %v preferred %v %d", a.flags(), a.Deprecated, a.Preferred)
	return b.String()
}

// flags are the kernel's (linux/if_addr.h).
func (a Address) flags() uint32 {
	var flags uint32
	if a.Prefix.Addr().Is6() && !a.DetectDuplicates {
		flags |= unix.IFA_F_NODAD
	}
	for flag, set := range map[uint32]bool{
		unix.IFA_F_NOPREFIXROUTE: a.NoPrefixRoute, unix.IFA_F_MCAUTOJOIN: a.AutoJoin,
		unix.IFA_F_HOMEADDRESS: a.Home, unix.IFA_F_MANAGETEMPADDR: a.ManageTemp,
	} {
		if set {
			flags |= flag
		}
	}
	return flags
}

func (a Address) add(k *kernel) (already bool, err error) {
	err = k.on(a.Device, func(d *device) error {
		_, err := k.request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a.message(d.Index)...)
		return err
	})
	if errors.Is(err, unix.EEXIST) {
		return true, nil
	}
	return false, err
}

func (a Address) remove(k *kernel) (already bool, err error) {
	// What more is said of the address the kernel would look for.
	bare := Address{Prefix: a.Prefix, Device: a.Device, Peer: a.Peer}
	err = k.on(a.Device, func(d *device) error {
		if a.OnlyMarked {
			marked, err := k.marked(d.Index, a.Prefix)
			if err != nil || !marked {
				already = true
				return err
			}
		}
		_, err := k.request(unix.RTM_DELADDR, 0, bare.identity(d.Index)...)
		return err
	})
	if absent(err) {
		return true, nil
	}
	return already, err
}

// identity is the part of the message that tells which address is meant.
func (a Address) identity(index int) []nl.NetlinkRequestData {
	ip, family := a.Prefix.Addr(), unix.AF_INET6
	if ip.Is4() {
		family = unix.AF_INET
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Prefixlen = uint8(a.Prefix.Bits())
	msg.Scope = a.Scope
	msg.Index = uint32(index)
	other := ip
	if a.Peer.IsValid() {
		other = a.Peer
	}
	return []nl.NetlinkRequestData{msg, nl.NewRtAttr(unix.IFA_LOCAL, ip.AsSlice()), nl.NewRtAttr(unix.IFA_ADDRESS, other.AsSlice())}
}

// ifaProto is IFA_PROTO (linux/if_addr.h); older kernels ignore it.
const ifaProto = 11

func (a Address) message(index int) []nl.NetlinkRequestData {
	parts := append(a.identity(index), nl.NewRtAttr(ifaProto, []byte{Protocol}))
	if a.Label != "" {
		parts = append(parts, nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
	}
	if a.Broadcast.IsValid() {
		parts = append(parts, nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
	}
	if flags := a.flags(); flags != 0 {
		parts = append(parts, nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(flags)))
	}
	if a.Deprecated || a.Preferred > 0 {
		parts = append(parts, nl.NewRtAttr(unix.IFA_CACHEINFO, (&nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{
			Prefered: a.Preferred, Valid: math.MaxUint32,
		}}).Serialize()))
	}
	return parts
}

// announce sends one gratuitous ARP packet for an IPv4 address to everybody on
// the link, or one unsolicited neighbour advertisement for an IPv6 address. On
// interfaces without neighbour resolution there is nobody to tell.
func (k *kernel) announce(a Address) error {
	err := k.on(a.Device, func(d *device) error {
		if d.NoARP || len(d.HardwareAddr) != 6 {
			return nil
		}
		frame, protocol, err := k.announcement(d, a.Prefix.Addr())
		if err != nil {
			return err
		}
		to := &unix.SockaddrLinklayer{Ifindex: d.Index, Protocol: hton16(protocol), Halen: 6}
		copy(to.Addr[:], frame[:6])
		for range 50 {
			err := unix.Sendto(k.packet, frame, 0, to)
			// The device's queue is full: let it send for a moment.
			if err != unix.ENOBUFS && err != unix.EAGAIN {
				return os.NewSyscallError("sendto", err)
			}
			time.Sleep(200 * time.Microsecond)
		}
		return os.NewSyscallError("sendto", unix.ENOBUFS)
	})
	if err != nil {
		return fmt.Errorf("link: announce %s on %s: %w", a.Prefix.Addr(), a.Device, err)
	}
	return nil
}

// announcement builds the frame that tells a link who has an address.
func (k *kernel) announcement(d *device, ip netip.Addr) (frame []byte, protocol uint16, err error) {
	if ip.Is4() {
		f := garp(d.HardwareAddr, ip)
		return f[:], unix.ETH_P_ARP, nil
	}
	if !d.asked6 {
		if d.forwards6, err = k.forwards6(d.Index); err != nil {
			return nil, 0, err
		}
		d.asked6 = true
	}
	f := advertisement(d.HardwareAddr, ip, d.forwards6)
	return f[:], unix.ETH_P_IPV6, nil
}

// InstalledAddrs returns the addresses of both families that an interface has
// now, in the kernel's order. A missing interface is an error that wraps
// ENODEV.
func InstalledAddrs(device string) ([]netip.Prefix, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("link: open netlink: %w", err)
	}
	defer handle.Close()
	l, err := linkNamed(handle, device)
	if err != nil {
		return nil, fmt.Errorf("link: addresses of %s: %w", device, err)
	}
	var list []netlink.Addr
	for {
		list, err = handle.AddrList(l, netlink.FAMILY_ALL)
		if err == nil {
			break
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("link: addresses of %s: %w", device, err)
		}
	}
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, a := range list {
		if entry, ok := addressOf(a); ok {
			prefixes = append(prefixes, entry.prefix)
		}
	}
	return prefixes, nil
}
