package top

import (
	"fmt"
	"strings"
)

// The widths of the columns; the name gets what is left.
const (
	stateWidth   = 8
	upWidth      = 7
	rateWidth    = 5
	countWidth   = 6
	addressWidth = 24
	leastName    = 12
	// wide is from where on addresses have a column.
	wide = 112
	// mostName is the widest name where more room is.
	mostName = 40
)

// numbersWidth is what the numbers need, with a blank behind each column.
const numbersWidth = stateWidth + 1 + upWidth + 1 + 5*(rateWidth+1) + 2*(countWidth+1)

// nameWidth is the width of the first column.
func (m *model) nameWidth() int {
	w := m.width - numbersWidth - 1
	if m.width >= wide {
		w -= addressWidth + 1
	}
	return max(leastName, min(w, mostName))
}

// headings are the lines above the list; one where there is little room.
func (m *model) headings() []string {
	mark := func(o Order, s string) string {
		if m.Order != o {
			return s
		}
		return "*" + s
	}
	upper, lower := m.line(bold), m.line(inverse)
	upper.column("", m.nameWidth(), plain)
	lower.column(mark(ByName, "VIRTUAL SERVER"), m.nameWidth(), plain)
	if m.width >= wide {
		upper.column("", addressWidth, plain)
		lower.column("ADDRESS", addressWidth, plain)
	}
	upper.column("", stateWidth, plain)
	lower.column(mark(ByState, "STATE"), stateWidth, plain)
	upper.number("SERVERS", upWidth, plain)
	lower.number("UP", upWidth, plain)
	upper.number("CONN", rateWidth, plain)
	lower.number(mark(ByConnections, "/s"), rateWidth, plain)
	both := 2*rateWidth + 1
	upper.number("PACKETS/s", both, plain)
	lower.number(mark(ByPackets, "IN"), rateWidth, plain)
	lower.number("OUT", rateWidth, plain)
	upper.number("BYTES/s", both, plain)
	lower.number(mark(ByBytes, "IN"), rateWidth, plain)
	lower.number("OUT", rateWidth, plain)
	upper.number("CONNECTIONS", 2*countWidth+1, plain)
	lower.number(mark(ByActive, "ACTIV"), countWidth, plain)
	lower.number(mark(ByInactive, "INACT"), countWidth, plain)
	if m.height < shortScreen {
		return []string{lower.end()}
	}
	return []string{upper.end(), lower.end()}
}

// row is a line of the list.
func (m *model) row(n int) string {
	base := plain
	if n == m.cursor {
		base = inverse
	}
	l := m.line(base)
	at := m.shown[n]
	row := &m.rows[at.service]
	if at.server < 0 {
		m.serviceRow(l, row)
	} else {
		m.serverRow(l, row, at.server)
	}
	return l.end()
}

func (m *model) serviceRow(l *line, row *service) {
	fold := "+ "
	if m.isOpen(row.name) {
		fold = "- "
	}
	l.column(fold+row.name, m.nameWidth(), plain)
	if m.width >= wide {
		address := strings.Join(row.addresses, " ")
		if len(row.addresses) > 1 {
			address = fmt.Sprintf("%s +%d", row.addresses[0], len(row.addresses)-1)
		}
		if row.state == "" {
			address = "not director's"
		}
		l.column(address, addressWidth, faint)
	}
	state, st := row.state, healthStyle(row.state)
	if state == "" {
		state, st = "-", faint
	}
	l.column(state, stateWidth, st)
	up, st := fmt.Sprintf("%d/%d", row.up, row.total), plain
	switch {
	case row.state == "":
		up = "-"
	case row.up == 0 && row.total > 0:
		st = bad
	case row.up < row.total:
		st = warn
	}
	l.number(up, upWidth, st)
	l.numbers(row.numbers)
}

func (m *model) serverRow(l *line, row *service, n int) {
	if n >= len(row.servers) {
		l.put("    …", faint) // the next look has them
		return
	}
	r := &row.servers[n]
	name := r.name
	if name == "" {
		name = r.address
	}
	l.column("    "+name, m.nameWidth(), plain)
	if m.width >= wide {
		l.column(r.address, addressWidth, faint)
	}
	state, st := r.health, healthStyle(r.health)
	switch {
	case r.order != "":
		state, st = r.order, warn
	case state == "":
		state, st = "-", faint
	}
	l.column(state, stateWidth, st)
	weight, st := "-", faint
	if r.installed {
		weight, st = fmt.Sprintf("w %d", r.weight), plain
		if r.weight == 0 {
			st = warn
		}
	}
	l.number(weight, upWidth, st)
	l.numbers(r.numbers)
	if r.reason != "" && r.health != "up" {
		l.put(r.reason, bad)
	}
}

// numbers adds the columns that services and servers share.
func (l *line) numbers(n numbers) {
	for _, rate := range []uint64{n.Connections, n.InPackets, n.OutPackets, n.InBytes, n.OutBytes} {
		l.count(rate, rateWidth, !n.unrated)
	}
	l.count(n.active, countWidth, n.counted)
	l.count(n.inactive, countWidth, n.counted)
}

// count adds a number. Nought is faint, so that what moves stands out.
func (l *line) count(n uint64, width int, known bool) {
	switch {
	case !known:
		l.number("…", width, faint)
	case n == 0:
		l.number("0", width, faint)
	default:
		l.number(short(n), width, plain)
	}
}

func healthStyle(state string) style {
	switch state {
	case "up":
		return good
	case "down":
		return bad
	}
	return warn
}
