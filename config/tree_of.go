package config

import (
	"net/netip"
	"reflect"
	"strconv"
)

// TreeOf returns the document of a configuration: all that it says, defaults included.
// Secrets are shown as they are; hide them first where others may read.
func TreeOf(c *Config) *Tree {
	t := NewTree()
	t.fill(reflect.ValueOf(c).Elem(), newSchema())
	return t
}

// fill puts what a struct holds into the table.
func (t *Tree) fill(rv reflect.Value, schema *table) {
	for _, f := range schema.fields {
		fv := rv.FieldByIndex(f.index)
		if !f.when(rv, schema) || f.says(fv) {
			continue
		}
		switch f.kind {
		case kindTable:
			t.Table(f.key, Position{}).fill(fv, f.table)
		case kindTablePtr:
			t.Table(f.key, Position{}).fill(fv.Elem(), f.table)
		case kindList:
			for i := range fv.Len() {
				t.Append(f.key, Position{}).fill(fv.Index(i), f.table)
			}
		case kindNamed:
			for i := range fv.Len() {
				name := fv.Index(i).FieldByName("Name").String()
				t.Table(f.key, Position{}).Table(name, Position{}).fill(fv.Index(i), f.table)
			}
		case kindStrings, kindCommand, kindStatus, kindAddrs:
			for _, e := range listOf(fv) {
				t.Add(f.key, e, Position{})
			}
		default:
			t.Set(f.key, plainOf(fv), Position{})
		}
	}
}

// says says that a value is none: empty, and not because the file says so.
func (f *field) says(fv reflect.Value) bool {
	if fv.Kind() == reflect.Slice {
		return fv.Len() == 0
	}
	if f.kind == kindTable {
		return f.optional && fv.IsZero()
	}
	number := f.kind == kindInt || f.kind == kindDuration
	outOfRange := number && len(f.OneOf) == 0 && (intOf(fv) < f.min || intOf(fv) > f.max)
	resolved := f.Required || f.DefaultFrom != "" // a 0 is then meant
	return outOfRange || fv.IsZero() && !f.def.IsValid() && !(number && resolved) && f.kind != kindBool
}

func intOf(fv reflect.Value) int64 {
	if fv.CanUint() {
		return int64(fv.Uint())
	}
	return fv.Int()
}

// plainOf returns a value as TOML has it.
func plainOf(fv reflect.Value) any {
	switch v := fv.Interface().(type) {
	case Duration:
		return v.String()
	case netip.Addr:
		return v.String()
	case netip.AddrPort:
		if v.Port() == 0 {
			return v.Addr().String()
		}
		return v.String()
	case netip.Prefix:
		if v == anywhere {
			return "default"
		}
		return prefixText(v)
	}
	switch {
	case fv.Kind() == reflect.Bool:
		return fv.Bool()
	case fv.CanInt() || fv.CanUint():
		return intOf(fv)
	}
	return fv.String()
}

// prefixText writes an address without a mask that says nothing.
func prefixText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// listOf returns the elements of a list as TOML has them.
func listOf(fv reflect.Value) []any {
	var list []any
	switch v := fv.Interface().(type) {
	case PerFamily:
		for _, a := range []netip.Addr{v.IPv4, v.IPv6} {
			if a.IsValid() {
				list = append(list, a.String())
			}
		}
	case []StatusRange:
		for _, r := range v {
			if r.From == r.To {
				list = append(list, int64(r.From))
			} else {
				list = append(list, strconv.Itoa(r.From)+"-"+strconv.Itoa(r.To))
			}
		}
	case []string:
		for _, s := range v {
			list = append(list, s)
		}
	}
	return list
}
