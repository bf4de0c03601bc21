package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
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
	w := Warning{File: at.File, Line: at.Line, Col: at.Col, Key: word(key), Msg: Printable(fmt.Sprintf(format, args...))}
	r.r.warns = append(r.r.warns, w)
	r.remarks = append(r.remarks, Remark{w, loss})
}

// Remarks returns the remarks so far, in the order of the lines and each once.
func (r *Report) Remarks() []Remark {
	all := slices.Clone(r.remarks)
	slices.SortStableFunc(all, func(a, b Remark) int { return byPosition(Error(a.Warning), Error(b.Warning)) })
	return slices.Compact(all)
}

// Writable reports the values of a document that no file in TOML can hold.
func (r *Report) Writable(t *Tree) {
	for _, key := range t.Keys() {
		_, at := t.Item(key).Places()
		value := func(v any) {
			if s, is := v.(string); is && !utf8.ValidString(s) {
				r.Errorf(at, "", "%q is not UTF-8, which director's own language needs", s)
			}
		}
		value(t.Get(key))
		if list, is := t.Get(key).([]any); is {
			for _, v := range list {
				value(v)
			}
		}
		for _, e := range t.Elements(key) {
			r.Writable(e)
		}
		if inner := t.Inner(key); inner != nil {
			r.Writable(inner)
		}
	}
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

// Hoist moves what most of the tables of a list have at a key to this table, when each
// has something there: they then have it by default. It says whether there was any.
func (t *Tree) Hoist(key, list string) bool {
	tables := t.Elements(list)
	var first []int // of each value, by the number of the table that has it first
	counts := make(map[int]int)
	for i, e := range tables {
		if !e.Has(key) {
			return false
		}
		same := slices.IndexFunc(first, func(j int) bool { return reflect.DeepEqual(tables[j].Get(key), e.Get(key)) })
		if same < 0 {
			same, first = len(first), append(first, i)
		}
		counts[first[same]]++
	}
	most := -1
	for _, i := range first {
		if most < 0 || counts[i] > counts[most] {
			most = i
		}
	}
	if most < 0 || counts[most] == 1 && len(tables) > 1 {
		return false
	}
	common := tables[most].Get(key)
	t.Take(key, tables[most])
	for _, e := range tables {
		if reflect.DeepEqual(e.Get(key), common) {
			e.Delete(key)
		}
	}
	return true
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
