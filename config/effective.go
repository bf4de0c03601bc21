package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Source says where the value of a key comes from.
type Source string

// The sources of values.
const (
	FromFile       Source = "file"                 // it is written there
	FromDefault    Source = "default"              // nobody said anything
	FromKeepalived Source = "keepalived's default" // a keepalived.conf says nothing, and keepalived has another default than director
	FromInherited  Source = "inherited"            // another table says it for this one
	FromDerived    Source = "derived"              // it follows from other keys
)

// Setting is a key of the configuration with the value that is in force.
type Setting struct {
	Key   string `json:"key"`   // the dotted path
	Value any    `json:"value"` // as TOML has it; of a secret stars
	From  Source `json:"from"`
	File  string `json:"file"` // and line: where it is written, also what is inherited
	Line  int    `json:"line"`
	Note  string `json:"note"` // of what is derived: from what
}

// Effective returns all that a configuration says, defaults included, and where each
// value comes from: as a document with a comment behind each key, which is read back as
// the same configuration but for its secrets, and as a list. find tells where the
// configuration was written.
func Effective(c *Config, find Finder) (*Tree, []Setting) {
	e := &effective{find: find, tables: make(map[string]slot)}
	t := TreeOf(c)
	e.table(t, newSchema(), nil, "")
	e.prune(t)
	list := e.list[:0]
	for _, s := range e.list {
		if e.tables[s.Key].table != nil {
			list = append(list, s)
		}
	}
	return t, list
}

type effective struct {
	find   Finder
	list   []Setting
	tables map[string]slot // by the dotted paths of the keys
}

// slot is a key in its table.
type slot struct {
	table *Tree
	key   string
}

// dottedKey writes a path as the errors of Build do.
func dottedKey(path []string) string {
	var b strings.Builder
	for i, part := range path {
		switch {
		case strings.HasPrefix(part, "["):
			b.WriteString(part)
			continue
		case i > 0:
			b.WriteByte('.')
		}
		b.WriteString(quoteKey(part))
	}
	return b.String()
}

// prune takes out the defaults of keys that have no meaning beside the others: the
// language refuses them where somebody writes them, such as a time to live of unicast
// adverts where there are no peers.
func (e *effective) prune(t *Tree) {
	sources := make(map[string]Source, len(e.list))
	for _, s := range e.list {
		sources[s.Key] = s.From
	}
	const most = 10 // one may hide another
	for range most {
		_, _, err := NewReport("").Build(t)
		var errs Errors
		if !errors.As(err, &errs) {
			return
		}
		for _, err := range errs {
			key, index := err.Key, ""
			if e.tables[key].table == nil {
				i := max(strings.LastIndexByte(key, '['), 0)
				key, index = key[:i], key[i:]
			}
			at := e.tables[key]
			if at.table == nil || sources[key] == FromFile && index == "" {
				continue
			}
			list, _ := at.table.Get(at.key).([]any)
			if n, err := strconv.Atoi(strings.Trim(index, "[]")); err == nil && n < len(list) && len(list) > 1 {
				at.table.Set(at.key, slices.Delete(slices.Clone(list), n, n+1), Position{}) // the address of a family that it does not have
				continue
			}
			at.table.Delete(at.key)
			delete(e.tables, key)
		}
	}
}

// table notes the keys of a table; short is the one that a plain value would stand for.
func (e *effective) table(t *Tree, schema *table, path []string, short string) {
	for _, key := range t.Keys() {
		f := schema.byKey[key]
		at := append(path[:len(path):len(path)], key)
		switch f.kind {
		case kindTable, kindTablePtr:
			e.table(t.Inner(key), f.table, at, f.Short)
		case kindNamed:
			tables := t.Inner(key)
			for _, name := range tables.Keys() {
				e.table(tables.Inner(name), f.table, append(at[:len(at):len(at)], name), "")
			}
		case kindList:
			for i, inner := range t.Elements(key) {
				e.table(inner, f.table, append(at[:len(at):len(at)], "["+strconv.Itoa(i)+"]"), f.Short)
			}
		default:
			e.key(t, f, at, key == short)
		}
	}
}

// key notes one value, which may stand for its whole table.
func (e *effective) key(t *Tree, f *field, path []string, short bool) {
	key := path[len(path)-1]
	if f.Secret {
		t.Set(key, f.hiddenValue(), Position{})
	}
	s := e.source(f, path, short)
	if s.From == FromDefault && f.def.IsValid() && !f.isDefault(t.Get(key)) {
		s.From, s.Note = FromDerived, "from other keys"
	}
	s.Key, s.Value = dottedKey(path), t.Get(key)
	e.list = append(e.list, s)
	e.tables[s.Key] = slot{t, key}
	t.Item(key).Behind(s.comment())
}

// source finds out where a value comes from.
func (e *effective) source(f *field, path []string, short bool) Setting {
	around, at := e.place(path[:len(path)-1]), e.place(path)
	if short && at.Line == 0 && around.Line > 0 { // "192.0.2.1" in place of { address = "192.0.2.1" }
		return Setting{From: FromFile, File: around.File, Line: around.Line}
	}
	// What keepalived would do has the place of its block, or that of the file; an entry
	// of a list begins with what it must have.
	begins := at.File == around.File && at.Line == around.Line && at.Col <= around.Col && !f.Required
	if len(path) == 2 {
		begins = at == Position{File: at.File, Line: 1, Col: 1}
	}
	switch {
	case at.Line > 0 && begins:
		return Setting{From: FromKeepalived, File: at.File, Line: at.Line}
	case at.Line > 0:
		return Setting{From: FromFile, File: at.File, Line: at.Line}
	}
	if around.Line == 0 {
		if s, ok := e.inherited(path); ok {
			return s
		}
	}
	if f.DefaultFrom != "" {
		from := FromDerived
		if strings.HasPrefix(f.DefaultFrom, "the virtual server's") || strings.HasPrefix(f.DefaultFrom, "global.") ||
			strings.HasPrefix(f.DefaultFrom, "the tracker's") || strings.HasPrefix(f.DefaultFrom, "the check's") {
			from = FromInherited
		}
		return Setting{From: from, Note: f.DefaultFrom}
	}
	return Setting{From: FromDefault}
}

// place finds a key. The only element of a list may be written without its brackets.
func (e *effective) place(path []string) Position {
	at := e.find(path...)
	if at.Line == 0 {
		at = e.find(slices.DeleteFunc(slices.Clone(path), func(part string) bool { return part == "[0]" })...)
	}
	return at
}

// inherited finds what a real server has from its virtual server: whole checks and
// tunnels.
func (e *effective) inherited(path []string) (Setting, bool) {
	if len(path) < 5 || path[0] != "virtual_server" || path[2] != "real_server" {
		return Setting{}, false
	}
	above := append(append([]string{}, path[:2]...), path[4:]...)
	for n := len(above); n > 2; n-- {
		if at := e.place(above[:n]); at.Line > 0 {
			return Setting{From: FromInherited, File: at.File, Line: at.Line, Note: "the virtual server's"}, true
		}
	}
	return Setting{}, false
}

// comment tells the source in a few words.
func (s *Setting) comment() string {
	switch {
	case s.From == FromFile:
		return fmt.Sprintf("%s:%d", s.File, s.Line)
	case s.Line > 0:
		return fmt.Sprintf("%s, %s:%d", s.From, s.File, s.Line)
	case s.Note != "":
		return fmt.Sprintf("%s: %s", s.From, s.Note)
	}
	return string(s.From)
}

// hiddenValue stands for a secret, and is one that the language would take.
func (f *field) hiddenValue() string {
	switch f.key {
	case "key":
		return strings.Repeat("*", 32)
	case "url":
		return "https://hidden.invalid/"
	}
	return strings.Repeat("*", 8)
}
