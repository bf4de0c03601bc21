package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// plainReader reads documents of the plain form that nearly all configurations have, in one
// pass: tables, lists of tables, and values that are strings without escapes, decimal
// numbers, truth values, lists of them and inline tables. Whatever is beyond that, be it
// allowed or not, ends the reading, and the decoder has the whole document: this reader
// never says what TOML is, and a farm of thousands of servers is read in a fraction of
// the time and memory.
type plainReader struct {
	scanner
	inline map[*node]bool // inline tables, which no header may extend
	open   openList
}

// openList is the list of tables that the last header has added to. It is in its table
// when the next header comes, if that is another one.
type openList struct {
	header string // as it is written
	node   *node
	table  map[string]any
	key    string
	list   []map[string]any
}

// mostNested bounds how deep lists and inline tables may lie in each other.
const mostNested = 16

// readPlain returns what decodeTOML and scan would, when the document is plain.
func readPlain(src string) (doc map[string]any, root *node, ok bool) {
	if !utf8.ValidString(src) {
		return nil, nil, false
	}
	for i := range len(src) { // a carriage return is no plain end of a line
		if c := src[i]; c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
			return nil, nil, false
		}
	}
	p := &plainReader{scanner: scanner{src: src, line: 1}, inline: make(map[*node]bool)}
	doc, root = make(map[string]any), &node{key: textStart(), val: textStart()}
	table, n := doc, root
	for {
		p.skip()
		switch {
		case p.bad:
			return nil, nil, false
		case p.i >= len(src):
			p.closeList()
			return doc, root, true
		case src[p.i] == '[':
			table, n = p.header(doc, root)
		default:
			p.keyValue(table, n, 0)
		}
		p.endOfLine()
	}
}

// closeList puts the list that headers have added to into its table.
func (p *plainReader) closeList() {
	if p.open.table != nil {
		p.open.table[p.open.key] = p.open.list
	}
	p.open = openList{}
}

// header reads [a.b] or [[a.b]] and returns the table that it opens.
func (p *plainReader) header(doc map[string]any, root *node) (map[string]any, *node) {
	at := p.here()
	if o := &p.open; o.table != nil && strings.HasPrefix(p.src[p.i:], o.header) {
		p.i += len(o.header)
		return o.add(at)
	}
	p.closeList()
	start := p.i
	p.i++
	array := p.peek() == '['
	if array {
		p.i++
	}
	p.parts = p.parts[:0]
	for {
		p.parts = append(p.parts, p.name())
		if p.bad || p.peek() != '.' {
			break
		}
		p.i++
	}
	p.expect(']')
	if array {
		p.expect(']')
	}
	table, n := doc, root
	last := p.parts[len(p.parts)-1]
	for _, part := range p.parts[:len(p.parts)-1] {
		table, n = p.enter(table, n, part)
	}
	if p.bad {
		return nil, nil
	}
	k := n.child(last.name)
	if !array {
		if k != nil { // perhaps it may be opened, perhaps it is there already
			p.bad = true
			return nil, nil
		}
		inner := make(map[string]any)
		table[last.name] = inner
		return inner, n.add(last.name, at)
	}
	list, isList := table[last.name].([]map[string]any)
	if k == nil {
		k = n.add(last.name, last.pos)
	} else if !isList {
		p.bad = true
		return nil, nil
	}
	p.open = openList{header: p.src[start:p.i], node: k, table: table, key: last.name, list: list}
	return p.open.add(at)
}

// add adds a table to the list.
func (o *openList) add(at pos) (map[string]any, *node) {
	e, n := make(map[string]any), &node{key: at, val: at}
	o.list = append(o.list, e)
	o.node.elems = append(o.node.elems, n)
	return e, n
}

// enter goes from a table to one inside it, or to the newest of a list.
func (p *plainReader) enter(table map[string]any, n *node, to part) (map[string]any, *node) {
	if p.bad {
		return nil, nil
	}
	k := n.child(to.name)
	if k == nil {
		inner := make(map[string]any)
		table[to.name] = inner
		return inner, n.add(to.name, to.pos)
	}
	switch inner := table[to.name].(type) {
	case map[string]any:
		p.bad = p.inline[k]
		return inner, k
	case []map[string]any:
		return inner[len(inner)-1], k.elems[len(k.elems)-1]
	}
	p.bad = true
	return nil, nil
}

// keyValue reads key = value into a table that lies so many levels deep in another value.
func (p *plainReader) keyValue(table map[string]any, n *node, depth int) {
	key := p.name()
	p.blank()
	p.expect('=')
	p.blank()
	if p.bad || n.child(key.name) != nil {
		p.bad = true
		return
	}
	table[key.name] = p.value(n.add(key.name, key.pos), depth)
}

// name reads one part of a key.
func (p *plainReader) name() part {
	at := p.here()
	if c := p.peek(); c == '"' || c == '\'' {
		return part{p.text(), at}
	}
	start := p.i
	for p.i < len(p.src) && bareKey(p.src[p.i]) {
		p.i++
	}
	p.bad = p.bad || p.i == start
	return part{p.src[start:p.i], at}
}

func bareKey(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// value reads a value whose node is n.
func (p *plainReader) value(n *node, depth int) any {
	n.val = p.here()
	if depth > mostNested {
		p.bad = true
		return nil
	}
	switch c := p.peek(); c {
	case '"', '\'':
		return p.text()
	case '[':
		p.i++
		return p.list(n, depth+1)
	case '{':
		p.i++
		return p.inlineTable(n, depth+1)
	default:
		return p.word()
	}
}

// text reads a string of one line without escapes. One of several lines begins with an
// empty one that is followed by a quote, which nothing takes.
func (p *plainReader) text() string {
	quote := p.src[p.i]
	p.i++
	end := strings.IndexByte(p.src[p.i:], quote)
	if end < 0 {
		p.bad = true
		return ""
	}
	text := p.src[p.i : p.i+end]
	p.i += end + 1
	if strings.IndexByte(text, '\n') >= 0 || quote == '"' && strings.IndexByte(text, '\\') >= 0 {
		p.bad = true
	}
	return text
}

// list reads the elements of a list up to its end.
func (p *plainReader) list(n *node, depth int) any {
	list := []any{}
	for {
		p.skip()
		if p.peek() == ']' {
			p.i++
			return list
		}
		at := p.here()
		e := &node{key: at, val: at}
		n.elems = append(n.elems, e)
		list = append(list, p.value(e, depth))
		p.skip()
		if p.bad {
			return nil
		}
		if p.peek() != ']' {
			p.expect(',')
		}
	}
}

// inlineTable reads the keys of an inline table up to its end.
func (p *plainReader) inlineTable(n *node, depth int) any {
	p.inline[n] = true
	table := make(map[string]any)
	p.blank()
	if p.peek() == '}' {
		p.i++
		return table
	}
	for {
		p.keyValue(table, n, depth)
		p.blank()
		if p.peek() == '}' || p.bad {
			p.i++
			return table
		}
		p.expect(',')
		p.blank()
	}
}

// word reads a truth value or a decimal number.
func (p *plainReader) word() any {
	start := p.i
	for p.i < len(p.src) && strings.IndexByte(" \t\n,]}#", p.src[p.i]) < 0 {
		p.i++
	}
	switch word := p.src[start:p.i]; word {
	case "true":
		return true
	case "false":
		return false
	default:
		digits := strings.TrimPrefix(word, "-")
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || digits[0] == '+' || digits[0] == '0' && word != "0" {
			p.bad = true
		}
		return n
	}
}

// endOfLine steps over what may follow a value or a header on its line.
func (p *plainReader) endOfLine() {
	p.blank()
	if c := p.peek(); c != '#' && c != '\n' && p.i < len(p.src) {
		p.bad = true
	}
}
