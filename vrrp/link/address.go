package link

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// addresses is what the Worker does to the kernel. One goroutine uses it.
type addresses struct {
	handle  *netlink.Handle
	own     map[int]*nl.SocketHandle // for requests that the library does not have
	packet  int                      // AF_PACKET socket that only sends
	devices map[string]*device
}

// device is what is known of an interface while work goes on.
type device struct {
	Interface
	found     time.Time
	promoted  bool // promote_secondaries was set
	asked6    bool // forwards6 is known
	forwards6 bool // it forwards IPv6
}

// deviceAge is how long a device is not looked up again. A name seldom changes
// hands, and when its old index is gone the kernel says so.
const deviceAge = 100 * time.Millisecond

func openAddresses() (_ *addresses, err error) {
	k := &addresses{packet: -1, devices: make(map[string]*device)}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if k.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("link: open netlink: %w", err)
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("link: open netlink: %w", err)
	}
	k.own = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	// Protocol 0: it receives nothing.
	k.packet, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("link: open packet socket: %w", err)
	}
	return k, nil
}

func (k *addresses) close() {
	if k.handle != nil {
		k.handle.Close()
	}
	for _, s := range k.own {
		s.Close()
	}
	if k.packet >= 0 {
		_ = unix.Close(k.packet)
	}
}

// forget drops what is known of devices, when there is nothing to do.
func (k *addresses) forget() { clear(k.devices) }

// device finds an interface by its name.
func (k *addresses) device(name string) (*device, error) {
	now := time.Now()
	if d := k.devices[name]; d != nil && now.Sub(d.found) < deviceAge {
		return d, nil
	}
	l, err := k.handle.LinkByName(name)
	if err != nil {
		delete(k.devices, name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			err = unix.ENODEV
		}
		return nil, err
	}
	d := &device{Interface: interfaceOf(l), found: now}
	k.devices[name] = d
	return d, nil
}

// on runs a request on a device, and once more when the device that was
// remembered under this name is gone.
func (k *addresses) on(name string, request func(*device) error) error {
	for {
		_, remembered := k.devices[name]
		d, err := k.device(name)
		if err != nil {
			return err
		}
		err = request(d)
		if !remembered || !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO) {
			return err
		}
		delete(k.devices, name)
	}
}

// add puts an address on its interface.
func (k *addresses) add(a Address) (already bool, err error) {
	err = k.on(a.Device, func(d *device) error {
		return k.handle.AddrAdd(nil, netlinkAddr(a, d.Index))
	})
	switch {
	case err == nil:
		return false, nil
	case errors.Is(err, unix.EEXIST):
		return true, nil
	}
	return false, fmt.Errorf("link: add %s to %s: %w", a.Prefix, a.Device, err)
}

// remove takes an address off its interface.
func (k *addresses) remove(a Address) (already bool, err error) {
	err = k.on(a.Device, func(d *device) error {
		if a.Prefix.Addr().Is4() && a.Prefix.Bits() < 32 && !d.promoted {
			if err := k.promoteSecondaries(d.Index); err != nil {
				return fmt.Errorf("set promote_secondaries: %w", err)
			}
			d.promoted = true
		}
		a.Label = "" // with a label the kernel would look for that label
		return k.handle.AddrDel(nil, netlinkAddr(a, d.Index))
	})
	switch {
	case err == nil:
		return false, nil
	// ENODEV: the address went with its interface.
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return true, nil
	}
	return false, fmt.Errorf("link: remove %s from %s: %w", a.Prefix, a.Device, err)
}

// netlinkAddr builds the library's address. The library writes into what it is
// given, so each call gets a fresh one.
func netlinkAddr(a Address, index int) *netlink.Addr {
	ip := a.Prefix.Addr()
	out := &netlink.Addr{
		IPNet:     &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), ip.BitLen())},
		Label:     a.Label,
		LinkIndex: index,
		Broadcast: net.IPv4zero, // none; nil would make the library compute one
	}
	if ip.Is6() {
		// The peer that held the address a moment ago must not fail our duplicate
		// address detection, nor the detection delay the address.
		out.Flags = unix.IFA_F_NODAD
		if a.Prefix.IsSingleIP() {
			// Deprecated from the start, it is never chosen as the source of what the
			// host sends. Without the valid lifetime the kernel would take both for
			// endless.
			endless := uint32(math.MaxUint32)
			out.ValidLft, out.PreferedLft = int(endless), 0
		}
	}
	return out
}

// The kernel's numbers for per-interface IPv4 settings (linux/if_link.h, linux/ip.h).
const (
	iflaInetConf                  = 1
	ipv4DevconfPromoteSecondaries = 20
)

// promoteSecondaries sets net.ipv4.conf.<interface>.promote_secondaries. By
// netlink, because /proc/sys is often read-only for a daemon.
func (k *addresses) promoteSecondaries(index int) error {
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	request.Sockets = k.own
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(index)
	request.AddData(info)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(iflaInetConf, nil).
		AddRtAttr(ipv4DevconfPromoteSecondaries, nl.Uint32Attr(1))
	request.AddData(spec)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// announce sends one gratuitous ARP packet for an IPv4 address to everybody on
// the link, or one unsolicited neighbour advertisement for an IPv6 address. On
// interfaces without neighbour resolution there is nobody to tell.
func (k *addresses) announce(a Address) error {
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
func (k *addresses) announcement(d *device, ip netip.Addr) (frame []byte, protocol uint16, err error) {
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
	l, err := handle.LinkByName(device)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		err = unix.ENODEV
	}
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
