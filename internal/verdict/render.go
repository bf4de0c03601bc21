package verdict

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"director/config"
	"director/internal/colour"
)

const (
	tabWidth  = 8
	lineWidth = 100 // of what is shown of a line
	moreLines = 8   // of findings that repeat one, by their numbers
)

// Render writes a list as text, with the terminal's colours when colours is set. A
// finding begins with file:line:column, as editors like it, and is followed by its
// line. A message that repeats is written once, with the lines of the others.
func Render(out io.Writer, list []Finding, sources Sources, colours bool) error {
	r := renderer{pages: newPages(sources), colours: colours}
	type message struct {
		file, text string
		severity   Severity
	}
	first := make(map[message]int)
	again := make(map[int][]Finding)
	for i, f := range list {
		m := message{f.File, f.Message, f.Severity}
		if n, told := first[m]; told && f.Line > 0 {
			again[n] = append(again[n], f)
			continue
		}
		first[m] = i
	}
	for i, f := range list {
		if n := first[message{f.File, f.Message, f.Severity}]; n == i || f.Line == 0 {
			r.finding(f, again[i])
		}
	}
	_, err := io.WriteString(out, r.b.String())
	return err
}

type renderer struct {
	*pages
	colours bool
	b       strings.Builder
}

func (r *renderer) paint(st colour.Style, text string) string { return st.If(r.colours, text) }

func styleOf(s Severity) colour.Style {
	if s == Error {
		return colour.Bad.Strong()
	}
	return colour.Warn.Strong()
}

func (r *renderer) finding(f Finding, again []Finding) {
	place := f.File
	if f.Line > 0 {
		place += ":" + strconv.Itoa(f.Line) + ":" + strconv.Itoa(max(f.Column, 1))
	}
	key := ""
	if f.Key != "" {
		key = f.Key + ": "
	}
	fmt.Fprintf(&r.b, "%s %s %s%s\n", r.paint(colour.Bold, config.Printable(place)+":"), r.paint(styleOf(f.Severity), string(f.Severity)+":"), config.Printable(key), config.Printable(f.Message))
	gutter := ""
	if e := r.excerpt(f); e.text != "" {
		gutter = strings.Repeat(" ", len(strconv.Itoa(f.Line)))
		line, mark := e.mark()
		fmt.Fprintf(&r.b, "  %s %s\n  %s %s\n", r.paint(colour.Faint, strconv.Itoa(f.Line)+" |"), line, r.paint(colour.Faint, gutter+" |"), r.paint(styleOf(f.Severity), mark))
	}
	times := f.Count
	for _, f := range again {
		times += f.Count
	}
	if times == 1 {
		return
	}
	text := fmt.Sprintf("%d times", times)
	if len(again) > 0 {
		var numbers []string
		for _, f := range again[:min(len(again), moreLines)] {
			numbers = append(numbers, strconv.Itoa(f.Line))
		}
		text += ", also in line " + strings.Join(numbers, ", ")
		if len(again) > moreLines {
			text += ", ..."
		}
	}
	fmt.Fprintf(&r.b, "  %s %s\n", r.paint(colour.Faint, gutter+" ="), text)
}

// mark returns the line as a terminal shows it, and a line with a mark below what is
// meant. Of a long line it is the part around that.
func (e excerpt) mark() (line, mark string) {
	var shown []rune
	from, to := -1, -1
	for i, c := range e.text {
		if i >= e.from && from < 0 {
			from = len(shown)
		}
		if i >= e.to && to < 0 {
			to = len(shown)
		}
		switch {
		case c == '\t':
			for pad := tabWidth - len(shown)%tabWidth; pad > 0; pad-- {
				shown = append(shown, ' ')
			}
		case unicode.IsPrint(c) && c != utf8.RuneError:
			shown = append(shown, c)
		default:
			shown = append(shown, '?')
		}
	}
	if from < 0 {
		from = len(shown)
	}
	if to < 0 {
		to = len(shown)
	}
	if e.cut {
		shown = append(shown, []rune("(not shown)")...)
	}
	if len(shown) > lineWidth {
		start := max(0, min(from-lineWidth/3, len(shown)-lineWidth))
		end := min(start+lineWidth, len(shown))
		part := append([]rune(nil), shown[start:end]...)
		if start > 0 {
			copy(part, []rune("..."))
		}
		if end < len(shown) {
			copy(part[len(part)-3:], []rune("..."))
		}
		shown, from, to = part, from-start, min(to-start, len(part))
	}
	mark = strings.Repeat(" ", from) + "^" + strings.Repeat("~", max(0, to-from-1))
	return strings.TrimRight(string(shown), " "), mark
}
