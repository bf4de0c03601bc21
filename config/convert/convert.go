// Package convert writes the configurations of other programs in director's own
// language: those of keepalived and ldirectord, and the tables that ipvsadm saves.
//
// What is written is read back and compared before it is returned, so that it holds what
// the other program's text says, no more and no less; what could not be carried over is a
// comment in its place and a remark.
//
// The package is pure: names are looked up, and files read, by its caller.
package convert

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"director/config"
	"director/config/keepalived"
	"director/ipvs"
)

// Format is the language of a text.
type Format string

// The languages.
const (
	Keepalived Format = "keepalived"
	Ldirectord Format = "ldirectord"
	Ipvsadm    Format = "ipvsadm"
)

// Formats lists the languages that are read.
func Formats() []Format { return []Format{Keepalived, Ldirectord, Ipvsadm} }

// Options is what a text may ask for beyond itself.
type Options struct {
	Keepalived keepalived.Options
	Names      ipvs.Names // of hosts and ports, in the other two languages
}

// Result is a text in director's own language.
type Result struct {
	Format  Format
	Text    []byte
	Remarks []config.Remark // in the order of the lines
}

// LeftOut says that something of the text is lost.
func (r *Result) LeftOut() bool {
	for _, m := range r.Remarks {
		if m.Loss == config.LeftOut {
			return true
		}
	}
	return false
}

// Errors of Recognise.
var (
	ErrOwn     = errors.New("is in director's own language (TOML): there is nothing to convert")
	ErrUnknown = errors.New("is in no known language, allowed is keepalived's, ldirectord's and what `ipvsadm -S` writes")
)

var (
	command    = regexp.MustCompile(`^(?:\S*/)?(?:ipvsadm\s+)?(?:-[AEDCaed]|--(?:add|edit|delete|clear)\S*)(?:\s|$)`)
	virtual    = regexp.MustCompile(`^virtual6?\s*=\s*[^\s"'{\[]|^virtual6\s*=`)
	tomlHeader = regexp.MustCompile(`^\[\[?\s*["\w][^\]]*\]`)
	directive  = regexp.MustCompile(`^(?:include[rmwba]?\s|\$\w+=|@\^?\w+\s|~(?:SEQ|LST))`)
)

// Recognise finds out the language of a text by what is in it.
func Recognise(text []byte) (Format, error) {
	keepalivedLine, _ := config.KeepalivedLine(string(text))
	n := 0
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimSpace(string(line))
		switch {
		case s == "" || s[0] == '#' || s[0] == '!':
		case n == keepalivedLine || directive.MatchString(s):
			return Keepalived, nil
		case command.MatchString(s):
			return Ipvsadm, nil
		case virtual.MatchString(s):
			return Ldirectord, nil
		case tomlHeader.MatchString(s):
			return "", ErrOwn
		}
	}
	return "", ErrUnknown
}

// Convert writes a text in director's own language. name is its file's. The error is of
// type config.Errors and holds everything that is wrong.
func Convert(name string, text []byte, from Format, o Options) (*Result, error) {
	var root *config.Tree
	var cfg *config.Config
	var remarks []config.Remark
	var err error
	switch from {
	case Keepalived:
		root, cfg, remarks, err = keepalived.Convert(name, text, o.Keepalived)
	case Ldirectord:
		root, cfg, remarks, err = ldirectord(name, string(text), o.Names)
	case Ipvsadm:
		root, cfg, remarks, err = ipvsadm(name, string(text), o.Names)
	default:
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	out := root.Write()
	back, err := config.Parse("the written text", out)
	if err != nil {
		return nil, fmt.Errorf("what was written is not right, please report this with the file: %w", err)
	}
	if !reflect.DeepEqual(back, cfg) {
		return nil, errors.New("what was written does not say the same, please report this with the file")
	}
	return &Result{Format: from, Text: out, Remarks: remarks}, nil
}
