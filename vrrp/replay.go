package vrrp

import (
	"math"
	"net/netip"
	"time"
)

// stamp is the sequence number of a signed advert: seconds since 1970 in its upper
// 32 bits, then a fraction of a second in 1/65536, then a counter of 16 bits. It
// wraps in 2106, and so is compared by serial number arithmetic (RFC 1982).
type stamp uint64

// stampOf returns the stamp of a reading of the wall clock, its counter at 0.
func stampOf(t time.Time) stamp {
	fraction := uint64(t.Nanosecond()) << 16 / uint64(time.Second)
	return stamp(uint64(uint32(t.Unix()))<<32 | fraction<<16)
}

// span is a duration in the units of a difference of stamps.
func span(d time.Duration) int64 {
	return int64(d/time.Second)<<32 + int64(d%time.Second)<<32/int64(time.Second)
}

// sub returns s - t, which is negative when s is the older one.
func (s stamp) sub(t stamp) int64 { return int64(s - t) }

// after says that s is newer than t. Of two that are half of the whole range
// apart neither is newer.
func (s stamp) after(t stamp) bool {
	d := s.sub(t)
	return d > 0 && d != math.MinInt64
}

// sender is what is known of one router.
type sender struct {
	addr netip.Addr // invalid: a free place
	key  uint8
	last stamp     // the newest one taken
	at   time.Time // when that was

	// trial is the newest of a row of adverts with stamps that are not newer than
	// last, trialStart its first, and when each of the two arrived.
	trial, trialStart     stamp
	trialAt, trialStartAt time.Time
}

// senders remembers the routers that were heard, a bounded number of them. Only
// an advert with a right signature gets a place.
type senders struct {
	list []sender
}

// resize changes how many are remembered. Of too many, those heard last stay.
func (l *senders) resize(n int) {
	old := l.list
	l.list = make([]sender, n)
	for i := range old {
		if old[i].addr.IsValid() {
			*l.place(old[i].addr, old[i].at) = old[i]
		}
	}
}

// find returns what is known of a router, nil when that is nothing.
func (l *senders) find(addr netip.Addr) *sender {
	for i := range l.list {
		if l.list[i].addr == addr {
			return &l.list[i]
		}
	}
	return nil
}

// place returns a free place, or that of the router which was silent for longest;
// or a place that nobody reads, when all were heard after at.
func (l *senders) place(addr netip.Addr, at time.Time) *sender {
	best := &l.list[0]
	for i := range l.list {
		s := &l.list[i]
		if !s.addr.IsValid() {
			best = s
			break
		}
		if s.at.Before(best.at) {
			best = s
		}
	}
	if best.addr.IsValid() && at.Before(best.at) {
		return &sender{}
	}
	*best = sender{addr: addr}
	return best
}

// take remembers an advert as the newest one of its sender.
func (l *senders) take(s *sender, addr netip.Addr, key uint8, at stamp, now time.Time) Discard {
	if s == nil {
		s = l.place(addr, now)
	}
	*s = sender{addr: addr, key: key, last: at, at: now}
	return DiscardNone
}

// fresh judges by the clock: the stamp is within the window around now, and newer
// than the last one of its sender.
//
// A last one beyond the window cannot have been taken by the clock as it is now:
// our clock was set back. Then it says nothing, and waiting until the clock has
// passed it would lock the sender out. The window still holds; what a stranger
// could use of the time before are adverts recorded when the clock showed the
// present time before, and of these only what is newer than the adverts that the
// sender goes on sending.
func (l *senders) fresh(addr netip.Addr, key uint8, at stamp, now time.Time, window int64) Discard {
	clock := stampOf(now)
	if d := at.sub(clock); d > window || d < -window {
		return DiscardWindow
	}
	s := l.find(addr)
	if s != nil && !at.after(s.last) && s.last.sub(clock) <= window {
		return DiscardReplay
	}
	return l.take(s, addr, key, at, now)
}

const (
	// trialIntervals is how long a sender has to go on in a time before its last
	// one until it is believed, in its own advert intervals: longer than a backup
	// waits for its master.
	trialIntervals = 5
	// trialGap is the longest pause in that.
	trialGap = 3
)

// newer judges without a clock: the stamp is newer than the last one of its
// sender.
//
// A router that came up with its clock set back sends older ones for ever. It is
// believed again once it has sent older stamps in a row, each newer than the one
// before, for several of its intervals, in step with the time that passes here
// give or take one interval, while nothing newer came. Adverts that were recorded and are sent again one by
// one, in a burst, in a loop or faster than they were recorded never do that. Until
// then each of them is dropped and counted, and a newer one ends the trial.
func (l *senders) newer(addr netip.Addr, key uint8, at stamp, now time.Time, interval time.Duration) Discard {
	s := l.find(addr)
	if s == nil || at.after(s.last) {
		return l.take(s, addr, key, at, now)
	}
	if s.trialAt.IsZero() || !at.after(s.trial) || now.Sub(s.trialAt) > trialGap*interval {
		s.trialStart, s.trialStartAt = at, now
	}
	s.trial, s.trialAt = at, now
	length := now.Sub(s.trialStartAt)
	if d := at.sub(s.trialStart) - span(length); length >= trialIntervals*interval && max(d, -d) <= span(interval) {
		return l.take(s, addr, key, at, now)
	}
	return DiscardReplay
}
