package watchdog

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// envConfine tells an observer process that it has its rights yet, and what to become:
// user, group and how many files it may open.
const envConfine = "DIRECTOR_CONFINE"

const (
	// observerData bounds the memory of an observer process, which holds the state of the
	// farm a few times over.
	observerData = 2 << 30
	// observerNice has everything else run before it.
	observerNice = 10
	// observerOOMScore has the kernel end it before anything else of director, and before
	// most of the rest.
	observerOOMScore = "800"
)

// confinement is what a process is to become that may do nothing.
type confinement struct {
	uid, gid int
	files    int
}

func (c confinement) String() string {
	return fmt.Sprintf("%s=%d:%d:%d", envConfine, c.uid, c.gid, c.files)
}

func parseConfinement(s string) (c confinement, err error) {
	if n, err := fmt.Sscanf(s, "%d:%d:%d", &c.uid, &c.gid, &c.files); err != nil || n != 3 {
		return c, fmt.Errorf("watchdog: %s=%q makes no sense", envConfine, s)
	}
	return c, nil
}

// confine gives up every right and starts the program of this process anew. It
// returns only when that failed.
//
// What a thread gives up is its own, and a Go program has many threads from its
// start. The program that replaces this one begins with this thread alone and gets
// what that has left.
func confine(c confinement) error {
	runtime.LockOSThread()
	parent := os.Getppid()
	for resource, most := range map[int]uint64{
		unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: uint64(c.files), unix.RLIMIT_DATA: observerData, unix.RLIMIT_MEMLOCK: 0,
	} {
		var have unix.Rlimit
		if err := unix.Getrlimit(resource, &have); err != nil {
			return os.NewSyscallError("getrlimit", err)
		}
		most = min(most, have.Max)
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	// What follows protects others from it and is not worth its failure.
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, observerNice)
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(observerOOMScore), 0)
	// Without CAP_SETPCAP the bounding set stays; nothing can be drawn from it
	// without a new program that has rights of its own, and those are void.
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl no_new_privs", err)
	}
	if os.Geteuid() == 0 {
		// The system calls themselves: those of the packages change every thread, and
		// fail where the C library does that.
		for _, call := range []struct {
			name       string
			trap       uintptr
			a1, a2, a3 uintptr
		}{
			{"setgroups", unix.SYS_SETGROUPS, 0, 0, 0},
			{"setresgid", unix.SYS_SETRESGID, uintptr(c.gid), uintptr(c.gid), uintptr(c.gid)},
			{"setresuid", unix.SYS_SETRESUID, uintptr(c.uid), uintptr(c.uid), uintptr(c.uid)},
		} {
			if _, _, errno := unix.RawSyscall(call.trap, call.a1, call.a2, call.a3); errno != 0 {
				return os.NewSyscallError(call.name, errno)
			}
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
		return os.NewSyscallError("prctl cap_ambient", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	// A change of user forgets it.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl pdeathsig", err)
	}
	if os.Getppid() != parent {
		return errors.New("the parent is gone")
	}
	env := make([]string, 0, len(os.Environ()))
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, envConfine+"=") {
			env = append(env, kv)
		}
	}
	return fmt.Errorf("start again without rights: %w (the program must be executable for everybody)", unix.Exec("/proc/self/exe", os.Args, env))
}

// confined reports what this process could still do beyond what an observer may.
func confined() error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	return confinedStatus(string(text))
}

// confinedStatus judges by the text of /proc/PID/status.
func confinedStatus(text string) error {
	have := make(map[string]string)
	for _, line := range strings.Split(text, "\n") {
		key, value, _ := strings.Cut(line, ":")
		have[key] = strings.TrimSpace(value)
	}
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb"} {
		if n, err := strconv.ParseUint(have[set], 16, 64); err != nil || n != 0 {
			return fmt.Errorf("watchdog: it must not have capabilities, %s is %q", set, have[set])
		}
	}
	if have["NoNewPrivs"] != "1" {
		return errors.New("watchdog: it could get new rights (NoNewPrivs is not 1)")
	}
	for _, uid := range strings.Fields(have["Uid"]) {
		if uid == "0" {
			return errors.New("watchdog: it must not be root's")
		}
	}
	return nil
}
