package vrrp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// Signed adverts, computed from the description of the format by a program of
// their own: message, trailer and the keys below.
var signed = []struct {
	name, src, message, trailer string
	secret                      []byte
	id                          uint8
	nanos                       int // of the second 1764000000
	counter                     int
}{
	{"version 3", "10.99.0.1", "3133ff020064cedf0a6300640a630065", "010100006924810080000000a38ac6629dd071e1dc932db1063f8092", key32, 1, 500e6, 0},
	{"the same by unicast", "10.99.0.1", "3133ff020064a48d0a6300640a630065", "010100006924810080000000a38ac6629dd071e1dc932db1063f8092", key32, 1, 500e6, 0},
	{"version 2", "10.99.0.1", "21336401000170030a6300640000000000000000", "01ff000069248100ffffffffc98302546d947e1e19fe73bd71d06b2d", key64, 255, 999_985_000, 0xffff},
	{"IPv6", "fe80::1", "310700020064a229fe80000000000000000000000000010020010db8000000000000000000000100", "0102000069248100000100023231bbed973ef8be5979593b9934fcc4", key64, 2, 16_000, 2},
}

var (
	key32 = []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")
	key64 = bytes.Repeat([]byte("0123456789abcdef"), 4)
	// signedAt is the time of the vectors, with a monotonic reading.
	signedAt = time.Unix(1764000000, 0)
)

const window = 5 * time.Second

func hmacWith(mode AuthMode, replay ReplayMode, active uint8, keys ...Key) *HMAC {
	return NewHMAC(HMACSettings{Keys: keys, Active: active, Mode: mode, Replay: replay, Window: window, Senders: 4})
}

func one(mode AuthMode, replay ReplayMode) *HMAC {
	return hmacWith(mode, replay, 1, Key{1, key32})
}

// message is an advert as Parse would leave it.
func message(pdu, trailer []byte) *Advert {
	return &Advert{Version: pdu[0] >> 4, Interval: time.Second, message: pdu, Trailer: trailer}
}

func TestTrailerVectors(t *testing.T) {
	for _, v := range signed {
		t.Run(v.name, func(t *testing.T) {
			pdu, trailer, from := unhex(t, v.message), unhex(t, v.trailer), netip.MustParseAddr(v.src)
			now := signedAt.Add(time.Duration(v.nanos))
			h := hmacWith(ModeEnforce, ReplayTime, v.id, Key{v.id, v.secret})
			if isSigned, why := h.Verify(message(pdu, trailer), from, now); !isSigned || why != DiscardNone {
				t.Errorf("Verify: %v, %v", isSigned, why)
			}
			var got []byte
			for range v.counter + 1 { // in the same moment
				got = h.Sign(pdu, from, now)
			}
			if hex.EncodeToString(got) != v.trailer {
				t.Errorf("signed %x, want %s", got, v.trailer)
			}
			if from.Is4() {
				dst := Group4()
				if v.name == "the same by unicast" {
					dst = netip.MustParseAddr("10.99.0.2")
				}
				a, why := Parse(append(slices.Clone(pdu), trailer...), from, dst)
				if why != DiscardNone || !bytes.Equal(a.Trailer, trailer) || !bytes.Equal(a.message, pdu) {
					t.Errorf("Parse: %v, trailer %x", why, a.Trailer)
				}
			}
			// Every bit counts, but those of the checksum; and so does the sender.
			for i := range len(pdu)*8 + len(trailer)*8 {
				p, tr := slices.Clone(pdu), slices.Clone(trailer)
				if i < len(pdu)*8 {
					p[i/8] ^= 1 << (i % 8)
				} else {
					tr[i/8-len(pdu)] ^= 1 << (i % 8)
				}
				fresh := hmacWith(ModePermissive, ReplayMonotonic, v.id, Key{v.id, v.secret})
				_, why := fresh.Verify(message(p, tr), from, now)
				if inChecksum := i/8 == 6 || i/8 == 7; inChecksum != (why == DiscardNone) {
					t.Errorf("bit %d of byte %d flipped: %v", i%8, i/8, why)
				}
			}
			if _, why := hmacWith(ModeEnforce, ReplayTime, v.id, Key{v.id, v.secret}).Verify(message(pdu, trailer), from.Next(), now); why != DiscardICV {
				t.Errorf("from another sender: %v", why)
			}
		})
	}
}

func TestTrailerFaults(t *testing.T) {
	pdu, good := unhex(t, signed[0].message), unhex(t, signed[0].trailer)
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	for name, tc := range map[string]struct {
		trailer []byte
		want    [2]Discard // enforce, receive-only
	}{
		"none":          {nil, [2]Discard{DiscardUnsigned, DiscardNone}},
		"short":         {good[:27], [2]Discard{DiscardTrailer, DiscardTrailer}},
		"long":          {append(slices.Clone(good), 0), [2]Discard{DiscardTrailer, DiscardTrailer}},
		"one byte":      {good[:1], [2]Discard{DiscardTrailer, DiscardTrailer}},
		"another type":  {change(0, 2), [2]Discard{DiscardTrailer, DiscardTrailer}},
		"reserved":      {change(3, 1), [2]Discard{DiscardTrailer, DiscardTrailer}},
		"unknown key":   {change(1, 2), [2]Discard{DiscardKey, DiscardKey}},
		"wrong tag":     {change(27, 0), [2]Discard{DiscardICV, DiscardICV}},
		"changed time":  {change(5, 0), [2]Discard{DiscardICV, DiscardICV}},
		"as it is sent": {good, [2]Discard{}},
	} {
		for i, mode := range []AuthMode{ModeEnforce, ModeReceiveOnly} {
			h := one(mode, ReplayTime)
			isSigned, why := h.Verify(message(pdu, tc.trailer), src, signedAt)
			if why != tc.want[i] || isSigned != (len(tc.trailer) > 0) {
				t.Errorf("%s, %v: %v, %v", name, mode, isSigned, why)
			}
			if n := count(h); (n > 0) != (isSigned && why == DiscardNone) {
				t.Errorf("%s, %v: %d senders remembered", name, mode, n)
			}
		}
	}
	if got := one(ModeReceiveOnly, ReplayTime).Sign(pdu, src, signedAt); len(got) != 0 {
		t.Errorf("receive-only signs: %x", got)
	}
	if got := one(ModePermissive, ReplayTime).Sign(pdu, src, signedAt); len(got) != TrailerLen {
		t.Errorf("permissive does not sign: %x", got)
	}
}

func count(h *HMAC) (n int) {
	h.Senders(func(Sender) { n++ })
	return n
}

// TestRotation: a second key on both, then the other becomes the active one on
// one after the other, then the first goes. No advert is lost at any step.
func TestRotation(t *testing.T) {
	k1, k2 := Key{1, key32}, Key{2, key64}
	pdu := unhex(t, signed[0].message)
	a, b := one(ModeEnforce, ReplayTime), one(ModeEnforce, ReplayTime)
	addrs := [2]netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.2")}
	now := signedAt
	exchange := func(step string, keyA, keyB uint8) {
		t.Helper()
		for _, way := range []struct {
			from, to *HMAC
			src      netip.Addr
			key      uint8
		}{{a, b, addrs[0], keyA}, {b, a, addrs[1], keyB}} {
			now = now.Add(time.Second)
			trailer := slices.Clone(way.from.Sign(pdu, way.src, now))
			if _, why := way.to.Verify(message(pdu, trailer), way.src, now); why != DiscardNone || trailer[1] != way.key {
				t.Errorf("%s: key %d, %v", step, trailer[1], why)
			}
			if _, why := way.to.Verify(message(pdu, trailer), way.src, now); why != DiscardReplay {
				t.Errorf("%s: sent again: %v", step, why)
			}
			way.to.Senders(func(s Sender) {
				if s != (Sender{way.src, way.key, now}) {
					t.Errorf("%s: remembered %+v", step, s)
				}
			})
		}
	}
	set := func(h *HMAC, active uint8, keys ...Key) {
		s := *h.Settings()
		s.Keys, s.Active = keys, active
		h.Reconfigure(s)
	}
	exchange("one key", 1, 1)
	set(a, 1, k1, k2)
	exchange("key 2 on A", 1, 1)
	set(b, 1, k1, k2)
	exchange("key 2 on B", 1, 1)
	set(a, 2, k1, k2)
	exchange("A signs with 2", 2, 1)
	set(b, 2, k2)
	exchange("B signs with 2 and knows 1 no more", 2, 2)
	old := slices.Clone(a.Sign(pdu, addrs[0], now.Add(time.Millisecond)))
	set(a, 2, k2)
	exchange("A knows 1 no more", 2, 2)
	if _, why := b.Verify(message(pdu, old), addrs[0], now); why != DiscardReplay {
		t.Errorf("an advert from before the last step: %v", why)
	}
}

func TestHMACAllocatesNothing(t *testing.T) {
	pdu := unhex(t, signed[0].message)
	for _, replay := range []ReplayMode{ReplayTime, ReplayMonotonic} {
		a, b := one(ModeEnforce, replay), one(ModeEnforce, replay)
		now, buf := signedAt, make([]byte, 0, 128)
		if n := testing.AllocsPerRun(200, func() {
			now = now.Add(time.Second)
			buf = append(append(buf[:0], pdu...), a.Sign(pdu, src, now)...)
			adv, why := Parse(buf, src, Group4())
			if _, bad := b.Verify(&adv, src, now); why != DiscardNone || bad != DiscardNone {
				t.Fatal(why, bad)
			}
		}); n != 0 {
			t.Errorf("%v: a signed advert costs %v allocations", replay, n)
		}
	}
}

func BenchmarkHMAC(b *testing.B) {
	pdu, _ := hex.DecodeString(signed[0].message)
	s, r := one(ModeEnforce, ReplayTime), one(ModeEnforce, ReplayTime)
	now := signedAt
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		if _, why := r.Verify(message(pdu, s.Sign(pdu, src, now)), src, now); why != DiscardNone {
			b.Fatal(why)
		}
	}
}

// TestNothingShowsAKey formats everything that holds a secret.
func TestNothingShowsAKey(t *testing.T) {
	secret := "geheim-geheim-geheim-geheim-gehe"
	h := hmacWith(ModeEnforce, ReplayTime, 1, Key{1, []byte(secret)})
	s := v2Settings()
	copy(s.Password[:], secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, v := range []any{h, h.settings, &h.settings, h.settings.Keys, h.settings.Keys[0], &h.settings.Keys[0], s, &s, s.Password} {
			got := fmt.Sprintf(verb, v)
			for _, leak := range []string{"geheim", hex.EncodeToString([]byte("geheim")), "67656865", "103, 101", "103 101", "0x67, 0x65"} {
				if bytes.Contains(bytes.ToLower([]byte(got)), []byte(leak)) {
					t.Errorf("%s of %T shows %s", verb, v, got)
				}
			}
		}
	}
}

// FuzzTrailer: whatever follows a message, nothing is taken that was not signed.
func FuzzTrailer(f *testing.F) {
	for _, v := range signed {
		f.Add(unhex(f, v.message), unhex(f, v.trailer), v.src == "fe80::1")
	}
	f.Add(unhex(f, keepalivedV2), []byte{}, false)
	f.Fuzz(func(t *testing.T, pdu, trailer []byte, six bool) {
		from := src
		if six {
			from = netip.MustParseAddr("fe80::1")
		}
		a, why := Parse(append(slices.Clone(pdu), trailer...), from, Group4())
		if why != DiscardNone {
			if len(pdu) < headerLen {
				return
			}
			a = *message(pdu, trailer)
		}
		h := hmacWith(ModeEnforce, ReplayMonotonic, 1, Key{1, bytes.Repeat([]byte("x"), 32)})
		if _, why := h.Verify(&a, from, signedAt); why == DiscardNone {
			t.Errorf("taken: %x %x", a.message, a.Trailer)
		}
		own := h.Sign(a.message, from, signedAt)
		if _, why := h.Verify(message(a.message, slices.Clone(own)), from, signedAt); why != DiscardNone {
			t.Errorf("our own: %v", why)
		}
	})
}
