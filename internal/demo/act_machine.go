package demo

import (
	"context"
	"fmt"
	"time"

	"director/vrrp"
)

// machineDies takes the active director's machine off the network, which tells
// nobody.
func (p *play) machineDies(ctx context.Context) (string, error) {
	old, backup := p.lb[0], p.lb[1]
	cutAt := time.Now()
	if err := old.Cut(); err != nil {
		return "", err
	}
	old.cut = true
	p.say(done, "lb1 is off the network: every packet from and to it is lost, in silence")
	first, err := p.firstAdvert(ctx, backup, cutAt, false)
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
	p.say(seen, "lb2 is MASTER and the router in front sends to it")
	took, due := first.Time.Sub(last), downTime(backup)
	p.promise(took >= due-5*time.Millisecond && took <= due+p.slack(cutAt), "lb2 takes over when the RFC's time is over",
		"%s after lb1's last advert, due after %s, %s", ms(took), ms(due), late(took-due))

	// Meanwhile the requests that were lost run into their timeout.
	if err := p.wait(ctx, requestTimeout+200*time.Millisecond); err != nil {
		return "", err
	}
	gap := p.gap(cutAt)
	p.promise(gap <= due+advertInterval+requestPeriod+p.slack(cutAt), "the client misses it for no longer than that", "%s without an answer", ms(gap))
	p.onlyWhile("only requests of that time fail", last, first.Time)

	reason, err := p.untilState(ctx, old, vrrp.Fault)
	if err != nil {
		return "", err
	}
	p.say(seen, "lb1 has seen it too and gave the address up: FAULT, %s", reason)
	return fmt.Sprintf("switch %s, RFC %s", ms(took), ms(due)), nil
}

// late tells how much later than due something was.
func late(d time.Duration) string {
	if d < 0 {
		return ms(-d) + " early"
	}
	return ms(d) + " late"
}

// machineReturns puts the machine back on the network.
func (p *play) machineReturns(ctx context.Context) (string, error) {
	first, second := p.lb[0], p.lb[1]
	backAt := time.Now()
	if err := first.Heal(); err != nil {
		return "", err
	}
	first.cut = false
	p.say(done, "lb1 is back on the network")
	in, err := p.untilPool(ctx, first, 1, 1)
	if err != nil {
		return "", err
	}
	p.say(seen, "lb1 has both web servers in its pool again, %s after its return", sec(in.Sub(backAt)))
	note, err := p.comesBack(ctx, first, second, backAt)
	if err != nil {
		return "", err
	}
	return note, nil
}

// comesBack waits until a director with the higher priority has taken the address from
// the other, and judges how. It is used wherever one returns.
func (p *play) comesBack(ctx context.Context, first, second *director, from time.Time) (string, error) {
	advert, err := p.firstAdvert(ctx, first, from, false)
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
	if err := p.wait(ctx, requestTimeout+200*time.Millisecond); err != nil {
		return "", err
	}
	owners := p.owners()
	p.promise(len(owners) == 1 && owners[0] == first, "it takes the address back from the lower priority", "%s has it, %s after its return",
		names(owners), sec(reached.Sub(from)))
	gap := p.gap(advert.Time)
	p.promise(gap <= 100*time.Millisecond+p.slack(advert.Time), "nobody has to wait for that", "%s without an answer", ms(gap))
	p.onlyWhile("only requests that were under way at that moment may fail", advert.Time.Add(-requestPeriod), advert.Time)
	return fmt.Sprintf("switch without a pause, gap %s", ms(gap)), nil
}
