package watchdog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/control"
)

// TestFileChanged: status tells when the configured file is not the one in force.
func TestFileChanged(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.await("vrrp applied 1", 1)
	want := func(what string, changed, missing bool) {
		t.Helper()
		if s := d.status(); s.FileChanged.IsZero() == changed || s.FileMissing != missing ||
			changed && (time.Since(s.FileChanged) > time.Minute || time.Since(s.FileChanged) < -time.Second) {
			t.Errorf("%s: changed %v, missing %v", what, s.FileChanged, s.FileMissing)
		}
	}
	want("at the start", false, false)
	d.configure(conf("web db", ""))
	want("after an edit", true, false)
	if r := d.reload(); !r.OK {
		t.Fatalf("%+v", r)
	}
	want("after a reload", false, false)
	d.file("config", "invalid")
	d.reload()
	want("after a reload that was refused", true, false)

	// An older file that is moved into its place has another inode.
	old := filepath.Join(d.dir, "old")
	text := configText(t, conf("web", ""))
	if err := os.WriteFile(old, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	d.configure(conf("web", ""))
	d.reload()
	want("as it was", false, false)
	if err := os.Rename(old, filepath.Join(d.dir, "config")); err != nil {
		t.Fatal(err)
	}
	want("after an older file took its place", true, false)

	r, err := d.client().Apply(t.Context(), control.ApplyQuery{File: filepath.Join(d.dir, "new"), Text: []byte(text)})
	if err != nil || !r.OK {
		t.Fatalf("%+v, %v", r, err)
	}
	want("after an apply", false, false)
	d.remove("config")
	want("when it is gone", false, true)
}

// Whatever stands in the place of the configured file, a reload ends, and the next one
// works.
func TestFileThatIsNone(t *testing.T) {
	d := ready(t, "web", "")
	d.remove("config")
	path := filepath.Join(d.dir, "config")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	const want = "config is a pipe, allowed is a regular file"
	if r := d.reload(); r.OK || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], want) {
		t.Errorf("reload: %+v", r)
	}
	if plan, err := d.client().Plan(t.Context(), control.PlanQuery{}); err != nil || len(plan.Errors) != 1 || !strings.Contains(plan.Errors[0], want) {
		t.Errorf("plan: %+v, %v", plan, err)
	}
	d.remove("config")
	d.configure(conf("web db", ""))
	if r := d.reload(); !r.OK {
		t.Errorf("reload of the mended file: %+v", r)
	}
}

// A configuration that cannot be read in time holds up nothing, and does not come into
// force when nobody expects it any more.
func TestReadingIsBounded(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	held, let := make(chan bool, 1), make(chan bool)
	d.start(func(o *Options) {
		o.readTimeout = time.Second
		o.Parse = func(name string, text []byte) (*config.Config, []config.Warning, error) {
			if strings.Contains(string(text), "held") {
				held <- true
				<-let
			}
			return parseJSON(name, text)
		}
	})
	d.says("director is ready")
	d.configure(conf("held", ""))
	if r := d.reload(); r.OK || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "cannot be read within 1s") {
		t.Errorf("reload: %+v", r)
	}
	<-held
	close(let)
	d.configure(conf("web db", ""))
	if r := d.reload(); !r.OK {
		t.Errorf("the next reload: %+v", r)
	}
	if g := d.status().Generation; g != 3 || strings.Contains(d.log(), "configure 2") {
		t.Errorf("generation %d, the children's log:\n%s", g, d.log())
	}
}
