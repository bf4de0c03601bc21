package vrrp

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// dead says that BFD lost a router after 150 ms.
func dead(who netip.Addr) Event {
	return Event{Kind: EventPeerDown, Src: who, Interval: 150 * time.Millisecond,
		Cause: Cause{Reason: ReasonBFDDown, Peer: who, Silence: 150 * time.Millisecond, Detail: "peer"}}
}

func TestPeerDown(t *testing.T) {
	const ms = time.Millisecond
	// The next point of priority 100 in the rounds of 150 ms after an advert.
	next := func(advert, now time.Duration) time.Duration {
		at := advert + 150*ms*156/256
		for at < now {
			at += 150 * ms
		}
		return at
	}
	follow := advert(peer, 200, time.Second)
	backup := func(t *testing.T, version uint8) *script {
		s := start(t, base(version))
		s.at(0, startUp)
		s.at(100*ms, follow)
		return s
	}
	for _, version := range []uint8{2, 3} {
		s := backup(t, version)
		s.want(500*ms, dead(peer), "")
		s.wantDeadline(next(100*ms, 500*ms))
		if s.i.ListenFirst(epoch.Add(500*ms)) || !s.i.ListenFirst(epoch.Add(next(100*ms, 500*ms))) {
			t.Errorf("version %d: the owner is not asked to read its sockets first", version)
		}
		s.want(next(100*ms, 500*ms), timer, "advert 100, acquire 5, BACKUP->MASTER bfd_down")
		if got := s.i.Cause().String(); got != "BFD session peer to 10.99.0.2 is down: nothing heard for 150ms" {
			t.Errorf("told: %s", got)
		}
		s.want(700*ms, dead(peer), "")
		if s.i.State() != Master {
			t.Error("a MASTER minds a dead peer")
		}
	}
	masterDown := 3*time.Second + SkewTime(3, 100, time.Second)

	t.Run("another router", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, dead(below))
		s.wantDeadline(100*ms + masterDown)
	})
	t.Run("nobody heard", func(t *testing.T) {
		s := start(t, base(3))
		s.at(0, startUp)
		s.at(500*ms, dead(peer))
		s.wantDeadline(masterDown)
	})
	t.Run("the master lives", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, dead(peer))
		s.at(501*ms, follow)
		s.wantDeadline(501*ms + masterDown)
		s.want(501*ms+masterDown, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	})
	t.Run("a better one was first", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, dead(peer))
		s.at(510*ms, advert(below, 150, time.Second))
		s.wantDeadline(510*ms + masterDown)
		if m, _ := s.i.Master(); m != below {
			t.Errorf("follows %v", m)
		}
	})
	t.Run("a lesser one was first", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, dead(peer))
		s.at(510*ms, advert(below, 50, time.Second))
		s.wantDeadline(510*ms + masterDown)
		s.want(510*ms+masterDown, timer, "advert 100, acquire 5, BACKUP->MASTER preempted")
	})
	t.Run("the one to be preempted", func(t *testing.T) {
		s := start(t, base(3))
		s.at(0, startUp)
		s.at(100*ms, advert(below, 50, time.Second))
		s.at(500*ms, dead(below))
		s.want(next(100*ms, 500*ms), timer, "advert 100, acquire 5, BACKUP->MASTER bfd_down")
	})
	t.Run("replaced already", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, advert(below, 50, time.Second))
		s.at(501*ms, dead(peer))
		s.wantDeadline(100*ms + masterDown)
	})
	t.Run("good-bye first", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, advert(peer, 0, time.Second))
		s.at(501*ms, dead(peer))
		s.want(500*ms+SkewTime(3, 100, time.Second), timer, "advert 100, acquire 5, BACKUP->MASTER master_stopped")
	})
	t.Run("good-bye afterwards", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, dead(peer))
		s.at(501*ms, advert(peer, 0, time.Second))
		s.want(501*ms+SkewTime(3, 100, time.Second), timer, "advert 100, acquire 5, BACKUP->MASTER master_stopped")
	})
	t.Run("never later than by adverts", func(t *testing.T) {
		s := backup(t, 3)
		s.at(3*time.Second, dead(peer))
		s.wantDeadline(next(100*ms, 3*time.Second))
		s = backup(t, 3)
		s.at(masterDown+99*ms, dead(peer))
		s.wantDeadline(100*ms + masterDown)
		s = start(t, func() Settings { s := base(3); s.AdvertInterval = 10 * ms; return s }())
		s.at(0, startUp)
		s.at(0, advert(peer, 200, 10*ms))
		s.at(ms, dead(peer))
		s.wantDeadline(SkewTime(3, 100, 10*ms))
	})
	t.Run("a new priority", func(t *testing.T) {
		s := backup(t, 3)
		s.at(500*ms, dead(peer))
		s.at(501*ms, Event{Kind: EventPriority, Priority: 1})
		s.wantDeadline(next(100*ms, 500*ms))
	})
	t.Run("not started", func(t *testing.T) {
		s := start(t, base(3))
		s.want(0, dead(peer), "")
		s.at(0, Event{Kind: EventFault, Cause: Cause{Reason: ReasonSocket}})
		s.want(1, dead(peer), "")
	})
	t.Run("with its group", func(t *testing.T) {
		one, two := New(epoch, base(3)), New(epoch, base(3))
		g := NewGroup(epoch)
		g.Regroup(epoch, []Member{{"one", one}, {"two", two}}, nil)
		for m := range 2 {
			g.Step(epoch, m, startUp, nil)
			g.Step(epoch, m, follow, nil)
		}
		g.Step(epoch, 0, dead(peer), nil)
		g.Step(epoch.Add(next(0, 0)), 0, timer, nil)
		if one.State() != Backup || !one.Wants() {
			t.Errorf("one is %v and waits: %v", one.State(), one.Wants())
		}
		g.Step(epoch.Add(next(0, 0)), 1, dead(peer), nil)
		g.Step(epoch.Add(next(0, 0)), 1, timer, nil)
		if one.State() != Master || two.State() != Master || one.Cause().Reason != ReasonBFDDown {
			t.Errorf("%v (%v) and %v", one.State(), one.Cause(), two.State())
		}
	})
}

// A master dies, and its backups notice at different times, as far apart as the
// packets of a BFD session are. Whatever their priorities: one of them takes
// over within twice the detection time and the spread; no other follows it, but
// for those whose time came while its first advert was under way.
func TestBackupsDoNotFollowTheSameDeath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		detect := time.Duration(rapid.IntRange(20, 900).Draw(t, "detect ms")) * time.Millisecond
		spread := detect / time.Duration(rapid.IntRange(2, 5).Draw(t, "multiplier"))
		delay := time.Duration(rapid.IntRange(0, 2000).Draw(t, "delay us")) * time.Microsecond
		type node struct {
			i       *Instance
			addr    netip.Addr
			notices time.Time
		}
		master := netip.MustParseAddr("10.99.0.200")
		var nodes []*node
		for k := range rapid.IntRange(2, 5).Draw(t, "backups") {
			set := base(3)
			set.Priority = uint8(rapid.IntRange(1, 250).Draw(t, "priority"))
			set.Preempt = rapid.Bool().Draw(t, "preempt")
			n := &node{i: New(epoch, set), addr: netip.AddrFrom4([4]byte{10, 99, 0, byte(k + 1)})}
			n.i.SetSource(n.addr)
			n.i.Step(epoch, startUp, nil)
			n.i.Step(epoch, advert(master, 254, time.Second), nil)
			n.notices = epoch.Add(detect + time.Duration(rapid.Int64Range(0, int64(spread)).Draw(t, "noticed late")))
			nodes = append(nodes, n)
		}
		type message struct {
			at   time.Time
			from *node
			prio uint8
		}
		var air []message
		var first time.Time
		due := func(n *node) time.Time {
			d := n.i.Deadline()
			if !n.notices.IsZero() && n.notices.Before(d) {
				d = n.notices
			}
			return d
		}
		for end := epoch.Add(2500 * time.Millisecond); ; {
			n := slices.MinFunc(nodes, func(a, b *node) int { return due(a).Compare(due(b)) })
			now := due(n)
			said := func(from *node, acts []Action) {
				for _, a := range acts {
					switch {
					case a.Kind == ActionAdvert:
						air = append(air, message{now.Add(delay), from, a.Priority})
					case a.Kind == ActionNotify && a.Transition.To == Master:
						if a.Transition.Cause.Reason != ReasonBFDDown {
							t.Fatalf("%v takes over: %v", from.addr, a.Transition.Cause)
						}
						if first.IsZero() {
							first = now
						}
						if behind := now.Sub(first); behind > delay {
							t.Fatalf("%v takes over %v after the first", from.addr, behind)
						}
					}
				}
			}
			if len(air) > 0 && !air[0].at.After(now) {
				m := air[0]
				air, now = air[1:], m.at
				for _, to := range nodes {
					if to != m.from {
						said(to, to.i.Step(now, advert(m.from.addr, m.prio, time.Second), nil))
					}
				}
				continue
			}
			if now.After(end) {
				break
			}
			if now.Equal(n.notices) {
				n.notices = time.Time{}
				ev := dead(master)
				ev.Interval = detect
				said(n, n.i.Step(now, ev, nil))
				continue
			}
			said(n, n.i.Step(now, timer, nil))
		}
		if limit := 2*max(detect, leastPeerDownUnit) + spread; first.IsZero() || first.Sub(epoch) > limit {
			t.Fatalf("the first takeover was after %v, the limit is %v", first.Sub(epoch), limit)
		}
		masters := 0
		for _, n := range nodes {
			if n.i.State() == Master {
				masters++
			}
		}
		if masters != 1 {
			t.Fatalf("%d masters in the end", masters)
		}
	})
}

// Of two backups that notice up to a packet apart the better one takes over first
// as a rule, however close their priorities are.
func TestBetterBackupNoticesFirst(t *testing.T) {
	const ms = time.Millisecond
	first, all := 0, 0
	for master := 0 * ms; master < 150*ms; master += 7 * ms { // when it dies, after its advert
		for apart := -50 * ms; apart <= 50*ms; apart += 5 * ms {
			var due [2]time.Time
			for n, prio := range []uint8{100, 99} {
				set := base(3)
				set.Priority = prio
				i := New(epoch, set)
				i.Step(epoch, startUp, nil)
				i.Step(epoch, advert(peer, 200, time.Second), nil)
				i.Step(epoch.Add(200*ms+master+time.Duration(n)*apart), dead(peer), nil)
				due[n] = i.Deadline()
			}
			all++
			if due[0].Before(due[1]) {
				first++
			}
		}
	}
	t.Logf("the better one is first in %d of %d", first, all)
	if first < all*80/100 {
		t.Errorf("the better one is first in %d of %d", first, all)
	}
}
