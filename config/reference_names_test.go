package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// keywordBlocks are the tables in which the words of keepalived's blocks are looked up; those
// of the blocks that are not listed are checks.
var keywordBlocks = map[string][]string{
	"vrrp_script": {"Script"}, "track_file": {"FileTracker"}, "vrrp_track_process": {"ProcessTracker"}, "bfd_instance": {"BFD"},
	"vrrp_sync_group": {"SyncGroup"}, "vrrp_instance": {"Instance"}, "authentication": {"Authentication"}, "auth_hmac": {"Authentication"},
	"virtual_server": {"VirtualServer"}, "real_server": {"RealServer"}, "url": {"CheckURL", "Check"}, "global_defs": {"Instance"},
}

// keywordRow is what a page says of some keywords.
type keywordRow struct {
	keywords []string
	keys     []string // that they become; nil: each the one of its own name
	tables   []string // where these are looked up, by the names of their types
}

var inCode = regexp.MustCompile("`([^`]+)`")

func codeWords(text string) []string {
	var words []string
	for _, m := range inCode.FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

// parseKeywordRow reads a line of a page; ok is false for one that names no key.
func parseKeywordRow(block, line string) (row keywordRow, ok bool) {
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
	if len(cells) != 2 || !strings.HasPrefix(line, "| `") || strings.HasPrefix(cells[1], "*") || strings.HasPrefix(cells[1], "always so") {
		return row, false
	}
	becomes := cells[1]
	row.tables = keywordBlocks[block]
	if row.tables == nil {
		row.tables = []string{"Check"}
	}
	for words, table := range map[string]string{
		"of the check": "Check", "of every check": "Check", "of the real server": "RealServer", "of each server": "RealServer", "of each service": "VirtualServer",
	} {
		if strings.Contains(becomes, words) {
			row.tables = []string{table}
		}
	}
	row.keywords = codeWords(cells[0])
	if strings.Contains(becomes, "the same key") {
		return row, true
	}
	// What follows tells of other keys beside.
	for _, end := range []string{"; MASTER", "; with parameters", " in place of "} {
		becomes, _, _ = strings.Cut(becomes, end)
	}
	row.keys = codeWords(becomes)
	return row, len(row.keys) > 0
}

// lookUp finds a key by its path from a table: garp.repeat, or virtual_server.NAME.mail.
func (t *table) lookUp(path string) *field {
	var f *field
	for _, part := range strings.Split(path, ".") {
		if part == "NAME" && f != nil {
			continue
		}
		if t == nil {
			return nil
		}
		if f = t.field(strings.TrimSuffix(part, "[]")); f == nil {
			return nil
		}
		t = f.table
	}
	return f
}

// byType gathers a table and those in it by the names of their types.
func byType(t *table, all map[string]*table) map[string]*table {
	all[t.name] = t
	for _, f := range t.fields {
		if f.table != nil {
			byType(f.table, all)
		}
	}
	return all
}

// keepalivedNames reads the pages of keepalived's keywords from the other side: the
// keywords that become a key.
func keepalivedNames(t *testing.T, root *table) map[docKey][]string {
	t.Helper()
	tables, names := byType(root, make(map[string]*table)), make(map[docKey][]string)
	note := func(f *field, keyword string) {
		if f == nil {
			return
		}
		if k := (docKey{f.owner, f.key}); !slices.Contains(names[k], keyword) {
			names[k] = append(names[k], keyword)
		}
	}
	for _, page := range []string{"../docs/keywords-vrrp.md", "../docs/keywords-lvs.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		block := ""
		for line := range strings.Lines(string(text)) {
			if title, is := strings.CutPrefix(line, "## "); is {
				block = strings.Trim(strings.TrimSpace(title), "`")
			}
			row, ok := parseKeywordRow(block, line)
			if !ok {
				continue
			}
			for _, keyword := range row.keywords {
				keys := row.keys
				if keys == nil {
					keys = []string{keyword}
				}
				for _, key := range keys {
					if f := root.lookUp(key); f != nil && (f.table == nil || strings.Contains(key, ".")) {
						note(f, keyword)
						continue
					}
					for _, name := range row.tables {
						note(tables[name].lookUp(key), keyword)
					}
				}
			}
		}
	}
	for _, list := range names {
		slices.Sort(list)
	}
	return names
}
