package keepalived

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// escaped returns a statement whose words are read as keepalived reads those of
// commands and expressions: quotes of either kind hold blanks wherever they stand, and a
// backslash begins an escape.
func (s *statement) escaped() (*statement, bool) {
	if s.raw == "" {
		return s, true
	}
	pieces, ok := splitWords(s.raw)
	if !ok {
		return s, false
	}
	e := *s
	e.words = make([]word, len(pieces))
	apart := len(s.words) < 2 || s.words[1].at != s.words[0].at // else they were put into the line
	for i, p := range pieces {
		e.words[i] = word{text: p.text, at: s.at()}
		if apart {
			e.words[i].at.Col += p.from
		}
	}
	return &e, true
}

// escaped is statement.escaped with its error.
func (sc *scope) escaped(s *statement) (*statement, bool) {
	e, ok := s.escaped()
	if !ok {
		sc.Errorf(s.arg(1).at, s.key(), "a quote is not closed, or a backslash ends it; \\\" and \\' are characters and no quotes")
	}
	return e, ok
}

// command reads the command line that is the first parameter of an escaped statement and
// puts it at a key as an argument vector. The parameter is read once more in the same
// way: a quote that it holds after the first reading is a quote of the command line.
func (sc *scope) command(s *statement, path string) bool {
	if !sc.need(s, 1, -1) {
		return false
	}
	w := s.arg(1)
	pieces, ok := splitWords(w.text)
	if !ok || len(pieces) == 0 {
		sc.Errorf(w.at, s.key(), "%q is not a command: a quote is not closed, a backslash ends it, or there is nothing in it", w.text)
		return false
	}
	argv := make([]string, len(pieces))
	for i, p := range pieces {
		argv[i] = p.text
	}
	if file, isTest := strings.CutPrefix(argv[0], "<"); isTest {
		argv = []string{"test", "-r", file}
		sc.Warnf(w.at, s.key(), "asks whether %s can be read, which director does with the command test -r; a track_file, or a track_target, tells more", file)
	}
	list := make([]any, len(argv))
	for i, a := range argv {
		list[i] = a
		if i > 0 && (a == "|" || a == "||" || a == "&&" || a == ";" || strings.HasPrefix(a, ">")) {
			sc.Warnf(w.at, s.key(), "is run without a shell, in which %q has no special meaning: write a script, or /bin/sh -c '...'", a)
		}
	}
	sc.set(path, list, w.at)
	return true
}

// piece is a part of a text, and where it begins there.
type piece struct {
	text string
	from int
}

// splitWords splits a text into its parts: blanks separate, single and double quotes hold
// blanks, and a backslash begins an escape as in C, between quotes of either kind too.
func splitWords(s string) (pieces []piece, ok bool) {
	var b strings.Builder
	in, from, quote := false, 0, byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if quote == 0 && isSpace(c) {
			if in {
				pieces = append(pieces, piece{b.String(), from})
				b.Reset()
				in = false
			}
			continue
		}
		if !in {
			in, from = true, i
		}
		switch {
		case c == '\\' && i+1 == len(s):
			return nil, false
		case c == '\\':
			i += unescape(&b, s[i+1:])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		default:
			b.WriteByte(c)
		}
	}
	if in {
		pieces = append(pieces, piece{b.String(), from})
	}
	return pieces, quote == 0
}

// unescape writes what an escape means and returns how long it is without its
// backslash.
func unescape(b *strings.Builder, s string) int {
	const names, values = "abEfnrtv", "\a\b\x1b\f\n\r\t\v"
	if i := strings.IndexByte(names, s[0]); i >= 0 {
		b.WriteByte(values[i])
		return 1
	}
	digits := func(s, set string, most int) int {
		n := 0
		for n < len(s) && n < most && strings.IndexByte(set, s[n]) >= 0 {
			n++
		}
		return n
	}
	if n := digits(s, "01234567", 3); n > 0 {
		v, _ := strconv.ParseUint(s[:n], 8, 16)
		b.WriteByte(byte(v))
		return n
	}
	if s[0] == 'x' { // any number of digits, of which the last two count
		if n := digits(s[1:], "0123456789abcdefABCDEF", len(s)); n > 0 {
			v, _ := strconv.ParseUint(s[max(n-1, 1):n+1], 16, 8)
			b.WriteByte(byte(v))
			return n + 1
		}
	}
	if s[0] == 'c' && len(s) > 1 {
		b.WriteByte(s[1] & 0x1f)
		return 2
	}
	b.WriteByte(s[0])
	return 1
}

// probeScript is the command of a check or a vrrp_script, whose user is said elsewhere.
func probeScript(sc *scope, s *statement) {
	if s, ok := sc.escaped(s); ok && sc.command(s, "script") {
		sc.need(s, 1, 1)
	}
}

// script is a command with an optional user and group behind it.
func script(path string) handler {
	return func(sc *scope, s *statement) {
		if prev := sc.seen[s.key()]; prev != nil {
			sc.Warnf(s.at(), s.key(), "is there a second time, and the first one counts, as in keepalived")
			return
		}
		if s, ok := sc.escaped(s); ok && sc.command(s, path) {
			sc.need(s, 1, 3)
			sc.runs = append(sc.runs, run{sc, s, path})
		}
	}
}

// run is a script of a block.
type run struct {
	sc   *scope
	s    *statement // escaped
	path string     // its key
}

// users puts the user of the scripts of a block at a key, or, where they differ, beside
// each script.
func (sc *scope) users(path string) {
	usual := ""
	if g := sc.global["script_user"]; g != nil {
		usual = user(g, 1)
	}
	as := func(r run) string { return cmp.Or(user(r.s, 2), usual) }
	if slices.ContainsFunc(sc.runs, func(r run) bool { return as(r) != as(sc.runs[0]) }) {
		for _, r := range sc.runs {
			if u := user(r.s, 2); u != "" {
				r.sc.set(r.path+"_user", u, r.s.arg(2).at)
			}
		}
	} else if len(sc.runs) > 0 && user(sc.runs[0].s, 2) != "" {
		sc.set(path, user(sc.runs[0].s, 2), sc.runs[0].s.arg(2).at)
	}
}
