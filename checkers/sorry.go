package checkers

import (
	"fmt"
	"time"

	"director/ipvs"
)

// adoptSorry takes over what the kernel's table has of the sorry servers. One that
// was found beside serving servers is a remainder and counts for nothing.
func (p *Pool) adoptSorry(have *ipvs.Entry, memory *Memory, now time.Time) {
	for _, s := range p.sorry {
		s.Since = now
		if memory != nil {
			s.override = memory.Overrides[s.Config.Key]
		}
		if have == nil {
			continue
		}
		d, present := have.Dests[ipvs.CanonicalDest(s.Config.Key)]
		s.lingers = present && s.override.Order == Drain
		if !p.quorum.Serving && d.Weight > 0 {
			s.held, p.heldSorry = In, true
		}
	}
}

// firstSorry returns the most preferred sorry server that is well and that nobody ordered
// out of service, nil without one.
// One that was found in service counts as well until it is proven dead.
func (p *Pool) firstSorry() *Server {
	for _, s := range p.sorry {
		if s.serving() && s.override.Order == NoOrder {
			return s
		}
	}
	return nil
}

// mayApologize says whether a sorry server is to answer when there is no quorum.
// With a panic guard that has servers to keep there is always somebody better.
func (p *Pool) mayApologize() bool {
	return p.firstSorry() != nil && (p.config.PanicThreshold == 0 || p.guardable() == 0)
}

// chooseSorry decides which sorry server answers, and appends the change when
// another one does than before.
func (p *Pool) chooseSorry(changes []Change) []Change {
	was := p.answers
	p.answers = nil
	if p.state == Sorry || p.state == Unknown && p.heldSorry {
		p.answers = p.firstSorry()
	}
	if is := p.answers; is != nil && was != nil && is != was {
		changes = append(changes, Change{From: p.state, To: p.state, Reason: SorryChanged,
			Detail: fmt.Sprintf("%s answers, before it was %s", is.Config.Name, was.Config.Name)})
	}
	return changes
}

// Answers returns the sorry server that answers in place of the pool, nil when
// none does.
func (p *Pool) Answers() *Server { return p.answers }
