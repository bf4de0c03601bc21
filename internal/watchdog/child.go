package watchdog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"director/config"
)

// exitFinal is the exit status of a child that starting again cannot help.
const exitFinal = 3

const (
	// lastWords is how long the end of file is awaited after a child's exit, and
	// its exit after the end of file, before it is forced.
	lastWords = time.Second
	// dumpTime is what a hung child gets to print its goroutines.
	dumpTime = 250 * time.Millisecond
)

// child is what the parent knows of one role, over all processes it had.
type child struct {
	role Role
	want *generation // what it runs or shall run; nil when it has nothing to do
	run  *process    // nil while there is no process

	backoff   backoff
	respawn   *time.Timer // armed while a start is delayed
	respawnAt time.Time
	restarts  int
	lastExit  string
	died      bool // since the last start, unasked

	last *Snapshot // the newest
	// resume is what the next process is told of a former one that died
	// before it was asked to stop. It stays until a process has acknowledged it.
	resume  *Resume
	cleaned bool // a process was started at the stop to undo what another left
}

// follows says that a process runs that is to be told what changes around it.
func (c *child) follows() bool { return c.run != nil && c.want != nil && !c.run.asked }

// answers says that a process runs that can be asked for something.
func (c *child) answers() bool { return c.run != nil && c.run.ready && !c.run.hung && !c.run.asked }

// process is one run of a child.
type process struct {
	ch      *Channel
	proc    *os.Process // nil until the fork is done
	spawned time.Time

	first   uint64 // generation that it was started with
	ready   bool   // has acknowledged its first configuration
	acked   uint64 // generation in force in it, 0: none
	ackedAt time.Time
	pending uint64 // generation sent and not yet acknowledged, 0: none

	pools     map[string]string // that it was told
	roles     map[string]string // likewise
	rolesSent uint64            // how often it was
	rolesDone uint64            // and what of it has been done
	bfd       map[string]Session
	readiness *Readiness
	inquired  uint64 // the Inquire that it has not answered yet, 0: none

	pings     []ping // unanswered, oldest first
	pingSeq   uint64
	lastCycle time.Time
	alive     int64 // CLOCK_MONOTONIC when it was last known to work

	asked    bool // to stop
	deadline *time.Timer
	hung     bool
	refused  string // why it is killed: it refused the only configuration it can have
	final    string // its reason to give up for good
	kill     bool   // to be killed as soon as it is known

	unfit string // how the kernel does not run it as configured

	exited, eof bool
	status      int
	exit        string
}

func (p *parent) child(r Role) *child { return p.children[r] }

// spawn starts a process for c with the generation it shall run.
func (p *parent) spawn(c *child) {
	if c.respawn != nil {
		c.respawn.Stop()
		c.respawn = nil
	}
	if c.died {
		c.died = false
		c.restarts++
	}
	now := time.Now()
	ch, theirs, err := socketPair(string(c.role))
	if err != nil {
		p.notStarted(c, err)
		return
	}
	run := &process{ch: ch, spawned: now, lastCycle: now, alive: monotonic(), first: c.want.number, pending: c.want.number}
	c.run = run
	if p.logOrders[c.role] != nil {
		p.tellLevel(c.role)
	}
	if c.role == RoleVRRP && len(p.standing) > 0 {
		ch.Send(Message{Standing: &Standing{Orders: p.standing}}) // before the first configuration
	}
	if c.role == RoleCheckers {
		p.tellRoles(run, c.want.config) // likewise
		p.rolesAskedAnew(run)
	}
	ch.Send(Message{Configure: c.want.configure(c.role, c.resume)}) // waits in the socket while the program starts
	null, err := os.Open(os.DevNull)
	if err != nil {
		null = nil // standard input is closed instead
	}
	settings := c.settings()
	p.spawner.requests <- spawnRequest{
		path: p.o.Executable, title: c.role.Title(), env: childEnvironment(os.Environ(), p.o.ChildEnv),
		files: []*os.File{null, p.o.Stdout, p.o.Stderr, theirs, p.dir.children},
		reply: func(proc *os.Process, err error) {
			theirs.Close()
			null.Close()
			if err != nil {
				p.post(func() { p.forked(c, run, nil, err) })
				return
			}
			// Before it has anything to do.
			unfit := reschedule(proc.Pid, p.own, settings)
			p.post(func() {
				p.forked(c, run, proc, nil)
				p.rescheduled(c, run, unfit)
			})
			go func() {
				state, err := proc.Wait()
				p.post(func() { p.exited(c, run, state, err) })
			}()
		},
	}
	go p.read(c, run)
	p.ping(c, run)
}

// notStarted counts a failed start as a death.
func (p *parent) notStarted(c *child, err error) {
	c.run = &process{spawned: time.Now(), exited: true, eof: true, status: -1, exit: err.Error()}
	p.gone(c, c.run)
}

// forked takes note of the process, or that there is none.
func (p *parent) forked(c *child, run *process, proc *os.Process, err error) {
	if err != nil {
		run.exited, run.status, run.exit = true, -1, err.Error()
		if run.eof {
			p.gone(c, run)
		}
		return
	}
	run.proc = proc
	p.log.Info("child started", "process", string(c.role), "pid", proc.Pid, "generation", c.generation())
	if run.kill {
		p.kill(run)
	}
}

// rescheduled notes whether the kernel runs a process as configured.
func (p *parent) rescheduled(c *child, run *process, err error) {
	was := run.unfit
	run.unfit = ""
	if err != nil {
		run.unfit = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	if run.unfit != "" && run.unfit != was {
		p.log.Warn("child does not run as configured", "process", string(c.role), "reason", run.unfit)
	}
}

// settings is how the kernel is to treat the process of a child.
func (c *child) settings() config.Process {
	if c.want == nil {
		return config.Process{}
	}
	return c.role.settings(c.want.config)
}

func (c *child) generation() uint64 {
	if c.want == nil {
		return 0
	}
	return c.want.number
}

// read is the goroutine that receives from one process.
func (p *parent) read(c *child, run *process) {
	for {
		m, err := run.ch.Recv()
		now := monotonic()
		if err != nil {
			p.post(func() { p.ended(c, run, err, now) })
			return
		}
		p.post(func() { p.message(c, run, m, now) })
	}
}

// message handles what a child said.
func (p *parent) message(c *child, run *process, m Message, now int64) {
	switch {
	case m.Ack != nil:
		run.lives(time.Now())
		run.heard(now)
		p.acknowledged(c, run, m.Ack)
	case m.Pong != nil:
		run.answered(m.Pong.Seq)
		run.heard(now)
	case m.Snapshot != nil:
		if (c.role == RoleVRRP) != (m.Snapshot.VRRP != nil) || (c.role == RoleCheckers) != (m.Snapshot.Checkers != nil) {
			p.log.Warn("child sent the snapshot of another", "process", string(c.role))
			return
		}
		c.last = m.Snapshot
		p.told(c, run, m.Snapshot.Seq)
		p.describe()
		if c.role == RoleCheckers {
			p.relayPools()
		} else {
			p.relaySessions()
		}
	case m.Event != nil:
		p.event(*m.Event)
	case m.Roles != nil && c.role == RoleVRRP:
		p.rolesTold(run, m.Roles)
	case m.Followed != nil && c.role == RoleCheckers:
		p.rolesFollowed(run, m.Followed)
	case m.RunScript != nil:
		p.runScript(c, run, m.RunScript)
	case m.Fence != nil:
		p.fence(c, run, m.Fence)
	case m.Planned != nil:
		if pl := p.plans[m.Planned.Seq]; pl != nil && pl.waiting[c.role] == run {
			pl.answered(c.role, m.Planned)
		}
	case m.Ordered != nil:
		p.ordered(m.Ordered)
	default:
		p.log.Warn("child sent a message that only the parent may", "process", string(c.role))
	}
}

// acknowledged takes a child's answer to a Configure.
func (p *parent) acknowledged(c *child, run *process, a *Ack) {
	switch {
	case a.Final:
		run.final = a.Error
		p.fail(&FinalError{c.role, a.Error})
		return
	case a.Generation != run.pending:
		return // overtaken by a later one
	}
	run.pending = 0
	t := p.transition
	expected := t != nil && c == p.turn() && a.Generation == t.to.number
	if a.Error != "" {
		p.log.Error("child refused the configuration", "process", string(c.role), "generation", a.Generation, "reason", a.Error)
		switch {
		case expected && t.from == nil:
			p.fail(&FinalError{c.role, a.Error})
		case expected:
			p.refuse(fmt.Sprintf("%s refused it: %s", c.role.Title(), a.Error))
		default:
			// It can have no other one: a new process gets the same again.
			run.refused = a.Error
			p.kill(run)
		}
		return
	}
	first := !run.ready
	run.acked, run.ackedAt, run.ready = a.Generation, time.Now(), true
	if !first && run.proc != nil && !run.exited {
		p.rescheduled(c, run, reschedule(run.proc.Pid, p.own, c.settings()))
	}
	c.resume = nil
	p.relayPools()
	p.relayRoles()
	p.relaySessions()
	p.relayReadiness()
	if first {
		p.processEvent(c, "starting", "running", fmt.Sprintf("generation %d is in force after %v", a.Generation, time.Since(run.spawned).Round(time.Millisecond)))
	}
	switch {
	case p.phase == stopping:
		p.stopNext()
	case expected:
		t.changes.Join(a.Changes)
		p.advance()
	}
}

// ended notes the end of file: the process is dead, or about to be.
func (p *parent) ended(c *child, run *process, err error, now int64) {
	run.eof = true
	if !run.exited {
		run.heard(now)
	}
	switch {
	case run.exited:
		p.gone(c, run)
	case !errors.Is(err, io.EOF):
		p.log.Error("child cannot be understood", "process", string(c.role), "reason", err)
		p.kill(run)
	default:
		p.after(lastWords, func() { p.kill(run) })
	}
}

// exited notes the exit.
func (p *parent) exited(c *child, run *process, state *os.ProcessState, err error) {
	run.exited = true
	if !run.eof {
		run.heard(monotonic())
	}
	run.status, run.exit = -1, "lost"
	if err != nil {
		run.exit = err.Error()
	} else {
		run.exit = state.String()
		if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Exited() {
			run.status = ws.ExitStatus()
		}
	}
	if run.eof {
		p.gone(c, run)
		return
	}
	// What it said before its end is still to be read.
	p.after(lastWords, func() {
		if !run.eof {
			run.ch.Close()
		}
	})
}

// kill ends a process at once.
func (p *parent) kill(run *process) {
	run.kill = true
	if run.proc != nil && !run.exited {
		_ = run.proc.Kill() // fails only when it is dead already
	}
}

// gone decides what follows the death of a process, of which everything is known.
func (p *parent) gone(c *child, run *process) {
	if c.run != run {
		return
	}
	c.run = nil
	p.relayPools()
	if run.ch != nil {
		run.ch.Close()
	}
	if run.deadline != nil {
		run.deadline.Stop()
	}
	p.settle(c, p.inquiry)
	p.forgetPlans(c, run)
	p.ordersLost(c)
	clean := run.asked && run.status == 0
	switch {
	case run.hung:
		c.lastExit = "hung: " + run.exit
	case run.refused != "":
		c.lastExit = "refused the configuration: " + run.refused
	default:
		c.lastExit = run.exit
	}
	if clean {
		c.resume, c.last = nil, nil
		if c.role == RoleVRRP {
			p.roles = nil
		}
		p.log.Info("child stopped", "process", string(c.role))
	} else {
		// A process that never had a configuration in force changed nothing in
		// what its predecessor left.
		if run.ready && c.last != nil {
			c.resume = &Resume{AliveMono: run.alive, Snapshot: *c.last}
			c.resume.Snapshot.Seq = 0
		}
		c.died = true
		p.processEvent(c, "running", "dead", c.lastExit)
	}

	if run.status == exitFinal {
		reason := run.final
		if reason == "" {
			reason = "gave up (exit status 3)"
		}
		p.fail(&FinalError{c.role, reason})
	}
	if p.phase == stopping {
		p.stopNext()
		return
	}
	if t := p.transition; t != nil && t.from != nil && c == p.turn() && t.sent && !run.asked {
		if !run.ready && run.first != t.to.number {
			// It died of what it was started with, which the new generation may mend.
			p.spawn(c)
			return
		}
		p.refuse(fmt.Sprintf("%s died of it: %s", c.role.Title(), c.lastExit))
	}
	if c.want != nil {
		p.delayed(c, c.backoff.died(run.lived()))
	}
	p.answerRoles("")
	p.describe()
	p.advance()
}

// delayed starts c again after a while.
func (p *parent) delayed(c *child, d time.Duration) {
	if d == 0 {
		p.spawn(c)
		return
	}
	p.log.Warn("child is started again later", "process", string(c.role), "reason", c.lastExit, "delay", d)
	c.respawnAt = time.Now().Add(d)
	c.respawn = p.after(d, func() {
		if c.respawn != nil && c.run == nil && c.want != nil && p.phase != stopping {
			p.spawn(c)
		}
	})
}

// cancelRespawn gives up a delayed start.
func (c *child) cancelRespawn() {
	if c.respawn != nil {
		c.respawn.Stop()
		c.respawn = nil
	}
}
