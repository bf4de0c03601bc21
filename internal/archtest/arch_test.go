package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
	"testing"
)

const module = "director/"

// pure are the packages that hold no goroutine, channel, lock, logger, socket,
// file or clock, and what of ours each may import.
var pure = map[string][]string{
	"config":             {},
	"config/keepalived":  {"config"},
	"config/pair":        {"config"},
	"config/convert":     {"config", "config/keepalived", "ipvs"},
	"vrrp":               {},
	"bfd":                {},
	"ipvs":               {},
	"checkers":           {"ipvs"},
	"internal/colour":    {},
	"internal/doctor":    {"config", "internal/control", "internal/colour"},
	"internal/verdict":   {"config", "config/keepalived", "internal/colour"},
	"internal/readiness": {},
	"internal/agentx":    {},
}

// leaves touch the outside world; each knows its own pure root alone, and how to
// use a socket of its own.
var leaves = map[string][]string{
	"vrrp/link":      {"vrrp", "internal/rawconn"},
	"bfd/link":       {"bfd", "internal/rawconn"},
	"ipvs/kernel":    {"ipvs", "ipvs/ipvstest"},
	"ipvs/ipvstest":  {"ipvs"},
	"checkers/probe": {"checkers"},
}

// wiring must not know its sibling: what one daemon does is told to the other
// by the parent or not at all.
var strangers = map[string][]string{
	"internal/vrrpd":  {"internal/checkd", "ipvs", "ipvs/kernel", "checkers"},
	"internal/checkd": {"internal/vrrpd", "vrrp", "vrrp/link"},
	"internal/webd":   {"internal/vrrpd", "internal/checkd", "internal/snmpd", "vrrp/link", "ipvs/kernel"},
	"internal/snmpd":  {"internal/vrrpd", "internal/checkd", "internal/webd", "vrrp/link", "ipvs/kernel"},
}

func TestImportsPointInward(t *testing.T) {
	_, files := tree(t)
	for _, f := range files {
		for _, path := range f.imports() {
			ours, isOurs := strings.CutPrefix(path, module)
			if path == "github.com/moby/ipvs" && f.pkg != "ipvs/kernel" {
				t.Errorf("%s imports moby/ipvs, which only ipvs/kernel may", f.path)
			}
			if !isOurs || f.test && strings.HasPrefix(ours, "internal/netlab") || f.test && strings.HasSuffix(ours, "test") {
				continue
			}
			if allowed, ok := pure[f.pkg]; ok && !slices.Contains(allowed, ours) && ours != f.pkg {
				t.Errorf("%s: pure package %s imports %s", f.path, f.pkg, ours)
			}
			if allowed, ok := leaves[f.pkg]; ok && !slices.Contains(allowed, ours) && ours != f.pkg {
				t.Errorf("%s: leaf %s imports %s", f.path, f.pkg, ours)
			}
			if !f.test && slices.Contains(strangers[f.pkg], ours) {
				t.Errorf("%s: %s must not know %s", f.path, f.pkg, ours)
			}
			if strings.HasPrefix(ours, "cmd/") || ours == "internal/archtest" {
				t.Errorf("%s imports %s", f.path, ours)
			}
		}
	}
}

// impure are the standard packages that no pure package needs.
var impure = []string{
	"bufio", "context", "crypto/rand", "io/fs", "log", "math/rand", "math/rand/v2", "net", "net/http",
	"os", "os/exec", "os/signal", "path/filepath", "runtime", "sync", "sync/atomic", "unsafe",
}

func TestPurePackagesArePure(t *testing.T) {
	fset, files := tree(t)
	seen := make(map[string]bool)
	for _, f := range files {
		if _, ok := pure[f.pkg]; !ok || f.test {
			continue
		}
		seen[f.pkg] = true
		for _, path := range f.imports() {
			if slices.Contains(impure, path) || strings.HasPrefix(path, "golang.org/x/sys") || strings.HasPrefix(path, "golang.org/x/net") {
				t.Errorf("%s: pure package %s imports %s", f.path, f.pkg, path)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a goroutine in a pure package", f.at(fset, n))
			case *ast.ChanType:
				t.Errorf("%s: a channel in a pure package", f.at(fset, n))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok {
					clock := x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}, n.Sel.Name)
					logger := x.Name == "slog" && slices.Contains([]string{"Logger", "New", "Default", "With", "Debug", "Info", "Warn", "Error", "Log"}, n.Sel.Name)
					// The kernel's error numbers are plain values; system calls are not.
					call := x.Name == "syscall" && !strings.HasPrefix(n.Sel.Name, "E")
					if clock || logger || call {
						t.Errorf("%s: %s.%s in a pure package", f.at(fset, n), x.Name, n.Sel.Name)
					}
				}
			}
			return true
		})
	}
	for _, must := range []string{"bfd", "config", "vrrp", "ipvs", "checkers"} {
		if !seen[must] {
			t.Errorf("package %s was not found", must)
		}
	}
}

func TestAddressesAreNetip(t *testing.T) {
	fset, files := tree(t)
	edges := []string{"vrrp/link", "bfd/link", "ipvs/kernel", "checkers/probe", "internal/netlab", "internal/netlab/labtest", "internal/control"}
	for _, f := range files {
		if f.test || slices.Contains(edges, f.pkg) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "net" && slices.Contains([]string{"IP", "IPNet", "IPMask", "ParseIP", "ParseCIDR"}, s.Sel.Name) {
					t.Errorf("%s: net.%s away from a library's edge; use net/netip", f.at(fset, s), s.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestNoHiddenState(t *testing.T) {
	fset, files := tree(t)
	for _, f := range files {
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil && !strings.HasPrefix(f.pkg, "cmd/") {
					t.Errorf("%s: func init", f.at(fset, d))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, s := range d.Specs {
					v := s.(*ast.ValueSpec)
					for _, name := range v.Names {
						if len(v.Values) == 0 && name.Name != "_" && !embedded(d) {
							t.Errorf("%s: package variable %s has no value of its own, so it is set later", f.at(fset, v), name.Name)
						}
						if assigned(files, f.pkg, name.Name) {
							t.Errorf("%s: package variable %s is assigned to", f.at(fset, v), name.Name)
						}
					}
				}
			}
		}
	}
}

// embedded reports whether the value of a variable is a file, put in by the compiler.
func embedded(d *ast.GenDecl) bool {
	return d.Doc != nil && slices.ContainsFunc(d.Doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// assigned reports whether a function of the package assigns to name without
// having declared one of its own.
func assigned(files []file, pkg, name string) bool {
	found := false
	for _, f := range files {
		if f.pkg != pkg || f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil || declares(fn, name) {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, l := range n.Lhs {
						if id, ok := l.(*ast.Ident); ok && id.Name == name && n.Tok != token.DEFINE {
							found = true
						}
						if ix, ok := l.(*ast.IndexExpr); ok {
							if id, ok := ix.X.(*ast.Ident); ok && id.Name == name {
								found = true
							}
						}
					}
				case *ast.IncDecStmt:
					if id, ok := n.X.(*ast.Ident); ok && id.Name == name {
						found = true
					}
				}
				return true
			})
		}
	}
	return found
}

// declares reports whether a function has a parameter, result or local of that name.
func declares(fn *ast.FuncDecl, name string) bool {
	found := false
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				found = found || id.Name == name
			}
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				if id, ok := l.(*ast.Ident); ok && n.Tok == token.DEFINE {
					found = found || id.Name == name
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				found = found || id.Name == name
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					found = found || id.Name == name
				}
			}
		}
		return true
	})
	return found
}

func TestNamesSayWhatAPackageIs(t *testing.T) {
	_, files := tree(t)
	for _, f := range files {
		if slices.Contains([]string{"util", "utils", "common", "types", "helpers", "misc"}, f.ast.Name.Name) {
			t.Errorf("%s: package %s says nothing about what it holds", f.path, f.ast.Name.Name)
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	_, files := tree(t)
	for _, f := range files {
		if !f.test && f.lines > 500 {
			t.Errorf("%s has %d lines; more than 500 cannot be read in one sitting", f.path, f.lines)
		}
	}
}

func TestEveryPackageAndExportedNameIsDocumented(t *testing.T) {
	fset, files := tree(t)
	docs := make(map[string]int)
	for _, f := range files {
		if f.test {
			continue
		}
		docs[f.pkg] += 0
		if f.ast.Doc != nil {
			docs[f.pkg]++
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !wellKnown[d.Name.Name] {
					t.Errorf("%s: %s has no comment", f.at(fset, d), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if ts, ok := s.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil && ts.Comment == nil {
						t.Errorf("%s: type %s has no comment", f.at(fset, ts), ts.Name.Name)
					}
					if vs, ok := s.(*ast.ValueSpec); ok && vs.Names[0].IsExported() && d.Doc == nil && vs.Doc == nil && vs.Comment == nil {
						t.Errorf("%s: %s has no comment", f.at(fset, vs), vs.Names[0].Name)
					}
				}
			}
		}
	}
	for pkg, n := range docs {
		if n != 1 {
			t.Errorf("package %s has %d package comments, want 1", pkg, n)
		}
	}
}

// wellKnown are methods whose meaning their interface gives.
var wellKnown = map[string]bool{
	"String": true, "Error": true, "Unwrap": true, "Is": true, "Len": true, "Less": true, "Swap": true,
	"Close": true, "MarshalText": true, "UnmarshalText": true, "LogValue": true,
	"Handle": true, "Enabled": true, "WithAttrs": true, "WithGroup": true,
}

// exportedReceiver reports whether a function can be called from outside.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if g, ok := typ.(*ast.IndexExpr); ok {
		typ = g.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// The shipped program holds nothing that serves tests alone.
func TestProgramHoldsNoTests(t *testing.T) {
	_, files := tree(t)
	imports := make(map[string][]string)
	for _, f := range files {
		if !f.test {
			imports[f.pkg] = append(imports[f.pkg], f.imports()...)
		}
	}
	by := map[string]string{"cmd/director": ""} // who was first to import a package of ours
	for queue := []string{"cmd/director"}; len(queue) > 0; queue = queue[1:] {
		pkg := queue[0]
		for _, path := range imports[pkg] {
			if path == "testing" || strings.HasPrefix(path, "testing/") || strings.HasPrefix(path, "pgregory.net/rapid") || strings.HasPrefix(path, "github.com/google/go-cmp") {
				chain := pkg
				for up := by[pkg]; up != ""; up = by[up] {
					chain = up + " -> " + chain
				}
				t.Errorf("%s imports %s", chain, path)
			}
			if ours, ok := strings.CutPrefix(path, module); ok {
				if _, seen := by[ours]; !seen {
					by[ours] = pkg
					queue = append(queue, ours)
				}
			}
		}
	}
	if len(by) < 10 {
		t.Errorf("the program seems to hold %d packages only: %v", len(by), by)
	}
}

func TestNoTestHidesAMissingTool(t *testing.T) {
	fset, files := tree(t)
	for _, f := range files {
		if !f.test {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, s.Sel.Name) {
				if x, ok := s.X.(*ast.Ident); ok && (x.Name == "t" || x.Name == "b" || x.Name == "f") {
					t.Errorf("%s: a test that can skip can hide that it never runs", f.at(fset, s))
				}
			}
			return true
		})
	}
}

func TestNothingIsLeftUndone(t *testing.T) {
	fset, files := tree(t)
	words := []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}
	for _, f := range files {
		for _, group := range f.ast.Comments {
			for _, c := range group.List {
				for _, w := range words {
					if strings.Contains(c.Text, w) {
						t.Errorf("%s: %s", f.at(fset, c), strings.TrimSpace(c.Text))
					}
				}
			}
		}
	}
}
