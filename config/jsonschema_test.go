package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

// compiled returns the schema of the language, ready for use.
func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := JSONSchema(string(readAnnotated(t)))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("director.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("director.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// instance turns a document into what a validator of JSON takes.
func instance(t testing.TB, text []byte) (any, error) {
	t.Helper()
	doc, _, err := decodeTOML(string(text))
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

// TestJSONSchemaIsPortable looks for words that not every editor knows.
func TestJSONSchemaIsPortable(t *testing.T) {
	text, err := JSONSchema(string(readAnnotated(t)))
	if err != nil {
		t.Fatal(err)
	}
	var node map[string]any
	if err := json.Unmarshal(text, &node); err != nil {
		t.Fatal(err)
	}
	portable(t, node)
}

// portable refuses what draft 04 has not, or understands in another way.
func portable(t *testing.T, raw any) {
	switch v := raw.(type) {
	case map[string]any:
		for key, inner := range v {
			if inner, isTable := inner.(map[string]any); isTable && (key == "properties" || key == "patternProperties" || key == "definitions") {
				for _, n := range inner {
					portable(t, n)
				}
				continue
			}
			if regexp.MustCompile(`^(const|if|then|else|contains|examples|propertyNames|exclusiveM|\$defs|\$id|id|format|readOnly)`).MatchString(key) {
				t.Errorf("the schema has %q", key)
			}
			portable(t, inner)
		}
		if v["$ref"] != nil && len(v) > 1 {
			t.Errorf("what stands beside a $ref does not count: %v", v)
		}
	case []any:
		for _, inner := range v {
			portable(t, inner)
		}
	}
}

// TestJSONSchemaTakesWhatIsRight validates every good file there is.
func TestJSONSchemaTakesWhatIsRight(t *testing.T) {
	schema := compiled(t)
	texts := map[string][]byte{
		annotated: readAnnotated(t), "full": commented.ReplaceAll(readAnnotated(t), []byte("$1")), "farm": farm(200),
	}
	for _, pattern := range []string{"testdata/*.good.toml", "../etc/examples/*.toml", "../etc/examples/*/*.toml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = text
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../README.md") {
		for _, e := range examples(t, page) {
			if e.lang == "toml" {
				texts[e.place] = []byte(complete(e.text))
			}
		}
	}
	if len(texts) < 50 {
		t.Errorf("only %d files", len(texts))
	}
	for name, text := range texts {
		doc, err := instance(t, text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestJSONSchemaRefusesWhatIsWrong changes one thing in a good document after the other.
func TestJSONSchemaRefusesWhatIsWrong(t *testing.T) {
	schema := compiled(t)
	const good = "[global]\nlog_level = \"info\"\n[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nversion = 3\nadvert_interval = \"1s\"\n" +
		"virtual_ipaddress = [\"192.0.2.10/24\", { address = \"2001:db8::10\" }]\nunicast_peer = \"192.0.2.3\"\nnopreempt = true\n" +
		"[virtual_server.web]\naddress = \"192.0.2.10:80\"\nquorum = 1\ncheck = [{ type = \"http\", status = [200, \"300-399\"] }]\nreal_server = [\"10.0.0.1:80\"]\n" +
		"[vrrp_script.a]\nscript = [\"/bin/true\"]\n"
	check := func(text string) error {
		doc, err := instance(t, []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		return schema.Validate(doc)
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ old, new string }{
		{"log_level", "log_levl"}, {`"info"`, `"loud"`}, {`"info"`, "1"}, {"[global]", "[globel]"},
		{"interface = \"eth0\"\n", ""}, {`"eth0"`, `"a name that is too long"`}, {`"eth0"`, `""`}, {"= 51", "= 0"}, {"= 51", "= 256"}, {"= 51", "= 5.1"}, {"= 51", "= \"51\""},
		{"version = 3", "version = 4"}, {`"1s"`, "1"}, {`"1s"`, `"1"`}, {`"1s"`, `"1 s"`}, {`"1s"`, `"1d"`}, {`"1s"`, `"-1s"`},
		{"192.0.2.10/24", "192.0.2.256/24"}, {"192.0.2.10/24", "192.0.2.10/1234"}, {"192.0.2.10/24", "www.example.com"}, {"{ address", "{ adress"}, {`"2001:db8::10"`, "1"},
		{`unicast_peer = "192.0.2.3"`, `unicast_peer = "peer"`}, {"nopreempt = true", `nopreempt = "yes"`}, {"nopreempt = true", "nopreempt = 1"},
		{"192.0.2.10:80", "192.0.2.10:80000000"}, {"192.0.2.10:80", "web:80"}, {"quorum = 1", "quorum = 0"}, {`"http"`, `"htp"`}, {"200,", "true,"}, {`"300-399"`, `"3xx"`},
		{`"10.0.0.1:80"`, "{ weight = 1 }"}, {`["/bin/true"]`, "[]"}, {`["/bin/true"]`, "1"}, {"vrrp_script.a", `vrrp_script."a b"`}, {"vrrp_script.a", "vrrp_skript.a"},
	} {
		bad := strings.Replace(good, tc.old, tc.new, 1)
		if bad == good {
			t.Errorf("%q is not in the document", tc.old)
		}
		if check(bad) == nil {
			t.Errorf("%s instead of %s is taken", tc.new, tc.old)
		}
		if _, err := Parse("x.toml", []byte(bad)); err == nil {
			t.Errorf("%s instead of %s is right", tc.new, tc.old)
		}
	}
}

// TestJSONSchemaIsNoStricter compares the patterns of forms, durations and addresses with
// what the parser takes: nothing that is right is refused.
func TestJSONSchemaIsNoStricter(t *testing.T) {
	forms := map[string]bool{}
	var walk func(*table)
	walk = func(tbl *table) {
		for _, f := range tbl.fields {
			if f.form != "" && f.form != "command" && f.form != "named" && f.form != "destination" {
				forms[f.form] = true
			}
			if f.table != nil {
				walk(f.table)
			}
		}
	}
	walk(newSchema())
	patterned := 0
	for form := range forms {
		pattern := formPattern(form)
		if pattern == "" {
			continue
		}
		patterned++
		re := regexp.MustCompile(pattern)
		t.Run(form, rapid.MakeCheck(func(t *rapid.T) {
			s := rapid.OneOf(rapid.String(), rapid.StringMatching(pattern), rapid.StringMatching(`[a-z0-9/:@.,+$\\=-]{1,20}`),
				rapid.SampledFrom([]string{"0,2-3", "a@b", "\"a\"@b", "a:b", "md5:00", "GET", "/a b", "00:00:5e:00:01:01", "eth0.1", "10-20"})).Draw(t, "text")
			if what, _ := formProblem(form, s); what == "" && !re.MatchString(s) {
				t.Errorf("%q is right and does not match %s", s, pattern)
			}
		}))
	}
	if patterned < 10 {
		t.Errorf("only %d forms have a pattern", patterned)
	}
	field := func(path string) *field {
		n := newSchema()
		parts := strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			n = n.byKey[part].table
		}
		return n.byKey[parts[len(parts)-1]]
	}
	for path, shape := range map[string]string{
		"vrrp_instance.advert_interval":           `\+?([0-9.]{1,3}(ms|s|m|h|us|µs)){1,2}`,
		"bfd.neighbor_ip":                         `[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-f:]{2,20}(\.[0-9]{1,2}){0,3}`,
		"vrrp_instance.virtual_ipaddress.address": `([0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-f:]{2,20})(/[0-9]{1,3})?`,
		"virtual_server.address":                  `(\[[0-9a-f:]{2,20}\]|[0-9]{1,3}(\.[0-9]{1,3}){3}|[0-9a-f:]{2,20})(:[0-9]{1,5})?`,
		"static_route.to":                         `default|all|any|[0-9]{1,3}(\.[0-9]{1,3}){3}(/[0-9]{1,2})?|[0-9a-f:]{2,20}(/[0-9]{1,3})?`,
	} {
		f := field(path)
		pattern := (&schemas{}).value(f).Pattern
		re := regexp.MustCompile(pattern)
		t.Run(path, rapid.MakeCheck(func(t *rapid.T) {
			s := rapid.StringMatching(shape).Draw(t, "text")
			var err error
			switch f.kind {
			case kindDuration:
				if _, p := f.parseDuration(s); p != nil {
					return
				}
			case kindAddr:
				_, err = parseAddr(s)
			case kindAddrPort:
				_, err = parseAddrPort(s)
			case kindPrefix:
				if _, err = parsePrefix(s); f.form == "destination" {
					_, err = parseDestination(s)
				}
			default:
				t.Fatalf("kind %v", f.kind)
			}
			if err == nil && !re.MatchString(s) {
				t.Errorf("%q is right and does not match %s", s, pattern)
			}
		}))
	}
}

// TestJSONSchemaExplains asks for the text of keys, wherever the sample has it.
func TestJSONSchemaExplains(t *testing.T) {
	docs := documentation(string(readAnnotated(t)), newSchema())
	for key, want := range map[docKey]string{
		{"Instance", "virtual_router_id"}: "The number of the virtual router, 1 to 255, the same on both hosts and used by nobody else on the same network. Required.",
		{"Track", "weight"}:               "-253 to 253 instead of the script's own weight.",
		{"UnicastPeer", "min_ttl"}:        "1 to 255, default 255: an advert that arrives with a smaller time to live is dropped. 255 proves that the sender is on this link: every router on the way counts it down. Lower it for a peer behind routers, by their number.",
		{"Garp", "repeat"}:                docs[docKey{"Garp", "repeat"}],
		{"RealServer", "weight"}:          "Its share, 0 to 2147483647. 0: no new connections.",
	} {
		if d := cmp.Diff(want, docs[key]); d != "" || want == "" {
			t.Errorf("%v (-want +got):\n%s", key, d)
		}
	}
	all, without := map[docKey]bool{}, []docKey{}
	var walk func(*table)
	walk = func(tbl *table) {
		for _, f := range tbl.fields {
			k := docKey{f.owner, f.key}
			if !all[k] && docs[k] == "" {
				without = append(without, k)
			}
			all[k] = true
			if f.table != nil {
				walk(f.table)
			}
		}
	}
	walk(newSchema())
	if len(without)*10 > len(all) {
		t.Errorf("%d of %d keys are not explained: %v", len(without), len(all), without)
	}
}
