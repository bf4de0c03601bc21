package link

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// advertisementLength is an Ethernet frame with the headers of IPv6 and ICMPv6,
// a target and one option.
const advertisementLength = ethernetHeader + ipv6Header + neighbourHeader + 8

// The flags of a neighbour advertisement (RFC 4861 section 4.4).
const (
	ndRouter   = 0x80
	ndOverride = 0x20
)

// advertisement builds an unsolicited neighbour advertisement as RFC 9568 section
// 6.4.1 wants it: to all nodes, from and about the virtual address, with the
// override flag and the hardware address. The router flag says whether the
// interface forwards: who has the host as a router would give it up on an
// advertisement without the flag (RFC 4861 section 7.2.5).
func advertisement(mac net.HardwareAddr, ip netip.Addr, router bool) [advertisementLength]byte {
	var f [advertisementLength]byte
	target := ip.As16()
	copy(f[0:], []byte{0x33, 0x33, 0, 0, 0, 1})
	copy(f[6:], mac)
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IPV6)

	packet := f[ethernetHeader:]
	header, message := packet[:ipv6Header], packet[ipv6Header:]
	header[0] = 0x60
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	header[6], header[7] = unix.IPPROTO_ICMPV6, 255 // a hop limit of less is refused
	copy(header[8:], target[:])
	copy(header[24:], []byte{0: 0xff, 1: 0x02, 15: 1})

	message[0] = neighborAdvertisement
	message[4] = ndOverride
	if router {
		message[4] |= ndRouter
	}
	copy(message[8:], target[:])
	message[24], message[25] = 2, 1 // target link-layer address, 8 bytes
	copy(message[26:], mac)
	binary.BigEndian.PutUint16(message[2:], icmp6Checksum(packet))
	return f
}

// The kernel's numbers for per-interface IPv6 settings (linux/if_link.h, linux/ipv6.h).
const (
	iflaInet6Conf          = 2
	ipv6DevconfForwarding  = 0
	ipv6DevconfEntryLength = 4
)

var errNoIPv6 = errors.New("the interface has no IPv6")

// forwards6 reads net.ipv6.conf.<interface>.forwarding. By netlink: /proc/sys shows
// the namespace of whatever thread reads it.
func (k *kernel) forwards6(index int) (bool, error) {
	info := nl.NewIfInfomsg(unix.AF_UNSPEC)
	info.Index = int32(index)
	reply, err := k.request(unix.RTM_GETLINK, 0, info)
	if err != nil {
		return false, err
	}
	for _, m := range reply {
		if len(m) < unix.SizeofIfInfomsg {
			continue
		}
		conf := attribute(m[unix.SizeofIfInfomsg:], unix.IFLA_AF_SPEC, unix.AF_INET6, iflaInet6Conf)
		if at := ipv6DevconfForwarding * ipv6DevconfEntryLength; len(conf) >= at+ipv6DevconfEntryLength {
			return binary.NativeEndian.Uint32(conf[at:]) != 0, nil
		}
	}
	return false, errNoIPv6
}
