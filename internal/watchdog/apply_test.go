package watchdog

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

var alice = control.Asker{Author: "root", Claimed: "alice"}

// apply puts a file of the daemon's directory in force.
func (d *daemon) apply(file string, confirm time.Duration) control.ApplyResult {
	d.t.Helper()
	r, err := d.client().Apply(d.t.Context(), control.ApplyQuery{File: filepath.Join(d.dir, file), Text: []byte(d.text(file)), Confirm: confirm, Asker: alice})
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// end confirms or undoes what is on trial.
func (d *daemon) end(how func(*control.Client, context.Context, control.Asker) (control.ApplyResult, error)) control.ApplyResult {
	d.t.Helper()
	r, err := how(d.client(), d.t.Context(), alice)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// text is the content of a file of the daemon's directory.
func (d *daemon) text(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// applyEvents tells of the events of kind apply, "requested>on trial" each.
func (d *daemon) applyEvents() string {
	d.t.Helper()
	list, err := d.client().Events(d.t.Context(), control.EventQuery{})
	if err != nil {
		d.t.Fatal(err)
	}
	var words []string
	for _, e := range list {
		if e.Kind == "apply" {
			words = append(words, e.From+">"+e.To+" by "+e.Author+": "+e.Reason)
		}
	}
	return strings.Join(words, "\n")
}

// trying is a daemon with one instance and one server, and a file "next" with two instances.
func trying(t *testing.T, change ...func(*Options)) *daemon {
	t.Helper()
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.other("next", conf("web db", "farm"))
	d.start(change...)
	d.says("director is ready")
	return d
}

func TestApplyConfirmed(t *testing.T) {
	d := trying(t)
	old, next := d.text("config"), d.text("next")
	if err := os.Chmod(filepath.Join(d.dir, "config"), 0o640); err != nil {
		t.Fatal(err)
	}
	r := d.apply("next", time.Hour)
	if !r.OK || r.Trial == nil || r.Trial.Author != userName(t)+" for alice" || r.Changes == nil || len(r.Changes.VRRP) != 2 {
		t.Fatalf("got %+v", r)
	}
	s := d.status()
	if s.Trial == nil || s.Trial.File != filepath.Join(d.dir, "next") || time.Until(s.Trial.Deadline) < 50*time.Minute || s.Generation != 2 {
		t.Errorf("the status tells of %+v, generation %d", s.Trial, s.Generation)
	}
	if d.text("config") != old {
		t.Error("the configured file has changed before the confirmation")
	}
	if r := d.reload(); r.OK || !strings.Contains(r.Errors[0], "is on trial until") {
		t.Errorf("a reload meanwhile: %+v", r)
	}
	if r := d.apply("next", time.Hour); r.OK || !strings.Contains(r.Errors[0], "is on trial until") {
		t.Errorf("another apply meanwhile: %+v", r)
	}
	d.file("next", "something else by now")
	r = d.end((*control.Client).Confirm)
	if path := filepath.Join(d.dir, "config"); !r.OK || r.Replaced != path || r.Backup != path+backupSuffix {
		t.Errorf("got %+v", r)
	}
	if d.text("config") != next || d.text("config"+backupSuffix) != old {
		t.Error("the configured file has not the text that was applied, or its former text is lost")
	}
	if info, err := os.Stat(filepath.Join(d.dir, "config")); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, ".config*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	d.await("checkers on trial", 1)
	d.await("checkers confirmed", 1)
	if s := d.status(); s.Trial != nil || s.Generation != 2 {
		t.Errorf("after the confirmation there is %+v, generation %d", s.Trial, s.Generation)
	}
	if r := d.end((*control.Client).Confirm); r.OK || r.Errors[0] != "nothing is on trial" {
		t.Errorf("a second confirmation: %+v", r)
	}
	if r := d.reload(); !r.OK || d.status().Generation != 3 {
		t.Errorf("a reload afterwards: %+v", r)
	}
	events := strings.Split(d.applyEvents(), "\n")
	if len(events) != 2 || !strings.HasPrefix(events[0], "requested>on trial by "+userName(t)+" for alice: undone at ") ||
		!strings.HasPrefix(events[1], "on trial>confirmed by "+userName(t)+" for alice: ") {
		t.Errorf("the events are %q", events)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "run", trialName)); err == nil {
		t.Error("the note of the trial is still there")
	}
}

// userName is who runs the test.
func userName(t *testing.T) string {
	t.Helper()
	if os.Geteuid() == 0 {
		return "root"
	}
	return os.Getenv("USER")
}

// The time passes although the client is gone and a child dies.
func TestApplyUndoesItself(t *testing.T) {
	d := trying(t, func(o *Options) { o.leastConfirm = time.Millisecond })
	c := d.client()
	if _, err := c.Apply(t.Context(), control.ApplyQuery{File: filepath.Join(d.dir, "next"), Text: []byte(d.text("next")), Confirm: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	c.Close()
	pid := d.process(RoleVRRP).PID
	proc, _ := os.FindProcess(pid)
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp configure 2 resume alive [0-9]+ MASTER", 1) // what is on trial is in force for the new one as well
	d.await("vrrp applied 3", 1)
	d.await("vrrp on trial", 2) // the process that was killed and the one after it
	d.eventually("the end of the trial", func() bool { return d.status().Trial == nil })
	if s := d.status(); s.Generation != 3 {
		t.Errorf("generation %d", s.Generation)
	}
	if events := d.applyEvents(); !strings.HasSuffix(events, "on trial>undone by : it was not confirmed in time") {
		t.Errorf("the events are %s", events)
	}
	d.former()
	d.toldOnly("checkers", "configure 1", "applied 1", "configure 2", "applied 2", "configure 3 back", "applied 3")
}

// former checks that what the configured file says is in force.
func (d *daemon) former() {
	d.t.Helper()
	if p := d.plan(""); len(p.Changes.Config) != 0 || len(p.Changes.VRRP) != 1 {
		d.t.Errorf("what is in force differs from the configured file: %+v", p.Changes)
	}
}

// toldOnly checks what one child was told.
func (d *daemon) toldOnly(role string, want ...string) {
	d.t.Helper()
	var got []string
	for line := range strings.Lines(d.log()) {
		if what, mine := strings.CutPrefix(strings.TrimSpace(line), role+" "); mine && (strings.HasPrefix(what, "configure") || strings.HasPrefix(what, "applied")) {
			got = append(got, what)
		}
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		d.t.Errorf("%s was told %q, want %q", role, got, want)
	}
}

func TestApplyTakenBack(t *testing.T) {
	d := trying(t)
	d.apply("next", time.Hour)
	if r := d.end((*control.Client).Undo); !r.OK || r.Replaced != "" {
		t.Errorf("got %+v", r)
	}
	if s := d.status(); s.Trial != nil || s.Generation != 3 {
		t.Errorf("after the undoing there is %+v, generation %d", s.Trial, s.Generation)
	}
	if events := d.applyEvents(); !strings.HasSuffix(events, "on trial>undone by "+userName(t)+" for alice: as asked") {
		t.Errorf("the events are %s", events)
	}
	d.former()
	if r := d.end((*control.Client).Undo); r.OK {
		t.Errorf("a second undoing: %+v", r)
	}
}

func TestApplyAtOnce(t *testing.T) {
	d := trying(t)
	next := d.text("next")
	if r := d.apply("next", 0); !r.OK || r.Trial != nil || r.Replaced != filepath.Join(d.dir, "config") || r.Changes == nil {
		t.Errorf("got %+v", r)
	}
	if s := d.status(); d.text("config") != next || s.Trial != nil || s.Generation != 2 {
		t.Errorf("the status is %+v", s)
	}
}

func TestApplyRefused(t *testing.T) {
	d := trying(t)
	old := d.text("config")
	d.file("bad", "invalid")
	d.other("refuse", conf("refuse", "farm"))
	d.other("next.conf", conf("web", "farm"))
	for file, want := range map[string]string{
		"bad": ":3: first", "refuse": "director: vrrp refused it: no such interface", "next.conf": "the ending of a file's name tells its language",
	} {
		if r := d.apply(file, time.Hour); r.OK || !strings.Contains(strings.Join(r.Errors, "\n"), want) {
			t.Errorf("%s: %+v", file, r)
		}
		if s := d.status(); s.Trial != nil || d.text("config") != old {
			t.Errorf("%s: left a trial: %+v", file, s.Trial)
		}
	}
	if r := d.apply("next", time.Second); r.OK || !strings.Contains(r.Errors[0], "allowed is 5s to 24h0m0s") {
		t.Errorf("a short time: %+v", r)
	}
	if r := d.reload(); !r.OK {
		t.Errorf("a reload afterwards: %+v", r)
	}
}

// A file that means something else in the place of the configured one is refused.
func TestApplyOfAFileThatDependsOnItsPlace(t *testing.T) {
	d := trying(t, func(o *Options) {
		o.Parse = func(name string, text []byte) (*config.Config, []config.Warning, error) {
			c, w, err := parseJSON(name, text)
			if err == nil && filepath.Base(name) == "next" {
				c.Global.LogLevel = "debug" // as an include beside it might say
			}
			return c, w, err
		}
	})
	if r := d.apply("next", time.Hour); r.OK || !strings.Contains(r.Errors[0], "means something else as") {
		t.Errorf("got %+v", r)
	}
}

// What cannot be undone is tried again.
func TestUndoIsTriedAgain(t *testing.T) {
	d := trying(t, func(o *Options) { o.undoRetry = 50 * time.Millisecond })
	d.apply("next", time.Hour)
	d.file("vrrp.refuse", "not now")
	if r := d.end((*control.Client).Undo); r.OK || !strings.Contains(r.Errors[0], "not now") {
		t.Errorf("got %+v", r)
	}
	if s := d.status(); s.Trial == nil || !s.Trial.Undoing || !strings.Contains(s.Trial.Error, "not now") {
		t.Errorf("the status tells of %+v", s.Trial)
	}
	d.remove("vrrp.refuse")
	d.eventually("the end of the trial", func() bool { return d.status().Trial == nil })
	if events := d.applyEvents(); !strings.Contains(events, "on trial>undone") {
		t.Errorf("the events are %s", events)
	}
}

// A daemon that stops or dies on trial comes back with the configured file.
func TestApplyEndsWithTheDaemon(t *testing.T) {
	d := trying(t)
	d.apply("next", time.Hour)
	note := d.text("run/" + trialName)
	d.signals <- os.Interrupt
	d.signals <- os.Interrupt
	d.cancel()
	if err := d.ends(); err != nil {
		t.Fatal(err)
	}
	d.says("director stops; the next start takes " + filepath.Join(d.dir, "config"))
	var told control.Trial
	if err := json.Unmarshal([]byte(note), &told); err != nil || told.File != filepath.Join(d.dir, "next") {
		t.Errorf("the note is %s, %v", note, err)
	}

	// As after a death: the note is there.
	e := prepare(t)
	e.configure(conf("web", "farm"))
	if err := os.MkdirAll(filepath.Join(e.dir, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	e.file("run/"+trialName, note)
	e.start()
	e.says("director is ready")
	if events := e.applyEvents(); !strings.Contains(events, "director died before "+told.Author+" confirmed it") {
		t.Errorf("the events are %s", events)
	}
	if _, err := os.Stat(filepath.Join(e.dir, "run", trialName)); err == nil {
		t.Error("the note of the trial is still there")
	}
}

func TestReplaceFileKeepsASymbolicLink(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.WriteFile(real, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	backup, err := replaceFile(link, []byte("new"))
	if err != nil || backup != real+backupSuffix {
		t.Fatalf("%s, %v", backup, err)
	}
	if text, _ := os.ReadFile(real); string(text) != "new" {
		t.Errorf("the file has %q", text)
	}
	if info, _ := os.Lstat(link); info.Mode().Type() != os.ModeSymlink {
		t.Error("the link is a file now")
	}
	if _, err := replaceFile(filepath.Join(dir, "missing"), nil); err == nil {
		t.Error("a missing file was replaced")
	}
}
