package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Field describes one key of the TOML language. Everything in it is taken from
// the struct tags that the decoder itself obeys.
type Field struct {
	// Path is the dotted path of the key; NAME stands for a name of the user's,
	// [] for the elements of a list: "virtual_server.NAME.real_server[].weight".
	Path string
	// Type is what the value must be, in words: "whole number", "duration",
	// "command", "table", "list of tables", "named tables", ...
	Type     string
	Required bool
	// Default is the value of an absent key in TOML without quotes. It is empty
	// when there is none.
	Default string
	// DefaultFrom says in words where the value of an absent key comes from.
	DefaultFrom string
	// Min, Max and Step bound a number or a duration, as the file writes them.
	Min, Max, Step string
	// OneOf lists the allowed values of a key that has only these.
	OneOf []string
	// Short is, for tables, the key that a plain value stands for.
	Short string
	// When is empty, or says for which value of another key this one is valid:
	// "type=tcp|http".
	When string
	// Secret values are never shown.
	Secret bool
}

// Fields returns the table of all keys of the language, tables included, in the
// order of the model.
func Fields() []Field {
	var fields []Field
	var walk func(t *table)
	walk = func(t *table) {
		for _, f := range t.fields {
			fields = append(fields, f.Field)
			if f.table != nil {
				walk(f.table)
			}
		}
	}
	walk(newSchema())
	return fields
}

// kind is the way in which a field is decoded.
type kind int

const (
	kindBool kind = iota
	kindInt
	kindString
	kindSecret
	kindDuration
	kindAddr
	kindPrefix
	kindAddrPort
	kindAddrs    // address of each family
	kindStatus   // list of status codes and ranges
	kindStrings  // list of strings
	kindCommand  // argument vector
	kindTable    // struct
	kindTablePtr // pointer to struct: nil when absent
	kindList     // slice of structs: [[key]] or key = [...]
	kindNamed    // slice of structs with a Name: [key.NAME]
)

func (k kind) String() string {
	return [...]string{"true or false", "whole number", "string", "string", "duration", "address",
		"address with mask", "address with port", "address, or one of each family", "list of status codes", "list of strings", "command",
		"table", "table", "list of tables", "named tables"}[k]
}

// field is a Field with what the decoder needs beside it.
type field struct {
	Field
	key      string
	owner    string // the type of the struct that the key is declared in
	kind     kind
	index    []int // of the struct's field, through the structs that are part of it
	form     string
	optional bool
	told     bool
	alias    []string
	wrong    map[string]string // values of other programs
	whenKey  string
	whenIn   []string
	min, max int64 // of numbers, and of durations in nanoseconds
	step     int64
	def      reflect.Value // invalid when there is no fixed default
	table    *table        // of tables and lists of tables
}

// table is the keys of one table of the language.
type table struct {
	name   string // of its struct's type
	header string // as a file writes it: [global], [[virtual_server.NAME.check]]
	parent *table
	fields []*field
	byKey  map[string]*field
	keys   []string
}

// newSchema builds the tables from the model's tags. It panics on a tag that
// makes no sense: that is a mistake in this package, which any test finds.
func newSchema() *table {
	return newTable(reflect.TypeFor[Config](), "", "the top level", nil)
}

func newTable(t reflect.Type, path, header string, parent *table) *table {
	tbl := &table{name: t.Name(), header: header, parent: parent, byKey: make(map[string]*field)}
	for _, sf := range reflect.VisibleFields(t) { // with those of embedded structs
		key, ok := sf.Tag.Lookup("toml")
		if !ok {
			continue // the Name of a named table, or an embedded struct itself
		}
		f := newField(sf, key)
		f.index = sf.Index
		f.owner = t.Name()
		if n := len(sf.Index) - 1; n > 0 {
			f.owner = t.FieldByIndex(sf.Index[:n]).Type.Name()
		}
		f.Path = key
		if path != "" {
			f.Path = path + "." + key
		}
		switch f.kind {
		case kindTable, kindTablePtr:
			et := sf.Type
			if f.kind == kindTablePtr {
				et = et.Elem()
			}
			f.table = newTable(et, f.Path, "["+f.Path+"]", tbl)
		case kindList:
			f.table = newTable(sf.Type.Elem(), f.Path+"[]", "[["+strings.ReplaceAll(f.Path, "[]", "")+"]]", tbl)
		case kindNamed:
			f.table = newTable(sf.Type.Elem(), f.Path+".NAME", "["+f.Path+".NAME]", tbl)
		}
		tbl.fields = append(tbl.fields, f)
		tbl.byKey[key] = f
		tbl.keys = append(tbl.keys, key)
	}
	return tbl
}

func newField(sf reflect.StructField, key string) *field {
	tag := sf.Tag.Get
	f := &field{
		Field: Field{
			Required: tag("required") == "true",
			Min:      tag("min"), Max: tag("max"), Step: tag("step"),
			OneOf: strings.Fields(tag("oneof")),
			Short: tag("short"),
			When:  tag("when"),
		},
		key:      key,
		form:     tag("form"),
		optional: tag("optional") == "true",
		told:     tag("told") == "true",
		alias:    strings.Fields(tag("alias")),
		wrong:    misnomers(sf.Type),
	}
	f.kind = kindOf(sf.Type, f.form)
	f.Type = f.kind.String()
	f.Secret = f.kind == kindSecret
	if f.When != "" {
		var in string
		f.whenKey, in, _ = strings.Cut(f.When, "=")
		f.whenIn = strings.Split(in, "|")
	}
	f.min, f.max, f.step = f.bound(f.Min), f.bound(f.Max), f.bound(f.Step)
	def := tag("default")
	if from, ok := strings.CutPrefix(def, "="); ok {
		f.DefaultFrom = from
	} else if def != "" {
		f.Default = def
		f.def = reflect.New(sf.Type).Elem()
		if p := f.parse(f.rawDefault(def), f.def); p != nil {
			panic(fmt.Sprintf("config: default of %s: %s", sf.Name, p.what))
		}
	}
	return f
}

// bound turns the text of a min, max or step tag into a number.
func (f *field) bound(text string) int64 {
	if text == "" {
		return 0
	}
	if f.kind == kindDuration {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic("config: " + err.Error())
		}
		return int64(d)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("config: " + err.Error())
	}
	return n
}

// rawDefault gives the default the type that the TOML decoder would give it.
func (f *field) rawDefault(text string) any {
	switch f.kind {
	case kindBool:
		return text == "true"
	case kindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic("config: " + err.Error())
		}
		return n
	case kindStatus:
		return []any{text}
	}
	return text
}

func kindOf(t reflect.Type, form string) kind {
	switch t {
	case reflect.TypeFor[Duration]():
		return kindDuration
	case reflect.TypeFor[Secret]():
		return kindSecret
	case reflect.TypeFor[netip.Addr]():
		return kindAddr
	case reflect.TypeFor[netip.Prefix]():
		return kindPrefix
	case reflect.TypeFor[netip.AddrPort]():
		return kindAddrPort
	case reflect.TypeFor[PerFamily]():
		return kindAddrs
	case reflect.TypeFor[[]StatusRange]():
		return kindStatus
	case reflect.TypeFor[[]string]():
		if form == "command" {
			return kindCommand
		}
		return kindStrings
	}
	switch t.Kind() {
	case reflect.Bool:
		return kindBool
	case reflect.Int, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return kindInt
	case reflect.String:
		return kindString
	case reflect.Struct:
		return kindTable
	case reflect.Pointer:
		return kindTablePtr
	case reflect.Slice:
		if form == "named" {
			return kindNamed
		}
		return kindList
	}
	panic("config: no way to decode " + t.String())
}

// misnomers lists the words by which other programs call the values of a type.
func misnomers(t reflect.Type) map[string]string {
	if t != reflect.TypeFor[Forwarding]() {
		return nil
	}
	return map[string]string{
		"masquerade": "nat", "masquerading": "nat", "masq": "nat", "-m": "nat",
		"gateway": "dr", "gatewaying": "dr", "gate": "dr", "direct": "dr", "route": "dr", "droute": "dr", "-g": "dr",
		"tun": "tunnel", "tunneling": "tunnel", "ipip": "tunnel", "-i": "tunnel",
	}
}

// unknownKey says what to write instead of a key that the table does not have.
func (t *table) unknownKey(key string) string {
	if called := t.aliasOf(key, ""); called != "" {
		return fmt.Sprintf("unknown key, it is called %s here", called)
	}
	if advice := keepalivedKeys(key); advice != "" {
		return "unknown key: " + advice
	}
	for _, f := range t.fields { // a key of an inner table, written one level too high
		if f.table != nil && f.kind != kindNamed && f.table.byKey[key] != nil {
			return fmt.Sprintf("unknown key here, it belongs into %s", f.table.header)
		}
	}
	if near := nearest(key, t.keys); near != "" {
		return fmt.Sprintf("unknown key, did you mean %s?", near)
	}
	for p := t.parent; p != nil; p = p.parent { // written below the header of an inner table
		if p.byKey[key] != nil {
			return fmt.Sprintf("unknown key here, it belongs into %s: a key belongs to the header above it", p.header)
		}
	}
	if len(t.keys) > 14 { // more than a reader takes in
		return fmt.Sprintf("unknown key, allowed are the %d keys of %s that etc/director.toml shows", len(t.keys), t.header)
	}
	return "unknown key, allowed are " + strings.Join(t.keys, ", ")
}

// aliasOf finds a key by another program's name, here or one table further in.
func (t *table) aliasOf(name, prefix string) string {
	lower := strings.ToLower(name)
	for _, f := range t.fields {
		if slices.Contains(f.alias, lower) {
			return prefix + f.key
		}
	}
	if prefix != "" || t.byKey[lower] != nil { // a key of this table in capitals
		return ""
	}
	for _, f := range t.fields {
		if f.table != nil && f.kind != kindNamed {
			if called := f.table.aliasOf(name, f.key+"."); called != "" {
				return called
			}
		}
	}
	return ""
}
