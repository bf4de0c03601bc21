package vrrp

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ear is a router that hears signed adverts.
type ear struct {
	*testing.T
	*HMAC
	pdu []byte
}

// hears hands over an advert that was signed when its sender's clock showed made,
// and that arrives now.
func (e ear) hears(from netip.Addr, made, now time.Time) Discard {
	other := NewHMAC(*e.Settings())
	trailer := other.Sign(e.pdu, from, made)
	_, why := e.Verify(message(e.pdu, slices.Clone(trailer)), from, now)
	return why
}

func (e ear) want(what string, from netip.Addr, made, now time.Time, want Discard) {
	e.Helper()
	if got := e.hears(from, made, now); got != want {
		e.Errorf("%s: %v, want %v", what, got, want)
	}
}

func newEar(t *testing.T, replay ReplayMode) ear {
	return ear{t, one(ModeEnforce, replay), unhex(t, signed[0].message)}
}

func TestTimeWindow(t *testing.T) {
	for _, base := range []time.Time{signedAt, time.Unix(math.MaxUint32, 999e6)} { // 2106: the stamp wraps
		e := newEar(t, ReplayTime)
		e.want("first", src, base, base, DiscardNone)
		e.want("again", src, base, base.Add(time.Second), DiscardReplay)
		e.want("older", src, base.Add(-time.Millisecond), base, DiscardReplay)
		e.want("next", src, base.Add(time.Second), base.Add(time.Second), DiscardNone)
		e.want("behind, but newer", src, base.Add(1100*time.Millisecond), base.Add(6*time.Second), DiscardNone)
		e.want("too old", src, base.Add(3*time.Second), base.Add(8*time.Second+time.Millisecond), DiscardWindow)
		e.want("too far ahead", src, base.Add(13*time.Second+time.Millisecond), base.Add(8*time.Second), DiscardWindow)
		e.want("ahead", src, base.Add(13*time.Second), base.Add(8*time.Second), DiscardNone)
		e.want("another sender", src.Next(), base.Add(8*time.Second), base.Add(8*time.Second), DiscardNone)
	}
}

// TestOurClockSetBack: adverts of a sender that follows are taken at once, and of
// those from before nothing.
func TestOurClockSetBack(t *testing.T) {
	e := newEar(t, ReplayTime)
	e.want("before", src, signedAt, signedAt, DiscardNone)
	back := signedAt.Add(-time.Hour)
	e.want("of the time before", src, signedAt.Add(time.Second), back, DiscardWindow)
	e.want("a sender that is not set back", src, signedAt.Add(2*time.Second), back, DiscardWindow)
	e.want("a sender that is set back too", src, back.Add(time.Second), back.Add(time.Second), DiscardNone)
	e.want("again", src, back.Add(time.Second), back.Add(2*time.Second), DiscardReplay)
	e.want("older", src, back, back.Add(2*time.Second), DiscardReplay)
	e.want("next", src, back.Add(2*time.Second), back.Add(2*time.Second), DiscardNone)
	// By less than the window nobody is locked out for longer than the window.
	e = newEar(t, ReplayTime)
	e.want("before", src, signedAt, signedAt, DiscardNone)
	e.want("set back a little", src, signedAt.Add(-3*time.Second), signedAt.Add(-3*time.Second), DiscardReplay)
	e.want("when the clock has come there again", src, signedAt.Add(time.Millisecond), signedAt.Add(time.Millisecond), DiscardNone)
}

// TestSenderClockSetBack: what we sign is always newer than what we signed, while
// that is inside the window; else it follows the clock.
func TestSenderClockSetBack(t *testing.T) {
	pdu := unhex(t, signed[0].message)
	for _, tc := range []struct {
		replay ReplayMode
		by     time.Duration
		newer  bool
	}{
		{ReplayTime, time.Second, true}, {ReplayTime, window - time.Millisecond, true}, {ReplayTime, window, false},
		{ReplayMonotonic, window, true}, {ReplayMonotonic, 1000 * time.Hour, true},
	} {
		h := one(ModeEnforce, tc.replay)
		h.Sign(pdu, src, signedAt)
		for i := range 3 {
			last, clock := h.sent, signedAt.Add(-tc.by+time.Duration(i)*time.Microsecond)
			h.Sign(pdu, src, clock)
			if want := tc.newer || i > 0; h.sent.after(last) != want {
				t.Errorf("%v, set back by %v, advert %d: %x after %x", tc.replay, tc.by, i, h.sent, last)
			}
			if tc.replay == ReplayTime && h.sent.sub(stampOf(clock)) > span(window) {
				t.Errorf("set back by %v: %x is outside the window", tc.by, h.sent)
			}
		}
	}
}

// TestMonotonic: clocks may differ by any amount, but never go back.
func TestMonotonic(t *testing.T) {
	e := newEar(t, ReplayMonotonic)
	old := time.Unix(1000, 0)
	e.want("first", src, old, signedAt, DiscardNone)
	e.want("next", src, old.Add(time.Second), signedAt.Add(time.Hour), DiscardNone)
	e.want("again", src, old.Add(time.Second), signedAt.Add(time.Hour), DiscardReplay)
	e.want("older", src, old, signedAt.Add(2*time.Hour), DiscardReplay)
	e.want("much newer", src, signedAt, signedAt.Add(3*time.Hour), DiscardNone)
	e.want("as old as the clock when it is not set", src, time.Unix(5, 0), signedAt.Add(3*time.Hour), DiscardReplay)
}

// TestMonotonicRecovery: a sender that came up with an older clock is believed
// after some intervals, and who sends old adverts again never is.
func TestMonotonicRecovery(t *testing.T) {
	const interval = time.Second
	last := signedAt.Add(time.Hour) // the sender's clock when it was last heard
	begin := func(t *testing.T) ear {
		e := newEar(t, ReplayMonotonic)
		e.want("in order", src, last, signedAt, DiscardNone)
		return e
	}
	t.Run("the sender itself", func(t *testing.T) {
		e := begin(t)
		taken := 0
		for i := range 30 { // from 20 s after its last one on
			now := signedAt.Add(20*time.Second + time.Duration(i)*interval)
			if e.hears(src, time.Unix(100+int64(i), int64(i%3)*40e6), now) == DiscardNone {
				taken++
			} else if taken > 0 {
				t.Errorf("advert %d is dropped after one was taken", i)
			}
		}
		if taken != 30-trialIntervals {
			t.Errorf("%d of 30 adverts taken", taken)
		}
		e.want("of the time before", src, last, signedAt.Add(time.Hour), DiscardNone) // newer again: its clock was put right
	})
	for name, adverts := range map[string]func(i int) (made, now time.Time){
		"one again and again": func(i int) (time.Time, time.Time) { return last.Add(-time.Minute), signedAt.Add(after(i, interval)) },
		"a burst": func(i int) (time.Time, time.Time) {
			return last.Add(after(i, interval)), signedAt.Add(after(i, time.Millisecond))
		},
		"faster": func(i int) (time.Time, time.Time) {
			return last.Add(after(i, interval)), signedAt.Add(after(i, interval/2))
		},
		"slower": func(i int) (time.Time, time.Time) {
			return last.Add(after(i, interval)), signedAt.Add(after(i, 2*interval))
		},
		"a loop of four": func(i int) (time.Time, time.Time) {
			return last.Add(after(i%4, interval)), signedAt.Add(after(i, interval))
		},
		"with long pauses": func(i int) (time.Time, time.Time) {
			return last.Add(after(i, 4*interval)), signedAt.Add(after(i, 4*interval))
		},
		"backwards": func(i int) (time.Time, time.Time) {
			return last.Add(after(-i, interval)), signedAt.Add(after(i, interval))
		},
		"every second one older": func(i int) (time.Time, time.Time) {
			return last.Add(after(i-i%2*5, interval)), signedAt.Add(after(i, interval))
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := begin(t)
			for i := range 200 {
				made, now := adverts(i)
				if made.After(last) {
					made = made.Add(-time.Hour)
				}
				e.want(fmt.Sprintf("advert %d", i), src, made, now, DiscardReplay)
			}
		})
	}
	t.Run("beside the sender", func(t *testing.T) {
		e := begin(t)
		for i := range 60 {
			now := signedAt.Add(after(i, interval))
			e.want("recorded", src, last.Add(after(i, interval)-time.Hour), now, DiscardReplay)
			e.want("sent", src, last.Add(after(i, interval)), now, DiscardNone)
		}
	})
}

func after(i int, d time.Duration) time.Duration { return 20*time.Second + time.Duration(i)*d }

// TestSenders: a bounded number is remembered, and nobody without a key has a part
// in it.
func TestSenders(t *testing.T) {
	e := newEar(t, ReplayTime)
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 1, byte(i)}) }
	for i := range 4 {
		e.want("known", addr(i), signedAt, signedAt.Add(time.Duration(i)), DiscardNone)
	}
	e.want("again", addr(0), signedAt.Add(time.Second), signedAt.Add(time.Second), DiscardNone)
	e.want("a fifth", addr(4), signedAt.Add(time.Second), signedAt.Add(time.Second), DiscardNone)
	if count(e.HMAC) != 4 || e.senders.find(addr(1)) != nil || e.senders.find(addr(0)) == nil {
		t.Errorf("remembered: %+v", e.senders.list)
	}
	forged := unhex(t, signed[0].trailer)
	forged[20]++
	e.Verify(message(e.pdu, forged), addr(9), signedAt)
	if e.senders.find(addr(9)) != nil {
		t.Error("a forger is remembered")
	}
	s := *e.Settings()
	s.Senders = 2
	e.Reconfigure(s)
	if count(e.HMAC) != 2 || e.senders.find(addr(0)) == nil || e.senders.find(addr(4)) == nil {
		t.Errorf("the two heard last are not kept: %+v", e.senders.list)
	}
	s.Senders = 6
	e.Reconfigure(s)
	e.want("as before", addr(0), signedAt.Add(time.Second), signedAt.Add(time.Second), DiscardReplay)
}

// TestStampOrder: serial number arithmetic. A difference of half the range has no
// order.
func TestStampOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := stamp(rapid.Uint64().Draw(t, "s"))
		d := rapid.Uint64Range(1, math.MaxInt64).Draw(t, "d")
		if n := s + stamp(d); !n.after(s) || s.after(n) {
			t.Fatalf("%x and %x", s, n)
		}
	})
	if half := stamp(1) << 63; half.after(0) || stamp(0).after(half) || stamp(7).after(7) {
		t.Error("there is an order where there is none")
	}
	for _, d := range []time.Duration{time.Second, 300 * time.Second, 1500 * time.Millisecond} {
		if got := stampOf(signedAt.Add(d)).sub(stampOf(signedAt)); got != span(d)&^0xffff {
			t.Errorf("%v is %x, span %x", d, got, span(d))
		}
	}
}
