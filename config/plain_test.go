package config

import (
	"reflect"
	"strings"
	"testing"
)

// plainTexts are documents, and whether they are plain.
var plainTexts = []struct {
	text  string
	plain bool
}{
	{"", true},
	{"# nothing\n\n\t # at all", true},
	{"a = 1", true},
	{"a=-17#x\n\"b c\"='d' # é\n c\t=\ttrue\n", true},
	{"a = 9223372036854775807\nb = -9223372036854775808\nc = 0", true},
	{"a = [] # x\nb = [ # y\n1\n,\n\"x\",[true], # z\n]\nc = [1,2,]\nd = [{a=1}, {}]", true},
	{"a = { b = 1, c = [{ d = 'e' }\n, 2] }\nf = {}", true},
	{"[a]\nb = 1\n[a.c.d]\ne = 1\n[a.c.f]", true},
	{"[[a]]\n[[a]]\nb = 1\n[a.c]\nd = 1\n[[a]]\n[a.c]\n[[a.e]]\n[[a.e]]\n[[a.f]]\n[[a.e]]\nx = 1", true},
	{"[[a.b]]\nx = 1\n[[a.b]]\n[a.c]\n[[a.b]]\ny = 2\n", true},
	{"['a.b'.c-_9]\n[\"x\"]", true},
	{strings.Repeat("[[a]]\nb = [{}]\n", 300), true},

	{"\ufeffa = 1", false}, // a byte order mark
	{"a = 1\r\n", false},
	{"a = \"\xff\"", false},
	{"a = '\x01'", false},
	{"# \x7f", false},
	{"a = 1 b = 2", false},
	{"a = 1\na = 2", false},
	{"a = 01", false},
	{"a = +1", false},
	{"a = -", false},
	{"a = 1_000", false},
	{"a = 0x10", false},
	{"a = 1.5", false},
	{"a = 9223372036854775808", false},
	{"a = 1979-05-27 07:32:00", false},
	{"a =", false},
	{"a = \n1", false},
	{"a\n= 1", false},
	{"a = yes", false},
	{"a = \"\\t\"", false},
	{"a = \"\"\"x\"\"\"", false},
	{"a = ''''''", false},
	{"a = 'b\n'", false},
	{"a = 'b", false},
	{"a.b = 1", false},
	{"a = { b.c = 1 }", false},
	{"a = { b = 1, }", false},
	{"a = { b = 1\n}", false},
	{"a = { b = 1, b = 2 }", false},
	{"a = [1 2]", false},
	{"a = [,]", false},
	{"a = [1", false},
	{"a = " + strings.Repeat("[", 40) + strings.Repeat("]", 40), false},
	{"[ a ]", false},
	{"[a] [b]", false},
	{"[a]]", false},
	{"[[a]", false},
	{"[]", false},
	{"[a.]", false},
	{"[a.b]\n[a]", false}, // allowed, and rare
	{"[a]\n[a]", false},
	{"a = 1\n[a]", false},
	{"a = 1\n[a.b]", false},
	{"a = {}\n[a.b]", false},
	{"a = []\n[[a]]", false},
	{"a = [{}]\n[a.b]", false},
	{"[a]\n[[a]]", false},
	{"[[a]]\n[a]", false},
	{"[[a]]\n[[a]]]", false},
	{"[a.b.c]\n[[a.b]]", false},
	{"[[a.b.c]]\n[[a.b]]", false},
	{"[[a]]\n[a.b]\nx = 1\n[a.b]", false},
	{"é = 1", false},
}

// TestReadPlain reads documents both ways.
func TestReadPlain(t *testing.T) {
	for _, c := range plainTexts {
		if got := readBothWays(t, c.text); got != c.plain {
			t.Errorf("%.80q: plain %v, want %v", c.text, got, c.plain)
		}
	}
	if !readBothWays(t, string(farm(1000))) {
		t.Error("a farm is not plain")
	}
}

// readBothWays says whether a document is plain. Then the decoder and the scanner must
// make the same of it.
func readBothWays(t *testing.T, text string) bool {
	t.Helper()
	doc, tree, ok := readPlain(text)
	if !ok {
		return false
	}
	want, keys, err := decodeTOML(text)
	if err != nil {
		t.Errorf("%.80q is read as %.200v, and the decoder says %v", text, doc, err)
		return true
	}
	if !reflect.DeepEqual(doc, want) {
		t.Errorf("%.80q is read as\n%.300v, by the decoder as\n%.300v", text, doc, want)
	}
	if places, ok := scan(text, keys); !ok || !reflect.DeepEqual(tree, places) {
		t.Errorf("%.80q: other places than the scanner's (which agrees with the decoder: %v)", text, ok)
	}
	return true
}

// FuzzReadPlain holds that what is read in one pass is what the decoder reads.
func FuzzReadPlain(f *testing.F) {
	addSeeds(f)
	for _, c := range plainTexts {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) { readBothWays(t, text) })
}
