package vrrp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// party is a group of two routers, whose actions are written down.
type party struct {
	t    *testing.T
	now  time.Time
	g    *Group
	m    []Member
	said []string
}

func newParty(t *testing.T, priorities ...uint8) *party {
	p := &party{t: t, now: epoch, g: NewGroup(epoch)}
	for n, prio := range priorities {
		i := New(epoch, Settings{VRID: uint8(n + 1), Version: 3, Priority: prio, AdvertInterval: time.Second,
			Preempt: true, Addresses: addresses, GarpRepeat: 1})
		i.SetSource(netip.AddrFrom4([4]byte{10, 99, byte(n), 1}))
		p.m = append(p.m, Member{fmt.Sprintf("VI_%d", n+1), i})
	}
	p.take(p.g.Regroup(p.now, p.m, nil))
	return p
}

func (p *party) take(acts []GroupAction) {
	for _, a := range acts {
		switch {
		case a.Member < 0:
			p.said = append(p.said, fmt.Sprintf("group %v->%v (%s: %s)", a.Transition.From, a.Transition.To, a.Transition.Member, a.Transition.Cause.Reason))
		case a.Action.Kind == ActionNotify:
			t := a.Action.Transition
			p.said = append(p.said, fmt.Sprintf("%s %v->%v (%v)", p.m[a.Member].Name, t.From, t.To, t.Cause.Reason))
		case a.Action.Kind == ActionAdvert:
			p.said = append(p.said, fmt.Sprintf("%s says %d", p.m[a.Member].Name, a.Action.Priority))
		default:
			p.said = append(p.said, fmt.Sprintf("%s %v", p.m[a.Member].Name, a.Action.Kind))
		}
	}
}

func (p *party) step(member int, ev Event) { p.take(p.g.Step(p.now, member, ev, nil)) }

func (p *party) start() {
	for n := range p.m {
		p.step(n, Event{Kind: EventStart})
	}
}

// hear is an advert of the other host on the link of a member.
func (p *party) hear(member int, prio uint8) {
	src := netip.AddrFrom4([4]byte{10, 99, byte(member), 2})
	p.step(member, Event{Kind: EventAdvert, Src: src, Priority: prio, Interval: time.Second})
}

func (p *party) pass(d time.Duration) {
	end := p.now.Add(d)
	for {
		next := -1
		for n, m := range p.m {
			if at := m.Deadline(); !at.IsZero() && !at.After(end) && (next < 0 || at.Before(p.m[next].Deadline())) {
				next = n
			}
		}
		if next < 0 {
			p.now = end
			return
		}
		p.now = p.m[next].Deadline()
		p.step(next, Event{Kind: EventTimer})
	}
}

func (p *party) want(want ...string) {
	p.t.Helper()
	if got := strings.Join(p.said, "\n"); got != strings.Join(want, "\n") {
		p.t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	p.said = nil
}

var (
	linkDown  = Cause{Reason: ReasonInterfaceDown, Detail: "eth1"}
	recovered = Cause{Reason: ReasonRecovered, Detail: "eth1 is up"}
)

func TestGroupWaitsForTheLastMember(t *testing.T) {
	p := newParty(t, 100, 100)
	p.start()
	p.want("VI_1 INIT->BACKUP (started)", "VI_2 INIT->BACKUP (started)", "group INIT->BACKUP (VI_2: started)")
	p.hear(1, 200)
	p.pass(4 * time.Second) // VI_1 waits, VI_2 has 3.6 s from the advert on as well
	p.want("VI_1 says 100", "VI_1 acquire", "VI_1 BACKUP->MASTER (master_down)",
		"VI_2 says 100", "VI_2 acquire", "VI_2 BACKUP->MASTER (master_down)", "group BACKUP->MASTER (VI_2: master_down)")

	p = newParty(t, 100, 100)
	p.start()
	p.said = nil
	for range 20 {
		p.hear(1, 200)
		p.pass(time.Second)
	}
	p.want()
	if !p.m[0].Wants() || p.m[1].Wants() || p.g.State() != Backup {
		t.Error("VI_1 has to wait, VI_2 not")
	}
	p.pass(4 * time.Second)
	if p.g.State() != Master || p.m[0].Cause().Silence < 22*time.Second {
		t.Errorf("%v, VI_1 after %v", p.g.State(), p.m[0].Cause())
	}
}

func TestGroupGoesBackTogether(t *testing.T) {
	p := newParty(t, 100, 100)
	p.start()
	p.pass(4 * time.Second)
	p.said = nil
	p.hear(1, 50) // a lower one is answered, and the links are told again who is who
	p.want("VI_2 says 100", "VI_2 announce", "VI_1 announce")
	p.hear(0, 0) // one that goes is too, but the announcement was a moment ago
	p.want("VI_1 says 100")
	p.hear(1, 200)
	// Both links are told: on either of them clients may be here by mistake.
	p.want("VI_2 says 0", "VI_2 release", "VI_2 MASTER->BACKUP (higher_priority)",
		"VI_1 says 0", "VI_1 release", "VI_1 MASTER->BACKUP (sync_group)", "group MASTER->BACKUP (VI_2: higher_priority)")
	if got, want := p.m[0].Cause().String(), "with its sync group: VI_2: 10.99.1.2 advertises the higher priority 200"; got != want {
		t.Errorf("cause %q", got)
	}
	// A member that would take over changes its mind when it is lower than whom it heard.
	for range 5 {
		p.hear(0, 50)
		p.hear(1, 200)
		p.pass(time.Second)
	}
	if !p.m[0].Wants() {
		t.Error("VI_1 does not want")
	}
	p.step(0, Event{Kind: EventPriority, Priority: 40})
	if p.m[0].Wants() {
		t.Error("VI_1 wants with a priority of 40")
	}
}

func TestGroupFault(t *testing.T) {
	p := newParty(t, 100, 100)
	p.start()
	p.pass(4 * time.Second)
	p.said = nil
	p.step(0, Event{Kind: EventFault, Cause: linkDown})
	p.want("VI_1 says 0", "VI_1 release", "VI_1 MASTER->FAULT (interface_down)",
		"VI_2 says 0", "VI_2 release", "VI_2 MASTER->FAULT (sync_group)", "group MASTER->FAULT (VI_1: interface_down)")
	p.step(1, Event{Kind: EventFault, Cause: linkDown})
	p.step(0, Event{Kind: EventRecover, Cause: recovered})
	p.want()
	if c := p.m[0].Cause(); c.Reason != ReasonGroup || c.Detail != "VI_2: interface eth1 is down" {
		t.Errorf("VI_1 says %q", c)
	}
	p.step(1, Event{Kind: EventRecover, Cause: recovered})
	p.want("VI_2 FAULT->BACKUP (recovered)", "VI_1 FAULT->BACKUP (recovered)", "group FAULT->BACKUP (VI_2: recovered)")

	// Whoever is started later finds the fault.
	p = newParty(t, 100, 255)
	p.step(0, Event{Kind: EventFault, Cause: linkDown})
	p.want("VI_1 INIT->FAULT (interface_down)")
	p.step(1, Event{Kind: EventResume})
	p.want("VI_2 INIT->FAULT (sync_group)", "group INIT->FAULT (VI_2: sync_group)")
	p.step(1, Event{Kind: EventRecover, Cause: recovered})
	p.want()
	p.step(0, Event{Kind: EventRecover, Cause: recovered})
	p.want("VI_1 FAULT->BACKUP (recovered)", "VI_2 FAULT->BACKUP (recovered)", "group FAULT->BACKUP (VI_1: recovered)")
}

func TestGroupOfOwners(t *testing.T) {
	p := newParty(t, 255, 255)
	p.step(0, Event{Kind: EventStart})
	p.want("VI_1 INIT->BACKUP (started)")
	p.step(1, Event{Kind: EventStart})
	p.want("VI_2 INIT->BACKUP (started)", "VI_1 says 255", "VI_1 acquire", "VI_1 BACKUP->MASTER (owner)",
		"VI_2 says 255", "VI_2 acquire", "VI_2 BACKUP->MASTER (owner)", "group INIT->MASTER (VI_2: owner)")
	for n := range p.m {
		p.step(n, Event{Kind: EventShutdown, Cause: Cause{Reason: ReasonStopped}})
	}
	p.want("VI_1 says 0", "VI_1 release", "VI_1 MASTER->INIT (stopped)",
		"VI_2 says 0", "VI_2 release", "VI_2 MASTER->INIT (stopped)", "group MASTER->INIT (VI_2: stopped)")
}

func TestRegroup(t *testing.T) {
	p := newParty(t, 100, 100)
	p.start()
	p.pass(4 * time.Second)
	p.said = nil
	// One that runs alone joins, and takes over when it hears nobody; the others
	// stay what they are.
	third := newParty(t, 100)
	third.start()
	p.m = append(p.m, Member{"VI_3", third.m[0].Instance})
	p.take(p.g.Regroup(p.now, p.m, nil))
	p.want()
	p.now = third.now
	p.step(2, Event{Kind: EventTimer})
	p.want()
	p.pass(4 * time.Second)
	if got := strings.Join(p.said, "\n"); !strings.Contains(got, "VI_3 BACKUP->MASTER (master_down)") || strings.Contains(got, "group") || p.g.State() != Master {
		t.Errorf("%v:\n%s", p.g.State(), got)
	}
	// One that follows somebody takes the others back.
	p.m[2].state, p.said = Backup, nil
	p.hear(2, 200)
	if p.m[0].State() != Backup || p.m[1].State() != Backup || p.g.State() != Backup {
		t.Errorf("%v, %v, group %v", p.m[0].State(), p.m[1].State(), p.g.State())
	}
	// A member in FAULT takes the others along; when it has left, they recover.
	p.step(2, Event{Kind: EventFault, Cause: linkDown})
	if p.g.State() != Fault {
		t.Error(p.g.State())
	}
	alone := p.m[2]
	p.m = p.m[:2]
	p.take(p.g.Regroup(p.now, p.m, nil))
	p.step(0, Event{Kind: EventRecover, Cause: recovered})
	if p.g.State() != Backup || alone.grouped {
		t.Errorf("%v, the other still grouped: %v", p.g.State(), alone.grouped)
	}
	// A new group of running routers begins with what they are.
	p.said, p.g = nil, NewGroup(p.now)
	p.take(p.g.Regroup(p.now, p.m, nil))
	p.want("group INIT->BACKUP (VI_1: recovered)")
	p.take(p.g.Regroup(p.now, nil, nil))
	p.want("group BACKUP->INIT (: removed)")
}

func TestGroupAdvertCostsNoAllocation(t *testing.T) {
	p := newParty(t, 100, 100)
	p.start()
	acts := make([]GroupAction, 0, 8)
	ev := Event{Kind: EventAdvert, Src: netip.AddrFrom4([4]byte{10, 99, 0, 2}), Priority: 200, Interval: time.Second}
	if n := testing.AllocsPerRun(100, func() { acts = p.g.Step(p.now, 0, ev, acts[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
