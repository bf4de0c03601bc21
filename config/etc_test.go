package config

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const annotated = "../etc/director.toml"

// commented matches a line of the annotated file that is TOML but for its "#":
// prose has a blank after it.
var commented = regexp.MustCompile(`(?m)^#([a-z_0-9]+ = |\[)`)

func readAnnotated(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(annotated)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAnnotatedFile parses etc/director.toml as it is delivered.
func TestAnnotatedFile(t *testing.T) {
	cfg, warnings, err := ParseWithWarnings(annotated, readAnnotated(t))
	if err != nil {
		t.Fatalf("\n%v", err)
	}
	for _, w := range warnings {
		t.Error(w)
	}
	if len(cfg.Instances) != 2 || len(cfg.VirtualServers) != 1 || len(cfg.VirtualServers[0].RealServers) != 3 {
		t.Errorf("%d instances, %d virtual servers", len(cfg.Instances), len(cfg.VirtualServers))
	}
}

// TestAnnotatedFileIsComplete takes the "#" from every commented key and asks
// that the result is right and holds every key of the language, and that a key
// shown with a default in a table that is in use shows the true one.
func TestAnnotatedFileIsComplete(t *testing.T) {
	text := readAnnotated(t)
	full := commented.ReplaceAll(text, []byte("$1"))
	if _, err := Parse(annotated, full); err != nil {
		t.Fatalf("with every # taken away:\n%v", err)
	}
	doc, _, err := decodeTOML(string(full))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]any)
	collect(all, doc, newSchema())

	fields := Fields()
	if len(fields) < 90 {
		t.Fatalf("only %d fields", len(fields))
	}
	for _, f := range fields {
		// The same tables at another place need not be shown again.
		path := strings.Replace(f.Path, "real_server[].check", "check", 1)
		path = strings.Replace(path, "_excluded[]", "[]", 1)
		path = strings.Replace(path, "sorry_server[].check", "check", 1)
		path = strings.NewReplacer(".sorry_server[].tunnel", ".tunnel", ".real_server[].tunnel.", ".tunnel.").Replace(path)
		for _, same := range []string{"track_script[]", "notify."} {
			path = strings.Replace(path, "vrrp_sync_group.NAME."+same, "vrrp_instance.NAME."+same, 1)
		}
		// An address, a route and a rule have the same keys wherever they stand.
		for static, virtual := range map[string]string{
			"static_route[]": "vrrp_instance.NAME.virtual_routes[]", "static_rule[]": "vrrp_instance.NAME.virtual_rules[]",
		} {
			path = strings.Replace(path, static+".", virtual+".", 1)
		}
		if all[path] == nil {
			path = strings.Replace(path, "vrrp_instance.NAME.virtual_ipaddress[].", "static_address[].", 1)
		}
		// Of the three ways to give a secret only one is allowed in a table; the
		// others stand there in words.
		if i := strings.LastIndexByte(path, '.'); f.Secret || strings.HasSuffix(path, "_file") || strings.HasSuffix(path, "credential") {
			shown := false
			for other := range all {
				rest, same := strings.CutPrefix(other, path[:i+1])
				shown = shown || same && (strings.HasSuffix(rest, "credential") || strings.HasSuffix(rest, "_file") || strings.TrimSuffix(path, "_file") == other)
			}
			if shown && regexp.MustCompile(`(?m)^# .*\b`+path[i+1:]+`\b`).Match(text) {
				continue
			}
		}
		if all[path] == nil {
			t.Errorf("%s is not in %s", f.Path, annotated)
		}
	}

	// Defaults: of the keys that are commented out in a table that is in use.
	delivered, _, err := decodeTOML(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for kind, tables := range doc {
		used, _ := delivered[kind].(map[string]any)
		named, _ := tables.(map[string]any) // else a list of tables
		for name := range named {
			if kind != "global" && used[name] == nil {
				delete(named, name)
			}
		}
	}
	active, have := make(map[string][]any), make(map[string][]any)
	collect(active, delivered, newSchema())
	collect(have, doc, newSchema())
	shown := 0
	for _, f := range fields {
		if f.Default == "" || active[f.Path] != nil || have[f.Path] == nil {
			continue
		}
		got := have[f.Path][0]
		if list, ok := got.([]any); ok {
			got = list[0]
		}
		if s := strings.Trim(show(got), `"`); s != f.Default {
			t.Errorf("%s is shown with %s, its default is %s", f.Path, s, f.Default)
		}
		shown++
	}
	if shown < 20 {
		t.Errorf("only %d defaults shown", shown)
	}
}

// collect gathers the values of every key under its path in the field table.
func collect(have map[string][]any, raw any, t *table) {
	switch v := raw.(type) {
	case map[string]any:
		for _, f := range t.fields {
			value, ok := v[f.key]
			if !ok {
				continue
			}
			have[f.Path] = append(have[f.Path], value)
			if f.kind == kindNamed {
				for _, name := range (place{raw: value}).keys() {
					collect(have, value.(map[string]any)[name], f.table)
				}
			} else if f.table != nil {
				collect(have, value, f.table)
			}
		}
	case []any:
		for _, e := range v {
			collect(have, e, t)
		}
	case []map[string]any:
		for _, e := range v {
			collect(have, e, t)
		}
	}
}

// TestJSONRoundTrip sends every good configuration through encoding/json, as the
// parent does on its way to the children.
func TestJSONRoundTrip(t *testing.T) {
	files := map[string][]byte{
		annotated:   readAnnotated(t),
		"full":      commented.ReplaceAll(readAnnotated(t), []byte("$1")),
		"farm.toml": farm(300),
	}
	for _, name := range []string{"forms", "first_pair", "warnings"} {
		text, err := os.ReadFile("testdata/" + name + ".good.toml")
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	for name, text := range files {
		cfg, err := Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		sentAndReceived(t, name, cfg)
	}
}

// sentAndReceived sends a configuration through encoding/json, its secrets apart.
func sentAndReceived(t testing.TB, name string, cfg *Config) {
	t.Helper()
	sent, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := new(Config)
	if err := json.Unmarshal(sent, got); err != nil {
		t.Fatal(err)
	}
	if !got.PutSecrets(cfg.TakeSecrets()) {
		t.Errorf("%s: another number of secrets", name)
	}
	if d := cmp.Diff(cfg, got, netipTypes); d != "" {
		t.Errorf("%s (-sent +received):\n%s", name, d)
	}
}
