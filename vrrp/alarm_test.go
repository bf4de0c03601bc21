package vrrp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// alarmBook feeds Alarms and writes down what is raised and ended.
type alarmBook struct {
	Alarms
	log []string
}

func (b *alarmBook) see(at time.Duration, kind AlarmKind, from netip.Addr, said uint64) Seen {
	s := b.See(epoch.Add(at), kind, Who{Addr: from}, said, time.Second)
	if s.Raised {
		b.log = append(b.log, fmt.Sprintf("%v %v", at, kind))
	}
	return s
}

func (b *alarmBook) review(at time.Duration, master bool) {
	b.Review(epoch.Add(at), master, func(a *Alarm, end End) {
		b.log = append(b.log, fmt.Sprintf("%v %v over %d", at, a.Kind, end))
	})
}

func (b *alarmBook) want(t *testing.T, want ...string) {
	t.Helper()
	if got := fmt.Sprint(b.log); got != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	b.log = nil
}

func TestTwoMastersAreMoreThanATakeover(t *testing.T) {
	var b alarmBook
	// A takeover: the former MASTER says two more adverts, then no more.
	b.see(0, AlarmTwoMasters, peer, 0)
	b.see(time.Second, AlarmTwoMasters, peer, 0)
	b.review(5*time.Second, true)
	b.want(t)
	if !b.Empty() {
		t.Error("the suspicion stays")
	}
	// One that stays.
	for at := 10 * time.Second; at <= 20*time.Second; at += time.Second {
		b.see(at, AlarmTwoMasters, peer, 0)
		b.review(at, true)
	}
	b.want(t, "12s two_masters")
	b.review(23*time.Second, true)
	b.want(t)
	b.review(24*time.Second, true)
	b.want(t, "24s two_masters over 0")
	for at := 30 * time.Second; at <= 33*time.Second; at += time.Second {
		b.see(at, AlarmTwoMasters, peer, 0)
	}
	b.review(33*time.Second, false)
	b.want(t, "32s two_masters", "33s two_masters over 2")
}

func TestDifferingPeerIsForgivenWhenItAgrees(t *testing.T) {
	var b alarmBook
	for at := time.Duration(0); at <= 10*time.Second; at += time.Second {
		b.see(at, AlarmAddresses, peer, 7)
		b.review(at, true)
	}
	b.want(t, "3s peer_addresses")
	// Right and wrong by turns is not right.
	b.Well(epoch.Add(10500*time.Millisecond), AlarmAddresses, peer)
	b.see(11*time.Second, AlarmAddresses, peer, 7)
	b.review(20*time.Second, true)
	b.want(t)
	b.Well(epoch.Add(21*time.Second), AlarmAddresses, peer)
	b.review(21*time.Second, true)
	b.want(t, "21s peer_addresses over 1")
	// Silence is no proof, until it is long.
	for at := 30 * time.Second; at <= 33*time.Second; at += time.Second {
		b.see(at, AlarmAddresses, peer, 7)
	}
	b.review(95*time.Second, true)
	b.want(t, "33s peer_addresses")
	b.review(96*time.Second, true)
	b.want(t, "1m36s peer_addresses over 0")
}

func TestReconfigurationEndsAlarms(t *testing.T) {
	var b alarmBook
	b.see(0, AlarmOwners, peer, 0)
	b.see(0, AlarmVersion, peer, 0)
	b.want(t, "0s several_owners")
	b.Clear(EndReconfigured, func(a *Alarm, end End) { b.log = append(b.log, fmt.Sprintf("%v over %d", a.Kind, end)) })
	b.want(t, "several_owners over 3")
	if !b.Empty() {
		t.Error("something is left")
	}
}

// What a host says is asked for when it is new, and not more often than once a
// second when it changes.
func TestEvidenceIsDescribedWhenItChanges(t *testing.T) {
	var b alarmBook
	steps := []struct {
		at   time.Duration
		said uint64
		want bool
	}{
		{0, 1, true},
		{100 * time.Millisecond, 1, false},
		{200 * time.Millisecond, 2, false},
		{1100 * time.Millisecond, 2, true},
		{1200 * time.Millisecond, 1, false},
		{9 * time.Second, 2, false},
		{10 * time.Second, 1, true},
	}
	for _, s := range steps {
		if got := b.see(s.at, AlarmInterval, peer, s.said).Describe != nil; got != s.want {
			t.Errorf("at %v, %d: described %v", s.at, s.said, got)
		}
	}
}

// However many hosts there seem to be, few are kept, and nothing is allocated for
// one packet more.
func TestFloodOfSightings(t *testing.T) {
	var b alarmBook
	n := 0
	sight := func() {
		n++
		from := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		b.see(time.Duration(n)*time.Millisecond, AlarmAuthentication, from, uint64(n))
	}
	for range 5000 {
		sight()
	}
	b.want(t, "3.001s peer_authentication")
	a := b.find(AlarmAuthentication)
	if len(a.Evidence) != MaxEvidence || a.Count != 5000 || a.Others != 5000-MaxEvidence {
		t.Errorf("%d hosts, %d sightings, %d of others", len(a.Evidence), a.Count, a.Others)
	}
	if n := testing.AllocsPerRun(1000, sight); n > 0 {
		t.Errorf("%v allocations for a sighting", n)
	}
}

func TestAlarmNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range append(AlarmKinds(), AlarmNone) {
		if name := k.String(); name == "" || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[k.String()] = true
	}
	if numAlarms.String() != "unknown alarm" {
		t.Error("a name for a kind that is none")
	}
	for _, d := range Discards() {
		if k := d.Alarm(); k >= numAlarms {
			t.Errorf("%v speaks for %v", d, k)
		}
	}
}
