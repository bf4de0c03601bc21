package checkers

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Override is what an operator has ordered for a server. It stands above the
// configuration and above what the checks say, until it is taken back. The zero
// value orders nothing.
type Override struct {
	// Order is Drain or Maintenance; NoOrder for a weight.
	//
	// A server that drains stands in the table with weight 0 as long as it is
	// healthy, or the panic guard distrusts what is said of the pool. One in maintenance is out of the table, or has weight 0 there when it
	// is inhibited. A sorry server that drains stands there only if it answered
	// before. Its checks go on, so that its state tells when it is well again,
	// but a change of that state is no news before the order has ended.
	Order Order
	// Weighing is Absolute or Percent when Value stands in place of the configured
	// weight, Percent being hundredths of that. What checks advise comes on top.
	Weighing Weighing
	Value    int
	// Cut takes a server in maintenance out of the table although it is inhibited: what
	// connections it has are at their end.
	Cut bool
}

// MaxOverride is the greatest weight that can be ordered, as in the configuration.
const MaxOverride = math.MaxInt32

// ParseWeight reads a weight as an operator writes it: "10", or "50%" of the
// configured one. A weight of 0 is a drain.
func ParseWeight(text string) (Override, error) {
	digits, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || percent && n > 1000 {
		return Override{}, fmt.Errorf("weight %q is not allowed: a number up to %d or up to 1000%% of the configured weight is", text, MaxOverride)
	}
	switch {
	case n == 0:
		return Override{Order: Drain}, nil
	case percent:
		return Override{Weighing: Percent, Value: int(n)}, nil
	}
	return Override{Weighing: Absolute, Value: int(n)}, nil
}

// Override returns what is ordered for the server.
func (s *Server) Override() Override { return s.override }

// base is the weight before the checks have their say.
func (s *Server) base() int32 {
	switch v := int64(s.override.Value); s.override.Weighing {
	case Absolute:
		return int32(v)
	case Percent:
		return int32(min((int64(s.Config.Dest.Weight)*v+99)/100, MaxOverride))
	}
	return s.Config.Dest.Weight
}

// ordered returns the place that an order gives a server, and whether one does.
func (p *Pool) ordered(s *Server) (Place, bool) {
	away := Out
	if s.Config.Inhibit && !s.override.Cut {
		away = Quiesced
	}
	switch s.override.Order {
	case Maintenance:
		return away, true
	case Drain:
		switch {
		case s.Sorry && !s.lingers:
			return away, true
		case s.State == Down && !p.distrust:
			return away, true
		case s.State == Unknown && s.held == Out:
			return Out, true
		}
		return Quiesced, true
	}
	return Out, false
}

// Order puts an override in force for a server of the pool, or with the zero value
// ends the one that is, and returns the changes that follow: the pool's, and at the
// end of a maintenance what became of the server meanwhile.
func (p *Pool) Order(s *Server, o Override, now time.Time) []Change {
	before := s.override.Order
	s.lingers = s.Sorry && o.Order == Drain && (s.lingers || p.Place(s) == In)
	s.override = o
	var changes []Change
	switch { // who had no clients comes back slowly
	case before == Maintenance && o.Order != Maintenance, before == Drain && o.Order == NoOrder:
		s.ramp.due = true
	case o.Order == Drain:
		s.ramp = ramp{}
	}
	switch away := o.Order == Maintenance; {
	case away && before != Maintenance:
		s.told = s.State
		s.ramp = ramp{}
	case !away && before == Maintenance && s.told != s.State:
		changes = append(changes, Change{Server: s.Config.Name, From: s.told, To: s.State, Reason: s.Reason, Detail: s.Detail})
	}
	return p.judge(now, changes)
}

// Loss is what a pool would lose by orders.
type Loss uint8

// The losses, the greatest last.
const (
	NoLoss     Loss = iota
	LossQuorum      // the pool would fall below its quorum
	LossLast        // no server would get connections any more
	lossCount
)

var lossNames = [...]string{NoLoss: "nothing", LossQuorum: "the quorum", LossLast: "the last serving server"}

func (l Loss) String() string {
	if int(l) < len(lossNames) {
		return lossNames[l]
	}
	return fmt.Sprintf("loss(%d)", uint8(l))
}

// Loses tells what the pool would lose if these orders were in force, beside those
// of its other servers. It changes nothing.
func (p *Pool) Loses(orders map[*Server]Override) Loss {
	before := p.Weights()
	past := make(map[*Server]Override, len(orders))
	for s, o := range orders {
		past[s] = s.override
		s.override = o
	}
	after, mute := p.Weights(), p.answers != nil && p.firstSorry() == nil
	for s, o := range past {
		s.override = o
	}
	has, left := before.Up+before.Held, after.Up+after.Held
	quorum := p.quorum.State == Up || p.quorum.State == Unknown && p.quorum.Serving
	switch {
	case mute && left == 0:
		return LossLast
	case left >= has:
		return NoLoss
	case left == 0:
		return LossLast
	case quorum && left < p.quorum.Keep():
		return LossQuorum
	}
	return NoLoss
}
