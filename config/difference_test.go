package config

import (
	"strings"
	"testing"
)

const differenceBase = `
[global]
log_level = "info"
[vrrp_instance.web]
interface = "eth0"
virtual_router_id = 51
priority = 100
virtual_ipaddress = ["192.0.2.80/24"]
version = 2
authentication = { type = "PASS", password = "geheim" }
[vrrp_instance.old]
interface = "eth0"
virtual_router_id = 52
virtual_ipaddress = ["192.0.2.81/24"]
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
real_server = [{ address = "10.0.0.1", weight = 1 }, { address = "10.0.0.2" }]
[ipvs_timeouts]
tcp_fin = "30s"
`

func TestDifferences(t *testing.T) {
	read := func(text string) *Config {
		t.Helper()
		c, err := Parse("x.toml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	changed := strings.NewReplacer(
		`log_level = "info"`, `log_level = "debug"`,
		"priority = 100", "priority = 150",
		"geheim", "anders",
		"[vrrp_instance.old]", "[vrrp_instance.new]", "= 52", "= 53",
		`scheduler = "rr"`, `scheduler = "wlc"`,
		`{ address = "10.0.0.1", weight = 1 }, { address = "10.0.0.2" }`, `{ address = "10.0.0.3" }, { address = "10.0.0.1", weight = 2 }`,
		"[ipvs_timeouts]\ntcp_fin = \"30s\"\n", "[ipvs_sync]\ninterface = \"eth1\"\n",
	).Replace(differenceBase)
	var got []string
	for _, d := range Differences(read(differenceBase), read(changed)) {
		got = append(got, d.String())
	}
	want := []string{
		"changed global.log_level: info -> debug",
		"changed vrrp_instance.web.priority: 100 -> 150",
		"changed vrrp_instance.web.authentication.password",
		"added vrrp_instance.new",
		"removed vrrp_instance.old",
		"changed virtual_server.web.scheduler: rr -> wlc",
		"added virtual_server.web.real_server[10.0.0.3:80]",
		"changed virtual_server.web.real_server[10.0.0.1:80].weight: 1 -> 2",
		"removed virtual_server.web.real_server[10.0.0.2:80]",
		"added ipvs_sync",
		"removed ipvs_timeouts",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
	if d := Differences(read(changed), read(changed)); len(d) != 0 {
		t.Errorf("a configuration differs from itself: %v", d)
	}
}
