package vrrpd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/bfd"
	bfdlink "director/bfd/link"
	"director/vrrp"
)

// Whoever has priority 255 takes packets to its addresses, others take them with
// Accept_Mode alone (RFC 9568 section 6.4.3).
func TestWhoAccepts(t *testing.T) {
	for _, tc := range []struct {
		prio    uint8
		accept  bool
		dropped bool
	}{{255, true, false}, {255, false, false}, {254, true, false}, {254, false, true}} {
		w := newWorld(t)
		in := instance("web", 51, tc.prio, "192.0.2.10/24")
		in.Accept = tc.accept
		w.configure(nil, in)
		w.pass(10 * time.Second)
		if i := w.router("web"); i.State != "MASTER" {
			t.Fatalf("it is %s", i.State)
		}
		if got := strings.Contains(strings.Join(w.log, "\n"), "add drop of what is sent to 192.0.2.10 itself"); got != tc.dropped {
			t.Errorf("priority %d, accept %v: packets are dropped: %v", tc.prio, tc.accept, got)
		}
	}
}

// Each list of addresses is of the family of the packet that carries it.
func TestFamilyOfTheList(t *testing.T) {
	c := instance("web", 51, 100, "2001:db8::10/64", "192.0.2.10/24", "192.0.2.11/24", "fe80::51/64")
	for family, want := range map[vrrp.Family][]string{
		vrrp.IPv4: {"192.0.2.10", "192.0.2.11"}, vrrp.IPv6: {"fe80::51", "2001:db8::10"},
	} {
		var got []string
		for _, a := range familySettings(&c, family).Addresses {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", family, got, want)
		}
	}
}

// Discriminators differ among the sessions of a host, are never 0, and cannot be
// guessed from those of another start.
func TestBFDDiscriminators(t *testing.T) {
	seen := make(map[uint32]bool)
	for range 20 {
		w := newBFDWorld(t, session("one", "192.0.2.2"), session("two", "192.0.2.3"), session("three", "2001:db8::2"))
		w.configureBFD(nil, instance("web", 51, 100, "192.0.2.10/32"))
		for _, b := range w.e.snapshot().BFD {
			if b.Discr == 0 || seen[b.Discr] {
				t.Errorf("%s has the discriminator %#x", b.Name, b.Discr)
			}
			seen[b.Discr] = true
		}
	}
}

// Two sessions to one neighbour, over IPv4 and IPv6, know nothing of each other.
func TestBFDOneSessionPerFamily(t *testing.T) {
	w := newBFDWorld(t, session("four", "192.0.2.2"), session("six", "2001:db8::2"))
	w.configureBFD(nil, instance("web", 51, 100, "192.0.2.10/32"))
	if len(w.listen) != 2 {
		t.Errorf("%d listeners", len(w.listen))
	}
	over6 := func(your uint32) func(*bfd.Packet, *bfdlink.Datagram) {
		return func(p *bfd.Packet, d *bfdlink.Datagram) {
			p.YourDiscr, d.Src, d.Dst = your, netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8::1")
		}
	}
	w.say(bfd.Down, over6(0))
	if four, six := w.status("four"), w.status("six"); four.State != "Down" || four.Received != 0 || six.State != "Init" {
		t.Errorf("IPv4 is %s, IPv6 is %s", four.State, six.State)
	}
	// Nor does the discriminator of the one reach the other by the wrong way.
	w.say(bfd.Up, over6(w.status("four").Discr))
	if four := w.status("four"); four.State != "Down" || four.Discards["address"] != 1 {
		t.Errorf("IPv4 is %s, dropped %v", four.State, four.Discards)
	}
}
