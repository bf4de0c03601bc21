package keepalived

import (
	"strings"

	"director/config"
)

// The bounds of what a text may become. They are far beyond what people write, and
// keep a mistake, such as a parameter that holds itself twice, from filling the
// memory.
const (
	maxLines    = 3_000_000 // after the expansion
	maxLine     = 16 << 10  // bytes of one line after the expansion
	maxNesting  = 40        // parameters in parameters
	maxIncludes = 64        // files that include each other
	maxFiles    = 10_000    // that are included, each as often as it is
	maxBytes    = 512 << 20 // of all lines
)

// line is a line without its comment and without blanks at its ends.
type line struct {
	text string
	at   config.Position
	// expanded says that something was put into the text: all of its words then
	// have the place of its beginning.
	expanded bool
}

// reader expands the lines of a text.
type reader struct {
	*config.Report
	Options
	params   map[string][]line
	dir      string // of the file that is read
	includes int    // deep
	files    int
	checks   includeCheck
	margin   *margin // nil unless the text is converted
	out      []line
	bytes    int
	work     int  // what the expansion has cost, also where it makes nothing
	stopped  bool // a bound was reached
}

// expand returns the lines of a text with everything in them put in its place.
func expand(report *config.Report, name string, text []byte, o Options, m *margin) []line {
	r := &reader{Report: report, Options: o, params: make(map[string][]line), dir: dirOf(name), margin: m}
	if r.maxLines == 0 {
		r.maxLines, r.maxFiles = maxLines, maxFiles
	}
	r.run(split(name, string(text), m), true, 0)
	return r.out
}

// split divides a text into lines and takes the comments away, which m keeps unless it
// is nil.
func split(name, text string, m *margin) []line {
	text = strings.TrimPrefix(text, "\ufeff")
	lines := make([]line, 0, strings.Count(text, "\n")+1)
	for n := 1; text != ""; n++ {
		var s string
		s, text, _ = strings.Cut(text, "\n")
		s, comment := uncomment(s)
		s = strings.TrimRight(s, spaces)
		from := len(s) - len(strings.TrimLeft(s, spaces))
		s = s[from:]
		m.comment(config.Position{File: name, Line: n, Col: 1}, comment, s != "")
		if s != "" {
			lines = append(lines, line{text: s, at: config.Position{File: name, Line: n, Col: from + 1}})
		}
	}
	return lines
}

// uncomment cuts off a comment, which begins with ! or # outside double quotes; a
// backslash keeps the character behind it.
func uncomment(s string) (text, comment string) {
	if !strings.ContainsAny(s, "!#") {
		return s, ""
	}
	quoted := false
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			if quoted || s[i+1] != '#' && s[i+1] != '!' {
				b.WriteByte(c)
			}
			i++
		case c == '"':
			quoted = !quoted
		case (c == '#' || c == '!') && !quoted:
			return b.String(), s[i:]
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// stop ends the expansion with an error.
func (r *reader) stop(at config.Position, format string, args ...any) {
	if !r.stopped {
		r.stopped = true
		r.Errorf(at, "", format, args...)
	}
}

// run expands lines one after the other. includes says that they may include files.
func (r *reader) run(lines []line, includes bool, nesting int) {
	for i := 0; i < len(lines) && !r.stopped; i++ {
		i += r.line(lines[i], lines[i+1:], includes, nesting)
	}
}

// line expands one line and returns how many of the next ones belong to it.
func (r *reader) line(l line, next []line, includes bool, nesting int) (taken int) {
	if r.work += 1 + len(l.text)/64; r.work > 8*r.maxLines {
		r.stop(l.at, "the expansion of parameters and sequences takes too long")
		return 0
	}
	if includes && r.include(l) {
		return 0
	}
	conditions := ""
	for strings.HasPrefix(l.text, "@") {
		word, rest := cutWord(l.text[1:])
		id, not := strings.CutPrefix(word, "^")
		if (id == r.ID) == not {
			r.margin.note(l.at, "@%s: not for %s: %s", word, r.ID, rest)
			if name, value, ok := definition(rest); ok && name != "" {
				_, taken = capture(line{text: value, at: l.at}, next)
			}
			return taken
		}
		conditions += "@" + word + " "
		l.shift(rest)
	}
	if l.text == "" {
		return 0
	}
	if l.text[0] == '$' {
		if name, value, ok := definition(l.text); ok {
			d := l
			d.shift(value)
			r.params[name], taken = capture(d, next)
			r.margin.define(l.at, conditions+"$"+name, r.params[name])
			return taken
		}
	}
	if conditions != "" {
		r.margin.use(l.at, strings.TrimSpace(conditions))
	}
	if strings.HasPrefix(l.text, "~SEQ") || strings.HasPrefix(l.text, "~LST(") {
		if r.repeat(l, nesting) {
			return 0
		}
	}
	if strings.IndexByte(l.text, '$') >= 0 && r.substitute(l, nesting) {
		return 0
	}
	r.emit(l)
	return 0
}

// shift makes a line of its own end.
func (l *line) shift(rest string) {
	if !l.expanded {
		l.at.Col += len(l.text) - len(rest)
	}
	l.text = rest
}

func (r *reader) emit(l line) {
	if strings.HasPrefix(l.text, "include_check") && r.includeCheck(l) {
		return
	}
	r.out = append(r.out, l)
	r.bytes += len(l.text)
	if len(r.out) > r.maxLines || r.bytes > maxBytes {
		r.stop(l.at, "the text becomes too long: after the expansion of parameters and sequences it has more than %d lines or %d MiB", r.maxLines, maxBytes>>20)
	}
}

// definition reads $NAME=value.
func definition(s string) (name, value string, ok bool) {
	if s == "" || s[0] != '$' {
		return "", "", false
	}
	n := nameLength(s[1:])
	if n == 0 || len(s) <= n+1 || s[n+1] != '=' {
		return "", "", false
	}
	return s[1 : n+1], strings.TrimLeft(s[n+2:], spaces), true
}

// nameLength returns how long the name of a parameter is that a text begins with.
func nameLength(s string) int {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return n
}

// capture gathers the lines of a value: as long as one ends in a backslash, the
// next one belongs to it.
func capture(first line, next []line) (value []line, taken int) {
	for l := first; ; l = next[taken-1] {
		text, more := strings.CutSuffix(l.text, `\`)
		l.text = strings.TrimRight(text, spaces)
		if l.text != "" || !more {
			value = append(value, l)
		}
		if !more || taken == len(next) {
			return value, taken
		}
		taken++
	}
}

// dirOf returns the directory of a file, with a slash at its end.
func dirOf(name string) string { return name[:strings.LastIndexByte(name, '/')+1] }
