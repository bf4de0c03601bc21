package watchdog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
)

// ackTimeout bounds the time in which a child takes a new configuration that
// a reload brings.
const ackTimeout = 30 * time.Second

// readTimeout bounds the time in which a configuration is read and checked. What it names
// may be on a disk that does not answer, and the next reload must not wait for that.
const readTimeout = 2 * time.Minute

// transition is the way from one generation to the next, child by child in
// startOrder: a child is told when the one before it has acknowledged.
type transition struct {
	from, to *generation // from is nil at the daemon's start
	step     int         // index in startOrder
	sent     bool        // the child of this step was told
	timer    *time.Timer
	changes  control.Changes // what the children have done so far
	carried  []string        // names for which an order stands since it began
}

// needs reports whether a child has anything to do under g.
func (p *parent) needs(g *generation, r Role) bool {
	return g.needs(r) || p.o.Leftovers != nil && p.o.Leftovers(r)
}

// turn returns the child whose turn it is in the transition, nil without one.
func (p *parent) turn() *child {
	t := p.transition
	if t == nil || t.step >= len(startOrder) {
		return nil
	}
	return p.children[startOrder[t.step]]
}

// reloads is the bookkeeping of requests to reload.
type reloads struct {
	busy    bool // one is under way
	waiting []func(control.ReloadResult)
	queued  []func(control.ReloadResult) // for the one that follows
	again   bool                         // one follows
	last    *control.ReloadResult
	began   time.Time // the one under way
	count   control.Reloads
	warned  []string         // of the one under way
	changes *control.Changes // of the one that has just succeeded
}

// reload reads the configuration again and puts it in force. reply, unless it is
// nil, gets the outcome. A request during a reload is carried out after it,
// once for all that came meanwhile.
func (p *parent) reload(reply func(control.ReloadResult)) {
	if p.phase == stopping {
		if reply != nil {
			reply(control.ReloadResult{At: time.Now(), Errors: []string{p.stopReason()}})
		}
		return
	}
	r := &p.reloads
	if r.busy || p.transition != nil {
		r.again = true
		if reply != nil {
			r.queued = append(r.queued, reply)
		}
		return
	}
	if reply != nil {
		r.waiting = append(r.waiting, reply)
	}
	if p.trial != nil {
		r.began, r.warned = time.Now(), nil
		p.reloaded([]string{p.onTrial()})
		return
	}
	p.log.Info("reload begins", "config", p.o.ConfigPath)
	p.change(func() (*config.Config, []config.Warning, error) { return load(p.o) })
}

// change puts in force what read returns, in another goroutine. There must be no
// transition.
func (p *parent) change(read func() (*config.Config, []config.Warning, error)) {
	p.reloads.busy, p.reloads.began = true, time.Now()
	p.tell(p.manager.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic()/1000)))
	p.number++
	number := p.number
	var told bool // its outcome, or that it took too long
	end := func(g *generation, warnings []config.Warning, err error) {
		if !told {
			told = true
			p.loaded(g, warnings, err)
		}
	}
	timer := p.after(p.o.readTimeout, func() {
		end(nil, nil, fmt.Errorf("%s, or a file that it names, cannot be read within %v", p.o.ConfigPath, p.o.readTimeout))
	})
	// Reading and checking may take long: the children are watched meanwhile.
	go func() {
		cfg, warnings, err := read()
		g := &generation{number: number, config: cfg}
		timer.Stop()
		p.post(func() { end(g, warnings, err) })
	}()
}

// loaded begins the transition to a generation that was read, or tells by err why
// there is none.
func (p *parent) loaded(g *generation, warnings []config.Warning, err error) {
	p.warn(warnings)
	p.reloads.warned = nil
	for _, w := range warnings {
		p.reloads.warned = append(p.reloads.warned, bounded(w.String()))
	}
	switch {
	case p.phase == stopping:
		p.reloaded([]string{p.stopReason()})
	case err != nil:
		p.reloaded(lines(err))
	case p.unfit(p.o.ConfigPath, g.config) != nil:
		p.reloaded(p.unfit(p.o.ConfigPath, g.config))
	default:
		g.back = p.trial != nil && p.trial.Undoing
		g.trial = p.trial != nil && !p.trial.Undoing
		p.notifier.Apply(g.number, g.config)
		p.transition = &transition{from: p.force, to: g}
		p.carryOrders(p.transition)
		p.advance()
	}
}

// advance goes on with the transition as far as the children allow.
func (p *parent) advance() {
	t := p.transition
	if t == nil || p.phase == stopping {
		return
	}
	for t.step < len(startOrder) {
		c := p.turn()
		switch {
		case c.run != nil && c.run.asked:
			return // it has to end before another can start
		case c.run != nil && c.run.acked == t.to.number:
		case c.run == nil && !p.needs(t.to, c.role) && c.resume == nil:
			c.want = nil
			c.cancelRespawn()
		case !t.sent:
			t.sent = true
			p.configure(c, t.to)
			if t.from != nil {
				t.timer = p.after(p.o.ackTimeout, func() {
					if p.transition == t && p.turn() == c {
						p.refuse(fmt.Sprintf("%s did not acknowledge it within %v", c.role.Title(), p.o.ackTimeout))
					}
				})
			}
			return
		default:
			return
		}
		t.next()
	}
	p.commit()
}

// next goes on to the next child.
func (t *transition) next() {
	t.step++
	t.sent = false
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
}

// configure gives a child a generation; one that does not run is started.
func (p *parent) configure(c *child, g *generation) {
	c.want = g
	if c.run == nil {
		c.backoff.reset()
		p.spawn(c)
		return
	}
	c.run.pending = g.number
	if c.role == RoleCheckers {
		p.tellRoles(c.run, g.config)
	}
	c.run.ch.Send(Message{Configure: g.configure(c.role, nil)})
}

// commit ends a transition that every child has made.
func (p *parent) commit() {
	t := p.transition
	p.transition = nil
	p.force = t.to
	p.force.since = time.Now()
	if t.from == nil {
		p.forgetOrders(nil)
	} else {
		p.forgetOrders(t.from.config)
	}
	p.forgetRoles()
	for _, c := range p.children {
		if c.run != nil && !p.needs(p.force, c.role) {
			c.want = nil
			p.askStop(c)
		}
	}
	if t.from == nil {
		p.phase = running
		p.log.Info("director is ready", "generation", p.force.number, "after", time.Since(p.started).Round(time.Millisecond))
		p.tell(p.manager.send("READY=1"))
		p.describe()
		p.reloadAgain()
		return
	}
	p.notifier.Forget(t.from.number)
	p.inForce()
	p.reloads.changes = &t.changes
	p.reloaded(nil)
}

// refuse ends a transition that a child did not make. The children that did are
// told to go back; what they cannot take back they get by a new start.
func (p *parent) refuse(reason string) {
	t := p.transition
	told := t.step
	t.next()
	p.transition = nil
	p.notifier.Forget(t.to.number)
	for _, role := range startOrder[:told+1] {
		c := p.child(role)
		if c.want != t.to {
			continue
		}
		c.want = nil
		if p.needs(t.from, role) {
			c.want = t.from
		}
		switch run := c.run; {
		case run == nil: // whoever noticed its death starts it again
		case c.want == nil:
			p.askStop(c)
		case run.acked != t.from.number || run.pending != 0:
			p.configure(c, t.from)
		}
	}
	p.dropCarried(t) // behind the former configuration: the child needs them until then
	p.reloaded([]string{bounded(reason)})
}

// reloaded tells the outcome of a reload to everyone who waits for it: errs is
// empty when it succeeded.
func (p *parent) reloaded(errs []string) {
	r := &p.reloads
	now := time.Now()
	result := control.ReloadResult{At: now, Took: now.Sub(r.began), OK: len(errs) == 0, Errors: errs, Warnings: r.warned, Changes: r.changes}
	last := result
	last.Changes = nil // they may be long, and each status would tell them again
	r.last = &last
	if result.OK {
		r.count.Done++
	} else {
		r.count.Refused++
	}
	e := control.Event{Time: result.At, Generation: p.force.number, Kind: "reload", Subject: p.o.ConfigPath, From: "requested", To: "in force"}
	trying := r.busy && p.trial != nil
	if trying && !p.trial.Undoing {
		e.Subject = p.trial.File
	}
	if !result.OK {
		e.To, e.Reason = "refused", strings.Join(errs, "; ")
	} else if r.changes != nil {
		e.Reason = r.changes.Summary()
	}
	p.event(e)
	if p.phase == running {
		p.tell(p.manager.send("READY=1"))
		p.describe()
	}
	waiting := r.waiting
	r.busy, r.waiting, r.warned, r.changes = false, nil, nil, nil
	for _, reply := range waiting {
		reply(result)
	}
	if trying {
		p.applied(result)
	}
	p.reloadAgain()
}

// reloadAgain begins the reload that was asked for during the last.
func (p *parent) reloadAgain() {
	r := &p.reloads
	if !r.again {
		return
	}
	queued := slices.Clone(r.queued)
	r.again, r.queued = false, nil
	if p.phase == stopping {
		for _, reply := range queued {
			reply(control.ReloadResult{At: time.Now(), Errors: []string{p.stopReason()}})
		}
		return
	}
	r.waiting = append(r.waiting, queued...)
	p.reload(nil)
}
