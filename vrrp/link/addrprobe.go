package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// probeCount is how many times an address is asked for, as in RFC 5227 section 2.1.1.
const probeCount = 3

// ProbeAddress asks the link of an interface, for as long as given, whether anybody
// has an address, and returns the MAC address of whoever says so; nil when nobody
// does. It asks as a host does that is about to take the address (RFC 5227, RFC 4862
// section 5.4): without a sender address, so that no neighbour's entry is changed.
// Probes of others are no answer. An error says that it could not ask.
func ProbeAddress(ctx context.Context, device string, addr netip.Addr, wait time.Duration) (net.HardwareAddr, error) {
	ifi, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("probe for %s: %w", addr, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return nil, fmt.Errorf("probe for %s: %s is no Ethernet interface", addr, device)
	}
	proto, probe, holderOf := uint16(unix.ETH_P_ARP), arpProbe, arpHolder
	if addr.Is6() {
		proto, probe, holderOf = unix.ETH_P_IPV6, neighbourProbe, neighbourHolder
	}
	frame := probe(ifi.HardwareAddr, addr)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("probe for %s: socket: %w", addr, err)
	}
	defer unix.Close(fd)
	if addr.Is6() {
		// Answers go to all nodes (RFC 4861 section 7.2.4).
		m := unix.PacketMreq{Ifindex: int32(ifi.Index), Type: unix.PACKET_MR_MULTICAST, Alen: 6, Address: [8]byte{0x33, 0x33, 0, 0, 0, 1}}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return nil, fmt.Errorf("probe for %s: %w", addr, err)
		}
	}
	to := &unix.SockaddrLinklayer{Ifindex: ifi.Index, Protocol: hton16(proto)}
	if err := unix.Bind(fd, to); err != nil {
		return nil, fmt.Errorf("probe for %s: bind to %s: %w", addr, device, err)
	}
	end := time.Now().Add(wait)
	var buffer [2048]byte
	for sent := 0; ; {
		now := time.Now()
		if next := end.Add(-wait * time.Duration(probeCount-sent) / probeCount); sent < probeCount && !now.Before(next) {
			sent++
			if err := unix.Sendto(fd, frame, 0, to); err != nil {
				return nil, fmt.Errorf("probe for %s: send on %s: %w", addr, device, err)
			}
			continue
		}
		if !now.Before(end) {
			return nil, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		due := end
		if sent < probeCount {
			due = end.Add(-wait * time.Duration(probeCount-sent) / probeCount)
		}
		// A caller that gives up is heard within this time.
		limit := min(due.Sub(now), 50*time.Millisecond)
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, int(limit/time.Millisecond)+1); err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("probe for %s: poll: %w", addr, err)
		}
		for {
			n, from, err := unix.Recvfrom(fd, buffer[:], 0)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("probe for %s: receive on %s: %w", addr, device, err)
			}
			if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Pkttype == unix.PACKET_OUTGOING {
				continue // this host's own
			}
			if holder := holderOf(buffer[:n], addr); holder != nil {
				return holder, nil
			}
		}
	}
}

// arpProbe builds the probe of RFC 5227 section 1.1.
func arpProbe(mac net.HardwareAddr, ip netip.Addr) []byte {
	f := garp(mac, ip)
	clear(f[28:32]) // no sender address
	clear(f[32:38])
	return f[:]
}

// arpHolder returns who says in an ARP packet that it has an address: any packet
// with the address as its sender's does (RFC 5227 section 2.1.1).
func arpHolder(f []byte, ip netip.Addr) net.HardwareAddr {
	if len(f) < 42 || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_ARP || binary.BigEndian.Uint16(f[16:]) != unix.ETH_P_IP ||
		f[18] != 6 || f[19] != 4 || netip.AddrFrom4([4]byte(f[28:32])) != ip {
		return nil
	}
	return net.HardwareAddr(append([]byte(nil), f[22:28]...))
}

const (
	ethernetHeader   = 14
	ipv6Header       = 40
	neighbourHeader  = 24 // type, code, checksum, flags, target
	neighbourSolicit = 135
)

// neighbourProbe builds the Neighbor Solicitation of RFC 4862 section 5.4.2: from the
// unspecified address to the solicited-node group of the address.
func neighbourProbe(mac net.HardwareAddr, ip netip.Addr) []byte {
	f := make([]byte, ethernetHeader+ipv6Header+neighbourHeader)
	target := ip.As16()
	group := [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: target[13], 14: target[14], 15: target[15]}
	copy(f, []byte{0x33, 0x33, 0xff, target[13], target[14], target[15]})
	copy(f[6:], mac)
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_IPV6)
	p := f[ethernetHeader:]
	p[0] = 6 << 4
	binary.BigEndian.PutUint16(p[4:], neighbourHeader)
	p[6], p[7] = unix.IPPROTO_ICMPV6, 255
	copy(p[24:], group[:])
	icmp := p[ipv6Header:]
	icmp[0] = neighbourSolicit
	copy(icmp[8:], target[:])
	binary.BigEndian.PutUint16(icmp[2:], icmp6Checksum(p))
	return f
}

// icmp6Checksum is RFC 4443 section 2.3 over an IPv6 packet without extension
// headers whose checksum field is zero.
func icmp6Checksum(p []byte) uint16 {
	// The pseudo-header ends with the length and the next header; what stands
	// before them are the addresses.
	sum := uint32(len(p)-ipv6Header) + unix.IPPROTO_ICMPV6
	add := func(b []byte) {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(p[8:ipv6Header])
	add(p[ipv6Header:])
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// neighbourHolder returns who says in a Neighbor Advertisement that it has an
// address (RFC 4861 section 4.4). One from beyond the link does not count (7.1.2).
func neighbourHolder(f []byte, ip netip.Addr) net.HardwareAddr {
	if len(f) < ethernetHeader+ipv6Header+neighbourHeader || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_IPV6 {
		return nil
	}
	p := f[ethernetHeader:]
	length := int(binary.BigEndian.Uint16(p[4:]))
	if p[0]>>4 != 6 || p[6] != unix.IPPROTO_ICMPV6 || p[7] != 255 || length < neighbourHeader || ipv6Header+length > len(p) {
		return nil
	}
	p = p[:ipv6Header+length]
	icmp := p[ipv6Header:]
	if icmp[0] != neighborAdvertisement || icmp[1] != 0 || netip.AddrFrom16([16]byte(icmp[8:24])) != ip {
		return nil
	}
	if icmp6Checksum(p) != 0 { // with the packet's own checksum in it the sum is all ones
		return nil
	}
	return net.HardwareAddr(append([]byte(nil), f[6:12]...))
}
