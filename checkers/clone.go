package checkers

import "slices"

// Clone returns a pool that shares nothing that changes with p: what is done to one
// does not show in the other.
func (p *Pool) Clone() *Pool {
	c := *p
	c.leaving = slices.Clone(p.leaving)
	c.servers = make([]*Server, len(p.servers))
	for i, s := range p.servers {
		server := *s
		server.Checks = make([]*Check, len(s.Checks))
		for j, check := range s.Checks {
			own := *check
			server.Checks[j] = &own
		}
		c.servers[i] = &server
	}
	return &c
}
