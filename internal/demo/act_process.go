package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"director/internal/watchdog"
	"director/ipvs"
)

// watchTime is for how long the farm is watched after a process was killed.
const watchTime = 1500 * time.Millisecond

// childDies kills the VRRP process of the active director, then its checker
// process.
func (p *play) childDies(ctx context.Context) (string, error) {
	from := time.Now()
	before, err := p.lb[0].ipvsadm()
	if err != nil {
		return "", err
	}
	counted, err := p.lb[0].connections()
	if err != nil {
		return "", err
	}
	table := watchTable(p.lb[0])
	defer table.stop()
	p.lb[0].moves()
	p.lb[1].moves()

	for _, role := range []watchdog.Role{watchdog.RoleVRRP, watchdog.RoleCheckers} {
		killed := time.Now()
		pid, err := p.lb[0].kill(ctx, role)
		if err != nil {
			return "", err
		}
		p.say(done, "the process `%s` on lb1 (pid %d) is killed with SIGKILL", role.Title(), pid)
		next, err := p.untilAgain(ctx, role, pid)
		if err != nil {
			return "", err
		}
		p.say(seen, "pid %d does its work, %s after the kill", next, ms(time.Since(killed)))
		if err := p.wait(ctx, watchTime); err != nil {
			return "", err
		}
		if role == watchdog.RoleVRRP {
			reason, err := p.lb[0].instance(ctx)
			if err != nil {
				return "", err
			}
			p.say(seen, "lb1 is %s: %s", reason.State, reason.Reason)
			p.addressStayed(killed)
		}
	}
	after, err := p.lb[0].ipvsadm()
	if err != nil {
		return "", err
	}
	differed := table.stop()
	p.promise(before == after && differed == nil, "the IPVS table stays as it was, entry for entry", "%s", told(differed, before == after))
	more, err := p.lb[0].connections()
	if err != nil {
		return "", err
	}
	p.promise(more > counted, "its counters go on", "%d connections, then %d", counted, more)
	if err := p.wait(ctx, requestTimeout/2); err != nil {
		return "", err
	}
	p.noFailure("no request fails", from)
	return "", nil
}

func told(differed error, same bool) string {
	switch {
	case differed != nil:
		return differed.Error()
	case !same:
		return "ipvsadm -Sn prints another table"
	}
	return "ipvsadm -Sn prints the same before and after"
}

// untilAgain waits until another process than pid does the work of a role.
func (p *play) untilAgain(ctx context.Context, role watchdog.Role, pid int) (next int, err error) {
	_, err = p.until(ctx, role.Title()+" is started again", func() error {
		c, err := p.lb[0].process(ctx, role)
		switch {
		case err != nil:
			return err
		case c.PID == pid || c.PID == 0 || c.State != "running" || c.Stale:
			return fmt.Errorf("pid %d is %s", c.PID, c.State)
		}
		next = c.PID
		return nil
	})
	return next, err
}

// addressStayed promises that the virtual address did not move since a moment.
func (p *play) addressStayed(since time.Time) {
	var others int
	for _, a := range p.wire.Adverts() {
		if a.Source == p.lb[1].addr && a.Time.After(since) {
			others++
		}
	}
	moves := p.lb[0].moves() + p.lb[1].moves()
	p.promise(moves == 0 && others == 0 && p.lb[0].holds(), "the address does not move",
		"%s on the two machines, %s from lb2", count(moves, "change"), count(others, "advert"))
}

// tableWatch compares a machine's IPVS table with what it was, again and again.
type tableWatch struct {
	end  chan struct{}
	done chan struct{}
	err  error // the first difference
}

func watchTable(d *director) *tableWatch {
	w := &tableWatch{end: make(chan struct{}), done: make(chan struct{})}
	first, err := d.kernel.Dump()
	if err != nil {
		w.err = err
		close(w.done)
		return w
	}
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.end:
				return
			case <-time.After(25 * time.Millisecond):
			}
			now, err := d.kernel.Dump()
			if err == nil && !now.Equal(first) {
				err = errors.New("it was: " + changes(first, now))
			}
			if err != nil {
				w.err = err
				return
			}
		}
	}()
	return w
}

// changes tells what was done to a table.
func changes(from, to ipvs.Table) string {
	text := ""
	for _, op := range ipvs.Diff(from, to, ipvs.Everything) {
		text += op.String() + "; "
	}
	return text
}

// stop ends the watch and returns the first difference that it saw.
func (w *tableWatch) stop() error {
	select {
	case <-w.end:
	default:
		close(w.end)
	}
	<-w.done
	return w.err
}
