package link

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
	"time"
)

var probeMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}

func TestProbesOnTheWire(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.10": "ffffffffffff0200000000010806" + "0001080006040001" + "020000000001" + "00000000" + "000000000000" + "c000020a" + "000000000000000000000000000000000000",
		"2001:db8::1:2:3": "3333ff020003020000000001" + "86dd" + "6000000000183aff" + "00000000000000000000000000000000" + "ff0200000000000000000001ff020003" +
			"87004ce400000000" + "20010db8000000000000000100020003",
	} {
		ip := netip.MustParseAddr(addr)
		probe := arpProbe
		if ip.Is6() {
			probe = neighbourProbe
		}
		got := probe(probeMAC, ip)
		if hex.EncodeToString(got) != want {
			t.Errorf("probe for %s:\n%x, want\n%s", addr, got, want)
		}
	}
}

// answer6 is a Neighbor Advertisement of an address, as a host sends it.
func answer6(ip netip.Addr) []byte {
	f := neighbourProbe(probeMAC, ip)
	p := f[ethernetHeader:]
	src := ip.As16()
	copy(p[8:], src[:])
	p[ipv6Header], p[ipv6Header+4] = neighborAdvertisement, 0x20
	p[ipv6Header+2], p[ipv6Header+3] = 0, 0
	sum := icmp6Checksum(p)
	p[ipv6Header+2], p[ipv6Header+3] = byte(sum>>8), byte(sum)
	return f
}

func TestWhoHolds(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")
	reply := garp(probeMAC, v4)
	reply[21] = 2
	if got := arpHolder(reply[:], v4); got.String() != probeMAC.String() {
		t.Errorf("a reply is of %v", got)
	}
	if got := arpHolder(arpProbe(probeMAC, v4), v4); got != nil {
		t.Errorf("a probe passes for an answer of %v", got)
	}
	if got := arpHolder(reply[:], netip.MustParseAddr("192.0.2.11")); got != nil {
		t.Errorf("another's reply: %v", got)
	}
	if got := neighbourHolder(answer6(v6), v6); got.String() != probeMAC.String() {
		t.Errorf("an advertisement is of %v", got)
	}
	if got := neighbourHolder(answer6(v6), netip.MustParseAddr("2001:db8::11")); got != nil {
		t.Errorf("another's advertisement: %v", got)
	}
	if got := neighbourHolder(neighbourProbe(probeMAC, v6), v6); got != nil {
		t.Errorf("a solicitation passes for an answer of %v", got)
	}
	routed := answer6(v6)
	routed[ethernetHeader+7] = 254
	broken := answer6(v6)
	broken[len(broken)-1]++
	if neighbourHolder(routed, v6) != nil || neighbourHolder(broken, netip.MustParseAddr("2001:db8::11")) != nil {
		t.Error("a routed or broken advertisement counts")
	}
}

func FuzzWhoHolds(f *testing.F) {
	v4, v6 := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100")
	for _, b := range append(captured(f, "arp"), captured(f, "nd")...) {
		f.Add(b)
	}
	reply := garp(probeMAC, v4)
	f.Add(reply[:])
	f.Add(answer6(v6))
	f.Add(neighbourProbe(probeMAC, v6))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		for _, mac := range []net.HardwareAddr{arpHolder(frame, v4), neighbourHolder(frame, v6)} {
			if mac != nil && len(mac) != 6 {
				t.Errorf("holder %v", mac)
			}
		}
	})
}

// A real neighbour answers for what it has, at once, and nobody for anything else.
func TestProbeAddress(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "192.0.2.1/24", b, "eth0", "192.0.2.2/24")
	for _, addr := range []string{"192.0.2.10", "2001:db8::10"} {
		ip := netip.MustParseAddr(addr)
		b.address("eth0", netip.PrefixFrom(ip, ip.BitLen()).String())
		began := time.Now()
		got := in(a, func() (net.HardwareAddr, error) { return ProbeAddress(t.Context(), "eth0", ip, time.Minute) })
		if want := b.link("eth0").Attrs().HardwareAddr; got.String() != want.String() {
			t.Errorf("%s is held by %v, want %v", addr, got, want)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s answered after %v", addr, took)
		}
	}
	for _, addr := range []string{"192.0.2.11", "2001:db8::11"} {
		got := in(a, func() (net.HardwareAddr, error) {
			return ProbeAddress(t.Context(), "eth0", netip.MustParseAddr(addr), 200*time.Millisecond)
		})
		if got != nil {
			t.Errorf("%s is held by %v", addr, got)
		}
	}
	in(a, func() (any, error) {
		if _, err := ProbeAddress(t.Context(), "none", netip.MustParseAddr("192.0.2.11"), time.Second); err == nil {
			t.Error("no error without the interface")
		}
		return nil, nil
	})
}
