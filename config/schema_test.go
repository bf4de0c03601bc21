package config

import (
	"reflect"
	"testing"
)

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
		{Path: "virtual_server.NAME.sorry_server", Type: "list of tables", Short: "address"},
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
