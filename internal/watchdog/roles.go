package watchdog

import "maps"

// Roles tells the states of the VRRP instances that connection sync follows: "MASTER",
// "BACKUP" and so on. One that is not known is not listed.
type Roles struct{ States map[string]string }

// relayRoles tells the checker child how the VRRP instance is that connection sync
// follows, whenever that has changed. While the VRRP child is away its last word
// stands: its addresses stay as well.
func (p *parent) relayRoles() {
	vrrp, checkers := p.child(RoleVRRP), p.child(RoleCheckers)
	if checkers.run == nil || checkers.want == nil || checkers.run.asked {
		return
	}
	sync := checkers.want.config.IPVSSync
	if sync == nil || sync.Instance == "" || vrrp.last == nil || vrrp.last.VRRP == nil {
		return
	}
	states := make(map[string]string, 1)
	for _, i := range vrrp.last.VRRP.Instances {
		// One with both families has two entries.
		if i.Name == sync.Instance && states[i.Name] != "MASTER" {
			states[i.Name] = i.State
		}
	}
	tellRoles(checkers.run, states)
}

// relayRole does so at once on a change; the next snapshot tells the same.
func (p *parent) relayRole(name, state string) {
	c := p.child(RoleCheckers)
	if c.run == nil || c.want == nil || c.run.asked {
		return
	}
	if sync := c.want.config.IPVSSync; sync != nil && sync.Instance == name {
		tellRoles(c.run, map[string]string{name: state})
	}
}

func tellRoles(run *process, states map[string]string) {
	if maps.Equal(states, run.roles) {
		return
	}
	run.roles = states
	run.ch.Send(Message{Roles: &Roles{States: states}})
}
