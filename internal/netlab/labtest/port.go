package labtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
)

// FreePort returns a loopback address whose TCP and UDP port is free and stays so until the test ends: for a server of
// another program, which must be told where to listen. Ports below 32768 are not given to connections by default, and of all
// tests on the machine that ask here only one has a number.
func FreePort(t testing.TB) netip.AddrPort {
	t.Helper()
	for range 1000 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(10000+rand.IntN(20000)))
		reserved, err := net.Listen("unix", fmt.Sprintf("@director-test-port-%d", at.Port()))
		if err != nil {
			continue
		}
		if !free(at) {
			reserved.Close()
			continue
		}
		t.Cleanup(func() { reserved.Close() })
		return at
	}
	t.Fatal("no port is free for TCP and UDP")
	return netip.AddrPort{}
}

func free(at netip.AddrPort) bool {
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return false
	}
	tcp.Close()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return false
	}
	udp.Close()
	return true
}
