package watchdog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"director/internal/control"
)

// inquiryTimeout is how long a child may take to answer for status.
const inquiryTimeout = 500 * time.Millisecond

// inquiry is a request for status that waits for the children's answers.
type inquiry struct {
	waiting map[Role]bool
	reply   func(*control.Status)
	timer   *time.Timer
}

// status asks the children for fresh snapshots and replies with the whole.
func (p *parent) status(reply func(*control.Status)) { p.statusWithin(p.o.inquiryTimeout, reply) }

// statusWithin is status with a limit of its own for the children's answers.
func (p *parent) statusWithin(limit time.Duration, reply func(*control.Status)) {
	p.inquiry++
	seq := p.inquiry
	q := &inquiry{waiting: make(map[Role]bool), reply: reply}
	for _, c := range p.children {
		if c.run != nil && c.run.ready && !c.run.hung {
			c.run.inquire(seq)
			q.waiting[c.role] = true
		}
	}
	if len(q.waiting) == 0 {
		reply(p.report(nil))
		return
	}
	p.inquiries[seq] = q
	q.timer = p.after(limit, func() {
		if p.inquiries[seq] == q {
			delete(p.inquiries, seq)
			q.reply(p.report(q.waiting))
		}
	})
}

// inquire asks a process for a fresh snapshot, unless it still owes one: with a large farm
// each takes its time and memory, and they would pile up.
func (run *process) inquire(seq uint64) {
	if run.inquired == 0 {
		run.inquired = seq
		run.ch.Send(Message{Inquire: &Ping{Seq: seq}})
	}
}

// told takes a snapshot for the answer to an inquiry, and to those before it. Those that
// came later want a newer one.
func (p *parent) told(c *child, run *process, seq uint64) {
	if seq == 0 {
		return // nobody has asked for it
	}
	run.inquired = 0
	p.settle(c, seq)
	for _, q := range p.inquiries {
		if q.waiting[c.role] {
			run.inquire(p.inquiry)
		}
	}
}

// settle ends the wait of the inquiries up to one for a child, because it has answered or
// cannot any more.
func (p *parent) settle(c *child, last uint64) {
	for seq, q := range p.inquiries {
		if seq > last || !q.waiting[c.role] {
			continue
		}
		delete(q.waiting, c.role)
		if len(q.waiting) == 0 {
			q.timer.Stop()
			delete(p.inquiries, seq)
			q.reply(p.report(nil))
		}
	}
}

// report joins what is known; silent names the children that did not answer.
func (p *parent) report(silent map[Role]bool) *control.Status {
	s := &control.Status{
		Version: p.o.Version, RouterID: p.force.config.Global.RouterID, ConfigPath: p.o.ConfigPath,
		Generation: p.force.number, LoadedAt: p.force.since, LastReload: p.reloads.last, Reloads: p.reloads.count,
		Processes: []control.Process{{Role: "parent", PID: os.Getpid(), State: p.phase.String(), StartedAt: p.started}},
		LogLevels: p.orderedLevels(),
		Notify:    p.notifier.Status(), Readiness: p.readinessStatus(),
	}
	if t := p.trial; t != nil && t.began {
		told := t.Trial
		s.Trial = &told
	}
	for _, role := range []Role{RoleVRRP, RoleCheckers} {
		c := p.child(role)
		proc := control.Process{Role: string(role), State: p.state(c), Restarts: c.restarts, LastExit: c.lastExit}
		if c.run != nil {
			proc.StartedAt = c.run.spawned
			if c.run.proc != nil {
				proc.PID = c.run.proc.Pid
				proc.Scheduling = treatment(proc.PID, p.own)
				proc.Unfit = c.run.unfit
				if c.run.ready && c.settings().LockMemory && time.Since(c.run.ackedAt) > 2*settleTime && !memoryLocked(proc.PID) {
					proc.Unfit = strings.TrimPrefix(proc.Unfit+"; its memory is not locked: the log says why", "; ")
				}
			}
		}
		if c.last != nil {
			proc.Stale = c.run == nil || !c.run.ready || c.run.hung || silent[role]
			if role == RoleVRRP {
				s.VRRP = c.last.VRRP
			} else {
				s.Checkers = c.last.Checkers
			}
		}
		s.Processes = append(s.Processes, proc)
	}
	for _, o := range p.observers {
		if o.settings != nil {
			s.Processes = append(s.Processes, o.state())
		}
	}
	return s
}

func (ph phase) String() string {
	return [...]string{starting: "starting", running: "running", stopping: "stopping", ended: "stopped"}[ph]
}

// state says in a word or two how a child fares.
func (p *parent) state(c *child) string {
	switch run := c.run; {
	case run == nil && c.respawn != nil:
		left := time.Until(c.respawnAt).Round(time.Second)
		return fmt.Sprintf("respawn in %v", max(left, 0))
	case run == nil && p.phase == stopping:
		return "stopped"
	case run == nil && p.transition != nil && p.needs(p.transition.to, c.role):
		return "waiting for its turn"
	case run == nil:
		return "not needed"
	case run.asked:
		return "stopping"
	case run.hung:
		return "hung"
	case !run.ready:
		return "starting"
	case run.pending != 0:
		return "configuring"
	default:
		return "running"
	}
}

// describe tells the service manager in one line how things are.
func (p *parent) describe() {
	p.tell(p.manager.describe(p.summary()))
}

func (p *parent) summary() string {
	if p.phase != running {
		return p.phase.String()
	}
	parts := []string{fmt.Sprintf("generation %d", p.force.number)}
	if t := p.trial; t != nil && t.began {
		parts = append(parts, fmt.Sprintf("%s on trial until %s", t.File, t.Deadline.Format(time.TimeOnly)))
	}
	if r := p.reloads.last; r != nil && !r.OK {
		parts = append(parts, "the last reload was refused")
	}
	for _, role := range []Role{RoleVRRP, RoleCheckers} {
		c := p.child(role)
		if c.want != nil && (c.run == nil || !c.run.ready) {
			parts = append(parts, fmt.Sprintf("%s %s", role, p.state(c)))
		}
	}
	if c := p.child(RoleVRRP); c.last != nil {
		parts = append(parts, instancesLine(c.last.VRRP.Instances))
	}
	if c := p.child(RoleCheckers); c.last != nil {
		up := 0
		for _, s := range c.last.Checkers.Services {
			if s.State == "up" {
				up++
			}
		}
		parts = append(parts, fmt.Sprintf("%d of %d virtual servers up", up, len(c.last.Checkers.Services)))
		if line := c.last.Checkers.OverridesLine(); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// instancesLine names a few instances, or counts many.
func instancesLine(list []control.Instance) string {
	if len(list) <= 4 {
		var parts []string
		for n, i := range list {
			// An instance with both address families stands twice, one after the other.
			part := i.Name + " " + i.State
			if n > 0 && list[n-1].Name == i.Name {
				if list[n-1].State == i.State {
					continue
				}
				part = i.State + " over IPv6"
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, ", ")
	}
	return control.CountStates(list)
}

// handler carries requests of the control socket to the loop.
type handler struct{ p *parent }

var errStopped = errors.New("director has stopped")

// ask has the loop run f, which replies once, and waits for the reply.
func ask[T any](ctx context.Context, p *parent, f func(reply func(T))) (T, error) {
	result := make(chan T, 1)
	p.post(func() { f(func(v T) { result <- v }) })
	select {
	case v := <-result:
		return v, nil
	case <-ctx.Done():
	case <-p.over:
	}
	select { // the answer may have come with the end
	case v := <-result:
		return v, nil
	default:
		var none T
		return none, errStopped
	}
}

// Status implements control.Handler.
func (h handler) Status(ctx context.Context) (*control.Status, error) {
	var was fileStamp
	s, err := ask(ctx, h.p, func(reply func(*control.Status)) {
		was = h.p.file
		h.p.status(reply)
	})
	if err != nil {
		return nil, err
	}
	// Not in the loop: the file may be on a disk that does not answer.
	if now := stampOf(h.p.o.ConfigPath); now == (fileStamp{}) {
		s.FileMissing = true
	} else if now != was {
		s.FileChanged = time.Unix(0, max(now.written, now.changed))
	}
	return s, nil
}

// fileStamp tells one state of a file from another; zero: there is none.
type fileStamp struct {
	inode            uint64
	size             int64
	written, changed int64 // its text, and anything of it; nanoseconds since 1970
}

// stampOf looks at a file.
func stampOf(path string) fileStamp {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fileStamp{}
	}
	return fileStamp{inode: st.Ino, size: st.Size, written: st.Mtim.Nano(), changed: st.Ctim.Nano()}
}

// Overview implements control.Handler. Neither a child is asked nor the loop kept for
// longer than it takes to join what is known.
func (h handler) Overview(ctx context.Context, q control.OverviewQuery) (*control.Overview, error) {
	type known struct {
		status    *control.Status
		namespace string
	}
	k, err := ask(ctx, h.p, func(reply func(known)) { reply(known{h.p.report(nil), h.p.force.config.Global.IPVSNamespace}) })
	if err != nil {
		return nil, err
	}
	o := k.status.Overview(q)
	o.IPVSNamespace = k.namespace
	return o, nil
}

// Reload implements control.Handler.
func (h handler) Reload(ctx context.Context) (control.ReloadResult, error) {
	return ask(ctx, h.p, h.p.reload)
}

// Stop implements control.Handler.
func (h handler) Stop(ctx context.Context) error {
	_, err := ask(ctx, h.p, func(reply func(struct{})) {
		reply(struct{}{})
		h.p.stop("asked by the control socket")
	})
	return err
}
