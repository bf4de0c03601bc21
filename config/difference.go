package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// Difference is one thing in which two configurations differ.
type Difference struct {
	Path string // dotted, as errors name it: virtual_server.web.scheduler
	// What is added, removed or changed; From and To are values of a key that has
	// changed, as a file writes them, without secrets.
	What     string
	From, To string
}

// String reads: changed vrrp_instance.web.priority: 100 -> 150.
func (d Difference) String() string {
	s := d.What + " " + d.Path
	if d.From != "" || d.To != "" {
		s += fmt.Sprintf(": %s -> %s", dashed(d.From), dashed(d.To))
	}
	return s
}

func dashed(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Differences tells in which keys b differs from a. Tables that only one of them has, and
// real servers, are told as a whole; what is alike costs next to nothing.
func Differences(a, b *Config) []Difference {
	var d differ
	d.table("", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), newSchema())
	return d.list
}

type differ struct{ list []Difference }

func (d *differ) add(path, what, from, to string) {
	d.list = append(d.list, Difference{Path: path, What: what, From: from, To: to})
}

func (d *differ) table(path string, a, b reflect.Value, t *table) {
	for _, f := range t.fields {
		av, bv := a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		if reflect.DeepEqual(av.Interface(), bv.Interface()) {
			continue
		}
		at := strings.TrimPrefix(path+"."+f.key, ".")
		switch f.kind {
		case kindTable:
			d.table(at, av, bv, f.table)
		case kindTablePtr:
			switch {
			case av.IsNil():
				d.add(at, "added", "", "")
			case bv.IsNil():
				d.add(at, "removed", "", "")
			default:
				d.table(at, av.Elem(), bv.Elem(), f.table)
			}
		case kindNamed, kindList:
			d.tables(at, av, bv, f)
		default:
			if from, to := f.shown(av), f.shown(bv); from != to || f.kind == kindSecret {
				d.add(at, "changed", from, to)
			}
		}
	}
}

// tables compares lists of tables: those of one name, or of one address, are the same.
func (d *differ) tables(at string, a, b reflect.Value, f *field) {
	before := map[string]reflect.Value{}
	for i := range a.Len() {
		before[f.identity(at, a.Index(i), i)] = a.Index(i)
	}
	for i := range b.Len() {
		id := f.identity(at, b.Index(i), i)
		old, had := before[id]
		delete(before, id)
		switch {
		case !had:
			d.add(id, "added", "", "")
		case !reflect.DeepEqual(old.Interface(), b.Index(i).Interface()):
			d.table(id, old, b.Index(i), f.table)
		}
	}
	for i := range a.Len() {
		if id := f.identity(at, a.Index(i), i); before[id].IsValid() {
			delete(before, id)
			d.add(id, "removed", "", "")
		}
	}
}

// identity is the path of an element of a list of tables: by its name, its address, or
// else its place.
func (f *field) identity(at string, e reflect.Value, i int) string {
	name := ""
	if v := e.FieldByName("Name"); v.IsValid() && v.Kind() == reflect.String {
		name = v.String()
	}
	if f.kind == kindNamed {
		return at + "." + name
	}
	if v := e.FieldByName("Address"); v.IsValid() && name == "" {
		switch a := v.Interface().(type) {
		case netip.Addr:
			name = a.String()
		case netip.AddrPort:
			name = a.String()
		}
	}
	if name == "" {
		name = strconv.Itoa(i + 1)
	}
	return at + "[" + name + "]"
}

// shown is the value of a key as a file writes it; that of a secret is not shown.
func (f *field) shown(v reflect.Value) string {
	switch f.kind {
	case kindSecret:
		return ""
	case kindStrings, kindCommand, kindStatus, kindAddrs:
		var parts []string
		for _, e := range listOf(v) {
			parts = append(parts, fmt.Sprint(e))
		}
		return strings.Join(parts, " ")
	}
	if f.Secret {
		return ""
	}
	if text := fmt.Sprint(plainOf(v)); !strings.HasPrefix(text, "invalid ") { // the zero address
		return text
	}
	return ""
}
