package link

import (
	"bytes"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// vmacAlias marks the interfaces that director made (`ip link` shows it): only
// these does it replace or remove.
const vmacAlias = "director VMAC"

// MAC is an Ethernet address.
type MAC [6]byte

func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// VMAC is an interface with the virtual MAC address of a router (RFC 9568 section
// 7.3), for its virtual addresses: a macvlan on the interface that the router is
// on. It is there as long as the router is configured, but down: who puts it up is
// Up, when the router is MASTER. So a backup neither takes frames to the virtual
// MAC address nor says anything under it (sections 6.4.2 and 7.3).
//
// The macvlan is of mode bridge. In the others the interface below does not get what
// routers with the same virtual MAC address send, and so no adverts.
type VMAC struct {
	Device string
	Parent string // the interface below
	MAC    MAC
}

// Key returns the name.
func (v VMAC) Key() Key { return Key{Kind: KindVMAC, Device: v.Device} }

// Variant tells what it is made of.
func (v VMAC) Variant() string { return v.MAC.String() + " on " + v.Parent }

// On returns the interface below.
func (v VMAC) On() string { return v.Parent }

func (v VMAC) String() string { return fmt.Sprintf("%s, %s on %s", v.Device, v.MAC, v.Parent) }

// The IPv4 settings of a VMAC (Documentation/networking/ip-sysctl.rst). The numbers
// are the kernel's (linux/ip.h).
var vmacSettings = []struct {
	number int
	value  uint32
}{
	// Whoever sends to a virtual address may be reached through any interface, most
	// of all the one below. The kernel takes the greater of this and the value for all
	// interfaces, so 0 would change nothing where that is 1.
	{8, 2}, // rp_filter
	// It answers for its own addresses, not for those of the interface below.
	{19, 1}, // arp_ignore
	{20, 1}, // promote_secondaries
}

const (
	iflaInet6AddrGenMode = 8 // IFLA_INET6_ADDR_GEN_MODE
	addrGenModeNone      = 1 // IN6_ADDR_GEN_MODE_NONE
)

func (v VMAC) add(k *kernel) (already bool, err error) {
	link, err := v.find(k)
	switch {
	case err == nil:
		fits, err := v.fits(k, link)
		if err != nil {
			return false, err
		}
		if fits {
			return true, v.set(k, link.Attrs().Index)
		}
		if link.Attrs().Alias != vmacAlias {
			return false, fmt.Errorf("there is a macvlan %s of another make: remove it, or choose another name for the VMAC", v.Device)
		}
		// One of a former configuration, elsewhere or with another address.
		if err := k.handle.LinkDel(link); err != nil && !absent(err) {
			return false, fmt.Errorf("replace it: %w", err)
		}
	case !errors.Is(err, unix.ENODEV):
		return false, err
	}
	err = k.on(v.Parent, func(d *device) error {
		link := netlink.NewLinkAttrs()
		link.Name, link.ParentIndex, link.HardwareAddr = v.Device, d.Index, net.HardwareAddr(v.MAC[:])
		if master := d.Master; master != 0 {
			link.MasterIndex = master // a VRF (a bridge port cannot have a VMAC)
		}
		return k.handle.LinkAdd(&netlink.Macvlan{LinkAttrs: link, Mode: netlink.MACVLAN_MODE_BRIDGE})
	})
	if err != nil {
		return false, err
	}
	if link, err = v.find(k); err != nil {
		return false, err
	}
	if err := k.handle.LinkSetAlias(link, vmacAlias); err != nil {
		return false, fmt.Errorf("mark it: %w", err)
	}
	return false, v.set(k, link.Attrs().Index)
}

// set gives the interface the settings of a VMAC, and reads them back.
func (v VMAC) set(k *kernel, index int) error {
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(index)
	write := func(fill func(spec *nl.RtAttr)) error {
		spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
		fill(spec)
		_, err := k.request(unix.RTM_SETLINK, 0, info, spec)
		return err
	}
	err := write(func(spec *nl.RtAttr) {
		conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil)
		for _, s := range vmacSettings {
			conf.AddRtAttr(s.number, nl.Uint32Attr(s.value))
		}
	})
	if err != nil {
		return fmt.Errorf("settings of %s: %w", v.Device, err)
	}
	// No address of its own, and so no neighbour discovery, no router solicitation
	// and no report of groups (RFC 9568 section 7.4).
	err = write(func(spec *nl.RtAttr) {
		spec.AddRtAttr(unix.AF_INET6, nil).AddRtAttr(iflaInet6AddrGenMode, nl.Uint8Attr(addrGenModeNone))
	})
	if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) { // a host without IPv6
		return fmt.Errorf("keep %s from making an IPv6 address: %w", v.Device, err)
	}
	reply, err := k.request(unix.RTM_GETLINK, 0, info)
	if err != nil {
		return fmt.Errorf("read settings of %s: %w", v.Device, err)
	}
	for _, s := range vmacSettings {
		if now, ok := inetConf(reply, s.number); !ok || now != s.value {
			return fmt.Errorf("setting %d of %s is %d, not %d, although the kernel took it", s.number, v.Device, now, s.value)
		}
	}
	return nil
}

func (v VMAC) remove(k *kernel) (already bool, err error) {
	link, err := v.find(k)
	if errors.Is(err, unix.ENODEV) {
		return true, nil
	}
	if err == nil && link.Attrs().Alias != vmacAlias {
		return true, nil // somebody else's, that fitted
	}
	if err == nil {
		err = k.handle.LinkDel(link)
	}
	if absent(err) {
		return true, nil
	}
	return false, err
}

// find returns the interface of this name, ENODEV when there is none, and another
// error when it is none that director may change.
func (v VMAC) find(k *kernel) (netlink.Link, error) {
	link, err := linkNamed(k.handle, v.Device)
	if err != nil {
		return nil, err
	}
	if _, ok := link.(*netlink.Macvlan); !ok {
		return nil, fmt.Errorf("there is an interface %s of another kind (%s): choose another name for the VMAC", v.Device, link.Type())
	}
	return link, nil
}

// fits reports whether an interface is this VMAC.
func (v VMAC) fits(k *kernel, link netlink.Link) (bool, error) {
	parent, err := k.device(v.Parent)
	if err != nil {
		return false, err
	}
	m, a := link.(*netlink.Macvlan), link.Attrs()
	return m.Mode == netlink.MACVLAN_MODE_BRIDGE && a.ParentIndex == parent.Index && bytes.Equal(a.HardwareAddr, v.MAC[:]), nil
}

// Up is an interface that is switched on.
type Up struct{ Device string }

// Key returns the interface.
func (u Up) Key() Key { return Key{Kind: KindUp, Device: u.Device} }

// Variant is empty.
func (u Up) Variant() string { return "" }

// On returns the interface.
func (u Up) On() string { return u.Device }

func (u Up) String() string { return u.Device + " up" }

func (u Up) add(k *kernel) (already bool, err error) { return u.turn(k, true) }

func (u Up) remove(k *kernel) (already bool, err error) {
	already, err = u.turn(k, false)
	if absent(err) {
		return true, nil
	}
	return already, err
}

func (u Up) turn(k *kernel, up bool) (already bool, err error) {
	delete(k.devices, u.Device) // its state may have changed
	err = k.on(u.Device, func(d *device) error {
		if already = d.AdminUp == up; already {
			return nil
		}
		msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
		msg.Index, msg.Change = int32(d.Index), unix.IFF_UP
		if up {
			msg.Flags = unix.IFF_UP
		}
		_, err := k.request(unix.RTM_NEWLINK, 0, msg)
		return err
	})
	delete(k.devices, u.Device)
	return already, err
}
