package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// pos is a place in the text; line and col count from 1, col in bytes. The zero
// pos means unknown. file is empty for the file that is being read.
type pos struct {
	line, col int
	file      string
}

// textStart is where a text begins.
func textStart() pos { return pos{line: 1, col: 1} }

// node is one key, table or array element of the document, with its place.
type node struct {
	name  string
	key   pos // of the key, or of the last part of a table's header
	val   pos // of the value; of the header for a table
	kids  []*node
	elems []*node
	index map[string]*node // of kids, once there are many
	words *comments        // of a document that is to be written
}

// at returns the child of a table, or with a name such as "[2]" the element of a
// list, nil when there is none.
func (n *node) at(name string) *node {
	if n != nil && len(n.elems) > 0 {
		i, err := strconv.Atoi(strings.Trim(name, "[]"))
		if err != nil || i < 0 || i >= len(n.elems) {
			return nil
		}
		return n.elems[i]
	}
	return n.child(name)
}

// child returns the node of a key of a table, nil when there is none.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	if n.index != nil {
		return n.index[name]
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// add makes a node for a key that the table does not have yet.
func (n *node) add(name string, at pos) *node {
	k := &node{name: name, key: at, val: at}
	n.attach(k)
	return k
}

// attach adds a node of a key that the table does not have yet.
func (n *node) attach(k *node) {
	n.kids = append(n.kids, k)
	switch {
	case n.index != nil:
		n.index[k.name] = k
	case len(n.kids) > 8:
		n.index = make(map[string]*node)
		for _, k := range n.kids {
			n.index[k.name] = k
		}
	}
}

// descend walks from a table along a dotted key, making what is missing.
func (n *node) descend(parts []part) *node {
	for _, p := range parts {
		if len(n.elems) > 0 { // inside an array of tables the newest one is meant
			n = n.elems[len(n.elems)-1]
		}
		k := n.child(p.name)
		if k == nil {
			k = n.add(p.name, p.pos)
		}
		n = k
	}
	return n
}

type part struct {
	name string
	pos  pos
}

// scanner finds the place of every key of a TOML document. The decoder has
// accepted the document before, so the scanner need not understand values, only
// step over them; what it finds is compared with the decoder's list of keys, and
// one difference discards all of it.
type scanner struct {
	src  string
	i    int
	line int
	bol  int // offset at which the current line begins

	parts []part   // of the key read last
	ctx   []string // key of the table, without array indexes
	want  []toml.Key
	bad   bool
}

// scan returns the document's tree. want is the decoder's list of keys in the
// order of the document; ok is false when the scanner does not agree with it.
func scan(src string, want []toml.Key) (root *node, ok bool) {
	// The decoder skips a byte order mark as well, even those of UTF-16.
	bom := 0
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if strings.HasPrefix(src, mark) {
			bom = len(mark)
		}
	}
	s := &scanner{src: src, i: bom, bol: bom, line: 1, want: want}
	root = &node{key: textStart(), val: textStart()}
	table := root
	for !s.bad {
		s.skip()
		if s.i >= len(s.src) {
			break
		}
		if s.src[s.i] == '[' {
			table = s.header(root)
			continue
		}
		s.keyValue(table)
	}
	return root, !s.bad && len(s.want) == 0
}

// fallbackTree is a tree with the order of the keys but no places, for the case
// that the scanner does not agree with the decoder.
func fallbackTree(keys []toml.Key) *node {
	root := &node{}
	for _, key := range keys {
		n := root
		for _, name := range key {
			k := n.child(name)
			if k == nil {
				k = n.add(name, pos{})
			}
			n = k
		}
	}
	return root
}

// header reads [a.b] or [[a.b]] and returns the table that it opens.
func (s *scanner) header(root *node) *node {
	at := s.here()
	s.i++
	array := s.peek() == '['
	if array {
		s.i++
	}
	s.key()
	s.blank()
	s.expect(']')
	if array {
		s.expect(']')
	}
	s.ctx = s.ctx[:0]
	s.emit()
	for _, p := range s.parts {
		s.ctx = append(s.ctx, p.name)
	}
	n := root.descend(s.parts)
	if array {
		elem := &node{key: at, val: at}
		n.elems = append(n.elems, elem)
		return elem
	}
	n.key, n.val = at, at
	return n
}

// keyValue reads key = value into a table.
func (s *scanner) keyValue(table *node) {
	s.key()
	if s.bad {
		return
	}
	s.emit()
	s.blank()
	s.expect('=')
	s.blank()
	n := table.descend(s.parts)
	depth := len(s.ctx)
	for _, p := range s.parts {
		s.ctx = append(s.ctx, p.name)
	}
	s.value(n)
	s.ctx = s.ctx[:depth]
}

// emit compares the key just read with the next one of the decoder's list.
func (s *scanner) emit() {
	if len(s.want) == 0 || len(s.want[0]) != len(s.ctx)+len(s.parts) ||
		!slices.Equal(s.want[0][:len(s.ctx)], s.ctx) {
		s.bad = true
		return
	}
	for i, p := range s.parts {
		if s.want[0][len(s.ctx)+i] != p.name {
			s.bad = true
			return
		}
	}
	s.want = s.want[1:]
}

// value steps over a value and notes the places of what is inside it.
func (s *scanner) value(n *node) {
	n.val = s.here()
	switch s.peek() {
	case '"', '\'':
		s.str()
	case '[':
		s.i++
		for !s.bad {
			s.skip()
			switch s.peek() {
			case ']':
				s.i++
				return
			case ',':
				s.i++
			default:
				at := s.here()
				elem := &node{key: at, val: at}
				n.elems = append(n.elems, elem)
				s.value(elem)
			}
		}
	case '{':
		s.i++
		for !s.bad {
			s.skip()
			switch s.peek() {
			case '}':
				s.i++
				return
			case ',':
				s.i++
			default:
				s.keyValue(n)
			}
		}
	default: // a number, a truth value or a date, which may hold a blank
		start := s.i
		for s.i < len(s.src) && !strings.ContainsRune(",]}#\n", rune(s.src[s.i])) {
			s.i++
		}
		if s.i == start {
			s.bad = true
		}
	}
}

// key reads a dotted key into s.parts.
func (s *scanner) key() {
	s.parts = s.parts[:0]
	for !s.bad {
		s.blank()
		at := s.here()
		switch s.peek() {
		case '"', '\'':
			s.parts = append(s.parts, part{s.str(), at})
		default:
			start := s.i
			for s.i < len(s.src) && !strings.ContainsRune(" \t\r\n.=]#,{}[\"'", rune(s.src[s.i])) {
				s.i++
			}
			if s.i == start {
				s.bad = true
				return
			}
			s.parts = append(s.parts, part{s.src[start:s.i], at})
		}
		s.blank()
		if s.peek() != '.' {
			return
		}
		s.i++
	}
}

// str steps over a string of any of the four kinds and returns what it means
// when it is of one line, as a key must be.
func (s *scanner) str() string {
	quote := s.src[s.i : s.i+1]
	literal := quote == "'"
	if strings.HasPrefix(s.src[s.i:], quote+quote+quote) {
		s.i += 3
		for s.i < len(s.src) {
			switch c := s.src[s.i]; {
			case c == '\\' && !literal:
				s.i++
				if s.peek() != '\n' { // else the next turn counts the line
					s.i++
				}
			case c == '\n':
				s.newline()
			case strings.HasPrefix(s.src[s.i:], quote+quote+quote):
				s.i += 3
				for n := 0; n < 2 && s.peek() == quote[0]; n++ { // quotes may end the string itself
					s.i++
				}
				return ""
			default:
				s.i++
			}
		}
		s.bad = true
		return ""
	}
	s.i++
	start, escaped := s.i, false
	for s.i < len(s.src) {
		switch c := s.src[s.i]; {
		case c == quote[0]:
			text := s.src[start:s.i]
			s.i++
			if escaped {
				return unescape(text)
			}
			return text
		case c == '\n':
			s.bad = true
			return ""
		case c == '\\' && !literal:
			escaped = true
			s.i += 2
		default:
			s.i++
		}
	}
	s.bad = true
	return ""
}

// unescape resolves the escapes of a basic string.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		digits := 0
		switch c := text[i]; c {
		case 'b':
			b.WriteByte('\b')
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'f':
			b.WriteByte('\f')
		case 'r':
			b.WriteByte('\r')
		case 'e':
			b.WriteByte(0x1b)
		case 'x':
			digits = 2
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default: // \" and \\
			b.WriteByte(c)
		}
		if digits > 0 && i+digits < len(text) {
			if r, err := strconv.ParseUint(text[i+1:i+1+digits], 16, 32); err == nil {
				b.WriteRune(rune(r))
			}
			i += digits
		}
	}
	return b.String()
}

func (s *scanner) here() pos { return pos{line: s.line, col: s.i - s.bol + 1} }

// peek returns the current byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.i < len(s.src) {
		return s.src[s.i]
	}
	return 0
}

func (s *scanner) expect(c byte) {
	if s.peek() != c {
		s.bad = true
		return
	}
	s.i++
}

func (s *scanner) newline() {
	s.i++
	s.line++
	s.bol = s.i
}

// blank steps over blanks within a line.
func (s *scanner) blank() {
	for s.peek() == ' ' || s.peek() == '\t' {
		s.i++
	}
}

// skip steps over blanks, line ends and comments.
func (s *scanner) skip() {
	for s.i < len(s.src) {
		switch s.src[s.i] {
		case ' ', '\t', '\r':
			s.i++
		case '\n':
			s.newline()
		case '#':
			end := strings.IndexByte(s.src[s.i:], '\n')
			if end < 0 {
				end = len(s.src) - s.i
			}
			s.i += end
		default:
			return
		}
	}
}
