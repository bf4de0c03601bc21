package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Reading is what a file says.
type Reading struct {
	// Number is the whole number on the first line, cut to 32 bits; 0 when the
	// file is missing or empty.
	Number int
	// Missing says that there is no such file.
	Missing bool
	// Err says why the file has no number: it cannot be read, or holds something
	// else. Number then means nothing.
	Err error
}

const (
	// maxNumber is how much of a file is read: the longest number and blanks.
	maxNumber = 256
	// filePoll is the period of looking where the kernel tells nothing of a file.
	filePoll = 500 * time.Millisecond
	// fileCheck is the period of looking where it does.
	fileCheck = 10 * time.Second
)

// File reads the file at path, an absolute path, until ctx ends: at once, and when
// it changes. A file is taken as it is when whoever writes it closes it, or when
// another one is put in its place, so that a number half written is not seen. seen
// gets the first reading and every one that differs from the one before.
func File(ctx context.Context, path string, seen func(Reading)) {
	w := fileWatch{path: path, seen: seen}
	for ctx.Err() == nil {
		if !watchable(path) || !w.follow(ctx) {
			w.poll(ctx)
		}
	}
}

type fileWatch struct {
	path  string
	seen  func(Reading)
	last  *Reading
	empty bool // the newest look found an empty file, which may be about to be written
}

// look reads the file and tells what has changed.
func (w *fileWatch) look() {
	r := Read(w.path)
	w.empty = false
	if w.last != nil && w.last.Missing == r.Missing && w.last.Number == r.Number && text(w.last.Err) == text(r.Err) {
		return
	}
	w.last = &r
	w.seen(r)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// poll looks once without help of the kernel, and waits.
func (w *fileWatch) poll(ctx context.Context) {
	// Whoever writes a file empties it first. What is empty is looked at twice.
	info, err := os.Stat(w.path)
	if err == nil && info.Size() == 0 && info.Mode().IsRegular() && !w.empty && w.last != nil {
		w.empty = true
	} else {
		w.look()
	}
	sleep(ctx, filePoll)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// watchable says that the kernel tells of every change of a file: its directory
// is on a disk of this host, and neither it nor the file is reached by a
// symbolic link, which could be pointed elsewhere unseen.
func watchable(path string) bool {
	dir := filepath.Dir(path)
	if real, err := filepath.EvalSymlinks(dir); err != nil || real != dir {
		return false
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return false
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return false
	}
	return !slices.Contains([]int64{
		unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC,
		unix.AFS_SUPER_MAGIC, unix.V9FS_MAGIC, unix.FUSE_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
		unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
	}, int64(s.Type))
}

// follow watches the directory until it goes away. It reports false when the
// kernel cannot watch it.
func (w *fileWatch) follow(ctx context.Context) bool {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return false // too many of them on this host
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	const what = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	if _, err := unix.InotifyAddWatch(fd, filepath.Dir(w.path), what); err != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	w.look() // after the watch began: nothing falls between
	var buffer [16 << 10]byte
	for {
		if err := events.SetReadDeadline(time.Now().Add(fileCheck)); err != nil || ctx.Err() != nil {
			return true
		}
		n, err := events.Read(buffer[:])
		switch {
		case ctx.Err() != nil:
			return true
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !watchable(w.path) {
				return true // something else is mounted there, or it is a link now
			}
			w.look()
			continue
		case err != nil:
			return true
		}
		concerns, gone := sort(buffer[:n], filepath.Base(w.path))
		if concerns || gone {
			w.look()
		}
		if gone {
			return true
		}
	}
}

// sort says whether events of a directory concern a file in it, and whether the
// directory itself went away.
func sort(events []byte, name string) (concerns, gone bool) {
	for len(events) >= unix.SizeofInotifyEvent {
		mask := nativeUint32(events[4:])
		size := int(nativeUint32(events[12:]))
		rest := events[unix.SizeofInotifyEvent:]
		if size > len(rest) {
			return true, gone
		}
		got, _, _ := strings.Cut(string(rest[:size]), "\x00")
		concerns = concerns || got == name || mask&unix.IN_Q_OVERFLOW != 0
		gone = gone || mask&(unix.IN_DELETE_SELF|unix.IN_MOVE_SELF|unix.IN_IGNORED|unix.IN_UNMOUNT) != 0
		events = rest[size:]
	}
	return concerns, gone
}

// Read reads the file at path, an absolute path, once.
func Read(path string) Reading {
	// Not blocking: a FIFO would otherwise be waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Reading{Missing: true}
	case err != nil:
		return Reading{Err: err}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return Reading{Err: fmt.Errorf("%s is no regular file", path)}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxNumber))
	if err != nil {
		return Reading{Err: err}
	}
	return parse(string(data))
}

// parse reads the number on the first line.
func parse(data string) Reading {
	line, _, _ := strings.Cut(data, "\n")
	line = strings.TrimSpace(line)
	if line == "" {
		return Reading{}
	}
	n, err := strconv.ParseInt(line, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return Reading{Err: fmt.Errorf("%q is no whole number", line[:min(len(line), 40)])}
	}
	return Reading{Number: int(min(max(n, math.MinInt32), math.MaxInt32))}
}

// Init writes a number into a file: only when there is no such file, or, with
// overwrite, in any case. A file that exists keeps its owner and mode. A symbolic
// link is not followed: whoever may put one there would choose what is written.
func Init(path string, number int, overwrite bool) error {
	flags := os.O_WRONLY | os.O_CREATE | unix.O_NOFOLLOW | unix.O_NONBLOCK
	if overwrite {
		flags |= os.O_TRUNC
	} else {
		flags |= os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, fs.ErrExist) && !overwrite {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, number)
	return errors.Join(err, f.Close())
}
