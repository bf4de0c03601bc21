package vrrp

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Adverts without their IP headers, as others sent them to the multicast group:
// keepalived 2.2.7 and FRR 8.4.4, of VRID 51, the second of each with priority 0.
var captured = []struct{ name, src, message string }{
	{"keepalived, version 2", "192.0.2.2", "21335a010001c265c00002640000000000000000"},
	{"keepalived, version 2, stops", "192.0.2.2", "2133000100011c66c00002640000000000000000"},
	{"keepalived, version 3", "192.0.2.2", "31335a01000a0fcbc0000264"},
	{"keepalived, version 3, stops", "192.0.2.2", "31330001000a69cbc0000264"},
	{"keepalived, IPv6", "fe80::2", "31335a01000a47e820010db8000000000000000000000100"},
	{"keepalived, IPv6, stops", "fe80::2", "31330001000aa1e820010db8000000000000000000000100"},
	{"FRR, version 2", "192.0.2.2", "21335a010001c265c00002640000000000000000"},
	{"FRR, version 2, stops", "192.0.2.2", "2133000100011c66c00002640000000000000000"},
	{"FRR, version 3", "192.0.2.2", "31335a01000a0fcbc0000264"},
	{"FRR, version 3, stops", "192.0.2.2", "31330001000a69cbc0000264"},
	{"FRR, IPv6", "fe80::200:5eff:fe00:233", "31335a01000ae6b620010db8000000000000000000000100"},
	{"FRR, IPv6, stops", "fe80::200:5eff:fe00:233", "31330001000a40b720010db8000000000000000000000100"},
}

func TestNumbersOfTheProtocol(t *testing.T) {
	if ProtocolNumber != 112 || TTL != 255 || IPv4.Group().String() != "224.0.0.18" || IPv6.Group().String() != "ff02::12" {
		t.Errorf("protocol %d, TTL %d, groups %v and %v", ProtocolNumber, TTL, IPv4.Group(), IPv6.Group())
	}
	if (&Settings{Family: IPv4}).Multicast() != IPv4.Group() || (&Settings{Family: IPv6}).Multicast() != IPv6.Group() {
		t.Error("without a group of its own a router speaks to another one than the family's")
	}
	if PriorityOwner != 255 || PriorityStop != 0 {
		t.Errorf("priorities %d and %d", PriorityOwner, PriorityStop)
	}
}

// What others send is taken, and what we send in their place is the same, byte by byte.
func TestAdvertsOfOthers(t *testing.T) {
	for _, c := range captured {
		t.Run(c.name, func(t *testing.T) {
			pdu, from := unhex(t, c.message), netip.MustParseAddr(c.src)
			family := FamilyOf(from)
			a, why := Parse(pdu, from, family.Group())
			if why != DiscardNone || a.VRID != 51 || a.Addresses() != 1 || len(a.Trailer) != 0 || a.Checksum != ChecksumPseudo {
				t.Fatalf("%v, %+v", why, a)
			}
			s := Settings{VRID: 51, Family: family, Version: a.Version, AdvertInterval: a.Interval, Addresses: []netip.Addr{a.Address(0)}}
			if why := s.Check(&a, from, family.Group(), 255); why != DiscardNone {
				t.Error(why)
			}
			if got, err := AppendAdvert(nil, &s, a.Priority, from, family.Group()); err != nil || !bytes.Equal(got, pdu) {
				t.Errorf("we send %x, %v", got, err)
			}
			if got := a.AuthType; got != AuthNone {
				t.Errorf("authentication %v", got)
			}
		})
	}
}

// Eight bytes of authentication data end a message of version 2 whatever its
// authentication, and its checksum covers them.
func TestVersion2EndsWithAuthenticationData(t *testing.T) {
	s := v2Settings()
	for _, auth := range []AuthType{AuthNone, AuthPass} {
		s.AuthType = auth
		s.Password = Password{}
		if auth == AuthPass {
			copy(s.Password[:], "1111")
		}
		b, err := AppendAdvert(nil, &s, 100, src, Group4())
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != 8+2*4+8 || len(b) != s.AdvertLen() || !bytes.Equal(b[16:], s.Password[:]) {
			t.Errorf("%v: %x", auth, b)
		}
		for i := range 8 {
			changed := slices.Clone(b)
			changed[16+i] ^= 1
			if _, why := Parse(changed, src, Group4()); why != DiscardChecksum {
				t.Errorf("%v: byte %d of the data changed: %v", auth, i, why)
			}
		}
		if checksum(0, b) != 0 {
			t.Errorf("%v: the checksum covers more than the message", auth)
		}
	}
}

// No bit of an advert can change on its way without being noticed, in any of the
// forms of the checksum; and where the checksum covers the addresses of the packet, an
// advert with others is not taken either.
func TestEveryBitIsCovered(t *testing.T) {
	type packet struct {
		name     string
		pdu      []byte
		src, dst netip.Addr
		pseudo   bool
	}
	var all []packet
	for _, c := range captured {
		from := netip.MustParseAddr(c.src)
		pdu := unhex(t, c.message)
		all = append(all, packet{c.name, pdu, from, FamilyOf(from).Group(), pdu[0]>>4 == 3})
	}
	s := v3Settings()
	s.Checksum = ChecksumPlain
	plain, err := AppendAdvert(nil, &s, 100, src, Group4())
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, packet{"plain", plain, src, Group4(), false})
	for _, p := range all {
		for i := range len(p.pdu) * 8 {
			b := slices.Clone(p.pdu)
			b[i/8] ^= 1 << (i % 8)
			if a, why := Parse(b, p.src, p.dst); why == DiscardNone {
				t.Errorf("%s: bit %d of byte %d flipped: taken as %+v", p.name, i%8, i/8, a)
			}
		}
		for _, other := range [][2]netip.Addr{{p.src.Next(), p.dst}, {p.src, p.dst.Next()}} {
			if _, why := Parse(p.pdu, other[0], other[1]); (why == DiscardChecksum) != p.pseudo {
				t.Errorf("%s from %v to %v: %v", p.name, other[0], other[1], why)
			}
		}
	}
}

// The interval of version 3 has twelve bits, below four that are sent as zero.
func TestIntervalOnTheWire(t *testing.T) {
	for interval, want := range map[time.Duration][2]byte{
		10 * time.Millisecond: {0, 1}, time.Second: {0, 100}, 40950 * time.Millisecond: {0x0f, 0xff},
	} {
		s := v3Settings()
		s.AdvertInterval = interval
		b, err := AppendAdvert(nil, &s, 100, src, Group4())
		if err != nil || [2]byte(b[4:6]) != want {
			t.Errorf("%v: %x, %v", interval, b, err)
		}
		if a, _ := Parse(b, src, Group4()); a.Interval != interval {
			t.Errorf("%v becomes %v", interval, a.Interval)
		}
	}
	s := v2Settings()
	s.AdvertInterval = 255 * time.Second
	b, err := AppendAdvert(nil, &s, 100, src, Group4())
	if err != nil || b[5] != 255 {
		t.Errorf("255 s in version 2: %x, %v", b, err)
	}
}

// The address owner takes part like everybody else (RFC 9568 erratum 8298): it
// answers others, and does not drop what they say.
func TestOwnerHearsOthers(t *testing.T) {
	set := base(3)
	set.Priority = PriorityOwner
	s := start(t, set)
	s.want(0, startUp, "advert 255, acquire 5, INIT->MASTER owner")
	s.want(500*time.Millisecond, advert(peer, 254, time.Second), "advert 255, announce 5")
	s.wantDeadline(1500 * time.Millisecond)
	s.want(2*time.Second, advert(below, 255, time.Second), "advert 255, announce 5")
}

// A MASTER that yields waits by the winner's interval from then on, in version 3.
func TestYieldingMasterLearnsTheInterval(t *testing.T) {
	for version, want := range map[uint8]time.Duration{2: 3*time.Second + skew100, 3: (3*time.Second + skew100) / 5} {
		s := master(t, base(version))
		s.want(100*time.Millisecond, advert(peer, 200, 200*time.Millisecond), "advert 100, release, MASTER->BACKUP higher_priority")
		s.wantDeadline(100*time.Millisecond + want)
	}
}

// The mark of a heartbeat path is taken off whole or not at all.
func FuzzTakeSender(f *testing.F) {
	for _, c := range captured {
		f.Add(unhex(f, c.message), FamilyOf(netip.MustParseAddr(c.src)) == IPv6)
	}
	s := v3Settings()
	s.Addresses = HeartbeatAddresses(addresses, src)
	b, err := AppendAdvert(nil, &s, 100, src, Group4())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, false)
	s = v6Settings(HeartbeatAddresses([]netip.Addr{local6}, src6)...)
	if b, err = AppendAdvert(nil, &s, 100, src6, IPv6.Group()); err != nil {
		f.Fatal(err)
	}
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, pdu []byte, six bool) {
		from := src
		if six {
			from = src6
		}
		a, why := Parse(pdu, from, FamilyOf(from).Group())
		if why != DiscardNone {
			return
		}
		n := a.Addresses()
		sender, ok := a.TakeSender()
		switch {
		case !ok && (a.Addresses() != n || sender.IsValid()):
			t.Errorf("no mark, yet %v and %d of %d addresses", sender, a.Addresses(), n)
		case ok && (a.Addresses() != n-2 || n < 3 || FamilyOf(sender) != FamilyOf(from) || sender.IsMulticast() || sender.IsUnspecified()):
			t.Errorf("%v, and %d of %d addresses", sender, a.Addresses(), n)
		}
	})
}
