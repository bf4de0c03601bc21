package watchdog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
	"director/internal/netlab/labtest"
)

// manager is a service manager that keeps what it was told.
func manager(t *testing.T, name string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	told := &labtest.Buffer{}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			told.Write([]byte(strings.ReplaceAll(string(buf[:n]), "\n", " ") + "\n"))
		}
	}()
	return told.String
}

func TestServiceManager(t *testing.T) {
	for _, kind := range []string{"path", "abstract"} {
		t.Run(kind, func(t *testing.T) {
			d := prepare(t)
			name := filepath.Join(d.dir, "notify")
			if kind == "abstract" {
				name = "@director-watchdog-" + strconv.Itoa(os.Getpid())
			}
			told := manager(t, name)
			t.Setenv("WATCHDOG_USEC", "100000")
			t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			d.configure(conf("web", "farm"))
			d.file("vrrp.hold", "")
			d.start()
			d.await("vrrp configure 1", 1)
			if strings.Contains(told(), "READY=1") {
				t.Error("ready before the children were")
			}
			d.remove("vrrp.hold")
			d.eventually("STATUS", func() bool {
				return strings.Contains(told(), "STATUS=generation 1; web MASTER; 1 of 1 virtual servers up")
			})
			d.reload()
			d.eventually("signs of life", func() bool { return strings.Count(told(), "WATCHDOG=1") >= 4 })
			d.cancel()
			if err := d.ends(); err != nil {
				t.Error(err)
			}
			var got []string
			for _, line := range strings.Split(strings.TrimSpace(told()), "\n") {
				line = regexp.MustCompile(`MONOTONIC_USEC=[1-9]\d+$`).ReplaceAllString(line, "MONOTONIC_USEC=...")
				if !strings.HasPrefix(line, "STATUS=") && line != "WATCHDOG=1" {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff([]string{"READY=1", "RELOADING=1 MONOTONIC_USEC=...", "READY=1", "STOPPING=1"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNoServiceManager(t *testing.T) {
	env := func(vars map[string]string) func(string) string { return func(k string) string { return vars[k] } }
	if m, err := newServiceManager(env(nil)); err != nil || m.send("READY=1") != nil {
		t.Errorf("without one: %v", err)
	}
	if _, err := newServiceManager(env(map[string]string{"NOTIFY_SOCKET": "vsock:2:1"})); err == nil {
		t.Error("an address that is not a unix socket was accepted")
	}
	m, err := newServiceManager(env(map[string]string{"NOTIFY_SOCKET": "/nonexistent/x", "WATCHDOG_USEC": "5"}))
	if err == nil || m.watchdog != 0 || m.send("READY=1") != nil {
		t.Errorf("unreachable: %v", err)
	}
	d := prepare(t)
	manager(t, filepath.Join(d.dir, "n"))
	m, err = newServiceManager(env(map[string]string{"NOTIFY_SOCKET": filepath.Join(d.dir, "n"), "WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}))
	if err != nil || m.watchdog != 0 {
		t.Errorf("the watchdog of another process: %v, %v", m.watchdog, err)
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	d := ready(t, "web", "")
	err := Run(t.Context(), fakeOptions(d.dir, nil))
	if want := "director is already running as process " + strconv.Itoa(os.Getpid()) + " with runtime directory"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}
	if v, err := d.client().Version(t.Context()); err != nil || v != "test" {
		t.Errorf("the first does not answer any more: %q, %v", v, err)
	}
	for name, want := range map[string]os.FileMode{"run": os.ModeDir | 0o755, "run/director.sock": os.ModeSocket | 0o600} {
		info, err := os.Stat(filepath.Join(d.dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestStartFailures(t *testing.T) {
	d := prepare(t)
	o := fakeOptions(d.dir, nil)
	if err := Run(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no configuration: %v", err)
	}
	d.file("config", "invalid")
	var list config.Errors
	if err := Run(t.Context(), o); !errors.As(err, &list) || len(list) != 2 {
		t.Errorf("invalid configuration: %v", err)
	}
	if _, err := os.Stat(o.RuntimeDir); err == nil {
		t.Error("an invalid configuration left a runtime directory")
	}
	d.configure(conf("web", ""))
	o.SocketPath = "/" + strings.Repeat("x", 120)
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "longer than the 107 bytes") {
		t.Errorf("long socket path: %v", err)
	}
	d.file("file", "")
	o.RuntimeDir = filepath.Join(d.dir, "file")
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "runtime directory") {
		t.Errorf("a file as runtime directory: %v", err)
	}
}

func TestMissingExecutable(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start(func(o *Options) { o.Executable = "/nonexistent/director" })
	d.says(`msg="process state" process=vrrp from=running to=dead reason="start director: vrrp: fork/exec /nonexistent/director: no such file or directory"`)
	d.eventually("a delayed respawn", func() bool { return strings.HasPrefix(d.process(RoleVRRP).State, "respawn in") })
}

// parent starts a parent as a process of its own.
func (d *daemon) parent() *exec.Cmd {
	d.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "DIRECTOR_FAKE_PARENT="+d.dir)
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

// TestParentKilled shows that children notice it and stop cleanly, that ps names
// them, and that the next start waits for them.
func TestParentKilled(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	cmd := d.parent()
	socket := SocketPath(filepath.Join(d.dir, "run"))
	d.eventually("an answer", func() bool {
		c, err := control.Dial(t.Context(), socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	d.eventually("ready", func() bool { return d.status().Processes[0].State == "running" })
	for _, p := range d.status().Processes[1:] {
		cmdline, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/cmdline")
		comm, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/comm")
		title := "director: " + p.Role
		if string(cmdline) != title+"\x00" || string(comm) != title[:min(15, len(title))]+"\n" {
			t.Errorf("%s shows as %q, %q", p.Role, cmdline, comm)
		}
		// What a terminal or a service manager sends to all is not theirs to obey.
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
			if err := syscall.Kill(p.PID, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(50 * time.Millisecond)
	if strings.Contains(d.log(), "cancelled") {
		t.Error("a child obeyed a signal")
	}
	d.file("vrrp.linger", "")
	for _, p := range d.status().Processes {
		if p.State != "running" || p.Restarts != 0 {
			t.Errorf("after signals: %+v", p)
		}
	}

	cmd.Process.Kill()
	cmd.Wait()
	d.await("vrrp eof", 1)
	d.await("checkers eof", 1)
	d.await("vrrp cancelled", 1) // the second line: the kernel's signal
	// The stale socket and locks of the dead one are no obstacle.
	d.start()
	d.says("director is ready")
}

// TestSuccessorWaits has a child of a killed parent that still works on its end.
func TestSuccessorWaits(t *testing.T) {
	dir := t.TempDir()
	first, err := lockRunDir(dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	first.own.Close() // the parent is dead, its child holds the other lock
	waits := make(chan string, 1)
	go func() {
		<-waits
		first.children.Close()
	}()
	second, err := lockRunDir(dir, 10*time.Second, func(msg string) { waits <- msg })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockRunDir(dir, 10*time.Second, nil); err == nil || !strings.Contains(err.Error(), "already running") {
		t.Errorf("a third: %v", err)
	}
	second.own.Close()
	start := time.Now()
	if _, err := lockRunDir(dir, 50*time.Millisecond, nil); err == nil || !strings.Contains(err.Error(), "a child of a former director still runs after 50ms") {
		t.Errorf("a child that stays: %v", err)
	}
	if time.Since(start) < 50*time.Millisecond {
		t.Error("no patience")
	}
	second.release()
}

func TestTrackScripts(t *testing.T) {
	d := prepare(t)
	c := conf("script:ok script:bad script:slow script:none", "")
	c.Global.ScriptUser = "nobody"
	c.Scripts = []config.Script{
		{Name: "ok", Command: []string{"/bin/sh", "-c", "sleep 2; id -un"}, Timeout: config.Duration(30 * time.Second)},
		{Name: "bad", Command: []string{"/bin/sh", "-c", "sleep 0.2; id -un; exit 3"}, Interval: config.Duration(30 * time.Second), User: "root"},
		{Name: "slow", Command: []string{"/bin/sleep", "60"}, Timeout: config.Duration(300 * time.Millisecond)},
	}
	d.configure(c)
	d.start()
	for _, line := range []string{
		`vrrp script 0 ok ok=true exit status 0 "nobody"`, `vrrp script 1 ok ok=false still running ""`,
		`vrrp script 0 bad ok=false exit status 3 "root"`, `vrrp script 0 slow ok=false timed out after 300ms ""`,
		`vrrp script 0 none ok=false no such script in the configuration ""`,
	} {
		d.await(regexp.QuoteMeta(line), 1)
	}
}

func TestScriptWarnings(t *testing.T) {
	missing := []string{"/nonexistent/x"}
	c := &config.Config{
		Global:    config.Global{ScriptUser: "nosuchuser"},
		Scripts:   []config.Script{{Name: "a", Command: []string{"/bin/true"}}, {Name: "b", Command: missing, User: "root"}},
		Instances: []config.Instance{{Name: "web", Notify: config.Notify{User: "root", Master: missing, Backup: missing, Fault: missing, Stop: missing, All: []string{"true"}}}},
		VirtualServers: []config.VirtualServer{{Name: "farm", QuorumUp: []string{"/bin/true"}, QuorumDown: missing,
			RealServers: []config.RealServer{{Name: "s1"}, {Name: "s2", NotifyDown: missing}}}},
	}
	c.Instances = append(c.Instances, config.Instance{Name: "db", Notify: config.Notify{User: "root", All: missing}})
	const text = "[vrrp_script.b]\n\nscript = \"/nonexistent/x\"\n[vrrp_instance.web.notify]\nmaster = \"/nonexistent/x\"\n"
	var got []string
	warnings, err := CheckScripts(config.Positions("f", []byte(text)), c)
	if err != nil {
		t.Error(err)
	}
	for _, w := range warnings {
		got = append(got, w.String())
	}
	const no = "/nonexistent/x: no such file or directory"
	want := []string{
		"f: warning: vrrp_script.a.script: user nosuchuser does not exist",
		"f: warning: vrrp_instance.web.notify.backup: " + no,
		"f: warning: vrrp_instance.web.notify.fault: " + no,
		"f: warning: vrrp_instance.web.notify.stop: " + no,
		"f: warning: vrrp_instance.db.notify.all: " + no,
		"f: warning: virtual_server.farm.real_server[1].notify_down: user nosuchuser does not exist",
		"f: warning: virtual_server.farm.quorum_up: user nosuchuser does not exist",
		"f: warning: virtual_server.farm.quorum_down: user nosuchuser does not exist",
		"f:3: warning: vrrp_script.b.script: " + no,
		"f:5: warning: vrrp_instance.web.notify.master: " + no,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestCheckScripts shows that checks which have the same script for the same target
// share one run, and that none is run twice at a time.
func TestCheckScripts(t *testing.T) {
	d := prepare(t)
	c := conf("", "check:x")
	c.Global.ScriptUser = "root"
	check := config.Check{Kind: config.CheckScript, Timeout: config.Duration(30 * time.Second),
		Command: []string{"/bin/sh", "-c", "echo begin >> " + d.dir + "/log; sleep 1.5; echo end >> " + d.dir + "/log; exit 4"}}
	dynamic, patient := check, check
	dynamic.Dynamic, patient.Timeout = true, config.Duration(31*time.Second)
	c.VirtualServers[0].RealServers = []config.RealServer{{Address: netip.MustParseAddrPort("10.0.0.1:80"), Checks: []config.Check{check, dynamic, patient}}}
	d.configure(c)
	d.start()
	for id := range 3 {
		d.await(regexp.QuoteMeta(fmt.Sprintf(`checkers script %d  ok=false exit status 4 ""`, id)), 1)
	}
	var order []string
	for _, line := range strings.Split(d.log(), "\n") {
		if line == "begin" || line == "end" {
			order = append(order, line)
		}
	}
	if diff := cmp.Diff([]string{"begin", "end", "begin", "end"}, order); diff != "" {
		t.Error(diff)
	}
}

// TestScriptOfADeadProcess shows that a script which outlives the process that
// asked for it is not run twice at a time.
func TestScriptOfADeadProcess(t *testing.T) {
	d := prepare(t)
	c := conf("script:long", "")
	c.Scripts = []config.Script{{Name: "long", Command: []string{"/bin/sh", "-c", "echo begin >> " + d.dir + "/log; sleep 1; echo end >> " + d.dir + "/log"}, Timeout: config.Duration(30 * time.Second)}}
	d.configure(c)
	d.start()
	d.await("begin", 1)
	d.says("director is ready")
	if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("end", 2)
	var order []string
	for _, line := range strings.Split(d.log(), "\n") {
		if line == "begin" || line == "end" {
			order = append(order, line)
		}
	}
	if diff := cmp.Diff([]string{"begin", "end", "begin", "end"}, order); diff != "" {
		t.Error(diff)
	}
}

// TestEvents shows one line per change and the notifications, the one of the stop included.
func TestEvents(t *testing.T) {
	d := prepare(t)
	c := conf("web", "")
	c.Instances[0].Notify.All = []string{"/bin/sh", "-c", "sleep 0.1; echo notify $* >> " + d.dir + "/log", "sh"}
	d.configure(c)
	d.start()
	d.says("director is ready")
	d.says(`msg="instance state" instance=web from=INIT to=BACKUP reason=started priority=100 generation=1 seq=`)
	d.cancel()
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	// The child is gone before the first script ends; both run, in order.
	if want := "notify INSTANCE web BACKUP 100\nnotify INSTANCE web STOP 100\n"; !strings.HasSuffix(d.log(), want) {
		t.Errorf("got %q, want %q at its end", d.log(), want)
	}
}

// TestNonsenseEndsAChild feeds the parent what no child sends.
func TestNonsenseEndsAChild(t *testing.T) {
	text, err := json.Marshal(Message{Stop: &Stop{}, Ping: &Ping{}})
	if err != nil {
		t.Fatal(err)
	}
	d := prepare(t)
	d.configure(conf("web", ""))
	d.file("vrrp.nonsense", string(text))
	d.start()
	d.says(`msg="child cannot be understood" process=vrrp reason="watchdog: channel: message of 2 kinds at once"`)
	d.remove("vrrp.nonsense")
	d.says("director is ready")
}

// TestMailOfTheStop has a mail channel: the parent sends the mail of the stop, and
// keeps the password for itself.
func TestMailOfTheStop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var mu sync.Mutex
	var got []string
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answers := map[string]string{"DATA": "354 go on", "QUIT": "221 bye", ".": "250 ok"}
			fmt.Fprint(conn, "220 mx\r\n")
			body := false
			for in := bufio.NewScanner(conn); in.Scan(); {
				line := in.Text()
				mu.Lock()
				if strings.HasPrefix(line, "Subject: ") {
					got = append(got, line)
				}
				mu.Unlock()
				if body && line != "." {
					continue
				}
				verb, _, _ := strings.Cut(line, " ")
				body = verb == "DATA"
				answer := answers[verb]
				if answer == "" {
					answer = "250 ok"
				}
				fmt.Fprintf(conn, "%s\r\n", answer)
			}
			conn.Close()
		}
	}()
	d := prepare(t)
	c := conf("web", "")
	c.Instances[0].Mail = true
	c.Notify.Mail = &config.Mail{To: []string{"ops@example.com"}, Server: l.Addr().String(), TLS: config.TLSNone, Password: "geheim",
		ConnectTimeout: config.Duration(30 * time.Second), Timeout: config.Duration(30 * time.Second), Events: []string{"instance"}}
	d.configure(c)
	d.start()
	d.says("director is ready")
	d.cancel()
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"Subject: [lb1] VRRP instance web: BACKUP (started)", "Subject: [lb1] VRRP instance web: STOP"}; !slices.Equal(want, got) {
		t.Errorf("got %q", got)
	}
}

// A command that would run as root and that somebody else can change is an
// error, wherever it stands.
func TestUnsafeScripts(t *testing.T) {
	dir := t.TempDir()
	path := dir + "/chk"
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	argv := []string{path}
	c := &config.Config{
		Scripts:        []config.Script{{Name: "a", Command: argv, User: "root"}, {Name: "b", Command: argv, User: "nobody"}},
		Instances:      []config.Instance{{Name: "web", Notify: config.Notify{User: "root", All: argv}}},
		VirtualServers: []config.VirtualServer{{Name: "farm", QuorumUp: argv}},
	}
	const text = "[vrrp_script.a]\nscript = \"x\"\n"
	warnings, err := CheckScripts(config.Positions("f", []byte(text)), c)
	var errs config.Errors
	errors.As(err, &errs)
	var got []string
	for _, e := range errs {
		got = append(got, fmt.Sprintf("%d %s %v", e.Line, e.Key, strings.HasPrefix(e.Msg, path+" would run as root, but "+path+" belongs to root and has the mode -rwxrwxrwx (0777)")))
	}
	if diff := cmp.Diff([]string{"0 vrrp_instance.web.notify.all true", "0 virtual_server.farm.quorum_up true", "2 vrrp_script.a.script true"}, got); diff != "" {
		t.Error(diff)
	}
	// The pool's command names no user.
	if len(warnings) != 1 || warnings[0].Key != "global.script_user" {
		t.Errorf("warnings %v", warnings)
	}
	if named, err := WithScriptUser(&config.Config{Global: config.Global{ScriptUser: "nobody"}}); err != nil || named.Global.ScriptUser != "nobody" {
		t.Errorf("the user that is named: %+v, %v", named, err)
	}
}

// TestEveryCommandIsChecked puts a command that somebody else can change wherever
// the configuration takes one.
func TestEveryCommandIsChecked(t *testing.T) {
	path := t.TempDir() + "/chk"
	if err := errors.Join(os.WriteFile(path, nil, 0o755), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	commands := 0
	var fill func(v reflect.Value, at string)
	fill = func(v reflect.Value, at string) {
		switch v.Kind() {
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), at)
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Struct {
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
				fill(v.Index(0), at)
			}
		case reflect.Struct:
			for _, f := range reflect.VisibleFields(v.Type()) {
				switch {
				case f.Tag.Get("form") == "command":
					commands++
					v.FieldByIndex(f.Index).Set(reflect.ValueOf([]string{path}))
				case f.Name == "Name" && f.Type.Kind() == reflect.String:
					v.FieldByIndex(f.Index).SetString("x")
				case f.IsExported() && !f.Anonymous:
					fill(v.FieldByIndex(f.Index), at+"."+f.Name)
				}
			}
		}
	}
	c := new(config.Config)
	fill(reflect.ValueOf(c).Elem(), "")
	_, err := CheckScripts(config.Positions("f", nil), c)
	var errs config.Errors
	errors.As(err, &errs)
	if len(errs) != commands || commands < 13 {
		t.Errorf("%d commands, refused are %d", commands, len(errs))
		for _, e := range errs {
			t.Log(e.Key)
		}
	}
}
