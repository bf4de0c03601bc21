package vrrp

import (
	"strings"
	"testing"
	"time"
)

// preparing is a router whose addresses wait for a second at most.
func preparing() Settings {
	set := base(3)
	set.Prepare = time.Second
	return set
}

var ready = Event{Kind: EventReady}

func TestAddressesWaitUntilReady(t *testing.T) {
	s := start(t, preparing())
	s.want(0, startUp, "INIT->BACKUP started")
	s.want(ms, ready, "")
	s.want(mdt, timer, "advert 100, prepare, BACKUP->MASTER master_down")
	if !s.i.Preparing() {
		t.Error("the addresses do not wait")
	}
	s.wantDeadline(mdt + time.Second)
	// Another MASTER is answered; what is not up is not announced.
	s.want(mdt+2*ms, advert(peer, 50, time.Second), "advert 100")
	s.want(mdt+2*ms, Event{Kind: EventLink}, "advert 100")
	s.want(mdt+7*ms, ready, "acquire 5")
	s.want(mdt+8*ms, ready, "")
	s.want(mdt+9*ms, advert(peer, 50, time.Second), "advert 100, announce 5")
	if got := s.i.Cause().String(); s.i.Preparing() || got != "no master heard for 3.6094s" {
		t.Errorf("still waiting: %v; %s", s.i.Preparing(), got)
	}
	s.want(mdt+1009*ms, timer, "advert 100")
}

// Adverts do not wait, and neither do the addresses for ever.
func TestAddressesWaitNoLonger(t *testing.T) {
	set := preparing()
	set.AdvertInterval, set.GarpDelay = 300*ms, 2*time.Second
	down := 900*ms + skew100*3/10
	s := start(t, set)
	s.at(0, startUp)
	s.want(down, timer, "advert 100, prepare, BACKUP->MASTER master_down")
	s.want(down+300*ms, timer, "advert 100")
	s.want(down+600*ms, timer, "advert 100")
	s.want(down+900*ms, timer, "advert 100")
	s.want(down+999*ms, timer, "")
	s.wantDeadline(down + time.Second)
	s.want(down+time.Second, timer, "acquire 5, unready")
	const why = "the addresses went up before what is behind them was ready: no word of it within 1s"
	if got := s.i.Cause().String(); !strings.HasSuffix(got, "; "+why) {
		t.Errorf("the cause is %q", got)
	}
	s.want(down+time.Second+ms, ready, "")
	for n := range 6 { // the second burst follows the first one by its own time
		s.want(down+time.Duration(4+n)*300*ms, timer, "advert 100")
	}
	s.wantDeadline(down + 3*time.Second)
	s.want(down+3*time.Second, timer, "advert 100, announce 5")

	// Somebody knows that it is not ready.
	s = start(t, preparing())
	s.at(0, startUp)
	s.at(mdt, timer)
	s.want(mdt+ms, Event{Kind: EventReady, Cause: Cause{Detail: "no table"}}, "acquire 5, unready")
	if got := s.i.Cause(); got.Unready != "no table" || got.Reason != ReasonMasterDown {
		t.Errorf("the cause is %+v", got)
	}
}

func TestAddressesOfAFormerMasterDoNotComeUp(t *testing.T) {
	for name, end := range map[string]struct {
		ev   Event
		want string
	}{
		"a better one":  {advert(peer, 200, time.Second), "advert 100, release, MASTER->BACKUP higher_priority"},
		"an order":      {Event{Kind: EventYield, Cause: Cause{Reason: ReasonReleased}}, "advert 0, release, MASTER->BACKUP released"},
		"a fault":       {Event{Kind: EventFault, Cause: linkDown}, "advert 0, release, MASTER->FAULT interface_down"},
		"the end of it": {down, "advert 0, release, MASTER->INIT stopped"},
	} {
		s := start(t, preparing())
		s.at(0, startUp)
		s.at(mdt, timer)
		s.want(mdt+ms, end.ev, end.want)
		if s.i.Preparing() {
			t.Errorf("%s: the addresses still wait", name)
		}
		s.want(mdt+2*ms, ready, "")
		s.want(mdt+time.Second, timer, "")
	}
}

// The address owner waits like all others; who resumes has the addresses.
func TestWhoWaits(t *testing.T) {
	owner := preparing()
	owner.Priority = PriorityOwner
	start(t, owner).want(0, startUp, "advert 255, prepare, INIT->MASTER owner")
	s := start(t, preparing())
	s.want(0, Event{Kind: EventResume}, "advert 100, acquire 5, INIT->MASTER resumed")
	s.at(0, down)
	s.at(0, startUp)
	// A reload that ends it leaves the wait that is under way.
	s.want(mdt, timer, "advert 100, prepare, BACKUP->MASTER master_down")
	set := base(3)
	set.GarpRefresh = ms
	s.i.Reconfigure(s.now, set)
	s.wantDeadline(mdt + time.Second)
	s.want(mdt+time.Second, timer, "advert 100, acquire 5, unready")
}

// Each member of a group waits for itself; the adverts of all go at once.
func TestGroupPrepares(t *testing.T) {
	p := newParty(t, 100, 100)
	set := p.m[0].settings
	set.Prepare = time.Second
	p.m[0].Reconfigure(p.now, set)
	p.start()
	p.said = nil
	p.pass(mdt)
	p.want("VI_1 says 100", "VI_1 prepare", "VI_1 BACKUP->MASTER (master_down)",
		"VI_2 says 100", "VI_2 acquire", "VI_2 BACKUP->MASTER (master_down)", "group BACKUP->MASTER (VI_2: master_down)")
	p.step(0, ready)
	p.want("VI_1 acquire")
}
