package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/internal/control"
)

// changes plans, applies, takes back and confirms against the running daemon, whose file
// is path; it leaves that as it was.
func changes(t *testing.T, path string, on func(...string) (int, string, string)) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next.toml")
	text := strings.Replace(working, "= 80", "= 81", 1)
	if err := os.WriteFile(next, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	expect := func(want int, stdout, stderr string, args ...string) string {
		t.Helper()
		status, out, errs := on(args...)
		if status != want || !strings.Contains(out, stdout) || !strings.Contains(errs, stderr) {
			t.Errorf("director %s: exit status %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), status, want, out, errs)
		}
		return out
	}
	expect(exitOK, path+" changes nothing: 0 services, 0 real servers and 1 virtual router stay as they are\n", "", "plan")
	const steps = "configuration\n  changed vrrp_instance.web.virtual_router_id: 80 -> 81\nVRRP\n" +
		"  vrrp_instance web ipv4 starts as BACKUP: interface director-none0, virtual router 81\n  vrrp_instance web ipv4 ends; it is FAULT\n" +
		"unaffected: 0 services, 0 real servers and 0 virtual routers\n"
	expect(exitChanges, steps, "", "plan", next)
	var plan control.Plan
	if err := json.Unmarshal([]byte(expect(exitChanges, "", "", "plan", "--json", next)), &plan); err != nil || plan.File != next || len(plan.Changes.VRRP) != 2 {
		t.Errorf("plan --json: %v, %+v", err, plan)
	}
	expect(exitFailure, "", "no such file", "plan", next+".missing")
	expect(exitFailure, "", "plan takes one file", "plan", next, next)
	expect(exitFailure, "", "unknown flag", "plan", "--no-such-flag")
	expect(exitUsage, "", "allowed is 5s to 24h", "apply", next, "--confirm", "1s")
	expect(exitFailure, "", "nothing is on trial", "confirm")

	expect(exitOK, next+" is in force and will be undone at ", "", "apply", next, "--confirm", "1h")
	expect(exitOK, next+" of root is on trial and undone in ", "", "status")
	expect(exitFailure, "", next+" of root is on trial until", "reload")
	expect(exitOK, "what was in force before is so again\n", "", "undo")
	expect(exitOK, "director.toml  generation 4", "", "status")
	if kept, err := os.ReadFile(path); err != nil || string(kept) != working {
		t.Errorf("the configured file: %v\n%s", err, kept)
	}

	expect(exitOK, "", "", "apply", next, "--confirm", "1h")
	expect(exitOK, "confirmed: "+path+" has the text that is in force", "", "confirm")
	if kept, err := os.ReadFile(path); err != nil || string(kept) != text {
		t.Errorf("the configured file: %v\n%s", err, kept)
	}
	if err := os.WriteFile(next, []byte(working), 0o644); err != nil {
		t.Fatal(err)
	}
	expect(exitOK, next+" is in force, and is the text of "+path, "", "apply", next)
	expect(exitOK, "apply", "", "events", "--kind", "apply")
}

func TestPlanWithoutADaemon(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "director.toml")
	if err := os.WriteFile(path, []byte(working), 0o644); err != nil {
		t.Fatal(err)
	}
	status, out, errs := call("plan", path, "--runtime-dir", filepath.Join(dir, "run"))
	if status != exitChanges || !strings.Contains(out, "vrrp_instance web ipv4 starts as BACKUP") || !strings.Contains(errs, "director is not running; this is what a start would do") {
		t.Errorf("plan: %d\n%s%s", status, out, errs)
	}
}
