package watchdog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// The test binary becomes a child when it is started with a child's title, and
// a parent when an environment variable says so.
func TestMain(m *testing.M) {
	if role, ok := RoleOf(os.Args); ok {
		f := &fakeChild{role: role, dir: os.Getenv("DIRECTOR_FAKE_DIR")}
		log := slog.New(slog.NewTextHandler(os.Stderr, nil))
		if work, is := map[Role]Work{RoleWeb: fakeWeb(f.dir), RoleSNMP: fakeSNMP(f.dir)}[role]; is {
			os.Exit(RunObserver(role, log, nil, func(level string) error { f.note("level %q", level); return nil }, work))
		}
		os.Exit(RunChild(role, log, func() {}, f.run, func(c *Configure) { f.note("observed %d", c.Generation) },
			func(level string) error { f.note("level %q", level); return nil }))
	}
	if dir := os.Getenv("DIRECTOR_FAKE_PARENT"); dir != "" {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		if err := Run(context.Background(), fakeOptions(dir, signals)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// fakeOptions are a parent's for children that live by the rules of dir.
func fakeOptions(dir string, signals <-chan os.Signal) Options {
	return Options{
		ConfigPath: filepath.Join(dir, "config"),
		RuntimeDir: filepath.Join(dir, "run"),
		// The race detector would otherwise hold up every exit for a second.
		ChildEnv: []string{"DIRECTOR_FAKE_DIR=" + dir, "GORACE=atexit_sleep_ms=0"},
		Version:  "test",
		Parse:    parseJSON,
		Signals:  signals,
		// A child that is only slow, as all are on a busy machine, is waited for.
		inquiryTimeout: 20 * time.Second,
	}
}

// parseJSON takes a configuration as JSON; "invalid" is refused with two errors.
func parseJSON(name string, text []byte) (*config.Config, []config.Warning, error) {
	if strings.HasPrefix(string(text), "invalid") {
		return nil, nil, config.Errors{{File: name, Line: 3, Msg: "first"}, {File: name, Line: 7, Msg: "second"}}
	}
	c := &config.Config{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, nil, err
	}
	var warnings []config.Warning
	if strings.Contains(string(text), "unwise") {
		warnings = append(warnings, config.Warning{File: name, Line: 1, Msg: "unwise"})
	}
	return c, warnings, nil
}

// fakeChild is a child that does what files in its directory and names in its
// configuration say, and writes down what happens to it.
//
//	ROLE.hang      answers no ping
//	ROLE.deaf      answers pings, but no inquiry
//	ROLE.slow-stop does not stop, unless it resumes what another has left
//	ROLE.final     gives up at its first configuration, with the file's text
//	ROLE.forbidden fails for want of a permission before anything else
//	ROLE.three     exits with status 3 without a word
//	ROLE.refuse    refuses every configuration, with the file's text
//	ROLE.crash     exits with status 1 at its first configuration, after the
//	               file's duration
//	ROLE.lazy      puts a configuration in force 200ms later, and never when it
//	               is asked to stop before
//	ROLE.linger    takes a second to notice that its parent is gone
//	ROLE.nonsense  sends the file's text instead of an acknowledgement
//	ROLE.stop-delay takes the file's duration to stop
//	ROLE.delay     takes the file's duration to put a configuration in force
//	ROLE.hold      puts a configuration in force when the file is gone
//
// An instance or virtual server called "refuse" or "die" makes it refuse the
// configuration or die of it, "silent" never acknowledge it; "script:NAME" makes
// it run a track script, twice at once, "check:NAME" the scripts of three checks of its
// server 10.0.0.1:80.
type fakeChild struct {
	role Role
	dir  string
	ch   *Channel
	gen  uint64
	heir bool // it resumes what another has left
}

func (f *fakeChild) is(what string) (string, bool) {
	text, err := os.ReadFile(filepath.Join(f.dir, string(f.role)+"."+what))
	return string(text), err == nil
}

// note appends a line to the common log of all children.
func (f *fakeChild) note(format string, args ...any) {
	w, err := os.OpenFile(filepath.Join(f.dir, "log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer w.Close()
	fmt.Fprintf(w, "%s %s\n", f.role, fmt.Sprintf(format, args...))
}

func (f *fakeChild) run(ctx context.Context, ch *Channel) error {
	f.ch = ch
	f.note("start")
	if _, ok := f.is("forbidden"); ok {
		return fmt.Errorf("open raw socket: %w", os.ErrPermission)
	}
	stopped := context.AfterFunc(ctx, func() { f.note("cancelled") })
	defer stopped()
	for {
		m, err := ch.Recv()
		if errors.Is(err, io.EOF) {
			f.note("eof")
			if _, ok := f.is("linger"); ok {
				time.Sleep(time.Second)
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case m.Configure != nil:
			f.configure(m.Configure)
		case m.Ping != nil:
			if _, ok := f.is("hang"); !ok {
				ch.Send(Message{Pong: m.Ping})
			}
		case m.Inquire != nil:
			if _, ok := f.is("deaf"); !ok {
				s := f.snapshot()
				s.Seq = m.Inquire.Seq
				ch.Send(Message{Snapshot: s})
			}
		case m.Plan != nil:
			f.plan(m.Plan)
		case m.Standing != nil:
			f.note("standing %v", slices.Sorted(maps.Keys(m.Standing.Orders)))
			if m.Standing.ID != 0 {
				ch.Send(Message{Ordered: &Ordered{ID: m.Standing.ID}})
			}
		case m.Confirmed != nil:
			f.note("confirmed")
		case m.Roles != nil:
			f.note("roles %v", m.Roles.States)
		case m.ScriptDone != nil:
			f.note("script %d %s ok=%v %s %q", m.ScriptDone.ID, m.ScriptDone.Name, m.ScriptDone.OK, m.ScriptDone.Result, m.ScriptDone.Output)
		case m.Stop != nil:
			f.note("stop")
			if _, ok := f.is("slow-stop"); ok && !f.heir {
				continue
			}
			if f.role == RoleVRRP {
				ch.Send(Message{Event: &control.Event{Kind: "instance", Subject: "web", From: "MASTER", To: "STOP", Generation: f.gen, Priority: 100}})
			}
			if text, ok := f.is("stop-delay"); ok {
				d, _ := time.ParseDuration(text)
				time.Sleep(d)
			}
			f.note("exit")
			return nil
		}
	}
}

func (f *fakeChild) configure(c *Configure) {
	resume := ""
	if c.Resume != nil {
		f.heir = true
		resume = fmt.Sprintf(" resume alive %d", c.Resume.AliveMono)
		if v := c.Resume.Snapshot.VRRP; v != nil {
			resume += " " + v.Instances[0].State
		}
	}
	if c.Back {
		resume += " back"
	}
	if c.Trial {
		f.note("on trial")
	}
	f.note("configure %d%s", c.Generation, resume)
	if text, ok := f.is("final"); ok {
		f.ch.Send(Message{Ack: &Ack{Generation: c.Generation, Error: text, Final: true}})
		f.ch.Flush(time.Second)
		os.Exit(exitFinal)
	}
	if _, ok := f.is("three"); ok {
		os.Exit(exitFinal)
	}
	if text, ok := f.is("refuse"); ok {
		f.ch.Send(Message{Ack: &Ack{Generation: c.Generation, Error: text}})
		return
	}
	if text, ok := f.is("crash"); ok {
		d, _ := time.ParseDuration(text)
		time.Sleep(d)
		os.Exit(1)
	}
	if _, ok := f.is("lazy"); ok {
		for deadline := time.Now().Add(200 * time.Millisecond); ; {
			f.ch.conn.(seqpacket).SetReadDeadline(deadline)
			m, err := f.ch.Recv()
			if err != nil {
				break
			}
			if m.Stop != nil {
				f.note("stop before applied")
				os.Exit(0)
			}
		}
		f.ch.conn.(seqpacket).SetReadDeadline(time.Time{})
	}
	if text, ok := f.is("nonsense"); ok {
		if err := writeMessage(f.ch.conn, []byte(text), make([]byte, packetSize)); err != nil {
			panic(err)
		}
		return
	}
	if text, ok := f.is("delay"); ok {
		d, _ := time.ParseDuration(text)
		time.Sleep(d)
	}
	for _, held := f.is("hold"); held; _, held = f.is("hold") {
		time.Sleep(5 * time.Millisecond)
	}
	for _, name := range f.names(c) {
		switch {
		case name == "refuse":
			f.ch.Send(Message{Ack: &Ack{Generation: c.Generation, Error: "no such interface"}})
			return
		case name == "silent":
			return
		case name == "die":
			os.Exit(2)
		case strings.HasPrefix(name, "script:"):
			for id := range uint64(2) {
				f.ch.Send(Message{RunScript: &RunScript{ID: id, Name: strings.TrimPrefix(name, "script:")}})
			}
		case strings.HasPrefix(name, "check:"):
			for i := range 3 {
				f.ch.Send(Message{RunScript: &RunScript{ID: uint64(i), Generation: c.Generation, Check: &CheckScript{Service: name, Server: netip.MustParseAddrPort("10.0.0.1:80"), Index: i}}})
			}
		}
	}
	f.note("applied %d", c.Generation)
	first := f.gen == 0
	f.gen = c.Generation
	f.ch.Send(Message{Ack: &Ack{Generation: c.Generation, Changes: f.changes(c)}})
	if first && f.role == RoleVRRP {
		f.ch.Send(Message{Event: &control.Event{Kind: "instance", Subject: "web", From: "INIT", To: "BACKUP", Reason: "started", Generation: f.gen, Priority: 100}})
		f.ch.Send(Message{Roles: &Roles{States: map[string]string{"web": "MASTER"}}})
	}
	f.ch.Send(Message{Snapshot: f.snapshot()})
}

// names are those of what the configuration has for the child.
func (f *fakeChild) names(c *Configure) (names []string) {
	if f.role == RoleVRRP {
		for _, i := range c.Config.Instances {
			names = append(names, i.Name)
		}
		return names
	}
	for _, v := range c.Config.VirtualServers {
		names = append(names, v.Name)
	}
	return names
}

// changes names them all.
func (f *fakeChild) changes(c *Configure) *control.Changes {
	if f.role == RoleVRRP {
		return &control.Changes{VRRP: f.names(c)}
	}
	return &control.Changes{IPVS: f.names(c)}
}

// plan answers by the same names as configure does.
func (f *fakeChild) plan(c *Configure) {
	f.note("plan")
	for _, name := range f.names(c) {
		switch name {
		case "refuse":
			f.ch.Send(Message{Planned: NewPlanned(c.Generation, nil, errors.New("no such interface"))})
			return
		case "silent":
			return
		case "die":
			os.Exit(2)
		}
	}
	f.ch.Send(Message{Planned: NewPlanned(c.Generation, f.changes(c), nil)})
}

func (f *fakeChild) snapshot() *Snapshot {
	if f.role == RoleVRRP {
		return &Snapshot{VRRP: &control.VRRP{Generation: f.gen, Instances: []control.Instance{{
			Name: "web", State: "MASTER", Addresses: []control.Address{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Installed: true}},
		}}}}
	}
	return &Snapshot{Checkers: &control.Checkers{Generation: f.gen, Services: []control.Service{{Name: "farm", State: "up"}}}}
}
