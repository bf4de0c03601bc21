package watchdog

import (
	"syscall"
	"time"
)

// configureLimit is the least time that a child may be silent while it puts its
// first configuration in force, and the checkers any: a large one takes its time.
// The VRRP child has peers that would not wait.
const configureLimit = 10 * time.Second

// configureShare is what each server, and each virtual router, adds to the time it may be silent: tens of
// thousands of servers are a second's work on a good machine, and a minute's on one that
// has other things to do.
const configureShare = 500 * time.Microsecond

// maxDoublings bounds how often patience is doubled.
const maxDoublings = 5

// patience is how long a child may be silent while it puts a configuration in force. It doubles with each
// death in a row: what a machine cannot do in that time it could not do in the next attempt either, and a large
// farm would never be in force.
func (c *child) patience() time.Duration {
	return (configureLimit + c.share()) << min(c.backoff.deaths, maxDoublings)
}

// share is what the size of its configuration adds to the time that a child may be silent.
func (c *child) share() time.Duration {
	if c.want == nil {
		return 0
	}
	cfg := c.want.config
	n := len(cfg.Instances)
	for i := range cfg.VirtualServers {
		n += 1 + len(cfg.VirtualServers[i].RealServers)
	}
	return time.Duration(n) * configureShare
}

// lived returns how long the process did its work: not at all, when it never had its first configuration in force.
func (run *process) lived() time.Duration {
	if !run.ready {
		return 0
	}
	return time.Since(run.spawned)
}

// ping is a question that a child has not answered.
type ping struct {
	seq uint64
	at  time.Time
}

// heard notes that the process was alive at now (CLOCK_MONOTONIC). What comes from
// one that was found hanging does not count: it may be a word from before, or the
// last of a process that is being ended.
func (run *process) heard(now int64) {
	if !run.hung {
		run.alive = now
	}
}

// answered forgets the questions up to seq.
func (run *process) answered(seq uint64) {
	i := 0
	for i < len(run.pings) && run.pings[i].seq <= seq {
		i++
	}
	run.pings = run.pings[i:]
}

// lives counts the open questions from now: the child has just acknowledged a
// configuration, and comes to them next. Without it a child that took longer than
// child_timeout to start would be found silent the moment it was done.
func (run *process) lives(now time.Time) {
	for i := range run.pings {
		run.pings[i].at = now
	}
}

// silent returns how long the child owes an answer at now. When the parent
// itself was held up since the last cycle (a stopped or starved machine), that
// time does not count against the child.
func (run *process) silent(now time.Time, interval time.Duration) time.Duration {
	if lost := now.Sub(run.lastCycle) - interval; lost > interval {
		for i := range run.pings {
			run.pings[i].at = run.pings[i].at.Add(lost)
		}
	}
	run.lastCycle = now
	if len(run.pings) == 0 {
		return 0
	}
	return now.Sub(run.pings[0].at)
}

// ping asks the process whether its working loop lives, four times per
// child_timeout, and ends it when it has been silent for that long.
func (p *parent) ping(c *child, run *process) {
	if c.run != run || run.eof || run.exited || run.hung {
		return
	}
	limit := orDefault(p.force.config.Global.ChildTimeout.D(), 3*time.Second)
	interval := limit / 4
	if c.role == RoleCheckers {
		limit += c.share() // it compares a table of that size with the kernel's now and then
	}
	if !run.ready || run.pending != 0 && c.role == RoleCheckers {
		limit = max(limit, c.patience())
	}
	now := time.Now()
	if silent := run.silent(now, interval); silent >= limit && !run.asked {
		p.hung(c, run, silent)
		return
	}
	run.pingSeq++
	run.pings = append(run.pings, ping{run.pingSeq, now})
	run.ch.Send(Message{Ping: &Ping{Seq: run.pingSeq}})
	p.after(interval, func() { p.ping(c, run) })
}

// hung ends a process that does not answer: first with a signal that makes it
// print its goroutines to standard error. From here on nothing that it says is a
// sign of life: its successor must not believe that it was MASTER until now.
func (p *parent) hung(c *child, run *process, silent time.Duration) {
	run.hung = true
	p.log.Error("child hangs and is ended", "process", string(c.role), "silent", silent.Round(time.Millisecond))
	if run.proc != nil {
		// A stopped process (by SIGSTOP, by a debugger) is not continued for it: it
		// would send adverts of a time that is over.
		_ = run.proc.Signal(syscall.SIGQUIT) // fails only when it is dead already
	}
	p.after(dumpTime, func() { p.kill(run) })
}
