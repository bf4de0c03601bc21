package snmpd

import (
	"net/netip"
	"strings"
	"time"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// keepalivedMIB is the root of KEEPALIVED-MIB, below Debian's number.
var keepalivedMIB = agentx.OID{1, 3, 6, 1, 4, 1, 9586, 100, 5}

// The parts of KEEPALIVED-MIB.
var (
	globalPart = keepalivedMIB.Append(1)
	vrrpPart   = keepalivedMIB.Append(2)
	checkPart  = keepalivedMIB.Append(3)
)

// The standard MIBs of VRRP: VRRP-MIB (RFC 2787) of version 2 and VRRPV3-MIB (RFC
// 6527).
var (
	rfc2787MIB = agentx.OID{1, 3, 6, 1, 2, 1, 68}
	rfc6527MIB = agentx.OID{1, 3, 6, 1, 2, 1, 207}
)

// module is a part of the tree that is registered by itself.
type module struct {
	root    agentx.OID
	objects func(*state) []agentx.Object
}

// modules are those that settings ask for.
func modules(a *config.SNMPAgent) []module {
	var list []module
	if a.Has("vrrp") || a.Has("virtual_server") {
		list = append(list, module{globalPart, (*state).global})
	}
	for _, m := range []struct {
		name string
		module
	}{
		{"vrrp", module{vrrpPart, (*state).vrrp}},
		{"virtual_server", module{checkPart, (*state).farm}},
		{"rfc2787", module{rfc2787MIB, (*state).rfc2787}},
		{"rfc6527", module{rfc6527MIB, (*state).rfc6527}},
	} {
		if a.Has(m.name) {
			list = append(list, m.module)
		}
	}
	return list
}

// state is what a view is made of. The configuration and the status are never changed.
type state struct {
	config *config.Config
	status *control.Status
	links  map[string]link // the host's interfaces
	// refresh is how often the state comes.
	refresh time.Duration
}

// link is an interface of the host.
type link struct {
	index int
	mac   string
}

// objects are all object types that are answered for, with their rows.
func (s *state) objects(a *config.SNMPAgent) (list []agentx.Object) {
	for _, m := range modules(a) {
		list = append(list, m.objects(s)...)
	}
	return list
}

// column is an object type of a table: its number below the table's entry, and its
// value in a row; the zero Value: that row has none.
type column[R any] struct {
	number uint32
	value  func(*R) agentx.Value
}

// table makes objects of the columns of a table. The rows ascend by their index, which
// is nil where it is the place of the row, counted from 1.
func table[R any](entry agentx.OID, rows []R, index func(*R) agentx.OID, columns []column[R]) []agentx.Object {
	names := make([]agentx.OID, len(rows))
	for i := range rows {
		if index == nil {
			names[i] = agentx.OID{uint32(i + 1)}
		} else {
			names[i] = index(&rows[i])
		}
	}
	list := make([]agentx.Object, len(columns))
	for i, c := range columns {
		list[i] = agentx.Object{Name: entry.Append(c.number), Rows: names, Value: func(row int) agentx.Value { return c.value(&rows[row]) }}
	}
	return list
}

// scalars are objects with one value each, by their numbers below a part.
func scalars(part agentx.OID, values map[uint32]agentx.Value) []agentx.Object {
	rows := []agentx.OID{{0}}
	list := make([]agentx.Object, 0, len(values))
	for number, value := range values {
		list = append(list, agentx.Object{Name: part.Append(number), Rows: rows, Value: func(int) agentx.Value { return value }})
	}
	return list
}

// none is no value.
var none = agentx.Value{}

// yes is a TruthValue, and any other pair of which 1 is the better one.
func yes(b bool) agentx.Value {
	if b {
		return agentx.Integer(1)
	}
	return agentx.Integer(2)
}

// longest is how much a DisplayString holds (RFC 2579).
const longest = 255

// text is a DisplayString, none when it is empty. What it cannot hold is cut off.
func text(s string) agentx.Value {
	if s == "" {
		return none
	}
	return agentx.Text(s[:min(len(s), longest)])
}

// command is an argument vector as keepalived shows it, none when it is empty.
func command(argv []string) agentx.Value {
	if len(argv) == 0 {
		return none
	}
	return text("'" + strings.Join(argv, "' '") + "'")
}

// seconds and micros are whole units of a span, what is left over rounded down.
func seconds(d config.Duration) agentx.Value { return agentx.Gauge(uint64(d.D() / time.Second)) }
func micros(d config.Duration) agentx.Value  { return agentx.Gauge(uint64(d.D() / time.Microsecond)) }

// addressType is an InetAddressType (RFC 4001): ipv4(1) or ipv6(2).
func addressType(a netip.Addr) agentx.Value {
	switch {
	case a.Unmap().Is4():
		return agentx.Integer(1)
	case a.Is6():
		return agentx.Integer(2)
	}
	return none
}

// address is the InetAddress that goes with addressType.
func address(a netip.Addr) agentx.Value {
	if !a.IsValid() {
		return none
	}
	return agentx.Text(string(a.Unmap().WithZone("").AsSlice()))
}
