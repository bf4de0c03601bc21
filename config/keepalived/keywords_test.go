package keepalived

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/config"
)

// listed reads the list of all keywords.
func listed(t *testing.T) map[[2]string]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/keywords.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[[2]string]byte)
	for line := range strings.Lines(string(text)) {
		if w := strings.Fields(line); len(w) == 3 {
			all[[2]string{strings.TrimPrefix(w[0], "-"), w[1]}] = w[2][0]
		}
	}
	if len(all) < 400 {
		t.Fatalf("only %d keywords", len(all))
	}
	return all
}

// TestEveryKeywordIsKnown compares the table with the list of keepalived's keywords.
func TestEveryKeywordIsKnown(t *testing.T) {
	table := tables()
	all := listed(t)
	for id := range all {
		if k := table[id[0]][id[1]]; k.do == nil {
			t.Errorf("%s of %q is missing", id[1], id[0])
		}
	}
	known := make(map[string]bool)
	for id := range all {
		known[id[1]] = true
	}
	for block, list := range table {
		for name := range list {
			if !known[name] {
				t.Errorf("%s of %q is no keyword of keepalived", name, block)
			}
		}
	}
}

// TestEveryUsualKeywordIsTested asks that each core and common keyword stands in a
// file of testdata, in its block.
func TestEveryUsualKeywordIsTested(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[[2]string]bool)
	var walk func(block string, list []*statement)
	table := tables()
	walk = func(block string, list []*statement) {
		for _, s := range list {
			if block == "SSL_GET" {
				used[[2]string{"HTTP_GET", s.key()}] = true
			}
			if strings.HasSuffix(block, "_CHECK") || strings.HasSuffix(block, "_GET") {
				used[[2]string{"TCP_CHECK", s.key()}] = true
			}
			used[[2]string{block, s.key()}] = true
			if table[s.key()] != nil {
				walk(s.key(), s.kids)
			}
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := config.NewReport(file)
		walk("", tree(r, expand(r, file, text, options(), nil)))
	}
	for id, c := range listed(t) {
		if (c == 'C' || c == 'c') && !used[id] {
			t.Errorf("%s of %q is in no file of testdata", id[1], id[0])
		}
	}
}
