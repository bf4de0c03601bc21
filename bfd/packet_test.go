package bfd

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Packets of other implementations, as captured on a link: FRR 8.4.4 and BIRD 2.0.12
// in one session.
var captured = map[string]string{
	"FRR down":              "204004184f4f94c200000000000f4240000f42400000c350",
	"FRR init":              "208004184f4f94c201d9b758000f4240000f42400000c350",
	"FRR up, poll":          "20e004184f4f94c201d9b758000493e0000493e00000c350",
	"FRR up, final":         "20d004184f4f94c201d9b758000493e0000493e00000c350",
	"FRR up":                "20c004184f4f94c201d9b758000493e0000493e00000c350",
	"BIRD down":             "2040051801d9b75800000000000f4240000493e000000000",
	"BIRD up, poll":         "20e0051801d9b7584f4f94c2000493e0000493e000000000",
	"BIRD up, final":        "20d0051801d9b7584f4f94c2000493e0000493e000000000",
	"BIRD up":               "20c0051801d9b7584f4f94c2000493e0000493e000000000",
	"BIRD, after a silence": "2140051801d9b75800000000000f4240000493e000000000",
}

func sample() Packet {
	return Packet{
		Diag: DiagPeerDown, State: Up, Poll: true, Independent: true, Multiplier: 3, MyDiscr: 0x01020304, YourDiscr: 0x0a0b0c0d,
		MinTx: 50 * time.Millisecond, MinRx: 300 * time.Millisecond, MinEchoRx: 7 * time.Microsecond,
	}
}

func TestPacketOnTheWire(t *testing.T) {
	p := sample()
	const want = "23e803180102030" + "40a0b0c0d0000c350000493e000000007"
	wire := AppendPacket(nil, &p)
	if got := hex.EncodeToString(wire); got != want {
		t.Errorf("packet is %s\nwant      %s", got, want)
	}
	if got, why := Parse(wire); why != DiscardNone || got != p {
		t.Errorf("dropped: %v\n%s", why, cmp.Diff(p, got))
	}
	p.MinTx = 100 * time.Hour // more than fits
	if got, _ := Parse(AppendPacket(nil, &p)); got.MinTx != 0xffffffff*time.Microsecond {
		t.Errorf("100 h became %v", got.MinTx)
	}
	for name, text := range captured {
		b, _ := hex.DecodeString(text)
		if _, why := Parse(b); why != DiscardNone {
			t.Errorf("%s is dropped: %v", name, why)
		}
	}
}

func TestB1PacketsThatAreDropped(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(b []byte) []byte
		want   Discard
	}{
		"whole":              {func(b []byte) []byte { return b }, DiscardNone},
		"followed by more":   {func(b []byte) []byte { return append(b, 1, 2, 3) }, DiscardNone},
		"empty":              {func([]byte) []byte { return nil }, DiscardShort},
		"cut":                {func(b []byte) []byte { return b[:23] }, DiscardShort},
		"version 0":          {func(b []byte) []byte { b[0] &= 0x1f; return b }, DiscardVersion},
		"version 2":          {func(b []byte) []byte { b[0] = b[0]&0x1f | 2<<5; return b }, DiscardVersion},
		"length 23":          {func(b []byte) []byte { b[3] = 23; return b }, DiscardLength},
		"beyond the payload": {func(b []byte) []byte { b[3] = 25; return b }, DiscardLength},
		"auth in 24 bytes":   {func(b []byte) []byte { b[1] |= flagAuth; return b }, DiscardLength},
		"multiplier":         {func(b []byte) []byte { b[2] = 0; return b }, DiscardMultiplier},
		"multipoint":         {func(b []byte) []byte { b[1] |= flagMultipoint; return b }, DiscardMultipoint},
		"my discriminator":   {func(b []byte) []byte { clear(b[4:8]); return b }, DiscardMyDiscr},
	} {
		p := sample()
		if _, why := Parse(tc.change(AppendPacket(nil, &p))); why != tc.want {
			t.Errorf("%s: %v, want %v", name, why, tc.want)
		}
	}
}

func TestB3YourDiscriminatorMissing(t *testing.T) {
	for state, want := range map[State]Discard{AdminDown: DiscardNone, Down: DiscardNone, Init: DiscardYourDiscr, Up: DiscardYourDiscr} {
		p := sample()
		p.State, p.YourDiscr = state, 0
		if _, why := Parse(AppendPacket(nil, &p)); why != want {
			t.Errorf("state %v: %v, want %v", state, why, want)
		}
	}
}

func TestB4AuthenticationIsRefused(t *testing.T) {
	p := sample()
	b := append(AppendPacket(nil, &p), 1, 9, 1, 's', 'e', 'c', 'r', 'e', 't')
	b[1] |= flagAuth
	b[3] = byte(len(b))
	if _, why := Parse(b); why != DiscardAuth {
		t.Errorf("%v, want %v", why, DiscardAuth)
	}
}

func TestB17IntervalsAreMicroseconds(t *testing.T) {
	p := Packet{State: Down, Multiplier: 3, MyDiscr: 1, MinTx: time.Second, MinRx: 1500 * time.Microsecond}
	b := AppendPacket(nil, &p)
	if want := []byte{0, 0x0f, 0x42, 0x40, 0, 0, 0x05, 0xdc, 0, 0, 0, 0}; !bytes.Equal(b[12:], want) {
		t.Errorf("intervals are % x, want % x", b[12:], want)
	}
}

func TestNames(t *testing.T) {
	seen := make(map[string]string)
	check := func(kind string, n int, name func(int) string) {
		for i := range n {
			s := name(i)
			if s == "" || s == name(n) || seen[kind+s] != "" {
				t.Errorf("%s %d is called %q", kind, i, s)
			}
			seen[kind+s] = s
		}
	}
	check("state", int(numStates), func(i int) string { return State(i).String() })
	check("diagnostic", int(numDiags), func(i int) string { return Diag(i).String() })
	check("discard", NumDiscards, func(i int) string { return Discard(i).String() })
	check("reason", int(numReasons), func(i int) string { return Reason(i).String() })
	check("event", int(numEvents), func(i int) string { return EventKind(i).String() })
	check("action", int(numActions), func(i int) string { return ActionKind(i).String() })
}

// What is accepted is sound, and says the same when it is written again.
func FuzzParse(f *testing.F) {
	for _, text := range captured {
		b, _ := hex.DecodeString(text)
		f.Add(b)
	}
	p := sample()
	f.Add(AppendPacket(nil, &p))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, why := Parse(b)
		if why != DiscardNone {
			if p != (Packet{}) {
				t.Errorf("dropped (%v) and yet read: %+v", why, p)
			}
			return
		}
		if p.Multiplier == 0 || p.MyDiscr == 0 || p.YourDiscr == 0 && p.State > Down {
			t.Errorf("accepted %+v", p)
		}
		wire := AppendPacket(nil, &p)
		if again, why := Parse(wire); why != DiscardNone || again != p {
			t.Errorf("%v: %s", why, cmp.Diff(p, again))
		}
		wire[3] = b[3] // the length, which may count an unknown tail
		if !bytes.Equal(wire, b[:PacketLen]) {
			t.Errorf("% x became % x", b[:PacketLen], wire)
		}
		s := New(time.Unix(0, 0), 7, settings, func() float64 { return 0 })
		s.Step(time.Unix(0, 0), Event{Kind: EventStart}, nil)
		s.Step(time.Unix(0, 1), Event{Kind: EventPacket, Packet: p}, nil)
		if s.DetectTime() < 0 || s.TxInterval() < 0 {
			t.Errorf("detection time %v, interval %v", s.DetectTime(), s.TxInterval())
		}
	})
}
