package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEffective writes every good configuration with all that is in force in it: it is
// read back as the same model, its secrets apart.
func TestEffective(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.toml")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	texts := map[string][]byte{"full": commented.ReplaceAll(readAnnotated(t), []byte("$1")), "sample": readAnnotated(t), "farm": farm(200)}
	for _, file := range files {
		if texts[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			want, err := Parse(name, text)
			if err != nil {
				t.Fatal(err)
			}
			tree, list := Effective(want, Positions(name, text))
			out := tree.Write()
			got, err := Parse("written.toml", out)
			if err != nil {
				t.Fatalf("%v", err)
			}
			if d := cmp.Diff(want, got, netipTypes, cmp.Comparer(func(a, b Secret) bool { return (a == "") == (b == "") })); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if len(list) < 20 {
				t.Errorf("%d settings", len(list))
			}
		})
	}
}

// TestEffectiveSources looks at where values are said to come from.
func TestEffectiveSources(t *testing.T) {
	text := []byte(`[global]
log_level = "warn"
script_user = "nobody"
[vrrp_script.a]
script = "/bin/true"
[vrrp_instance.web]
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.10/24", { address = "192.0.2.11" }]
garp = { repeat = 3 }
track_script = ["a"]
authentication = { type = "HMAC", keys = [{ id = 1, key = "` + strings.Repeat("geheim", 6) + `" }] }
[virtual_server.web]
address = "192.0.2.10:80"
real_server = ["10.0.0.1", { address = "10.0.0.2:80", check = { type = "ping" } }]
[[virtual_server.web.check]]
type = "tcp"
[notify.webhook]
url = "https://example.com/geheim"
`)
	cfg, err := Parse("x.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	tree, list := Effective(cfg, Positions("x.toml", text))
	got := make(map[string]string)
	for _, s := range list {
		got[s.Key] = fmt.Sprint(s.Value, " # ", s.comment())
	}
	for key, want := range map[string]string{
		"global.log_level":                                "warn # x.toml:2",
		"global.log_format":                               "text # default",
		"vrrp_script.a.timeout":                           "1s # derived: interval",
		"vrrp_script.a.user":                              "nobody # inherited: global.script_user",
		"vrrp_instance.web.garp.repeat":                   "3 # x.toml:10",
		"vrrp_instance.web.garp.lower_prio_repeat":        "3 # derived: repeat",
		"vrrp_instance.web.virtual_ipaddress[0].address":  "192.0.2.10/24 # x.toml:9",
		"vrrp_instance.web.virtual_ipaddress[1].address":  "192.0.2.11 # x.toml:9",
		"vrrp_instance.web.track_script[0].weight":        "0 # inherited: the tracker's weight",
		"vrrp_instance.web.authentication.keys[0].key":    strings.Repeat("*", 32) + " # x.toml:12",
		"virtual_server.web.real_server[0].address":       "10.0.0.1:80 # x.toml:15",
		"virtual_server.web.real_server[0].forwarding":    "nat # inherited: the virtual server's",
		"virtual_server.web.real_server[0].check[0].type": "tcp # inherited, x.toml:17",
		"virtual_server.web.real_server[1].check[0].type": "ping # x.toml:15",
		"notify.webhook.url":                              "https://hidden.invalid/ # x.toml:19",
		"vrrp_instance.web.unicast_ttl":                   "",
	} {
		if got[key] != want {
			t.Errorf("%s = %s, want %s", key, got[key], want)
		}
	}
	out := string(tree.Write())
	if strings.Contains(out+fmt.Sprint(list), "geheim") || !strings.Contains(out, "log_level = \"warn\"  # x.toml:2\n") {
		t.Errorf("%s", out)
	}
}
