package link

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, err := LockFile(path, "lb-a, for a very long time")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := LockFile(path, "lb-b"); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "lb-a") {
		t.Fatalf("a second lock: %v, %v", b, err)
	}
	if err := a.Check(); err != nil {
		t.Errorf("the lock is not held: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := LockFile(path, "lb-b")
	if err != nil {
		t.Fatalf("a lock that was given up: %v", err)
	}
	if text, err := os.ReadFile(path); string(text) != "lb-b\n" || err != nil {
		t.Errorf("the file says %q (%v)", text, err)
	}
	// Somebody removes the file, and a third host locks a new one of that name.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(); err == nil {
		t.Error("a removed file passes for locked")
	}
	c, err := LockFile(path, "lb-c")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := b.Check(); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("a replaced file: %v", err)
	}
	b.Close()
	if _, err := LockFile(filepath.Join(t.TempDir(), "none", "lock"), ""); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("no such directory: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := LockFile(link, ""); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("a symbolic link: %v", err)
	}
}
