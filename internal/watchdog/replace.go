package watchdog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"director/internal/configfile"
)

// backupSuffix ends the name of the file that keeps the former text of the configured
// one.
const backupSuffix = ".before-apply"

// replaceable reports why a file cannot be replaced.
func replaceable(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%s could not be replaced: %w", path, err)
	}
	if err := unix.Access(filepath.Dir(real), unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%s could not be replaced: %s: %w; below systemd, ReadWritePaths= in the unit allows it", path, filepath.Dir(real), err)
	}
	return nil
}

// replaceFile gives a file another text, whole or not at all, with the owner and mode
// that it has. Its former text is kept beside it, in the file whose path is returned.
// A symbolic link stays one.
func replaceFile(path string, text []byte) (backup string, err error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("replace %s: %w", path, err)
	}
	former, err := configfile.Read(real)
	if err != nil {
		return "", fmt.Errorf("replace %s: %w", path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", fmt.Errorf("replace %s: %w", path, err)
	}
	backup = real + backupSuffix
	if err := writeLike(backup, former, info); err != nil {
		return "", fmt.Errorf("keep the former text of %s: %w", path, err)
	}
	if err := writeLike(real, text, info); err != nil {
		return "", fmt.Errorf("replace %s: %w", path, err)
	}
	return backup, nil
}

// writeLike writes a file as writeWhole does, with the owner and mode of another.
func writeLike(path string, text []byte, like fs.FileInfo) error {
	return writeWhole(path, text, func(f *os.File) error {
		if owner, ok := like.Sys().(*syscall.Stat_t); ok {
			if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		}
		return f.Chmod(like.Mode().Perm())
	})
}

// writeWhole writes a file under another name and renames it, when all of it is on the
// disk. prepare, unless it is nil, is called before the first byte: the file has mode
// 0600 then.
func writeWhole(path string, text []byte, prepare func(*os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if prepare != nil {
		if err = prepare(f); err != nil {
			return err
		}
	}
	if _, err = f.Write(text); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
