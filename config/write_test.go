package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readTree returns the document of a text in TOML.
func readTree(t interface{ Fatal(...any) }, text string) *Tree {
	doc, keys, err := decodeTOML(text)
	if err != nil {
		t.Fatal(err, "\n", text)
	}
	n, ok := scan(text, keys)
	if !ok {
		t.Fatal("the scanner does not find the keys of", text)
	}
	return &Tree{n, doc}
}

// TestWriteForms shows how a document is written.
func TestWriteForms(t *testing.T) {
	root := NewTree()
	at := Position{}
	in := root.Table("vrrp_instance", at).Table("VI_1", at)
	in.Set("interface", "eth0", at)
	in.Set("virtual_router_id", int64(51), at)
	in.Append("virtual_ipaddress", at).Set("address", "192.0.2.10/24", at)
	second := in.Append("virtual_ipaddress", at)
	second.Set("address", "192.0.2.11", at)
	second.Set("device", "eth1", at)
	in.Table("garp", at).Set("refresh", "0s", at)
	n := in.Table("notify", at)
	n.Set("master", []any{"/bin/up", "a b", "c"}, at)
	n.Set("backup", []any{"/bin/sh", "-c", "a | b"}, at)
	n.Set("stop", []any{"/bin/a", "|", "b"}, at)
	r := in.Append("virtual_routes", at)
	r.Set("to", "default", at)
	r.Set("table", "100", at)
	r.Set("rtt", "2m0s", at)
	vs := root.Table("virtual_server", at).Table("a.b", at)
	vs.Set("address", "192.0.2.10:80", at)
	vs.Table("sorry_server", at).Set("address", "10.0.0.9", at)
	c := vs.Append("check", at)
	c.Set("type", "http", at)
	c.Set("body_regexp", `^ok\s`, at)
	for _, s := range []string{"10.0.0.1", "10.0.0.2"} {
		vs.Append("real_server", at).Set("address", s, at)
	}
	w := root.Table("virtual_server", at).Table("w", at)
	rs := w.Append("real_server", at)
	rs.Set("address", "10.0.0.3", at)
	rs.Append("check", at).Set("type", "ping", at)

	root.Item("").Above("A file.", "", "####", "of two parts")
	root.Item("").Foot("The end.")
	in.Item("").Above("Outside.")
	in.Item("").Behind("VI_1")
	in.Item("").Foot("that is all")
	in.Item("virtual_router_id").Above("a\x01number")
	in.Item("interface").Behind("the first")
	in.Item("interface").Behind("of two")
	second.Item("").Above("alias")
	second.Item("").Behind("old")
	w.Item("real_server").Above("servers")

	const want = `# A file.

####
# of two parts

# Outside.
[vrrp_instance.VI_1]  # VI_1
interface = "eth0"  # the first; of two
# a number
virtual_router_id = 51
virtual_ipaddress = [
  "192.0.2.10/24",
  # alias
  { address = "192.0.2.11", device = "eth1" },  # old
]
garp.refresh = "0s"
virtual_routes = [{ to = "default", table = 100, rtt = "2m" }]
# that is all

[vrrp_instance.VI_1.notify]
master = "/bin/up 'a b' c"
backup = "/bin/sh -c 'a | b'"
stop = ["/bin/a", "|", "b"]

[virtual_server."a.b"]
address = "192.0.2.10:80"
sorry_server = "10.0.0.9"
check = { type = "http", body_regexp = '^ok\s' }
real_server = ["10.0.0.1", "10.0.0.2"]

# servers
[[virtual_server.w.real_server]]
address = "10.0.0.3"
check = { type = "ping" }

# The end.
`
	if d := cmp.Diff(want, string(root.Write())); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestWriteFiles writes the document of every valid file, with its defaults and
// without them: each is read as the same configuration. The document of its model is
// TOML with known keys.
func TestWriteFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.good.toml")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	texts := map[string]string{"full": string(commented.ReplaceAll(readAnnotated(t), []byte("$1")))}
	for _, file := range append(files, annotated) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(file)] = string(text)
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			want, err := Parse(name, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			bare := readTree(t, text)
			bare.OmitDefaults()
			for what, tree := range map[string]*Tree{"written": readTree(t, text), "without defaults": bare} {
				out := tree.Write()
				got, err := Parse("written.toml", out)
				if err != nil {
					t.Errorf("%s: %v\n%s", what, err, out)
					continue
				}
				if d := cmp.Diff(want, got, shown()...); d != "" {
					t.Errorf("%s (-want +got):\n%s", what, d)
				}
			}
			out := TreeOf(want).Write()
			doc, _, err := decodeTOML(string(out))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			all := make(map[string][]any)
			collect(all, doc, newSchema())
			if all["global.log_level"] == nil || all["vrrp_process.lock_memory"] == nil {
				t.Errorf("the model's document lacks keys:\n%s", out)
			}
		})
	}
}

// shown lets go-cmp compare whole configurations, secrets included.
func shown() cmp.Options {
	return cmp.Options{
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.Comparer(func(a, b Secret) bool { return string(a) == string(b) }),
	}
}

// TestWriteAnything writes documents of any keys and values of the language, right or
// wrong: TOML reads back the same.
func TestWriteAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		root := NewTree()
		fillAny(t, root, newSchema(), 0)
		out := string(root.Write())
		doc, keys, err := decodeTOML(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if _, ok := scan(out, keys); !ok {
			t.Fatalf("the scanner does not find the keys of\n%s", out)
		}
		if d := cmp.Diff(plain(root.raw, newSchema()), plain(doc, newSchema())); d != "" {
			t.Fatalf("(-want +got):\n%s\n%s", d, out)
		}
	})
}

var words = rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z"'\\ ]{0,12}`), rapid.Just("a\r\nb\x7f"))

func fillAny(t *rapid.T, tree *Tree, schema *table, depth int) {
	for _, f := range schema.fields {
		if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
			continue
		}
		comment := func(key string) {
			switch rapid.IntRange(0, 9).Draw(t, "comment") {
			case 0:
				tree.Item(key).Above(words.Draw(t, "above"), "", "#x")
			case 1:
				tree.Item(key).Behind(words.Draw(t, "behind"))
			case 2:
				tree.Item(key).Foot(words.Draw(t, "foot"))
			case 3:
				tree.Item(key).Apart()
			}
		}
		switch f.kind {
		case kindTable, kindTablePtr:
			fillAny(t, tree.Table(f.key, Position{}), f.table, depth+1)
		case kindList:
			for range rapid.IntRange(1, 3).Draw(t, "entries") {
				fillAny(t, tree.Append(f.key, Position{}), f.table, depth+1)
			}
		case kindNamed:
			for _, name := range rapid.SliceOfNDistinct(words, 1, 2, rapid.ID[string]).Draw(t, "names") {
				name = strings.ToValidUTF8(name, "")
				fillAny(t, tree.Table(f.key, Position{}).Table(name, Position{}), f.table, depth+1)
			}
		case kindStrings, kindCommand, kindAddrs, kindStatus:
			for range rapid.IntRange(1, 3).Draw(t, "entries") {
				tree.Add(f.key, strings.ToValidUTF8(words.Draw(t, "word"), ""), Position{})
			}
		case kindInt:
			tree.Set(f.key, rapid.Int64().Draw(t, "number"), Position{})
		case kindBool:
			tree.Set(f.key, rapid.Bool().Draw(t, "truth"), Position{})
		case kindDuration:
			d := time.Duration(rapid.Int64Range(0, int64(time.Hour*1000)).Draw(t, "time"))
			if rapid.Bool().Draw(t, "whole") {
				d = d.Truncate(time.Microsecond)
			}
			tree.Set(f.key, d.String(), Position{})
		default:
			tree.Set(f.key, strings.ToValidUTF8(words.Draw(t, "word"), ""), Position{})
		}
		comment(f.key)
	}
}

// plain takes away what the language allows to be written in two ways.
func plain(raw any, t *table) any {
	doc, is := raw.(map[string]any)
	if !is {
		return raw
	}
	out := make(map[string]any)
	for key, v := range doc {
		f := t.field(key)
		if f == nil {
			out[key] = v
			continue
		}
		switch {
		case f.kind == kindNamed:
			named := make(map[string]any)
			for name, e := range v.(map[string]any) {
				named[name] = plain(e, f.table)
			}
			v = named
		case f.table != nil && f.kind != kindList:
			if s, short := v.(string); short {
				v = map[string]any{f.Short: s}
			}
			v = plain(v, f.table)
		case f.kind == kindCommand:
			if s, is := v.(string); is {
				words, _, _ := splitWords(s)
				argv := make([]any, len(words))
				for i := range words {
					argv[i] = words[i]
				}
				v = argv
			}
		case f.takesNumbers():
			if n, is := v.(int64); is {
				v = strconv.FormatInt(n, 10)
			}
		case f.kind == kindDuration:
			v, _ = time.ParseDuration(v.(string))
		default:
			list := place{raw: v}.list()
			if f.kind != kindList && f.kind != kindAddrs && f.kind != kindStatus && f.kind != kindStrings {
				break
			}
			var all []any
			for _, e := range list {
				if s, short := e.raw.(string); short && f.table != nil {
					e.raw = map[string]any{f.Short: s}
				}
				if n, is := e.raw.(int64); is && f.kind == kindStatus {
					e.raw = strconv.FormatInt(n, 10)
				}
				all = append(all, plain(e.raw, inside(f)))
			}
			v = all
		}
		out[key] = v
	}
	return out
}
