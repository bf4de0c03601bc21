// Package doctor tells what would break a configuration on a host: facts in,
// findings out.
//
// The package is pure. Facts is plain data that package examine reads from the
// host; Checks is the table of all that is looked for, one small function each;
// Diagnose runs them. A check says nothing about what the facts do not tell: what
// could not be looked at is listed in Facts.Unseen instead.
package doctor

import (
	"fmt"
	"slices"
	"strings"

	"director/config"
)

// Severity says how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Broken Severity = "broken" // the configuration does not do its work on this host
	Unwise Severity = "unwise" // it works, but not always or not as well as it could
	Note   Severity = "note"   // worth knowing
)

func (s Severity) rank() int { return slices.Index([]Severity{Broken, Unwise, Note}, s) }

// Finding is one thing that was found.
type Finding struct {
	ID       string   `json:"id"` // of the check
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	Line     int      `json:"line"`  // of what it concerns, from 1; 0: the whole file
	Key      string   `json:"key"`   // of what it concerns; empty: the whole file
	Found    string   `json:"found"` // what was seen
	Why      string   `json:"why"`   // why that matters, in one sentence
	Cure     []string `json:"cure"`  // commands, or lines of a file, that put it right
}

// Place gives "file:line key".
func (f Finding) Place() string {
	place := f.File
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, f.Line)
	}
	return strings.TrimSpace(place + " " + f.Key)
}

// Check is one thing that is looked for.
type Check struct {
	ID    string   // stable: programs may rely on it
	Worst Severity // of its findings
	Looks string   // what it looks for
	Why   string   // why that matters, in one sentence
	run   func(*visit)
}

// Input is all that a diagnosis is made from.
type Input struct {
	File   string // the configuration's
	Config *config.Config
	// Find finds a key of the configuration.
	Find  config.Finder
	Facts *Facts
}

// Report is the outcome.
type Report struct {
	File     string    `json:"config"`
	Running  bool      `json:"running"` // a daemon answered
	Broken   int       `json:"broken"`  // findings of each severity
	Unwise   int       `json:"unwise"`
	Notes    int       `json:"notes"`
	Findings []Finding `json:"findings"` // the worst first
	Unseen   []Unseen  `json:"unseen"`   // what could not be looked at
}

// Diagnose makes all checks.
func Diagnose(in Input) Report {
	r := Report{File: in.File, Running: in.Facts.Daemon != nil, Findings: []Finding{}, Unseen: slices.Clone(in.Facts.Unseen)}
	if r.Unseen == nil {
		r.Unseen = []Unseen{}
	}
	x := newIndex(in)
	for _, check := range Checks() {
		v := &visit{Input: in, index: x, check: check, told: make(map[string]bool)}
		check.run(v)
		r.Findings = append(r.Findings, v.findings...)
	}
	r.sum()
	return r
}

// visit is one check being made.
type visit struct {
	Input
	index    *index
	check    Check
	findings []Finding
	told     map[string]bool // what was found and its cure
}

// add records a finding about the object of the configuration at path. Where a
// default is concerned the key is not in the file: the line is then that of the
// table. The same finding is recorded once, however many objects share it.
func (v *visit) add(s Severity, path []string, found string, cure ...string) {
	key := fmt.Sprintf("%s %s %q", s, found, cure)
	if v.told[key] {
		return
	}
	v.told[key] = true
	at := config.Position{}
	for n := len(path); n > 0 && at.Line == 0; n-- {
		at = v.Find(path[:n]...)
	}
	if at.Line == 0 {
		at.File = v.File
	}
	v.findings = append(v.findings, Finding{
		ID: v.check.ID, Severity: s, File: at.File, Line: at.Line, Key: config.DottedKey(path),
		Found: found, Why: v.check.Why, Cure: cure,
	})
}

// sub returns the path of something within another.
func sub(path []string, more ...string) []string { return append(slices.Clone(path), more...) }
