package observe

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// readings runs File on a path and hands on what it sees.
func readings(t *testing.T, path string) <-chan Reading {
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan Reading, 100), make(chan struct{})
	go func() {
		defer close(done)
		File(ctx, path, func(r Reading) { seen <- r })
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(time.Minute):
			t.Error("File does not end with its context")
		}
	})
	return seen
}

func wantNumber(t *testing.T, seen <-chan Reading, number int, missing bool) {
	t.Helper()
	select {
	case r := <-seen:
		if r.Number != number || r.Missing != missing || r.Err != nil {
			t.Fatalf("read %+v, want %d, missing %v", r, number, missing)
		}
	case <-time.After(time.Minute):
		t.Fatalf("%d was not seen", number)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// A file is followed through being written, replaced, removed, and through its
// directory being removed and made again.
func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	path := filepath.Join(dir, "maintenance")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	seen := readings(t, path)
	wantNumber(t, seen, 0, true)
	write(t, path, "-20\n")
	wantNumber(t, seen, -20, false)
	write(t, filepath.Join(dir, "other"), "7")
	write(t, path+".new", "-254")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	wantNumber(t, seen, -254, false)
	write(t, path, "down\n")
	if r := <-seen; r.Err == nil || r.Err.Error() != `"down" is no whole number` {
		t.Errorf("read %+v", r)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	wantNumber(t, seen, 0, true)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path+".new", "  5 \nmore") // at once whole: the directory is looked at when it is there
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	wantNumber(t, seen, 5, false)
}

// What the kernel does not tell of is looked at again and again: a file behind a
// symbolic link.
func TestFileBehindALink(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "link")
	write(t, filepath.Join(dir, "a"), "1")
	write(t, filepath.Join(dir, "b"), "2")
	if err := os.Symlink("a", path); err != nil {
		t.Fatal(err)
	}
	if watchable(path) {
		t.Error("a link is taken for a file")
	}
	seen := readings(t, path)
	wantNumber(t, seen, 1, false)
	if err := os.Symlink("b", path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	wantNumber(t, seen, 2, false)
}

// Where it has to look by itself, a file that was only emptied is no 0 yet.
func TestPollDoesNotTakeAnEmptiedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no waiting
	var last Reading
	looks := 0
	w := fileWatch{path: path, seen: func(r Reading) { last = r; looks++ }}
	for i, step := range []struct {
		text          string
		number, looks int
	}{{"-50", -50, 1}, {"", -50, 1}, {"-60", -60, 2}, {"", -60, 2}, {"", 0, 3}} {
		write(t, path, step.text)
		if w.poll(ctx); last.Number != step.number || looks != step.looks {
			t.Errorf("step %d: %+v after %d", i, last, looks)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "\n": 0, "7": 7, "+7\n": 7, " -254 \nx": -254, "99999999999": 2147483647, "-99999999999999999999999": -2147483648,
	} {
		if r := parse(text); r.Number != want || r.Err != nil {
			t.Errorf("%q is %+v", text, r)
		}
	}
	for _, text := range []string{"1.5", "0x1", "1 2", "-"} {
		if parse(text).Err == nil {
			t.Errorf("%q is a number", text)
		}
	}
	dir := t.TempDir()
	if r := Read(dir); r.Err == nil {
		t.Errorf("a directory is %+v", r)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := Read(fifo); r.Err == nil {
		t.Errorf("a FIFO is %+v", r)
	}
}

func TestInit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, tc := range []struct {
		number    int
		overwrite bool
		want      string
	}{{5, false, "5\n"}, {6, false, "5\n"}, {7, true, "7\n"}} {
		if err := Init(path, tc.number, tc.overwrite); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != tc.want || err != nil {
			t.Errorf("%d, overwrite %v: %q, %v", tc.number, tc.overwrite, got, err)
		}
	}
	link := path + ".link"
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if Init(link, 8, true) == nil {
		t.Error("a link was followed")
	}
	if got, _ := os.ReadFile(path); string(got) != "7\n" {
		t.Errorf("through a link: %q", got)
	}
	if Init("/nonexistent/f", 0, true) == nil {
		t.Error("no error without a directory")
	}
}

func FuzzInotifyEvents(f *testing.F) {
	e := make([]byte, unix.SizeofInotifyEvent, 64)
	binary.NativeEndian.PutUint32(e[12:], 16)
	f.Add(append(e, "maintenance\x00\x00\x00\x00\x00"...))
	f.Fuzz(func(_ *testing.T, data []byte) { sort(data, "maintenance") })
}
