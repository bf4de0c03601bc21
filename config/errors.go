package config

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Error is one thing that is wrong with a configuration. Line and Col count
// from 1, Col in bytes; both are 0 where the place is not known. Key is the
// dotted path of the key, with array indexes from 0, and empty for an error of
// syntax.
type Error struct {
	File string
	Line int
	Col  int
	Key  string
	Msg  string // the value, what is wrong with it, and what is allowed
}

// Error gives "file:line: key: message" in one line.
func (e Error) Error() string { return e.text("") }

func (e Error) text(severity string) string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.Line))
	}
	b.WriteString(": ")
	b.WriteString(severity)
	if e.Key != "" {
		b.WriteString(e.Key)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	return b.String()
}

// suggestion matches the ways in which a message says what to write instead.
var suggestion = regexp.MustCompile(`did you mean (\[?"[^"]+"\]?|[\w.-]+)\?|it is called ("[^"]+"|[\w.-]+) here|write ("[^"]+") if seconds are meant`)

// Allowed returns the part of the message that says what would be right, "" when it
// says that in another way.
func (e Error) Allowed() string {
	for _, word := range [...]string{", allowed ", ", required "} {
		if i := strings.LastIndex(e.Msg, word); i >= 0 {
			text := e.Msg[i+len(word):]
			return strings.TrimPrefix(strings.TrimPrefix(text, "is "), "are ")
		}
	}
	return ""
}

// Suggestion returns what the message proposes to write in place of the wrong key or
// value, "" when it proposes nothing.
func (e Error) Suggestion() string {
	m := suggestion.FindStringSubmatch(e.Msg)
	if m == nil {
		return ""
	}
	return strings.Trim(cmp.Or(m[1], m[2], m[3]), `"`)
}

// Errors is everything that is wrong with one configuration, in the order of
// the lines. It is never empty where it is returned as an error.
type Errors []Error

// Error gives one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Warning is something in a configuration that works but is probably not what
// was meant. Its fields are those of Error.
type Warning Error

// String gives "file:line: warning: key: message" in one line.
func (w Warning) String() string { return Error(w).text("warning: ") }

// report gathers what is wrong with one text.
type report struct {
	file   string
	errs   Errors
	warns  []Warning
	failed map[string]bool // paths with an error of their own
}

// errorf records an error at a place. The place counts as failed from then on,
// so that later checks do not complain about the same value again.
func (r *report) errorf(at place, format string, args ...any) {
	if r.failed == nil {
		r.failed = make(map[string]bool)
	}
	path := at.path()
	r.failed[path] = true
	r.errs = append(r.errs, Error{File: r.fileOf(at), Line: at.pos.line, Col: at.pos.col, Key: path,
		Msg: fmt.Sprintf(format, args...)})
}

func (r *report) warnf(at place, format string, args ...any) {
	r.warns = append(r.warns, Warning{File: r.fileOf(at), Line: at.pos.line, Col: at.pos.col, Key: at.path(),
		Msg: fmt.Sprintf(format, args...)})
}

// fileOf names the file of a place.
func (r *report) fileOf(at place) string {
	if at.pos.file != "" {
		return at.pos.file
	}
	return r.file
}

// ok says that no error was recorded for exactly this place.
func (r *report) ok(at place) bool {
	return len(r.failed) == 0 || !r.failed[at.path()]
}

// sort puts errors and warnings in the order of their lines; those without a
// line keep their order, before the others.
func (r *report) sort() {
	slices.SortStableFunc(r.errs, byPosition)
	slices.SortStableFunc(r.warns, func(a, b Warning) int { return byPosition(Error(a), Error(b)) })
}

func byPosition(a, b Error) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
}
