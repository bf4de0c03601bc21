package link

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another holder has the lock.
var ErrLocked = errors.New("held by another")

// FileLock is an exclusive lock on a file that several hosts can lock: an open file
// description lock (fcntl), which NFS version 4, GFS2, OCFS2 and CephFS pass on to
// the server or the cluster. It is advisory, and ends with the process.
type FileLock struct {
	file *os.File
	path string
	note string
}

// LockFile takes the lock of a file, which it makes when it is missing, and writes
// the note into it so that others can read who holds it. It does not wait for another
// holder: the error is then ErrLocked with that one's note. It blocks for as
// long as the file system does.
func LockFile(path, note string) (*FileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	l := &FileLock{file: f, path: path, note: note + "\n"}
	if err := l.Check(); err != nil {
		if errors.Is(err, ErrLocked) {
			if holder := l.read(); holder != "" {
				err = fmt.Errorf("%w: %s", ErrLocked, holder)
			}
		}
		_ = f.Close() // nothing was written
		return nil, err
	}
	return l, nil
}

// Check reports whether the lock is still held, on the file that still has the name.
// The note is written anew: a server that has forgotten us or is gone refuses that.
func (l *FileLock) Check() error {
	whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	switch err := unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &whole); {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES):
		return ErrLocked
	case err != nil:
		return fmt.Errorf("lock %s: %w", l.path, err)
	}
	var own, named unix.Stat_t
	if err := unix.Fstat(int(l.file.Fd()), &own); err != nil {
		return fmt.Errorf("lock %s: %w", l.path, err)
	}
	if err := unix.Lstat(l.path, &named); err != nil {
		return fmt.Errorf("lock %s: %w", l.path, err)
	}
	if own.Dev != named.Dev || own.Ino != named.Ino {
		return fmt.Errorf("lock %s: somebody has replaced the file", l.path)
	}
	if _, err := l.file.WriteAt([]byte(l.note), 0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := l.file.Truncate(int64(len(l.note))); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// read returns the first line of the holder's note.
func (l *FileLock) read() string {
	var b [256]byte
	n, err := l.file.ReadAt(b[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}

// Close gives the lock up. The file stays: its removal could hit another's lock.
func (l *FileLock) Close() error { return l.file.Close() }
