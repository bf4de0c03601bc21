package checkers

import (
	"fmt"
	"time"
)

// A server that comes back into service, or that is new in a pool that serves, may
// have cold caches and gets its share slowly: its weight begins at a tenth and rises
// in ten steps. The weight is never 0 unless it is 0 without the ramp, and it is the
// weight as checks advise it that is shared. The quorum counts the whole weight: it
// asks who is well, not who is warm.
//
// There is no ramp when a pool begins: nobody would take the load meanwhile, and
// those who begin together share alike.
const (
	rampSteps = 10
	rampFirst = 10 // hundredths of the weight at the beginning
)

// ramp is how far a server has come.
type ramp struct {
	due   bool      // begins when the server comes into service
	began time.Time // zero: there is none
	step  int       // 0 to rampSteps - 1
}

// share returns how many hundredths of its weight the server has.
func (r ramp) share() int {
	if r.began.IsZero() {
		return 100
	}
	return rampFirst + (100-rampFirst)*r.step/rampSteps
}

// RampedWeight returns the weight that the server has in the kernel while it is in
// service.
func (s *Server) RampedWeight() int32 {
	weight := int64(s.Weight())
	return int32((weight*int64(s.ramp.share()) + 99) / 100)
}

// Ramp returns when the weight began to rise and when it will be whole; zero while
// it does not rise.
func (s *Server) Ramp() (began, ends time.Time) {
	if s.ramp.began.IsZero() {
		return time.Time{}, time.Time{}
	}
	return s.ramp.began, s.ramp.began.Add(s.Config.RampUp)
}

// warm begins the ramps that are due and moves those that there are. It appends the
// changes, and reports whether a weight moved.
func (p *Pool) warm(now time.Time, changes []Change) ([]Change, bool) {
	moved := false
	for _, s := range p.servers {
		r, before := &s.ramp, s.ramp.share()
		switch length := s.Config.RampUp; {
		case r.due && p.Place(s) == In:
			*r = ramp{}
			if length > 0 {
				if r.began = now; s.RampedWeight() == s.Weight() {
					*r = ramp{} // too light to be shared
					break
				}
				changes = append(changes, s.ramping(RampBegan, fmt.Sprintf("%d of %d, the whole in %v", s.RampedWeight(), s.Weight(), length)))
			}
		case r.began.IsZero():
			continue
		case now.Before(r.began): // the clock was set back
			*r = ramp{began: now}
		case now.Sub(r.began) >= length:
			*r = ramp{}
			changes = append(changes, s.ramping(RampEnded, fmt.Sprintf("the whole weight of %d", s.Weight())))
		default:
			r.step = int(now.Sub(r.began) * rampSteps / length)
		}
		moved = moved || r.share() != before
	}
	return changes, moved
}

// ramping is a change that leaves the state as it is.
func (s *Server) ramping(why Reason, detail string) Change {
	return Change{Server: s.Config.Name, From: s.State, To: s.State, Reason: why, Detail: detail}
}

// rises returns when the next weight rises; false: none does.
func (p *Pool) rises() (time.Time, bool) {
	var next time.Time
	for _, s := range p.servers {
		if s.ramp.began.IsZero() {
			continue
		}
		step := time.Duration(s.ramp.step + 1)
		if at := s.ramp.began.Add((step*s.Config.RampUp + rampSteps - 1) / rampSteps); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next, !next.IsZero()
}
