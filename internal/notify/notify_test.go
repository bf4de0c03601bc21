package notify

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
	"director/internal/script"
)

// recorder is a Runner that takes the time a command's name says.
type recorder struct {
	mu    sync.Mutex
	start time.Time
	lines []string
	env   []string
	slow  map[string]time.Duration // by program
	fail  map[string]bool
}

func (r *recorder) run(ctx context.Context, c script.Command) script.Result {
	r.mu.Lock()
	r.lines = append(r.lines, fmt.Sprintf("%v %s", time.Since(r.start), strings.Join(c.Argv, " ")))
	r.env = c.Env
	wait, fail := r.slow[c.Argv[0]], r.fail[c.Argv[0]]
	r.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return script.Result{ExitStatus: -1, Err: context.Cause(ctx)}
	}
	if fail {
		return script.Result{ExitStatus: 1, Output: "no database"}
	}
	return script.Result{OK: true}
}

func (r *recorder) took() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

func testConfig() *config.Config {
	return &config.Config{
		Global: config.Global{ScriptUser: "nobody"},
		Instances: []config.Instance{
			{Name: "db", Notify: config.Notify{
				Master: []string{"/m", "promote"}, Backup: []string{"/b"}, Fault: []string{"/f"}, Stop: []string{"/s"},
				All: []string{"/all", "own"}, User: "postgres", Timeout: config.Duration(5 * time.Second),
			}},
			{Name: "web", Notify: config.Notify{All: []string{"/all"}}},
			{Name: "quiet"},
		},
		VirtualServers: []config.VirtualServer{{Name: "farm", User: "pool", QuorumUp: []string{"/up"}, QuorumDown: []string{"/down"}, RealServers: []config.RealServer{
			{Name: "s1", NotifyUp: []string{"/well", "s1"}, NotifyDown: []string{"/ill", "s1"}}, {Name: "s2"},
		}}},
	}
}

// setUp returns a notifier with testConfig as generation 1.
func setUp() (*Notifier, *recorder, *bytes.Buffer) {
	r := &recorder{start: time.Now(), slow: map[string]time.Duration{}, fail: map[string]bool{}}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	n := New(r.run, log)
	n.Apply(1, testConfig())
	return n, r, &out
}

func instance(name, from, to string) control.Event {
	return control.Event{Kind: "instance", Subject: name, From: from, To: to, Generation: 1, Priority: 150}
}

func server(name, from, to string) control.Event {
	return control.Event{Kind: "server", Subject: "farm/" + name, From: from, To: to, Generation: 1}
}

func TestOrderAndArguments(t *testing.T) {
	for _, tc := range []struct {
		name   string
		events []control.Event
		want   string
	}{
		{"own script, then all with four more arguments", []control.Event{instance("db", "INIT", "BACKUP")}, "0s /b\n0s /all own INSTANCE db BACKUP 150"},
		{"master", []control.Event{instance("db", "BACKUP", "MASTER")}, "0s /m promote\n0s /all own INSTANCE db MASTER 150"},
		{"fault", []control.Event{instance("db", "BACKUP", "FAULT")}, "0s /f\n0s /all own INSTANCE db FAULT 150"},
		{"stop", []control.Event{instance("db", "MASTER", "STOP")}, "0s /s\n0s /all own INSTANCE db STOP 150"},
		{"all only", []control.Event{instance("web", "INIT", "BACKUP")}, "0s /all INSTANCE web BACKUP 150"},
		{"nothing wanted", []control.Event{instance("quiet", "INIT", "BACKUP")}, ""},
		{"unknown subject", []control.Event{instance("x", "INIT", "BACKUP")}, ""},
		{"unknown kind", []control.Event{{Kind: "address", Subject: "db", From: "a", To: "MASTER", Generation: 1}}, ""},
		{"no change", []control.Event{instance("db", "MASTER", "MASTER")}, ""},
		{"not a state that is told", []control.Event{instance("db", "BACKUP", "INIT")}, ""},
		{"quorum gained", []control.Event{{Kind: "service", Subject: "farm", From: "down", To: "up", Generation: 1}}, "0s /up"},
		{"quorum lost", []control.Event{{Kind: "service", Subject: "farm", From: "up", To: "sorry", Generation: 1}}, "0s /down"},
		{"no quorum at first", []control.Event{{Kind: "service", Subject: "farm", From: "unknown", To: "down", Generation: 1}}, "0s /down"},
		{"a sorry server at first", []control.Event{{Kind: "service", Subject: "farm", From: "unknown", To: "sorry", Generation: 1}}, "0s /down"},
		{"a sorry server later", []control.Event{{Kind: "service", Subject: "farm", From: "down", To: "sorry", Generation: 1}}, ""},
		{"a server well at first", []control.Event{server("s1", "unknown", "up")}, "0s /well s1"},
		{"a server that fails", []control.Event{server("s1", "up", "down")}, "0s /ill s1"},
		{"a server ill from the start", []control.Event{server("s1", "unknown", "down")}, "0s /ill s1"},
		{"told again by a new process", []control.Event{server("s1", "unknown", "up"), server("s1", "unknown", "up")}, "0s /well s1"},
		{"a server without commands", []control.Event{server("s2", "unknown", "up"), server("s3", "unknown", "up")}, ""},
		{"unknown generation", []control.Event{{Kind: "instance", Subject: "web", From: "INIT", To: "BACKUP", Generation: 77}}, "0s /all INSTANCE web BACKUP 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, r, _ := setUp()
				for _, e := range tc.events {
					n.Handle(e)
				}
				if err := n.Close(time.Minute); err != nil {
					t.Error(err)
				}
				if d := cmp.Diff(tc.want, r.took()); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestCommandSettings(t *testing.T) {
	c := testConfig()
	e := control.Event{Kind: "instance", Subject: "db", From: "BACKUP", To: "MASTER", Reason: "master is silent", Code: "master_down", Seq: 7, Priority: 150}
	got := instanceCommands(c, c.Instances[0].Notify, e)[0]
	want := script.Command{Argv: []string{"/m", "promote"}, User: "postgres", Timeout: 5 * time.Second, Env: []string{
		"DIRECTOR_SUBJECT=db", "DIRECTOR_FROM=BACKUP", "DIRECTOR_TO=MASTER", "DIRECTOR_REASON=master is silent",
		"DIRECTOR_REASON_CODE=master_down", "DIRECTOR_PRIORITY=150", "DIRECTOR_SEQ=7",
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	e.Subject = "web"
	if got := instanceCommands(c, c.Instances[1].Notify, e)[0]; got.User != "nobody" || got.Timeout != defaultTimeout {
		t.Errorf("defaults: user %q, timeout %v", got.User, got.Timeout)
	}
	e = server("s1", "up", "down")
	for want, user := range map[string]string{"pool": "pool", "nobody": ""} {
		c.VirtualServers[0].User = user
		if got := serverCommands(c, &c.VirtualServers[0], &c.VirtualServers[0].RealServers[0], e)[0]; got.User != want {
			t.Errorf("a server's command runs as %q, want %q", got.User, want)
		}
	}
	vs := &c.VirtualServers[0]
	vs.RealServers[0].NotifyDownUser, vs.QuorumUpUser, c.Instances[1].Notify.AllUser = "server", "up", "first"
	e.Subject = "web"
	for want, list := range map[string][]script.Command{
		"server": serverCommands(c, vs, &vs.RealServers[0], e),
		"up":     serviceCommands(c, vs, control.Event{Kind: "service", From: "down", To: "up"}),
		"first":  instanceCommands(c, c.Instances[1].Notify, control.Event{Kind: "instance", Subject: "web", To: "MASTER"}),
	} {
		if list[0].User != want {
			t.Errorf("%q runs as %q, its own user is %q", list[0].Argv, list[0].User, want)
		}
	}
	if d := cmp.Diff([]string{"/all"}, c.Instances[1].Notify.All); d != "" {
		t.Errorf("the configuration was changed: %s", d)
	}
}

// TestOneAtATime shows that a subject's scripts never overlap, that states in
// between are left out when they are slow, and that others do not wait.
func TestOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r, out := setUp()
		r.slow["/b"] = 10 * time.Second
		n.Handle(instance("db", "INIT", "BACKUP"))
		time.Sleep(time.Second)
		n.Handle(instance("db", "BACKUP", "MASTER"))
		n.Handle(instance("db", "MASTER", "FAULT"))
		n.Handle(instance("web", "INIT", "BACKUP"))
		n.Handle(instance("db", "FAULT", "MASTER"))
		if err := n.Close(time.Minute); err != nil {
			t.Error(err)
		}
		want := `0s /b
1s /all INSTANCE web BACKUP 150
10s /all own INSTANCE db BACKUP 150
10s /m promote
10s /all own INSTANCE db MASTER 150`
		if d := cmp.Diff(want, r.took()); d != "" {
			t.Error(d)
		}
		if want := `level=WARN msg="notification is behind: only the newest state is told" instance=db to=MASTER seq=0 skipped="MASTER FAULT"`; !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, out)
		}
	})
}

func TestFailureIsLoggedAndDoesNotStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r, out := setUp()
		r.fail["/m"] = true
		n.Handle(instance("db", "BACKUP", "MASTER"))
		if err := n.Close(time.Minute); err != nil {
			t.Error(err)
		}
		if want := "0s /m promote\n0s /all own INSTANCE db MASTER 150"; r.took() != want {
			t.Errorf("ran %q, want %q", r.took(), want)
		}
		if want := `level=WARN msg="notify script failed" instance=db to=MASTER seq=0 command="/m promote" result="exit status 1" duration=0s output="no database"`; !strings.Contains(out.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, out)
		}
	})
}

func TestGenerations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r, _ := setUp()
		next := testConfig()
		next.Instances[1].Notify.All = []string{"/new"}
		next.Instances = next.Instances[1:] // db is gone
		n.Apply(2, next)
		tell := func(e control.Event, generation uint64) {
			e.Generation = generation
			n.Handle(e)
			synctest.Wait()
		}
		tell(instance("web", "BACKUP", "MASTER"), 1)
		tell(instance("web", "MASTER", "BACKUP"), 2)
		tell(instance("db", "MASTER", "STOP"), 2) // only generation 1 knows it
		n.Forget(1)
		tell(instance("web", "BACKUP", "MASTER"), 1) // late
		tell(instance("db", "MASTER", "STOP"), 1)    // nobody knows it any more
		n.Close(time.Minute)
		want := `0s /all INSTANCE web MASTER 150
0s /new INSTANCE web BACKUP 150
0s /s
0s /all own INSTANCE db STOP 150
0s /new INSTANCE web MASTER 150`
		if d := cmp.Diff(want, r.took()); d != "" {
			t.Error(d)
		}
	})
}

// TestSameStateIsToldOnce has a child that was killed and started again.
func TestSameStateIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r, _ := setUp()
		for _, e := range []control.Event{
			instance("web", "BACKUP", "MASTER"),
			instance("web", "INIT", "MASTER"), // resumed
			instance("web", "INIT", "BACKUP"), // did not resume
			instance("web", "INIT", "BACKUP"),
			instance("web", "BACKUP", "STOP"),
			instance("web", "INIT", "BACKUP"),
		} {
			n.Handle(e)
			synctest.Wait()
		}
		n.Close(time.Minute)
		want := `0s /all INSTANCE web MASTER 150
0s /all INSTANCE web BACKUP 150
0s /all INSTANCE web STOP 150
0s /all INSTANCE web BACKUP 150`
		if d := cmp.Diff(want, r.took()); d != "" {
			t.Error(d)
		}
	})
}

func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, r, _ := setUp()
		r.slow["/b"] = time.Hour
		n.Handle(instance("db", "INIT", "BACKUP"))
		synctest.Wait()
		n.Handle(instance("db", "BACKUP", "MASTER"))
		start := time.Now()
		err := n.Close(2 * time.Second)
		if err == nil || err.Error() != "notify: not finished after 2s: instance/db" {
			t.Errorf("got %v", err)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("waited %v, want 2s", d)
		}
		n.Handle(instance("web", "INIT", "BACKUP")) // after the end: nothing
		synctest.Wait()
		if strings.Contains(r.took(), "/m") || strings.Contains(r.took(), "web") {
			t.Errorf("ran after the end:\n%s", r.took())
		}
		if err := n.Close(time.Second); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
}

// TestRealScript runs a real script to its end.
func TestRealScript(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	path := filepath.Join(t.TempDir(), "notify.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho \"$*\" \"$DIRECTOR_FROM\" >> "+out+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	n := New(script.Run, slog.New(slog.DiscardHandler))
	n.Apply(1, &config.Config{Instances: []config.Instance{{Name: "web", Notify: config.Notify{Master: []string{path, "a b"}, All: []string{path}}}}})
	n.Handle(instance("web", "BACKUP", "MASTER"))
	if err := n.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if want := "a b BACKUP\nINSTANCE web MASTER 150 BACKUP\n"; err != nil || string(text) != want {
		t.Errorf("got %q, %v, want %q", text, err, want)
	}
}

// A sync group has commands of its own, with keepalived's arguments for groups,
// and they are those of the group, not of an instance that has the same name.
func TestGroupCommands(t *testing.T) {
	c := &config.Config{
		Instances: []config.Instance{{Name: "farm", Notify: config.Notify{All: []string{"/instance"}}}},
		Groups:    []config.SyncGroup{{Name: "farm", Notify: config.Notify{Master: []string{"/master", "x"}, All: []string{"/all"}, User: "me"}}},
	}
	var mu sync.Mutex
	var got []script.Command
	n := New(func(_ context.Context, c script.Command) script.Result {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, c)
		return script.Result{OK: true}
	}, slog.New(slog.DiscardHandler))
	n.Apply(1, c)
	n.Handle(control.Event{Kind: "group", Subject: "farm", From: "BACKUP", To: "MASTER", Priority: 7, Generation: 1})
	n.Handle(control.Event{Kind: "group", Subject: "other", From: "BACKUP", To: "MASTER", Generation: 1})
	if err := n.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || strings.Join(got[0].Argv, " ") != "/master x" || strings.Join(got[1].Argv, " ") != "/all GROUP farm MASTER 0" || got[1].User != "me" {
		t.Errorf("commands %+v", got)
	}
}
