package top

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/internal/ptytest"
)

// TestMain lets the test binary be the view on a made-up farm: what TOP_TEST says.
func TestMain(m *testing.M) {
	what, ok := os.LookupEnv("TOP_TEST")
	if !ok {
		os.Exit(m.Run())
	}
	f := &farm{services: 30, servers: 3}
	if what == "panic" {
		f.panics = 3
	}
	if err := Run(os.Stdin, os.Stdout, f, Settings{Interval: 100 * time.Millisecond, Order: ByName, Colour: true}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("left properly after", f.calls > 0)
}

// show runs the view on a pseudo-terminal.
func show(t *testing.T, what string, columns, rows int) *ptytest.Terminal {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "TOP_TEST="+what, "TERM=xterm")
	x := ptytest.Start(t, columns, rows, cmd)
	x.WaitFor("lb-a", "q quit")
	return x
}

// wantRestored checks that the terminal is as it was found.
func wantRestored(t *testing.T, x *ptytest.Terminal, before unix.Termios) {
	t.Helper()
	x.Look(func(s *ptytest.Screen) {
		if s.Alternate || s.Hidden || s.NoWrap {
			t.Errorf("alternate screen %v, hidden cursor %v, lines cut %v", s.Alternate, s.Hidden, s.NoWrap)
		}
	})
	if after := x.Modes(); after != before {
		t.Errorf("the line discipline is %+v, was %+v", after, before)
	}
}

// TestTerminal works the view as a person does.
func TestTerminal(t *testing.T) {
	probe := ptytest.Start(t, 80, 24, exec.Command("true"))
	before := probe.Modes()

	x := show(t, "", 80, 24)
	golden(t, "terminal", x.Text())
	x.Look(func(s *ptytest.Screen) {
		if !s.Alternate || !s.Hidden || !s.NoWrap {
			t.Errorf("alternate screen %v, hidden cursor %v, lines cut %v", s.Alternate, s.Hidden, s.NoWrap)
		}
		for text, want := range map[string]string{"MASTER": "32", "FAULT": "31", "down": "31", "lb-a": "1"} {
			if got, found := s.Style(text); !found || got != want {
				t.Errorf("%s has style %q (%v), want %q", text, got, found, want)
			}
		}
	})
	x.Type("/web-0007\r")
	x.Wait("one service", func(text string) bool {
		return strings.Contains(text, "1 of 31 services") && !strings.Contains(text, "web-0006")
	})
	x.Type("\x1b[C")
	x.WaitFor("- web-0007", "app0", "app2")
	x.Type("\x1b")
	x.WaitFor("web-0006", "sorted by name")
	x.Type("G")
	x.WaitFor("web-0029")
	x.Resize(120, 45)
	x.WaitFor("192.0.2.30:80/tcp", "+ web-0000", "web-0029")
	x.Resize(50, 10)
	x.Wait("a small window", func(text string) bool {
		return strings.Contains(text, "VIRTUAL") && !strings.Contains(text, "VRRP") && strings.Contains(text, "web-0029")
	})
	x.Resize(80, 24)
	x.WaitFor("VRRP", "web-0029")
	x.Type("q")
	if status := x.WaitExit(); status != 0 || !strings.Contains(x.Text(), "left properly after true") {
		t.Errorf("exit status %d:\n%s", status, x.Text())
	}
	wantRestored(t, x, before)
	if strings.Count(x.Raw(), "\x1b[2J") != 1 {
		t.Error("the screen is cleared for each page, and flickers")
	}
}

// TestEnds: however it ends, the terminal is as it was.
func TestEnds(t *testing.T) {
	probe := ptytest.Start(t, 80, 24, exec.Command("true"))
	before := probe.Modes()
	for name, end := range map[string]struct {
		what   string
		do     func(*ptytest.Terminal)
		status int
		says   string
	}{
		"Ctrl-C":  {"", func(x *ptytest.Terminal) { x.Type("\x03") }, 0, "left properly"},
		"SIGTERM": {"", func(x *ptytest.Terminal) { _ = x.Cmd.Process.Signal(syscall.SIGTERM) }, 0, "left properly"},
		"SIGINT":  {"", func(x *ptytest.Terminal) { _ = x.Cmd.Process.Signal(syscall.SIGINT) }, 0, "left properly"},
		"SIGHUP":  {"", func(x *ptytest.Terminal) { _ = x.Cmd.Process.Signal(syscall.SIGHUP) }, 0, "left properly"},
		"panic":   {"panic", func(*ptytest.Terminal) {}, 2, "panic: the source is broken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := show(t, end.what, 80, 24)
			end.do(x)
			status := x.WaitExit()
			if status != end.status || !strings.Contains(strings.ReplaceAll(x.Raw(), "\r\n", "\n"), end.says) {
				t.Errorf("exit status %d:\n%s", status, x.Text())
			}
			wantRestored(t, x, before)
		})
	}
}

// TestSuspend: Ctrl-Z gives the terminal back and stops, and a SIGCONT goes on.
func TestSuspend(t *testing.T) {
	probe := ptytest.Start(t, 80, 24, exec.Command("true"))
	before := probe.Modes()
	x := show(t, "", 80, 24)
	x.Type("\x1a")
	x.Wait("the process stops", func(string) bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", x.Cmd.Process.Pid))
		alternate := false
		x.Look(func(s *ptytest.Screen) { alternate = s.Alternate })
		return err == nil && strings.Contains(string(stat), ") T ") && !alternate
	})
	wantRestored(t, x, before)
	if err := x.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	x.Wait("it goes on", func(text string) bool {
		alternate := false
		x.Look(func(s *ptytest.Screen) { alternate = s.Alternate })
		return alternate && strings.Contains(text, "q quit")
	})
	x.Type("q")
	if status := x.WaitExit(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	wantRestored(t, x, before)
}
