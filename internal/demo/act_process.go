package demo

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"director/internal/watchdog"
	"director/ipvs"
)

// watchTime is for how long the farm is watched after a process was killed.
const watchTime = 1200 * time.Millisecond

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
		old, err := p.lb[0].process(ctx, role)
		if err != nil {
			return "", err
		}
		p.say(done, "`%s` on lb1 (pid %d) is killed with SIGKILL", role.Title(), old.PID)
		killed := time.Now()
		if err := kill(old.PID); err != nil {
			return "", fmt.Errorf("kill %s: %w", role.Title(), err)
		}
		next, err := p.untilAgain(ctx, role, old.PID)
		if err != nil {
			return "", err
		}
		p.say(seen, "pid %d has taken its place, %s after the kill", next, ms(time.Since(killed)))
		if err := p.wait(ctx, watchTime); err != nil {
			return "", err
		}
		now, err := p.lb[0].process(ctx, role)
		if err != nil {
			return "", err
		}
		if now.PID != next || now.State != "running" || now.Stale {
			return "", fmt.Errorf("%s is %s, pid %d", role.Title(), now.State, now.PID)
		}
		if role == watchdog.RoleVRRP {
			i, err := p.lb[0].instance(ctx)
			if err != nil {
				return "", err
			}
			p.say(seen, "lb1 is %s: %s", i.State, i.Reason)
			p.addressStayed(killed)
		}
	}
	after, err := p.lb[0].ipvsadm()
	if err != nil {
		return "", err
	}
	differed := table.stop()
	p.promise(before == after && differed == nil, "the IPVS table is not touched", "%s", told(differed, before == after))
	more, err := p.lb[0].connections()
	if err != nil {
		return "", err
	}
	p.promise(more > counted, "its counters go on", "from %d to %d connections", counted, more)
	if err := p.settle(ctx); err != nil {
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

// kill kills one process.
func kill(pid int) error {
	if pid <= 0 {
		return errors.New("it does not run")
	}
	return syscall.Kill(pid, syscall.SIGKILL)
}

// untilAgain waits until another process than pid has the title of a role on lb1.
func (p *play) untilAgain(ctx context.Context, role watchdog.Role, pid int) (next int, err error) {
	_, err = p.until(ctx, role.Title()+" is started again", func() error {
		for _, c := range p.lb[0].Processes() {
			if c.Args[0] == role.Title() && c.Pid != pid {
				next = c.Pid
				return nil
			}
		}
		return errors.New("ps does not show it")
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
		"%s on lb1 and lb2, %s from lb2", count(moves, "change"), count(others, "advert"))
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
