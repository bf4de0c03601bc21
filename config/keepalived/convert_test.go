package keepalived

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"director/config"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestConvert writes every file of testdata in director's own language, as a .toml
// beside it. What is written is right, and says the same as the file itself.
func TestConvert(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 40 {
		t.Errorf("%d files, want 40 at least (%v)", len(files), err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "bad_") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := Parse(file, text, options())
			if err != nil {
				t.Fatal(err)
			}
			root, _, remarks, err := Convert(file, text, options())
			if err != nil {
				t.Fatal(err)
			}
			out := string(root.Write())
			flat := strings.Join(strings.Fields(regexp.MustCompile(`\n *#`).ReplaceAllString(out, "")), " ")
			for _, r := range remarks {
				if !strings.Contains(flat, strings.Join(strings.Fields(r.Msg), " ")) {
					t.Errorf("the remark %q is not in the text", r.Msg)
				}
			}
			golden(t, strings.TrimSuffix(file, ".conf")+".toml", out)
			got, err := config.Parse("written.toml", []byte(out))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if d := cmp.Diff(want, got, same()...); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestConvertLeavesOut converts what cannot be run as it is: director has nothing for some
// of it, and the rest is worth having.
func TestConvertLeavesOut(t *testing.T) {
	const text = "vrrp_instance A {\n interface eth0\n use_ipvlan # for the cloud\n vrf red\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.1 }\n}\n" +
		"virtual_server 192.0.2.1 80 {\n protocol TCP\n real_server 10.0.0.1 80 {\n  TCP_CHECK { }\n }\n}\n"
	if _, _, err := Parse("x.conf", []byte(text), options()); err == nil {
		t.Fatal("the text is right as it is")
	}
	root, _, remarks, err := Convert("x.conf", []byte(text), options())
	if err != nil {
		t.Fatal(err)
	}
	var lost []string
	for _, r := range remarks {
		if r.Loss == config.LeftOut {
			lost = append(lost, fmt.Sprintf("%d %s", r.Line, r.Key))
		}
	}
	if d := cmp.Diff([]string{"3 use_ipvlan", "4 vrf"}, lost); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	out := string(root.Write())
	for _, want := range []string{"# for the cloud\n", "# keepalived: line 3 \"use_ipvlan\": is not supported", "type = \"tcp\""} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if _, err := config.Parse("written.toml", []byte(out)); err != nil {
		t.Error(err)
	}
}

// same compares whole configurations, secrets included.
func same() cmp.Options {
	return cmp.Options{
		cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.Comparer(func(a, b config.Secret) bool { return string(a) == string(b) }),
	}
}

// written converts a text and reads the result; ok is false for a text that is wrong.
func written(t interface{ Fatalf(string, ...any) }, text string, o Options) (out string, ok bool) {
	want, _, err := Parse("x.conf", []byte(text), o)
	if err != nil {
		return "", false
	}
	root, _, _, err := Convert("x.conf", []byte(text), o)
	if err != nil {
		if utf8.ValidString(text) {
			t.Fatalf("%v\n%s", err, text)
		}
		return "", false
	}
	out = string(root.Write())
	got, err := config.Parse("written.toml", []byte(out))
	if err != nil {
		t.Fatalf("%v\n%s\n---\n%s", err, text, out)
	}
	if d := cmp.Diff(want, got, same()...); d != "" {
		t.Fatalf("(-want +got):\n%s\n%s\n---\n%s", d, text, out)
	}
	return out, true
}

// TestConvertExamples converts the files that users start from.
func TestConvertExamples(t *testing.T) {
	files, err := filepath.Glob(examples + "/*/*.conf")
	if err != nil || len(files) < 20 {
		t.Errorf("%d files, want 20 at least (%v)", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := written(t, string(text), options()); !ok {
			t.Errorf("%s is not right", file)
		}
	}
}

// TestConvertEdited edits the files of testdata: lines go, come twice or get comments. What
// is still right becomes the same configuration, with every comment in it once.
func TestConvertEdited(t *testing.T) {
	var texts []string
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "include") {
			texts = append(texts, string(text))
		}
	}
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		comments := 0
		comment := func() string {
			comments++
			return fmt.Sprintf("#%s comment<%d>", strings.Repeat("!", rapid.IntRange(0, 1).Draw(t, "ruler")), comments)
		}
		continued := false
		for l := range strings.Lines(rapid.SampledFrom(texts).Draw(t, "text")) {
			l = strings.TrimRight(l, "\n")
			n := rapid.IntRange(0, 40).Draw(t, "edit")
			if continued || strings.HasSuffix(l, `\`) {
				n = 40
			}
			continued = strings.HasSuffix(l, `\`)
			switch {
			case n == 0 && !strings.ContainsAny(l, "{}"):
				continue
			case n == 1 && !strings.ContainsAny(l, "{}"):
				lines = append(lines, l)
			case n < 8:
				lines = append(lines, "  "+comment())
			case n < 12 && !strings.ContainsAny(l, "#!"):
				l += " " + comment()
			case n == 13:
				lines = append(lines, "")
			}
			lines = append(lines, l)
		}
		out, ok := written(t, strings.Join(lines, "\n"), options())
		if !ok {
			return
		}
		valid++
		for i := 1; i <= comments; i++ {
			if n := strings.Count(out, fmt.Sprintf("comment<%d>", i)); n != 1 {
				t.Fatalf("comment %d is there %d times\n%s\n---\n%s", i, n, strings.Join(lines, "\n"), out)
			}
		}
	})
	if valid < 20 {
		t.Errorf("only %d of the edited files are right", valid)
	}
}

// FuzzConvert converts anything: it must not panic or run on, and what it writes says the
// same as the text.
func FuzzConvert(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 40 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("vrrp_script a {\n script \"/bin/a \xc7\"\n}\nvrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress { 1.1.1.1 }\n}")
	f.Add("vrrp_instance A { # a\n # b\n interface eth0 # c\n virtual_router_id 1\n virtual_ipaddress {\n # d\n 1.1.1.1 #e\n #f\n } # g\n} # h\n#i")
	f.Fuzz(func(t *testing.T, text string) {
		o := options()
		o.maxLines, o.maxFiles = 5000, 50
		o.Glob = func(string) ([]string, error) { return []string{"a"}, nil }
		o.Read = func(string) ([]byte, error) { return []byte(strings.Replace(text, "include", "", 1)), nil }
		written(t, text, o)
	})
}
