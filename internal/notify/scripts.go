package notify

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/script"
)

// defaultTimeout bounds a script whose configuration gives no limit.
const defaultTimeout = 30 * time.Second

// Runner runs one command, as script.Run does.
type Runner func(context.Context, script.Command) script.Result

// queue is the scripts that one subject still has to be told by. It exists while
// a goroutine works on it.
type queue struct {
	next    *job // the newest change not yet begun
	skipped []string
}

// job is the scripts of one event.
type job struct {
	event    control.Event
	commands []script.Command
}

// queueScripts queues the scripts of one event. While a script of the same
// subject runs, only the newest change waits. The caller holds the lock.
func (n *Notifier) queueScripts(key string, e control.Event, commands []script.Command) {
	if q := n.queues[key]; q != nil {
		if q.next != nil {
			q.skipped = append(q.skipped, q.next.event.To)
			n.scripts.Coalesced++
		}
		q.next = &job{e, commands}
		return
	}
	q := &queue{next: &job{e, commands}}
	n.queues[key] = q
	n.began()
	go n.work(key, q)
}

// work runs the jobs of one subject until none is left.
func (n *Notifier) work(key string, q *queue) {
	for {
		n.mu.Lock()
		j, skipped := q.next, q.skipped
		q.next, q.skipped = nil, nil
		if j == nil {
			delete(n.queues, key)
			n.ended()
			n.mu.Unlock()
			return
		}
		n.mu.Unlock()

		log := n.log.With(j.event.Kind, j.event.Subject, "to", j.event.To, "seq", j.event.Seq)
		if len(skipped) > 0 {
			log.Warn("notification is behind: only the newest state is told", "skipped", strings.Join(skipped, " "))
		}
		for _, c := range j.commands {
			n.script(log, c)
		}
	}
}

// script runs one command and logs how it ended.
func (n *Notifier) script(log *slog.Logger, c script.Command) {
	r := n.run(n.ctx, c)
	n.mu.Lock()
	if r.OK {
		n.scripts.Sent++
	} else {
		n.scripts.Failed++
		n.scripts.LastError = strings.Join(c.Argv, " ") + ": " + strings.TrimPrefix(r.String(), c.Argv[0]+": ")
		n.scripts.LastErrorAt = time.Now()
	}
	n.mu.Unlock()
	attrs := []any{"command", strings.Join(c.Argv, " "), "result", r.String(), "duration", r.Duration.Round(time.Millisecond)}
	if r.OK {
		log.Info("notify script", attrs...)
		return
	}
	if r.Output != "" {
		attrs = append(attrs, "output", script.LastBytes(r.Output, 256))
	}
	log.Warn("notify script failed", attrs...)
}

// instanceCommands returns what an instance wants run for one of its changes, in
// order.
func instanceCommands(c *config.Config, nt config.Notify, e control.Event) []script.Command {
	return stateCommands(c, nt, e, "INSTANCE", strconv.Itoa(e.Priority))
}

// groupCommands is the same for a sync group, which has no priority.
func groupCommands(c *config.Config, nt config.Notify, e control.Event) []script.Command {
	return stateCommands(c, nt, e, "GROUP", "0")
}

// stateCommands returns the commands for a state, those for every state with
// keepalived's arguments.
func stateCommands(c *config.Config, nt config.Notify, e control.Event, kind, priority string) []script.Command {
	places := map[string]int{"MASTER": config.OnMaster, "BACKUP": config.OnBackup, "FAULT": config.OnFault, "STOP": config.OnStop}
	state, known := places[e.To]
	if !known {
		return nil
	}
	own := nt.Commands()
	var commands []script.Command
	if one := own[state]; len(one.Argv) > 0 {
		commands = append(commands, command(c, nt, one, environment(e)))
	}
	if all := own[config.OnAny]; len(all.Argv) > 0 {
		all.Argv = append(slices.Clone(all.Argv), kind, e.Subject, e.To, priority)
		commands = append(commands, command(c, nt, all, environment(e)))
	}
	return commands
}

// command makes a command with its user and the time limit that nt gives it.
func command(c *config.Config, nt config.Notify, own config.UserCommand, env []string) script.Command {
	timeout := nt.Timeout.D()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return script.Command{Argv: own.Argv, User: cmp.Or(own.User, c.Global.ScriptUser), Timeout: timeout, Env: env}
}

// serviceCommands returns what a virtual server wants run for one of its changes.
func serviceCommands(c *config.Config, vs *config.VirtualServer, e control.Event) []script.Command {
	commands := vs.Commands()
	switch {
	case e.To == "up":
		return poolCommands(c, commands[config.OnQuorumUp], e)
	case e.From == "up", e.From == "unknown":
		// Also of a pool that is found dead at the start: what a former run has announced
		// would stand.
		return poolCommands(c, commands[config.OnQuorumDown], e)
	}
	return nil
}

// serverCommands returns what a real server wants run for one of its changes.
func serverCommands(c *config.Config, vs *config.VirtualServer, rs *config.RealServer, e control.Event) []script.Command {
	commands := rs.Commands(vs)
	switch e.To {
	case "up":
		return poolCommands(c, commands[config.OnUp], e)
	case "down":
		return poolCommands(c, commands[config.OnDown], e)
	}
	return nil
}

// poolCommands is the one command of a service or a server of it, if it has one.
func poolCommands(c *config.Config, own config.UserCommand, e control.Event) []script.Command {
	if len(own.Argv) == 0 {
		return nil
	}
	return []script.Command{{Argv: own.Argv, User: cmp.Or(own.User, c.Global.ScriptUser), Timeout: defaultTimeout, Env: environment(e)}}
}

// alarmCommands returns what a virtual server, or an instance and its sync groups,
// want run for an alarm.
func (h *held) alarmCommands(e control.Event) []script.Command {
	var commands []script.Command
	add := func(nt config.Notify) {
		if len(nt.Alarm) > 0 {
			commands = append(commands, command(h.config, nt, nt.Commands()[config.OnAlarm], append(environment(e), alarmEnvironment(e.Alarm)...)))
		}
	}
	if ofService(e) {
		alarm := h.service(e).Commands()[config.OnPoolAlarm]
		add(config.Notify{Alarm: alarm.Argv, User: alarm.User})
		return commands
	}
	add(h.instances[e.Subject].Notify)
	for i := range h.config.Groups {
		if g := &h.config.Groups[i]; slices.Contains(g.Members, e.Subject) {
			add(g.Notify)
		}
	}
	return commands
}

// alarmEnvironment gives a script the newest evidence of an alarm.
func alarmEnvironment(a *control.Alarm) []string {
	if a == nil {
		return nil
	}
	ev := a.Newest()
	number := func(vrid uint8) string {
		if vrid == 0 {
			return ""
		}
		return strconv.Itoa(int(vrid))
	}
	return []string{
		"DIRECTOR_ALARM=" + a.Code,
		"DIRECTOR_ALARM_COUNT=" + strconv.FormatUint(a.Count, 10),
		"DIRECTOR_INTERFACE=" + a.Interface,
		"DIRECTOR_VRID=" + number(a.VRID),
		"DIRECTOR_PEER=" + ev.Peer,
		"DIRECTOR_PEER_MAC=" + ev.MAC,
		"DIRECTOR_PEER_VRID=" + number(ev.VRID),
		"DIRECTOR_ADDRESS=" + ev.Address,
		"DIRECTOR_PEER_SAYS=" + ev.Says,
		"DIRECTOR_CONFIGURED=" + ev.Here,
	}
}

// environment tells a script more than keepalived's arguments do.
func environment(e control.Event) []string {
	return []string{
		"DIRECTOR_SUBJECT=" + e.Subject,
		"DIRECTOR_FROM=" + e.From,
		"DIRECTOR_TO=" + e.To,
		"DIRECTOR_REASON=" + strings.ReplaceAll(e.Reason, "\x00", ""),
		"DIRECTOR_REASON_CODE=" + e.Code,
		"DIRECTOR_PRIORITY=" + strconv.Itoa(e.Priority),
		"DIRECTOR_SEQ=" + strconv.FormatUint(e.Seq, 10),
	}
}
