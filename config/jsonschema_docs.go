package config

import (
	"regexp"
	"strings"
)

// docKey is a key by the struct that it is declared in: a table that stands at several
// places is explained once.
type docKey struct{ owner, key string }

// The lines of the annotated file, without or with the # that takes them out.
var (
	docHeader = regexp.MustCompile(`^#?\[\[?([A-Za-z0-9_.-]+)\]\]?$`)
	docAssign = regexp.MustCompile(`^#?([a-z_0-9]+) = `)
	docEntry  = regexp.MustCompile(`^#   ([a-z_0-9]+)  +(\S.*)$`) // a key of a table, in a list of such
	docWord   = regexp.MustCompile(`[a-z_0-9]+`)
	docRuler  = regexp.MustCompile(`^# *(-{3,}|- .* -$)`)
)

// How near a comment is to a key: right above it, about it by name, above its table,
const (
	docAbove = iota
	docNamed
	docTable
	docLevels
)

// docReader gathers what the comments say of the keys.
type docReader struct {
	schema *table
	said   [docLevels]map[docKey]string
}

// documentation reads the comments of the annotated file: a key has those right above
// it, with other keys between, or the line about it in a list of keys. Keys without any
// have the comment that names them, or that of their table.
func documentation(annotated string, schema *table) map[docKey]string {
	r := &docReader{schema: schema}
	for i := range r.said {
		r.said[i] = make(map[docKey]string)
	}
	r.read(strings.Split(annotated, "\n"))
	docs := make(map[docKey]string)
	r.choose(docs, schema, nil)
	return docs
}

func (r *docReader) set(level int, t *table, key, text string) {
	if f := t.field(key); f != nil && text != "" && r.said[level][docKey{f.owner, key}] == "" {
		r.said[level][docKey{f.owner, key}] = text
	}
}

func (r *docReader) read(lines []string) {
	at := r.schema
	var comment, title []string
	above := ""    // of the table
	fresh := false // a comment that no key has taken
	for _, line := range lines {
		switch {
		case docHeader.MatchString(line):
			owner, key, named := r.schema.walk(strings.Split(docHeader.FindStringSubmatch(line)[1], "."))
			at = inside(owner.field(key))
			if !fresh {
				comment = nil
			}
			above = prose(comment)
			text := above
			if named && len(title) > 0 {
				text = prose(title)
			}
			r.set(docAbove, owner, key, text)
			r.about(at, comment)
			comment, title, fresh = nil, nil, false
		case docAssign.MatchString(line):
			key := docAssign.FindStringSubmatch(line)[1]
			r.set(docAbove, at, key, prose(comment))
			r.set(docTable, at, key, above)
			if fresh {
				r.about(at, comment)
				r.lists(at.within(key), comment)
			}
			fresh = false
		case strings.TrimSpace(line) == "":
			if fresh { // a paragraph about no key in particular
				r.about(at, comment)
				r.lists(at.within(""), comment)
			}
			comment, fresh = nil, false
		case docRuler.MatchString(line):
			if fresh {
				title = comment
			}
			comment, fresh = nil, false
		case strings.HasPrefix(line, "#"):
			if !fresh {
				comment, fresh = nil, true
			}
			comment = append(comment, line)
		default: // the rest of a value
		}
	}
}

// about notes what a comment says of the keys of a table: in lines of their own, or
// somewhere in its text.
func (r *docReader) about(t *table, comment []string) {
	if t == nil {
		return
	}
	for key, text := range entries(comment) {
		r.set(docAbove, t, key, text)
	}
	text := prose(comment)
	for _, word := range docWord.FindAllString(text, -1) {
		if len(word) >= 8 || strings.Contains(word, "_") { // others are words of the language
			r.set(docNamed, t, word, text)
		}
	}
}

// lists notes a list of keys for the first of some tables that has them all.
func (r *docReader) lists(tables []*table, comment []string) {
	found := entries(comment)
	for _, t := range tables {
		has := 0
		for key := range found {
			if t.byKey[key] != nil {
				has++
			}
		}
		if has == 0 || has < len(found)-1 { // beside them one of a table in it may be told
			continue
		}
		for key, text := range found {
			r.set(docAbove, t, key, text)
		}
	}
}

// choose fills in the best comment for each key of a table and of those in it.
func (r *docReader) choose(docs map[docKey]string, t *table, around []*table) {
	for _, f := range t.fields {
		k := docKey{f.owner, f.key}
		text := docs[k]
		for level := 0; text == "" && level < docLevels; level++ {
			text = r.said[level][k]
			if level == docNamed { // the same key of the table around says more than the table's own comment
				for i := len(around) - 1; text == "" && i >= 0; i-- {
					if g := around[i].byKey[f.key]; g != nil && g.kind == f.kind {
						text = r.said[docAbove][docKey{g.owner, g.key}]
					}
				}
				if text == "" && strings.HasPrefix(f.owner, "Track") { // the uses of all trackers are alike
					text = r.said[docAbove][docKey{"Track", f.key}]
				}
			}
		}
		if text != "" {
			docs[k] = text
		}
		if f.table != nil {
			r.choose(docs, f.table, append(around[:len(around):len(around)], t))
		}
	}
}

// walk follows the header of a table, in which each named table has a name of the
// user's, to its key and the table that this is in. named: the header ends in a name.
func (t *table) walk(path []string) (owner *table, key string, named bool) {
	for i := 0; i < len(path); i++ {
		if key != "" {
			t = inside(t.field(key))
		}
		key, named = path[i], false
		if f := t.field(key); f != nil && f.kind == kindNamed && i+1 < len(path) {
			i++
			named = i+1 == len(path)
		}
	}
	return t, key, named
}

// within returns the table of a key, or the tables of all keys, and those in them.
func (t *table) within(key string) []*table {
	if t == nil {
		return nil
	}
	var all []*table
	for _, f := range t.fields {
		if f.table == nil || f.kind == kindNamed || key != "" && f.key != key {
			continue
		}
		all = append(append(all, f.table), f.table.within("")...)
	}
	return all
}

// entries returns the lines of a comment that explain one key each.
func entries(comment []string) map[string]string {
	found := make(map[string]string)
	key := ""
	for _, line := range comment {
		if m := docEntry.FindStringSubmatch(line); m != nil {
			key = m[1]
			found[key] = m[2]
		} else if text, more := strings.CutPrefix(line, "#      "); more && key != "" {
			found[key] += " " + strings.TrimSpace(text)
		} else {
			key = ""
		}
	}
	for key, text := range found {
		found[key] = sentence(text)
	}
	return found
}

// prose returns a comment as one text, without the lines about single keys of tables and
// the announcement of an example.
func prose(comment []string) string {
	var words []string
	for _, line := range comment {
		if text := strings.TrimPrefix(line, "#"); !strings.HasPrefix(text, "   ") {
			words = append(words, strings.TrimSpace(text))
		}
	}
	text := strings.TrimSpace(strings.Join(words, " "))
	for _, end := range []string{" Example:", " Examples:", " An example:"} {
		text = strings.TrimSuffix(text, end)
	}
	for _, end := range []string{"Example:", "Examples:"} {
		if text == end {
			return ""
		}
	}
	return sentence(text)
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.TrimRight(text, ";,:")
	first, _, _ := strings.Cut(text, " ")
	if c := text[0]; c >= 'a' && c <= 'z' && !strings.Contains(first, "_") {
		text = string(c-'a'+'A') + text[1:]
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}
