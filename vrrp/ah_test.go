package vrrp

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Packets that keepalived 2.2.7 sent from 192.0.2.2 with auth_type AH and the
// password s3cret: to the multicast group, and to 192.0.2.1. VRID 51, priority
// 200, 192.0.2.100 and 192.0.2.101, every second; the first three of each.
var (
	keepalivedAH = []string{
		"45c0004400010000ff3318b1c0000202e000001270040000c000020200000001982938036b2f38d3c284d4902133c80202018ffec0000264c00002650000000000000000",
		"45c0004400020000ff3318b0c0000202e000001270040000c000020200000002741ec624dcd4b7e1a95e30332133c80202018ffec0000264c00002650000000000000000",
		"45c0004400030000ff3318afc0000202e000001270040000c000020200000003355ada007a33737b963289a92133c80202018ffec0000264c00002650000000000000000",
	}
	keepalivedAHUnicast = []string{
		"45c0004400010000ff3336c2c0000202c000020170040000c0000202000000012852addbd3b4e42c495e08002133c80202018ffec0000264c00002650000000000000000",
		"45c0004400020000ff3336c1c0000202c000020170040000c00002020000000258a8643ea0c7d71d77941c0e2133c80202018ffec0000264c00002650000000000000000",
		"45c0004400030000ff3336c0c0000202c000020170040000c00002020000000335789bf80d4e5668bedb42692133c80202018ffec0000264c00002650000000000000000",
	}
)

func ahPassword(s string) (p Password) {
	copy(p[:], s)
	return p
}

func newAH(password string) *AH { return NewAH(ahPassword(password), 2, time.Unix(0, 0)) }

func ahSettings() Settings {
	return Settings{
		VRID: 51, Version: 2, Priority: 200, AdvertInterval: time.Second, AuthType: AuthAH,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101")},
	}
}

func TestAHOfKeepalived(t *testing.T) {
	for name, packets := range map[string][]string{"multicast": keepalivedAH, "unicast": keepalivedAHUnicast} {
		t.Run(name, func(t *testing.T) {
			mine, theirs := newAH("s3cret"), newAH("s3cret")
			set := ahSettings()
			for n, packet := range packets {
				b := unhex(t, packet)
				from, to := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
				pdu, ok := SplitAH(b[20:])
				a, why := Parse(pdu, from, to)
				if !ok || why != DiscardNone || a.AuthType != AuthAH || a.Priority != 200 {
					t.Fatalf("packet %d: %v, %v, %+v", n, ok, why, a)
				}
				if why := mine.Verify(b[:20], b[20:], signedAt); why != DiscardNone || mine.seq != uint32(n+1) {
					t.Errorf("packet %d: %v, sequence %d", n, why, mine.seq)
				}
				if why := mine.Verify(b[:20], b[20:], signedAt); why != DiscardReplay {
					t.Errorf("packet %d again: %v", n, why)
				}
				pdu, err := AppendAdvert(nil, &set, 200, from, to)
				if err != nil {
					t.Fatal(err)
				}
				got := theirs.AppendPacket(nil, pdu, from, to, 255)
				copy(got[10:12], b[10:12]) // the kernel's
				if hex.EncodeToString(got) != packet {
					t.Errorf("made %x\nkeepalived sends %s", got, packet)
				}
				// What routers change on the way does not count, all else does. In the
				// multicast group there is no router.
				for i := range len(b) * 8 {
					changed := slices.Clone(b)
					changed[i/8] ^= 1 << (i % 8)
					mutable := i/8 == 1 || i/8 == 6 || i/8 == 7 || i/8 == 10 || i/8 == 11 || i/8 == 8 && name == "unicast"
					if why := newAH("s3cret").Verify(changed[:20], changed[20:], signedAt); (why == DiscardNone) != mutable {
						t.Errorf("bit %d of byte %d flipped: %v", i%8, i/8, why)
					}
				}
				if why := newAH("other").Verify(b[:20], b[20:], signedAt); why != DiscardICV {
					t.Errorf("another password: %v", why)
				}
			}
		})
	}
}

// TestAHSequence: one number for all that is sent and heard, as keepalived wants
// it; each sender by itself for what is taken.
func TestAHSequence(t *testing.T) {
	set := ahSettings()
	addr := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }
	send := func(h *AH, from byte) []byte {
		pdu, err := AppendAdvert(nil, &set, 200, addr(from), Group4())
		if err != nil {
			t.Fatal(err)
		}
		return h.AppendPacket(nil, pdu, addr(from), Group4(), 255)
	}
	now := signedAt
	hear := func(h *AH, b []byte, want Discard) {
		t.Helper()
		now = now.Add(time.Second)
		if why := h.Verify(b[:20], b[20:], now); why != want {
			t.Errorf("%v, want %v", why, want)
		}
	}
	a, b, c := newAH("x"), newAH("x"), newAH("x")
	old := send(a, 1)
	for range 5 {
		hear(b, send(a, 1), DiscardNone)
	}
	hear(b, old, DiscardReplay)
	if send(b, 2); b.seq != 7 {
		t.Errorf("the number after %d is %d", a.seq, b.seq)
	}
	for range 9 { // b and c do not hear each other
		send(b, 2)
	}
	hear(c, send(a, 1), DiscardNone)
	hear(c, send(a, 1), DiscardNone)
	hear(b, send(a, 1), DiscardNone) // although b's own is higher
	hear(a, send(b, 2), DiscardNone)
	if a.seq != b.seq {
		t.Errorf("%d and %d", a.seq, b.seq)
	}
	// A third sender takes the place of the one that was silent for longest.
	hear(c, send(b, 2), DiscardNone)
	hear(c, send(c, 3), DiscardNone)
	hear(c, send(b, 2), DiscardNone)

	// Begun at the time of day, the number of a restarted router is higher.
	first := NewAH(ahPassword("x"), 1, signedAt)
	if again := NewAH(ahPassword("x"), 1, signedAt.Add(time.Second)); again.seq <= first.seq || first.seq < 1<<28 {
		t.Errorf("%d, then %d", first.seq, again.seq)
	}
	if h := NewAH(ahPassword("x"), 1, time.Unix(100, 0)); h.seq != 0 {
		t.Errorf("begins at %d when the clock is not set", h.seq)
	}
	h := newAH("x")
	for h.id = 0xffff; h.id != 1; {
		if send(h, 1); h.id == 0 {
			t.Fatal("identification 0, which the kernel replaces")
		}
	}
	// A changed password keeps what is known.
	last := send(a, 1)
	hear(b, last, DiscardNone)
	b.Reconfigure(ahPassword("y"), 3)
	hear(b, last, DiscardICV)
	b.Reconfigure(ahPassword("x"), 3)
	hear(b, last, DiscardReplay)
	if got := fmt.Sprintf("%v %+v %#v %s %x", b, b, b, b, b); strings.Contains(got, "x\\x") || strings.Contains(got, "mac") {
		t.Errorf("prints %s", got)
	}
}

func TestAHAllocatesNothing(t *testing.T) {
	set := ahSettings()
	pdu, err := AppendAdvert(nil, &set, 200, src, Group4())
	if err != nil {
		t.Fatal(err)
	}
	a, b, buf := newAH("x"), newAH("x"), make([]byte, 0, 128)
	if n := testing.AllocsPerRun(200, func() {
		buf = a.AppendPacket(buf[:0], pdu, src, Group4(), 255)
		if why := b.Verify(buf[:20], buf[20:], signedAt); why != DiscardNone {
			t.Fatal(why)
		}
	}); n != 0 {
		t.Errorf("an advert costs %v allocations", n)
	}
}

// FuzzAH: nothing but what was signed is taken.
func FuzzAH(f *testing.F) {
	for _, p := range append(slices.Clone(keepalivedAH), keepalivedAHUnicast...) {
		f.Add(unhex(f, p))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		header := b[:min(20, len(b))]
		if why := newAH("unheard").Verify(header, b[len(header):], signedAt); why == DiscardNone {
			t.Errorf("taken: %x", b)
		}
		if pdu, ok := SplitAH(b[len(header):]); ok {
			Parse(pdu, src, Group4())
		}
	})
}
