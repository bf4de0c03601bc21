package config

import (
	"fmt"
	"slices"
	"strings"
)

// Tree is a table of a document that another front end than TOML makes: keys of
// the same language, each value with the place in the other file that it comes
// from. The root is what NewTree returns.
type Tree struct {
	node *node
	raw  map[string]any
}

// NewTree returns an empty document.
func NewTree() *Tree {
	return &Tree{&node{key: textStart(), val: textStart()}, make(map[string]any)}
}

// Table returns the table at a key, which is made when it is missing. It panics
// when the key has a plain value.
func (t *Tree) Table(key string, at Position) *Tree {
	if raw, ok := t.raw[key]; ok {
		return &Tree{t.node.child(key), raw.(map[string]any)}
	}
	n := t.node.add(key, at.pos())
	raw := make(map[string]any)
	t.raw[key] = raw
	return &Tree{n, raw}
}

// Append adds a table to the list of tables at a key and returns it.
func (t *Tree) Append(key string, at Position) *Tree {
	e := make(map[string]any)
	return &Tree{t.element(key, e, at), e}
}

// Add adds a plain value to the list at a key.
func (t *Tree) Add(key string, value any, at Position) { t.element(key, value, at) }

// element adds an element to the list at a key and returns its node.
func (t *Tree) element(key string, value any, at Position) *node {
	n := t.node.child(key)
	if n == nil {
		n = t.node.add(key, at.pos())
	}
	list, _ := t.raw[key].([]any)
	t.raw[key] = append(list, value)
	e := &node{key: at.pos(), val: at.pos()}
	n.elems = append(n.elems, e)
	return e
}

// Set gives a key a plain value: a string, an int64, a bool, or a list []any of
// these. One that it had before is replaced.
func (t *Tree) Set(key string, value any, at Position) {
	n := t.node.child(key)
	if n == nil {
		n = t.node.add(key, at.pos())
	}
	n.key, n.val, n.elems = at.pos(), at.pos(), nil
	t.raw[key] = value
}

// Get returns the value of a key, nil when it has none.
func (t *Tree) Get(key string) any { return t.raw[key] }

// Has says that there is a key.
func (t *Tree) Has(key string) bool { return t.raw[key] != nil }

// Delete removes a key.
func (t *Tree) Delete(key string) {
	delete(t.raw, key)
	t.node.remove(key)
}

// Keys returns the keys in the order in which they were made.
func (t *Tree) Keys() []string {
	return place{node: t.node, raw: t.raw}.keys()
}

// Finder returns the Finder of the document, the root of which t is.
func (t *Tree) Finder(name string) Finder { return t.node.finder(name) }

func (n *node) remove(key string) {
	n.kids = slices.DeleteFunc(n.kids, func(k *node) bool { return k.name == key })
	delete(n.index, key)
}

func (p Position) pos() pos { return pos{line: p.Line, col: p.Col, file: p.File} }

// Report gathers errors and warnings of a front end beside those of the document
// that it makes.
type Report struct {
	r       report
	remarks []Remark
}

// NewReport returns an empty Report; name is the name of the main file.
func NewReport(name string) *Report { return &Report{r: report{file: name}} }

// Errorf records an error; key is empty, or the word that it is about.
func (r *Report) Errorf(at Position, key, format string, args ...any) {
	r.r.errs = append(r.r.errs, Error{File: at.File, Line: at.Line, Col: at.Col, Key: word(key), Msg: Printable(fmt.Sprintf(format, args...))})
}

// Warnf records a warning about what holds in another way.
func (r *Report) Warnf(at Position, key, format string, args ...any) {
	r.remark(Changed, at, key, format, args)
}

// Failed says that there is an error.
func (r *Report) Failed() bool { return len(r.r.errs) > 0 }

// Build makes the Config of a document. The error is of type Errors and holds all
// that is wrong, what r held before included; r's warnings are returned as well.
func (r *Report) Build(root *Tree) (*Config, []Warning, error) {
	cfg := build(&r.r, newSchema(), place{node: root.node, raw: root.raw})
	r.r.sort()
	if len(r.r.errs) > 0 {
		return nil, r.r.warns, r.r.errs
	}
	return cfg, r.r.warns, nil
}

// Nearest returns the candidate that was probably meant by word, "" when none is
// near enough.
func Nearest(word string, candidates []string) string { return nearest(word, candidates) }

// word makes a word of another language fit for a message.
func word(key string) string {
	const longest = 80
	if len(key) > longest {
		key = strings.ToValidUTF8(key[:longest], "") + "..."
	}
	return Printable(key)
}
