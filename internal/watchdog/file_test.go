package watchdog

import (
	"os"
	"path/filepath"
	"testing"
	"time"

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
