package watchdog

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"director/config"
)

// Role names a child process.
type Role string

// The children.
const (
	RoleVRRP     Role = "vrrp"
	RoleCheckers Role = "checkers"
	// RoleWeb serves the read-only face over HTTP, RoleSNMP over AgentX. They are no part
	// of any start, stop or reload of the others.
	RoleWeb  Role = "web"
	RoleSNMP Role = "snmp"
)

// Title is the argument vector's only element of a child of this role, and so
// what ps shows. RoleOf is its inverse.
func (r Role) Title() string { return "director: " + string(r) }

// Observer says that a process of this role only shows what director does: the others
// do their work without it.
func (r Role) Observer() bool { return r == RoleWeb || r == RoleSNMP }

// RoleOf returns the role of the child process whose argument vector this is.
func RoleOf(argv []string) (Role, bool) {
	if len(argv) == 1 {
		for _, r := range []Role{RoleCheckers, RoleVRRP, RoleWeb, RoleSNMP} {
			if argv[0] == r.Title() {
				return r, true
			}
		}
	}
	return "", false
}

// settings is how the kernel is to treat the process of this role.
func (r Role) settings(c *config.Config) config.Process {
	if r == RoleVRRP {
		return c.VRRPProcess
	}
	return c.CheckerProcess
}

// startOrder is the order in which children start and take a configuration:
// no virtual address stands in front of an empty IPVS table. They stop in
// reverse.
var startOrder = [...]Role{RoleCheckers, RoleVRRP}

// spawner starts processes from one operating system thread that lives as long
// as the spawner: the kernel sends a child its parent-death signal when the
// thread ends that forked it, whatever the rest of the parent does.
type spawner struct {
	requests chan spawnRequest
}

type spawnRequest struct {
	path  string
	title string
	env   []string
	files []*os.File
	reply func(*os.Process, error)
}

func newSpawner() *spawner {
	s := &spawner{requests: make(chan spawnRequest, len(startOrder)+2)}
	go func() {
		// Never unlocked: were the goroutine to leave its thread, another could
		// end that thread.
		runtime.LockOSThread()
		for r := range s.requests {
			p, err := os.StartProcess(r.path, []string{r.title}, &os.ProcAttr{
				Dir: "/", Env: r.env, Files: r.files,
				// A second line behind the end of file on the channel; see RunChild.
				Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM},
			})
			if err != nil {
				err = fmt.Errorf("start %s: %w", r.title, err)
			}
			r.reply(p, err)
		}
	}()
	return s
}

// close ends the spawner and its thread. No child may be left.
func (s *spawner) close() { close(s.requests) }

// childEnvironment is what children inherit: all but what makes a process talk to
// the service manager, which is the parent's to do.
func childEnvironment(own, extra []string) []string {
	env := slices.DeleteFunc(slices.Clone(own), func(kv string) bool {
		return strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "WATCHDOG_")
	})
	return append(env, extra...)
}
