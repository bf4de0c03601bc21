package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func numFields(v any) int { return reflect.TypeOf(v).NumField() }

// TestSchema holds the tags of the model together.
func TestSchema(t *testing.T) {
	var walk func(tbl *table, path string)
	walk = func(tbl *table, path string) {
		for _, f := range tbl.fields {
			at := path + "." + f.key
			if f.Required && (f.Default != "" || f.DefaultFrom != "") {
				t.Errorf("%s is required and has a default", at)
			}
			if (f.kind == kindInt && len(f.OneOf) == 0 || f.kind == kindDuration) && (f.Min == "" || f.Max == "" || f.min > f.max) {
				t.Errorf("%s has the bounds %q and %q", at, f.Min, f.Max)
			}
			if (f.kind == kindString || f.kind == kindStrings) && f.form == "" && len(f.OneOf) == 0 {
				t.Errorf("%s takes any string", at)
			}
			if (f.kind == kindBool || f.kind == kindInt || f.kind == kindDuration) && !f.Required &&
				f.Default == "" && f.DefaultFrom == "" && f.key != "fwmark" && !strings.HasSuffix(at, ".tunnel.port") {
				t.Errorf("%s is optional and has no default", at)
			}
			if f.When != "" && (tbl.byKey[f.whenKey] == nil || len(tbl.byKey[f.whenKey].OneOf) == 0) {
				t.Errorf("%s depends on %s", at, f.When)
			}
			for _, v := range f.whenIn {
				if dep := tbl.byKey[f.whenKey]; dep != nil && !slices.Contains(dep.OneOf, v) {
					t.Errorf("%s depends on the value %s", at, v)
				}
			}
			for _, right := range f.wrong {
				if !slices.Contains(f.OneOf, right) {
					t.Errorf("%s proposes %s", at, right)
				}
			}
			for _, alias := range f.alias {
				if tbl.byKey[alias] != nil {
					t.Errorf("%s has the name of another key, %s, as an alias", at, alias)
				}
				if alias != strings.ToLower(alias) {
					t.Errorf("%s has the alias %s in capitals, which is never found", at, alias)
				}
			}
			if f.Short != "" && (f.table == nil || f.table.byKey[f.Short] == nil) {
				t.Errorf("%s has the short form %s", at, f.Short)
			}
			if f.allowed() == "" || f.Type == "" {
				t.Errorf("%s does not say what it takes", at)
			}
			if f.table != nil {
				walk(f.table, at)
			}
		}
	}
	walk(newSchema(), "")

	if kinds := int(kindNamed) + 1; kinds != 16 {
		t.Errorf("%d kinds", kinds)
	}
	for k := kindBool; k <= kindNamed; k++ {
		if k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
}

// TestFields looks at some entries of the table that documentation is made of.
func TestFields(t *testing.T) {
	fields := make(map[string]Field)
	for _, f := range Fields() {
		if _, twice := fields[f.Path]; twice {
			t.Errorf("%s is listed twice", f.Path)
		}
		fields[f.Path] = f
	}
	for _, want := range []Field{
		{Path: "global.child_timeout", Type: "duration", Default: "3s", Min: "500ms", Max: "60s"},
		{Path: "vrrp_instance", Type: "named tables"},
		{Path: "vrrp_instance.NAME.version", Type: "whole number", Default: "3", OneOf: []string{"2", "3"}},
		{Path: "vrrp_instance.NAME.authentication.password", Type: "string", When: "type=PASS|AH", Secret: true},
		{Path: "vrrp_instance.NAME.virtual_ipaddress", Type: "list of tables", Required: true, Short: "address"},
		{Path: "virtual_server.NAME.real_server[].check[].connect_port", Type: "whole number",
			DefaultFrom: "the real server's port", Min: "1", Max: "65535", When: "type=tcp|udp|http|https|tls|dns|smtp|grpc|mysql|postgres|redis|ldap|script|agent"},
		{Path: "virtual_server.NAME.sorry_server", Type: "table", Short: "address"},
	} {
		got := fields[want.Path]
		if len(got.OneOf) == 0 {
			got.OneOf = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}
