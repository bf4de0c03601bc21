package watchdog

import (
	"maps"

	"director/config"
	"director/internal/control"
)

// Roles tells the states of the VRRP instances that connection sync or virtual
// servers follow: "MASTER", "BACKUP" and so on. One that is not known is not listed.
type Roles struct{ States map[string]string }

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

// relayRoles tells the checker child how the VRRP instances are that it follows,
// whenever that has changed. While the VRRP child is away its last word stands: its
// addresses stay as well.
func (p *parent) relayRoles() {
	if c := p.child(RoleCheckers); c.follows() {
		p.tellRoles(c.run, c.want.config)
	}
}

// rolesSeen takes the states of all instances from a snapshot.
func (p *parent) rolesSeen(v *control.VRRP) {
	p.roles = make(map[string]string, len(v.Instances))
	for _, i := range v.Instances {
		// One with both families has two entries.
		if p.roles[i.Name] != "MASTER" {
			p.roles[i.Name] = i.State
		}
	}
	p.relayRoles()
}

// roleSeen takes the new state of one instance from an event; the next snapshot tells the
// same. That one family of an instance with both is MASTER no more says nothing of the
// other.
func (p *parent) roleSeen(name, state string) {
	vrrp := p.child(RoleVRRP)
	if vrrp.want == nil {
		return
	}
	in := instance(vrrp.want.config, name)
	if in == nil || state != "MASTER" && in.Family(true) && in.Family(false) {
		return
	}
	if p.roles == nil {
		p.roles = make(map[string]string)
	}
	p.roles[name] = state
	p.relayRoles()
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
	run.ch.Send(Message{Roles: &Roles{States: states}})
}
