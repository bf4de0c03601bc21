package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func addSeeds(f *testing.F) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 20 {
		f.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range append(files, annotated) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add(tricky)
	f.Add("")
	f.Add("\ufeff")
	f.Add("\xff\xfe")
	f.Add("virtual_server = [[[[]]]]")
	f.Add("[virtual_server.a]\naddress = '1.2.3.4:1'\nreal_server=[[],{},'',{address=''},{address='1.1.1.1'}]\ncheck=[{type='tcp'},{type=1},2]")
}

// FuzzParse parses anything: it must not panic, each error must have its place,
// and what is accepted must survive encoding/json.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		cfg, warnings, err := ParseWithWarnings("x.toml", []byte(text))
		lines := strings.Count(text, "\n") + 1
		check := func(e Error) {
			if e.Line < 1 || e.Line > lines || e.Col < 1 || e.Msg == "" || e.File != "x.toml" {
				t.Errorf("%+v in a text of %d lines", e, lines)
			}
			if strings.ContainsAny(e.Error(), "\n\r") {
				t.Errorf("more than one line: %q", e.Error())
			}
		}
		for _, w := range warnings {
			check(Error(w))
		}
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || len(errs) == 0 || cfg != nil {
				t.Fatalf("error %T, %v, configuration %v", err, err, cfg)
			}
			for _, e := range errs {
				check(e)
			}
			return
		}
		sentAndReceived(t, "x.toml", cfg)
	})
}

// FuzzScan compares the scanner with the decoder: on every document that the
// decoder takes it must find the same keys, and on every other one it must end.
func FuzzScan(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, text string) {
		_, keys, err := decodeTOML(text)
		if _, ok := scan(text, keys); err == nil && !ok {
			t.Errorf("the scanner does not find the keys %v", keys)
		}
	})
}
