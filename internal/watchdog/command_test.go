package watchdog

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
)

// A child names a check; what is run for it comes from the configuration alone.
func TestCheckCommand(t *testing.T) {
	run := config.Check{Kind: config.CheckScript, Command: []string{"/bin/check", "x"}, Timeout: config.Duration(time.Second)}
	other := run
	other.User, other.ConnectPort, other.ConnectAddress = "www", 99, netip.MustParseAddr("10.9.9.9")
	server := netip.MustParseAddrPort("10.0.0.1:80")
	g := &generation{config: &config.Config{
		Global: config.Global{ScriptUser: "nobody"},
		VirtualServers: []config.VirtualServer{{Name: "web", RealServers: []config.RealServer{
			{Address: server, Checks: []config.Check{{Kind: config.CheckTCP}, run, other}},
		}}},
	}}
	for _, test := range []struct {
		name CheckScript
		want string
	}{
		{CheckScript{"web", server, 1}, "[/bin/check x] nobody 1s [DIRECTOR_ADDRESS=10.0.0.1 DIRECTOR_PORT=80]"},
		{CheckScript{"web", server, 2}, "[/bin/check x] www 1s [DIRECTOR_ADDRESS=10.9.9.9 DIRECTOR_PORT=99]"},
		{CheckScript{"web", server, 0}, ""},
		{CheckScript{"web", server, 3}, ""},
		{CheckScript{"web", server, -1}, ""},
		{CheckScript{"dns", server, 1}, ""},
		{CheckScript{"web", netip.MustParseAddrPort("10.0.0.2:80"), 1}, ""},
	} {
		c, key, ok := g.command(&RunScript{Check: &test.name})
		got := ""
		if ok {
			got = strings.Join([]string{"[" + strings.Join(c.Argv, " ") + "]", c.User, c.Timeout.String(), "[" + strings.Join(c.Env, " ") + "]"}, " ")
		}
		if got != test.want || ok != (key != "") {
			t.Errorf("%+v: %q, want %q", test.name, got, test.want)
		}
	}
	if _, _, ok := (*generation)(nil).command(&RunScript{Name: "x"}); ok {
		t.Error("a command without a configuration")
	}
}

func TestCheckScriptsAreLookedAt(t *testing.T) {
	const text = "[virtual_server.web]\n[[virtual_server.web.check]]\nscript = \"/nonexistent/x\"\n" +
		"[[virtual_server.web.real_server]]\n[[virtual_server.web.real_server.check]]\nscript = \"/nonexistent/y\"\n"
	missing := func(name string) []config.Check {
		return []config.Check{{Kind: config.CheckScript, Command: []string{name}, User: "root"}}
	}
	shared := missing("/nonexistent/x")
	shared[0].CAFile = "/nonexistent/ca.pem"
	warnings, err := CheckScripts(config.Positions("f", []byte(text)), &config.Config{VirtualServers: []config.VirtualServer{{Name: "web", Checks: shared,
		RealServers: []config.RealServer{{Checks: missing("/nonexistent/y")}, {Checks: shared}}}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.Key)
	}
	want := []string{"virtual_server.web.check[0]", "virtual_server.web.check[0].script", "virtual_server.web.real_server[0].check[0].script"}
	if !slices.Equal(got, want) || warnings[0].Line != 2 || warnings[1].Line != 3 || warnings[2].Line != 6 {
		t.Errorf("%v", warnings)
	}
}

// The script of a check is that of the configuration which the child has: while a reload is under way, or after one was refused,
// another check may be at the same place of the new list.
func TestCheckScriptsOfTwoGenerations(t *testing.T) {
	server := netip.MustParseAddrPort("10.0.0.1:80")
	generationOf := func(number uint64, names ...string) *generation {
		var list []config.Check
		for _, name := range names {
			list = append(list, config.Check{Kind: config.CheckScript, Command: []string{name}})
		}
		return &generation{number: number, config: &config.Config{VirtualServers: []config.VirtualServer{{Name: "web",
			RealServers: []config.RealServer{{Address: server, Checks: list}}}}}}
	}
	p := &parent{force: generationOf(1, "/bin/first", "/bin/second")}
	c := &child{want: generationOf(2, "/bin/new", "/bin/first")}
	for _, test := range []struct {
		generation uint64
		index      int
		want       string
	}{{1, 0, "/bin/first"}, {1, 1, "/bin/second"}, {2, 0, "/bin/new"}, {2, 1, "/bin/first"}, {2, 2, ""}, {3, 0, ""}, {0, 0, ""}} {
		command, _, ok := p.command(c, &RunScript{Generation: test.generation, Check: &CheckScript{"web", server, test.index}})
		if got := strings.Join(command.Argv, " "); got != test.want || ok != (test.want != "") {
			t.Errorf("check %d of generation %d: %q, want %q", test.index, test.generation, got, test.want)
		}
	}
}
