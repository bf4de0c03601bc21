package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
)

// TestMain lets the test binary be the daemon and its children.
func TestMain(m *testing.M) {
	if role, ok := watchdog.RoleOf(os.Args); ok {
		os.Exit(runChild(role))
	}
	if os.Getenv("DIRECTOR_TEST_MAIN") != "" {
		os.Exit(execute(newRoot(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// call runs a command line in this process.
func call(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&errs)
	status = execute(root, args)
	return status, out.String(), errs.String()
}

// folder makes a short-named folder: a socket's path must fit the kernel's limit.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "director-cmd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestExitStatus(t *testing.T) {
	dir := folder(t)
	valid, invalid := filepath.Join(dir, "valid.toml"), filepath.Join(dir, "invalid.toml")
	other := filepath.Join(dir, "other.toml")
	for path, text := range map[string]string{
		valid:   working,
		other:   strings.NewReplacer("= 80", "= 81", "lb1", "lb2").Replace(working),
		invalid: "[global]\nrouter_ld = \"lb1\"\nlog_level = \"loud\"\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	none := filepath.Join(dir, "none")
	for _, tc := range []struct {
		args           string
		status         int
		stdout, stderr string // parts of what is printed
	}{
		{"", exitOK, "Usage:", ""},
		{"help", exitOK, "Exit status:", ""},
		{"help check", exitOK, "director check -c", ""},
		{"help dance", exitUsage, "", `unknown command "dance"`},
		{"version --runtime-dir " + none, exitOK, "director ", ""},
		{"--version", exitOK, "director ", ""},
		{"check -c " + valid, exitOK, "valid: 1 VRRP instance, 0 virtual servers", ""},
		{"check -c " + invalid, exitFailure, "", invalid + ":2:1: error: global.router_ld: unknown key, did you mean router_id?\n  2 | router_ld = \"lb1\"\n    | ^~~~~~~~~\n"},
		{"check -c " + invalid, exitFailure, "", invalid + ":3:13: error: "},
		{"check --json " + invalid, exitFailure, `"suggestion": "router_id"`, ""},
		{"check --json " + valid, exitOK, "[]\n", ""},
		{"check --json " + none, exitFailure, "no such file or directory", ""},
		{"check --strict " + valid, exitOK, "valid: 1 VRRP instance", ""},
		{"check --strict " + valid + " --peer " + valid, exitFailure, "valid: 1 VRRP instance", "on both hosts"},
		{"check --json --strict " + valid + " --peer " + valid, exitFailure, `"severity": "warning"`, ""},
		{"schema", exitOK, `"$schema": "http://json-schema.org/draft-07/schema#"`, ""},
		{"schema x", exitUsage, "", "takes no argument"},
		{"check --dump " + valid, exitOK, "interface = \"director-none0\"  # " + valid + ":5\n", ""},
		{"check --dump --json " + valid, exitOK, `"key": "vrrp_instance.web.interface",`, ""},
		{"check --dump " + invalid, exitFailure, "", invalid + ":3:13: error: "},
		{"check a b", exitUsage, "", "check takes one file"},
		{"check -c " + valid + " --peer " + other, exitFailure, "", valid + ":6:21: error: vrrp_instance.web.virtual_router_id: 80, but 81 at " + other + ":6: "},
		{"check -c " + valid + " --peer " + valid, exitOK, "valid: 1 VRRP instance", "on both hosts"},
		{"check -c " + valid + " --peer " + invalid, exitFailure, "", invalid + ":2:1: "},
		{"check -c " + valid + " --peer " + none, exitFailure, "", "no such file or directory"},
		{"events --runtime-dir " + none, exitNotRunning, "", "director is not running"},
		{"events -n 0", exitUsage, "", "must be at least 1"},
		{"events --kind instance,foo", exitUsage, "", `--kind "foo": allowed are instance, group, `},
		{"events --since 0s", exitUsage, "", "--since 0s: must be more than 0"},
		{"log level debug --for 0s", exitUsage, "", "at least 1s"},
		{"vrrp release web --for 0s", exitUsage, "", "--for 0s: is how long"},
		{"vrrp release web --for -1s", exitUsage, "", "--for -1s: is how long"},
		{"maintain web 10.0.0.1 --for 0s", exitUsage, "", "--for 0s: is how long"},
		{"completion foo", exitUsage, "", `unknown command "foo" of director completion`},
		{"completion", exitOK, "Usage:", ""},
		{"explain", exitUsage, "", "takes one name"},
		{"explain x --runtime-dir " + none, exitNotRunning, "", "director is not running"},
		{"check -c " + none, exitFailure, "", "no such file or directory"},
		{"run -c " + invalid, exitFailure, "", invalid + ":2: "},
		{"run -c " + valid + " --log-level loud", exitUsage, "", "must be debug, info, warn or error"},
		{"status --runtime-dir " + none, exitNotRunning, "", "director is not running: nobody answers at " + none + "/director.sock"},
		{"reload --runtime-dir " + none, exitNotRunning, "", "director is not running"},
		{"stop --runtime-dir " + none, exitNotRunning, "", "director is not running"},
		{"doctor -c " + valid + " --runtime-dir " + none, exitFailure, "broken  interface  " + valid + ":5 vrrp_instance.web.interface\n  there is no interface director-none0", ""},
		{"doctor --json -c " + valid + " --runtime-dir " + none, exitFailure, `"id": "interface",`, ""},
		{"doctor -c " + invalid, exitFailure, "", invalid + ":3: "},
		{"doctor -c " + none, exitFailure, "", "no such file or directory"},
		{"dance", exitUsage, "", `unknown command "dance"`},
		{"status --colour", exitUsage, "", "unknown flag: --colour"},
		{"status now", exitUsage, "", "takes no argument"},
		{"status --watch --interval 1ms", exitUsage, "", "must be at least 100ms"},
		{"child", exitUsage, "", "child needs one role"},
		{"child cook", exitUsage, "", "child needs one role"},
		{"child vrrp", exitFailure, "", ""},
	} {
		status, out, errs := call(strings.Fields(tc.args)...)
		if status != tc.status || !strings.Contains(out, tc.stdout) || !strings.Contains(errs, tc.stderr) {
			t.Errorf("director %s: exit status %d, want %d\nstdout: %s\nstderr: %s", tc.args, status, tc.status, out, errs)
		}
	}
}

// working is a configuration that is valid on any host and touches none.
const working = `
[global]
router_id = "lb1"
[vrrp_instance.web]
interface = "director-none0"
virtual_router_id = 80
virtual_ipaddress = ["192.0.2.1"]
`

// TestDaemon runs the daemon with its real VRRP child, whose instance waits for an
// interface that does not exist, and every command against it.
func TestDaemon(t *testing.T) {
	dir := folder(t)
	path, runtime := filepath.Join(dir, "director.toml"), filepath.Join(dir, "run")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(working)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(exe, "run", "-c", path, "--log-format", "json")
	cmd.Env = append(os.Environ(), "DIRECTOR_TEST_MAIN=1", "DIRECTOR_RUNTIME_DIR="+runtime)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })

	on := func(args ...string) (int, string, string) { return call(append(args, "--runtime-dir", runtime)...) }
	deadline := time.Now().Add(time.Minute)
	for status := exitNotRunning; status != exitOK; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the daemon does not answer")
		}
		var out string
		if status, out, _ = on("status"); !strings.Contains(out, "FAULT") {
			status = exitNotRunning
		}
	}
	if status, out, errs := on("status"); status != exitOK || !strings.Contains(out, "lb1  director") || !strings.Contains(out, "not needed") || !strings.Contains(out, "director-none0") {
		t.Errorf("status: %d\n%s%s", status, out, errs)
	}
	if status, out, errs := on("doctor", "-c", path); status != exitFailure || errs != "" ||
		!strings.Contains(out, "broken  daemon  "+path+":4 vrrp_instance.web\n  the instance is in FAULT: ") || !strings.Contains(out, "the daemon runs\n") {
		t.Errorf("doctor: %d\n%s%s", status, out, errs)
	}
	if status, out, errs := on("doctor"); status != exitFailure || errs != "" || !strings.Contains(out, "broken  daemon  "+path+":4 vrrp_instance.web\n") {
		t.Errorf("doctor without -c does not look at the daemon's file: %d\n%s%s", status, out, errs)
	}
	if status, out, errs := on("explain", ""); status != exitUsage || out != "" || !strings.Contains(errs, `takes one name, got [""]`) {
		t.Errorf("explain of nothing: %d\n%s%s", status, out, errs)
	}
	asStranger(t, exe, dir, runtime, path)
	status, out, _ := on("status", "--json")
	var s control.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil || status != exitOK || s.Generation != 1 || s.ConfigPath != path || s.Processes[0].PID != cmd.Process.Pid {
		t.Errorf("status --json: %d, %v\n%s", status, err, out)
	}
	if status, out, errs := on("reload"); status != exitOK || out != "the new configuration is in force\nunaffected: 0 services, 0 real servers and 1 virtual router\n" {
		t.Errorf("reload: %d\n%s%s", status, out, errs)
	}
	changes(t, path, on)
	write("[global]\nchild_timeout = \"1ms\"\n")
	if status, _, errs := on("reload"); status != exitFailure || !strings.Contains(errs, path+":2: ") || !strings.Contains(errs, "the reload was refused, nothing has changed") {
		t.Errorf("invalid reload: %d\n%s", status, errs)
	}
	if _, out, _ := on("status"); !strings.Contains(out, "was refused") || !strings.Contains(out, "generation 6") {
		t.Errorf("status after it:\n%s", out)
	}
	// Another daemon on the same folder is refused.
	second := exec.Command(exe, "run", "-c", filepath.Join(dir, "other.toml"))
	if err := os.WriteFile(filepath.Join(dir, "other.toml"), []byte(working), 0o644); err != nil {
		t.Fatal(err)
	}
	second.Env = cmd.Env
	text, err := second.CombinedOutput()
	if err == nil || second.ProcessState.ExitCode() != exitFailure || !strings.Contains(string(text), "director is already running as process") {
		t.Errorf("a second daemon: %v\n%s", err, text)
	}
	if status, _, errs := on("stop"); status != exitOK {
		t.Errorf("stop: %d\n%s", status, errs)
	}
	if err := syscall.Kill(cmd.Process.Pid, 0); err == nil {
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon's end: %v", err)
		}
	}
	if status, _, _ := on("status"); status != exitNotRunning {
		t.Errorf("after the stop: %d", status)
	}
	for _, line := range strings.Split(strings.TrimSpace(log.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a JSON log line: %s", line)
		}
	}
}

// asStranger asks the running daemon as a user who may not: a command that shows it again and again says why and ends, and
// doctor does not take the daemon for one that hangs.
func asStranger(t *testing.T, exe, dir, runtime, path string) {
	t.Helper()
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	// A copy, because the test's own folder is root's alone.
	own := filepath.Join(dir, "director")
	if err := os.WriteFile(own, text, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{dir, runtime} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) (int, string) {
		cmd := exec.CommandContext(t.Context(), own, args...)
		cmd.Env = append(os.Environ(), "DIRECTOR_TEST_MAIN=1", "DIRECTOR_RUNTIME_DIR="+runtime)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		limit := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		defer limit.Stop()
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for _, args := range [][]string{{"top", "--batch"}, {"top"}, {"status"}} {
		if status, out := run(args...); status != exitFailure || !strings.Contains(out, "permission denied: only root") {
			t.Errorf("%s as a stranger: %d\n%s", args, status, out)
		}
	}
	if _, out := run("doctor", "-c", path); strings.Contains(out, "does not answer") || !strings.Contains(out, "permission denied: only root") {
		t.Errorf("doctor as a stranger:\n%s", out)
	}
}
