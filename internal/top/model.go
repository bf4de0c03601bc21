package top

import (
	"slices"
	"strings"
	"time"
)

// readAll is up to how many real servers all are read at each look, so that totals and
// filters know them; of more, those on the screen.
const readAll = 1000

// The intervals between two looks.
const (
	MinInterval = 100 * time.Millisecond
	MaxInterval = time.Hour
)

// Settings are how the view begins.
type Settings struct {
	Interval time.Duration
	Order    Order
	Reverse  bool
	Filter   string
	Expand   bool // show the real servers of all services
	Colour   bool
}

// model is the state of the view. It does nothing by itself: keys and samples change it,
// and lines shows it.
type model struct {
	Settings
	sample Sample
	seen   bool // there was a sample
	all    []service
	rows   []service // those that are shown, sorted
	shown  []place   // a line each

	folded map[string]bool // otherwise than Expand says
	cursor int             // a line
	top    int             // the first line on the screen
	moved  bool            // the cursor was put somewhere: it stays with what it is on

	width, height int
	paused, help  bool
	typing        bool   // the filter is being typed
	before        string // what it was
	done          bool
	bare          bool // text without any looks
}

// place is a line of the list: a service, or with server >= 0 a real server of it.
type place struct{ service, server int }

func newModel(s Settings, width, height int) *model {
	return &model{Settings: s, folded: make(map[string]bool), width: width, height: height}
}

// look takes a sample.
func (m *model) look(s Sample) {
	m.sample, m.seen = s, true
	m.all = s.services()
	m.arrange()
}

// arrange makes the lines anew, and keeps the cursor with what it was on.
func (m *model) arrange() {
	name, server := m.under()
	words := strings.Fields(strings.ToLower(m.Filter))
	m.rows = m.rows[:0]
	for i := range m.all {
		if m.all[i].matches(words) {
			m.rows = append(m.rows, m.all[i])
		}
	}
	m.Order.sort(m.rows, m.Reverse)
	m.shown = m.shown[:0]
	at := -1
	for i := range m.rows {
		row := &m.rows[i]
		if row.name == name {
			at = len(m.shown)
		}
		m.shown = append(m.shown, place{i, -1})
		if !m.isOpen(row.name) {
			continue
		}
		for j := range row.lines() {
			if row.name == name && server != "" && j < len(row.servers) && row.servers[j].address == server {
				at = len(m.shown)
			}
			m.shown = append(m.shown, place{i, j})
		}
	}
	if m.moved && at >= 0 {
		m.cursor = at
	}
	m.scroll()
}

// lines is how many lines the real servers of a service take.
func (row *service) lines() int {
	if row.servers != nil {
		return len(row.servers)
	}
	return row.total
}

// under returns what the cursor is on.
func (m *model) under() (name, server string) {
	if m.cursor >= len(m.shown) {
		return "", ""
	}
	at := m.shown[m.cursor]
	row := &m.rows[at.service]
	if at.server >= 0 && at.server < len(row.servers) {
		server = row.servers[at.server].address
	}
	return row.name, server
}

func (m *model) isOpen(name string) bool { return m.Expand != m.folded[name] }

// scroll keeps the cursor on the list and on the screen.
func (m *model) scroll() {
	m.cursor = max(0, min(m.cursor, len(m.shown)-1))
	page := m.page()
	switch {
	case m.cursor < m.top:
		m.top = m.cursor
	case m.cursor >= m.top+page:
		m.top = m.cursor - page + 1
	}
	m.top = max(0, min(m.top, len(m.shown)-page))
}

// want is what the next sample must hold: the real servers of services on the screen.
func (m *model) want() Want {
	var w Want
	servers := 0
	for i := range m.all {
		servers += m.all[i].total
	}
	w.All = servers <= readAll || m.Order.whole()
	last := -1
	for _, at := range m.shown[m.top:min(len(m.shown), m.top+m.page())] {
		if at.service == last {
			continue
		}
		last = at.service
		name := m.rows[last].name
		if !w.All {
			w.Read = append(w.Read, name)
		}
		if m.isOpen(name) {
			w.Open = append(w.Open, name)
		}
	}
	return w
}

// resize takes another size of the screen.
func (m *model) resize(width, height int) {
	m.width, m.height = width, height
	m.scroll()
}

// move moves the cursor.
func (m *model) move(lines int) {
	m.cursor += lines
	m.scroll()
	m.moved = m.cursor > 0 // at the top it stays at the top
}

// fold shows or hides the real servers of the service under the cursor.
func (m *model) fold(open bool) {
	name, _ := m.under()
	if name == "" || m.isOpen(name) == open {
		return
	}
	if !open { // to the service itself: the line may be gone
		for m.shown[m.cursor].server >= 0 {
			m.cursor--
		}
	}
	m.folded[name] = !m.folded[name]
	moved := m.moved
	m.moved = true
	m.arrange()
	m.moved = moved || m.cursor > 0
}

// foldAll shows or hides the real servers of all.
func (m *model) foldAll(open bool) {
	m.Expand = open
	clear(m.folded)
	if !open && m.cursor < len(m.shown) {
		for m.shown[m.cursor].server >= 0 {
			m.cursor--
		}
	}
	m.arrange()
}

// steps are the intervals that + and - go through.
var steps = [...]time.Duration{MinInterval, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second,
	5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, MaxInterval}

// slower goes to the next longer interval, or to the next shorter one.
func (m *model) slower(longer bool) {
	if longer {
		if i := slices.IndexFunc(steps[:], func(d time.Duration) bool { return d > m.Interval }); i >= 0 {
			m.Interval = steps[i]
		}
		return
	}
	for _, d := range slices.Backward(steps[:]) {
		if d < m.Interval {
			m.Interval = d
			return
		}
	}
}
