package top

import (
	"unicode"
	"unicode/utf8"
)

// Keys that are no characters.
const (
	keyUp rune = unicode.MaxRune + 1 + iota
	keyDown
	keyLeft
	keyRight
	keyPageUp
	keyPageDown
	keyHome
	keyEnd
	keyEscape
	keyUnknown
)

const (
	ctrlC     = 0x03
	ctrlL     = 0x0c
	ctrlZ     = 0x1a
	ctrlU     = 0x15
	enter     = '\r'
	backspace = 0x7f
)

// sequences are what terminals send behind ESC for keys that are no characters.
var sequences = map[string]rune{
	"[A": keyUp, "[B": keyDown, "[C": keyRight, "[D": keyLeft, "OA": keyUp, "OB": keyDown, "OC": keyRight, "OD": keyLeft,
	"[5~": keyPageUp, "[6~": keyPageDown, "[H": keyHome, "[F": keyEnd, "OH": keyHome, "OF": keyEnd, "[1~": keyHome, "[4~": keyEnd, "[7~": keyHome, "[8~": keyEnd,
}

// nextKey takes a key from the begin of b; n is 0 when b ends within a key.
func nextKey(b []byte) (key rune, n int) {
	if len(b) == 0 || !utf8.FullRune(b) {
		return 0, 0
	}
	if b[0] != '\x1b' {
		r, n := utf8.DecodeRune(b)
		return r, n
	}
	if len(b) == 1 {
		return 0, 0
	}
	if b[1] != '[' && b[1] != 'O' {
		return keyEscape, 1
	}
	for i := 2; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			if key, ok := sequences[string(b[1:i+1])]; ok {
				return key, i + 1
			}
			return keyUnknown, i + 1
		}
	}
	return 0, 0
}

// press obeys a key.
func (m *model) press(key rune) {
	switch {
	case key == ctrlC:
		m.done = true
	case m.typing:
		m.typed(key)
	case m.help:
		m.help = false // any key
	default:
		m.command(key)
	}
}

// typed changes the filter while it is typed.
func (m *model) typed(key rune) {
	switch {
	case key == enter:
		m.typing = false
		return
	case key == keyEscape:
		m.typing, m.Filter = false, m.before
	case key == backspace || key == '\b':
		r := []rune(m.Filter)
		m.Filter = string(r[:max(0, len(r)-1)])
	case key == ctrlU:
		m.Filter = ""
	case key <= unicode.MaxRune && unicode.IsPrint(key):
		m.Filter += string(key)
	default:
		return
	}
	m.cursor, m.top, m.moved = 0, 0, false
	m.arrange()
}

// command obeys a key of the list.
func (m *model) command(key rune) {
	page := max(1, m.page()-1)
	switch key {
	case 'q':
		m.done = true
	case 'h', '?':
		m.help = true
	case keyUp, 'k':
		m.move(-1)
	case keyDown, 'j':
		m.move(1)
	case keyPageUp, 'b':
		m.move(-page)
	case keyPageDown, 'f':
		m.move(page)
	case keyHome, 'g':
		m.move(-len(m.shown))
	case keyEnd, 'G':
		m.move(len(m.shown))
	case keyRight, 'l':
		m.fold(true)
	case keyLeft:
		m.fold(false)
	case enter:
		name, _ := m.under()
		m.fold(!m.isOpen(name))
	case 'e':
		m.foldAll(true)
	case 'c':
		m.foldAll(false)
	case 's', '>':
		m.sortBy((m.Order + 1) % orders)
	case 'S', '<':
		m.sortBy((m.Order + orders - 1) % orders)
	case 'r':
		m.Reverse = !m.Reverse
		m.arrange()
	case '/':
		m.typing, m.before = true, m.Filter
	case keyEscape:
		m.Filter = ""
		m.arrange()
	case ' ', 'p':
		m.paused = !m.paused
	case '+':
		m.slower(true)
	case '-':
		m.slower(false)
	}
}

func (m *model) sortBy(o Order) {
	m.Order = o
	m.arrange()
}
