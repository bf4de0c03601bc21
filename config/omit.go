package config

import "reflect"

// OmitDefaults takes the keys away that say what holds without them, but for those
// that a reader wants to see all the same, and then the tables that are empty. t is
// the root of a document.
func (t *Tree) OmitDefaults() { t.omit(newSchema()) }

func (t *Tree) omit(schema *table) {
	for _, key := range t.Keys() {
		f := schema.byKey[key]
		switch {
		case f == nil:
		case f.table != nil:
			t.omitInside(key, f)
		case f.isDefault(t.raw[key]) && !f.told:
			t.Delete(key)
		}
	}
}

// omitInside does so in the tables at a key.
func (t *Tree) omitInside(key string, f *field) {
	for _, e := range t.Elements(key) {
		e.omit(f.table)
	}
	inner := t.Inner(key)
	switch {
	case inner == nil:
	case f.kind == kindNamed:
		for _, name := range inner.Keys() {
			if e := inner.Inner(name); e != nil {
				e.omit(f.table)
			}
		}
	default:
		inner.omit(f.table)
		if len(inner.raw) == 0 && f.kind == kindTable && !f.optional {
			t.Delete(key)
		}
	}
}

// isDefault says that a value is the one of an absent key.
func (f *field) isDefault(raw any) bool {
	if !f.def.IsValid() {
		return false
	}
	if f.kind == kindStatus {
		list, is := raw.([]any)
		if !is || len(list) != 1 {
			return false
		}
	}
	v := reflect.New(f.def.Type()).Elem()
	return f.parse(raw, v) == nil && reflect.DeepEqual(v.Interface(), f.def.Interface())
}

// Elements returns the tables of the list at a key, none when it is something else.
func (t *Tree) Elements(key string) []*Tree {
	if !isTables(t.raw[key]) {
		return nil
	}
	var all []*Tree
	for _, e := range (place{node: t.node, raw: t.raw}).child(key).list() {
		if raw, is := e.raw.(map[string]any); is && e.node != nil {
			all = append(all, &Tree{e.node, raw})
		}
	}
	return all
}

// Inner returns the table at a key, nil when it is something else.
func (t *Tree) Inner(key string) *Tree {
	raw, is := t.raw[key].(map[string]any)
	if n := t.node.child(key); is && n != nil {
		return &Tree{n, raw}
	}
	return nil
}
