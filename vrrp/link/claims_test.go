package link

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// claimant sends claims from a host's interface.
type claimant struct {
	t      testing.TB
	ifi    Interface
	packet int
	icmp   int
}

func newClaimant(t testing.TB, h *host, ifi Interface) *claimant {
	c := &claimant{t: t, ifi: ifi}
	c.packet = in(h, func() (int, error) { return unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	c.icmp = in(h, func() (int, error) {
		return unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	})
	t.Cleanup(func() { unix.Close(c.packet); unix.Close(c.icmp) })
	return c
}

func (c *claimant) claim(addr string) {
	c.t.Helper()
	a := netip.MustParseAddr(addr)
	var err error
	if a.Is4() {
		frame := garp(c.ifi.HardwareAddr, a)
		err = unix.Sendto(c.packet, frame[:], 0, &unix.SockaddrLinklayer{Ifindex: c.ifi.Index, Halen: 6})
	} else {
		target := a.As16()
		b := append([]byte{neighborAdvertisement, 0, 0, 0, 0x20, 0, 0, 0}, target[:]...)
		b = append(append(b, optionTargetMAC, 1), c.ifi.HardwareAddr...)
		to := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(c.ifi.Index)}
		eventually(c.t, "a link-local address to send from", func() bool {
			err = unix.Sendto(c.icmp, b, 0, to)
			return err != unix.EADDRNOTAVAIL
		})
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestClaims(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "10.1.0.1/24", b, "eth0", "10.1.0.2/24")
	claims := in(b, func() (*Claims, error) { return OpenClaims(b.iface("eth0")) })
	defer claims.Close()
	other := newClaimant(t, a, a.iface("eth0"))
	own := newClaimant(t, b, b.iface("eth0"))
	read := func() (got []string) {
		t.Helper()
		if err := claims.Read(func(c Claim) { got = append(got, fmt.Sprintf("%v at %x", c.Addr, c.MAC)) }); err != nil {
			t.Fatal(err)
		}
		return got
	}
	mac := hex.EncodeToString(other.ifi.HardwareAddr)

	other.claim("10.1.0.100")
	if got := read(); got != nil {
		t.Errorf("before Watch: %v", got)
	}
	if err := claims.Watch([]netip.Addr{ip("10.1.0.100"), ip("2001:db8::64")}); err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{"10.1.0.100", "2001:db8::64"} {
		other.claim("10.1.0.7") // nobody's business
		other.claim("2001:db8::7")
		own.claim(addr) // our own word
		other.claim(addr)
		eventually(t, "the claim of "+addr, func() bool {
			got := read()
			if len(got) > 1 || len(got) == 1 && got[0] != addr+" at "+mac {
				t.Fatalf("read %v", got)
			}
			return len(got) == 1
		})
	}
	// A flood fills the buffer, no more.
	for range 5000 {
		other.claim("10.1.0.100")
	}
	if got := read(); len(got) == 0 || len(got) > 16 {
		t.Errorf("%d claims of a flood", len(got))
	}
	eventually(t, "the flood is over", func() bool { return len(read()) == 0 })
	other.claim("10.1.0.100")
	eventually(t, "a claim after the flood", func() bool { return len(read()) == 1 })
	if n := testing.AllocsPerRun(100, func() { _ = claims.Read(func(Claim) {}) }); n > 0 {
		t.Errorf("a read allocates %v times", n)
	}
	if err := claims.Watch(nil); err != nil {
		t.Fatal(err)
	}
	other.claim("10.1.0.100")
	if got := read(); got != nil {
		t.Errorf("after Watch of nothing: %v", got)
	}
}

// Whatever comes, the parsers read what is there and no more.
func FuzzClaims(f *testing.F) {
	frame := garp([]byte{2, 0, 0, 0, 0, 1}, ip("192.0.2.1"))
	f.Add(frame[:])
	f.Add(frame[:41])
	for _, b := range captured(f, "arp") {
		f.Add(b)
	}
	for _, b := range captured(f, "nd") {
		f.Add(b[14+40:])
	}
	// As ping6's kernel sent it: solicited, with the target's hardware address.
	na, _ := hex.DecodeString("8800b9ae60000000" + "20010db8000000000000000000000064" + "0201020000000001")
	f.Add(na)
	f.Add(append(na[:24:24], 14, 1, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 1)) // a nonce comes first
	f.Add(append(na[:24:24], 2, 0, 0, 0, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, ok := parseARP(b); ok && (len(b) < arpLength || !c.Addr.Is4()) {
			t.Errorf("%x is a claim of %v", b, c)
		}
		if c, ok := parseAdvertisement(b); ok && (len(b) < advertLength+8 || !c.Addr.Is6()) {
			t.Errorf("%x is a claim of %v", b, c)
		}
	})
}
