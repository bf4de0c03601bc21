// Package keepalived reads configurations in the language of keepalived.conf(5)
// and makes the same config.Config of them as a file in TOML gives.
//
// A text goes through four steps, each in files of its own. The lines are expanded
// (lines.go, expand.go, include.go): comments, conditions, parameters, sequences,
// lists and included files are gone after that. They are put together to a tree of
// statements, each with its place (tree.go). Every statement is looked up in one
// table of all the keywords that keepalived has (keywords*.go), which says what
// becomes of it: a key of the configuration, or a message that tells what to do
// instead. What the keywords make is a document of director's own language
// (translate*.go), with keepalived's defaults in place of director's; the ranges,
// defaults and checks of that language then hold for it as for any other, and
// every message names the place in keepalived's file.
//
// The package is pure: it reads no file. The files that a text includes, the
// environment and random numbers come from its caller.
package keepalived

import (
	"strings"

	"director/config"
)

// Options is what a text may ask for beyond itself. Each function may be nil.
type Options struct {
	// ID is what conditions (@id) are compared with; keepalived takes the first
	// label of the host name.
	ID string
	// Dir is the directory that names of files are relative to, absolute itself.
	Dir string
	// Glob lists the files that a pattern of an include matches, in their order.
	// The pattern is absolute, or relative to Dir where the main file's name is.
	Glob func(pattern string) ([]string, error)
	// Read returns the text of an included file.
	Read func(name string) ([]byte, error)
	// Env returns the value of an environment variable.
	Env func(name string) (string, bool)
	// Random returns a number from min to max for ${_RANDOM}.
	Random func(min, max int) int

	maxLines, maxFiles int // tests set limits that are reached sooner
}

// Parse makes a Config of the text of a file. The error is of type config.Errors
// and holds everything that is wrong.
func Parse(name string, text []byte, o Options) (*config.Config, []config.Warning, error) {
	r := config.NewReport(name)
	doc := document(r, name, text, o)
	return r.Build(doc)
}

// Positions returns the Finder of the text of a file: the paths are those of
// director's own language.
func Positions(name string, text []byte, o Options) config.Finder {
	var find config.Finder
	return func(path ...string) config.Position {
		if find == nil { // most texts have no key that anybody asks for
			find = document(config.NewReport(name), name, text, o).Finder(name)
		}
		return find(path...)
	}
}

// document translates a text.
func document(r *config.Report, name string, text []byte, o Options) *config.Tree {
	return translate(r, name, tree(r, expand(r, name, text, o, nil)), nil)
}

// isSpace says that a character separates words.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f' }

const spaces = " \t\r\v\f"

// cutWord splits a text after its first word.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, spaces)
	i := strings.IndexAny(s, spaces)
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], spaces)
}
