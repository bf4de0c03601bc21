// Package notify tells scripts of changes of state: notify_master, notify_backup,
// notify_fault, notify_stop and notify of a VRRP instance or sync group, quorum_up and
// quorum_down of a virtual server.
//
// Each subject has an ordered queue of its own: its scripts run one at a time,
// in the order of the changes, while those of other subjects run beside them.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/script"
)

// defaultTimeout bounds a script whose configuration gives no limit.
const defaultTimeout = 30 * time.Second

// Runner runs one command, as script.Run does.
type Runner func(context.Context, script.Command) script.Result

// Notifier runs the scripts that belong to events. It is safe for use by
// several goroutines.
type Notifier struct {
	run    Runner
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	configs []held // oldest first
	queues  map[string]*queue
	told    map[string]string // the newest state queued, by subject
	closed  bool
	idle    chan struct{} // closed when the last queue has ended after Close
}

// held is a generation of the configuration whose events can still come.
type held struct {
	generation uint64
	config     *config.Config
}

// queue is what one subject still has to be told. It exists while a goroutine
// works on it.
type queue struct {
	next    *job // the newest change not yet begun
	skipped []string
}

// job is the scripts of one event.
type job struct {
	event    control.Event
	commands []script.Command
}

// New returns a Notifier that runs commands by run.
func New(run func(context.Context, script.Command) script.Result, log *slog.Logger) *Notifier {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Notifier{
		run: run, log: log, ctx: ctx,
		cancel: func() { cancel(errors.New("director stops")) },
		queues: make(map[string]*queue), told: make(map[string]string), idle: make(chan struct{}),
	}
}

// Apply makes a generation known, beside those known already. Events name the
// generation under which they happened.
func (n *Notifier) Apply(generation uint64, c *config.Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(generation)
	n.configs = append(n.configs, held{generation, c})
}

// Forget drops a generation. Scripts already queued still run.
func (n *Notifier) Forget(generation uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(generation)
}

func (n *Notifier) forget(generation uint64) {
	n.configs = slices.DeleteFunc(n.configs, func(h held) bool { return h.generation == generation })
}

// Handle queues the scripts of one event and returns at once. While a script of
// the same subject runs, only the newest change waits: states in between
// are left out, and logged. A state that was the last one told already is not told
// again: a child that was started anew begins in the state of the former.
func (n *Notifier) Handle(e control.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	key := e.Kind + "/" + e.Subject
	if e.From == e.To || e.To == n.told[key] {
		return
	}
	commands := n.commands(e)
	if commands != nil { // somebody's subject, whether or not this change is of interest
		n.told[key] = e.To
	}
	if len(commands) == 0 {
		return
	}
	if q := n.queues[key]; q != nil {
		if q.next != nil {
			q.skipped = append(q.skipped, q.next.event.To)
		}
		q.next = &job{e, commands}
		return
	}
	q := &queue{next: &job{e, commands}}
	n.queues[key] = q
	go n.work(key, q)
}

// commands returns what the configuration wants run for e, in order.
func (n *Notifier) commands(e control.Event) []script.Command {
	find := func(of func(*config.Config) []script.Command) []script.Command {
		// The generation of the event, else the newest that knows the subject.
		for _, h := range n.configs {
			if h.generation == e.Generation {
				if c := of(h.config); c != nil {
					return c
				}
			}
		}
		for _, h := range slices.Backward(n.configs) {
			if c := of(h.config); c != nil {
				return c
			}
		}
		return nil
	}
	switch e.Kind {
	case "instance":
		return find(func(c *config.Config) []script.Command { return instanceCommands(c, e) })
	case "group":
		return find(func(c *config.Config) []script.Command { return groupCommands(c, e) })
	case "service":
		return find(func(c *config.Config) []script.Command { return serviceCommands(c, e) })
	}
	return nil
}

// instanceCommands returns nil when c has no such instance, and an empty list
// when the instance wants nothing run.
func instanceCommands(c *config.Config, e control.Event) []script.Command {
	i := slices.IndexFunc(c.Instances, func(i config.Instance) bool { return i.Name == e.Subject })
	if i < 0 {
		return nil
	}
	return stateCommands(c, c.Instances[i].Notify, e, "INSTANCE", strconv.Itoa(e.Priority))
}

// groupCommands returns nil when c has no such sync group.
func groupCommands(c *config.Config, e control.Event) []script.Command {
	i := slices.IndexFunc(c.Groups, func(g config.SyncGroup) bool { return g.Name == e.Subject })
	if i < 0 {
		return nil
	}
	return stateCommands(c, c.Groups[i].Notify, e, "GROUP", "0")
}

// stateCommands returns the commands for a state, those for every state with
// keepalived's arguments.
func stateCommands(c *config.Config, nt config.Notify, e control.Event, kind, priority string) []script.Command {
	own := map[string][]string{"MASTER": nt.Master, "BACKUP": nt.Backup, "FAULT": nt.Fault, "STOP": nt.Stop}
	argv, known := own[e.To]
	commands := []script.Command{}
	if !known {
		return commands
	}
	user := nt.User
	if user == "" {
		user = c.Global.ScriptUser
	}
	timeout := nt.Timeout.D()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	add := func(argv []string) {
		commands = append(commands, script.Command{Argv: argv, User: user, Timeout: timeout, Env: environment(e)})
	}
	if len(argv) > 0 {
		add(argv)
	}
	if len(nt.All) > 0 {
		add(append(slices.Clone(nt.All), kind, e.Subject, e.To, priority))
	}
	return commands
}

// serviceCommands returns nil when c has no such virtual server.
func serviceCommands(c *config.Config, e control.Event) []script.Command {
	i := slices.IndexFunc(c.VirtualServers, func(v config.VirtualServer) bool { return v.Name == e.Subject })
	if i < 0 {
		return nil
	}
	var argv []string
	switch {
	case e.To == "up":
		argv = c.VirtualServers[i].QuorumUp
	case e.From == "up":
		argv = c.VirtualServers[i].QuorumDown
	}
	if len(argv) == 0 {
		return []script.Command{}
	}
	return []script.Command{{Argv: argv, User: c.Global.ScriptUser, Timeout: defaultTimeout, Env: environment(e)}}
}

// environment tells a script more than keepalived's arguments do.
func environment(e control.Event) []string {
	return []string{
		"DIRECTOR_SUBJECT=" + e.Subject,
		"DIRECTOR_FROM=" + e.From,
		"DIRECTOR_TO=" + e.To,
		"DIRECTOR_REASON=" + strings.ReplaceAll(e.Reason, "\x00", ""),
		"DIRECTOR_PRIORITY=" + strconv.Itoa(e.Priority),
		"DIRECTOR_SEQ=" + strconv.FormatUint(e.Seq, 10),
	}
}

// work runs the jobs of one subject until none is left.
func (n *Notifier) work(key string, q *queue) {
	for {
		n.mu.Lock()
		j, skipped := q.next, q.skipped
		q.next, q.skipped = nil, nil
		if j == nil {
			delete(n.queues, key)
			if n.closed && len(n.queues) == 0 {
				close(n.idle)
			}
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()

		log := n.log.With(j.event.Kind, j.event.Subject, "to", j.event.To, "seq", j.event.Seq)
		if len(skipped) > 0 {
			log.Warn("notification is behind: only the newest state is told", "skipped", strings.Join(skipped, " "))
		}
		for _, c := range j.commands {
			r := n.run(n.ctx, c)
			attrs := []any{"command", strings.Join(c.Argv, " "), "result", r.String(), "duration", r.Duration.Round(time.Millisecond)}
			if r.OK {
				log.Info("notify script", attrs...)
				continue
			}
			if r.Output != "" {
				attrs = append(attrs, "output", script.LastBytes(r.Output, 256))
			}
			log.Warn("notify script failed", attrs...)
		}
	}
}

// Close takes no more events and waits until the queued scripts have run, at
// most for timeout; then those that run are ended and the rest is given up.
func (n *Notifier) Close(timeout time.Duration) error {
	n.mu.Lock()
	if !n.closed {
		n.closed = true
		if len(n.queues) == 0 {
			close(n.idle)
		}
	}
	n.mu.Unlock()
	defer n.cancel()
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	select {
	case <-n.idle:
		return nil
	case <-limit.C:
	}
	n.mu.Lock()
	var left []string
	for key, q := range n.queues {
		left = append(left, key)
		q.next = nil
	}
	n.mu.Unlock()
	n.cancel()
	slices.Sort(left)
	// A script that is being ended gets SIGTERM, and SIGKILL two seconds later.
	ending := time.NewTimer(3 * time.Second)
	defer ending.Stop()
	select {
	case <-n.idle:
	case <-ending.C:
	}
	return fmt.Errorf("notify: not finished after %v: %s", timeout, strings.Join(left, ", "))
}
