package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// example is one fenced block of a page.
type example struct {
	place string // file:line of its first line
	lang  string
	text  string
}

// examples returns the fenced blocks of a page, without the indentation of a list.
func examples(t testing.TB, path string) []example {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []example
	var open *example
	indent := ""
	for n, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		lang, fence := strings.CutPrefix(trimmed, "```")
		switch {
		case fence && open == nil:
			list = append(list, example{place: fmt.Sprintf("%s:%d", path, n+2), lang: lang})
			open, indent = &list[len(list)-1], line[:len(line)-len(trimmed)]
		case fence:
			open = nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		}
	}
	if open != nil {
		t.Errorf("%s: the block does not end", open.place)
	}
	return list
}

// complete adds to an example what it leaves out for shortness: the required keys of
// the tables that it shows, and the tables that it names.
func complete(text string) string {
	header := func(kind, name, keys string) {
		h := fmt.Sprintf("[%s.%s]", kind, name)
		at := strings.Index("\n"+text, "\n"+h)
		if at < 0 {
			text += "\n" + h + "\n"
			at = len(text) - len(h) - 1
		}
		at += len(h)
		if end := strings.IndexByte(text[at:], '\n'); end >= 0 {
			at += end
		}
		body, _, _ := strings.Cut(text[at:], "\n[")
		for _, line := range strings.Split(keys, "\n") {
			key, _, _ := strings.Cut(line, " ")
			if key == "gateway" {
				key = "(gateway|address)"
			}
			if !regexp.MustCompile(`(?m)^` + key + `\b`).MatchString(body) {
				text = text[:at] + "\n" + line + text[at:]
			}
		}
	}
	named := func(pattern string) []string {
		var names []string
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			for _, name := range regexp.MustCompile(`(?:^|\[|, |name = )"([^"]+)"`).FindAllStringSubmatch(m[1], -1) {
				names = append(names, name[1])
			}
		}
		return names
	}
	if !regexp.MustCompile(`(?m)^\[\[?(vrrp_instance|vrrp_sync_group|virtual_server|static_)`).MatchString(text) {
		text += "\n[vrrp_instance.web]\n"
	}
	for _, name := range named(`(?m)^group = (\[.*\])`) {
		header("vrrp_instance", name, "")
	}
	for _, name := range named(`(?m)^virtual_server = (\[.*\])`) {
		header("virtual_server", name, `address = "192.0.2.200:80"`)
	}
	for kind, keys := range map[string]string{"script": `script = "/bin/true"`, "file": `file = "/run/number"`, "process": `process = "nginx"`, "target": `gateway = "ipv4"`} {
		table := "track_" + kind
		if kind == "script" {
			table = "vrrp_script"
		}
		for _, name := range named(`(?m)^track_` + kind + ` = (\[.*\])`) {
			header(table, name, keys)
		}
	}
	for _, name := range named(`(?m)^(?:bfd_trigger|track_bfd) = (\[.*\])`) {
		header("bfd", name, `neighbor_ip = "192.0.2.3"`)
	}
	for _, m := range regexp.MustCompile(`(?m)^\[\[virtual_server\.(\w+)\.check\]\]`).FindAllStringSubmatch(text, -1) {
		if strings.Contains(text, "[virtual_server."+m[1]+"]\n") {
			continue // a whole one, or one that is complete by now
		}
		header("virtual_server", m[1], "address = \"192.0.2.200:80\"\nreal_server = [\"10.0.0.1\"]")
	}
	var instances []string
	for _, m := range regexp.MustCompile(`(?m)^\[\[?vrrp_instance\.([\w-]+)[.\]]`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(instances, m[1]) {
			instances = append(instances, m[1])
		}
	}
	for i, name := range instances {
		header("vrrp_instance", name, fmt.Sprintf("interface = \"eth0\"\nvirtual_router_id = %d\nvirtual_ipaddress = [\"192.0.2.%d/24\"]", 51+i, 100+i))
	}
	return text
}

// TestDocumentedExamples parses every example of the configuration in README.md and in
// docs, as a reader would copy it.
func TestDocumentedExamples(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	toml := regexp.MustCompile(`(?m)^\[\[?(global|vrrp_\w+|virtual_server|notify|track_\w+|bfd|static_\w+|checker_process)\b`)
	found := 0
	for _, page := range append(pages, "../README.md") {
		for _, e := range examples(t, page) {
			if e.lang != "toml" {
				if toml.MatchString(e.text) {
					t.Errorf("%s: an example of the configuration is not marked as toml", e.place)
				}
				continue
			}
			found++
			full := complete(e.text)
			_, warnings, err := ParseWithWarnings("example", []byte(full))
			if err != nil {
				t.Errorf("%s:\n%v\nin:\n%s", e.place, err, full)
			}
			for _, w := range warnings {
				t.Errorf("%s: %v", e.place, w)
			}
		}
	}
	if found < 12 {
		t.Errorf("only %d examples", found)
	}
}
