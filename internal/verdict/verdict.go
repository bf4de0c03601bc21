// Package verdict presents what is wrong with a configuration: as a list for
// programs, and as text that shows each line with a mark below the value.
//
// The package is pure. What is wrong comes from package config and from whoever
// looks at the host; the texts of the files come with it, and no line is shown of
// them that holds a secret.
package verdict

import (
	"cmp"
	"slices"
	"strings"

	"director/config"
)

// Severity says what a finding means for the configuration.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"   // the configuration cannot be used
	Warning Severity = "warning" // it works, but is probably not what was meant
)

// Finding is one thing that is wrong with a configuration.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`   // from 1; 0: the file as a whole
	Column   int      `json:"column"` // from 1, in bytes; 0: the file as a whole
	Severity Severity `json:"severity"`
	// Key is the dotted path of the key, or keepalived's keyword; empty: an error of
	// syntax, or something that is no key's matter.
	Key string `json:"key"`
	// Value is what the file has there, as it writes it; empty: there is no value,
	// or it is a secret.
	Value   string `json:"value"`
	Message string `json:"message"`
	// Allowed and Suggestion are the parts of the message that tell what is right:
	// in words, and as a text to be put in place of the wrong one. Either may be empty.
	Allowed    string `json:"allowed"`
	Suggestion string `json:"suggestion"`
	// Count is how often exactly this was found at this place: a file may be included
	// and a line be expanded more than once.
	Count int `json:"count"`
}

// Sources returns the text of a file by its name, empty when it is not known.
type Sources func(file string) string

// Of makes a sorted list of errors and warnings. What is the same at the same place
// is one finding, with a count.
func Of(errs config.Errors, warnings []config.Warning, sources Sources) []Finding {
	shown := newPages(sources)
	list := make([]Finding, 0, len(errs)+len(warnings))
	add := func(s Severity, e config.Error) {
		f := Finding{
			File: e.File, Line: e.Line, Column: e.Col, Severity: s, Key: e.Key, Message: e.Msg,
			Allowed: e.Allowed(), Suggestion: e.Suggestion(), Count: 1,
		}
		f.Value = shown.excerpt(f).value()
		list = append(list, f)
	}
	for _, e := range errs {
		add(Error, e)
	}
	for _, w := range warnings {
		add(Warning, config.Error(w))
	}
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Key, b.Key))
	})
	one := list[:0]
	for _, f := range list {
		if n := len(one); n > 0 && same(one[n-1], f) {
			one[n-1].Count++
			continue
		}
		one = append(one, f)
	}
	return one
}

// same says that two findings are one: a line that is expanded more than once gives
// the same message under several keys.
func same(a, b Finding) bool {
	return a.File == b.File && a.Line == b.Line && a.Column == b.Column && a.Severity == b.Severity && a.Message == b.Message &&
		lastPart(a.Key) == lastPart(b.Key)
}

// lastPart returns the key's own name, without the tables that it is in.
func lastPart(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// Count returns how many errors and warnings a list has.
func Count(list []Finding) (errs, warnings int) {
	for _, f := range list {
		if f.Severity == Error {
			errs += f.Count
		} else {
			warnings += f.Count
		}
	}
	return errs, warnings
}
