package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// decoder fills the model from a decoded document. What is wrong goes into the
// report, and the decoding goes on: the model then holds the default there.
type decoder struct{ *report }

// table decodes a table into a struct.
func (d *decoder) table(at place, rv reflect.Value, t *table) {
	at = at.keep()
	if at.short == "" {
		if raw, ok := at.raw.(map[string]any); ok {
			d.unknownKeys(at, raw, t)
		}
	}
	for _, f := range t.fields {
		fv := rv.FieldByIndex(f.index)
		if !at.has(f.key) {
			if f.Required {
				d.errorf(at.child(f.key), "is missing, required is %s", f.allowed())
			}
			d.absent(fv, f)
			continue
		}
		if f.def.IsValid() {
			fv.Set(f.def)
		}
		d.field(at.child(f.key), fv, f)
	}
	for _, f := range t.fields {
		if f.when(rv, t) {
			continue
		}
		if child := at.child(f.key); child.exists() && d.ok(at.child(f.whenKey)) {
			d.errorf(child.atKey(), "only valid with %s, here %s is %q", f.whenText(), f.whenKey, fmt.Sprint(rv.FieldByIndex(t.byKey[f.whenKey].index)))
		}
		rv.FieldByIndex(f.index).SetZero()
	}
}

// absent gives a field that the document lacks its default, down through the
// tables inside it.
func (d *decoder) absent(fv reflect.Value, f *field) {
	switch {
	case f.def.IsValid():
		fv.Set(f.def)
	case f.kind == kindTable && !f.optional:
		for _, inner := range f.table.fields {
			d.absent(fv.FieldByIndex(inner.index), inner)
		}
	}
}

// when says whether the field is valid beside the values of the other keys.
func (f *field) when(rv reflect.Value, t *table) bool {
	if f.whenKey == "" {
		return true
	}
	return slices.Contains(f.whenIn, rv.FieldByIndex(t.byKey[f.whenKey].index).String())
}

func (f *field) whenText() string {
	if len(f.whenIn) > 2 {
		return f.whenKey + " = " + orList(f.whenIn)
	}
	quoted := make([]string, len(f.whenIn))
	for i, v := range f.whenIn {
		quoted[i] = fmt.Sprintf("%s = %q", f.whenKey, v)
	}
	return strings.Join(quoted, " or ")
}

// field decodes one value that is present.
func (d *decoder) field(at place, fv reflect.Value, f *field) {
	switch f.kind {
	case kindTable:
		if d.isTable(at, f) {
			d.table(at, fv, f.table)
		}
	case kindTablePtr:
		if at = at.asShort(f.Short); d.isTable(at, f) {
			fv.Set(reflect.New(fv.Type().Elem()))
			d.table(at, fv.Elem(), f.table)
		}
	case kindList:
		list := at.list()
		if len(list) == 0 {
			return
		}
		// A faulty element stays empty, so that indexes in the model are those
		// of the document.
		fv.Set(reflect.MakeSlice(fv.Type(), len(list), len(list)))
		for i, e := range list {
			if e = e.asShort(f.Short); d.isTable(e, f) {
				d.table(e, fv.Index(i), f.table)
			}
		}
	case kindNamed:
		d.named(at, fv, f)
	case kindStrings:
		for _, e := range at.list() {
			var s string
			if p := f.parseString(e.raw, &s); p != nil {
				d.problem(e, f, p)
			}
			fv.Set(reflect.Append(fv, reflect.ValueOf(s)))
		}
	case kindCommand:
		argv, warning, p := parseCommand(at.raw)
		if p != nil {
			d.problem(at, f, p)
			return
		}
		if warning != "" {
			d.warnf(at, "%s", warning)
		}
		fv.Set(reflect.ValueOf(argv))
	case kindAddrs:
		d.perFamily(at, fv, f)
	case kindStatus:
		list := at.list()
		ranges := make([]StatusRange, 0, len(list))
		for _, e := range list {
			r, p := parseStatus(e.raw)
			if p != nil {
				d.problem(e, f, p)
				continue
			}
			ranges = append(ranges, r)
		}
		if len(list) == 0 {
			d.errorf(at, "an empty list is not allowed, allowed is %s", f.allowed())
		}
		if len(ranges) > 0 {
			fv.Set(reflect.ValueOf(ranges))
		}
	default:
		if p := f.parse(at.raw, fv); p != nil {
			d.problem(at, f, p)
		}
	}
}

// perFamily decodes an address of each family, or of one.
func (d *decoder) perFamily(at place, fv reflect.Value, f *field) {
	list := at.list()
	if len(list) == 0 {
		d.errorf(at, "an empty list is not allowed, allowed is %s", f.allowed())
	}
	var p PerFamily
	for _, e := range list {
		s, ok := e.raw.(string)
		if !ok {
			d.problem(e, f, wrongType(e.raw))
			continue
		}
		a, err := parseAddr(s)
		if err != nil {
			d.problem(e, f, &problem{what: show(s) + " " + err.Error()})
		} else if !p.set(a) {
			d.errorf(e, "%q is a second %s address, allowed is one of each family", a, familyName(a.Is6()))
		}
	}
	fv.Set(reflect.ValueOf(p))
}

// isTable says that there is a table or its short form, or reports that not.
func (d *decoder) isTable(at place, f *field) bool {
	if _, ok := at.raw.(map[string]any); ok || at.short != "" {
		return true
	}
	// The value itself is not shown: it may hold a password.
	allowed := "a table"
	if f.Short != "" {
		allowed = f.table.byKey[f.Short].allowed() + ", or a table"
	}
	if f.key == "notify" && f.table.byKey["all"] != nil {
		allowed += `: notify.all = "COMMAND" runs for every change`
	}
	d.errorf(at, "%s is not allowed here, allowed is %s", typeWord(at.raw), allowed)
	return false
}

// named decodes the tables [key.NAME] in the order of the document.
func (d *decoder) named(at place, fv reflect.Value, f *field) {
	raw, ok := at.raw.(map[string]any)
	if !ok {
		d.errorf(at, "%s is not allowed here: each %s has a name, write [%s.NAME]", typeWord(at.raw), f.key, f.key)
		return
	}
	names := at.keys()
	for _, name := range names {
		if _, isTable := raw[name].(map[string]any); !isTable && f.table.byKey[name] != nil {
			d.errorf(at, "the header has no name: write [%s.NAME] above the keys", f.key)
			return
		}
	}
	fv.Set(reflect.MakeSlice(fv.Type(), 0, len(names)))
	for _, name := range names {
		e := at.child(name)
		if what, allowed := formProblem("name", name); what != "" {
			d.errorf(e.atKey(), "the name %s, allowed is %s", what, allowed)
			continue
		}
		switch raw := e.raw.(type) {
		case map[string]any:
			if dotted(raw, f.table) {
				for _, rest := range e.keys() {
					d.errorf(e.child(rest), "a dot divides the name, allowed is a name in quotes: [%s.%s]", f.key, quote(name+"."+rest, 80))
				}
				continue
			}
		case []map[string]any:
			d.errorf(e, "the header has two brackets too many: write [%s.%s]", f.key, quoteKey(name))
			continue
		default:
			d.errorf(e, "%s is not allowed here, allowed is a table [%s.%s]", typeWord(e.raw), f.key, quoteKey(name))
			continue
		}
		fv.SetLen(fv.Len() + 1)
		elem := fv.Index(fv.Len() - 1)
		elem.FieldByName("Name").SetString(name)
		d.table(e, elem, f.table)
	}
}

// unknownKeys reports the keys that the table should not have.
func (d *decoder) unknownKeys(at place, raw map[string]any, t *table) {
	known := 0
	for key := range raw {
		if t.byKey[key] != nil {
			known++
		}
	}
	if known == len(raw) {
		return
	}
	for _, key := range at.keys() {
		if t.byKey[key] == nil {
			d.errorf(at.child(key).atKey(), "%s", t.unknownKey(key))
		}
	}
}

// dotted finds the tables of a named table that has nothing else, and none that
// it should have: its name was meant to hold a dot, which splits it in TOML.
func dotted(raw map[string]any, t *table) bool {
	for key, value := range raw {
		if _, isTable := value.(map[string]any); !isTable || t.byKey[key] != nil {
			return false
		}
	}
	return len(raw) > 0
}

// problem reports what a parse function found.
func (d *decoder) problem(at place, f *field, p *problem) {
	allowed := p.allowed
	if allowed == "" {
		allowed = f.allowed()
	}
	d.errorf(at, "%s, allowed is %s", p.what, allowed)
}
