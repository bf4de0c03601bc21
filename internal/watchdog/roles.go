package watchdog

import (
	"maps"

	"director/config"
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
	vrrp, checkers := p.child(RoleVRRP), p.child(RoleCheckers)
	if !checkers.follows() || vrrp.last == nil || vrrp.last.VRRP == nil {
		return
	}
	names := followed(checkers.want.config)
	if len(names) == 0 {
		return
	}
	states := make(map[string]string, len(names))
	for _, i := range vrrp.last.VRRP.Instances {
		// One with both families has two entries.
		if names[i.Name] && states[i.Name] != "MASTER" {
			states[i.Name] = i.State
		}
	}
	tellRoles(checkers.run, states)
}

// relayRole does so at once on a change; the next snapshot tells the same. That one
// family of an instance with both is MASTER no more says nothing of the other.
func (p *parent) relayRole(name, state string) {
	c := p.child(RoleCheckers)
	if !c.follows() || !followed(c.want.config)[name] {
		return
	}
	if in := instance(c.want.config, name); in != nil && state != "MASTER" && in.Family(true) && in.Family(false) {
		return
	}
	states := maps.Clone(c.run.roles)
	if states == nil {
		states = make(map[string]string, 1)
	}
	states[name] = state
	tellRoles(c.run, states)
}

func tellRoles(run *process, states map[string]string) {
	if maps.Equal(states, run.roles) {
		return
	}
	run.roles = states
	run.ch.Send(Message{Roles: &Roles{States: states}})
}
