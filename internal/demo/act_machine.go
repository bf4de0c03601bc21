package demo

import (
	"context"
	"fmt"
	"time"

	"director/vrrp"
)

// early is how much sooner than due a switch may look: the two directors and the
// capture take their times at slightly different places.
const early = 5 * time.Millisecond

// machineDies takes the active director's machine off the network, which tells
// nobody.
func (p *play) machineDies(ctx context.Context) (string, error) {
	old, backup := p.lb[0], p.lb[1]
	p.say(done, "lb1 is cut off: every packet from and to it is lost, and nobody is told")
	cut := time.Now()
	if err := old.Cut(); err != nil {
		return "", err
	}
	old.cut = true
	first, err := p.firstAdvert(ctx, backup, cut, false)
	if err != nil {
		return "", err
	}
	last, err := p.lastAdvert(old, first.Time)
	if err != nil {
		return "", err
	}
	if _, err := p.untilState(ctx, backup, vrrp.Master); err != nil {
		return "", err
	}
	if _, err := p.untilReached(ctx, backup); err != nil {
		return "", err
	}
	p.say(seen, "lb2 is MASTER, and gw sends to it")
	note := p.onTime("lb2 takes over when the RFC's time is over", "lb1's last advert", first.Time.Sub(last), downTime(backup), cut)
	if err := p.settle(ctx); err != nil {
		return "", err
	}
	p.pause(downTime(backup), cut)
	p.onlyWhile("only requests of that time fail", last, first.Time)

	reason, err := p.untilState(ctx, old, vrrp.Fault)
	if err != nil {
		return "", err
	}
	p.say(seen, "lb1 has noticed and gives the address up: FAULT, %s", reason)
	return note, nil
}

// onTime promises that a switch took the time that it was due to take, and
// returns the measured time for the summary.
func (p *play) onTime(what, after string, took, due time.Duration, from time.Time) string {
	offset := ms(took-due) + " late"
	if took < due {
		offset = ms(due-took) + " early"
	}
	p.promise(took >= due-early && took <= due+p.slack(from), what, "%s after %s, due after %s: %s", ms(took), after, ms(due), offset)
	return fmt.Sprintf("switch %s, due %s", ms(took), ms(due))
}

// pause promises that the client misses the service around from for no longer than
// a switch is due to take.
func (p *play) pause(due time.Duration, from time.Time) {
	gap := p.gap(from)
	p.promise(gap <= due+advertInterval+p.slack(from), "the client has no answers for no longer than that", "%s", ms(gap))
}

// machineReturns puts the machine back on the network.
func (p *play) machineReturns(ctx context.Context) (string, error) {
	first, second := p.lb[0], p.lb[1]
	p.say(done, "lb1 is on the network again")
	back := time.Now()
	if err := first.Heal(); err != nil {
		return "", err
	}
	first.cut = false
	in, err := p.untilPool(ctx, first, 1, 1)
	if err != nil {
		return "", err
	}
	p.say(seen, "after %s lb1 has both web servers in its pool again", sec(in.Sub(back)))
	return p.takenBack(ctx, first, second, back)
}

// takenBack waits until a director with the higher priority, which returned at a
// moment, has taken the address from the other one, and judges how.
func (p *play) takenBack(ctx context.Context, first, second *director, back time.Time) (string, error) {
	advert, err := p.firstAdvert(ctx, first, back, false)
	if err != nil {
		return "", err
	}
	reason, err := p.untilState(ctx, first, vrrp.Master)
	if err != nil {
		return "", err
	}
	p.say(seen, "%s is MASTER: %s", first.Name(), reason)
	if _, err := p.untilState(ctx, second, vrrp.Backup); err != nil {
		return "", err
	}
	reached, err := p.untilReached(ctx, first)
	if err != nil {
		return "", err
	}
	if err := p.settle(ctx); err != nil {
		return "", err
	}
	owners := p.owners()
	p.promise(len(owners) == 1 && owners[0] == first, "it takes the address back from the lower priority", "%s has it, after %s",
		names(owners), sec(reached.Sub(back)))
	gap := p.gap(advert.Time)
	p.promise(gap <= p.slack(advert.Time), "nobody has to wait for that", "%s without an answer", ms(gap))
	p.onlyWhile("only requests that are under way at that moment may fail", advert.Time, advert.Time)
	return fmt.Sprintf("back with a pause of %s", ms(gap)), nil
}
