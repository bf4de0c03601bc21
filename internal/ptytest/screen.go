package ptytest

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Screen is what a terminal shows: a small part of ECMA-48, as much as director uses.
type Screen struct {
	columns, rows int
	cells         [][]cell
	x, y          int
	style         string
	// Alternate says that the alternate screen is shown, Hidden that the cursor is not,
	// and NoWrap that lines are cut.
	Alternate, Hidden, NoWrap bool
	main                      [][]cell // beneath the alternate screen
	pending                   []byte   // the begin of a sequence
}

type cell struct {
	r     rune
	style string
}

// NewScreen returns an empty screen.
func NewScreen(columns, rows int) *Screen {
	s := &Screen{}
	s.Resize(columns, rows)
	return s
}

// Resize gives the screen another size; what fits stays.
func (s *Screen) Resize(columns, rows int) {
	s.columns, s.rows = columns, rows
	s.cells = resized(s.cells, columns, rows)
	if s.main != nil {
		s.main = resized(s.main, columns, rows)
	}
	s.x, s.y = min(s.x, columns-1), min(s.y, rows-1)
}

func resized(old [][]cell, columns, rows int) [][]cell {
	cells := make([][]cell, rows)
	for y := range cells {
		cells[y] = make([]cell, columns)
		if y < len(old) {
			copy(cells[y], old[y])
		}
	}
	return cells
}

// String returns the text of the screen, without space at the ends of lines and empty
// lines at its end.
func (s *Screen) String() string {
	var b strings.Builder
	for _, row := range s.cells {
		line := make([]rune, len(row))
		for i, c := range row {
			if line[i] = c.r; c.r == 0 {
				line[i] = ' '
			}
		}
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// Style returns the attributes (the parameters of SGR) of the first place where a text
// stands, and whether it stands anywhere.
func (s *Screen) Style(text string) (style string, found bool) {
	for _, row := range s.cells {
		line := make([]rune, len(row))
		for i, c := range row {
			line[i] = c.r
		}
		if i := strings.Index(string(line), text); i >= 0 {
			return row[utf8.RuneCountInString(string(line)[:i])].style, true
		}
	}
	return "", false
}

// Write draws what a program writes.
func (s *Screen) Write(b []byte) {
	b = append(s.pending, b...)
	s.pending = nil
	for len(b) > 0 {
		n := s.next(b)
		if n == 0 {
			s.pending = append([]byte(nil), b...)
			return
		}
		b = b[n:]
	}
}

// next takes one character or sequence from b; 0 when it is not complete.
func (s *Screen) next(b []byte) int {
	switch c := b[0]; {
	case c == '\x1b':
		return s.escape(b)
	case c == '\r':
		s.x = 0
	case c == '\n':
		s.down()
	case c == '\b':
		s.x = max(0, s.x-1)
	case c < 0x20:
	default:
		if !utf8.FullRune(b) {
			return 0
		}
		r, n := utf8.DecodeRune(b)
		s.put(r)
		return n
	}
	return 1
}

func (s *Screen) put(r rune) {
	if s.x >= s.columns {
		if s.NoWrap {
			s.x = s.columns - 1
		} else {
			s.x = 0
			s.down()
		}
	}
	s.cells[s.y][s.x] = cell{r, s.style}
	s.x++
}

func (s *Screen) down() {
	if s.y < s.rows-1 {
		s.y++
		return
	}
	copy(s.cells, s.cells[1:])
	s.cells[s.rows-1] = make([]cell, s.columns)
}

// escape takes a sequence that begins with ESC.
func (s *Screen) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case ']': // a title or so, up to BEL
		if i := strings.IndexByte(string(b), '\a'); i >= 0 {
			return i + 1
		}
		return 0
	case '[':
	default:
		return 2
	}
	for i := 2; i < len(b); i++ {
		if b[i] >= 0x40 && b[i] <= 0x7e {
			s.control(string(b[2:i]), b[i])
			return i + 1
		}
	}
	return 0
}

func (s *Screen) control(parameters string, final byte) {
	number := func(i, otherwise int) int {
		if parts := strings.Split(parameters, ";"); i < len(parts) {
			if n, err := strconv.Atoi(parts[i]); err == nil && n > 0 {
				return n
			}
		}
		return otherwise
	}
	switch final {
	case 'H':
		s.y, s.x = min(number(0, 1), s.rows)-1, min(number(1, 1), s.columns)-1
	case 'A':
		s.y = max(0, s.y-number(0, 1))
	case 'C':
		s.x = min(s.columns-1, s.x+number(0, 1))
	case 'D':
		s.x = max(0, s.x-number(0, 1))
	case 'K':
		clear(s.cells[s.y][min(s.x, s.columns):])
	case 'J':
		if number(0, 0) == 0 {
			clear(s.cells[s.y][min(s.x, s.columns):])
			for y := s.y + 1; y < s.rows; y++ {
				clear(s.cells[y])
			}
			return
		}
		for _, row := range s.cells {
			clear(row)
		}
	case 'm':
		if s.style = parameters; parameters == "0" {
			s.style = ""
		}
	case 'h', 'l':
		s.mode(parameters, final == 'h')
	}
}

func (s *Screen) mode(which string, on bool) {
	switch which {
	case "?7":
		s.NoWrap = !on
	case "?25":
		s.Hidden = !on
	case "?1049":
		if on == s.Alternate {
			return
		}
		s.Alternate = on
		if on {
			s.main, s.cells = s.cells, resized(nil, s.columns, s.rows)
			return
		}
		s.cells, s.main = s.main, nil
	}
}
