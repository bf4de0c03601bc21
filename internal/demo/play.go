package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"director/internal/netlab"
	"director/vrrp"
)

const (
	// requestPeriod is the time between the starts of two requests, and
	// requestTimeout when one counts as failed. It is less than the second after
	// which TCP sends a lost SYN again: a request that was lost counts.
	requestPeriod  = 20 * time.Millisecond
	requestTimeout = 900 * time.Millisecond
	// slackBase is what every measured time may be longer than promised, for the
	// scheduling of a machine that is many machines at once.
	slackBase = 100 * time.Millisecond
	// patience is how long the play waits for something that must come, beyond
	// its due time, before it gives up.
	patience = 20 * time.Second
)

// play is the play while it goes on.
type play struct {
	*farm
	out     *timeline
	report  report
	began   time.Time
	number  int       // of the present act
	actFrom time.Time // its begin
	load    *netlab.Load
	wire    *netlab.Capture // VRRP on the directors' switch
	stalls  *netlab.Stalls
}

// act is one act of the play.
type act struct {
	title string
	run   func(*play, context.Context) (note string, err error)
}

// acts are the acts in their order.
func acts() []act {
	return []act{
		{"start", (*play).start},
		{"a web server dies and returns", (*play).serverDies},
		{"a process of the active director is killed", (*play).childDies},
		{"the active director's machine is cut off", (*play).machineDies},
		{"it returns", (*play).machineReturns},
		{"reload under load", (*play).reloads},
		{"clean stop, and start again", (*play).stops},
	}
}

// perform plays all acts, or those until something keeps the play from going on.
func (p *play) perform(ctx context.Context) {
	type span struct {
		title, note string
		from, to    time.Time
	}
	var spans []span
	for i, a := range acts() {
		p.number, p.actFrom = i+1, time.Now()
		p.out.act(p.number, a.title)
		note, err := a.run(p, ctx)
		spans = append(spans, span{a.title, note, p.actFrom, time.Now()})
		if err != nil && ctx.Err() == nil {
			p.report.stopped = err
			p.say(broken, "the play cannot go on: %v", err)
		}
		if err != nil {
			break
		}
	}
	all := p.requests()
	for _, s := range spans {
		t := sum(endedIn(all, s.from, s.to))
		p.report.parts = append(p.report.parts, part{s.title, t.ok, t.failed, longestGap(all, s.from, s.to), p.stalls.Longest(s.from, s.to), s.note})
	}
}

// requests returns the requests that have ended, in the order of their start.
func (p *play) requests() []netlab.Result {
	if p.load == nil {
		return nil
	}
	return p.load.Results()
}

// since sums up the requests that were started since a moment and have ended.
func (p *play) since(from time.Time) tally {
	return sum(startedIn(p.requests(), from, time.Now()))
}

// say prints a line of the timeline. The requests in it are those that ended in
// this act.
func (p *play) say(m mark, format string, args ...any) {
	v := view{at: time.Since(p.began), owner: "-", pool: "-"}
	switch owners := p.owners(); len(owners) {
	case 0:
	case 1:
		v.owner, v.pool = owners[0].Name(), p.pool(owners[0])
	default:
		v.owner, v.pool = "both", p.pool(owners[0])
	}
	t := sum(endedIn(p.requests(), p.actFrom, time.Now()))
	v.ok, v.failed = t.ok, t.failed
	p.out.line(v, m, fmt.Sprintf(format, args...))
}

// promise judges a promise.
func (p *play) promise(ok bool, text, format string, args ...any) {
	pr := promise{act: p.number, text: text, kept: ok, seen: fmt.Sprintf(format, args...)}
	p.report.promises = append(p.report.promises, pr)
	if ok {
		p.say(kept, "%s: %s", text, pr.seen)
		return
	}
	p.say(broken, "NOT KEPT: %s: %s", text, pr.seen)
}

// noFailure promises that no request that was started since from has failed.
func (p *play) noFailure(what string, from time.Time) {
	requests := startedIn(p.requests(), from, time.Now())
	t := sum(requests)
	if t.failed == 0 && t.ok > 0 {
		p.promise(true, what, "%d of %d answered", t.ok, t.ok)
		return
	}
	p.promise(false, what, "%d answered, %d failed%s", t.ok, t.failed, firstFailure(requests, from))
}

// firstFailure tells of the first failed request since a moment.
func firstFailure(requests []netlab.Result, from time.Time) string {
	for _, r := range requests {
		if r.Err != nil {
			return fmt.Sprintf(", the first sent %s after that: %s", ms(r.Start.Sub(from)), reason(r.Err))
		}
	}
	return ""
}

// onlyWhile promises that the requests since lost failed only where they were under
// way between lost and regained. All of them must have ended.
func (p *play) onlyWhile(what string, lost, regained time.Time) {
	requests := startedIn(p.requests(), lost.Add(-requestTimeout), time.Now())
	extra := outside(requests, lost, regained.Add(p.slack(lost)))
	if len(extra) == 0 {
		p.promise(true, what, "%s in all", count(sum(requests).failed, "failed request"))
		return
	}
	r := extra[0]
	p.promise(false, what, "%s more, the first sent %s after that: %s", count(len(extra), "failed request"), ms(r.Start.Sub(regained)), reason(r.Err))
}

// gap is the longest time without an answer that has ended since from.
func (p *play) gap(from time.Time) time.Duration {
	return longestGap(p.requests(), from, time.Now())
}

// slack is how much longer than promised something may have taken since from: a
// fixed part, and the time for which this machine was measured to stand still.
func (p *play) slack(from time.Time) time.Duration {
	return slackBase + p.stalls.Total(from, time.Now())
}

// wait lets time pass.
func (p *play) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// settle waits until every request that was started so far has ended.
func (p *play) settle(ctx context.Context) error { return p.wait(ctx, requestTimeout+5*requestPeriod) }

// until waits until cond returns nil and returns when that was.
func (p *play) until(ctx context.Context, what string, cond func() error) (time.Time, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it takes too long"))
	defer cancel()
	if err := netlab.Eventually(ctx, cond); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", what, err)
	}
	return time.Now(), nil
}

// untilState waits until a director's virtual router is in a state and, as its
// kernel has it, holds the address only when that is MASTER.
func (p *play) untilState(ctx context.Context, d *director, state vrrp.State) (reason string, err error) {
	_, err = p.until(ctx, fmt.Sprintf("%s becomes %s", d.Name(), state), func() error {
		i, err := d.instance(ctx)
		switch {
		case err != nil:
			return err
		case i.State != state.String():
			return fmt.Errorf("it is %s: %s", i.State, i.Reason)
		case d.holds() != (state == vrrp.Master):
			return fmt.Errorf("it is %s and has the address: %t", i.State, d.holds())
		}
		reason = i.Reason
		return nil
	})
	return reason, err
}

// untilPool waits until a director's kernel has the servers with the given
// weights; -1 is out of the pool. It returns when that was.
func (p *play) untilPool(ctx context.Context, d *director, weights ...int) (time.Time, error) {
	return p.until(ctx, fmt.Sprintf("%s has the pool %v", d.Name(), weights), func() error {
		have := d.weights()
		for i, w := range p.web {
			n, in := have[w.addr]
			if !in {
				n = -1
			}
			if n != weights[i] {
				return fmt.Errorf("%s has weight %d", w.Name(), n)
			}
		}
		return nil
	})
}

// firstAdvert returns the first advert of a director after a moment; not one that
// says good-bye (priority 0) unless that is what is asked for.
func (p *play) firstAdvert(ctx context.Context, d *director, after time.Time, goodbye bool) (netlab.Advert, error) {
	var found netlab.Advert
	_, err := p.until(ctx, "an advert of "+d.Name(), func() error {
		for _, a := range p.wire.Adverts() {
			if a.Source == d.addr && a.Time.After(after) && (a.Priority == vrrp.PriorityStop) == goodbye {
				found = a
				return nil
			}
		}
		return errors.New("none on the wire")
	})
	return found, err
}

// lastAdvert returns when a director's last advert before a moment was on the wire.
func (p *play) lastAdvert(d *director, before time.Time) (time.Time, error) {
	var last time.Time
	for _, a := range p.wire.Adverts() {
		if a.Source == d.addr && a.Time.Before(before) {
			last = a.Time
		}
	}
	if last.IsZero() {
		return last, fmt.Errorf("no advert of %s was seen", d.Name())
	}
	return last, nil
}

// untilReached waits until the router in front of the farm sends what is for the
// virtual address to a director.
func (p *play) untilReached(ctx context.Context, d *director) (time.Time, error) {
	return p.until(ctx, "the router knows that the address is on "+d.Name(), func() error {
		mac, ok := p.gw.Neighbour(vip)
		if !ok || mac.String() != d.mac {
			return fmt.Errorf("it sends to %s", mac)
		}
		return nil
	})
}

// downTime is the time after which a director takes over from one that is silent
// (RFC 9568 section 6.1): three intervals and its skew time.
func downTime(d *director) time.Duration { return 3*advertInterval + skewTime(d) }

// skewTime is the time after which it takes over from one that says good-bye.
func skewTime(d *director) time.Duration {
	return time.Duration(256-d.priority) * advertInterval / 256
}
