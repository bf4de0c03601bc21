package verdict

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/config/keepalived"
)

// parsed returns the findings of a text and what it comes from.
func parsed(t testing.TB, name, text string) ([]Finding, Sources) {
	t.Helper()
	parse := config.ParseWithWarnings
	if filepath.Ext(name) == ".conf" {
		parse = func(name string, text []byte) (*config.Config, []config.Warning, error) {
			return keepalived.Parse(name, text, keepalived.Options{})
		}
	}
	_, warnings, err := parse(name, []byte(text))
	var errs config.Errors
	errors.As(err, &errs)
	sources := func(file string) string {
		if file != name {
			return ""
		}
		return text
	}
	return Of(errs, warnings, sources), sources
}

func render(t testing.TB, list []Finding, sources Sources, colour bool) string {
	t.Helper()
	var b strings.Builder
	if err := Render(&b, list, sources, colour); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRender shows whole pages.
func TestRender(t *testing.T) {
	var long strings.Builder
	for i := range 40 {
		if i == 20 {
			i = 236
		}
		fmt.Fprintf(&long, `"10.0.0.%d:80", `, 20+i)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"a.toml", "[vrrp_instance.a]\ninterface = \"eth0\"\nvirtual_router_id = 300\npriorty = 5\nvirtual_ipaddress = \"192.0.2.1\"\n", `
a.toml:3:21: error: vrrp_instance.a.virtual_router_id: 300 is out of range, allowed is a whole number from 1 to 255
  3 | virtual_router_id = 300
    |                     ^~~
a.toml:4:1: error: vrrp_instance.a.priorty: unknown key, did you mean priority?
  4 | priorty = 5
    | ^~~~~~~
`},
		{"tabs.toml", "[global]\r\n\tlog_level =\t\"laut ä\"\t# é\r\n", `
tabs.toml:2:14: error: global.log_level: "laut ä" is not known, allowed is "debug", "info", "warn" or "error"
  2 |         log_level =     "laut ä"        # é
    |                         ^~~~~~~~
`},
		{"bom.toml", "\ufeff[globel]\n", `
bom.toml:1:1: error: globel: unknown key, did you mean global?
  1 | [globel]
    | ^~~~~~~~
`},
		{"syntax.toml", "[global]\nrouter_id = \"a\n", `
syntax.toml:2:15: error: syntax: strings cannot contain newlines
  2 | router_id = "a
    |               ^
`},
		{"long.toml", "[virtual_server.a]\naddress = \"192.0.2.1:80\"\ncheck = { type = \"tcp\" }\nreal_server = [" + long.String() + "]", `
long.toml:4:336: error: virtual_server.a.real_server[20]: "10.0.0.256:80" is not an IP address with a port; names are not looked up, ` +
			`allowed is an IP address with a port as a string, such as "192.0.2.1:80" or "[2001:db8::1]:80"
  4 | ...0.0.0.38:80", "10.0.0.39:80", "10.0.0.256:80", "10.0.0.41:80", "10.0.0.42:80", "10.0.0.43:80",...
    |                                  ^~~~~~~~~~~~~~~
`},
	} {
		list, sources := parsed(t, tc.name, tc.text)
		if d := cmp.Diff(tc.want, "\n"+render(t, list, sources, false)); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
	}
}

// TestRepeated counts what is found again: at one place, and with one message at many.
func TestRepeated(t *testing.T) {
	var warnings []config.Warning
	for line := range 12 {
		warnings = append(warnings, config.Warning{File: "x.conf", Line: line + 1, Col: 1, Key: fmt.Sprintf("v%d.w", line), Msg: "old"})
	}
	errs := config.Errors{{File: "x.conf", Line: 3, Col: 2, Key: "a.k", Msg: "bad"}, {File: "x.conf", Line: 3, Col: 2, Key: "b.k", Msg: "bad"}}
	list := Of(errs, warnings, nil)
	if e, w := Count(list); e != 2 || w != 12 || len(list) != 13 || list[3].Count != 2 {
		t.Errorf("%d errors, %d warnings, %+v", e, w, list)
	}
	want := `x.conf:1:1: warning: v0.w: old
   = 12 times, also in line 2, 3, 4, 5, 6, 7, 8, 9, ...
x.conf:3:2: error: a.k: bad
   = 2 times
`
	if d := cmp.Diff(want, render(t, list, nil, false)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestColour has the same text with colours as without.
func TestColour(t *testing.T) {
	list, sources := parsed(t, "a.toml", "[global]\nlog_level = 1\n")
	coloured := render(t, list, sources, true)
	for _, code := range []string{"1", "2", "1;31", "0"} {
		if !strings.Contains(coloured, "\x1b["+code+"m") {
			t.Errorf("no colour %s in %q", code, coloured)
		}
		coloured = strings.ReplaceAll(coloured, "\x1b["+code+"m", "")
	}
	if plain := render(t, list, sources, false); plain != coloured {
		t.Errorf("got %q, want %q", coloured, plain)
	}
	list[0].Message = "x\x1b[2J"
	if got := render(t, list[:1], nil, false); strings.Contains(got, "\x1b") {
		t.Errorf("a message tells the terminal what to do: %q", got)
	}
}

// TestParts looks at the parts of a message that programs are given.
func TestParts(t *testing.T) {
	for _, tc := range []struct{ name, text, value, allowed, suggestion string }{
		{"a.toml", "[global]\nlog_level = \"inf\"\n", `"inf"`, `"debug", "info", "warn" or "error"`, "info"},
		{"a.toml", "[global]\nrouter_ld = 1\n", "", "", "router_id"},
		{"a.toml", "[global]\nchild_timeout = 3\n", "3", `a duration from 500ms to 60s, as a string with a unit such as "1.5s"`, "3s"},
		{"a.toml", "[vrrp_instance.a]\nvirtual_router_id = 1\nvirtual_ipaddress = [\"192.0.2.1\"]\n", "",
			"the name of a network interface, 1 to 15 characters without blank, / and :", ""},
		{"a.toml", "[vrrp_instance.a]\ninterface = \"e\"\nvirtual_router_id = 1\nvirtual_ipaddress = [\"192.0.2.1\"]\ntrack_script = [\"check\"]\n[vrrp_script.chek]\nscript = \"x\"\n",
			`"check"`, "", "chek"},
		{"a.toml", "[virtual_server.a]\naddress = \"192.0.2.1:80\"\nreal_server = [\"10.0.0.1\"]\nforwarding = \"masq\"\n", `"masq"`, `"nat", "dr" or "tunnel"`, "nat"},
		{"a.toml", "[vrrp_instance.a]\nvrid = 1\n", "", "", "virtual_router_id"},
		{"a.toml", "[global]\nmcast_group = [\"224.0.0.1\", \n", "", "", ""},
		{"a.conf", "vrrp_instance a {\n prioritty 4\n}\n", "", "", "priority"},
		{"a.conf", "vrrp_instance a {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress { 192.0.2.1 }\n priority abc\n}\n", "abc", "", ""},
	} {
		list, _ := parsed(t, tc.name, tc.text)
		found := false
		for _, f := range list {
			found = found || f.Value == tc.value && f.Allowed == tc.allowed && f.Suggestion == tc.suggestion
		}
		if !found {
			text, _ := json.MarshalIndent(list, "", " ")
			t.Errorf("%q: none of value %q, allowed %q, suggestion %q in\n%s", tc.text, tc.value, tc.allowed, tc.suggestion, text)
		}
	}
}

// TestSecretsAreNotShown puts secrets, whole and wrong, on lines that are shown.
func TestSecretsAreNotShown(t *testing.T) {
	const instance = "[vrrp_instance.a]\ninterface = \"eth0\"\nvirtual_router_id = 1\nversion = 2\nvirtual_ipaddress = [\"192.0.2.1\"]\n"
	for i, text := range []string{
		"authentication.password = \"geheim-too-long\"", "authentication = { type = 5, password = \"geheim\" }", "authentication = { pasword = \"geheim\", type = 7 }",
		"authentication.auth_pass = geheim", "auth_pass = 'geheim", "authentication.password = \"\"\"\ngeheim\\q\"\"\"", "authentication.password = [\"geheim\",\n\"geheim\" x",
		"authentication = { type = \"HMAC\", keys = [{ id = 1, key = \"geheim\" }] }", "authentication = { type = \"HMAC\", keys = [\n{ id = 1,\n\"key\" = \"geheim\" }] }",
		"[notify.webhook]\nurl = \"http//geheim\"", "[notify.webhook]\nurl = \"https://a/\"\nsecret = 'geheim'\nx = 1", "[notify.snmp]\ncommunity = [1, \"geheim\"]",
	} {
		for _, tail := range []string{"\n", "\nx = \n", "\n]]\n"} {
			list, sources := parsed(t, "a.toml", instance+text+tail)
			out, err := json.Marshal(list)
			if err != nil {
				t.Fatal(err)
			}
			if page := render(t, list, sources, false); len(list) == 0 || strings.Contains(page+string(out), "geheim") {
				t.Errorf("%d: %d findings\n%s", i, len(list), page)
			}
		}
	}
	for _, text := range []string{"authentication { auth_pass geheim x }", "authentication {\n auth_pas \"geheim\n}", "auth_pass geheim"} {
		list, sources := parsed(t, "a.conf", "vrrp_instance a {\n"+text+"\n}\n")
		if page := render(t, list, sources, false); len(list) == 0 || strings.Contains(page, "geheim") {
			t.Errorf("%d findings\n%s", len(list), page)
		}
	}
}

// TestEveryFindingHasItsLine renders all faulty files there are: each finding shows its
// line, with the mark inside it.
func TestEveryFindingHasItsLine(t *testing.T) {
	files, err := filepath.Glob("../../config/testdata/*.bad.toml")
	if err != nil || len(files) < 30 {
		t.Fatal(len(files), err)
	}
	more, err := filepath.Glob("../../config/keepalived/testdata/*.conf")
	if err != nil || len(more) < 15 {
		t.Fatal(len(more), err)
	}
	seen := 0
	for _, file := range append(files, more...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		list, sources := parsed(t, file, string(text))
		p := newPages(sources)
		for _, f := range list {
			seen++
			e := p.excerpt(f)
			line, mark := e.mark()
			inside := []rune(line)
			if e.text == "" || strings.TrimSpace(mark) == "" || len([]rune(mark)) > len(inside)+1 {
				t.Errorf("%s:%d:%d: %s: line %q, mark %q", file, f.Line, f.Column, f.Message, line, mark)
			}
			if strings.Contains(f.Message, ", allowed is ") && f.Allowed == "" || strings.Contains(f.Message, "did you mean") && f.Suggestion == "" {
				t.Errorf("%s: %s: allowed %q, suggestion %q", file, f.Message, f.Allowed, f.Suggestion)
			}
		}
	}
	if seen < 500 {
		t.Errorf("only %d findings", seen)
	}
}
