package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxPage is the length of a page that is read in one sitting.
const maxPage = 300

// lookedUp are pages that nobody reads from the beginning: a test writes them, and their
// readers search them.
func lookedUp(page string) bool {
	return slices.Contains([]string{"reference.md", "transcript.md"}, filepath.Base(page))
}

// anchor is what a heading is called in a link: lower case, without punctuation,
// blanks as hyphens.
func anchor(heading string) string {
	heading = strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	return strings.ReplaceAll(regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(heading, ""), " ", "-")
}

// TestDocumentation looks at the pages: none is too long, docs/README.md lists each, and
// every link within the tree leads to a file and, behind a #, to one of its headings.
func TestDocumentation(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 5 {
		t.Fatalf("%d pages (%v)", len(pages), err)
	}
	headings := regexp.MustCompile(`(?m)^#+ .*$`)
	fences := regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	index, err := os.ReadFile("../../docs/README.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if name := filepath.Base(page); name != "README.md" && name != "CHANGELOG.md" && !strings.Contains(string(index), "("+name) {
			t.Errorf("docs/README.md does not list %s", name)
		}
		if n := strings.Count(string(text), "\n"); n > maxPage && !lookedUp(page) {
			t.Errorf("%s has %d lines, allowed are %d", page, n, maxPage)
		}
		for _, m := range links.FindAllStringSubmatch(fences.ReplaceAllString(string(text), ""), -1) {
			path, section, _ := strings.Cut(m[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			seen++
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			to, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", page, m[1], err)
				continue
			}
			found := section == ""
			for _, h := range headings.FindAllString(fences.ReplaceAllString(string(to), ""), -1) {
				found = found || anchor(h) == section
			}
			if !found {
				t.Errorf("%s: %s has no heading for the link %s", page, target, m[1])
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d links", seen)
	}
}
