package vrrp

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"
)

// Messages that keepalived 2.2.7 sent from 10.99.0.1 to 224.0.0.18, without the
// IP header: VRID 51, priority 255, 10.99.0.100 and 10.99.0.101, every second.
const (
	keepalivedV2 = "2133ff02010166d70a6300640a6300653131313100000000" // password 1111
	keepalivedV3 = "3133ff020064cedf0a6300640a630065"
)

var (
	src       = netip.MustParseAddr("10.99.0.1")
	addresses = []netip.Addr{netip.MustParseAddr("10.99.0.100"), netip.MustParseAddr("10.99.0.101")}
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func v2Settings() Settings {
	s := Settings{
		VRID: 51, Version: 2, Priority: 255, AdvertInterval: time.Second,
		Addresses: addresses, AuthType: AuthPass,
	}
	copy(s.Password[:], "1111")
	return s
}

func v3Settings() Settings {
	return Settings{VRID: 51, Version: 3, Priority: 255, AdvertInterval: time.Second, Addresses: addresses}
}

func TestKeepalivedPackets(t *testing.T) {
	for _, tc := range []struct {
		name, packet string
		settings     Settings
	}{
		{"version 2 with password", keepalivedV2, v2Settings()},
		{"version 3", keepalivedV3, v3Settings()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pdu := unhex(t, tc.packet)
			a, why := Parse(pdu, src, Group4())
			if why != DiscardNone {
				t.Fatalf("Parse: %v", why)
			}
			if why := tc.settings.Check(&a, netip.MustParseAddr("192.0.2.1"), Group4(), 255); why != DiscardNone {
				t.Errorf("Check: %v", why)
			}
			if a.VRID != 51 || a.Priority != 255 || a.Interval != time.Second || a.Checksum != ChecksumPseudo {
				t.Errorf("decoded %+v", a)
			}
			if !a.SameAddresses(addresses) || !a.SameAddresses([]netip.Addr{addresses[1], addresses[0]}) {
				t.Error("address list not recognised")
			}
			if a.SameAddresses(addresses[:1]) || a.SameAddresses([]netip.Addr{addresses[0], src}) {
				t.Error("a different address list was taken for the same")
			}
			got, err := AppendAdvert(nil, &tc.settings, 255, src, Group4())
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(got) != tc.packet {
				t.Errorf("encoded %x, keepalived sends %s", got, tc.packet)
			}
		})
	}
}

func TestParseDiscards(t *testing.T) {
	edit := func(packet string, f func(b []byte) []byte) []byte {
		b := f(unhex(t, packet))
		// A packet is sound but for the one fault that it is made for.
		if len(b) >= 8 {
			b[6], b[7] = 0, 0
			seed := uint32(0)
			if b[0]>>4 == 3 {
				seed = pseudoSum(src, Group4(), len(b))
			}
			sum := checksum(seed, b)
			b[6], b[7] = byte(sum>>8), byte(sum)
		}
		return b
	}
	set := func(i int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[i] = v; return b }
	}
	for _, tc := range []struct {
		name string
		pdu  []byte
		want Discard
	}{
		{"empty", nil, DiscardTruncated},
		{"short header", unhex(t, keepalivedV3)[:7], DiscardTruncated},
		{"version 1", edit(keepalivedV2, set(0, 0x11)), DiscardVersion},
		{"version 4", edit(keepalivedV2, set(0, 0x41)), DiscardVersion},
		{"type 2", edit(keepalivedV2, set(0, 0x22)), DiscardType},
		{"no address", edit(keepalivedV3, set(3, 0)), DiscardNoAddress},
		{"count beyond the end", edit(keepalivedV3, set(3, 3)), DiscardTruncated},
		{"v2 without authentication data", edit(keepalivedV2, func(b []byte) []byte { return b[:16] }), DiscardTruncated},
		{"v2 checksum", set(2, 254)(unhex(t, keepalivedV2)), DiscardChecksum},
		{"v3 checksum", set(2, 254)(unhex(t, keepalivedV3)), DiscardChecksum},
		{"v2 interval 0", edit(keepalivedV2, set(5, 0)), DiscardInterval},
		{"v3 interval 0", edit(keepalivedV3, set(5, 0)), DiscardInterval},
		{"v3 reserved bits are ignored", edit(keepalivedV3, set(4, 0xf0)), DiscardNone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, got := Parse(tc.pdu, src, Group4()); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestParseAcceptsPaddingAndBothChecksums(t *testing.T) {
	s := v3Settings()
	for _, form := range []ChecksumForm{ChecksumPseudo, ChecksumPlain} {
		s.Checksum = form
		b, err := AppendAdvert(nil, &s, 100, src, Group4())
		if err != nil {
			t.Fatal(err)
		}
		a, why := Parse(append(b, make([]byte, 10)...), src, Group4())
		if why != DiscardNone || a.Checksum != form {
			t.Errorf("%v: got %v, %v", form, a.Checksum, why)
		}
	}
}

func TestCheckDiscards(t *testing.T) {
	parse := func(packet string) Advert {
		a, why := Parse(unhex(t, packet), src, Group4())
		if why != DiscardNone {
			t.Fatal(why)
		}
		return a
	}
	v2, v3 := parse(keepalivedV2), parse(keepalivedV3)
	for _, tc := range []struct {
		name   string
		advert Advert
		ttl    int
		change func(*Settings)
		want   Discard
	}{
		{"sound", v2, 255, func(*Settings) {}, DiscardNone},
		{"from another network", v2, 254, func(*Settings) {}, DiscardTTL},
		{"version", v3, 255, func(*Settings) {}, DiscardVersion},
		{"no password here", v2, 255, func(s *Settings) { s.AuthType = AuthNone }, DiscardAuthType},
		{"other password", v2, 255, func(s *Settings) { s.Password[0] = '2' }, DiscardAuthPassword},
		{"v2 interval", v2, 255, func(s *Settings) { s.AdvertInterval = 2 * time.Second }, DiscardIntervalMismatch},
		{"v3 interval is only learned", v3, 255, func(s *Settings) { *s = v3Settings(); s.AdvertInterval = 50 * time.Millisecond }, DiscardNone},
		{"other addresses are no reason", v2, 255, func(s *Settings) { s.Addresses = s.Addresses[:1] }, DiscardNone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := v2Settings()
			tc.change(&s)
			if got := s.Check(&tc.advert, src, Group4(), tc.ttl); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestUnicastChecks(t *testing.T) {
	a, why := Parse(unhex(t, keepalivedV2), src, Group4())
	if why != DiscardNone {
		t.Fatal(why)
	}
	here, far, stranger := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("198.51.100.2"), netip.MustParseAddr("198.51.100.3")
	unicast := []Peer{{src, 255, 255}, {far, 250, 253}}
	for _, tc := range []struct {
		name  string
		peers []Peer
		src   netip.Addr
		dst   netip.Addr
		ttl   int
		want  Discard
	}{
		{"multicast", nil, src, Group4(), 255, DiscardNone},
		{"unicast to a multicast router", nil, src, here, 255, DiscardUnicast},
		{"from a peer", unicast, src, here, 255, DiscardNone},
		{"multicast to a unicast router", unicast, src, Group4(), 255, DiscardMulticast},
		{"from a stranger", unicast, stranger, here, 255, DiscardPeer},
		{"from beyond the link", unicast, src, here, 254, DiscardTTL},
		{"peer behind routers", unicast, far, here, 250, DiscardNone},
		{"peer behind fewer routers", unicast, far, here, 253, DiscardNone},
		{"too many routers", unicast, far, here, 249, DiscardTTL},
		{"too few routers", unicast, far, here, 254, DiscardTTL},
	} {
		s := v2Settings()
		s.Peers = tc.peers
		if got := s.Check(&a, tc.src, tc.dst, tc.ttl); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestAddressCountLimits(t *testing.T) {
	s := v3Settings()
	s.Addresses = nil
	if _, err := AppendAdvert(nil, &s, 1, src, Group4()); err == nil {
		t.Error("no error for an empty list")
	}
	s.Addresses = make([]netip.Addr, 256)
	if _, err := AppendAdvert(nil, &s, 1, src, Group4()); err == nil {
		t.Error("no error for 256 addresses")
	}
}

func TestEveryValueHasAName(t *testing.T) {
	seen := make(map[string]bool)
	check := func(kind, name string) {
		t.Helper()
		if name == "" || seen[kind+name] {
			t.Errorf("%s: empty or double name %q", kind, name)
		}
		seen[kind+name] = true
	}
	for v := range numDiscards {
		check("discard", v.String())
	}
	for v := range numReasons {
		check("reason", v.String())
		if (Cause{Reason: v, Detail: "x"}).String() == "" {
			t.Errorf("reason %v has no text", v)
		}
	}
	for v := range numStates {
		check("state", v.String())
	}
	for v := range numEvents {
		check("event", v.String())
	}
	for v := range numActions {
		check("action", v.String())
	}
	for v := range numVerdicts {
		check("verdict", v.String())
	}
}

func TestAdvertsCostNoAllocation(t *testing.T) {
	s := v2Settings()
	buf := make([]byte, 0, 1500)
	pdu := unhex(t, keepalivedV2)
	if n := testing.AllocsPerRun(100, func() {
		buf, _ = AppendAdvert(buf[:0], &s, 100, src, Group4())
		a, _ := Parse(pdu, src, Group4())
		_ = s.Check(&a, netip.MustParseAddr("192.0.2.1"), Group4(), 255)
		_ = a.SameAddresses(addresses)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(unhex(f, keepalivedV2))
	f.Add(unhex(f, keepalivedV3))
	f.Add([]byte{0x31, 1, 100, 255, 0, 100, 0, 0})
	for _, c := range captured {
		f.Add(unhex(f, c.message))
	}
	f.Fuzz(func(t *testing.T, pdu []byte) {
		for _, src := range []netip.Addr{src, netip.MustParseAddr("192.0.2.2")} {
			a, why := Parse(pdu, src, Group4())
			if why != DiscardNone {
				continue
			}
			// What was accepted can be said again and means the same.
			s := Settings{VRID: a.VRID, Version: a.Version, AdvertInterval: a.Interval, AuthType: a.AuthType, Password: a.Auth, Checksum: a.Checksum}
			for i := range a.Addresses() {
				s.Addresses = append(s.Addresses, a.Address(i))
			}
			again, err := AppendAdvert(nil, &s, a.Priority, src, Group4())
			if err != nil {
				t.Fatal(err)
			}
			b, why := Parse(again, src, Group4())
			if why != DiscardNone || b.VRID != a.VRID || b.Priority != a.Priority || b.Interval != a.Interval || !b.SameAddresses(s.Addresses) {
				t.Fatalf("%x became %x: %v", pdu, again, why)
			}
		}
	})
}

func BenchmarkAppendAdvert(b *testing.B) {
	s := v3Settings()
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf, _ = AppendAdvert(buf[:0], &s, 100, src, Group4())
	}
}

func BenchmarkParse(b *testing.B) {
	pdu := unhex(b, keepalivedV3)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = Parse(pdu, src, Group4())
	}
}
