package watchdog

import (
	"context"
	"errors"
	"fmt"

	"director/config"
	"director/internal/control"
)

// Planned is a child's answer to a Plan, which is a Configure that it does not obey: what
// the configuration would do.
type Planned struct {
	Seq     uint64 // the Plan's Generation
	Changes *control.Changes
	Error   string `json:",omitempty"` // why it would be refused
}

// NewPlanned makes the answer out of what there is.
func NewPlanned(seq uint64, changes *control.Changes, err error) *Planned {
	if err != nil {
		return &Planned{Seq: seq, Error: err.Error()}
	}
	return &Planned{Seq: seq, Changes: changes}
}

// planning is a plan that waits for the children.
type planning struct {
	p       *parent
	seq     uint64
	plan    control.Plan
	waiting map[Role]*process
	reply   func(control.Plan)
}

// MaxChanges bounds the lines of each list of changes that a reload tells.
const MaxChanges = 1000

// foresee works out what a reload of a file would do, and replies with it. Nothing is
// changed: no generation is made, and what is read is forgotten.
func (p *parent) foresee(q control.PlanQuery, reply func(control.Plan)) {
	file, from, o := q.File, p.force, p.o
	read := func() (*config.Config, []config.Warning, error) { return loadText(o, q.Text) }
	if file == "" {
		file = p.o.ConfigPath
		read = func() (*config.Config, []config.Warning, error) { return load(o) }
	}
	o.ConfigPath = file
	go func() {
		cfg, warnings, err := read()
		g := &generation{config: cfg}
		var differences []string
		if err == nil {
			for _, d := range config.Differences(from.config, cfg) {
				differences = append(differences, d.String())
			}
		}
		p.post(func() {
			pl := &planning{p: p, plan: control.Plan{File: file, Changes: control.Changes{Config: differences}}, waiting: map[Role]*process{}, reply: reply}
			for _, w := range warnings {
				pl.plan.Warnings = append(pl.plan.Warnings, bounded(w.String()))
			}
			switch {
			case err != nil:
				pl.plan.Errors = lines(err)
			case p.phase != running || p.transition != nil || p.force != from:
				pl.plan.Errors = []string{"another configuration is coming into force, ask again"}
			default:
				pl.plan.Errors = p.unfit(file, cfg)
			}
			pl.ask(g)
		})
	}()
}

// ask has the children that run work out their parts, and those that would be started the
// function of the options.
func (pl *planning) ask(g *generation) {
	p := pl.p
	if len(pl.plan.Errors) > 0 {
		pl.finish()
		return
	}
	p.planned++
	pl.seq = p.planned
	for _, role := range startOrder {
		c := p.child(role)
		switch {
		case c.answers():
			if role == RoleCheckers {
				p.tellRoles(c.run, c.want.config, g.config)
			}
			c.run.ch.Send(Message{Plan: &Configure{Generation: pl.seq, Config: g.configFor(role)}})
			pl.waiting[role] = c.run
		case c.run != nil || c.want != nil:
			pl.plan.Errors = append(pl.plan.Errors, fmt.Sprintf("%s cannot say what it would do: it is %s", role.Title(), p.state(c)))
		case p.needs(g, role) && p.o.Foresee != nil:
			changes, err := p.o.Foresee(role, g.config)
			pl.add(&Planned{Changes: changes, Error: errorText(err)})
		}
	}
	if len(pl.waiting) == 0 {
		pl.finish()
		return
	}
	p.plans[pl.seq] = pl
	p.after(p.o.ackTimeout, func() {
		for role := range pl.waiting {
			pl.answered(role, &Planned{Error: fmt.Sprintf("%s did not answer within %v", role.Title(), p.o.ackTimeout)})
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// add takes the part of one child.
func (pl *planning) add(a *Planned) {
	if a.Error != "" {
		pl.plan.Errors = append(pl.plan.Errors, a.Error)
	}
	pl.plan.Changes.Join(a.Changes)
}

// answered takes the answer of a child that was asked.
func (pl *planning) answered(role Role, a *Planned) {
	if pl.waiting[role] == nil {
		return
	}
	delete(pl.waiting, role)
	pl.add(a)
	if len(pl.waiting) == 0 {
		delete(pl.p.plans, pl.seq)
		pl.finish()
	}
}

func (pl *planning) finish() {
	if len(pl.plan.Errors) > 0 {
		pl.plan.Changes = control.Changes{}
	}
	pl.reply(pl.plan)
}

// forgetPlans ends the wait for a child that has died.
func (p *parent) forgetPlans(c *child, run *process) {
	for _, pl := range p.plans {
		if pl.waiting[c.role] == run {
			pl.answered(c.role, &Planned{Error: c.role.Title() + " died while it worked out what it would do"})
		}
	}
}

// unfit says why a valid configuration cannot come into force in this life of the daemon.
func (p *parent) unfit(file string, c *config.Config) []string {
	old := p.force.config.Global
	switch {
	case c.Global.IPVSNamespace != old.IPVSNamespace:
		return []string{fmt.Sprintf("%s: global.ipvs_network_namespace: %q cannot come into force while director programs the IPVS of %q, allowed is a restart",
			file, c.Global.IPVSNamespace, old.IPVSNamespace)}
	case c.Global.NetworkNamespace != old.NetworkNamespace:
		return []string{fmt.Sprintf("%s: global.network_namespace: %q cannot come into force while director runs in %q, allowed is a restart",
			file, c.Global.NetworkNamespace, old.NetworkNamespace)}
	}
	return nil
}

// Plan implements control.Handler.
func (h handler) Plan(ctx context.Context, q control.PlanQuery) (control.Plan, error) {
	return ask(ctx, h.p, func(reply func(control.Plan)) { h.p.foresee(q, reply) })
}

// ForeseeStart works out what a start with a file would do, without a daemon: the
// function works out the part of each child.
func ForeseeStart(o Options) (control.Plan, error) {
	o.fill()
	cfg, warnings, err := load(o)
	plan := control.Plan{File: o.ConfigPath}
	for _, w := range warnings {
		plan.Warnings = append(plan.Warnings, w.String())
	}
	if err != nil {
		plan.Errors = lines(err)
		return plan, nil
	}
	g := &generation{config: cfg}
	var errs []error
	for _, role := range startOrder {
		if !g.needs(role) && (o.Leftovers == nil || !o.Leftovers(role)) {
			continue
		}
		changes, err := o.Foresee(role, cfg)
		plan.Changes.Join(changes)
		errs = append(errs, err)
	}
	return plan, errors.Join(errs...)
}
