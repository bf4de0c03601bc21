package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	conformanceRow  = regexp.MustCompile(`^\| ([VB]\d+) \|`)
	conformanceTest = regexp.MustCompile("`([a-z0-9/]+): ((?:Test|Fuzz)[A-Za-z0-9_]*)(?:/([^`]*))?`")
)

// docs/conformance.md says what the tests show. So that it stays true, every test
// that it names exists, with its case; no demand is missing, and none that is said to be
// kept is without a test; and every fuzz target is listed.
func TestConformanceNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, files := tree(t)
	tests := make(map[string]*ast.FuncDecl)
	tables := make(map[string]ast.Node) // package variables, which may hold cases
	for _, f := range files {
		if !f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					tests[f.pkg+": "+d.Name.Name] = d
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if v, ok := s.(*ast.ValueSpec); ok {
						tables[f.pkg+": "+v.Names[0].Name] = v
					}
				}
			}
		}
	}
	var numbers []string
	fuzz := make(map[string]bool)
	for n, line := range strings.Split(string(text), "\n") {
		at := fmt.Sprintf("docs/conformance.md:%d", n+1)
		named := conformanceTest.FindAllStringSubmatch(line, -1)
		for _, m := range named {
			name := m[1] + ": " + m[2]
			switch fn := tests[name]; {
			case fn == nil:
				t.Errorf("%s: there is no %s", at, name)
			case m[3] != "" && !says(fn, m[3], m[1], tables):
				t.Errorf("%s: %s has no case %q", at, name, m[3])
			}
			if strings.HasPrefix(line, "| `") {
				fuzz[name] = true
			}
		}
		row := conformanceRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		numbers = append(numbers, row[1])
		cells := strings.Split(line, "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 7 {
			t.Errorf("%s: %s has %d cells, want 5", at, row[1], len(cells)-2)
			continue
		}
		switch kept := cells[3]; kept {
		case "yes", "differs":
			if len(named) == 0 {
				t.Errorf("%s: %s is kept (%s), and no test is named", at, row[1], kept)
			}
			if kept == "differs" && cells[4] == "" {
				t.Errorf("%s: %s differs without a reason", at, row[1])
			}
		case "kernel", "not done", "n/a":
			if cells[4] == "" {
				t.Errorf("%s: %s is %s without a reason", at, row[1], kept)
			}
		default:
			t.Errorf("%s: %s is %q", at, row[1], kept)
		}
	}
	var want []string
	for _, list := range []struct {
		letter string
		last   int
	}{{"V", 72}, {"B", 20}} {
		for i := range list.last {
			want = append(want, list.letter+strconv.Itoa(i+1))
		}
	}
	if !slices.Equal(numbers, want) {
		t.Errorf("the rows of docs/conformance.md are %v, want %v", numbers, want)
	}
	for name := range tests {
		if _, fn, _ := strings.Cut(name, ": "); strings.HasPrefix(fn, "Fuzz") && !fuzz[name] {
			t.Errorf("docs/conformance.md does not list %s: add a row to its last table", name)
		}
	}
}

// says reports whether a function, or a table of its package that it uses, holds a string.
func says(fn ast.Node, text, pkg string, tables map[string]ast.Node) bool {
	found := false
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			s, err := strconv.Unquote(n.Value)
			found = found || n.Kind == token.STRING && err == nil && s == text
		case *ast.Ident:
			table := tables[pkg+": "+n.Name]
			found = found || table != nil && table != fn && says(table, text, pkg, nil)
		}
		return !found
	})
	return found
}
