//go:build manual

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manual returns the hidden command by which `make install` writes the manual pages: they
// are made of what --help prints. Only a program built with the tag has it, as what makes
// the pages would cost every process of the daemon time at its start.
func manual() []*cobra.Command {
	return []*cobra.Command{{
		Use:    "man DIRECTORY",
		Short:  "write the manual pages into a directory",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("man needs one directory, got %q", args)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same source gives the same pages
			forManual(root)
			return doc.GenManTreeFromOpts(root, doc.GenManTreeOptions{
				Header: &doc.GenManHeader{Title: "DIRECTOR", Section: "8", Manual: "director", Source: "director " + versionText()},
				Path:   args[0], CommandSeparator: "-",
			})
		},
	}}
}

// forManual makes the help texts of a command and those below it readable as Markdown,
// of which the pages are made: what is indented stays as it stands, and a name in
// capital letters needs no quoting.
func forManual(c *cobra.Command) {
	lines := strings.Split(c.Long, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "  ") {
			lines[i] = "    " + l
		}
	}
	c.Long = separate(lines)
	for _, sub := range c.Commands() {
		forManual(sub)
	}
}

// separate puts an empty line between text and what is indented, which Markdown wants.
func separate(lines []string) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			before := lines[i-1]
			if before != "" && l != "" && strings.HasPrefix(before, "    ") != strings.HasPrefix(l, "    ") {
				b.WriteByte('\n')
			}
			b.WriteByte('\n')
		}
		b.WriteString(l)
	}
	return b.String()
}
