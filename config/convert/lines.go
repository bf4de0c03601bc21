package convert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"director/config"
)

// text is one in a language of lines that is being converted: its comments, and the
// document that is made of it.
type text struct {
	*config.Report
	name   string
	root   *config.Tree
	tool   string // whose language it is
	notes  []note
	code   []int        // the lines that say something
	ends   map[int]tail // by the first line of a block
	firsts []int        // those lines, in order
}

// note is a comment of a line.
type note struct {
	line   int
	text   string
	behind bool
	remark bool
}

// tail is where a block ends and its table.
type tail struct {
	last  int
	table *config.Tree
}

func newText(name, tool string) *text {
	return &text{Report: config.NewReport(name), name: name, tool: tool, root: config.NewTree(), ends: make(map[int]tail)}
}

func (t *text) at(line int) config.Position {
	return config.Position{File: t.name, Line: line, Col: 1}
}

// comment keeps a comment without its mark.
func (t *text) comment(line int, comment string, behind bool) {
	bare := strings.TrimLeft(comment, "#")
	if marks := len(comment) - len(bare); marks > 1 && !behind || strings.TrimSpace(bare) == "" {
		t.notes = append(t.notes, note{line: line, text: strings.TrimRight(comment, " \t\r"), behind: behind})
		return
	}
	t.notes = append(t.notes, note{line: line, text: strings.TrimSpace(bare), behind: behind})
}

// build makes the configuration and puts the comments to the document.
func (t *text) build() (*config.Tree, *config.Config, []config.Remark, error) {
	t.Writable(t.root)
	remarks := t.Remarks()
	cfg, _, err := t.Build(t.root)
	if err != nil {
		return nil, nil, remarks, err
	}
	t.root.OmitDefaults()
	t.carry(remarks)
	return t.root, cfg, remarks, nil
}

// carry puts comments and remarks to what was made of the lines beside them.
func (t *text) carry(remarks []config.Remark) {
	items, lines := t.items()
	notes := t.notes
	for _, r := range remarks {
		for _, l := range config.Wrap(fmt.Sprintf("%s: line %d %q: %s", t.tool, r.Line, r.Key, r.Msg)) {
			notes = append(notes, note{line: r.Line, text: l, remark: true})
		}
	}
	slices.SortStableFunc(notes, func(a, b note) int { return cmp.Compare(a.line, b.line) })
	opening := t.opening()
	for _, n := range notes {
		item, made := items[n.line]
		block, inside := t.block(n.line)
		next, _ := slices.BinarySearch(lines, n.line)
		switch {
		case n.behind && made:
			item.Behind(n.text)
		case n.line <= opening:
			t.root.Item("").Above(n.text)
		case inside && n.remark && !made && block.table != nil:
			block.table.Item("").Foot(n.text)
		case next < len(lines) && (!inside || lines[next] <= block.last):
			items[lines[next]].Above(n.text)
		case inside && block.table != nil:
			block.table.Item("").Foot(n.text)
		default:
			t.root.Item("").Foot(n.text)
		}
	}
}

// items finds the first item that was made of each line. One that is in a virtual server
// and was made of a line elsewhere is none.
func (t *text) items() (items map[int]config.Item, lines []int) {
	items = make(map[int]config.Item)
	owner := make(map[config.Item]int) // the first line of the virtual server that an item is in
	root := t.root.Item("")
	t.root.Items(func(i, holder config.Item) {
		at, _ := i.Places()
		owner[i] = owner[holder]
		if t.root.Has("virtual_server") && holder == t.root.Item("virtual_server") {
			owner[i] = at.Line
		}
		_, taken := items[at.Line]
		first := owner[i]
		block, is := t.ends[first]
		if outside := is && (at.Line < first || at.Line > block.last); taken || outside || i.IsList() || i == root || holder == root || at.File != t.name {
			return
		}
		items[at.Line] = i
		lines = append(lines, at.Line)
	})
	slices.Sort(lines)
	return items, lines
}

// opening returns the last line of the comment that opens the text: its first
// paragraph, when it stands apart from what follows or that is no virtual server.
func (t *text) opening() int {
	last, first := 0, 1<<30
	if len(t.code) > 0 {
		first = t.code[0]
	}
	for _, n := range t.notes {
		if n.line < first && (last == 0 || n.line == last+1) {
			last = n.line
		}
	}
	if _, is := t.ends[first]; is && last+1 == first {
		return 0
	}
	return last
}

// block returns the block that a line is in, but for its first line.
func (t *text) block(line int) (tail, bool) {
	if len(t.firsts) != len(t.ends) {
		t.firsts = slices.Sorted(maps.Keys(t.ends))
	}
	i, _ := slices.BinarySearch(t.firsts, line)
	if i == 0 {
		return tail{}, false
	}
	end := t.ends[t.firsts[i-1]]
	return end, line <= end.last
}

// explain writes above the first of the keys why they are there.
func explain(t *config.Tree, why string, keys ...string) {
	t.Order(func(key string, _ config.Position) int {
		if slices.Contains(keys, key) {
			return 1
		}
		return 0
	})
	for _, key := range t.Keys() {
		if slices.Contains(keys, key) {
			t.Item(key).Apart()
			t.Item(key).Above(why)
			return
		}
	}
}

// plainName makes a name of a text that needs no quotes.
func plainName(s string) string {
	parts := strings.FieldsFunc(s, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_')
	})
	return strings.Join(parts, "-")
}

// unique returns the first of the names that no virtual server has yet.
func (t *text) unique(names ...string) string {
	taken := t.root.Inner("virtual_server")
	for _, name := range names {
		if len(name) > 64 {
			name = name[:64]
		}
		if name != "" && (taken == nil || !taken.Has(name)) {
			return name
		}
	}
	last := names[len(names)-1]
	for n := 2; ; n++ {
		if name := fmt.Sprintf("%s-%d", last[:min(len(last), 60)], n); taken == nil || !taken.Has(name) {
			return name
		}
	}
}

// serviceNames are what people call the services of well-known ports.
var serviceNames = map[uint16]string{
	21: "ftp", 22: "ssh", 25: "smtp", 53: "dns", 80: "http", 110: "pop3", 119: "nntp", 123: "ntp", 143: "imap", 389: "ldap", 443: "https",
	465: "smtps", 514: "syslog", 587: "submission", 636: "ldaps", 993: "imaps", 995: "pop3s", 1433: "mssql", 1521: "oracle", 1812: "radius",
	1883: "mqtt", 3128: "proxy", 3306: "mysql", 3389: "rdp", 5060: "sip", 5432: "postgres", 6379: "redis", 6443: "kube-api", 8080: "http-8080",
	8443: "https-8443",
}

// names returns what a service at an address may be called, the shortest first.
func names(address string, port uint16, protocol string) []string {
	word := serviceNames[port]
	switch {
	case port == 0:
		word = "all-ports"
	case word == "":
		word = fmt.Sprintf("%s-%d", protocol, port)
	case protocol != "tcp" && word != "dns" && word != "ntp" && word != "sip" && word != "radius" && word != "syslog":
		word += "-" + protocol
	}
	long := word + "-" + plainName(address)
	return []string{word, long, long + "-" + protocol}
}
