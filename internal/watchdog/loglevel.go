package watchdog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"director/internal/control"
	"director/internal/logging"
)

// LogLevel puts a log level in the place of the configured one; an empty one ends that.
type LogLevel struct{ Level string }

// roleParent is what the parent is called beside its children.
const roleParent Role = "parent"

// logOrder is a level that an operator has ordered for one process. It outlives the
// process and ends with the daemon.
type logOrder struct {
	level, author string
	until         time.Time   // zero: with the daemon
	timer         *time.Timer // nil without an end
}

// logged lists the processes that have a log, in order.
func (p *parent) logged() []Role {
	list := []Role{roleParent, RoleVRRP, RoleCheckers}
	for _, o := range p.observers {
		if o.settings != nil {
			list = append(list, o.kind.role)
		}
	}
	return list
}

// configuredLevel is what counts without an order: what the command line says, else the
// configuration.
func (p *parent) configuredLevel() string {
	if p.o.LogLevel != "" {
		return strings.ToLower(p.o.LogLevel)
	}
	if l := p.force.config.Global.LogLevel; l != "" {
		return l
	}
	return "info"
}

// levelOf is the level that a process has.
func (p *parent) levelOf(r Role) string {
	if o := p.logOrders[r]; o != nil {
		return o.level
	}
	return p.configuredLevel()
}

// logLevels tells the levels of all processes.
func (p *parent) logLevels() []control.LogLevel {
	var list []control.LogLevel
	for _, r := range p.logged() {
		l := control.LogLevel{Process: string(r), Level: p.levelOf(r), Configured: p.configuredLevel()}
		if o := p.logOrders[r]; o != nil {
			l.Ordered, l.Author, l.Until = true, o.author, o.until
		}
		list = append(list, l)
	}
	return list
}

// orderedLevels are those of processes for which another level is ordered.
func (p *parent) orderedLevels() []control.LogLevel {
	return slices.DeleteFunc(p.logLevels(), func(l control.LogLevel) bool { return !l.Ordered })
}

// orderLevel carries out a LogQuery.
func (p *parent) orderLevel(q control.LogQuery) error {
	roles := p.logged()
	if len(q.Processes) > 0 {
		for _, name := range q.Processes {
			if !slices.Contains(roles, Role(name)) {
				return fmt.Errorf("there is no process %q, allowed are %s", name, names(roles))
			}
		}
		roles = slices.DeleteFunc(roles, func(r Role) bool { return !slices.Contains(q.Processes, string(r)) })
	}
	switch q.Level {
	case "":
		return nil
	case control.LogAuto:
		p.endLevels(roles, "by "+q.Who())
		return nil
	}
	level, err := logging.ParseLevel(q.Level)
	if err != nil {
		return fmt.Errorf("%w, or %s", err, control.LogAuto)
	}
	if q.For < 0 {
		return fmt.Errorf("log level for %v: must not be negative", q.For)
	}
	word, why := strings.ToLower(level.String()), "by "+q.Who()
	if q.For > 0 {
		why += " for " + q.For.String()
	}
	before := p.levelsOf(roles)
	for _, r := range roles {
		p.forgetLevel(r)
		o := &logOrder{level: word, author: q.Who()}
		if q.For > 0 {
			o.until = time.Now().Add(q.For)
			o.timer = p.after(q.For, func() {
				if p.logOrders[r] == o {
					p.endLevels([]Role{r}, "its time is over")
				}
			})
		}
		p.logOrders[r] = o
	}
	p.levelsChanged(roles, before, why)
	return nil
}

// endLevels ends orders.
func (p *parent) endLevels(roles []Role, why string) {
	before := p.levelsOf(roles)
	for _, r := range roles {
		p.forgetLevel(r)
	}
	p.levelsChanged(roles, before, why)
}

func (p *parent) forgetLevel(r Role) {
	if o := p.logOrders[r]; o != nil && o.timer != nil {
		o.timer.Stop()
	}
	delete(p.logOrders, r)
}

func (p *parent) levelsOf(roles []Role) map[Role]string {
	levels := make(map[Role]string, len(roles))
	for _, r := range roles {
		levels[r] = p.levelOf(r)
	}
	return levels
}

// levelsChanged tells the processes, and what has changed to the history.
func (p *parent) levelsChanged(roles []Role, before map[Role]string, why string) {
	changed := make(map[[2]string][]Role)
	for _, r := range roles {
		p.tellLevel(r)
		if was, is := before[r], p.levelOf(r); was != is {
			changed[[2]string{was, is}] = append(changed[[2]string{was, is}], r)
		}
	}
	for step, of := range changed {
		p.event(control.Event{Kind: "loglevel", Subject: names(of), From: step[0], To: step[1], Reason: why, Generation: p.force.number})
	}
}

// tellLevel has a process obey what is ordered for it now.
func (p *parent) tellLevel(r Role) {
	level := ""
	if o := p.logOrders[r]; o != nil {
		level = o.level
	}
	switch r {
	case roleParent:
		if p.o.OverrideLog != nil {
			if err := p.o.OverrideLog(level); err != nil {
				p.log.Warn("log level", "reason", err)
			}
		}
	case RoleWeb, RoleSNMP:
		for _, o := range p.observers {
			if o.kind.role == r && o.run != nil {
				o.run.feed.level(level)
			}
		}
	default:
		if run := p.child(r).run; run != nil && run.ch != nil {
			run.ch.Send(Message{LogLevel: &LogLevel{Level: level}})
		}
	}
}

// names joins the names of processes.
func names(roles []Role) string {
	list := make([]string, len(roles))
	for i, r := range roles {
		list[i] = string(r)
	}
	return strings.Join(list, ", ")
}

// LogLevels implements control.Handler.
func (h handler) LogLevels(ctx context.Context, q control.LogQuery) ([]control.LogLevel, error) {
	type outcome struct {
		list []control.LogLevel
		err  error
	}
	r, err := ask(ctx, h.p, func(reply func(outcome)) {
		err := h.p.orderLevel(q)
		reply(outcome{h.p.logLevels(), err})
	})
	if err != nil {
		return nil, err
	}
	return r.list, r.err
}
