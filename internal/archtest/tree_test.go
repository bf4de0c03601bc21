package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// file is one Go file of the module.
type file struct {
	path  string // relative to the module's root, with slashes
	pkg   string // folder, "" for the root
	test  bool
	ast   *ast.File
	lines int
}

// imports lists the paths that the file imports.
func (f file) imports() []string {
	var all []string
	for _, i := range f.ast.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			all = append(all, p)
		}
	}
	return all
}

// at names a place in the file.
func (f file) at(fset *token.FileSet, n ast.Node) string {
	return f.path + ":" + strconv.Itoa(fset.Position(n.Pos()).Line)
}

// tree parses every Go file of the module.
func tree(t *testing.T) (*token.FileSet, []file) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []file
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "build") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		files = append(files, file{
			path: filepath.ToSlash(rel), pkg: pkg, test: strings.HasSuffix(name, "_test.go"),
			ast: parsed, lines: strings.Count(string(text), "\n"),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A walk that finds nothing would pass every rule.
	if len(files) < 50 {
		t.Fatalf("found only %d Go files below %s", len(files), root)
	}
	return fset, files
}
