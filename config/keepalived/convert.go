package keepalived

import (
	"math"
	"slices"
	"strings"

	"director/config"
)

// Convert translates a text into a document to be written: in the order of the text,
// without what holds anyway, with the comments of the text and a comment for each remark.
// The configuration is that of the document. The error is of type config.Errors and
// holds everything that is wrong.
func Convert(name string, text []byte, o Options) (*config.Tree, *config.Config, []config.Remark, error) {
	r := config.NewReport(name)
	m := &margin{}
	statements := tree(r, expand(r, name, text, o, m))
	c := &conversion{implied: make(map[config.Item]bool), shared: make(map[*statement]bool)}
	root := translate(r, name, statements, c)
	r.Writable(root)
	remarks := r.Remarks()
	cfg, _, err := r.Build(root)
	if err != nil {
		return nil, nil, remarks, err
	}
	root.OmitDefaults()
	c.order()
	c.explain(root)
	newCarrier(name, statements, root, c).carry(m, remarks)
	return root, cfg, remarks, nil
}

// conversion gathers what a translation knows of a document that is to be written. All
// of its methods do nothing on a nil one.
type conversion struct {
	blocks  []block
	implied map[config.Item]bool // what no statement says
	shared  map[*statement]bool  // services whose servers' checks have become one
}

// block is a table and the block that it was made of.
type block struct {
	t *config.Tree
	s *statement
}

func (c *conversion) block(sc *scope) {
	if c != nil && (sc.up == nil || sc.t.Item("") != sc.up.t.Item("")) {
		c.blocks = append(c.blocks, block{sc.t, sc.s})
	}
}

func (c *conversion) imply(i config.Item) {
	if c != nil {
		c.implied[i] = true
	}
}

func (c *conversion) share(service *statement) {
	if c != nil {
		c.shared[service] = true
	}
}

// The ranks of keys that no statement of their block made.
const (
	ofBlock   = -1                // the block's own line
	elsewhere = math.MaxInt32 - 1 // another block
	nowhere   = math.MaxInt32     // keepalived's defaults
)

// order puts the keys of each table into the order of the text.
func (c *conversion) order() {
	for _, b := range c.blocks {
		ranks := make(map[config.Position]int)
		for _, w := range b.s.words {
			ranks[w.at] = ofBlock
		}
		for i, k := range b.s.kids {
			k.positions(func(at config.Position) {
				if _, taken := ranks[at]; !taken {
					ranks[at] = i
				}
			})
		}
		b.t.Order(func(key string, at config.Position) int {
			if c.assumes(b.t, key) {
				c.implied[b.t.Item(key)] = true
				return nowhere
			}
			if rank, ok := ranks[at]; ok {
				return rank
			}
			return elsewhere
		})
	}
}

// assumes says that no statement made a key, or anything in the table at it.
func (c *conversion) assumes(t *config.Tree, key string) bool {
	if inner := t.Inner(key); inner != nil && len(inner.Keys()) > 0 {
		return !slices.ContainsFunc(inner.Keys(), func(k string) bool { return !c.assumes(inner, k) })
	}
	return c.implied[t.Item(key)]
}

// positions visits the places of all words of a statement and its block.
func (s *statement) positions(visit func(config.Position)) {
	for _, w := range s.words {
		visit(w.at)
	}
	for _, k := range s.kids {
		k.positions(visit)
	}
}

// The comments above what no statement made.
const (
	ourDefaults  = "keepalived's defaults, where director's differ"
	peerDefaults = "min_ttl = 1 is keepalived's default; director's takes adverts from this link alone"
)

// explain says in each table where the keys come from that no statement made.
func (c *conversion) explain(t *config.Tree) {
	told := false
	for _, key := range t.Keys() {
		if c.assumes(t, key) {
			if !told {
				told = true
				item := firstIn(t, key)
				item.Apart()
				item.Above(ourDefaults)
			}
			continue
		}
		if inner := t.Inner(key); inner != nil {
			c.explain(inner)
		}
		if key == "unicast_peer" {
			if slices.ContainsFunc(t.Elements(key), func(e *config.Tree) bool { return e.Has("min_ttl") && c.assumes(e, "min_ttl") }) {
				t.Item(key).Above(peerDefaults)
			}
			continue
		}
		for _, e := range t.Elements(key) {
			c.explain(e)
		}
	}
}

// firstIn returns the item of a key, or of the first one in the table that is there.
func firstIn(t *config.Tree, key string) config.Item {
	if inner := t.Inner(key); inner != nil && len(inner.Keys()) > 0 {
		return firstIn(inner, inner.Keys()[0])
	}
	return t.Item(key)
}

// summary says what a statement is, for a comment that stands in its place.
func (s *statement) summary() string {
	const most = 48
	text := s.rest(0)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
