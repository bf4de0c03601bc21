package keepalived

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"director/config"

	"github.com/google/go-cmp/cmp"
)

// pages are the pages with the tables of keywords, each with its blocks and the table of director's language that a block
// becomes.
func pages() map[string][][2]string {
	return map[string][][2]string{
		"../../docs/keywords-vrrp.md": {
			{"", ""}, {"global_defs", ""}, {"vrrp_script", "[vrrp_script.NAME]"}, {"track_file", "[track_file.NAME]"},
			{"vrrp_track_process", "[track_process.NAME]"}, {"bfd_instance", "[bfd.NAME]"}, {"garp_group", ""}, {"track_group", ""},
			{"vrrp_sync_group", "[vrrp_sync_group.NAME]"}, {"vrrp_instance", "[vrrp_instance.NAME]"},
			{"authentication", "[vrrp_instance.NAME.authentication]"}, {"auth_hmac", "[vrrp_instance.NAME.authentication]"},
		},
		"../../docs/keywords-lvs.md": {
			{"virtual_server", "[virtual_server.NAME]"}, {"real_server", "[[virtual_server.NAME.real_server]]"},
			{"TCP_CHECK", "check of any kind"}, {"HTTP_GET", "type = \"http\", SSL_GET \"https\""}, {"url", "check, or [[check.url]] where there are several"},
			{"SMTP_CHECK", "type = \"smtp\""}, {"host", ""}, {"DNS_CHECK", "type = \"dns\""}, {"MISC_CHECK", "type = \"script\""}, {"UDP_CHECK", "type = \"udp\""},
			{"BFD_CHECK", "type = \"bfd\""}, {"FILE_CHECK", "type = \"file\""}, {"SSL", ""},
		},
	}
}

// becomes tells what a keyword becomes: the keys that its handler sets, or its reason why there are none; nothing of one
// that takes effect together with others.
func becomes(block string, k keyword) string {
	keys := make(map[string]bool)
	if block == "" && k.block {
		return "" // it becomes a table of its own, or several lines
	}
	for i, args := range [][]string{nil, {"1"}, {"a"}, {"1", "a"}, {"NAT"}, {"192.0.2.1"}} {
		doc := config.NewTree()
		report := config.NewReport("x")
		t := &translator{Report: report, root: doc, tables: map[string]map[string]keyword{}, global: map[string]*statement{}, groups: map[string]*statement{},
			trackFiles: map[string]*statement{"a": {words: []word{{text: "track_file"}}, kids: []*statement{{words: []word{{text: "file"}, {text: "a"}}}}}}, serverGroup: map[string]*statement{}, mailEvents: map[string]bool{}, pauses: map[string]pauseOf{},
			fileChecks: map[string]bool{}, fileUses: map[string]bool{}}
		own := config.NewTree()
		at := config.Position{File: "x", Line: 1, Col: 1}
		s := &statement{words: []word{{text: k.name, at: at}}, block: k.block}
		for _, a := range args {
			s.words = append(s.words, word{text: a, at: at})
		}
		if k.block {
			s.kids = []*statement{{words: []word{{text: "a", at: at}}}}
		}
		sc := t.scope(nil, block, own, &statement{words: []word{{text: block, at: at}}})
		func() {
			defer func() { _ = recover() }() // what needs more than one statement is told
			k.do(sc, s)
		}()
		flatten("", own, keys)
		flatten("", doc, keys)
		if len(keys) > 0 || i > 1 {
			continue // a reason comes whatever the parameters are
		}
		_, warnings, err := report.Build(config.NewTree())
		for _, w := range warnings {
			if why, is := strings.CutPrefix(w.Msg, "has no effect: "); is {
				return "*no effect*: " + why
			}
			if why, is := strings.CutPrefix(w.Msg, "is not supported and not used: "); is {
				return "*not supported*: " + why
			}
		}
		if err != nil {
			if _, why, is := strings.Cut(err.Error(), "is not supported: "); is {
				return "*error*: " + why
			}
		}
	}
	var list []string
	for key := range keys {
		list = append(list, "`"+key+"`")
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// flatten gathers the keys of a document.
func flatten(prefix string, t *config.Tree, keys map[string]bool) {
	for _, key := range t.Keys() {
		inner(prefix+key, t.Get(key), keys)
	}
}

func inner(path string, value any, keys map[string]bool) {
	switch v := value.(type) {
	case map[string]any:
		for key, x := range v {
			inner(path+"."+key, x, keys)
		}
	case []any:
		for _, x := range v {
			if m, is := x.(map[string]any); is && m["name"] == nil && m["address"] == nil {
				inner(path+"[]", m, keys)
				continue
			}
			keys[path] = true
		}
	default:
		keys[path] = true
	}
}

// told reads what becomes of keywords that do not tell it themselves.
func told(t *testing.T) map[[2]string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/becomes.txt")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[[2]string]string)
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		block, rest, _ := strings.Cut(line, " ")
		name, what, _ := strings.Cut(rest, " ")
		all[[2]string{strings.TrimPrefix(block, "-"), name}] = what
	}
	return all
}

// TestKeywordPages holds the tables of docs/keywords-*.md: each of keepalived's keywords, and what becomes of it.
func TestKeywordPages(t *testing.T) {
	table, told, asked := tables(), told(t), make(map[[2]string]bool)
	for path, blocks := range pages() {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, _, found := strings.Cut(string(text), "\n## ")
		if !found {
			head = string(text)
		}
		var b strings.Builder
		fmt.Fprintln(&b, strings.TrimSpace(head))
		for _, block := range blocks {
			title := "`" + block[0] + "`"
			if block[0] == "" {
				title = "The top level"
			}
			fmt.Fprintf(&b, "\n## %s\n\n", title)
			if block[1] != "" {
				fmt.Fprintf(&b, "In director's language: `%s`.\n\n", block[1])
			}
			fmt.Fprint(&b, "| keyword | becomes |\n|---|---|\n")
			rows := make(map[string][]string)
			var order []string
			for _, name := range sorted(table[block[0]]) {
				if block[0] != "TCP_CHECK" && strings.Contains(block[0], "_") && strings.ToUpper(block[0]) == block[0] {
					if _, common := table["TCP_CHECK"][name]; common {
						continue
					}
				}
				what := becomes(block[0], table[block[0]][name])
				for _, id := range [][2]string{{block[0], name}, {"*", name}} {
					if what == "" {
						what, asked[id] = told[id], true
					}
				}
				if what == "" {
					t.Errorf("%s of %q: nothing tells what becomes of it", name, block[0])
				}
				if what == "`"+name+"`" {
					what = "the same key"
				}
				if rows[what] == nil {
					order = append(order, what)
				}
				rows[what] = append(rows[what], "`"+name+"`")
			}
			for _, what := range order {
				fmt.Fprintf(&b, "| %s | %s |\n", strings.Join(rows[what], ", "), strings.ReplaceAll(what, "|", "\\|"))
			}
		}
		if *update {
			if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if d := cmp.Diff(string(text), b.String()); d != "" {
			t.Errorf("%s is not as the tables are (write it with -update) (-page +tables):\n%s", path, d)
		}
	}
	for id := range told {
		if !asked[id] {
			t.Errorf("testdata/becomes.txt: %s of %q tells it itself, or is no keyword", id[1], id[0])
		}
	}
}

func sorted(table map[string]keyword) []string {
	var names []string
	for name := range table {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
