package keepalived

import (
	"fmt"
	"strings"

	"director/config"
)

// margin is what a text says beside its statements: its comments, and what the
// expansion took away. All of its methods do nothing on a nil one.
type margin struct {
	notes []note
	seen  map[note]bool
}

// note is a comment and the line that it belongs to.
type note struct {
	file   string
	line   int
	text   string
	behind bool // a statement stands before it
	own    bool // a statement on the same line comes after it: it stands for something
	use    bool // of no interest without a statement
}

func (m *margin) add(n note) {
	if m == nil || m.seen[n] {
		return
	}
	if m.seen == nil {
		m.seen = make(map[note]bool)
	}
	m.seen[n] = true
	m.notes = append(m.notes, n)
}

// comment keeps the comment of a line.
func (m *margin) comment(at config.Position, text string, behind bool) {
	if m == nil || text == "" {
		return
	}
	text = strings.TrimRight(text, spaces)
	bare := strings.TrimLeft(text, "#!")
	switch marks := len(text) - len(bare); {
	case behind:
		text = strings.TrimLeft(bare, spaces)
	case marks > 1 || bare == "": // a ruler
		text = strings.Repeat("#", marks) + bare
	default:
		text = strings.TrimPrefix(bare, " ")
	}
	m.add(note{file: at.File, line: at.Line, text: text, behind: behind})
}

// note keeps what is said of a place.
func (m *margin) note(at config.Position, format string, args ...any) {
	if m != nil {
		m.add(note{file: at.File, line: at.Line, text: fmt.Sprintf(format, args...), own: true})
	}
}

// use keeps what a line has been made of.
func (m *margin) use(at config.Position, what string) {
	if m != nil {
		m.add(note{file: at.File, line: at.Line, text: what, behind: true, use: true})
	}
}

// repeat keeps a line that stands for several, which may hold others.
func (m *margin) repeat(at config.Position, text string) {
	if m == nil {
		return
	}
	if n := len(m.notes); n == 0 || m.notes[n-1].line != at.Line || m.notes[n-1].file != at.File || m.notes[n-1].text[0] != '~' {
		m.note(at, "%s", text)
	}
}

// define keeps the definition of a parameter.
func (m *margin) define(at config.Position, name string, value []line) {
	if m == nil {
		return
	}
	if len(value) == 1 {
		m.note(at, "%s=%s", name, value[0].text)
	} else {
		m.note(at, "%s: %d lines, put in where it was used", name, len(value))
	}
}
