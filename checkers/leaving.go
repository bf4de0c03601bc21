package checkers

import (
	"slices"
	"time"

	"director/ipvs"
)

// Leaving is a server that the configuration lists no more. It stays in the table
// with weight 0, so that its connections can end by themselves.
type Leaving struct {
	Name     string
	Key      ipvs.DestKey
	Dest     ipvs.Destination // with weight 0
	Since    time.Time
	Deadline time.Time // when it goes, whatever connections it has
}

// Leaving returns the servers that leave the pool, those that began first first.
func (p *Pool) Leaving() []Leaving { return slices.Clone(p.leaving) }

// Gone ends the leave of a server: it has no connections any more, or its time is over.
func (p *Pool) Gone(key ipvs.DestKey) {
	p.leaving = slices.DeleteFunc(p.leaving, func(l Leaving) bool { return l.Key == key })
}

// depart lets servers leave that were in the table and are not in the configuration
// any more. Those that it has again stay in the table until they are checked.
func (p *Pool) depart(now time.Time, stood []*Server) {
	listed := make(map[ipvs.DestKey]*Server, len(p.servers))
	for _, s := range p.servers {
		listed[s.Config.Key] = s
	}
	p.leaving = slices.DeleteFunc(p.leaving, func(l Leaving) bool {
		s := listed[l.Key]
		if s != nil && s.State == Unknown && s.held == Out {
			s.held = Quiesced
		}
		return s != nil
	})
	if p.config.DrainOnRemove <= 0 {
		return
	}
	for _, s := range stood {
		if listed[s.Config.Key] == nil {
			d := s.Config.Dest
			d.Weight = 0
			p.leaving = append(p.leaving, Leaving{Name: s.Config.Name, Key: s.Config.Key, Dest: d, Since: now, Deadline: now.Add(p.config.DrainOnRemove)})
		}
	}
}

// recallLeaving goes on with the leave of servers that the kernel's table holds.
func (p *Pool) recallLeaving(list []Leaving, have *ipvs.Entry) {
	for _, l := range list {
		if have == nil {
			return
		}
		if _, present := have.Dests[l.Key]; present {
			p.leaving = append(p.leaving, l)
		}
	}
	p.depart(time.Time{}, nil)
}

// standing lists the servers that stand in the table.
func (p *Pool) standing() []*Server {
	return slices.DeleteFunc(slices.Clone(p.servers), func(s *Server) bool { return p.Place(s) == Out })
}
