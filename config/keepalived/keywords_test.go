package keepalived

import (
	"errors"
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

// TestUnknownBlock shows that a block which nobody knows is one error, and that what is in it and
// behind it does not get mixed up: keepalived reads its content as if it stood outside.
func TestUnknownBlock(t *testing.T) {
	for _, block := range []string{
		"foo {\n priority 7\n virtual_router_id 9\n}", "foo { bar { priority 7 } priority 8 }", "foo\n{\n priority 7 }", "prioritty {\n priority 7\n}",
	} {
		text := "vrrp_instance A {\n interface eth0\n virtual_router_id 1\n " + block + "\n priority 200\n virtual_ipaddress { 192.0.2.1 }\n}\n" +
			"vrrp_instance B {\n interface eth0\n virtual_router_id 2\n priority 90\n virtual_ipaddress { 192.0.2.2 }\n}\n"
		r := config.NewReport("x.conf")
		doc := document(r, "x.conf", []byte(text), options())
		instances := doc.Table("vrrp_instance", config.Position{})
		at := config.Position{}
		a, b := instances.Table("A", at), instances.Table("B", at)
		if a.Get("priority") != int64(200) || a.Get("virtual_router_id") != int64(1) || b.Get("priority") != int64(90) || len(instances.Keys()) != 2 {
			t.Errorf("%q: A has %v and %v, B has %v, of %v", block, a.Get("priority"), a.Get("virtual_router_id"), b.Get("priority"), instances.Keys())
		}
		_, _, err := r.Build(doc)
		var errs config.Errors
		if !errors.As(err, &errs) || len(errs) != 1 || errs[0].Line != 4 || !strings.Contains(errs[0].Msg, "unknown keyword in vrrp_instance") {
			t.Errorf("%q: %v", block, err)
		}
		if nearest := strings.HasPrefix(block, "prior"); nearest != strings.Contains(err.Error(), "did you mean priority?") {
			t.Errorf("%q: %v", block, err)
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
