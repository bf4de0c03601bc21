package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
)

// farmDaemon is a daemon that tells its state and can do nothing.
type farmDaemon struct {
	control.Handler
	status control.Status
	slow   bool // it does not answer
}

func (d *farmDaemon) Overview(ctx context.Context, q control.OverviewQuery) (*control.Overview, error) {
	if d.slow {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return d.status.Overview(q), nil
}

// serve has a daemon answer in a runtime directory.
func serve(t *testing.T, h control.Handler) (runtimeDir string) {
	t.Helper()
	dir := folder(t)
	l, err := control.Listen(filepath.Join(dir, "director.sock"), "1", h, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return dir
}

func smallFarm() control.Status {
	up := func(name string) control.Server {
		return control.Server{Name: name, Address: strings.Replace(name, "app", "10.0.0.", 1) + ":80", Health: "up"}
	}
	return control.Status{
		Processes: []control.Process{{Role: "parent"}, {Role: "vrrp"}, {Role: "checkers"}},
		VRRP: &control.VRRP{
			Instances: []control.Instance{{Name: "inside", Family: "ipv4"}, {Name: "inside", Family: "ipv6"}, {Name: "outside"}},
			Groups:    []control.Group{{Name: "gateway"}},
			Scripts:   []control.Script{{Name: "chk_nginx"}},
		},
		Checkers: &control.Checkers{Services: []control.Service{
			{Name: "web", Address: "192.0.2.80:80/tcp", Servers: []control.Server{up("app1"), up("app2"), up("10.0.0.13:80")}},
			{Name: "dns", Address: "192.0.2.80:53/udp", Servers: []control.Server{up("app9")}},
			{Name: "mark", Address: "fwmark 7", Servers: []control.Server{up("app9")}},
		}},
	}
}

// TestCompletion asks as the shells' scripts do, of a daemon that runs, of one that does
// not answer and of none.
func TestCompletion(t *testing.T) {
	daemon := serve(t, &farmDaemon{status: smallFarm()})
	const names, nothing, extensions, ordered = ":4", ":4", ":8", ":36"
	for _, tc := range []struct{ line, want string }{
		{"vrrp release |", "gateway inside outside " + names},
		{"vrrp prefer inside |", "gateway outside " + names},
		{"drain |", "dns mark web " + names},
		{"drain web |", "10.0.0.13:80 all app1 app2 " + names},
		{"drain web app1 a|", "all app2 " + names},
		{"maintain dns |", "app9 " + names},
		{"weight nothing |", nothing},
		{"weight web |", "10.0.0.13:80 all app1 app2 " + names},
		{"weight web app1 |", "0 10% 25% 50% 75% " + ordered},
		{"weight web app1 a|", "all app2 " + ordered},
		{"weight web app1 1|", "10% 10.0.0.13:80 " + ordered},
		{"weight web all 5|", "50% " + ordered},
		{"weight web app1 app2 |", "0 10% 25% 50% 75% " + ordered},
		{"weight web app1 30% |", nothing},
		{"weight --everywhere app9 |", "0 10% 25% 50% 75% " + ordered},
		{"ready --everywhere a|", "app1 app2 app9 " + names},
		{"explain |", "chk_nginx dns gateway inside mark outside web " + names},
		{"explain web/a|", "web/app1 web/app2 " + names},
		{"explain web |", nothing},
		{"events --subject |", "checkers chk_nginx dns gateway inside mark outside parent vrrp web " + names},
		{"events --subject web,in|", "web,inside " + names},
		{"events --subject=out|", "outside " + names},
		{"events --kind instance,s|", "instance,script instance,server instance,service " + names},
		{"ipvs list -t |", "192.0.2.80:80 " + names},
		{"ipvs rate --udp-service |", "192.0.2.80:53 " + names},
		{"ipvs stats -f |", "7 " + names},
		{"check |", "toml conf " + extensions},
		{"check -c |", "toml conf " + extensions},
		{"run --config |", "toml conf " + extensions},
		{"check a.toml |", nothing},
		{"convert |", "conf cf " + extensions},
		{"ipvs restore |", ":0"},
		{"status |", nothing},
		{"status --color |", "auto always never " + names},
		{"run --log-level |", "debug info warn error " + names},
		{"log level |", "debug info warn error auto " + names},
		{"log level debug --process vrrp,c|", "vrrp,checkers " + names},
		{"completion |", "bash fish zsh " + names},
	} {
		t.Setenv("DIRECTOR_RUNTIME_DIR", daemon) // the folder goes by the environment, as it does in a shell
		got := complete(t, tc.line)
		for tries := 0; got != tc.want && tries < 5; tries++ { // the daemon of a busy machine may answer after completionLimit
			got = complete(t, tc.line)
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s: %s", tc.line, d)
		}
		t.Setenv("DIRECTOR_RUNTIME_DIR", filepath.Join(daemon, "none"))
		if got := complete(t, tc.line); strings.Contains(got, "app") || strings.Contains(got, "web") {
			t.Errorf("%s without a daemon: %s", tc.line, got)
		}
	}
	t.Setenv("DIRECTOR_RUNTIME_DIR", serve(t, &farmDaemon{slow: true}))
	begun := time.Now()
	if got := complete(t, "drain |"); got != nothing || time.Since(begun) > 30*time.Second {
		t.Errorf("a daemon that does not answer: %q after %v", got, time.Since(begun))
	}
}

// complete asks what comes where the line has its mark, and returns it with the directive.
func complete(t *testing.T, line string) string {
	t.Helper()
	args := append([]string{"__complete"}, strings.Fields(strings.TrimSuffix(line, "|"))...)
	if strings.HasSuffix(line, " |") {
		args = append(args, "")
	}
	status, out, errs := call(args...)
	if status != exitOK || !strings.HasPrefix(errs, "Completion ended with directive: ") {
		t.Errorf("%s: %d %s", line, status, errs)
	}
	var words []string
	for _, l := range strings.Split(strings.TrimSpace(out), "\n") {
		w, _, _ := strings.Cut(l, "\t")
		words = append(words, w)
	}
	return strings.Join(words, " ")
}
