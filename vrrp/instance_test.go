package vrrp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	peer  = netip.MustParseAddr("10.99.0.2")
	below = netip.MustParseAddr("10.99.0.0")
)

func base(version uint8) Settings {
	return Settings{
		VRID: 51, Version: version, Priority: 100, AdvertInterval: time.Second, Preempt: true,
		Addresses: addresses, GarpRepeat: 5, GarpDelay: 5 * time.Second, GarpRefresh: 60 * time.Second,
	}
}

// script drives one instance and writes down what it answers.
type script struct {
	t     *testing.T
	now   time.Time
	i     *Instance
	asked []uint64 // newest question by gate
}

func start(t *testing.T, s Settings) *script {
	d := &script{t: t, now: epoch, i: New(epoch, s)}
	d.i.SetSource(src)
	return d
}

// at moves the clock to d after the start and steps one event; the answer is
// the actions in words.
func (s *script) at(d time.Duration, ev Event) string {
	s.t.Helper()
	s.now = epoch.Add(d)
	var words []string
	for _, a := range s.i.Step(s.now, ev, nil) {
		switch a.Kind {
		case ActionAdvert:
			words = append(words, fmt.Sprintf("advert %d", a.Priority))
		case ActionAsk:
			words = append(words, fmt.Sprintf("ask %d", a.Gate))
			for len(s.asked) <= a.Gate {
				s.asked = append(s.asked, 0)
			}
			s.asked[a.Gate] = a.Ask
		case ActionStay:
			words = append(words, "stay ("+a.Transition.Cause.Detail+")")
		case ActionAcquire, ActionAnnounce:
			words = append(words, fmt.Sprintf("%v %d", a.Kind, a.Repeat))
		case ActionNotify:
			words = append(words, fmt.Sprintf("%v->%v %v", a.Transition.From, a.Transition.To, a.Transition.Cause.Reason))
		default:
			words = append(words, a.Kind.String())
		}
	}
	return strings.Join(words, ", ")
}

func (s *script) want(d time.Duration, ev Event, want string) {
	s.t.Helper()
	if got := s.at(d, ev); got != want {
		s.t.Errorf("at %v, %v: got %q, want %q", d, ev.Kind, got, want)
	}
}

func (s *script) wantDeadline(want time.Duration) {
	s.t.Helper()
	if got := s.i.Deadline(); !got.Equal(epoch.Add(want)) {
		s.t.Errorf("deadline is %v after the start, want %v", got.Sub(epoch), want)
	}
}

func advert(from netip.Addr, prio uint8, interval time.Duration) Event {
	return Event{Kind: EventAdvert, Src: from, Priority: prio, Interval: interval}
}

var (
	startUp = Event{Kind: EventStart}
	timer   = Event{Kind: EventTimer}
	down    = Event{Kind: EventShutdown, Cause: Cause{Reason: ReasonStopped}}
)

// skew100 is the skew of priority 100 at an interval of one second.
const skew100 = 609375 * time.Microsecond

func TestTimers(t *testing.T) {
	for _, tc := range []struct {
		version, priority uint8
		interval          time.Duration
		skew, down        time.Duration
	}{
		{3, 100, time.Second, skew100, 3*time.Second + skew100},
		{3, 100, 10 * time.Millisecond, 6093750, 36093750},
		{3, 254, 10 * time.Millisecond, 78125, 30078125},
		{3, 1, 10 * time.Millisecond, 9960937, 39960937},
		{2, 100, time.Second, skew100, 3*time.Second + skew100},
		{2, 100, 5 * time.Second, skew100, 15*time.Second + skew100}, // the skew of version 2 is in seconds
		{3, 100, 5 * time.Second, 5 * skew100, 15*time.Second + 5*skew100},
	} {
		if got := SkewTime(tc.version, tc.priority, tc.interval); got != tc.skew {
			t.Errorf("v%d priority %d every %v: skew %v, want %v", tc.version, tc.priority, tc.interval, got, tc.skew)
		}
		if got := (&Settings{Version: tc.version}).MasterDownTime(tc.priority, tc.interval); got != tc.down {
			t.Errorf("v%d priority %d every %v: master down after %v, want %v", tc.version, tc.priority, tc.interval, got, tc.down)
		}
	}
}

func TestBackupTakesOverAfterMasterDownTime(t *testing.T) {
	s := start(t, base(3))
	s.want(0, startUp, "INIT->BACKUP started")
	s.wantDeadline(3*time.Second + skew100)
	s.want(time.Second, advert(peer, 200, time.Second), "")
	s.wantDeadline(4*time.Second + skew100)
	s.want(4*time.Second+skew100-1, timer, "")
	s.want(4*time.Second+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	if got, want := s.i.Cause().String(), "no advert from 10.99.0.2 for 3.6094s"; got != want {
		t.Errorf("cause %q, want %q", got, want)
	}
	s.wantDeadline(5*time.Second + skew100)
}

func TestOwnerStartsAsMaster(t *testing.T) {
	set := base(3)
	set.Priority = 255
	start(t, set).want(0, startUp, "advert 255, acquire 5, INIT->MASTER owner")
}

func TestResumedProcessGoesOnAsMaster(t *testing.T) {
	start(t, base(3)).want(0, Event{Kind: EventResume}, "advert 100, acquire 5, INIT->MASTER resumed")
}

func TestBackupLearnsIntervalInVersion3Only(t *testing.T) {
	s := start(t, base(3))
	s.at(0, startUp)
	s.at(0, advert(peer, 200, 100*time.Millisecond))
	if got := s.i.Interval(); got != 100*time.Millisecond {
		t.Errorf("version 3 keeps %v", got)
	}
	s.wantDeadline(300*time.Millisecond + skew100/10)
	// A new master returns to its own interval.
	s.at(time.Second, timer)
	if got := s.i.Interval(); s.i.State() != Master || got != time.Second {
		t.Errorf("as %v it advertises every %v", s.i.State(), got)
	}
	s = start(t, base(2))
	s.at(0, startUp)
	s.at(0, advert(peer, 200, 100*time.Millisecond))
	if got := s.i.Interval(); got != time.Second {
		t.Errorf("version 2 learned %v", got)
	}
}

func TestPriorityZeroMakesBackupWaitTheSkewOnly(t *testing.T) {
	s := start(t, base(3))
	s.at(0, startUp)
	s.at(time.Second, advert(peer, 200, time.Second))
	s.want(2*time.Second, advert(peer, 0, time.Second), "")
	s.wantDeadline(2*time.Second + skew100)
	s.want(2*time.Second+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER master_stopped")
}

func TestPreemption(t *testing.T) {
	s := start(t, base(3))
	s.at(0, startUp)
	for d := time.Duration(0); d < 4*time.Second; d += time.Second {
		if got := s.at(d, advert(peer, 50, time.Second)); got != "" {
			t.Fatalf("an advert of lower priority caused %q", got)
		}
	}
	s.want(3*time.Second+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER preempted")
	if got, want := s.i.Cause().String(), "preempting 10.99.0.2, which has the lower priority 50"; got != want {
		t.Errorf("cause %q, want %q", got, want)
	}
}

func TestNoPreempt(t *testing.T) {
	set := base(3)
	set.Preempt = false
	s := start(t, set)
	s.at(0, startUp)
	s.want(time.Second, advert(peer, 50, time.Second), "")
	s.wantDeadline(4*time.Second + skew100) // accepted: the timer was restarted
	if m, p := s.i.Master(); m != peer || p != 50 {
		t.Errorf("master is %v with %d", m, p)
	}
	// As MASTER a higher priority still wins, whatever nopreempt says.
	s.at(5*time.Second, timer)
	s.want(5*time.Second, advert(peer, 101, time.Second), "advert 100, release, MASTER->BACKUP higher_priority")
}

func TestEqualPriorityKeepsBackup(t *testing.T) {
	s := start(t, base(3))
	s.at(0, startUp)
	s.at(time.Second, advert(below, 100, time.Second))
	s.wantDeadline(4*time.Second + skew100)
}

func master(t *testing.T, set Settings) *script {
	s := start(t, set)
	s.at(-10*time.Second, startUp)
	s.at(0, timer)
	if s.i.State() != Master {
		t.Fatal("did not become MASTER")
	}
	return s
}

func TestMasterAdvertisesOnSchedule(t *testing.T) {
	s := master(t, base(3))
	s.wantDeadline(time.Second)
	// Small delays do not add up.
	s.want(time.Second+3*time.Millisecond, timer, "advert 100")
	s.wantDeadline(2 * time.Second)
	// Missed adverts are not made up for.
	s.want(3900*time.Millisecond, timer, "advert 100")
	s.wantDeadline(4900 * time.Millisecond)
}

// A backup of priority 254 takes over after three intervals and 1/128 s. Whoever
// was silent for longer may have been replaced and, without a sign of it, become
// the only MASTER again.
func TestStalledMasterAnnouncesAgain(t *testing.T) {
	s := master(t, base(3))
	s.want(3*time.Second+3*time.Millisecond, timer, "advert 100")
	s.want(7*time.Second+10*time.Millisecond, timer, "advert 100, announce 5")
	s.want(8*time.Second+10*time.Millisecond, timer, "advert 100")
	s.want(12*time.Second+10*time.Millisecond, timer, "advert 100, announce 5")
}

// A MASTER whose interface was without carrier and that did not leave its state
// for it says so, and announces.
func TestLinkThatIsBack(t *testing.T) {
	link := Event{Kind: EventLink}
	s := start(t, base(3))
	s.at(0, startUp)
	s.want(time.Second, link, "")
	s = master(t, base(3))
	s.want(7200*time.Millisecond, link, "advert 100, announce 5")
	s.wantDeadline(8200 * time.Millisecond)
	s.want(7400*time.Millisecond, link, "advert 100") // it flaps
	s.wantDeadline(8200 * time.Millisecond)
	s.want(8200*time.Millisecond, timer, "announce 5")
}

func TestMasterAnnounces(t *testing.T) {
	s := master(t, base(3))
	for d := time.Second; d < 5*time.Second; d += time.Second {
		s.want(d, timer, "advert 100")
	}
	s.want(5*time.Second, timer, "advert 100, announce 5")
	announced := 0
	for d := 6 * time.Second; d <= 65*time.Second; d += time.Second {
		if strings.Contains(s.at(d, timer), "announce 1") {
			announced++
		}
	}
	if announced != 1 {
		t.Errorf("%d refreshes within a minute, want 1", announced)
	}
}

func TestMasterHearsOthers(t *testing.T) {
	for _, tc := range []struct {
		name string
		ev   Event
		want string
	}{
		{"priority 0 is answered at once", advert(peer, 0, time.Second), "advert 100, announce 5"},
		{"higher priority wins", advert(below, 101, time.Second), "advert 100, release, MASTER->BACKUP higher_priority"},
		{"equal priority, higher address wins", advert(peer, 100, time.Second), "advert 100, release, MASTER->BACKUP higher_address"},
		{"equal priority, lower address is answered", advert(below, 100, time.Second), "advert 100, announce 5"},
		{"lower priority is answered", advert(peer, 99, time.Second), "advert 100, announce 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := master(t, base(3))
			s.want(1500*time.Millisecond, tc.ev, tc.want)
			if s.i.State() == Master {
				s.wantDeadline(2500 * time.Millisecond)
			} else {
				s.wantDeadline(1500*time.Millisecond + 3*time.Second + skew100)
			}
		})
	}
}

func TestConflictAnnouncementsAreLimited(t *testing.T) {
	s := master(t, base(3))
	s.want(100*time.Millisecond, advert(peer, 50, time.Second), "advert 100, announce 5")
	s.want(200*time.Millisecond, advert(peer, 50, time.Second), "advert 100")
	s.want(1100*time.Millisecond, advert(peer, 50, time.Second), "advert 100, announce 5")
}

// The last word is the winner's: what the other one said after an announcement is
// answered by another one, an interval and a half after it fell silent.
func TestLastWordAfterAConflict(t *testing.T) {
	set := base(3)
	set.AdvertInterval = 100 * time.Millisecond
	s := master(t, set)
	for at := 50 * time.Millisecond; at < time.Second; at += 100 * time.Millisecond {
		want := "advert 100"
		if at == 50*time.Millisecond {
			want += ", announce 5"
		}
		s.want(at, advert(peer, 50, set.AdvertInterval), want)
	}
	s.want(1050*time.Millisecond, timer, "advert 100, announce 5") // a second is over
	s.want(1100*time.Millisecond, advert(peer, 50, set.AdvertInterval), "advert 100")
	s.want(1200*time.Millisecond, timer, "advert 100")
	s.wantDeadline(1250 * time.Millisecond)
	s.want(1250*time.Millisecond, timer, "announce 5")
	for at := 1300 * time.Millisecond; at < 6250*time.Millisecond; at += 100 * time.Millisecond {
		s.want(at, timer, "advert 100")
	}
	s.want(6250*time.Millisecond, timer, "announce 5") // the second burst
}

func TestShutdown(t *testing.T) {
	master(t, base(3)).want(time.Second, down, "advert 0, release, MASTER->INIT stopped")
	s := start(t, base(3))
	s.at(0, startUp)
	s.want(time.Second, down, "BACKUP->INIT stopped") // RFC 9568: a backup says nothing
	if !s.i.Deadline().IsZero() {
		t.Error("a stopped router still has a timer")
	}
	s.want(time.Minute, timer, "")
}

func TestFault(t *testing.T) {
	fault := Event{Kind: EventFault, Cause: Cause{Reason: ReasonInterfaceDown, Detail: "eth0"}}
	s := master(t, base(3))
	s.want(time.Second, fault, "advert 0, release, MASTER->FAULT interface_down")
	if got := s.i.Cause().String(); got != "interface eth0 is down" {
		t.Errorf("cause %q", got)
	}
	s.want(time.Second, advert(peer, 0, time.Second), "")
	s.want(2*time.Second, Event{Kind: EventRecover, Cause: Cause{Reason: ReasonRecovered}}, "FAULT->BACKUP recovered")
	s.wantDeadline(5*time.Second + skew100)
}

func TestPriorityChange(t *testing.T) {
	s := start(t, base(3))
	s.at(0, startUp)
	s.want(time.Second, Event{Kind: EventPriority, Priority: 200}, "")
	// The running timer keeps its start and gets the new skew.
	s.wantDeadline((&Settings{Version: 3}).MasterDownTime(200, time.Second))
	s = master(t, base(3))
	s.want(300*time.Millisecond, Event{Kind: EventPriority, Priority: 80}, "advert 80")
	s.wantDeadline(1300 * time.Millisecond)
	s.want(400*time.Millisecond, advert(peer, 90, time.Second), "advert 80, release, MASTER->BACKUP higher_priority")
}

func TestReconfigureKeepsState(t *testing.T) {
	s := master(t, base(3))
	set := base(3)
	set.AdvertInterval = 100 * time.Millisecond
	s.i.Reconfigure(epoch.Add(200*time.Millisecond), set)
	if s.i.State() != Master {
		t.Error("left MASTER")
	}
	s.wantDeadline(300 * time.Millisecond)
	set.GarpRepeat = 2
	s.i.Reconfigure(epoch.Add(250*time.Millisecond), set)
	s.wantDeadline(300 * time.Millisecond)
}

func TestStepAllocatesNothing(t *testing.T) {
	s := master(t, base(3))
	acts := make([]Action, 0, 8)
	now := s.now
	if n := testing.AllocsPerRun(100, func() {
		now = now.Add(time.Second)
		acts = s.i.Step(now, timer, acts[:0])
	}); n != 0 {
		t.Errorf("%v allocations per advert", n)
	}
}

// In version 3 a BACKUP goes by the interval of its MASTER, so a reload that
// shortens its own must not make it take over from a healthy router.
func TestReconfigureKeepsLearnedInterval(t *testing.T) {
	fast := base(3)
	fast.AdvertInterval = 10 * time.Millisecond
	s := start(t, base(3))
	s.at(0, startUp)
	s.at(time.Second, advert(peer, 200, time.Second))
	s.i.Reconfigure(epoch.Add(1500*time.Millisecond), fast)
	s.wantDeadline(4*time.Second + skew100)
	// Before a MASTER was heard there is no other interval than ours.
	s = start(t, base(3))
	s.at(0, startUp)
	s.i.Reconfigure(epoch.Add(100*time.Millisecond), fast)
	s.wantDeadline(100*time.Millisecond + (&Settings{Version: 3}).MasterDownTime(100, 10*time.Millisecond))
	// Version 2 hears nobody whose interval is another.
	slow := base(2)
	slow.AdvertInterval = 2 * time.Second
	s = start(t, base(2))
	s.at(0, startUp)
	s.at(time.Second, advert(peer, 200, time.Second))
	s.i.Reconfigure(epoch.Add(1500*time.Millisecond), slow)
	s.wantDeadline(1500*time.Millisecond + (&Settings{Version: 2}).MasterDownTime(100, 2*time.Second))
}

func TestReconfigureOfAnnouncements(t *testing.T) {
	never := base(3)
	never.GarpDelay, never.GarpRefresh, never.AdvertInterval = 0, 0, 40*time.Second
	often := never
	often.GarpRefresh = 2 * time.Second
	s := start(t, never)
	s.at(0, Event{Kind: EventResume})
	s.i.Reconfigure(epoch.Add(time.Second), often)
	s.wantDeadline(3 * time.Second)
	s.i.Reconfigure(epoch.Add(time.Second), never)
	s.wantDeadline(40 * time.Second)
	s.want(3*time.Second, timer, "")
	// The second burst of a new MASTER is not put off.
	s = master(t, base(3))
	set := base(3)
	set.GarpRefresh = time.Hour
	s.i.Reconfigure(epoch.Add(4*time.Second), set)
	s.at(4*time.Second, timer)
	s.wantDeadline(5 * time.Second)
}

// The router that wrongly took over may announce the addresses after our answer
// to its first advert: a second burst has the last word.
func TestConflictIsAnnouncedTwice(t *testing.T) {
	set := base(3)
	set.AdvertInterval, set.GarpRefresh = 40*time.Second, time.Hour
	s := start(t, set)
	s.at(0, Event{Kind: EventResume})
	s.want(5*time.Second, timer, "announce 5")
	s.want(10*time.Second, advert(peer, 50, time.Second), "advert 100, announce 5")
	s.wantDeadline(15 * time.Second)
	s.want(10500*time.Millisecond, advert(peer, 50, time.Second), "advert 100")
	s.wantDeadline(11 * time.Second)
	s.want(11*time.Second, timer, "announce 5")
	s.want(16*time.Second, timer, "announce 5")
}
