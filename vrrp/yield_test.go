package vrrp

import (
	"testing"
	"time"
)

// A MASTER that is told to hand over says good-bye, stays BACKUP as the last resort, and
// is back when nobody else is left.
func TestYield(t *testing.T) {
	yield := Event{Kind: EventYield, Cause: Cause{Reason: ReasonReleased, Detail: "by root"}}
	s := start(t, base(3))
	s.want(0, yield, "")
	s.want(0, startUp, "INIT->BACKUP started")
	s.want(time.Second, yield, "") // it has nothing to hand over
	s.want(3*time.Second+skew100, timer, "advert 100, acquire 5, BACKUP->MASTER master_down")
	s.want(5*time.Second, yield, "advert 0, release, MASTER->BACKUP released")
	if got := s.i.Cause().String(); got != "released by root" {
		t.Errorf("cause %q", got)
	}
	s.want(5*time.Second, Event{Kind: EventPriority, Priority: 1}, "")
	s.want(6*time.Second, advert(peer, 90, time.Second), "")
	skew1 := SkewTime(3, 1, time.Second)
	s.wantDeadline(9*time.Second + skew1) // who has a higher priority is not preempted
	s.want(9*time.Second+skew1, timer, "advert 1, acquire 5, BACKUP->MASTER master_down")
	s.want(10*time.Second, advert(peer, 90, time.Second), "advert 1, release, MASTER->BACKUP higher_priority")
}

// A group hands over as one.
func TestYieldOfAGroup(t *testing.T) {
	p := newParty(t, 100, 100)
	p.start()
	p.pass(4 * time.Second)
	p.said = nil
	p.step(1, Event{Kind: EventYield, Cause: Cause{Reason: ReasonReleased, Detail: "by root"}})
	p.want("VI_2 says 0", "VI_2 release", "VI_2 MASTER->BACKUP (released)",
		"VI_1 says 0", "VI_1 release", "VI_1 MASTER->BACKUP (sync_group)", "group MASTER->BACKUP (VI_2: released)")
}
