package config

import (
	"slices"
	"strings"
)

const (
	lineWidth  = 100 // of a list that stands on one line
	entryWidth = 98  // of an entry of a list that is a table; a longer one gets a header
	loneWidth  = 64  // of a list of one table, for which a header is usual
)

// Write writes a document as a person would: keys before tables, lists of short
// entries in brackets and others under headers, in the order of the document. What it
// writes is read back as the same document. Comments are those of its items.
func (t *Tree) Write() []byte {
	w := &writer{}
	c := Item{t.node}.comments()
	w.lines("", c.above)
	if len(c.above) > 0 {
		w.gap()
	}
	w.table("", place{node: t.node, raw: t.raw}, newSchema())
	if len(c.foot) > 0 {
		w.gap()
		w.lines("", c.foot)
	}
	return []byte(strings.TrimLeft(w.b.String(), "\n"))
}

// writer writes a document.
type writer struct {
	b strings.Builder
}

// gap begins a new paragraph.
func (w *writer) gap() {
	if s := w.b.String(); s != "" && !strings.HasSuffix(s, "\n\n") {
		w.b.WriteByte('\n')
	}
}

// lines writes a comment.
func (w *writer) lines(indent string, comment []string) {
	for _, l := range comment {
		switch {
		case l == "":
			w.b.WriteByte('\n')
			continue
		case l[0] != '#': // which a ruler has already
			l = "# " + l
		}
		w.b.WriteString(indent + commentText(l) + "\n")
	}
}

// keyed is a value with its key.
type keyed struct {
	key string
	place
}

// table writes the keys of a table and then the tables in it. path is that of its
// header, with a dot at its end.
func (w *writer) table(path string, at place, t *table) {
	var inner []keyed
	for _, key := range at.keys() {
		e, f := keyed{key, at.child(key)}, t.field(key)
		_, isTable := e.raw.(map[string]any)
		if path == "" && (isTable || isTables(e.raw)) {
			inner = append(inner, e)
		} else if only, ok := e.dotted(f); ok {
			w.key(quoteName(key)+"."+quoteName(only.key), only.place, inside(f).field(only.key))
		} else if w.needsHeader(e.place, f) {
			inner = append(inner, e)
		} else {
			w.key(quoteName(key), e.place, f)
		}
	}
	if c := at.words(); c != nil && path != "" {
		w.lines("", c.foot)
	}
	for _, e := range inner {
		w.headed(path+quoteName(e.key), e.place, t.field(e.key))
	}
}

// field returns the field of a key, nil of one that the language does not have.
func (t *table) field(key string) *field {
	if t == nil {
		return nil
	}
	return t.byKey[key]
}

func inside(f *field) *table {
	if f == nil {
		return nil
	}
	return f.table
}

// dotted finds the only key of a table that is written as table.key.
func (e keyed) dotted(f *field) (only keyed, ok bool) {
	raw, is := e.raw.(map[string]any)
	if !is || len(raw) != 1 || f != nil && f.kind != kindTable || e.words() != nil {
		return keyed{}, false
	}
	for key := range raw {
		only = keyed{key, e.child(key)}
	}
	_, isTable := only.raw.(map[string]any)
	return only, !isTable && !isTables(only.raw)
}

// words returns the comments of a place, nil when there are none.
func (p place) words() *comments {
	if p.node == nil {
		return nil
	}
	return p.node.words
}

// isTables says that a value is a list with a table in it.
func isTables(raw any) bool {
	switch list := raw.(type) {
	case []map[string]any:
		return len(list) > 0
	case []any:
		return slices.ContainsFunc(list, func(e any) bool { _, is := e.(map[string]any); return is })
	}
	return false
}

// needsHeader says that a value is written below a header of its own.
func (w *writer) needsHeader(e place, f *field) bool {
	if raw, is := e.raw.(map[string]any); is {
		small := len(raw) == 0 || f != nil && f.Short != ""
		text, ok := w.inline(e, f)
		return !small || !ok || len(text) > entryWidth || f != nil && f.kind == kindNamed
	}
	if !isTables(e.raw) {
		return false
	}
	list := e.list()
	short := f != nil && f.Short != ""
	for _, e := range list {
		text, ok := w.inline(e, f)
		if !ok || len(text) > entryWidth || len(list) == 1 && !short && len(text) > loneWidth {
			return true
		}
	}
	return false
}

// headed writes what has headers of its own. name is the header's path.
func (w *writer) headed(name string, e place, f *field) {
	raw, is := e.raw.(map[string]any)
	switch {
	case !is:
		w.title(e)
		for i, one := range e.list() {
			w.header("[["+name+"]]", one, i == 0 && e.words() != nil)
			if _, plain := one.raw.(string); plain && f != nil && f.Short != "" {
				w.key(quoteName(f.Short), place{raw: one.raw}, f.table.field(f.Short))
				continue
			}
			w.table(name+".", one, inside(f))
		}
		if c := e.words(); c != nil {
			w.lines("", c.foot)
		}
	case f != nil && f.kind == kindNamed && allTables(raw):
		w.title(e)
		for i, key := range e.keys() {
			one, f := e.child(key), &field{table: f.table}
			if w.standsAlone(one, f) {
				w.header("["+name+"."+quoteName(key)+"]", one, i == 0 && e.words() != nil)
			}
			w.table(name+"."+quoteName(key)+".", one, f.table)
		}
	default:
		if w.standsAlone(e, f) {
			w.header("["+name+"]", e, false)
		}
		w.table(name+".", e, inside(f))
	}
}

func allTables(raw map[string]any) bool {
	for _, v := range raw {
		if _, is := v.(map[string]any); !is {
			return false
		}
	}
	return true
}

// standsAlone says that a table needs its header: something stands right below it, or
// nothing at all follows that would make the table.
func (w *writer) standsAlone(e place, f *field) bool {
	keys := e.keys()
	return len(keys) == 0 || e.words() != nil || slices.ContainsFunc(keys, func(key string) bool {
		k, field := keyed{key, e.child(key)}, inside(f).field(key)
		_, dotted := k.dotted(field)
		return dotted || !w.needsHeader(k.place, field)
	})
}

// title writes what stands above the headers of several tables.
func (w *writer) title(e place) {
	if c := e.words(); c != nil && len(c.above) > 0 {
		w.gap()
		w.lines("", c.above)
	}
}

// header writes a header; titled says that it stands right below a title.
func (w *writer) header(text string, e place, titled bool) {
	if !titled {
		w.gap()
	}
	if c := e.words(); c != nil {
		w.lines("", c.above)
	}
	w.b.WriteString(text)
	w.behind(e)
}

// behind ends a line, with a comment if there is one.
func (w *writer) behind(e place) {
	if c := e.words(); c != nil && c.behind != "" {
		w.b.WriteString("  # " + commentText(c.behind))
	}
	w.b.WriteByte('\n')
}

// key writes a key with its value on one line, or a list on several.
func (w *writer) key(name string, e place, f *field) {
	c := e.words()
	if c == nil {
		c = new(comments)
	}
	if c.apart {
		w.gap()
	}
	w.lines("", c.above)
	w.b.WriteString(name + " = ")
	if text, ok := w.inline(e, f); ok && (len(name)+3+len(text) <= lineWidth || !isList(e.raw)) {
		w.b.WriteString(text)
		w.behind(e)
		return
	}
	w.b.WriteByte('[')
	w.behind(e)
	for _, e := range e.list() {
		const indent = "  "
		if c := e.words(); c != nil {
			w.lines(indent, c.above)
		}
		text, _ := w.entry(e, f)
		w.b.WriteString(indent + text + ",")
		w.behind(e)
	}
	w.lines("  ", c.foot)
	w.b.WriteString("]\n")
}

func isList(raw any) bool {
	switch raw.(type) {
	case []any, []map[string]any:
		return true
	}
	return false
}

// inline writes a value on one line; it reports false when comments in it, or lists of
// tables in tables, do not let it.
func (w *writer) inline(e place, f *field) (text string, ok bool) {
	if !isList(e.raw) {
		return w.entry(e, f)
	}
	if text, ok := commandLine(e.raw, f); ok {
		return text, true
	}
	list := e.list()
	parts := make([]string, len(list))
	c := e.words()
	ok = c == nil || len(c.foot) == 0
	for i, e := range list {
		one, fits := w.entry(e, f)
		parts[i] = one
		ok = ok && fits && e.words() == nil
	}
	if len(parts) == 1 && ok && f != nil && f.single() {
		return parts[0], true
	}
	return "[" + strings.Join(parts, ", ") + "]", ok
}

// single says that an entry is written without brackets when it is alone: one check, or
// one address. A key in the plural keeps them.
func (f *field) single() bool {
	return f.kind == kindList && f.Short == "" && !strings.HasSuffix(f.key, "s") || f.kind == kindAddrs
}

// entry writes a table or a plain value on one line.
func (w *writer) entry(e place, f *field) (text string, ok bool) {
	raw, is := e.raw.(map[string]any)
	switch {
	case isList(e.raw): // in a list, which no key of the language takes
		return w.inline(e, nil)
	case !is:
		return f.text(e.raw), true
	}
	c := e.words()
	ok = c == nil || len(c.foot) == 0
	if f != nil && f.Short != "" && len(raw) == 1 {
		if s, plain := raw[f.Short].(string); plain {
			return f.table.field(f.Short).text(s), ok && e.child(f.Short).words() == nil
		}
	}
	keys := e.keys()
	parts := make([]string, len(keys))
	for i, key := range keys {
		k := e.child(key)
		one, fits := w.inline(k, inside(f).field(key))
		parts[i] = quoteName(key) + " = " + one
		ok = ok && fits && !isTables(k.raw) && k.words() == nil
	}
	if len(parts) == 0 {
		return "{}", ok
	}
	return "{ " + strings.Join(parts, ", ") + " }", ok
}
