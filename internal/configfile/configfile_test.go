package configfile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// soon fails the test when f takes so long that it must wait for something.
func soon(t *testing.T, what string, f func() ([]byte, error)) ([]byte, error) {
	t.Helper()
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := f()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-time.After(writerPatience + 20*time.Second):
		t.Fatal(what + " is waited for")
		return nil, nil
	}
}

func TestRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", at("link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("most"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at("most"), Most+1); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, err, any string }{
		{"file", "", ""},
		{"link", "", ""},
		{"fifo", "fifo is a pipe, allowed is a regular file", "fifo is a pipe into which nobody writes"},
		{".", " is a directory, allowed is a regular file", "is a directory, allowed is a file or a pipe"},
		{"most", "most is too long for a configuration: allowed are 64 MiB", "too long"},
		{"none", "no such file", "no such file"},
		{"/dev/zero", "/dev/zero is a device", "too long"},
	} {
		name := tc.name
		if !filepath.IsAbs(name) {
			name = at(name)
		}
		for _, how := range []struct {
			read func(string) ([]byte, error)
			err  string
		}{{Read, tc.err}, {ReadAny, tc.any}} {
			text, err := soon(t, tc.name, func() ([]byte, error) { return how.read(name) })
			switch {
			case how.err == "" && (err != nil || string(text) != "text"):
				t.Errorf("%s: %q, %v", tc.name, text, err)
			case how.err != "" && (err == nil || !strings.Contains(err.Error(), how.err)):
				t.Errorf("%s: error %v, want %q", tc.name, err, how.err)
			}
		}
	}
}

// A command reads what another writes into a pipe, however slowly it comes and whoever
// is there first.
func TestPipes(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(50 * time.Millisecond) // the reader is there first
		w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer w.Close()
		for _, part := range []string{"one ", "two"} {
			time.Sleep(50 * time.Millisecond)
			if _, err := io.WriteString(w, part); err != nil {
				t.Error(err)
			}
		}
	}()
	text, err := soon(t, "the FIFO", func() ([]byte, error) { return ReadAny(fifo) })
	if err != nil || string(text) != "one two" {
		t.Errorf("FIFO: %q, %v", text, err)
	}

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	long := bytes.Repeat([]byte("0123456789abcdef"), 20000) // more than a pipe holds
	go func() {
		defer w.Close()
		if _, err := w.Write(long); err != nil {
			t.Error(err)
		}
	}()
	text, err = soon(t, "the pipe", func() ([]byte, error) { return ReadAny(fmt.Sprintf("/dev/fd/%d", r.Fd())) })
	if err != nil || !bytes.Equal(text, long) {
		t.Errorf("process substitution: %d bytes, %v", len(text), err)
	}
}
