package keepalived

import (
	"fmt"
	"strings"
	"testing"

	"director/config"

	"github.com/google/go-cmp/cmp"
)

// scripts are forms of a command behind its keyword, and the argument vectors that keepalived 2.2.7 runs for them; none is an
// error in both.
var scripts = []struct {
	text string
	want []string
}{
	{`/s a b`, []string{"/s"}}, // and two words that mean nothing, or a user and a group
	{`"/s a b"`, []string{"/s", "a", "b"}},
	{`'/s a b'`, []string{"/s", "a", "b"}},
	{`"/s -c \"test -f /etc/hostname && exit 0; exit 1\""`, []string{"/s", "-c", "test -f /etc/hostname && exit 0; exit 1"}},
	{`"/s a\ b"`, []string{"/s", "a", "b"}},
	{`"/s a\\ b"`, []string{"/s", "a b"}},
	{`"/s a\\\ b"`, []string{"/s", "a b"}},
	{`/s\ a\ b`, []string{"/s", "a", "b"}},
	{`"/s 'a b' c"`, []string{"/s", "a b", "c"}},
	{`"/s \'a b\' c"`, []string{"/s", "a b", "c"}},
	{`'/s "a b" c'`, []string{"/s", "a b", "c"}},
	{`"/s a\\b"`, []string{"/s", "a\b"}},
	{`"/s a\\\\b"`, []string{"/s", `a\b`}},
	{`"/s \\\"a b\\\""`, []string{"/s", `"a`, `b"`}},
	{`"/s a\\\\\"b\\\\\" c"`, []string{"/s", `a\b\`, "c"}},
	{`"/s '\\'a'"`, []string{"/s", "'a"}},
	{`"/s 'it\\\'s' x"`, []string{"/s", "it's", "x"}},
	{`"/s \x41 \101 \cA \t x"`, []string{"/s", "A", "A", "\x01", "x"}},
	{`"/s \\x41 \\101 \\t x"`, []string{"/s", "A", "A", "\t", "x"}},
	{`"/s \x414 \1234 \e \E \8 \x x"`, []string{"/s", "\x14", "S4", "e", "\x1b", "8", "x", "x"}},
	{`"/s a"'b'`, []string{"/s", "ab"}},
	{`'/s '"a b"`, []string{"/s", "a", "b"}},
	{`"/s a\"b\"c d"`, []string{"/s", "abc", "d"}},
	{`"/s \"\" '' x"`, []string{"/s", "", "", "x"}},
	{`"/s 'a;b|c' {a} 'x}'"`, []string{"/s", "a;b|c", "{a}", "x}"}},
	{`"/s -c 'echo \"a b\" c'"`, []string{"/s", "-c", `echo "a b" c`}},
	{`'/s -c "echo \'a b\' c"'`, []string{"/s", "-c", "echo 'a b' c"}},
	{`"/s # x ! y"`, []string{"/s", "#", "x", "!", "y"}},
	{`"/s a\#b a\!b"`, []string{"/s", "a#b", "a!b"}},
	{`"/s '$HOME' ${X} \\$Y"`, []string{"/s", "$HOME", "${X}", "$Y"}},
	{`"/s  "`, []string{"/s"}},
	{`"/s 'it\'s' x"`, nil},
	{`"/s a\"b"`, nil},
	{`"/s a\\"`, nil},
	{`'/s it\'s \"q\"'`, nil},
	{`"/s -c 'echo \\"a b\\" c'"`, nil}, // there keepalived runs /s -c "echo \a"
}

// Scripts are split as keepalived splits them, whatever runs them.
func TestScripts(t *testing.T) {
	for _, s := range scripts {
		text := fmt.Sprintf(`
vrrp_script a {
  script %[1]s
}
vrrp_instance v {
  interface eth0
  virtual_router_id 1
  virtual_ipaddress {
    192.0.2.1
  }
  notify %[1]s
}
virtual_server 192.0.2.1 80 {
  protocol TCP
  quorum_down %[1]s
  real_server 192.0.2.11 80 {
    notify_up %[1]s
    MISC_CHECK {
      misc_path %[1]s
    }
  }
}
`, s.text)
		cfg, _, err := Parse("x.conf", []byte(text), Options{})
		if err != nil {
			if s.want != nil {
				t.Errorf("%s: %v", s.text, err)
			}
			continue
		}
		server := cfg.VirtualServers[0].RealServers[0]
		for place, got := range map[string][]string{"script": cfg.Scripts[0].Command, "notify": cfg.Instances[0].Notify.All,
			"quorum_down": cfg.VirtualServers[0].QuorumDown, "notify_up": server.NotifyUp, "misc_path": server.Checks[0].Command} {
			if d := cmp.Diff(s.want, got); d != "" {
				t.Errorf("%s %s (-want +got):\n%s", place, s.text, d)
			}
		}
	}
}

// The expression of a url has escapes of its own behind those of the file.
func TestRegexEscapes(t *testing.T) {
	for text, want := range map[string]string{
		`"^OK\\s+\\d+$"`: `^OK\s+\d+$`, `"say \"ok\""`: `say "ok"`, `'a "b"'`: `a "b"`, `a\ b\\.c`: `a b\.c`, `"a.b"`: "a.b",
	} {
		cfg, _, err := Parse("x.conf", []byte(fmt.Sprintf(`
virtual_server 192.0.2.1 80 {
  protocol TCP
  real_server 192.0.2.11 80 {
    HTTP_GET {
      url {
        path /
        regex %s
      }
    }
  }
}
`, text)), Options{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := cfg.VirtualServers[0].RealServers[0].Checks[0].BodyRegexp; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Scripts of a block run as the user of all of them, or each as its own; of two for the same occasion the first counts.
func TestScriptUsers(t *testing.T) {
	cfg, warnings, err := Parse("x.conf", []byte(`
global_defs {
  script_user admin
}
vrrp_instance v {
  interface eth0
  virtual_router_id 1
  virtual_ipaddress {
    192.0.2.1
  }
  notify_master /m nobody
  notify_master /second root
  notify /a root wheel
  notify_stop /s
}
vrrp_sync_group g {
  group {
    v
  }
  notify_master /m nobody
  notify /a "nobody"
}
virtual_server 192.0.2.1 80 {
  protocol TCP
  quorum_up /u root
  quorum_up /second
  quorum_down /d
  real_server 192.0.2.11 80 {
    notify_up /u nobody
    notify_up /second root
    notify_down /d
  }
}
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	add := func(list ...config.UserCommand) {
		for _, c := range list {
			if len(c.Argv) > 0 {
				got += fmt.Sprintln(c.Key, c.Argv, c.User)
			}
		}
	}
	in, group, vs := cfg.Instances[0].Notify.Commands(), cfg.Groups[0].Notify.Commands(), &cfg.VirtualServers[0]
	add(in[:]...)
	add(group[:]...)
	pool, server := vs.Commands(), vs.RealServers[0].Commands(vs)
	add(pool[:]...)
	add(server[:]...)
	want := `master [/m] nobody
stop [/s] admin
all [/a] root:wheel
master [/m] nobody
all [/a] nobody
quorum_up [/u] root
quorum_down [/d] 
notify_up [/u] nobody
notify_down [/d] 
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if n := strings.Count(fmt.Sprint(warnings), "the first one counts"); n != 3 {
		t.Errorf("%d warnings of a second script, want 3: %v", n, warnings)
	}
}
