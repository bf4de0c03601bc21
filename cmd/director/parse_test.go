package main

import (
	"errors"
	"strings"
	"testing"

	"director/config"
)

func TestRoutingTablesByName(t *testing.T) {
	const instance = "[vrrp_instance.gw]\ninterface = \"eth0\"\nvirtual_router_id = 1\nvirtual_ipaddress = \"192.0.2.10\"\n"
	cfg, _, err := parse("x.toml", []byte(instance+"[[vrrp_instance.gw.virtual_rules]]\npriority = 1\ntable = \"local\"\n"+
		"[[static_route]]\nto = \"10.0.0.0/8\"\ndevice = \"eth0\"\ntable = 77\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := config.TableNumber(cfg.Instances[0].Rules[0].Table); n != 255 || !ok {
		t.Errorf("table %q", cfg.Instances[0].Rules[0].Table)
	}
	_, _, err = parse("x.toml", []byte(instance+"[[static_rule]]\npriority = 1\n[[static_rule]]\npriority = 2\ntable = \"no-such-table\"\n"))
	var errs config.Errors
	if !errors.As(err, &errs) || len(errs) != 1 || errs[0].Line != 9 || errs[0].Key != "static_rule[1].table" ||
		!strings.Contains(errs[0].Msg, `no routing table "no-such-table"`) {
		t.Errorf("error %+v", err)
	}
	if _, _, err := parse("x.toml", []byte("[nonsense]")); err == nil {
		t.Error("a file that is wrong is taken")
	}
}
