package link

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// garpLength is the shortest Ethernet frame, without its checksum.
const garpLength = 60

// garp builds a gratuitous ARP packet as RFC 9568 section 6.4.1 wants it: a broadcast
// ARP request whose sender and target address are both the virtual one. The
// target hardware address, which nobody reads in a request, is the broadcast
// address, as keepalived sends it.
func garp(mac net.HardwareAddr, ip netip.Addr) [garpLength]byte {
	var f [garpLength]byte
	broadcast := [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	address := ip.As4()
	copy(f[0:], broadcast[:])
	copy(f[6:], mac)
	binary.BigEndian.PutUint16(f[12:], unix.ETH_P_ARP)
	binary.BigEndian.PutUint16(f[14:], unix.ARPHRD_ETHER)
	binary.BigEndian.PutUint16(f[16:], unix.ETH_P_IP)
	f[18], f[19] = 6, 4                   // address lengths
	binary.BigEndian.PutUint16(f[20:], 1) // request
	copy(f[22:], mac)
	copy(f[28:], address[:])
	copy(f[32:], broadcast[:])
	copy(f[38:], address[:])
	return f
}

// hton16 turns a number into network byte order, for fields that the kernel wants so.
func hton16(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
