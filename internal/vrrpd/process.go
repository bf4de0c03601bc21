package vrrpd

import (
	"fmt"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
)

// process is a tracked process: up while as many of them run as shall.
type process struct {
	delayed
	cfg   config.ProcessTracker
	count int
	seen  bool
}

func (p *process) id() trackerKey { return trackerKey{config.KindProcess, p.cfg.Name} }

// enough says that as many run as shall.
func (p *process) enough() bool {
	return p.count >= p.cfg.Quorum && (p.cfg.QuorumMax < 0 || p.count <= p.cfg.QuorumMax)
}

func (p *process) cause() vrrp.Cause {
	return vrrp.Cause{Reason: vrrp.ReasonTracker, Detail: fmt.Sprintf("process %s: %s", p.cfg.Name, p.finding())}
}

func (p *process) finding() string {
	if !p.seen {
		return ""
	}
	runs := fmt.Sprintf("%d of them run", p.count)
	switch p.count {
	case 0:
		runs = "none runs"
	case 1:
		runs = "one runs"
	}
	if p.enough() {
		return runs
	}
	want := fmt.Sprintf("at least %d", p.cfg.Quorum)
	if p.cfg.QuorumMax >= 0 {
		want = fmt.Sprintf("%d to %d", p.cfg.Quorum, p.cfg.QuorumMax)
	}
	return runs + ", wanted are " + want
}

func (p *process) resume(now time.Time, old control.Tracker) { p.delayed.resume(now, old) }

// look compares the count with what is wanted.
func (p *process) look(now time.Time) bool {
	if !p.seen {
		return false
	}
	if p.enough() {
		return p.see(now, vrrp.Up)
	}
	return p.see(now, vrrp.Down)
}

// processesSeen is posted when the counts of processes have changed; they are
// those of the list that round names.
type processesSeen struct {
	round  uint64
	counts []int
}

// configureProcesses keeps what is known of processes that stay.
func (e *engine) configureProcesses(now time.Time, cfgs []config.ProcessTracker, used map[trackerKey]bool, old map[trackerKey]tracker) {
	var watch []config.ProcessTracker
	for _, c := range cfgs {
		key := trackerKey{config.KindProcess, c.Name}
		if !used[key] {
			continue
		}
		p, ok := old[key].(*process)
		if !ok {
			p = new(process)
			p.heapSlot = -1
			e.timers.add(p)
		} else if p.cfg.Process != c.Process || p.cfg.CommandLine != c.CommandLine || p.cfg.CommandMatch != c.CommandMatch {
			p.seen = false // the verdict holds until the new one is counted
		}
		p.cfg, p.up, p.down = c, c.ForkDelay.D(), c.TerminateDelay.D()
		p.look(now)
		e.timers.fix(p)
		e.trackers[key] = p
		watch = append(watch, c)
	}
	e.watched = watch
	e.processRound = e.observer.processes(watch)
}

// processesSeen takes counts of processes.
func (e *engine) processesSeen(now time.Time, seen processesSeen) {
	if seen.round != e.processRound {
		return // of a list before a reload
	}
	for i, c := range e.watched {
		p, ok := e.trackers[trackerKey{config.KindProcess, c.Name}].(*process)
		if !ok || p.seen && p.count == seen.counts[i] {
			continue
		}
		from := said(p)
		p.count, p.seen = seen.counts[i], true
		e.touched = true
		changed := p.look(now)
		e.timers.fix(p)
		if changed {
			e.changed(now, p, from)
		}
	}
}
