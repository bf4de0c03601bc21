package config

import (
	"fmt"
	"slices"
	"strings"
)

// Loss says what became of something that another language says and this one does not.
type Loss int

// What became of it.
const (
	Changed  Loss = iota // it holds in another way
	NoEffect             // nothing is lost: there is nothing here that it would be about
	LeftOut              // it is lost
)

func (l Loss) String() string { return [...]string{"changed", "no_effect", "left_out"}[l] }

// Remark is a warning of a front end about its own language.
type Remark struct {
	Warning
	Loss Loss
}

// LeftOutf records that a word is not carried over, as a warning.
func (r *Report) LeftOutf(at Position, key, format string, args ...any) {
	r.remark(LeftOut, at, key, format, args)
}

// NoEffectf records that there is nothing here for a word to be about, as a warning.
func (r *Report) NoEffectf(at Position, key, format string, args ...any) {
	r.remark(NoEffect, at, key, format, args)
}

func (r *Report) remark(loss Loss, at Position, key, format string, args []any) {
	w := Warning{File: at.File, Line: at.Line, Col: at.Col, Key: word(key), Msg: printable(fmt.Sprintf(format, args...))}
	r.r.warns = append(r.r.warns, w)
	r.remarks = append(r.remarks, Remark{w, loss})
}

// Remarks returns the remarks so far, in the order of the lines and each once.
func (r *Report) Remarks() []Remark {
	all := slices.Clone(r.remarks)
	slices.SortStableFunc(all, func(a, b Remark) int { return byPosition(Error(a.Warning), Error(b.Warning)) })
	return slices.Compact(all)
}

// IsNamed says that a key of the top level has tables with names: [key.NAME].
func IsNamed(key string) bool {
	f := newSchema().byKey[key]
	return f != nil && f.kind == kindNamed
}

// Take moves a key from another table to this one.
func (t *Tree) Take(key string, from *Tree) {
	n := from.node.child(key)
	t.Delete(key)
	t.node.attach(n)
	t.raw[key] = from.raw[key]
	from.Delete(key)
}

// Wrap divides a text into lines for a comment, at blanks where it can.
func Wrap(text string) []string {
	const width = 98
	var lines []string
	line := ""
	for w := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(w) > width {
			lines = append(lines, line)
			line = " "
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}
