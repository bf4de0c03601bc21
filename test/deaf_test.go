package test

import (
	"net/netip"
	"testing"
	"time"

	"director/internal/netlab"
)

// noDoubleMaster asserts from the capture that a master which hears a better one
// falls silent.
func (p *pair) noDoubleMaster(vrid int, grace time.Duration) {
	p.t.Helper()
	var all []netlab.Advert
	for _, adv := range p.cap.Adverts() {
		if adv.VRID == vrid {
			all = append(all, adv)
		}
	}
	for _, adv := range deaf(all, grace) {
		p.t.Errorf("%v although a better one advertises", adv)
	}
}

// deaf returns the adverts of masters that do not hear a better one. On a busy machine
// one may be slow to hear it: what counts is a second advert, one after another, that is
// sent later than grace after one of a better router that goes on advertising.
func deaf(adverts []netlab.Advert, grace time.Duration) (all []netlab.Advert) {
	newest := make(map[netip.Addr]netlab.Advert)
	count := make(map[netip.Addr]int)
	for _, adv := range adverts {
		before, known := newest[adv.Source]
		beaten := false
		for src, better := range newest {
			after := adv.Time.Sub(better.Time)
			beaten = beaten || known && src != adv.Source && adv.Priority > 0 && better.Priority > adv.Priority &&
				before.Time.Before(better.Time) && after > grace && after < adv.Interval
		}
		newest[adv.Source] = adv
		if !beaten {
			count[adv.Source] = 0
		} else if count[adv.Source]++; count[adv.Source] > 1 {
			all = append(all, adv)
		}
	}
	return all
}

func TestDeafMastersAreSeen(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	type sent struct {
		at       int // ms
		source   string
		priority int
	}
	for _, tc := range []struct {
		name    string
		adverts []sent
		want    int
	}{
		{"a slow one", []sent{{0, b, 100}, {20, a, 150}, {100, b, 100}, {120, a, 150}, {220, a, 150}}, 0},
		{"a deaf one", []sent{{0, b, 100}, {20, a, 150}, {100, b, 100}, {120, a, 150}, {200, b, 100}, {220, a, 150}, {300, b, 100}}, 2},
		{"at once", []sent{{0, b, 100}, {20, a, 150}, {21, b, 100}, {120, a, 150}, {121, b, 0}}, 0},
		{"after a stop", []sent{{0, b, 100}, {20, a, 150}, {30, a, 0}, {100, b, 100}, {200, b, 100}, {300, b, 100}}, 0},
		{"after a death", []sent{{0, b, 100}, {20, a, 150}, {400, b, 100}, {500, b, 100}, {600, b, 100}}, 0},
	} {
		var adverts []netlab.Advert
		for _, s := range tc.adverts {
			adverts = append(adverts, netlab.Advert{Time: time.UnixMilli(int64(s.at)), Source: netip.MustParseAddr(s.source),
				Priority: s.priority, Interval: 100 * time.Millisecond})
		}
		if got := deaf(adverts, 50*time.Millisecond); len(got) != tc.want {
			t.Errorf("%s: %v, want %d", tc.name, got, tc.want)
		}
	}
}
