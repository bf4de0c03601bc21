package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Order is what services are sorted by.
type Order uint8

// The orders. All but Name and State begin with the largest; State begins with the worst.
const (
	ByConnections Order = iota // new ones a second
	ByPackets                  // a second, in and out
	ByBytes                    // likewise
	ByActive                   // connections
	ByInactive
	ByState
	ByName
	orders // how many there are
)

// String returns the word for the command line.
func (o Order) String() string {
	return [...]string{"connections", "packets", "bytes", "active", "inactive", "state", "name"}[o]
}

// Orders lists the words.
func Orders() []string {
	var list []string
	for o := range orders {
		list = append(list, o.String())
	}
	return list
}

// ParseOrder is the inverse of String.
func ParseOrder(s string) (Order, error) {
	for o := range orders {
		if o.String() == s {
			return o, nil
		}
	}
	return 0, fmt.Errorf("%q is not known, allowed are %s", s, strings.Join(Orders(), ", "))
}

// whole says that the order needs the connections of every service.
func (o Order) whole() bool { return o == ByActive || o == ByInactive }

// badness ranks states, the worst first.
func badness(state string) int {
	switch state {
	case "down":
		return 0
	case "sorry":
		return 1
	case "unknown":
		return 2
	case "leaving":
		return 3
	case "standby":
		return 4
	case "up":
		return 5
	}
	return 6
}

// compare compares numbers by an order of numbers; the larger is first.
func (o Order) compare(a, b *numbers) int {
	switch o {
	case ByConnections:
		return cmp.Compare(b.Connections, a.Connections)
	case ByPackets:
		return cmp.Compare(b.InPackets+b.OutPackets, a.InPackets+a.OutPackets)
	case ByBytes:
		return cmp.Compare(b.InBytes+b.OutBytes, a.InBytes+a.OutBytes)
	case ByActive:
		return cmp.Compare(b.active, a.active)
	case ByInactive:
		return cmp.Compare(b.inactive, a.inactive)
	}
	return 0
}

// sort sorts services, and the real servers of each. Equal ones are sorted by name, so
// that nothing jumps without a reason.
func (o Order) sort(list []service, reverse bool) {
	sign := 1
	if reverse {
		sign = -1
	}
	slices.SortStableFunc(list, func(a, b service) int {
		c := o.compare(&a.numbers, &b.numbers)
		if o == ByState {
			c = cmp.Or(cmp.Compare(badness(a.state), badness(b.state)), cmp.Compare(b.total-b.up, a.total-a.up))
		}
		if o == ByName {
			return sign * natural(a.name, b.name)
		}
		return cmp.Or(sign*c, natural(a.name, b.name))
	})
	for i := range list {
		slices.SortStableFunc(list[i].servers, func(a, b server) int {
			c := o.compare(&a.numbers, &b.numbers)
			if o == ByState {
				c = cmp.Compare(badness(a.health), badness(b.health))
			}
			if o == ByName {
				return sign * natural(a.name, b.name)
			}
			return cmp.Or(sign*c, natural(a.name, b.name))
		})
	}
}

// natural compares names as people do: app2 is before app10.
func natural(a, b string) int {
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return cmp.Compare(a[0], b[0])
			}
			a, b = a[1:], b[1:]
			continue
		}
		m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if c := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); c != 0 {
			return c
		}
		a, b = a[x:], b[y:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits a name begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
