package vrrp

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Messages over IPv6, without the IP header: keepalived 2.2.7 sent the one from
// fe80::2, FRR 8.4.4 the other from fe80::51, both to ff02::12. Neither puts a
// link-local address first.
const (
	keepalivedIPv6 = "3133ff020064a3aa" + "20010db8000000000000000000000100" + "fe800000000000000000000000000051"
	frrIPv6        = "31335a01000a4799" + "20010db8000000000000000000000100"
)

var (
	src6    = netip.MustParseAddr("fe80::2")
	global6 = netip.MustParseAddr("2001:db8::100")
	local6  = netip.MustParseAddr("fe80::51")
)

func v6Settings(addrs ...netip.Addr) Settings {
	return Settings{VRID: 51, Version: 3, Family: IPv6, Priority: 255, AdvertInterval: time.Second, Addresses: addrs}
}

func TestPacketsOverIPv6(t *testing.T) {
	for _, tc := range []struct {
		name, packet string
		src          netip.Addr
		priority     uint8
		interval     time.Duration
		addrs        []netip.Addr
	}{
		{"keepalived", keepalivedIPv6, src6, 255, time.Second, []netip.Addr{global6, local6}},
		{"FRR", frrIPv6, local6, 90, 100 * time.Millisecond, []netip.Addr{global6}},
	} {
		a, why := Parse(unhex(t, tc.packet), tc.src, IPv6.Group())
		if why != DiscardNone || a.VRID != 51 || a.Priority != tc.priority || a.Interval != tc.interval || a.Checksum != ChecksumPseudo {
			t.Fatalf("%s: %v, %+v", tc.name, why, a)
		}
		s := v6Settings(tc.addrs...)
		s.AdvertInterval = tc.interval
		if why := s.Check(&a, tc.src, IPv6.Group(), 255); why != DiscardNone {
			t.Errorf("%s: %v", tc.name, why)
		}
		if !a.SameAddresses(tc.addrs) || a.LinkLocalFirst() {
			t.Errorf("%s: addresses %v, %v", tc.name, a.Addresses(), a.Address(0))
		}
		got, err := AppendAdvert(nil, &s, tc.priority, tc.src, IPv6.Group())
		if err != nil || hex.EncodeToString(got) != tc.packet {
			t.Errorf("%s: encoded %x, %v", tc.name, got, err)
		}
		if s.AdvertLen() != len(got) {
			t.Errorf("%s: %d bytes, said to be %d", tc.name, len(got), s.AdvertLen())
		}
		// The checksum covers source and destination.
		if _, why := Parse(got, netip.MustParseAddr("fe80::3"), IPv6.Group()); why != DiscardChecksum {
			t.Errorf("%s from another source: %v", tc.name, why)
		}
		if _, why := Parse(got, tc.src, netip.MustParseAddr("ff02::13")); why != DiscardChecksum {
			t.Errorf("%s to another group: %v", tc.name, why)
		}
	}
}

func TestDiscardsOverIPv6(t *testing.T) {
	good := unhex(t, keepalivedIPv6)
	for _, tc := range []struct {
		name string
		edit func(b []byte) []byte
		sum  func(b []byte) uint32 // what the checksum covers beside the message
		want Discard
	}{
		{"good", func(b []byte) []byte { return b }, nil, DiscardNone},
		{"plain checksum", func(b []byte) []byte { return b }, func([]byte) uint32 { return 0 }, DiscardChecksum},
		{"version 2", func(b []byte) []byte { b[0] = 0x21; return append(b, make([]byte, 8)...) }, nil, DiscardVersion},
		{"half an address", func(b []byte) []byte { return b[:len(b)-8] }, nil, DiscardTruncated},
		{"more addresses than bytes", func(b []byte) []byte { b[3] = 3; return b }, nil, DiscardTruncated},
		{"no address", func(b []byte) []byte { b[3] = 0; return b[:8] }, nil, DiscardNoAddress},
		{"no interval", func(b []byte) []byte { b[4], b[5] = 0xf0, 0; return b }, nil, DiscardInterval},
		{"reserved bits", func(b []byte) []byte { b[4] |= 0xf0; return b }, nil, DiscardNone},
	} {
		b := tc.edit(slices.Clone(good))
		b[6], b[7] = 0, 0
		seed := pseudoSum(src6, IPv6.Group(), len(b))
		if tc.sum != nil {
			seed = tc.sum(b)
		}
		sum := checksum(seed, b)
		b[6], b[7] = byte(sum>>8), byte(sum)
		if _, why := Parse(b, src6, IPv6.Group()); why != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, why, tc.want)
		}
	}
}

func TestOtherGroup(t *testing.T) {
	a, _ := Parse(unhex(t, keepalivedIPv6), src6, IPv6.Group())
	s := v6Settings(global6)
	other := netip.MustParseAddr("ff02::77")
	for _, tc := range []struct {
		group, dst netip.Addr
		ttl        int
		want       Discard
	}{
		{netip.Addr{}, IPv6.Group(), 255, DiscardNone},
		{netip.Addr{}, other, 255, DiscardGroup},
		{other, other, 255, DiscardNone},
		{other, IPv6.Group(), 255, DiscardGroup},
		{other, other, 254, DiscardTTL},
	} {
		s.Group = tc.group
		if got := s.Check(&a, src6, tc.dst, tc.ttl); got != tc.want {
			t.Errorf("group %v, to %v with %d: %v, want %v", tc.group, tc.dst, tc.ttl, got, tc.want)
		}
	}
}

// Among equal priorities the higher address stays MASTER, compared as unsigned
// numbers in network byte order (V47).
func TestEqualPrioritiesOverBothFamilies(t *testing.T) {
	for _, tc := range []struct{ ours, theirs string }{
		{"fe80::1", "fe80::2"}, {"fe80::1:0:0:0", "fe80::ffff:0:0:0"}, {"fe80::7fff:ffff:ffff:ffff", "fe80::8000:0:0:0"},
		{"10.0.0.1", "192.0.0.1"}, {"127.255.255.255", "128.0.0.0"}, {"10.0.0.255", "10.0.1.0"},
	} {
		for _, loses := range []bool{true, false} {
			ours, theirs := netip.MustParseAddr(tc.ours), netip.MustParseAddr(tc.theirs)
			if !loses {
				ours, theirs = theirs, ours
			}
			s := Settings{VRID: 1, Version: 3, Family: FamilyOf(ours), Priority: 100, AdvertInterval: time.Second, Addresses: []netip.Addr{ours}}
			now := time.Now()
			i := New(now, s)
			i.SetSource(ours)
			i.Step(now, Event{Kind: EventResume}, nil)
			i.Step(now, Event{Kind: EventAdvert, Src: theirs, Priority: 100, Interval: time.Second}, nil)
			if lost := i.State() == Backup; lost != loses {
				t.Errorf("%v against %v: %v", ours, theirs, i.State())
			}
		}
	}
}

func TestIPv6AdvertsCostNoAllocation(t *testing.T) {
	s := v6Settings(local6, global6)
	buf := make([]byte, 0, 1500)
	pdu := unhex(t, keepalivedIPv6)
	if n := testing.AllocsPerRun(100, func() {
		buf, _ = AppendAdvert(buf[:0], &s, 100, src6, IPv6.Group())
		a, _ := Parse(pdu, src6, IPv6.Group())
		_ = s.Check(&a, src6, IPv6.Group(), 255)
		_ = a.SameAddresses(s.Addresses)
		_ = a.LinkLocalFirst()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A pair gives the other family as the reason where a sync group gives the group.
func TestPair(t *testing.T) {
	now := time.Now()
	four, six := New(now, v3Settings()), New(now, v6Settings(global6))
	g := NewPair(now)
	g.Regroup(now, []Member{{"IPv4", four}, {"IPv6", six}}, nil)
	g.Step(now, 0, Event{Kind: EventStart}, nil)
	g.Step(now, 1, Event{Kind: EventFault, Cause: Cause{Reason: ReasonNoSource, Detail: "x"}}, nil)
	if c := four.Cause(); four.State() != Fault || c.Reason != ReasonFamily || c.String() != "with IPv6: no source address: x" || !c.Shared() {
		t.Errorf("%v: %v", four.State(), c)
	}
	// It is the other's cause, and ends with it.
	g.Step(now, 0, Event{Kind: EventRecover}, nil)
	if four.State() != Fault {
		t.Errorf("IPv4 is %v while IPv6 is in FAULT", four.State())
	}
	g.Step(now, 1, Event{Kind: EventRecover}, nil)
	if four.State() == Fault || six.State() == Fault {
		t.Errorf("after the recovery: %v, %v", four.State(), six.State())
	}
}

func FuzzParseIPv6(f *testing.F) {
	f.Add(unhex(f, keepalivedIPv6))
	f.Add(unhex(f, frrIPv6))
	f.Add(unhex(f, keepalivedV2))
	f.Add([]byte{0x31, 1, 100, 255, 0, 100, 0, 0})
	for _, c := range captured {
		f.Add(unhex(f, c.message))
	}
	f.Fuzz(func(t *testing.T, pdu []byte) {
		for _, src := range []netip.Addr{src6, local6, netip.MustParseAddr("fe80::200:5eff:fe00:233")} {
			a, why := Parse(pdu, src, IPv6.Group())
			if why != DiscardNone {
				continue
			}
			if a.Version != 3 || a.Checksum != ChecksumPseudo {
				t.Fatalf("accepted %+v", a)
			}
			s := v6Settings()
			s.VRID, s.AdvertInterval = a.VRID, a.Interval
			for i := range a.Addresses() {
				s.Addresses = append(s.Addresses, a.Address(i))
			}
			again, err := AppendAdvert(nil, &s, a.Priority, src, IPv6.Group())
			if err != nil {
				t.Fatal(err)
			}
			b, why := Parse(again, src, IPv6.Group())
			if why != DiscardNone || b.Priority != a.Priority || b.Interval != a.Interval || !b.SameAddresses(s.Addresses) {
				t.Fatalf("%x became %x: %v", pdu, again, why)
			}
		}
	})
}
