package config

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

// The virtual MAC addresses of RFC 9568 section 7.3.
func TestVirtualMACAddresses(t *testing.T) {
	for _, vrid := range []uint8{1, 51, 255} {
		in := Instance{VRID: vrid, Presence: Presence{UseVMAC: true}, Addresses: []VirtualAddress{
			{Prefix: netip.MustParsePrefix("192.0.2.10/24")}, {Prefix: netip.MustParsePrefix("fe80::51/64")},
		}}
		for ipv6, kind := range map[bool]int{false: 1, true: 2} {
			mac := in.VMAC(ipv6)
			if got, want := net.HardwareAddr(mac[:]).String(), fmt.Sprintf("00:00:5e:00:%02x:%02x", kind, vrid); got != want {
				t.Errorf("VRID %d, IPv6 %v: %s, want %s", vrid, ipv6, got, want)
			}
		}
		in.VMACAddress = "02:00:00:00:00:09"
		if mac := in.VMAC(true); mac != [6]byte{2, 0, 0, 0, 0, 9} {
			t.Errorf("an address of its own: %x", mac)
		}
	}
}
