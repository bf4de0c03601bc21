package script

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// identity is whom a command runs as.
type identity struct {
	name     string
	uid, gid uint32
	groups   []uint32
	home     string
	change   bool // differs from this process
}

// credential is nil when nothing has to be changed.
func (i identity) credential() *syscall.Credential {
	if !i.change {
		return nil
	}
	return &syscall.Credential{Uid: i.uid, Gid: i.gid, Groups: i.groups}
}

// lookup resolves user[:group]. An empty spec is the user of this process.
func lookup(spec string) (identity, error) {
	if spec == "" {
		return identity{name: "uid " + strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	name, group, hasGroup := strings.Cut(spec, ":")
	u, err := lookupUser(name)
	if err != nil {
		return identity{}, err
	}
	uid, err := number(u.Uid)
	if err != nil {
		return identity{}, fmt.Errorf("user %s: %w", name, err)
	}
	gid, err := number(u.Gid)
	if err != nil {
		return identity{}, fmt.Errorf("user %s: %w", name, err)
	}
	id := identity{name: u.Username, uid: uid, gid: gid, home: u.HomeDir}
	if hasGroup {
		g, err := lookupGroup(group)
		if err != nil {
			return identity{}, err
		}
		if id.gid, err = number(g.Gid); err != nil {
			return identity{}, fmt.Errorf("group %s: %w", group, err)
		}
		id.groups = []uint32{id.gid}
	} else if id.groups, err = groupsOf(u); err != nil {
		return identity{}, err
	}
	id.change = int(id.uid) != os.Geteuid() || int(id.gid) != os.Getegid()
	return id, nil
}

func lookupUser(name string) (*user.User, error) {
	if name == "" {
		return nil, errors.New("user name is empty")
	}
	u, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		if _, numErr := strconv.ParseUint(name, 10, 32); numErr == nil {
			if u, err := user.LookupId(name); err == nil {
				return u, nil
			}
		}
		return nil, fmt.Errorf("user %s does not exist", name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up user %s: %w", name, err)
	}
	return u, nil
}

func lookupGroup(name string) (*user.Group, error) {
	if name == "" {
		return nil, errors.New("group name is empty")
	}
	g, err := user.LookupGroup(name)
	var unknown user.UnknownGroupError
	if errors.As(err, &unknown) {
		if _, numErr := strconv.ParseUint(name, 10, 32); numErr == nil {
			if g, err := user.LookupGroupId(name); err == nil {
				return g, nil
			}
		}
		return nil, fmt.Errorf("group %s does not exist", name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up group %s: %w", name, err)
	}
	return g, nil
}

func groupsOf(u *user.User) ([]uint32, error) {
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up the groups of user %s: %w", u.Username, err)
	}
	var groups []uint32
	for _, s := range ids {
		gid, err := number(s)
		if err != nil {
			return nil, fmt.Errorf("groups of user %s: %w", u.Username, err)
		}
		groups = append(groups, gid)
	}
	slices.Sort(groups)
	return groups, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("identifier %q is not a number", s)
	}
	return uint32(n), nil
}

// defaultPath is used when the daemon itself was started without a PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// withheld are the variables that a script does not inherit: what changes how
// programs are loaded or shells split words, and what belongs to the daemon alone.
var withheld = []string{
	"IFS", "ENV", "BASH_ENV", "CDPATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT",
	"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM",
	"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
}

// environment returns what a script gets: the daemon's own environment without
// what it must not inherit, a PATH, the variables of its user when that is not
// the daemon's, and extra, which wins.
func environment(own []string, who identity, extra []string) []string {
	set := map[string]string{"PATH": defaultPath}
	for _, kv := range own {
		name, value, ok := strings.Cut(kv, "=")
		if ok && name != "" && !slices.Contains(withheld, name) && !(name == "PATH" && value == "") {
			set[name] = value
		}
	}
	if who.change {
		set["USER"], set["LOGNAME"], set["HOME"] = who.name, who.name, who.home
	}
	for _, kv := range extra {
		if name, value, ok := strings.Cut(kv, "="); ok {
			set[name] = value
		}
	}
	env := make([]string, 0, len(set))
	for name, value := range set {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// valueOf returns the value of name in env.
func valueOf(env []string, name string) string {
	for _, kv := range env {
		if n, value, ok := strings.Cut(kv, "="); ok && n == name {
			return value
		}
	}
	return ""
}

// UserNumbers returns the numbers of a user[:group].
func UserNumbers(spec string) (uid, gid int, err error) {
	id, err := lookup(spec)
	return int(id.uid), int(id.gid), err
}
