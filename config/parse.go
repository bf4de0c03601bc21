package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// Parse turns the text of a configuration file into a Config with all defaults
// resolved. name is the file's name for messages. The error is of type Errors
// and holds everything that is wrong, except that an error of TOML syntax stands
// alone.
func Parse(name string, text []byte) (*Config, error) {
	cfg, _, err := ParseWithWarnings(name, text)
	return cfg, err
}

// ParseWithWarnings is Parse that also returns what works but is probably not
// meant. Warnings are returned beside errors as well.
func ParseWithWarnings(name string, text []byte) (*Config, []Warning, error) {
	r := &report{file: name}
	cfg := parse(r, string(text))
	r.sort()
	if len(r.errs) > 0 {
		return nil, r.warns, r.errs
	}
	return cfg, r.warns, nil
}

// Finder finds a key in a configuration by its path, part by part, such as
// "vrrp_script", "chk", "script", with "[2]" for the third element of a list. Line
// and column count from 1 and are those of the value; both are 0 where the
// configuration does not hold the key.
type Finder func(path ...string) Position

// Position is a place in a file; Line and Col count from 1, Col in bytes.
type Position struct {
	File      string
	Line, Col int
}

// Positions returns the Finder of the text of a configuration in TOML. name is its
// file's.
func Positions(name string, text []byte) Finder {
	var find Finder
	return func(path ...string) Position {
		if find == nil { // most texts have no key that anybody asks for
			_, tree, _ := read(string(text)) // without one nothing is found
			find = tree.finder(name)
		}
		return find(path...)
	}
}

// finder returns the Finder of a document of a file.
func (n *node) finder(name string) Finder {
	return func(path ...string) Position {
		n := n
		for _, key := range path {
			n = n.at(key)
		}
		at := Position{File: name}
		if n == nil {
			return at
		}
		if n.val.file != "" {
			at.File = n.val.file
		}
		at.Line, at.Col = n.val.line, n.val.col
		return at
	}
}

func parse(r *report, text string) *Config {
	schema := newSchema()
	doc, tree, err := read(text)
	if err != nil {
		if line, words := KeepalivedLine(text); line > 0 {
			r.errorf(place{pos: pos{line: line, col: 1}}, "%s is keepalived's language, which director reads from a file whose name ends in .conf; "+
				"others are TOML, where most keys have the same names: [vrrp_instance.NAME], interface = \"eth0\", priority = 100", show(words))
			return nil
		}
		r.syntax(err)
		return nil
	}
	return build(r, schema, place{node: tree, raw: doc})
}

// read decodes a text and finds the places of its keys.
func read(text string) (doc map[string]any, tree *node, err error) {
	if doc, tree, ok := readPlain(text); ok {
		return doc, tree, nil
	}
	doc, keys, err := decodeTOML(text)
	if err != nil {
		return nil, nil, err
	}
	tree, ok := scan(text, keys)
	if !ok {
		tree = fallbackTree(keys)
	}
	return doc, tree, nil
}

// build makes the model of a document.
func build(r *report, schema *table, root place) *Config {
	cfg := new(Config)
	d := decoder{r}
	d.table(root, reflect.ValueOf(cfg).Elem(), schema)

	v := validator{report: r, cfg: cfg, root: root, names: cfg.names()}
	v.validate()
	return cfg
}

// decodeTOML decodes a text into maps, lists and plain values.
func decodeTOML(text string) (doc map[string]any, keys []toml.Key, err error) {
	defer func() {
		// The library panics on what it takes for its own mistakes.
		if p := recover(); p != nil {
			err = fmt.Errorf("the TOML decoder failed: %v", p)
		}
	}()
	doc = make(map[string]any)
	meta, err := toml.Decode(text, &doc)
	return doc, meta.Keys(), err
}

// syntax reports an error of the TOML decoder.
func (r *report) syntax(err error) {
	at := place{pos: textStart()}
	msg := err.Error()
	var pe toml.ParseError
	if errors.As(err, &pe) {
		at.pos = pos{line: max(1, pe.Position.Line), col: max(1, pe.Position.Col)}
		msg = pe.Message
		last := strings.Trim(pe.LastKey[strings.LastIndexByte(pe.LastKey, '.')+1:], `"`)
		if SecretNames()(last) && strings.ContainsAny(msg, "\"'`") {
			msg = "the value is not valid TOML" // and is not shown: it is a password
		}
	}
	msg = strings.TrimSuffix(strings.TrimPrefix(msg, "toml: "), ".")
	if first, size := utf8.DecodeRuneInString(msg); len(msg) > size && !unicode.IsUpper(rune(msg[size])) {
		msg = string(unicode.ToLower(first)) + msg[size:]
	}
	r.errorf(at, "syntax: %s", Printable(msg))
}

// Printable escapes what would tear a line of messages apart, or tell a terminal to do
// something.
func Printable(msg string) string {
	if strings.IndexFunc(msg, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return msg
	}
	var b strings.Builder
	for _, r := range msg {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// SecretNames returns a function that says of a word whether it is the name of a key
// whose value must not be shown, a name that other programs have for one, or nearly so.
func SecretNames() func(word string) bool {
	var names []string
	var walk func(t *table)
	walk = func(t *table) {
		for _, f := range t.fields {
			if f.Secret {
				names = append(append(names, f.key), f.alias...)
			}
			if f.table != nil {
				walk(f.table)
			}
		}
	}
	walk(newSchema())
	slices.Sort(names)
	names = slices.Compact(names)
	return func(word string) bool { return nearest(word, names) != "" }
}

// validator checks what one key alone cannot tell, and resolves the defaults
// that depend on other keys.
type validator struct {
	*report
	cfg  *Config
	root place

	names    allNames
	compared int // names, in search of those that were meant
}

func (v *validator) validate() {
	v.scripts()
	v.bfd()
	v.instances()
	v.trackerTables()
	v.virtualServers()
	v.ipvs()
	v.throughVIP()
	v.readiness()
	v.channels()
	v.web()
	v.snmpAgent()
	v.processes()
	if len(v.errs) == 0 {
		v.plausible()
	}
	static := len(v.cfg.StaticAddresses) + len(v.cfg.StaticRoutes) + len(v.cfg.StaticRules)
	if len(v.cfg.Instances) == 0 && len(v.cfg.VirtualServers) == 0 && static == 0 && len(v.errs) == 0 {
		v.errorf(place{pos: textStart()}, "there is nothing to do: write at least one [vrrp_instance.NAME] or [virtual_server.NAME]")
	}
}

func (v *validator) scripts() {
	tables := v.root.child("vrrp_script")
	for i := range v.cfg.Scripts {
		s := &v.cfg.Scripts[i]
		if at := tables.child(s.Name); !at.has("timeout") {
			s.Timeout = s.Interval
		} else {
			v.slow(at, s.Interval, s.Timeout, s.Fall)
		}
		if s.User == "" {
			s.User = v.cfg.Global.ScriptUser
		}
	}
}

// ref names a place in a message about another one: its path and its line.
func ref(at place) string {
	if at.pos.line == 0 {
		return at.path()
	}
	return fmt.Sprintf("%s (line %d)", at.path(), at.pos.line)
}

// duplicates reports every value that a list holds for the second time.
func (v *validator) duplicates(places []place, values []string) {
	seen := make(map[string]bool, len(values))
	for i, value := range values {
		if seen[value] && v.ok(places[i]) {
			v.errorf(places[i], "%s is already in the list, allowed is each once", show(value))
		}
		seen[value] = true
	}
}
