package keepalived

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"director/config"
)

// FuzzParse translates anything: it must not panic or run on, each error must have
// its place, and a Config comes without an error only.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 10 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, s := range []string{"", "\xff", "{", "}", "$", "$A=\\", "@", "@^", "~SEQ(", "~LST({", "${", "\"", "'", "include", "include {", "a b {c}", "$A=$B\n$B=$A\n$A",
		"~SEQ(A,1,9)~SEQ(B,1,9)~SEQ(C,1,9) x", "virtual_server", "vrrp_instance", "vrrp_instance {", "virtual_ipaddress { / }", "$_=\\\n$_", "\\#\\!", "\"0\r0", "vrrp_script a { script \"\\\" }"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := options()
		o.maxLines, o.maxFiles = 5000, 50
		o.Glob = func(pattern string) ([]string, error) { return []string{"a", "b"}, nil }
		o.Read = func(name string) ([]byte, error) {
			if name == "b" {
				return nil, errors.New("b: unreadable")
			}
			return []byte(strings.Replace(text, "include", "", 1)), nil
		}
		began := time.Now()
		cfg, warnings, err := Parse("x.conf", []byte(text), o)
		if spent := time.Since(began); spent > 10*time.Second {
			t.Errorf("%d bytes took %s", len(text), spent)
		}
		check := func(e config.Error) {
			if e.Line < 1 || e.Col < 1 || e.Msg == "" || e.File == "" {
				t.Errorf("%+v", e)
			}
			if strings.ContainsAny(e.Error(), "\n\r") {
				t.Errorf("more than one line: %q", e.Error())
			}
		}
		for _, w := range warnings {
			check(config.Error(w))
		}
		var errs config.Errors
		if err == nil != (cfg != nil) || err != nil && !errors.As(err, &errs) {
			t.Fatalf("%v, %v", cfg, err)
		}
		for _, e := range errs {
			check(e)
		}
	})
}
