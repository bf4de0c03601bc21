package watchdog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockName is locked by the parent as long as it runs.
	lockName = "director.lock"
	// childrenLockName is locked as long as any child runs: they inherit the open
	// file. A new parent must not start while the children of a killed one
	// still take their addresses off.
	childrenLockName = "children.lock"
)

// runDir is the locked runtime directory.
type runDir struct {
	path     string
	own      *os.File
	children *os.File
}

// lockRunDir creates the directory when it is missing and locks it. It fails at
// once when another parent runs, and after patience when the children
// of a dead one still do.
func lockRunDir(path string, patience time.Duration, log func(msg string)) (*runDir, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("watchdog: runtime directory: %w", err)
	}
	own, err := lock(filepath.Join(path, lockName))
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("watchdog: director is already running%s with runtime directory %s", holder(own), path)
	}
	if err != nil {
		return nil, err
	}
	if err := own.Truncate(0); err == nil {
		_, err = own.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			own.Close()
			return nil, fmt.Errorf("watchdog: write %s: %w", own.Name(), err)
		}
	}
	for deadline := time.Now().Add(patience); ; {
		children, err := lock(filepath.Join(path, childrenLockName))
		if err == nil {
			return &runDir{path, own, children}, nil
		}
		if children != nil {
			children.Close()
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			own.Close()
			return nil, err
		}
		if !time.Now().Before(deadline) {
			own.Close()
			return nil, fmt.Errorf("watchdog: a child of a former director still runs after %v (it holds %s); end it first", patience, filepath.Join(path, childrenLockName))
		}
		if log != nil {
			log("waiting for the children of a former director to stop")
			log = nil
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lock opens and locks a file. When another process has the lock, the file is
// returned open beside the error.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("watchdog: lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return f, fmt.Errorf("watchdog: lock %s: %w", path, err)
	}
	return f, nil
}

// holder reads who has locked f, for a message, and closes it.
func holder(f *os.File) string {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil || len(text) == 0 {
		return ""
	}
	return " as process " + strings.TrimSpace(string(text))
}

// release gives the directory free. The files stay: removing a locked file would
// let two parents lock two files of one name.
func (d *runDir) release() {
	d.children.Close()
	d.own.Close()
}
