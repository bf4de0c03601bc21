package keepalived

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/config"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is expected into testdata")

// options are those of a host "lb1" that has the files of testdata/include.
func options() Options {
	return Options{
		ID:   "lb1",
		Dir:  "/etc",
		Glob: filepath.Glob,
		Read: os.ReadFile,
		Env: func(name string) (string, bool) {
			return map[string]string{"VIP_NET": "192.0.2"}[name], name == "VIP_NET"
		},
		Random: func(least, most int) int { return most },
	}
}

// TestFiles translates every file of testdata. Beside each lies what is expected:
// the errors and warnings in a .report, and of one without an error the model as
// JSON.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 52 {
		t.Errorf("%d files, want 52 at least (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, warnings, err := Parse(file, text, options())
			bad := strings.HasPrefix(filepath.Base(file), "bad_")
			if (err != nil) != bad {
				t.Errorf("error %v", err)
			}
			var report strings.Builder
			var errs config.Errors
			if errors.As(err, &errs) {
				for _, e := range errs {
					fmt.Fprintln(&report, e.Error())
					if e.Line < 1 || e.Col < 1 {
						t.Errorf("error without its place: %+v", e)
					}
				}
			}
			for _, w := range warnings {
				fmt.Fprintln(&report, w)
			}
			golden(t, strings.TrimSuffix(file, ".conf")+".report", report.String())
			if bad {
				return
			}
			model, err := json.MarshalIndent(cfg, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".conf")+".json", string(model)+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}
