package config

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// TestScannerAgrees scans every valid document of the TOML test suite, which
// comes with the decoder: the scanner must find the decoder's keys, all of them
// and in the same order.
func TestScannerAgrees(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/BurntSushi/toml").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "internal/toml-test/tests/valid")
	documents, keys := 0, 0
	err = filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".toml") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, want, err := decodeTOML(string(text))
		if err != nil {
			return nil // this version of the decoder does not take it
		}
		documents++
		keys += len(want)
		if _, ok := scan(string(text), want); !ok {
			t.Errorf("%s: the scanner does not find the decoder's keys", strings.TrimPrefix(path, root))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if documents < 200 || keys < 1000 {
		t.Errorf("only %d documents with %d keys", documents, keys)
	}
}

const tricky = `# a comment with [brackets] and a = b
a = 1 # [no] table
"b.c" = 'd' # a quoted key
e."f\u0020g".h = "\"]}#"
i = """
[not.a.table]
j = 1 \
  """ # done
k = '''
"""
''''
l = [ # an array
  1, [2, "]"], # inner
  { m = 1, n.o = [ { p = 2 },
                   { p = 3 } ] },
  1979-05-27 07:32:00,
]
[ t . u ]
v = { w = { x = 1 },
      y = "}" }
[[z]]
a = 1
[[z]]
a = 2
[z.b]
c = 3
[[z.d]]
e = 4
[[z.d]]
e = 5
`

// TestScannerPlaces asks for the line and column of every key of a document.
func TestScannerPlaces(t *testing.T) {
	for _, text := range []string{tricky, strings.ReplaceAll(tricky, "\n", "\r\n"), "\ufeff" + tricky} {
		_, keys, err := decodeTOML(text)
		if err != nil {
			t.Fatal(err)
		}
		root, ok := scan(text, keys)
		if !ok {
			t.Fatalf("the scanner does not agree with the decoder")
		}
		var got strings.Builder
		dump(&got, root, "")
		if d := cmp.Diff(trickyPlaces, "\n"+got.String()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

// Path, place of the key, place of the value.
const trickyPlaces = `
a 2:1 2:5
b.c 3:1 3:9
e 4:1 4:1
e/f g 4:3 4:3
e/f g/h 4:14 4:18
i 5:1 5:5
k 9:1 9:5
l 12:1 12:5
l/0 13:3 13:3
l/1 13:6 13:6
l/1/0 13:7 13:7
l/1/1 13:10 13:10
l/2 14:3 14:3
l/2/m 14:5 14:9
l/2/n 14:12 14:12
l/2/n/o 14:14 14:18
l/2/n/o/0 14:20 14:20
l/2/n/o/0/p 14:22 14:26
l/2/n/o/1 15:20 15:20
l/2/n/o/1/p 15:22 15:26
l/3 16:3 16:3
t 18:3 18:3
t/u 18:1 18:1
t/u/v 19:1 19:5
t/u/v/w 19:7 19:11
t/u/v/w/x 19:13 19:17
t/u/v/y 20:7 20:11
z 21:3 21:3
z/0 21:1 21:1
z/0/a 22:1 22:5
z/1 23:1 23:1
z/1/a 24:1 24:5
z/1/b 25:1 25:1
z/1/b/c 26:1 26:5
z/1/d 27:5 27:5
z/1/d/0 27:1 27:1
z/1/d/0/e 28:1 28:5
z/1/d/1 29:1 29:1
z/1/d/1/e 30:1 30:5
`

func dump(b *strings.Builder, n *node, path string) {
	for _, k := range n.kids {
		fmt.Fprintf(b, "%s%s %d:%d %d:%d\n", path, k.name, k.key.line, k.key.col, k.val.line, k.val.col)
		dump(b, k, path+k.name+"/")
	}
	for i, e := range n.elems {
		fmt.Fprintf(b, "%s%d %d:%d %d:%d\n", path, i, e.key.line, e.key.col, e.val.line, e.val.col)
		dump(b, e, fmt.Sprintf("%s%d/", path, i))
	}
}

// TestScannerDisagrees gives the scanner a list of keys that is not the
// document's: no line is better than a wrong one.
func TestScannerDisagrees(t *testing.T) {
	const text = "[virtual_server.b]\naddress = 1\n[virtual_server.a]\naddress = 2\n"
	_, keys, err := decodeTOML(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrong := range map[string][]toml.Key{
		"one missing":  keys[:3],
		"one too many": append(append([]toml.Key{}, keys...), toml.Key{"x"}),
		"another name": {keys[0], keys[1], {"virtual_server", "c"}, keys[3]},
		"another path": {keys[0], {"virtual_server", "b", "b", "address"}, keys[2], keys[3]},
		"none":         nil,
	} {
		if _, ok := scan(text, wrong); ok {
			t.Errorf("%s: the scanner agrees", name)
		}
	}
	// Without places, the order of the document stays.
	doc, _, _ := decodeTOML(text)
	at := place{node: fallbackTree(keys), raw: doc}.child("virtual_server")
	if d := cmp.Diff([]string{"b", "a"}, at.keys()); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
	r := &report{file: "x.toml"}
	r.errorf(at.child("a").child("address"), "wrong")
	if got := r.errs.Error(); got != "x.toml: virtual_server.a.address: wrong" {
		t.Errorf("got %s", got)
	}
	// A tree that lost its order falls back on that of the alphabet.
	if d := cmp.Diff([]string{"a", "b"}, place{raw: at.raw}.keys()); d != "" {
		t.Errorf("order (-want +got):\n%s", d)
	}
}

func TestUnescape(t *testing.T) {
	if got := unescape(`\b\t\n\f\r\e\"\\\x41\u00fc\U0001F600z`); got != "\b\t\n\f\r\x1b\"\\Aü\U0001F600z" {
		t.Errorf("got %q", got)
	}
	for _, broken := range []string{`\`, `\u12`, `\xzz`, `\U1234567`} {
		unescape(broken) // must end
	}
}
