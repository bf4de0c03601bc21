package probe

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A FIFO in the place of a file with certificates is an error, and not waited for.
func TestCertificatesAreInRegularFiles(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, files := range []*TLSFiles{{CA: fifo}, {Cert: fifo, Key: fifo}, {CA: "/dev/zero"}} {
		done := make(chan error, 1)
		go func() { done <- files.Check() }()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "allowed is a regular file of at most 16 MiB") {
				t.Errorf("%s%s: %v", files.CA, files.Cert, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s%s is waited for", files.CA, files.Cert)
		}
	}
}
