package config

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestSplitWords(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
		meta string
		err  error
	}{
		{line: ""},
		{line: " \t\n"},
		{line: "a", want: []string{"a"}},
		{line: "  a\tb\r\n c ", want: []string{"a", "b", "c"}},
		{line: `a 'b c' "d e"`, want: []string{"a", "b c", "d e"}},
		{line: `a'b c'"d e"f`, want: []string{"ab cd ef"}},
		{line: `'' ""`, want: []string{"", ""}},
		{line: `'a"b\' "a'b"`, want: []string{`a"b\`, "a'b"}},
		{line: `"a\"b\\c\d"`, want: []string{`a"b\c\d`}},
		{line: `a\ b \'c \\ \"`, want: []string{"a b", "'c", `\`, `"`}},
		{line: `'a`, err: errQuote},
		{line: `"a`, err: errQuote},
		{line: `"a\"`, err: errQuote},
		{line: `a\`, err: errBackslash},
		{line: `a | b`, want: []string{"a", "|", "b"}, meta: "|"},
		{line: `a && b`, want: []string{"a", "&&", "b"}, meta: "&"},
		{line: `a;b`, want: []string{"a;b"}, meta: ";"},
		{line: `a >/dev/null 2>&1`, want: []string{"a", ">/dev/null", "2>&1"}, meta: ">"},
		{line: `a <b`, want: []string{"a", "<b"}, meta: "<"},
		{line: "a `b`", want: []string{"a", "`b`"}, meta: "`"},
		{line: `a $B`, want: []string{"a", "$B"}, meta: "$"},
		{line: `a b$ $`, want: []string{"a", "b$", "$"}},
		{line: `a *.c`, want: []string{"a", "*.c"}, meta: "*"},
		{line: `~/a b~`, want: []string{"~/a", "b~"}, meta: "~"},
		{line: `a 'b|c' "d;e" f\&g`, want: []string{"a", "b|c", "d;e", "f&g"}},
		{line: "/usr/bin/prüfe ü", want: []string{"/usr/bin/prüfe", "ü"}},
	} {
		got, meta, err := splitWords(test.line)
		if d := cmp.Diff(test.want, got); d != "" || meta != test.meta || err != test.err {
			t.Errorf("%q: meta %q, error %v, words (-want +got):\n%s", test.line, meta, err, d)
		}
	}
}

// TestSplitWordsUndoesQuoting quotes random arguments in each way and expects
// them back.
func TestSplitWordsUndoesQuoting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.String()).Draw(t, "arguments")
		var line strings.Builder
		for _, arg := range want {
			switch rapid.IntRange(0, 2).Draw(t, "way") {
			case 0:
				line.WriteString("'" + strings.ReplaceAll(arg, "'", `'\''`) + "'")
			case 1:
				line.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(arg) + `"`)
			case 2:
				line.WriteString("''")
				for i := range len(arg) {
					line.WriteString(`\` + arg[i:i+1])
				}
			}
			line.WriteByte(' ')
		}
		got, meta, err := splitWords(line.String())
		if err != nil || meta != "" || len(got)+len(want) > 0 && !cmp.Equal(want, got) {
			t.Fatalf("%q: %q, meta %q, error %v", line.String(), got, meta, err)
		}
	})
}

func TestParseAddrPort(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:80":        "192.0.2.1:80",
		"192.0.2.1":           "192.0.2.1:0",
		"[2001:db8::1]:80":    "[2001:db8::1]:80",
		"2001:db8::1":         "[2001:db8::1]:0",
		"[2001:db8::1]":       "[2001:db8::1]:0",
		"2001:db8::1:80":      "[2001:db8::1:80]:0",
		"192.0.2.1:0":         errPort.Error(),
		"192.0.2.1:":          errPort.Error(),
		"192.0.2.1:65536":     errPort.Error(),
		"192.0.2.1:http":      errPort.Error(),
		"[2001:db8::1]:0":     errPort.Error(),
		"":                    errName.Error(),
		":80":                 errName.Error(),
		"web1:80":             errName.Error(),
		"fe80::1%eth0":        errZone.Error(),
		"[fe80::1%eth0]:80":   errZone.Error(),
		"[::ffff:1.2.3.4]:80": errMapped.Error(),
		"::ffff:1.2.3.4":      errMapped.Error(),
	} {
		got, err := parseAddrPort(text)
		if err != nil {
			if err.Error() != want {
				t.Errorf("%q: error %v, want %s", text, err, want)
			}
			continue
		}
		if ap := netip.MustParseAddrPort(want); got != ap {
			t.Errorf("%q: %v, want %v", text, got, ap)
		}
	}
}

func TestParsePrefix(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":      "192.0.2.1/32",
		"192.0.2.1/24":   "192.0.2.1/24",
		"192.0.2.1/1":    "192.0.2.1/1",
		"2001:db8::1":    "2001:db8::1/128",
		"2001:db8::1/64": "2001:db8::1/64",
		"192.0.2.1/":     "",
		"192.0.2.1/0":    "",
		"192.0.2.1/33":   "",
		"192.0.2.1/+24":  "",
		"192.0.2.1/024":  "",
		"192.0.2.1/24/1": "",
		"/24":            "",
	} {
		got, err := parsePrefix(text)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, error %v, want %q", text, got, err, want)
		}
	}
}

// TestDurations reads any whole number of milliseconds back.
func TestDurations(t *testing.T) {
	f := newSchema().byKey["global"].table.byKey["reconcile_interval"]
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(1000, 3600_000).Draw(t, "ms")) * time.Millisecond
		got, p := f.parseDuration(d.String())
		if p != nil || got.D() != d {
			t.Fatalf("%s: %s %v", d, got, p)
		}
	})
	for _, bad := range []any{"", "s", "1", "1.5", "-1", "1e3", "1x", "10 s", "1s ", "999ms", "1h1ms", "-10s", "NaN",
		"99999999999999h", int64(10), 1.5, true, time.Now(), []any{}, map[string]any{}} {
		if got, p := f.parseDuration(bad); p == nil {
			t.Errorf("%v is taken for %s", bad, got)
		}
	}
}

func TestForms(t *testing.T) {
	for _, test := range []struct{ form, good, bad string }{
		{"name", "a|VI_1|www.example.com|1-2|" + strings.Repeat("x", 64), "|a b|a/b|ü|a:b|" + strings.Repeat("x", 65)},
		{"interface", "eth0|br-lan|eth0.100|wg@x|" + strings.Repeat("x", 15), "|.|..|a b|a/b|eth0:1|a\tb|" + strings.Repeat("x", 16)},
		{"label", "eth0|eth0:1|eth0:", "|a b|" + strings.Repeat("x", 16)},
		{"user", "root|nobody:nogroup|1000:1000|svc$|a@example.com|EX\\a", "|:|a:|:b|a:b:c|a b|-a"},
		{"path", "/|/a?b=c&d=%20", "|a|http://x/|/a b|/a#b|/ü|/a\nb|/" + strings.Repeat("x", 2048)},
		{"host", "a|www.example.com|www.example.com:8080|192.0.2.1|192.0.2.1:80|[2001:db8::1]|[2001:db8::1]:80",
			"|a b|a:0|a:65536|a:|a:b|2001:db8::1|[192.0.2.1]|[2001:db8::1|[fe80::1%eth0]|a\r\nX: y|a/b"},
		{"method", "GET|HEAD|M-SEARCH", "|get|G T|GET\r\n|" + strings.Repeat("X", 33)},
		{"text", "a|lb-a, rack 3|ü", "|a\nb|a\x00|" + strings.Repeat("x", 256)},
		{"body", "a|\n", "|" + strings.Repeat("x", 4097)},
	} {
		for s := range strings.SplitSeq(test.good, "|") {
			if what, allowed := formProblem(test.form, s); what != "" || allowed == "" {
				t.Errorf("%s: %q %s", test.form, s, what)
			}
		}
		for s := range strings.SplitSeq(test.bad, "|") {
			if what, _ := formProblem(test.form, s); what == "" {
				t.Errorf("%s: %q is taken", test.form, s)
			}
		}
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"interface", "priority", "state", "track_script", "virtual_router_id"}
	for word, want := range map[string]string{
		"priorty": "priority", "pirority": "priority", "Priority": "priority", "prio": "priority", "priorities": "",
		"interfaces": "interface", "virtual-router-id": "virtual_router_id", "vrid": "", "x": "", "": "",
		"stat": "state", "statte": "state", "trackscript": "track_script", "scheduler": "", strings.Repeat("a", 1000): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "bca", 2}, {"kitten", "sitting", 3}} {
		if got, back := distance(test.a, test.b), distance(test.b, test.a); got != test.want || back != test.want {
			t.Errorf("%q %q: %d and %d, want %d", test.a, test.b, got, back, test.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"abc": `"abc"`, "a\nb": `"a\nb"`, "abcdefghij": `"abcdefgh"...`, "aaaaaaaü": `"aaaaaaa"...`, "üüüüü": `"üüüü"...`,
	} {
		if got := quote(in, 8); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestCheckKey changes each field of a check in turn: its key must change, and so
// must its question, but for the fields that do not change what is asked.
func TestCheckKey(t *testing.T) {
	base := Check{Kind: CheckHTTP, Status: []StatusRange{{200, 299}}, Path: `/`, Host: "h", Body: "b"}
	sameQuestion := []string{"Interval", "IntervalDown", "IntervalChanging", "Jitter", "Timeout", "ConnectTimeout", "Rise", "Fall",
		"LogAllFailures", "ConnectAddress", "ConnectPort"}
	keys := map[string]string{base.Key(): "nothing"}
	change := func(name string, c Check) {
		t.Helper()
		if other := keys[c.Key()]; other != "" {
			t.Errorf("a change of %s gives the same key as one of %s", name, other)
		}
		keys[c.Key()] = name
		if same := c.Question() == base.Question(); same != slices.Contains(sameQuestion, name) {
			t.Errorf("a change of %s: the same question %v", name, same)
		}
	}
	for i := range reflect.TypeFor[Check]().NumField() {
		c := base
		f := reflect.ValueOf(&c).Elem().Field(i)
		switch v := f.Addr().Interface().(type) {
		case *netip.Addr:
			*v = netip.MustParseAddr("192.0.2.1")
		case *[]StatusRange:
			*v = []StatusRange{{200, 298}}
		case *[]CheckURL:
			*v = []CheckURL{{Path: "/x"}}
		case *[]string:
			*v = []string{"x"}
		default:
			switch {
			case f.CanInt():
				f.SetInt(7)
			case f.CanUint():
				f.SetUint(7)
			case f.Kind() == reflect.Bool:
				f.SetBool(true)
			default:
				f.SetString("x")
			}
		}
		change(reflect.TypeFor[Check]().Field(i).Name, c)
	}
	c := base
	c.Password, c.Path = "other", "/"
	change("Password", c)
	c = base
	c.Path, c.Host = `/" "h`, ""
	change("where Path ends", c)
}

func TestCPUs(t *testing.T) {
	for list, want := range map[string][]int{
		"0": {0}, "3,1": {1, 3}, "0-2, 2,5": {0, 1, 2, 5}, "1023": {1023},
		"": nil, "a": nil, "2-1": nil, "1024": nil, "1,,2": nil, "-1": nil, "1-": nil, "0-99999": nil,
	} {
		if got := CPUs(list); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", list, got, want)
		}
	}
}
