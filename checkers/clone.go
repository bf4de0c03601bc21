package checkers

import "slices"

// Clone returns a pool that shares nothing that changes with p: what is done to one
// does not show in the other.
func (p *Pool) Clone() *Pool {
	c := *p
	c.leaving, c.relieved = slices.Clone(p.leaving), slices.Clone(p.relieved)
	clones := make(map[*Server]*Server, len(p.servers)+len(p.sorry))
	each := func(list []*Server) []*Server {
		out := make([]*Server, len(list))
		for i, s := range list {
			out[i] = s.clone()
			clones[s] = out[i]
		}
		return out
	}
	c.servers, c.sorry = each(p.servers), each(p.sorry)
	c.answers = clones[p.answers]
	return &c
}

func (s *Server) clone() *Server {
	c := *s
	c.Checks = make([]*Check, len(s.Checks))
	for i, check := range s.Checks {
		own := *check
		c.Checks[i] = &own
	}
	return &c
}
