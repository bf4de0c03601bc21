package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Each command has a manual page with its help, and troff understands all of them.
func TestManualPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man8")
	if out, err := exec.Command("go", "run", "-tags", "manual", ".", "man", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		name := filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".8")
		page, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			return
		}
		if !strings.Contains(string(page), c.Short) {
			t.Errorf("%s does not say %q", name, c.Short)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
	// What is set out in columns in a help text stays so.
	page, err := os.ReadFile(filepath.Join(dir, "director.8"))
	if err != nil || !strings.Contains(string(page), "\n.EX\n  0  done as asked\n") {
		t.Errorf("the table of exit statuses is not in director.8: %v\n%s", err, page)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.8"))
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	var said bytes.Buffer
	troff := exec.Command("groff", append([]string{"-man", "-Tutf8", "-ww", "-z"}, pages...)...)
	troff.Stderr = &said
	if err := troff.Run(); err != nil || said.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, said.String())
	}
}
