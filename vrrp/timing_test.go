package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// delayed is a router that leaves a lower MASTER in peace for ten seconds. Its skew
// at one second is skew100.
func delayed() Settings {
	set := base(3)
	set.PreemptDelay = 10 * time.Second
	return set
}

// hearEvery lets a router hear adverts every second, up to the end.
func (s *script) hearEvery(from, to time.Duration, src netip.Addr, prio uint8) {
	s.t.Helper()
	for at := from; at <= to; at += time.Second {
		s.want(at, advert(src, prio, time.Second), "")
	}
}

func TestPreemptDelay(t *testing.T) {
	const sec = time.Second
	wantAt := func(t *testing.T, s *script, want time.Duration) {
		t.Helper()
		got := s.i.PreemptsAt()
		if want == 0 && !got.IsZero() || want != 0 && !got.Equal(epoch.Add(want)) {
			t.Errorf("preempts at %v, want %v after the start", got.Sub(epoch), want)
		}
	}
	t.Run("from the first advert to the skew after its end", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		wantAt(t, s, 0)
		s.hearEvery(sec, 11*sec, peer, 50)
		wantAt(t, s, 11*sec+skew100)
		if m, prio := s.i.Master(); m != peer || prio != 50 {
			t.Errorf("the master is %v with %d", m, prio)
		}
		s.wantDeadline(11*sec + skew100)
		s.want(11*sec+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER preempted")
		wantAt(t, s, 0)
	})
	t.Run("no MASTER: nothing to wait for", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		s.wantDeadline(3*sec + skew100)
	})
	t.Run("the lower MASTER falls silent", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		s.hearEvery(sec, 3*sec, peer, 50)
		s.wantDeadline(6*sec + skew100)
		s.want(6*sec+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	})
	t.Run("the lower MASTER stops", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		s.hearEvery(sec, 9*sec, peer, 50) // within the last stretch
		s.want(9*sec, advert(peer, 0, sec), "")
		wantAt(t, s, 0)
		s.wantDeadline(9*sec + skew100)
		// Another lower one is quicker: a delay of its own.
		s.want(9*sec+100*time.Millisecond, advert(below, 60, sec), "")
		wantAt(t, s, 19*sec+100*time.Millisecond+skew100)
	})
	t.Run("a better one ends it", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		s.hearEvery(sec, 9*sec, peer, 50)
		s.want(10*sec, advert(below, 100, sec), "")
		wantAt(t, s, 0)
		s.hearEvery(11*sec, 12*sec, peer, 50)
		wantAt(t, s, 21*sec+skew100)
	})
	t.Run("short: no sooner than without it", func(t *testing.T) {
		set := delayed()
		set.PreemptDelay = sec
		s := start(t, set)
		s.at(0, startUp)
		s.hearEvery(sec, 3*sec, peer, 50)
		s.wantDeadline(3*sec + skew100)
	})
	t.Run("our priority changes", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		s.hearEvery(sec, 2*sec, peer, 50)
		s.want(2*sec, Event{Kind: EventPriority, Priority: 200}, "")
		wantAt(t, s, 11*sec+SkewTime(3, 200, sec))
		s.want(3*sec, Event{Kind: EventPriority, Priority: 50}, "")
		s.hearEvery(4*sec, 4*sec, peer, 50)
		wantAt(t, s, 0)
	})
	t.Run("reloaded", func(t *testing.T) {
		s := start(t, delayed())
		s.at(0, startUp)
		s.hearEvery(sec, 2*sec, peer, 50)
		longer := delayed()
		longer.PreemptDelay = 20 * sec
		s.i.Reconfigure(epoch.Add(2*sec), longer)
		wantAt(t, s, 21*sec+skew100)
		s.i.Reconfigure(epoch.Add(2*sec), base(3))
		wantAt(t, s, 0)
		s.hearEvery(3*sec, 5*sec, peer, 50)
		s.want(5*sec+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER preempted")
	})
	t.Run("in a group", func(t *testing.T) {
		i := New(epoch, delayed())
		other := base(3)
		other.VRID = 52
		g := NewGroup(epoch)
		g.Regroup(epoch, []Member{{"a", i}, {"b", New(epoch, other)}}, nil)
		for m := range 2 {
			g.Step(epoch, m, startUp, nil)
		}
		for at := sec; at <= 11*sec; at += sec {
			g.Step(epoch.Add(at), 0, advert(peer, 50, sec), nil)
			g.Step(epoch.Add(at), 1, timer, nil)
			g.Step(epoch.Add(at), 0, timer, nil)
		}
		if g.State() != Backup {
			t.Fatalf("%v within the delay", g.State())
		}
		g.Step(epoch.Add(11*sec+skew100), 0, timer, nil)
		if g.State() != Master {
			t.Errorf("%v after it", g.State())
		}
	})
}

func TestDownTimerAdverts(t *testing.T) {
	set := base(3)
	set.DownAdverts = 2
	s := start(t, set)
	s.at(0, startUp)
	s.wantDeadline(2*time.Second + skew100)
	s.want(time.Second, advert(peer, 200, time.Second), "")
	s.wantDeadline(3*time.Second + skew100)
	set.DownAdverts = 100
	s.i.Reconfigure(epoch.Add(time.Second), set)
	s.wantDeadline(101*time.Second + skew100)
	if got := set.Takeover(); got != 100*time.Second+SkewTime(3, 254, time.Second) {
		t.Errorf("another can have taken over after %v", got)
	}
}

func TestAnswersToOtherMasters(t *testing.T) {
	owner := base(3)
	owner.Priority = PriorityOwner
	for _, tc := range []struct {
		name       string
		set        Settings
		change     func(*Settings)
		ev         Event
		want, next string // the answer, and that to the same event two seconds later
	}{
		{"a lower one is answered", base(3), func(*Settings) {}, advert(peer, 50, time.Second), "advert 100, announce 5", "advert 100, announce 5"},
		{"and not", base(3), func(s *Settings) { s.LowerPrioNoAdvert = true }, advert(peer, 50, time.Second), "announce 5", "announce 5"},
		{"a good-bye is answered all the same", base(3), func(s *Settings) { s.LowerPrioNoAdvert = true }, advert(peer, 0, time.Second), "advert 100, announce 5", "advert 100, announce 5"},
		{"announced otherwise", base(3), func(s *Settings) { s.GarpLowerRepeat, s.GarpLowerDelay = 2, time.Second }, advert(peer, 50, time.Second), "advert 100, announce 2", "advert 100, announce 2"},
		{"a better one is told", base(3), func(*Settings) {}, advert(peer, 200, time.Second), "advert 100, release, MASTER->BACKUP higher_priority", ""},
		{"and not", base(3), func(s *Settings) { s.HigherPrioSilent = true }, advert(peer, 200, time.Second), "release, MASTER->BACKUP higher_priority", ""},
		{"an owner yields to another", owner, func(*Settings) {}, advert(peer, 255, time.Second), "advert 255, release, MASTER->BACKUP higher_address", ""},
		{"and not", owner, func(s *Settings) { s.OwnerIgnoreAdverts = true }, advert(peer, 255, time.Second), "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.change(&tc.set)
			s := start(t, tc.set)
			s.at(0, Event{Kind: EventResume})
			s.want(500*time.Millisecond, tc.ev, tc.want)
			s.want(2500*time.Millisecond, tc.ev, tc.next)
		})
	}
}

// The second burst after a loser's advert and the repetition have counts of their own.
func TestAnnouncementCounts(t *testing.T) {
	set := base(3)
	set.GarpDelay, set.GarpRefresh, set.GarpRefreshRepeat = 0, 10*time.Second, 3
	set.GarpLowerRepeat, set.GarpLowerDelay = 2, 300*time.Millisecond
	s := start(t, set)
	s.at(0, Event{Kind: EventResume})
	s.want(100*time.Millisecond, advert(peer, 50, time.Second), "advert 100, announce 2")
	s.want(400*time.Millisecond, timer, "announce 2")
	for at := time.Second; at < 10*time.Second; at += time.Second {
		s.want(at+100*time.Millisecond, timer, "advert 100")
	}
	s.want(10400*time.Millisecond, timer, "advert 100, announce 3")
}

// A MASTER that did not run for the master-down time was rightly replaced. With
// nopreempt it stays so, whatever the priorities; else it takes the addresses back.
func TestStalledMaster(t *testing.T) {
	for _, tc := range []struct {
		name    string
		preempt bool
		arrival time.Duration // of the other's first advert
		prio    uint8
		want    string
	}{
		{"replaced", false, 4200 * time.Millisecond, 50, "advert 0, release, MASTER->BACKUP replaced"},
		{"replaced by one of the same priority and a lower address", false, 4200 * time.Millisecond, 100, "advert 0, release, MASTER->BACKUP replaced"},
		{"heard too early to have been our fault", false, 3900 * time.Millisecond, 50, "advert 100, announce 5"},
		{"a good-bye replaces nobody", false, 4200 * time.Millisecond, 0, "advert 100, announce 5"},
		{"preempts", true, 4200 * time.Millisecond, 50, "advert 100, announce 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := base(3)
			set.Preempt = tc.preempt
			s := start(t, set)
			s.at(0, Event{Kind: EventResume})
			s.want(time.Second, timer, "advert 100")
			if s.i.ListenFirst(epoch.Add(2 * time.Second)) {
				t.Error("reads its sockets once more although it is in time")
			}
			if !s.i.ListenFirst(epoch.Add(5 * time.Second)) {
				t.Error("does not read its sockets after a stall")
			}
			s.want(tc.arrival, advert(below, tc.prio, time.Second), tc.want)
		})
	}
}
