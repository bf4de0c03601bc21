package script

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// UnsafeError says that a command would run as root although somebody else can
// change what is run.
type UnsafeError struct {
	Program string // as it was found
	Part    string // the file, directory or link on its path that is to blame
	Owner   string // of the part, and its group where that may write
	Mode    fs.FileMode
}

func (e *UnsafeError) Error() string {
	return fmt.Sprintf("%s would run as root, but %s belongs to %s and has the mode %s (%#o): allowed is a path of which each part belongs to root and is writable by nobody else; correct that, or let it run as another user",
		e.Program, e.Part, e.Owner, e.Mode, e.Mode.Perm())
}

// maxLinks is how many symbolic links a path may lead over, as in the kernel.
const maxLinks = 40

// safe reports an *UnsafeError when somebody other than root could make program,
// an absolute path, something else: any part of its path, links and what they
// point to included, must belong to root and be writable by nobody else. The
// group root may write; in a directory with the sticky bit everybody may, because
// there nobody can replace what is another's. What cannot be looked at is left to
// the run.
func safe(program string) error {
	at, rest, links := "/", parts(program), 0
	if info, err := os.Lstat(at); err == nil {
		if err := safePart(program, at, info); err != nil {
			return err
		}
	}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return nil // not there, or not for us to see: the run will tell
		}
		if err := safePart(program, next, info); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		target, err := os.Readlink(next)
		if links++; err != nil || links > maxLinks {
			return nil
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(parts(target), rest...)
	}
	return nil
}

// parts splits a path into its names.
func parts(p string) []string {
	var names []string
	for _, name := range strings.Split(p, "/") {
		if name != "" && name != "." {
			names = append(names, name)
		}
	}
	return names
}

// safePart judges one file, directory or link by what Lstat says of it. The mode of a
// link means nothing.
func safePart(program, part string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	mode := info.Mode()
	link := mode&fs.ModeSymlink != 0
	shared := mode.IsDir() && mode&fs.ModeSticky != 0
	group := !link && !shared && mode&0o020 != 0 && stat.Gid != 0
	others := !link && !shared && mode&0o002 != 0
	if stat.Uid == 0 && !group && !others {
		return nil
	}
	owner := userName(stat.Uid)
	if group {
		owner += ", group " + groupName(stat.Gid) + ","
	}
	return &UnsafeError{Program: program, Part: part, Owner: owner, Mode: mode}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return "gid " + id
}

// DefaultUser returns the user that commands without one of their own run as:
// director_script, or keepalived_script, whichever exists first. It is empty,
// the user of this process, when neither does, or when this process is not root
// and could not become another user.
func DefaultUser() (string, error) {
	if os.Geteuid() != 0 {
		return "", nil
	}
	for _, name := range []string{"director_script", "keepalived_script"} {
		_, err := user.Lookup(name)
		var unknown user.UnknownUserError
		switch {
		case err == nil:
			return name, nil
		case !errors.As(err, &unknown):
			return "", fmt.Errorf("look up user %s: %w", name, err)
		}
	}
	return "", nil
}
