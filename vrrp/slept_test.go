package vrrp

import (
	"testing"
	"time"
)

func TestSlept(t *testing.T) {
	slept := Event{Kind: EventSlept, Interval: time.Hour}
	// A BACKUP gives its MASTER the whole time once more, also one that had said good-bye.
	s := start(t, base(3))
	s.at(0, startUp)
	s.want(time.Second, advert(peer, 200, time.Second), "")
	s.want(2*time.Second, slept, "")
	s.wantDeadline(2*time.Second + mdt)
	s.want(2*time.Second, advert(peer, 0, time.Second), "")
	s.want(2*time.Second+ms, slept, "")
	s.want(2*time.Second+skew100, timer, "")
	s.want(2*time.Second+ms+mdt, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")

	// A MASTER listens, then says that it is there, and announces once more.
	at := 3*time.Second + mdt
	s.want(at, slept, "")
	if !s.i.ListenFirst(epoch.Add(at)) {
		t.Error("it does not listen first")
	}
	s.want(at, timer, "advert 100, announce 5")

	// With nopreempt it follows who has replaced it, even a lower one.
	set := base(3)
	set.Preempt = false
	s = start(t, set)
	s.at(0, Event{Kind: EventResume})
	s.want(ms, slept, "")
	s.want(ms, advert(peer, 50, time.Second), "advert 0, release, MASTER->BACKUP replaced")

	// A lock may have passed to another host.
	s = start(t, set)
	s.i.SetGates(epoch, []Gate{gate1(func(g *Gate) { g.Name, g.Held = "lock", true })}, nil)
	s.at(0, Event{Kind: EventResume})
	s.want(0, timer, "ask 0")
	s.want(ms, s.answer(0, Passed, ""), "")
	s.want(2*ms, slept, "")
	s.want(2*ms, timer, "advert 100, announce 5, ask 0")
}
