package netlab

import (
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const scratchPrefix = "netlab-tmp-"

// scratchDir makes a temporary folder that is held by a lock. release removes it; a folder whose process died without doing so
// is removed by the next call of another process. (Folders of the last minute are let be: between its making and
// its locking a folder looks dead.)
func scratchDir() (dir string, release func(), err error) {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*"))
	for _, d := range old {
		if st, err := os.Stat(d); err != nil || time.Since(st.ModTime()) < time.Minute {
			continue
		}
		if f, err := os.Open(d); err == nil {
			if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
				_ = os.RemoveAll(d)
			}
			f.Close()
		}
	}
	dir, err = os.MkdirTemp("", scratchPrefix)
	if err != nil {
		return "", nil, err
	}
	lock, err := os.Open(dir)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, func() {
		_ = os.RemoveAll(dir)
		lock.Close()
	}, nil
}
