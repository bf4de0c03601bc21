package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write what is expected into testdata")

// netipTypes compares the types of net/netip, which hide their fields.
var netipTypes = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

const trailer = "\n#=>\n" // what follows in a file of testdata is expected, one comment a line

// TestFiles parses every file of testdata. A file ends in the errors and
// warnings that are expected of it; beside a good one lies the model, as JSON.
func TestFiles(t *testing.T) {
	for kind, count := range map[string]int{"good": 3, "bad": 19} {
		files, err := filepath.Glob("testdata/*." + kind + ".toml")
		if err != nil || len(files) != count {
			t.Errorf("%d %s files, want %d (%v)", len(files), kind, count, err)
		}
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) { testFile(t, file, kind) })
		}
	}
}

func testFile(t *testing.T, file, kind string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	document, want, _ := bytes.Cut(text, []byte(trailer))
	name := filepath.Base(file)
	cfg, warnings, err := ParseWithWarnings(name, text)
	if (err != nil) != (kind == "bad") {
		t.Errorf("error %v in a %s file", err, kind)
	}
	var got strings.Builder
	var errs Errors
	if errors.As(err, &errs) {
		for _, e := range errs {
			got.WriteString("# " + e.Error() + "\n")
			if e.Line < 1 || e.Col < 1 {
				t.Errorf("error without its place: %+v", e)
			}
		}
	}
	for _, w := range warnings {
		got.WriteString("# warning: " + w.String() + "\n")
	}
	model, err := json.MarshalIndent(cfg, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	modelFile := strings.TrimSuffix(file, ".toml") + ".json"
	if *update {
		if err := os.WriteFile(file, append(bytes.TrimRight(document, "\n"), (trailer+got.String())...), 0o644); err != nil {
			t.Fatal(err)
		}
		if kind == "good" {
			if err := os.WriteFile(modelFile, append(model, '\n'), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	if kind == "good" {
		wantModel, err := os.ReadFile(modelFile)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(wantModel), string(model)+"\n"); d != "" {
			t.Errorf("model (-want +got):\n%s", d)
		}
	}
}
