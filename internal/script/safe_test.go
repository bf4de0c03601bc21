package script

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each part of a path that leads to a command of root's must be root's alone,
// links and what they point to included.
func TestSafe(t *testing.T) {
	if os.Geteuid() != 0 {
		// Nothing here belongs to root: each path is refused, at the first part that is ours.
		own := filepath.Join(t.TempDir(), "chk")
		if err := os.WriteFile(own, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		if safe(own) == nil {
			t.Error("a file of a user is taken for root's")
		}
		return
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const nobody = 65534
	base := t.TempDir()
	dir := func(name string, mode os.FileMode, uid, gid int) string {
		p := filepath.Join(base, name)
		must(os.Mkdir(p, 0o755))
		must(os.Chown(p, uid, gid))
		must(os.Chmod(p, mode))
		return p
	}
	file := func(d string, mode os.FileMode, uid, gid int) string {
		p := filepath.Join(d, "chk")
		must(os.WriteFile(p, []byte("#!/bin/sh\n"), 0o755))
		must(os.Chown(p, uid, gid))
		must(os.Chmod(p, mode))
		return p
	}
	good := file(dir("good", 0o755, 0, 0), 0o755, 0, 0)
	theirs := dir("theirs", 0o755, nobody, 0)
	shared := dir("shared", 0o777|os.ModeSticky, 0, nobody)
	link := func(to, at string, uid int) string {
		must(os.Symlink(to, at))
		must(os.Lchown(at, uid, 0))
		return at
	}
	owned := file(dir("file", 0o755, 0, 0), 0o755, nobody, 0)
	open := file(dir("open", 0o755, 0, 0), 0o757, 0, 0)
	grouped := file(dir("group", 0o755, 0, 0), 0o775, 0, nobody)
	inTheirs := file(theirs, 0o755, 0, 0)
	for _, tc := range []struct{ name, path, want string }{
		{"all of root", good, ""},
		{"the group root may write", file(dir("root", 0o775, 0, 0), 0o775, 0, 0), ""},
		{"a directory like /tmp", file(shared, 0o755, 0, 0), ""},
		{"a file of another", owned, owned + " belongs to nobody and has the mode -rwxr-xr-x (0755)"},
		{"a file that all may write", open, open + " belongs to root and has the mode -rwxr-xrwx (0757)"},
		{"a file that a group may write", grouped, grouped + " belongs to root, group nogroup, and has the mode -rwxrwxr-x (0775)"},
		{"a directory of another", inTheirs, theirs + " belongs to nobody and has the mode drwxr-xr-x (0755)"},
		{"a directory that all may write", file(dir("all", 0o777, 0, 0), 0o755, 0, 0), filepath.Join(base, "all") + " belongs to root and has the mode drwxrwxrwx (0777)"},
		{"a link to a good one", link("good/chk", filepath.Join(base, "link"), 0), ""},
		{"a link up and down", link("../good/../good/chk", filepath.Join(base, "good", "up"), 0), ""},
		{"a link to a bad one", link(inTheirs, filepath.Join(base, "badlink"), 0), theirs + " belongs to nobody"},
		{"a directory behind a link", filepath.Join(link("theirs", filepath.Join(base, "dirlink"), 0), "chk"), theirs + " belongs to nobody"},
		{"a link of another in a shared directory", link(good, filepath.Join(shared, "link"), nobody), filepath.Join(shared, "link") + " belongs to nobody"},
		{"a ring of links", link("ring", filepath.Join(base, "ring"), 0), ""},
		{"missing", filepath.Join(base, "missing"), ""},
	} {
		err := safe(tc.path)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}

	// Refused for root alone, before a run and by it.
	ran := filepath.Join(t.TempDir(), "ran")
	must(os.WriteFile(inTheirs, []byte("#!/bin/sh\ntouch "+ran+"\n"), 0o755))
	for _, p := range filepath.SplitList(base + ":" + filepath.Dir(base)) {
		must(os.Chmod(p, 0o755))
	}
	c := Command{Argv: []string{inTheirs}}
	if unsafe := new(UnsafeError); !errors.As(Check(c), &unsafe) || unsafe.Part != theirs {
		t.Errorf("Check: %v", Check(c))
	}
	r := Run(t.Context(), c)
	if _, err := os.Stat(ran); err == nil || r.OK || !strings.Contains(r.String(), "would run as root") {
		t.Errorf("Run: %v, %v", r, err)
	}
	c.User = "nobody"
	if err := Check(c); err != nil {
		t.Errorf("as nobody: %v", err)
	}
	want := fmt.Sprintf("%s would run as root, but %s belongs to nobody and has the mode drwxr-xr-x (0755): allowed is a path of which each part belongs to root and is writable by nobody else; correct that, or let it run as another user", inTheirs, theirs)
	if err := safe(inTheirs); err.Error() != want {
		t.Errorf("message:\n%v\nwant:\n%s", err, want)
	}
}
