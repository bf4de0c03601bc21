package checkers

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxWeight is the greatest weight that advice can lead to: the greatest that the kernel
// takes, and the configuration.
const maxWeight = math.MaxInt32

// Weighing is how a server's word about its weight is meant.
type Weighing uint8

// The ways.
const (
	// Keep: nothing is said about the weight.
	Keep Weighing = iota
	// Percent: the weight is so many hundredths of the configured one.
	Percent
	// Absolute: the weight is the value.
	Absolute
	// Additional: the value is added to the weight.
	Additional
	weighingCount
)

var weighingNames = [...]string{Keep: "keep", Percent: "percent", Absolute: "absolute", Additional: "additional"}

func (w Weighing) String() string {
	if int(w) < len(weighingNames) {
		return weighingNames[w]
	}
	return fmt.Sprintf("weighing(%d)", uint8(w))
}

// Order is a word about whether a server is to be used at all.
type Order uint8

// The orders.
const (
	NoOrder     Order = iota
	Ready             // used as its health allows
	Drain             // no new connections
	Maintenance       // out of service
	orderCount
)

var orderNames = [...]string{NoOrder: "", Ready: "ready", Drain: "drain", Maintenance: "maint"}

func (o Order) String() string {
	if int(o) < len(orderNames) {
		return orderNames[o]
	}
	return fmt.Sprintf("order(%d)", uint8(o))
}

// Advice is what a check says about its server beside whether that is well. In a
// Result, Keep and NoOrder leave in force what was said before.
type Advice struct {
	Weighing Weighing
	Value    int // meaning by Weighing
	Order    Order
	// Silent says that nothing was said about the server's health: what was said
	// last holds, and in the beginning that it is well. Only in a Result.
	Silent bool
}

// String writes the advice as ParseAdvice reads it: "75%", "=3", "+20", "drain",
// "75% maint"; empty when it changes nothing.
func (a Advice) String() string {
	var words []string
	switch a.Weighing {
	case Percent:
		words = append(words, strconv.Itoa(a.Value)+"%")
	case Absolute:
		words = append(words, "="+strconv.Itoa(a.Value))
	case Additional:
		words = append(words, fmt.Sprintf("%+d", a.Value))
	}
	if a.Order != NoOrder {
		words = append(words, a.Order.String())
	}
	return strings.Join(words, " ")
}

// ParseAdvice reads what String wrote. Words that it does not know say nothing.
func ParseAdvice(text string) Advice {
	var a Advice
	for _, word := range strings.Fields(text) {
		for o := range orderCount {
			if o != NoOrder && word == o.String() {
				a.Order = o
			}
		}
		weighing, digits := Additional, word
		if rest, is := strings.CutPrefix(word, "="); is {
			weighing, digits = Absolute, rest
		} else if rest, is := strings.CutSuffix(word, "%"); is {
			weighing, digits = Percent, rest
		}
		if n, err := strconv.Atoi(digits); err == nil {
			a.Weighing, a.Value = weighing, n
		}
	}
	return a
}

// heed takes over what a result advises and returns what it says of the server's
// health.
func (c *Check) heed(r Result) Outcome {
	if r.Outcome == Inconclusive {
		return Inconclusive
	}
	if r.Advice.Weighing != Keep {
		c.Advice.Weighing, c.Advice.Value = r.Advice.Weighing, r.Advice.Value
	}
	switch r.Advice.Order {
	case NoOrder:
	case Ready:
		c.Advice.Order = NoOrder
	default:
		c.Advice.Order = r.Advice.Order
	}
	c.heard = true
	if !r.Advice.Silent {
		c.said = r.Outcome
	}
	switch {
	case c.Advice.Order == Maintenance:
		return Fail
	case c.said == Fail:
		return Fail
	}
	return Pass
}

// Weight returns the weight that the server has in the kernel while it is in
// service: the configured one or the one that was ordered, as its checks advise, and
// 0 by order of an operator. Of several absolute weights the least counts, and none
// beside an ordered one; percentages are applied to that one after the other, and then
// what is to be added is. A percentage that is not 0 leaves a weight that is not 0.
func (s *Server) Weight() int32 {
	if s.override.Order != NoOrder {
		return 0
	}
	return s.offered()
}

// offered is the weight that the server would have if no operator had taken it.
func (s *Server) offered() int32 {
	base := s.base()
	weight, set, added := int64(base), false, int64(0)
	for _, c := range s.Checks {
		if c.Config.Weighs && !c.heard && s.State == Unknown && s.held == In {
			return s.heldWeight // until there is a word, the last one holds
		}
		switch v := int64(c.Advice.Value); c.Advice.Weighing {
		case Absolute:
			if s.override.Weighing == Keep && (!set || v < weight) {
				weight, set = v, true
			}
		case Additional:
			added += v
		}
	}
	for _, c := range s.Checks {
		if c.Advice.Weighing == Percent {
			weight = clamp((weight*clamp(int64(c.Advice.Value)) + 99) / 100)
		}
	}
	for _, c := range s.Checks {
		if c.Advice.Order == Drain {
			return 0
		}
	}
	if !set && added == 0 && weight == int64(base) {
		return base
	}
	return int32(clamp(weight + added))
}

func clamp(weight int64) int64 { return min(max(weight, 0), maxWeight) }

// advised tells why the weight is another than the configured one.
func (s *Server) advised() string {
	var words []string
	for _, c := range s.Checks {
		if text := c.Advice.String(); text != "" {
			words = append(words, c.Config.Label+" says "+text)
		}
	}
	return strings.Join(words, ", ")
}
