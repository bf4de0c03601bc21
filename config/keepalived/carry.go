package keepalived

import (
	"cmp"
	"fmt"
	"slices"

	"director/config"
)

// carrier puts comments to the items of a document that were made of the statements
// beside them.
type carrier struct {
	name       string // of the main file
	root       *config.Tree
	items      map[config.Position][]config.Item // in the order of the document
	holder     map[config.Item]config.Item       // what an item is in
	order      map[config.Item]int               // in the document
	opening    int                               // the last line of the comment that opens the main file
	parents    map[*statement]*statement
	files      map[string][]*statement // in the order of their lines
	kids       map[inFile][]*statement
	reaches    map[inFile]reach
	owns       map[*statement]config.Item // what own has found
	top        *statement
	shared     map[*statement]bool
	told       map[string]bool
	last       map[config.Item]paragraph // of comments above items
	containers map[config.Item]bool      // of tables with names
	hollow     map[config.Item]bool      // tables of tables alone
}

// inFile is the part of a block that stands in one file.
type inFile struct {
	s    *statement
	file string
}

func newCarrier(name string, statements []*statement, root *config.Tree, c *conversion) *carrier {
	k := &carrier{
		name: name, root: root, items: make(map[config.Position][]config.Item), holder: make(map[config.Item]config.Item),
		parents: make(map[*statement]*statement), files: make(map[string][]*statement), kids: make(map[inFile][]*statement),
		top: &statement{words: []word{{}}, kids: statements}, shared: c.shared, told: make(map[string]bool), last: make(map[config.Item]paragraph),
		containers: make(map[config.Item]bool), hollow: make(map[config.Item]bool), order: make(map[config.Item]int),
		reaches: make(map[inFile]reach), owns: make(map[*statement]config.Item),
	}
	for _, key := range root.Keys() {
		inner := root.Inner(key)
		if inner != nil && !slices.ContainsFunc(inner.Keys(), func(key string) bool { return inner.Inner(key) == nil }) {
			k.hollow[root.Item(key)] = true
			k.containers[root.Item(key)] = config.IsNamed(key)
		}
	}
	root.Items(func(i, holder config.Item) {
		k.holder[i], k.order[i] = holder, len(k.order)
		if k.hollow[i] || c.implied[i] || c.implied[holder] || i.IsList() || i == root.Item("") {
			return
		}
		key, value := i.Places()
		k.items[key] = append(k.items[key], i)
		if value != key {
			k.items[value] = append(k.items[value], i)
		}
	})
	k.index(k.top)
	for _, list := range k.files {
		slices.SortStableFunc(list, byLine)
	}
	for _, list := range k.kids {
		slices.SortStableFunc(list, byLine)
	}
	return k
}

func byLine(a, b *statement) int { return cmp.Compare(a.at().Line, b.at().Line) }

func (k *carrier) index(s *statement) {
	for _, kid := range s.kids {
		file := kid.at().File
		k.parents[kid] = s
		k.files[file] = append(k.files[file], kid)
		k.kids[inFile{s, file}] = append(k.kids[inFile{s, file}], kid)
		k.index(kid)
	}
}

// carry puts everything in its place.
func (k *carrier) carry(m *margin, remarks []config.Remark) {
	notes := m.notes
	for _, r := range remarks {
		at := note{file: r.File, line: r.Line, own: true}
		what := r.Key
		if s, _ := k.statementAt(r.File, r.Line, r.Col); s != nil && s.key() == r.Key && s.key() != "auth_pass" && s.key() != "key" {
			what = s.summary()
		}
		where := fmt.Sprintf("line %d", r.Line)
		if r.File != k.name {
			where = r.File + " " + where
		}
		at.text = fmt.Sprintf("keepalived: %s \"%s\": %s", where, what, r.Msg)
		if !k.repeated(at, r.Msg) {
			notes = append(notes, at)
		}
	}
	k.findOpening(notes)
	slices.SortStableFunc(notes, func(a, b note) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line), after(a.behind)-after(b.behind))
	})
	for _, n := range notes {
		if n.own || !k.repeated(n, n.text) {
			k.put(n)
		}
	}
	k.apart()
}

// repeated says that a note is about a check that has become one with another, about
// which the same was said.
func (k *carrier) repeated(n note, text string) bool {
	for s := k.around(n); s != nil; s = k.parents[s] {
		if up := k.parents[s]; up != nil && s.key() == "real_server" && k.shared[up] {
			if k.around(n) == s { // not in a check
				return false
			}
			id := fmt.Sprintf("%p %s", up, text)
			if k.told[id] {
				return true
			}
			k.told[id] = true
		}
	}
	return false
}

// statementAt finds the statement that begins at or before a place of a line; alone says
// that no other begins there.
func (k *carrier) statementAt(file string, line, col int) (best *statement, alone bool) {
	list := k.files[file]
	from, _ := slices.BinarySearchFunc(list, line, func(s *statement, line int) int { return cmp.Compare(s.at().Line, line) })
	i := from
	for ; i < len(list) && list[i].at().Line == line; i++ {
		if best == nil || list[i].at().Col <= col {
			best = list[i]
		}
	}
	return best, i == from+1
}

// around returns the innermost block that a note stands in.
func (k *carrier) around(n note) *statement {
	list := k.files[n.file]
	i, _ := slices.BinarySearchFunc(list, n.line, func(s *statement, line int) int { return cmp.Compare(s.at().Line, line) })
	if i == 0 {
		return k.top
	}
	for s := list[i-1]; s != nil && s != k.top; s = k.parents[s] {
		if s.block && s.end.File == n.file && s.at().File == n.file && s.end.Line >= n.line && s.at().Line < n.line {
			return s
		}
	}
	return k.top
}

// put attaches a note.
func (k *carrier) put(n note) {
	beside, alone := k.statementAt(n.file, n.line, 1<<30)
	if n.behind && beside != nil && (alone || !n.use) {
		if item, ok := k.behind(beside); ok {
			item.Behind(n.text)
			return
		}
	}
	lines, from, s := []string{n.text}, n.line+1, k.around(n)
	switch {
	case n.use:
		return
	case n.own:
		lines, from = config.Wrap(n.text), n.line
		if beside != nil {
			s = k.parents[beside]
		}
	case k.opens(n):
		k.root.Item("").Above(lines...)
		return
	}
	for ; ; s = k.parents[s] {
		kids := k.kids[inFile{s, n.file}]
		i, _ := slices.BinarySearchFunc(kids, from, func(s *statement, line int) int { return cmp.Compare(s.at().Line, line) })
		if reach := k.reachOf(inFile{s, n.file}); i < len(kids) {
			j := reach.any[i]
			if n.own && s != k.top && j < len(kids) && kids[j].at().Line > n.line {
				j = reach.plain[i] // what is said of a statement that is gone stands among its like
			}
			if j < len(kids) {
				item, _ := k.first(s, kids[j])
				k.above(item, n, lines, kids[j].at().Line)
				return
			}
		}
		if s == k.top {
			k.root.Item("").Foot(lines...)
			return
		}
		own, known := k.owns[s]
		if !known {
			own, _ = k.own(s)
			k.owns[s] = own
		}
		if own != (config.Item{}) {
			own.Foot(lines...)
			return
		}
	}
}

// reach says of each statement of a block which one, from it on, something was made of:
// anything, and anything but a table.
type reach struct{ any, plain []int }

func (k *carrier) reachOf(block inFile) reach {
	r, known := k.reaches[block]
	if known {
		return r
	}
	kids := k.kids[block]
	n := len(kids)
	r = reach{make([]int, n+1), make([]int, n+1)}
	r.any[n], r.plain[n] = n, n
	for i := n - 1; i >= 0; i-- {
		r.any[i], r.plain[i] = r.any[i+1], r.plain[i+1]
		if item, ok := k.first(block.s, kids[i]); ok {
			r.any[i] = i
			if !item.IsTable() {
				r.plain[i] = i
			}
		}
	}
	k.reaches[block] = r
	return r
}

// opens says that a comment opens the main file.
func (k *carrier) opens(n note) bool { return n.file == k.name && !n.behind && n.line <= k.opening }

// findOpening finds the comment that opens the main file: the first paragraph, when it
// stands apart from what follows.
func (k *carrier) findOpening(notes []note) {
	next := 1 << 30 // the first line that says something
	if list := k.files[k.name]; len(list) > 0 {
		next = list[0].at().Line
	}
	last := 0
	for _, n := range notes {
		if n.file != k.name {
			continue
		}
		if n.own {
			next = min(next, n.line)
		} else if !n.behind && n.line < next && (last == 0 || n.line == last+1) {
			last = n.line
		}
	}
	if last+1 < next {
		k.opening = last
	}
}

// paragraph is the last comment above an item, and the line of what the item was made of.
type paragraph struct {
	note
	next int
}

// above adds to the comment above an item; paragraphs of the text stay apart.
func (k *carrier) above(item config.Item, n note, lines []string, next int) {
	if last, ok := k.last[item]; ok && last.file == n.file && last.line+1 < n.line && !last.own && !n.own {
		item.Above("")
	}
	k.last[item] = paragraph{n, next}
	item.Above(lines...)
}

// apart keeps comments apart from what follows after an empty line.
func (k *carrier) apart() {
	for item, p := range k.last {
		if p.line+1 < p.next && !p.own && item.IsTable() {
			item.Above("")
		}
	}
}

// domain returns the table with a name, or of a list at the top level, that an item is
// in.
func (k *carrier) domain(i config.Item) config.Item {
	for none := (config.Item{}); i != none; i = k.holder[i] {
		if up := k.holder[i]; k.containers[up] || up.IsList() && k.holder[up] == k.root.Item("") {
			return i
		}
	}
	return config.Item{}
}

// home returns the table with a name that was made of a block or what is around it.
func (k *carrier) home(s *statement) config.Item {
	for ; s != nil && s != k.top; s = k.parents[s] {
		for _, w := range s.words {
			for _, item := range k.items[w.at] {
				if d := k.domain(item); d != (config.Item{}) {
					return d
				}
			}
		}
	}
	return config.Item{}
}

// first returns the first item that was made of a statement in a block: what the
// statement itself says, else what holds the things that its own block says.
func (k *carrier) first(block, s *statement) (config.Item, bool) {
	home := k.home(block)
	at := func(s *statement) (config.Item, bool) {
		for i, w := range s.words {
			for _, item := range k.items[w.at] {
				if d := k.domain(item); block != k.top && d != home && d != item || k.encloses(item, s) {
					continue
				}
				if list := k.holder[item]; i > 0 && list.IsList() { // the statement is the list
					item = list
				}
				return item, true
			}
		}
		return config.Item{}, false
	}
	if item, ok := at(s); ok {
		return item, true
	}
	own, _ := k.table(block)
	var inside func(s *statement) (config.Item, bool)
	inside = func(s *statement) (best config.Item, found bool) {
		for _, kid := range s.kids {
			item, ok := at(kid)
			if !ok {
				item, ok = inside(kid)
			}
			if !ok {
				continue
			}
			if holder := k.holder[item]; holder != own && holder != k.root.Item("") && !k.hollow[holder] {
				item = holder
			}
			if !found || k.order[item] < k.order[best] {
				best, found = item, true
			}
			if block != k.top {
				break
			}
		}
		return best, found
	}
	return inside(s)
}

// encloses says that an item is the table around the key that a statement made: the
// first key of a table makes the table as well.
func (k *carrier) encloses(item config.Item, s *statement) bool {
	return !s.block && item.IsTable() && !k.holder[item].IsList()
}

// table returns the table that was made of a block itself.
func (k *carrier) table(s *statement) (config.Item, bool) {
	for _, w := range s.words {
		for _, item := range k.items[w.at] {
			if item.IsTable() {
				return item, true
			}
		}
	}
	return config.Item{}, false
}

// own returns the table or the list that was made of a block.
func (k *carrier) own(s *statement) (config.Item, bool) {
	if item, ok := k.table(s); ok {
		return item, true
	}
	home := k.home(s)
	for _, kid := range s.kids {
		for _, w := range kid.words {
			for _, item := range k.items[w.at] {
				if k.domain(item) == home && !k.encloses(item, kid) && !k.hollow[k.holder[item]] {
					return k.holder[item], true
				}
			}
		}
	}
	return config.Item{}, false
}

// behind returns the item on whose line the comment of a statement's line stands.
func (k *carrier) behind(s *statement) (config.Item, bool) {
	for _, w := range s.words {
		items := k.items[w.at]
		for _, item := range items {
			if s.block || k.holder[item].IsList() {
				return item, true
			}
		}
		if len(items) > 0 {
			return items[len(items)-1], true
		}
	}
	return config.Item{}, false
}

// after is 1 for what comes after other things.
func after(is bool) int {
	if is {
		return 1
	}
	return 0
}
