package watchdog

import (
	"maps"
	"slices"

	"director/config"
)

// Roles tells the states of VRRP instances: "MASTER", "BACKUP" or "FAULT". The VRRP child
// tells the parent of those that have changed, the parent tells the checker child of all
// that it follows and that are known.
//
// An instance is MASTER here from its first advert on, when its addresses are not up yet,
// until they are off: what stands behind them is there all the time that they are.
type Roles struct {
	// Seq is what Followed is to answer with; 0: no answer is needed.
	Seq    uint64
	States map[string]string
}

// Followed says that the IPVS table and connection sync are as the Roles with the same Seq,
// and all before it, want them. It goes back the way that they came.
type Followed struct {
	Seq     uint64
	Problem string `json:",omitempty"` // why something is missing all the same
}

// roleAsk is a VRRP process that waits for Followed.
type roleAsk struct {
	run  *process
	seq  uint64
	told uint64 // by which Seq the checker process will answer
}

// followed lists the instances whose states the checker child needs.
func followed(c *config.Config) map[string]bool {
	names := make(map[string]bool)
	if c.IPVSSync != nil && c.IPVSSync.Instance != "" {
		names[c.IPVSSync.Instance] = true
	}
	for i := range c.VirtualServers {
		if name := c.VirtualServers[i].ActiveWith; name != "" {
			names[name] = true
		}
	}
	return names
}

// rolesTold takes the word of a VRRP process. While there is none, the last word of the
// former one stands: its addresses stay as well.
func (p *parent) rolesTold(run *process, r *Roles) {
	if p.child(RoleVRRP).run != run {
		return
	}
	if p.roles == nil {
		p.roles = make(map[string]string)
	}
	maps.Copy(p.roles, r.States)
	p.relayRoles()
	if r.Seq == 0 {
		return
	}
	p.roleAsks = slices.DeleteFunc(p.roleAsks, func(a roleAsk) bool { return a.run != run })
	ask := roleAsk{run: run, seq: r.Seq}
	if c := p.child(RoleCheckers).run; c != nil {
		ask.told = c.rolesSent
	}
	p.roleAsks = append(p.roleAsks, ask)
	p.answerRoles("")
}

// relayRoles tells the checker child how the VRRP instances are that it follows,
// whenever that has changed.
func (p *parent) relayRoles() {
	if c := p.child(RoleCheckers); c.follows() {
		p.tellRoles(c.run, c.want.config)
	}
}

// tellRoles tells a checker process the states of the instances that these configurations
// follow, unless it knows them. It is told before it gets a configuration: what follows
// an instance must not begin in a role that the instance does not have.
func (p *parent) tellRoles(run *process, configs ...*config.Config) {
	states := make(map[string]string)
	for _, c := range configs {
		for name := range followed(c) {
			if state, known := p.roles[name]; known {
				states[name] = state
			}
		}
	}
	if maps.Equal(states, run.roles) {
		return
	}
	run.roles = states
	run.rolesSent++
	run.ch.Send(Message{Roles: &Roles{Seq: run.rolesSent, States: states}})
}

// rolesFollowed takes the answer of a checker process.
func (p *parent) rolesFollowed(run *process, f *Followed) {
	run.rolesDone = f.Seq
	p.answerRoles(f.Problem)
}

// rolesAskedAnew is for a new checker process, which was told all that is known: it
// answers what the former one did not.
func (p *parent) rolesAskedAnew(run *process) {
	for i := range p.roleAsks {
		p.roleAsks[i].told = run.rolesSent
	}
	p.answerRoles("")
}

// answerRoles answers the VRRP process as far as the checker process has answered. Nobody
// is kept waiting for one that does not run.
func (p *parent) answerRoles(problem string) {
	c, last := p.child(RoleCheckers), roleAsk{}
	if !c.follows() {
		problem = c.role.Title() + " is " + p.state(c)
	}
	p.roleAsks = slices.DeleteFunc(p.roleAsks, func(a roleAsk) bool {
		done := !c.follows() || a.told <= c.run.rolesDone
		if done {
			last = a
		}
		return done
	})
	if last.run != nil && p.child(RoleVRRP).run == last.run {
		last.run.ch.Send(Message{Followed: &Followed{Seq: last.seq, Problem: problem}})
	}
}

// forgetRoles forgets the instances that the configuration has no more.
func (p *parent) forgetRoles() {
	maps.DeleteFunc(p.roles, func(name, _ string) bool { return instance(p.force.config, name) == nil })
}
