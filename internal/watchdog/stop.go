package watchdog

import (
	"slices"
	"time"

	"director/internal/control"
)

// hurryTimeout is what a child gets to stop when a second request came.
const hurryTimeout = time.Second

// stop begins the daemon's stop.
func (p *parent) stop(why string) {
	if p.phase == stopping {
		return
	}
	p.phase = stopping
	p.log.Info("director stops", "reason", why)
	p.tell(p.manager.send("STOPPING=1"))
	p.describe()
	if t := p.transition; t != nil {
		t.next()
		p.transition = nil
		if p.reloads.busy {
			p.reloaded([]string{p.stopReason()})
		}
	}
	p.abandonTrial()
	p.reloadAgain()
	for _, c := range p.children {
		c.cancelRespawn()
	}
	p.stopNext()
}

// fail stops the daemon for an error that no new start can mend. The first one
// is what Run returns.
func (p *parent) fail(err error) {
	if p.err == nil {
		p.err = err
		p.log.Error("director cannot go on", "reason", err)
	}
	p.stop("a final error")
}

// hurryUp shortens the time that children get.
func (p *parent) hurryUp(why string) {
	if p.hurry {
		return
	}
	p.hurry = true
	p.log.Warn("director stops in a hurry", "reason", why)
	if p.closing {
		go p.notifier.Close(hurryTimeout) // the first Close returns with it
	}
	for _, c := range p.children {
		if run := c.run; run != nil {
			p.after(hurryTimeout, func() { p.kill(run) })
		}
	}
}

// stopReason says why a reload cannot be carried out any more.
func (p *parent) stopReason() string {
	if p.err != nil {
		return "director stops: " + p.err.Error()
	}
	return "director is stopping"
}

// stopTimeout is how long a child, and then the notify scripts, may take.
func (p *parent) stopTimeout() time.Duration {
	if p.hurry {
		return hurryTimeout
	}
	return orDefault(p.force.config.Global.StopTimeout.D(), 10*time.Second)
}

// orDefault returns d, or the default when the configuration sets none.
func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}

// stopNext goes on with the stop: the children in reverse of their start, each
// when the one before is gone, then the scripts that tell of it.
func (p *parent) stopNext() {
	for _, role := range slices.Backward(startOrder[:]) {
		c := p.child(role)
		if c.run == nil && p.leftBehind(c) && !c.cleaned {
			c.cleaned = true
			if c.want == nil {
				c.want = p.force
			}
			p.log.Info("child is started to undo what a dead one left", "process", string(role))
			p.spawn(c)
		}
		if c.run == nil {
			c.want = nil
			continue
		}
		p.limitStop(c)
		// One that has yet to take over from a dead one is asked when it has.
		if !c.run.asked && (c.run.ready || c.resume == nil) {
			p.askStop(c)
		}
		return
	}
	if p.closing {
		return
	}
	p.closing = true
	limit := p.stopTimeout()
	go func() {
		p.scripts.end()
		err := p.notifier.Close(limit)
		p.post(func() {
			if err != nil {
				p.log.Warn("notifications given up", "reason", err)
			}
			p.log.Info("director has stopped")
			p.phase = ended
		})
	}()
}

// leftBehind reports whether a dead process of c left something in the kernel
// that a stop promises to take away.
func (p *parent) leftBehind(c *child) bool {
	if c.resume == nil {
		return false
	}
	if v := c.resume.Snapshot.VRRP; v != nil && inKernel(v) {
		return true
	}
	return c.resume.Snapshot.Checkers != nil && !p.force.config.Global.KeepIPVSOnStop
}

// inKernel reports whether a VRRP child had anything in the kernel.
func inKernel(v *control.VRRP) bool {
	installed := func(list []control.KernelItem) bool {
		return slices.ContainsFunc(list, func(i control.KernelItem) bool { return i.Installed && !i.Own })
	}
	for i := range v.Instances {
		in := &v.Instances[i]
		if slices.ContainsFunc(in.Addresses, func(a control.Address) bool { return a.Installed && !a.Own }) ||
			installed(in.Routes) || installed(in.Rules) || installed(in.Blocks) {
			return true
		}
	}
	return installed(v.Static) // with the interfaces of virtual MAC addresses
}

// askStop asks a running child to undo what it holds and to exit.
func (p *parent) askStop(c *child) {
	run := c.run
	if run.asked {
		return
	}
	run.asked = true
	run.ch.Send(Message{Stop: &Stop{}})
	p.limitStop(c)
}

// limitStop kills the process when it has not stopped in time.
func (p *parent) limitStop(c *child) {
	run := c.run
	if run.deadline != nil {
		return
	}
	limit := p.stopTimeout()
	run.deadline = p.after(limit, func() {
		if !run.exited {
			p.log.Error("child did not stop in time and is killed", "process", string(c.role), "limit", limit)
			p.kill(run)
		}
	})
}
