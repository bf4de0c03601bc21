package checkers

import (
	"slices"
	"time"

	"director/ipvs"
)

// Leaving is a server that the configuration lists no more and that stays in the table,
// for one of two reasons. With weight 0, so that its connections can end by themselves. With
// its weight, because the servers that the configuration has in its place wait for their
// first verdict, and without it the pool would lack its quorum, or have nobody at all, for
// just that long: a reload is no outage. It is relieved when the quorum is there without
// it, or when no verdict is waited for any more.
type Leaving struct {
	Name     string
	Key      ipvs.DestKey
	Dest     ipvs.Destination // the weight is 0 unless it serves
	Since    time.Time
	Deadline time.Time // when it goes, whatever connections it has, or is relieved at the latest
}

// Serves says that the server stays to serve, not to end.
func (l Leaving) Serves() bool { return l.Dest.Weight > 0 }

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
			s.adopt(l.Dest.Weight, true)
		}
		return s != nil
	})
	for _, s := range stood {
		if listed[s.Config.Key] != nil {
			continue
		}
		l := Leaving{Name: s.Config.Name, Key: s.Config.Key, Dest: s.Config.Dest, Since: now}
		l.Dest.Weight = 0
		if p.Place(s) == In && s.serving() && !p.config.Moved {
			l.Dest.Weight, l.Deadline = s.RampedWeight(), p.verdictsBy()
		}
		if !l.Serves() {
			if p.config.DrainOnRemove <= 0 {
				continue
			}
			l.Deadline = now.Add(p.config.DrainOnRemove)
		}
		p.leaving = append(p.leaving, l)
	}
}

// relieve ends the service of servers that the configuration lists no more, when it is not
// needed any longer. They leave then like others.
func (p *Pool) relieve(now time.Time) {
	w := p.Weights()
	if w.Former == 0 {
		return
	}
	serves := w.Up + w.Held
	for _, s := range p.servers {
		if s.Kept {
			serves += int(s.Weight())
		}
	}
	if w.Pending > 0 && serves < p.quorum.Keep() {
		return
	}
	var stay []Leaving
	for _, l := range p.leaving {
		if l.Serves() {
			if l.Since.Before(now) { // else its service was never needed
				p.relieved = append(p.relieved, l)
			}
			if p.config.DrainOnRemove <= 0 {
				continue
			}
			l.Dest.Weight, l.Since, l.Deadline = 0, now, now.Add(p.config.DrainOnRemove)
		}
		stay = append(stay, l)
	}
	p.leaving = stay
}

// Relieved returns the servers that the configuration lists no more and that have ceased
// to serve since it was called last.
func (p *Pool) Relieved() []Leaving {
	list := p.relieved
	p.relieved = nil
	return list
}

// verdictsBy returns when the first verdict about the last server is there, or is waited
// for no longer; zero: when it is there.
func (p *Pool) verdictsBy() (at time.Time) {
	for _, s := range p.servers {
		if s.State != Unknown || s.overdue {
			continue
		}
		if s.Config.VerdictWithin == 0 {
			return time.Time{}
		}
		if by := s.Since.Add(s.Config.VerdictWithin); by.After(at) {
			at = by
		}
	}
	return at
}

// recallFormer notes that some of those who leave serve: the pool is one that does.
func (p *Pool) recallFormer(list []Leaving, have *ipvs.Entry) {
	for _, l := range list {
		if have == nil {
			return
		}
		if have.Dests[l.Key].Weight > 0 && l.Serves() {
			p.quorum.Serving = true
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
