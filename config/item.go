package config

import "slices"

// Item is a key, a table or an element of a list of a document, to which comments can
// be attached that Write writes.
type Item struct{ n *node }

// comments are what a document that is written says about one of its items.
type comments struct {
	above  []string // "" is an empty line
	behind string
	foot   []string // of a table: below its last key
	apart  bool     // an empty line stands before the key
}

// Items visits everything in the document, the root first and each item before what it
// holds, in the order of the document.
func (t *Tree) Items(visit func(item, holder Item)) { (Item{t.node}).walk(Item{}, visit) }

func (i Item) walk(holder Item, visit func(item, holder Item)) {
	visit(i, holder)
	for _, k := range i.n.kids {
		(Item{k}).walk(i, visit)
	}
	for _, e := range i.n.elems {
		(Item{e}).walk(i, visit)
	}
}

// IsList says that the item is a list with entries that have items of their own.
func (i Item) IsList() bool { return i.n != nil && len(i.n.elems) > 0 }

// IsTable says that the item is a table that is not empty.
func (i Item) IsTable() bool { return i.n != nil && len(i.n.kids) > 0 }

// Item returns the item of a key of the table, or the table's own when the key is
// empty. It panics when there is no such key.
func (t *Tree) Item(key string) Item {
	if key == "" {
		return Item{t.node}
	}
	return Item{t.node.child(key)}
}

// Places returns where the item comes from: the place of its key and that of its value.
func (i Item) Places() (key, value Position) { return i.n.key.place(), i.n.val.place() }

func (p pos) place() Position { return Position{File: p.file, Line: p.line, Col: p.col} }

func (i Item) comments() *comments {
	if i.n.words == nil {
		i.n.words = new(comments)
	}
	return i.n.words
}

// Above adds lines to the comment above the item; an empty one divides paragraphs.
func (i Item) Above(lines ...string) {
	c := i.comments()
	c.above = append(c.above, lines...)
}

// Behind adds a text to the comment behind the item, on its line.
func (i Item) Behind(text string) {
	c := i.comments()
	if c.behind != "" {
		text = c.behind + "; " + text
	}
	c.behind = text
}

// Foot adds lines below the keys of a table; of the root at the end of the document.
func (i Item) Foot(lines ...string) {
	c := i.comments()
	c.foot = append(c.foot, lines...)
}

// Apart puts an empty line before the item.
func (i Item) Apart() { i.comments().apart = true }

// Order sorts the keys of the table by what rank says of the place of their values;
// those of equal rank keep their order.
func (t *Tree) Order(rank func(key string, at Position) int) {
	slices.SortStableFunc(t.node.kids, func(a, b *node) int {
		return rank(a.name, a.val.place()) - rank(b.name, b.val.place())
	})
}
