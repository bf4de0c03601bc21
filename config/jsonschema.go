package config

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// JSONSchema returns the schema of the language for editors. annotated is the text of
// etc/director.toml, whose comments become the descriptions of the keys.
//
// The dialect is draft 07, of which only those words are used that mean the same in
// draft 04: the TOML language server of most editors knows no later one, and takes
// what it does not know for allowed. So a file that the schema takes may still be
// wrong, but none that it refuses is right.
func JSONSchema(annotated string) ([]byte, error) {
	schema := newSchema()
	s := &schemas{docs: documentation(annotated, schema), defs: make(map[string]*jsonNode)}
	root := s.table(schema)
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Title = "director.toml: the configuration of director"
	root.Definitions = s.defs
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	err := enc.Encode(root)
	return b.Bytes(), err
}

// jsonNode is one schema: the words that director's has, in the order of reading.
type jsonNode struct {
	Schema      string               `json:"$schema,omitempty"`
	Title       string               `json:"title,omitempty"`
	Description string               `json:"description,omitempty"`
	Type        any                  `json:"type,omitempty"` // a name, or a list of names
	Ref         string               `json:"$ref,omitempty"`
	AllOf       []*jsonNode          `json:"allOf,omitempty"`
	AnyOf       []*jsonNode          `json:"anyOf,omitempty"`
	Enum        []any                `json:"enum,omitempty"`
	Pattern     string               `json:"pattern,omitempty"`
	MinLength   int                  `json:"minLength,omitempty"`
	Minimum     *int64               `json:"minimum,omitempty"`
	Maximum     *int64               `json:"maximum,omitempty"`
	Items       *jsonNode            `json:"items,omitempty"`
	MinItems    int                  `json:"minItems,omitempty"`
	MaxItems    int                  `json:"maxItems,omitempty"`
	Default     any                  `json:"default,omitempty"`
	Required    []string             `json:"required,omitempty"`
	Properties  jsonProperties       `json:"properties,omitempty"`
	Patterns    map[string]*jsonNode `json:"patternProperties,omitempty"`
	Additional  *bool                `json:"additionalProperties,omitempty"`
	Definitions map[string]*jsonNode `json:"definitions,omitempty"`
}

// jsonProperties are the keys of a table in the order of the model.
type jsonProperties []jsonProperty

type jsonProperty struct {
	key  string
	node *jsonNode
}

// MarshalJSON writes an object with its keys in order.
func (p jsonProperties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, e := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(e.key) + ":")
		if err := enc.Encode(e.node); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemas makes the schemas of tables; one that stands at several places is a
// definition, by the name of its type.
type schemas struct {
	docs map[docKey]string
	defs map[string]*jsonNode
}

func (s *schemas) table(t *table) *jsonNode {
	closed := false
	n := &jsonNode{Type: "object", Additional: &closed}
	for _, f := range t.fields {
		if f.Required {
			n.Required = append(n.Required, f.key)
		}
		n.Properties = append(n.Properties, jsonProperty{f.key, s.field(f)})
	}
	return n
}

// ref returns a reference to the schema of a table.
func (s *schemas) ref(t *table) *jsonNode {
	if s.defs[t.name] == nil {
		s.defs[t.name] = new(jsonNode) // a table may hold itself one day
		*s.defs[t.name] = *s.table(t)
	}
	return &jsonNode{Ref: "#/definitions/" + t.name}
}

// field returns the schema of a key with its description.
func (s *schemas) field(f *field) *jsonNode {
	n := s.value(f)
	if n.Ref != "" { // beside which nothing counts
		n = &jsonNode{AllOf: []*jsonNode{n}}
	}
	n.Description = s.describe(f)
	if f.Default != "" && f.kind != kindStatus {
		n.Default = f.rawDefault(f.Default)
	}
	return n
}

// describe tells what a person wants to know of a key.
func (s *schemas) describe(f *field) string {
	var parts []string
	if text := s.docs[docKey{f.owner, f.key}]; text != "" {
		parts = append(parts, text)
	}
	if f.table == nil && len(f.OneOf) == 0 && f.kind != kindBool {
		parts = append(parts, "Allowed is "+f.allowed()+".")
	}
	if f.Required {
		parts = append(parts, "Required.")
	}
	switch {
	case f.DefaultFrom != "":
		parts = append(parts, "Default: "+f.DefaultFrom+".")
	case f.Default != "":
		parts = append(parts, "Default: "+f.Default+".")
	}
	if f.When != "" {
		parts = append(parts, "Only with "+f.whenText()+".")
	}
	if len(f.alias) > 0 {
		parts = append(parts, "Elsewhere called: "+strings.Join(f.alias, ", ")+".")
	}
	return strings.Join(parts, "\n\n")
}

// value returns the schema of a key's values.
func (s *schemas) value(f *field) *jsonNode {
	text := func(pattern string) *jsonNode { return &jsonNode{Type: "string", MinLength: 1, Pattern: pattern} }
	switch f.kind {
	case kindBool:
		return &jsonNode{Type: "boolean"}
	case kindInt:
		n := &jsonNode{Type: "integer"}
		if len(f.OneOf) > 0 {
			for _, v := range f.OneOf {
				n.Enum = append(n.Enum, f.rawDefault(v))
			}
			return n
		}
		n.Minimum, n.Maximum = &f.min, &f.max
		return n
	case kindString:
		return f.stringNode()
	case kindSecret:
		return &jsonNode{Type: "string"}
	case kindDuration:
		return text(durationPattern)
	case kindAddr:
		return text("^" + addressPattern + "$")
	case kindPrefix:
		if f.form == "destination" {
			return text("^(default|all|any|" + addressPattern + "(/[0-9]{1,3})?)$")
		}
		return text("^" + addressPattern + "(/[0-9]{1,3})?$")
	case kindAddrPort:
		return text(`^(` + addressPattern + `|\[` + ipv6Pattern + `\])(:[0-9]{1,5})?$`)
	case kindAddrs:
		return orList1(text("^"+addressPattern+"$"), 1, 2)
	case kindStatus:
		status := text("^[0-9]+(-[0-9]+)?$")
		status.Type, status.MinLength = []string{"integer", "string"}, 0
		return orList1(status, 1, 0)
	case kindStrings:
		return orList1(f.stringNode(), 0, 0)
	case kindCommand:
		return orList1(&jsonNode{Type: "string"}, 1, 0)
	case kindNamed:
		open := false
		return &jsonNode{Type: "object", Patterns: map[string]*jsonNode{"^[A-Za-z0-9._-]{1,64}$": s.ref(f.table)}, Additional: &open}
	case kindList:
		return orList1(s.short(f), 0, 0)
	}
	return s.short(f)
}

// short is a table, or the plain value that may stand for it.
func (s *schemas) short(f *field) *jsonNode {
	if f.Short == "" {
		return s.ref(f.table)
	}
	return &jsonNode{AnyOf: []*jsonNode{s.value(f.table.byKey[f.Short]), s.ref(f.table)}}
}

// orList1 is a list, or its only element without the brackets; most is 0 where there is
// no bound.
func orList1(element *jsonNode, least, most int) *jsonNode {
	return &jsonNode{AnyOf: []*jsonNode{element, {Type: "array", Items: element, MinItems: least, MaxItems: most}}}
}

// stringNode is the schema of a string: its values, or its form as far as a pattern
// can tell it.
func (f *field) stringNode() *jsonNode {
	n := &jsonNode{Type: "string"}
	if len(f.OneOf) > 0 {
		for _, v := range f.OneOf {
			n.Enum = append(n.Enum, v)
		}
		return n
	}
	n.MinLength, n.Pattern = 1, formPattern(f.form)
	if f.takesNumbers() {
		n.Type, n.MinLength = []string{"string", "integer"}, 0
	}
	return n
}

// The patterns are those of ECMA 262 that every library has. What they refuse is wrong.
const (
	durationPattern = `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`
	octetPattern    = `(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	ipv6Pattern     = `[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*`
	addressPattern  = `(` + octetPattern + `(\.` + octetPattern + `){3}|` + ipv6Pattern + `)`
)

// formPattern returns the pattern of a form, "" for one that no pattern describes.
func formPattern(form string) string {
	const label = `[^\s/]`
	switch form {
	case "name":
		return "^[A-Za-z0-9._-]{1,64}$"
	case "interface":
		return `^[^\s/:]{1,15}$`
	case "label":
		return "^" + label + "{1,15}$"
	case "user":
		return `^[A-Za-z0-9._$@+\\-]{1,64}(:[A-Za-z0-9._$@+\\-]{1,64})?$`
	case "path":
		return `^/[^\s#]*$`
	case "method":
		return "^[A-Z-]{1,32}$"
	case "mail":
		return `^[^\s@]+@[A-Za-z0-9._-]+$`
	case "file":
		return "^/"
	case "cpus":
		return "^[0-9, -]+$"
	case "digest":
		return "^(md5|sha256):[0-9A-Fa-f]+$"
	case "header":
		return "^[^:]+:"
	case "ports", "uids":
		return "^[0-9]+(-[0-9]+)?$"
	}
	return ""
}
