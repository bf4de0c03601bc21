package top

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"director/internal/colour"
	"director/internal/control"
)

// style is how a piece of text looks.
type style = colour.Style

const (
	plain   = colour.Plain
	bold    = colour.Bold
	faint   = colour.Faint
	inverse = colour.Inverse
	good    = colour.Good
	bad     = colour.Bad
	warn    = colour.Warn
)

// coloured says that a style is one of colour, which some users do not want.
func coloured(s style) bool { return s == good || s == bad || s == warn }

// line is a line of the screen, not longer than its width.
type line struct {
	b      strings.Builder
	left   int // columns that are free
	colour bool
	bare   bool  // nothing but text
	base   style // the one look of the whole line, if it has one
}

func (m *model) line(base style) *line {
	return &line{left: m.width, colour: m.Colour, bare: m.bare, base: base}
}

// put adds text, cut where the line is full.
func (l *line) put(s string, st style) {
	s = printable(s)
	if n := utf8.RuneCountInString(s); n > l.left {
		r := []rune(s)[:l.left]
		if l.left > 1 {
			r[l.left-1] = '…'
		}
		s = string(r)
	}
	l.left -= utf8.RuneCountInString(s)
	if s == "" || l.base != plain || st == plain || l.bare || coloured(st) && !l.colour {
		l.b.WriteString(s)
		return
	}
	l.b.WriteString(st.On(s))
}

// column adds text in a column of a width, and a blank.
func (l *line) column(s string, width int, st style) {
	s = cut(printable(s), width)
	l.put(s, st)
	l.put(strings.Repeat(" ", width-utf8.RuneCountInString(s)+1), plain)
}

// number adds text at the right of a column of a width.
func (l *line) number(s string, width int, st style) {
	s = cut(s, width)
	l.put(strings.Repeat(" ", width-utf8.RuneCountInString(s)), plain)
	l.put(s, st)
	l.put(" ", plain)
}

// end returns the text; a marked line is filled to its end.
func (l *line) end() string {
	if l.base == plain || l.bare {
		return strings.TrimRight(l.b.String(), " ")
	}
	return l.base.On(l.b.String() + strings.Repeat(" ", l.left))
}

func cut(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 2 {
		return string([]rune(s)[:max(0, width)])
	}
	return string([]rune(s)[:width-1]) + "…"
}

// printable takes out what could steer a terminal: names and reasons come from elsewhere.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}

// short writes a number with at most five characters: 9999, 12.3k, 123k, 1.2M.
func short(n uint64) string {
	if n < 10_000 {
		return strconv.FormatUint(n, 10)
	}
	x, unit := float64(n)/1000, 0
	for x >= 999.5 && unit < 5 {
		x, unit = x/1000, unit+1
	}
	digits := 0
	if x < 99.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f%c", digits, x, "kMGTPE"[unit])
}

// page is how many lines the list has.
func (m *model) page() int { return max(1, m.height-m.around()) }

// around is how many lines are around the list: those above and the last one.
func (m *model) around() int {
	if m.height < shortScreen {
		return 2 // one heading, and the last
	}
	return 8
}

// shortScreen is the height below which the state of the daemon is left out.
const shortScreen = 14

// lines is the screen.
func (m *model) lines() []string {
	var out []string
	if m.help {
		out = append(m.head(), m.helpText()...)
		return out[:min(len(out), m.height)]
	}
	if m.height >= shortScreen {
		out = append(m.head(), m.status())
	}
	out = append(out, m.headings()...)
	for n := range min(m.page(), len(m.shown)-m.top) {
		out = append(out, m.row(m.top+n))
	}
	for len(out) < m.height-1 {
		out = append(out, "")
	}
	out = append(out[:max(0, min(len(out), m.height-1))], m.footer())
	return out
}

// head tells of the daemon: who it is, what it is MASTER of, its processes, the sums.
func (m *model) head() []string {
	first := m.line(plain)
	v := m.sample.View
	if v == nil {
		v = &control.Overview{}
		first.put("director top", bold)
	} else {
		first.put(v.RouterID, bold)
		first.put(fmt.Sprintf("  director %s  up %s  generation %d", v.Version, control.Age(m.sample.At, v.StartedAt), v.Generation), plain)
	}
	clock := "waiting for numbers"
	if m.seen {
		clock = m.sample.At.Format(time.TimeOnly) + "  every " + m.Interval.String()
	}
	st := faint
	if m.paused {
		clock, st = m.sample.At.Format(time.TimeOnly)+"  PAUSED", warn
	}
	if gap := first.left - len(clock); gap > 1 {
		first.put(strings.Repeat(" ", gap), plain)
		first.put(clock, st)
	}
	return []string{first.end(), m.routers(v), m.processes(v), m.sums()}
}

// routers names the virtual routers by their state.
func (m *model) routers(v *control.Overview) string {
	l := m.line(plain)
	l.put("VRRP       ", faint)
	if len(v.Instances) == 0 {
		l.put("no virtual router", faint)
	}
	for n, state := range []string{"FAULT", "MASTER", "BACKUP", "INIT"} {
		var names []string
		for _, i := range v.Instances {
			if i.State == state && !slices.Contains(names, i.Name) {
				names = append(names, i.Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		l.put(fmt.Sprintf("%s %d: ", state, len(names)), [...]style{bad, good, plain, warn}[n])
		l.put(strings.Join(names, ", ")+"   ", plain)
	}
	return l.end()
}

// processes tells how the daemon's processes are, or that it does not answer.
func (m *model) processes(v *control.Overview) string {
	l := m.line(plain)
	if m.sample.Lost != nil {
		l.put("LOST       ", bad)
		l.put(fmt.Sprintf("since %s: %v - trying again", m.sample.LostSince.Format(time.TimeOnly), m.sample.Lost), bad)
		return l.end()
	}
	l.put("processes  ", faint)
	for n, p := range v.Processes {
		if n > 0 {
			l.put(", ", plain)
		}
		st := good
		switch {
		case p.State == "not needed":
			st = faint
		case p.State != "running" || p.Stale:
			st = bad
		}
		l.put(p.Role+" ", plain)
		l.put(p.State, st)
		if p.Stale && p.State == "running" {
			l.put(" without an answer", bad)
		}
		if p.Restarts > 0 {
			l.put(fmt.Sprintf(" (restarts: %d)", p.Restarts), warn)
		}
	}
	return l.end()
}

// sums adds all services up.
func (m *model) sums() string {
	l := m.line(plain)
	if m.sample.Kernel != nil {
		l.put("IPVS       ", bad)
		l.put(m.sample.Kernel.Error(), bad)
		return l.end()
	}
	n, servers, up := total(m.all)
	l.put("IPVS       ", faint)
	l.put(fmt.Sprintf("%s services, %s/%s servers up", short(uint64(len(m.all))), short(uint64(up)), short(uint64(servers))), plain)
	l.put(fmt.Sprintf("   conn/s %s  B/s in %s out %s", short(n.Connections), short(n.InBytes), short(n.OutBytes)), bold)
	if n.counted && l.left >= len("  active 12.3k") {
		l.put("  active "+short(n.active), plain)
	}
	return l.end()
}

// status tells what is shown.
func (m *model) status() string {
	l := m.line(plain)
	if why := m.why(); why != "" {
		l.put(why, bad)
		return l.end()
	}
	order := "sorted by " + m.Order.String()
	if m.Reverse {
		order += ", the other way round"
	}
	l.put(order, faint)
	if m.Filter != "" && !m.typing {
		l.put(fmt.Sprintf("   filter %q: %d of %d services", m.Filter, len(m.rows), len(m.all)), warn)
	}
	if more := len(m.shown) - m.page(); more > 0 {
		l.put(fmt.Sprintf("   lines %d to %d of %d", m.top+1, min(len(m.shown), m.top+m.page()), len(m.shown)), faint)
	}
	return l.end()
}

// why tells of the real server under the cursor why it is not up: where there is no room
// for that beside it, this is the place.
func (m *model) why() string {
	if m.cursor >= len(m.shown) {
		return ""
	}
	at := m.shown[m.cursor]
	row := &m.rows[at.service]
	if at.server < 0 || at.server >= len(row.servers) || row.servers[at.server].reason == "" {
		return ""
	}
	r := &row.servers[at.server]
	return fmt.Sprintf("%s/%s is %s: %s", row.name, r.name, r.health, r.reason)
}

// footer is the prompt of the filter, or the keys.
func (m *model) footer() string {
	if m.typing {
		l := m.line(plain)
		l.put("filter: ", bold)
		l.put(m.Filter, plain)
		l.put("_", inverse)
		l.put("   Enter keeps it, Esc takes it back", faint)
		return l.end()
	}
	l := m.line(inverse)
	pause := "pause"
	if m.paused {
		pause = "go on"
	}
	l.put(" q quit  s sort  r reverse  / filter  Enter fold  e/c all  space "+pause+"  h help", plain)
	return l.end()
}

func (m *model) helpText() []string {
	lines := strings.Split(`
  q, Ctrl-C     quit                     up, down, k, j    move
  space, p      pause and go on          PgUp, PgDn, b, f  a page
  +, -          slower, faster           Home, End, g, G   begin and end
  s, >          sort by the next         right, l          show servers
  S, <          by the one before        left              hide them
  r             the other way round      Enter             one or the other
  /             filter by words          e, c              all: show, hide
  Esc           no filter                Ctrl-L, Ctrl-Z    draw anew, suspend

  Rates are the kernel's averages over the last seconds, each a second. Every
  word of a filter must be in a service's name, addresses or state, or in the
  name, address or health of one of its servers that is shown.

  Any key leaves this page.`, "\n")
	for i, text := range lines {
		l := m.line(plain)
		l.put(text, plain)
		lines[i] = l.end()
	}
	return lines
}
