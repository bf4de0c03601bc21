package script

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// write makes an executable script in a directory that every user can enter.
func write(t *testing.T, body string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "director-script-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "run")
	if err := os.WriteFile(path, []byte(body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestResult(t *testing.T) {
	notExecutable := write(t, "#!/bin/sh\n")
	if err := os.Chmod(notExecutable, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		cmd    Command
		ok     bool
		result string
		output string
	}{
		{"success", Command{Argv: []string{"/bin/true"}}, true, "exit status 0", ""},
		{"failure", Command{Argv: []string{"/bin/sh", "-c", "exit 7"}}, false, "exit status 7", ""},
		{"signal", Command{Argv: []string{"/bin/sh", "-c", "kill -9 $$"}}, false, "ended by signal: killed", ""},
		{"by PATH", Command{Argv: []string{"true"}}, true, "exit status 0", ""},
		{"no shell", Command{Argv: []string{"/bin/echo", "$HOME; false"}}, true, "exit status 0", "$HOME; false"},
		{"both outputs", Command{Argv: []string{"/bin/sh", "-c", "echo out; echo err >&2"}}, true, "exit status 0", "out\nerr"},
		{"input is empty", Command{Argv: []string{"/bin/cat"}}, true, "exit status 0", ""},
		{"time-out", Command{Argv: []string{"/bin/sleep", "30"}, Timeout: 50 * time.Millisecond}, false, "timed out after 50ms", ""},
		{"extra environment", Command{Argv: []string{"/bin/sh", "-c", "echo $DIRECTOR_TO"}, Env: []string{"DIRECTOR_TO=MASTER"}}, true, "exit status 0", "MASTER"},
		{"empty", Command{}, false, "no command", ""},
		{"missing", Command{Argv: []string{"/nonexistent/x"}}, false, "/nonexistent/x: no such file or directory", ""},
		{"missing in PATH", Command{Argv: []string{"no-such-program"}, Env: []string{"PATH=/bin:."}}, false, "no-such-program: not found in PATH (/bin:.)", ""},
		{"directory", Command{Argv: []string{"/tmp"}}, false, "/tmp: is a directory", ""},
		{"not executable", Command{Argv: []string{notExecutable}}, false, notExecutable + ": is not executable (mode -rw-r--r--)", ""},
		{"unknown user", Command{Argv: []string{"/bin/true"}, User: "nosuchuser"}, false, "user nosuchuser does not exist", ""},
		{"unknown number", Command{Argv: []string{"/bin/true"}, User: "3999999999"}, false, "user 3999999999 does not exist", ""},
		{"unknown group", Command{Argv: []string{"/bin/true"}, User: "nobody:nosuchgroup"}, false, "group nosuchgroup does not exist", ""},
		{"empty group", Command{Argv: []string{"/bin/true"}, User: "nobody:"}, false, "group name is empty", ""},
		{"control characters", Command{Argv: []string{"/usr/bin/printf", `\033[31mred\033[0m\377\n`}}, true, "exit status 0", "[31mred[0m\uFFFD"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Run(context.Background(), tc.cmd)
			if got.OK != tc.ok || got.String() != tc.result || got.Output != tc.output {
				t.Errorf("got OK %v, %q, output %q; want %v, %q, %q", got.OK, got, got.Output, tc.ok, tc.result, tc.output)
			}
			if got.Duration <= 0 {
				t.Errorf("duration %v", got.Duration)
			}
		})
	}
}

func TestCannotStart(t *testing.T) {
	noInterpreter := write(t, "#!/nonexistent/interpreter\n")
	text := write(t, "echo hello\n")
	closed := write(t, "#!/bin/sh\nexit 0\n")
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		cmd  Command
		want string
	}{
		{Command{Argv: []string{noInterpreter}}, "its interpreter (the #! line) does not exist"},
		{Command{Argv: []string{text}}, "it has no #! line"},
		{Command{Argv: []string{closed}, User: "nobody"}, "permission denied for user nobody"},
	} {
		got := Run(context.Background(), tc.cmd)
		if got.OK || got.Err == nil || !strings.Contains(got.Err.Error(), tc.want) {
			t.Errorf("%v: got %v, want %q in it", tc.cmd.Argv, got, tc.want)
		}
	}
}

func TestUser(t *testing.T) {
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	show := []string{"/bin/sh", "-c", "id -u; id -g; id -G; echo $USER $HOME; ulimit -n >/dev/null; cat /proc/self/status | grep -c 'CapEff:.*[1-9a-f]'"}
	for _, tc := range []struct{ spec, want string }{
		{"nobody", nobody.Uid + "\n" + nobody.Gid + "\n" + nobody.Gid + "\nnobody " + nobody.HomeDir + "\n0"},
		{"nobody:daemon", nobody.Uid + "\n1\n1\nnobody " + nobody.HomeDir + "\n0"},
		{nobody.Uid + ":1", nobody.Uid + "\n1\n1\nnobody " + nobody.HomeDir + "\n0"},
	} {
		got := Run(context.Background(), Command{Argv: show, User: tc.spec})
		if got.Output != tc.want {
			t.Errorf("user %s: got %q (%v), want %q", tc.spec, got.Output, got, tc.want)
		}
	}
}

// TestCredential shows what the kernel is told; nobody has no groups to see it by.
func TestCredential(t *testing.T) {
	with, err := lookup("nobody:daemon")
	if err != nil {
		t.Fatal(err)
	}
	if c := with.credential(); c == nil || c.Gid != 1 || len(c.Groups) != 1 || c.Groups[0] != 1 || c.NoSetGroups {
		t.Errorf("nobody:daemon: %+v, want group 1 alone", c)
	}
	own, err := lookup("")
	if err != nil || own.credential() != nil {
		t.Errorf("the own user: %+v, %v, want no change", own.credential(), err)
	}
	root, err := lookup("root")
	if err != nil || (os.Geteuid() == 0) != (root.credential() == nil) {
		t.Errorf("root: %+v, %v", root.credential(), err)
	}
}

// TestNoInheritance shows what a script must not get from the daemon.
func TestNoInheritance(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "/run/systemd/notify")
	t.Setenv("LD_PRELOAD", "")
	t.Setenv("KEPT", "yes")
	got := Run(context.Background(), Command{Argv: []string{"/bin/sh", "-c",
		"echo ${NOTIFY_SOCKET-unset} ${LD_PRELOAD-unset} $KEPT; readlink /proc/$$/fd/0; pwd; test $(ps -o pgid= -p $$) = $$ && echo own group"}})
	want := "unset unset yes\n/dev/null\n/\nown group"
	if got.Output != want {
		t.Errorf("got %q (%v), want %q", got.Output, got, want)
	}
	// What the test itself inherited is marked as the daemon does it at its start.
	// The fourth is ls's own, of the directory.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if got := Run(context.Background(), Command{Argv: []string{"/bin/ls", "/proc/self/fd"}}); got.Output != "0\n1\n2\n3" {
		t.Errorf("open files: %q", got.Output)
	}
}

// TestOOMProtectionIsNotInherited uses a process whose value differs from what it
// must become: only a privileged test could give itself a negative one.
func TestOOMProtectionIsNotInherited(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	path := oomFile(strconv.Itoa(cmd.Process.Pid))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	given, err := strconv.Atoi(strings.TrimSpace(string(before)))
	if err != nil {
		t.Fatal(err)
	}
	// Whoever runs the tests may have given them a value, as container engines do.
	higher := fmt.Sprintf("%d\n", min(max(given, 0)+100, 1000))
	if err := os.WriteFile(path, []byte(higher), 0); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ own, want string }{{"0\n", higher}, {"300\n", higher}, {"-900\n", "0\n"}} {
		normalOOM(step.own, cmd.Process.Pid)
		if got, err := os.ReadFile(path); err != nil || string(got) != step.want {
			t.Errorf("own %q: the script's is %q, %v, want %q", step.own, got, err, step.want)
		}
	}
}

// gone waits until no process has the number that is the first line of out.
func gone(t *testing.T, out string) bool {
	t.Helper()
	line, _, _ := strings.Cut(out, "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatalf("no process number in %q", out)
	}
	for range 2000 {
		if err := syscall.Kill(pid, 0); err != nil {
			return true
		}
		stat, _ := os.ReadFile("/proc/" + line + "/stat")
		if strings.Contains(string(stat), ") Z ") {
			return true // dead; its reaping is init's business
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestTimeoutEndsGroup(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		least      time.Duration
		most       time.Duration
	}{
		{"grandchild", "sleep 60 & echo $!\nwait\n", 0, 1500 * time.Millisecond},
		{"grandchild ignores SIGTERM", "sh -c 'trap \"\" TERM; echo $$; sleep 60; sleep 60' & wait\n", killAfter, killAfter + 1500*time.Millisecond},
		{"ignores SIGTERM", "trap '' TERM\necho $$\nwhile :; do sleep 60; done\n", killAfter, killAfter + 1500*time.Millisecond},
		{"stopped", "echo $$\nkill -STOP $$\n", 0, 1500 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got Result
			var late time.Duration
			// Again with a longer limit, when a busy machine did not come as far, or was late.
			for _, limit := range []time.Duration{300 * time.Millisecond, 3 * time.Second, 15 * time.Second} {
				got = Run(context.Background(), Command{Argv: []string{"/bin/sh", "-c", tc.body}, Timeout: limit})
				if late = got.Duration - limit; got.Output != "" && late <= tc.most {
					break
				}
			}
			if !got.TimedOut || got.OK {
				t.Errorf("got %v, want a time-out", got)
			}
			if late < tc.least || late > tc.most {
				t.Errorf("ended %v after the limit, want %v to %v", late, tc.least, tc.most)
			}
			if !gone(t, got.Output) {
				t.Errorf("process %q of the group lives on", got.Output)
			}
		})
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	started := filepath.Join(t.TempDir(), "started")
	go func() {
		for _, err := os.Stat(started); err != nil; _, err = os.Stat(started) {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	got := Run(ctx, Command{Argv: []string{"/bin/sh", "-c", "touch " + started + "; exec sleep 60"}})
	if got.OK || got.TimedOut || got.String() != "given up: context canceled" || got.Signal != syscall.SIGTERM {
		t.Errorf("got %v, signal %v", got, got.Signal)
	}
	if got := Run(ctx, Command{Argv: []string{"/bin/true"}}); got.OK || got.String() != "given up: context canceled" {
		t.Errorf("after the end: got %v", got)
	}
}

// TestBackground shows that what a script leaves running neither holds it up
// nor is ended, not even by writing when nobody wants its output any more.
func TestBackground(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	got := Run(context.Background(), Command{Argv: []string{"/bin/sh", "-c",
		"{ while ! test -e " + mark + ".go; do sleep 0.05; done; echo late; echo later; touch " + mark + "; } & echo early"}, Timeout: time.Minute})
	if !got.OK || got.Output != "early" { // held up, it would have timed out
		t.Errorf("got %v, output %q", got, got.Output)
	}
	if err := os.WriteFile(mark+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if _, err := os.Stat(mark); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the background process did not end its work")
}

func TestHugeOutput(t *testing.T) {
	got := Run(context.Background(), Command{Argv: []string{"/bin/sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end"}})
	if !got.OK || len(got.Output) > maxOutput || len(got.Output) < maxOutput-2 || !strings.HasSuffix(got.Output, "x\nthe end") {
		t.Errorf("got %v, %d bytes ending in %q", got, len(got.Output), got.Output[max(0, len(got.Output)-20):])
	}
	if s := LastBytes(got.Output, 256); len(s) != 256 || !strings.HasSuffix(s, "the end") {
		t.Errorf("last 256 bytes: %q", s)
	}
}

func TestClean(t *testing.T) {
	for _, tc := range []struct {
		in   string
		cut  bool
		want string
	}{
		{"\xa9 rest", true, "rest"},
		{"\xa9 rest", false, "\uFFFD rest"},
		{"  a\tb\nc\r\n", false, "a\tb\nc"},
		{"bell\a and \x1b[2J", false, "bell and [2J"},
		{"", true, ""},
	} {
		if got := Clean(tc.in, tc.cut); got != tc.want {
			t.Errorf("Clean(%q, %v) = %q, want %q", tc.in, tc.cut, got, tc.want)
		}
	}
	if got := LastBytes("aé", 1); got != "" {
		t.Errorf("LastBytes tore a rune: %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	env := environment([]string{"PATH=", "IFS=x", "HOME=/root", "A=1"}, identity{name: "web", home: "/srv", change: true}, []string{"A=2"})
	want := "A=2 HOME=/srv LOGNAME=web PATH=" + defaultPath + " USER=web"
	if got := strings.Join(env, " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
