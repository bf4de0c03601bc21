package config

import (
	"slices"
	"strconv"
)

// place is a spot in a decoded document: the value there, its position, and the
// path that leads to it.
type place struct {
	node *node // nil where positions are unknown
	raw  any   // what the decoder made of it; nil when the key is absent
	pos  pos   // of the value, or of the nearest table around an absent one

	around *trail // to what it is in; nil at the top
	step   step   // from there to here
	self   *trail // to this place, where it was made already: see keep

	// short is the key for which a plain value stands where a table may be too:
	// virtual_ipaddress = ["192.0.2.1"] means [{ address = "192.0.2.1" }].
	short string
}

// trail is the way to a place. The path is made of it when somebody asks: a large
// document has many places, and errors tell the paths of few.
type trail struct {
	around *trail
	step   step
}

// keep makes the trail to a place that is asked for many of its keys, so that it is not
// made again for each.
func (p place) keep() place {
	if p.self == nil {
		p.self = &trail{p.around, p.step}
	}
	return p
}

// step is one part of a path: a key, or the index of an element.
type step struct {
	key   string
	index int // of an element; noElement: it is a key
}

const noElement = -1

// path returns the dotted path of the place, such as
// virtual_server.web.real_server[3].weight.
func (p place) path() string { return (&trail{p.around, p.step}).path() }

func (t *trail) path() string {
	if t.around == nil {
		return "" // the document
	}
	path := t.around.path()
	switch {
	case t.step.index != noElement:
		return path + "[" + strconv.Itoa(t.step.index) + "]"
	case path == "":
		return quoteKey(t.step.key)
	}
	return path + "." + quoteKey(t.step.key)
}

// exists says that the document holds a value here.
func (p place) exists() bool { return p.raw != nil }

// child returns the place of a key of a table, whether it exists or not.
func (p place) child(key string) place {
	if p.short != "" {
		if key == p.short {
			p.short = ""
			return p
		}
		p.raw = nil
		return p.at(nil, nil, key)
	}
	table, _ := p.raw.(map[string]any)
	raw := table[key]
	if raw == nil {
		return p.at(nil, nil, key)
	}
	return p.at(p.node.child(key), raw, key)
}

// asShort marks a plain string as standing for a table with this one key. An
// empty key marks nothing.
func (p place) asShort(key string) place {
	if _, isString := p.raw.(string); isString {
		p.short = key
	}
	return p
}

// has says that a table has a key.
func (p place) has(key string) bool {
	if p.short != "" {
		return key == p.short
	}
	table, _ := p.raw.(map[string]any)
	return table[key] != nil
}

// at returns the place of a key.
func (p place) at(n *node, raw any, key string) place {
	next := place{node: n, raw: raw, pos: p.pos, around: p.keep().self, step: step{key, noElement}}
	if n != nil && n.val.line > 0 {
		next.pos = n.val
	}
	return next
}

// list returns the elements of an array. A value that is no array stands for an
// array with this one element.
func (p place) list() []place {
	var raws []any
	switch raw := p.raw.(type) {
	case nil:
		return nil
	case []any:
		raws = raw
	case []map[string]any:
		raws = make([]any, len(raw))
		for i := range raw {
			raws[i] = raw[i]
		}
	default:
		return []place{p}
	}
	var nodes []*node
	if p.node != nil && len(p.node.elems) == len(raws) {
		nodes = p.node.elems
	}
	around := p.keep().self
	list, trails := make([]place, len(raws)), make([]trail, len(raws))
	for i, raw := range raws {
		trails[i] = trail{around, step{index: i}}
		e := place{raw: raw, pos: p.pos, around: around, step: trails[i].step, self: &trails[i]}
		if nodes != nil {
			e.node, e.pos = nodes[i], nodes[i].val
		}
		list[i] = e
	}
	return list
}

// keys returns the keys of a table in the order of the document.
func (p place) keys() []string {
	table, _ := p.raw.(map[string]any)
	keys := make([]string, 0, len(table))
	if p.node != nil {
		for _, k := range p.node.kids {
			if _, ok := table[k.name]; ok {
				keys = append(keys, k.name)
			}
		}
		if len(keys) == len(table) {
			return keys
		}
		keys = keys[:0]
	}
	for k := range table {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// atKey returns the place with the position of the key rather than the value.
func (p place) atKey() place {
	if p.node != nil && p.node.key.line > 0 {
		p.pos = p.node.key
	}
	return p
}

// quoteKey writes a key as TOML wants it in a dotted path.
func quoteKey(key string) string {
	const longest = 80
	for i := 0; i < len(key); i++ {
		c := key[i]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			continue
		}
		return quote(key, longest)
	}
	if key == "" {
		return `""`
	}
	if len(key) > longest {
		return key[:longest] + "..."
	}
	return key
}

// quote quotes a text for a message and cuts a long one.
func quote(text string, longest int) string {
	if len(text) <= longest {
		return strconv.Quote(text)
	}
	cut := longest
	for cut > 0 && text[cut]&0xc0 == 0x80 { // not inside a character
		cut--
	}
	return strconv.Quote(text[:cut]) + "..."
}
