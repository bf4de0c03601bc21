package main

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"director/internal/control"
	"director/internal/ptytest"
)

func (d *farmDaemon) Status(context.Context) (*control.Status, error) { return &d.status, nil }

// onTerminal runs a command line of this program on a pseudo-terminal.
func onTerminal(t *testing.T, columns, rows int, env []string, args ...string) *ptytest.Terminal {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm", "DIRECTOR_TEST_MAIN=1"}, env...)
	return ptytest.Start(t, columns, rows, cmd)
}

// TestColour: colours are for terminals that have them, unless the user says otherwise.
func TestColour(t *testing.T) {
	dir := serve(t, &farmDaemon{status: smallFarm()})
	const sequence = "\x1b["
	for _, tc := range []struct {
		flag string
		want bool
	}{{"auto", false}, {"never", false}, {"always", true}} {
		status, out, errs := call("status", "--runtime-dir", dir, "--color", tc.flag)
		if status != exitOK || strings.Contains(out, sequence) != tc.want {
			t.Errorf("--color %s into a file: %d\n%q\n%s", tc.flag, status, out, errs)
		}
	}
	for _, tc := range []struct {
		env, flag string
		want      bool
	}{
		{"TERM=xterm", "auto", true}, {"NO_COLOR=1", "auto", false}, {"TERM=dumb", "auto", false},
		{"NO_COLOR=1", "always", true}, {"TERM=xterm", "never", false},
	} {
		x := onTerminal(t, 80, 50, []string{tc.env}, "status", "--runtime-dir", dir, "--color", tc.flag)
		if status := x.WaitExit(); status != exitOK || strings.Contains(x.Raw(), sequence) != tc.want {
			t.Errorf("%s --color %s on a terminal: %d\n%q", tc.env, tc.flag, status, x.Raw())
		}
	}
	if status, _, errs := call("status", "--color", "blue"); status != exitUsage || !strings.Contains(errs, "allowed are auto, always and never") {
		t.Errorf("--color blue: %d %s", status, errs)
	}
}

// TestWatch: what is shown again and again replaces itself, says when the window is too
// small for it, and follows its size.
func TestWatch(t *testing.T) {
	d := &farmDaemon{status: smallFarm()}
	d.status.RouterID = "lb1"
	dir := serve(t, d)
	x := onTerminal(t, 80, 6, nil, "status", "--watch", "--interval", "100ms", "--runtime-dir", dir)
	text := x.WaitFor("lb1", "lines: make the window larger")
	if n := strings.Count(text, "\n"); n != 6 {
		t.Errorf("%d lines:\n%s", n, text)
	}
	x.Resize(80, 60)
	x.Wait("the whole status", func(text string) bool {
		return strings.Contains(text, "app9") && !strings.Contains(text, "make the window larger") && strings.Count(text, "lb1") == 1
	})
	x.Type("\x03")
	if status := x.WaitExit(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if strings.Contains(x.Raw(), "\x1b[2J") {
		t.Error("the screen is cleared for each page, and flickers")
	}
	// Without a terminal one page follows another, and a lost daemon is no end.
	x = onTerminal(t, 80, 24, nil, "status", "--watch", "--interval", "100ms", "--runtime-dir", dir+"/none")
	x.WaitFor("director is not running")
	x.Type("\x03")
	if status := x.WaitExit(); status != exitOK {
		t.Errorf("exit status %d without a daemon", status)
	}
}
