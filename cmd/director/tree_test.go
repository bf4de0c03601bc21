package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// withoutJSON are the commands that print nothing for programs, and why not.
var withoutJSON = map[string]string{
	"director run":             "its log has --log-format json",
	"director stop":            "it prints nothing",
	"director convert":         "it prints a configuration; its report has --report json",
	"director schema":          "it prints JSON already",
	"director init":            "it asks, and writes files",
	"director demo":            "it is a show",
	"director help":            "it is for people",
	"director ipvs zero":       "it prints nothing",
	"director ipvs save":       "it prints the language of ipvsadm; list has --json",
	"director ipvs restore":    "it prints the language of ipvsadm",
	"director completion bash": "it prints a program",
	"director completion zsh":  "it prints a program",
	"director completion fish": "it prints a program",
}

// withWatch are the commands that show how something is now.
var withWatch = []string{
	"director status", "director explain", "director ipvs list", "director ipvs stats", "director ipvs rate", "director ipvs connections",
}

// visible calls f with each command that people see.
func visible(f func(*cobra.Command)) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		f(c)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot())
}

// TestTree holds every command to the same manners: JSON for programs, --watch where
// something is shown that changes, one flag for colours, and examples that are right.
func TestTree(t *testing.T) {
	watched := 0
	visible(func(c *cobra.Command) {
		path := c.CommandPath()
		has := func(name string) bool { return c.Flags().Lookup(name) != nil }
		switch why, listed := withoutJSON[path]; {
		case c.HasSubCommands():
		case listed && has("json"):
			t.Errorf("%s has --json, although %s", path, why)
		case !listed && !has("json"):
			t.Errorf("%s has no --json", path)
		}
		if has("watch") {
			watched++
			if !has("interval") {
				t.Errorf("%s has --watch without --interval", path)
			}
		}
		for _, w := range withWatch {
			if w == path && !has("watch") {
				t.Errorf("%s has no --watch", path)
			}
		}
		if c.InheritedFlags().Lookup("color") == nil && c.PersistentFlags().Lookup("color") == nil {
			t.Errorf("%s does not know --color", path)
		}
		if c.Short == "" || strings.ToLower(c.Short[:1]) != c.Short[:1] && !strings.HasPrefix(c.Short, "LVS") {
			t.Errorf("%s: its short text is %q", path, c.Short)
		}
		if !c.HasSubCommands() && c.ValidArgsFunction == nil {
			t.Errorf("%s does not say what a shell may offer for its arguments", path)
		}
		examples(t, c)
	})
	if watched != len(withWatch) {
		t.Errorf("%d commands have --watch, %d are listed here", watched, len(withWatch))
	}
}

// examples checks that a command has examples, each with the command in it, and that the
// command line of each is understood.
func examples(t *testing.T, c *cobra.Command) {
	t.Helper()
	path := c.CommandPath()
	if c.Example == "" && path != "director help" {
		t.Errorf("%s has no example", path)
		return
	}
	shown := false
	for _, line := range strings.Split(strings.ReplaceAll(c.Example, "\\\n", ""), "\n") {
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|;&", r) }) {
			words := strings.Fields(part)
			if len(words) == 0 || words[0] != "director" {
				continue
			}
			shown = shown || strings.HasPrefix(strings.Join(words, " ")+" ", path+" ")
			for i, w := range words {
				if strings.HasPrefix(w, ">") || strings.HasPrefix(w, "2>") || strings.HasPrefix(w, "<") {
					words = words[:i]
					break
				}
			}
			found, rest, err := newRoot().Find(words[1:])
			if err == nil {
				err = found.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("%s: its example %q: %v", path, line, err)
			}
		}
	}
	if !shown && path != "director help" {
		t.Errorf("%s is in none of its examples:\n%s", path, c.Example)
	}
}
