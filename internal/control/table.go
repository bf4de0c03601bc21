package control

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"director/internal/colour"
)

// style is how a cell looks on a terminal that shows colours.
type style = colour.Style

const (
	plain = colour.Plain
	good  = colour.Good
	bad   = colour.Bad
	warn  = colour.Warn
	faint = colour.Faint
	bold  = colour.Bold
)

// cell is a piece of text with a look.
type cell struct {
	text  string
	style style
	right bool // aligned to the right, for numbers
}

func text(s string) cell             { return cell{text: s} }
func styled(s string, st style) cell { return cell{text: s, style: st} }
func number(s string) cell           { return cell{text: s, right: true} }

// page is what is printed: lines and tables, in colour or not.
type page struct {
	out    bytes.Buffer
	colour bool
}

// line prints cells side by side as they are.
func (p *page) line(cells ...cell) {
	for _, c := range cells {
		p.put(c, 0)
	}
	p.end()
}

// put prints a cell, padded to width.
func (p *page) put(c cell, width int) {
	s := clean(c.text)
	pad := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
	if c.right {
		p.out.WriteString(pad)
		pad = ""
	}
	p.out.WriteString(c.style.If(p.colour, s))
	p.out.WriteString(pad)
}

// end ends a line without space at its end.
func (p *page) end() {
	p.out.Truncate(len(bytes.TrimRight(p.out.Bytes(), " ")))
	p.out.WriteByte('\n')
}

// table is rows of cells whose columns are aligned, and notes between them.
type table struct {
	head []string
	rows [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// note adds a line beneath the row before.
func (t *table) note(label, s string, st style) {
	t.rows = append(t.rows, []cell{{text: "  " + label, style: faint}, {text: s, style: st}, {text: noteMark}})
}

// noteMark marks a row as a note; no other cell holds it.
const noteMark = "\x00"

func isNote(row []cell) bool { return len(row) == 3 && row[2].text == noteMark }

// table prints t, each line after indent.
func (p *page) table(indent string, t table) {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
	}
	label := 0
	for _, row := range t.rows {
		if isNote(row) {
			label = max(label, utf8.RuneCountInString(row[0].text))
			continue
		}
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(clean(c.text)))
		}
	}
	p.out.WriteString(indent)
	for i, h := range t.head {
		right := len(t.rows) > 0 && !isNote(t.rows[0]) && i < len(t.rows[0]) && t.rows[0][i].right
		p.put(cell{text: h, style: bold, right: right}, widths[i])
		p.out.WriteString("  ")
	}
	p.end()
	for _, row := range t.rows {
		p.out.WriteString(indent)
		if isNote(row) {
			if row[0].text == "  " { // without a label: a sentence, which needs the room
				p.out.WriteString("  ")
			} else {
				p.put(row[0], label)
				p.out.WriteString("  ")
			}
			p.put(row[1], 0)
			p.end()
			continue
		}
		for i, c := range row {
			p.put(c, widths[i])
			p.out.WriteString("  ")
		}
		p.end()
	}
}

// clean takes out what could steer a terminal: texts come from scripts and from
// servers on the network.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < 0x20 || (r >= 0x7f && r < 0xa0) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)
}
