package watchdog

import (
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// settleTime is how long after a configuration a process tidies up its memory: what
// reading the configuration and putting it in force needed is free by then. A large farm, or a slow
// machine, takes longer: it does so once more after lateTime.
const (
	settleTime = 2 * time.Second
	lateTime   = 30 * time.Second
)

// memory is what a process does about its own memory. A daemon that has settled
// allocates next to nothing, so it would hold on to what its start took until the
// collector comes round by itself, minutes later.
type memory struct {
	log  *slog.Logger
	free func() // gives back to the kernel what is not used

	mu     sync.Mutex
	timer  *time.Timer
	lock   bool // to be locked when it has settled
	locked bool
}

func newMemory(log *slog.Logger) *memory { return &memory{log: log, free: debug.FreeOSMemory} }

// configured tells that a configuration has come, and whether memory is to be locked
// with it.
func (m *memory) configured(lock bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lock = lock
	if m.locked { // locked memory cannot be given back
		m.locked = false
		if err := unix.Munlockall(); err != nil {
			m.log.Warn("cannot unlock memory", "reason", err)
		}
	}
	if m.timer != nil {
		m.timer.Stop()
	}
	m.timer = time.AfterFunc(settleTime, func() {
		m.settle()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.timer = time.AfterFunc(lateTime-settleTime, m.settle)
	})
}

// settle gives back what is free, and locks the rest if it is to be.
func (m *memory) settle() {
	m.mu.Lock()
	locked := m.locked
	m.mu.Unlock()
	if locked { // as above
		return
	}
	m.free()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.lock || m.locked {
		return
	}
	if err := lockMemory(); err != nil {
		m.log.Warn("cannot lock memory", "reason", err)
		return
	}
	m.locked = true
}

// lockMemory keeps the memory of this process in RAM. Only pages that are used are locked: without that (MCL_ONFAULT) the whole address
// space of a Go program would be loaded.
//
// A process that has not the right to lock as much as it likes is left alone: with
// MCL_FUTURE the kernel would refuse it memory later, and it would die of that.
func lockMemory() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return os.NewSyscallError("getrlimit", err)
	}
	if limit.Cur != unix.RLIM_INFINITY && !capable(unix.CAP_IPC_LOCK) {
		return fmt.Errorf("CAP_IPC_LOCK is missing, and only %d bytes may be locked without", limit.Cur)
	}
	return os.NewSyscallError("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
}

// capable reports whether this process has a capability in force.
func capable(capability int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&header, &data[0]) == nil && data[capability/32].Effective&(1<<(capability%32)) != 0
}

// memoryLocked reports whether a process keeps memory out of the swap space.
func memoryLocked(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(strings.Split(string(text), "\n"), func(line string) bool {
		f := strings.Fields(line)
		return len(f) > 1 && f[0] == "VmLck:" && f[1] != "0"
	})
}
