package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runTimeout bounds Host.Run: everything it is meant for takes milliseconds, and a hundred times as long in User Mode Linux on a busy machine.
const runTimeout = 2 * time.Minute

// deathTimeout is how long killed processes are waited for, which need a processor to die.
const deathTimeout = 30 * time.Second

// startTimeout is how long the servers that a host can run may take until they answer.
const startTimeout = 30 * time.Second

// A Process is a program running on a host. Its standard output and standard error go to a file in the host's folder.
type Process struct {
	host *Host
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// Command prepares a program to run on the host, with all the freedom of exec.Cmd; Start and Run are simpler. The program
// replaces the nsenter that enters the namespace, so that the process number is the program's own.
func (h *Host) Command(ctx context.Context, argv ...string) *exec.Cmd {
	args := append([]string{"--net=" + filepath.Join(netnsDir, h.Namespace()), "--"}, argv...)
	cmd := exec.CommandContext(ctx, findProgram("nsenter"), args...)
	cmd.Env = h.env()
	return cmd
}

// Run runs a program on the host to its end, at most 2 minutes, and returns what it wrote to standard output and standard error
// together. An exit code other than 0 is an error, which holds the output.
func (h *Host) Run(argv ...string) (string, error) {
	// A file, not a pipe, whose end would be that of the last grandchild that has it open.
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", h.name, strings.Join(argv, " "), err)
	}
	file := os.NewFile(uintptr(fd), "output")
	defer file.Close()
	cmd := program(argv)
	cmd.Env = h.env()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = h.fork(cmd)
	if err == nil {
		timer := time.AfterFunc(runTimeout, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
		err = cmd.Wait()
		timer.Stop()
	}
	out, rerr := io.ReadAll(io.NewSectionReader(file, 0, math.MaxInt64)) // from the start, wherever the writers are
	if err = errors.Join(err, rerr); err != nil {
		return string(out), fmt.Errorf("%s: %s: %w: %s", h.name, strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Start starts a program that goes on running. The log file is NAME.log in the host's folder; a second process of the same
// name appends to it. The process leads its own process group and is killed when this program ends, however that happens.
func (h *Host) Start(name string, argv ...string) (*Process, error) {
	return h.StartEnv(name, nil, argv...)
}

// StartEnv is Start with more KEY=VALUE settings in the program's environment.
func (h *Host) StartEnv(name string, env []string, argv ...string) (*Process, error) {
	p := &Process{host: h, name: name, log: h.Path(name + ".log"), done: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s: start %s: %w", h.name, name, err)
	}
	defer out.Close()
	p.cmd = program(argv)
	p.cmd.Env = append(h.env(), env...)
	p.cmd.Dir = h.dir
	p.cmd.Stdout, p.cmd.Stderr = out, out // the file itself: no copying goroutine, and Wait waits for the process alone
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := h.fork(p.cmd); err != nil {
		return nil, fmt.Errorf("%s: start %s: %w", h.name, name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	h.mu.Lock()
	h.procs = append(h.procs, p)
	h.mu.Unlock()
	return p, nil
}

// fork starts cmd inside the host, on the lab's own thread.
func (h *Host) fork(cmd *exec.Cmd) error {
	return h.lab.forker.do(func() error {
		if err := h.enter(); err != nil {
			return err
		}
		err := cmd.Start()
		if herr := unix.Setns(int(h.lab.home.Fd()), unix.CLONE_NEWNET); herr != nil && err == nil {
			err = fmt.Errorf("leave network namespace: %w", herr) // the next fork enters its own, so nothing is lost
		}
		return err
	})
}

// env is the environment of a host's processes: this program's, with the name and folder of the host.
func (h *Host) env() []string {
	return append(os.Environ(), "NETLAB_HOST="+h.name, "NETLAB_DIR="+h.dir)
}

// program is the command for argv, with argv[0] as it was given.
func program(argv []string) *exec.Cmd {
	cmd := exec.Command(findProgram(argv[0]), argv[1:]...)
	cmd.Args[0] = argv[0]
	return cmd
}

// findProgram finds a program also where the PATH of an ordinary user does not look.
func findProgram(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range [...]string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, name); unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return name
}

// Name is the name given to Start.
func (p *Process) Name() string { return p.name }

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether the process has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Wait waits for the end of the process and returns its exit code, -1 when a signal ended it. An error means that it was still
// running after timeout.
func (p *Process) Wait(timeout time.Duration) (int, error) {
	if p.Running() {
		select {
		case <-p.done:
		case <-time.After(timeout):
		}
	}
	if p.Running() {
		return -1, fmt.Errorf("%s: %s (pid %d) still runs after %v", p.host.name, p.name, p.Pid(), timeout)
	}
	return p.cmd.ProcessState.ExitCode(), nil
}

// Signal sends a signal to the process itself. To one that has ended it does nothing.
func (p *Process) Signal(sig os.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// SignalGroup sends a signal to all of the process's group, such as the workers of a server.
func (p *Process) SignalGroup(sig syscall.Signal) error {
	if err := unix.Kill(-p.Pid(), sig); err != nil {
		return fmt.Errorf("%s: signal %s to all of %s: %w", p.host.name, sig, p.name, err)
	}
	return nil
}

// Stop asks the process to end (SIGTERM) and, when it has not after timeout, kills its process group and returns an error.
func (p *Process) Stop(timeout time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%s: stop %s: %w", p.host.name, p.name, err)
	}
	if _, err := p.Wait(timeout); err != nil {
		p.KillGroup()
		return fmt.Errorf("%w: killed", err)
	}
	return nil
}

// Kill kills the process itself and nothing else (SIGKILL), and waits until it is gone.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// KillGroup kills the process and all of its process group, also when the process itself has ended already, and waits until
// they are gone.
func (p *Process) KillGroup() {
	if p.Running() {
		_ = unix.Kill(-p.Pid(), unix.SIGKILL)
	}
	ns := filepath.Join(netnsDir, p.host.Namespace())
	for begun := time.Now(); time.Since(begun) < deathTimeout; {
		left := slices.DeleteFunc(namespacePids(ns), func(pid int) bool {
			group, err := unix.Getpgid(pid)
			return err != nil || group != p.Pid()
		})
		if len(left) == 0 {
			break
		}
		_ = unix.Kill(-p.Pid(), unix.SIGKILL)
		time.Sleep(2 * time.Millisecond)
	}
	<-p.done
}

// Log returns what the process has written so far.
func (p *Process) Log() string {
	b, _ := os.ReadFile(p.log)
	return string(b)
}

// State says in a word or two whether the process runs or how it ended.
func (p *Process) State() string {
	if p.Running() {
		return "running"
	}
	return p.cmd.ProcessState.String()
}

// LogPath is the path of the log file.
func (p *Process) LogPath() string { return p.log }

// ProcessInfo is one line of a host's process list.
type ProcessInfo struct {
	Pid, Parent int
	Args        []string // as `ps` shows them
}

// Processes lists what runs on the host, by process number, children of started programs included.
func (h *Host) Processes() []ProcessInfo {
	var out []ProcessInfo
	for _, pid := range namespacePids(filepath.Join(netnsDir, h.Namespace())) {
		folder := "/proc/" + strconv.Itoa(pid)
		args, _ := os.ReadFile(folder + "/cmdline")
		if len(args) == 0 {
			continue // it has just ended
		}
		info := ProcessInfo{Pid: pid, Parent: parentOf(pid), Args: strings.Split(strings.TrimRight(string(args), "\x00"), "\x00")}
		out = append(out, info)
	}
	return out
}

// Started returns the processes started on the host with Start and by the methods built on it, ended ones included.
func (h *Host) Started() []*Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.procs)
}

// KillAll kills everything that runs on the host at one blow (SIGKILL). Addresses, routes and the IPVS table stay.
func (h *Host) KillAll() {
	killNamespace(filepath.Join(netnsDir, h.Namespace()))
	for _, p := range h.Started() {
		if p.Running() {
			p.Kill()
		}
	}
}

// PowerOff is the sudden death of the machine: silence on all its ports, then every process killed. Heal connects what is left
// of it again.
func (h *Host) PowerOff() error {
	err := h.Cut()
	h.KillAll()
	return err
}

// killNamespace kills the processes in a network namespace until there is none. Each time all are stopped before the first is
// killed, and children are killed before their parents: none lives to see another one die and to do something about it. (The
// end of a parent would make the kernel continue its stopped children.)
func killNamespace(path string) {
	for begun := time.Now(); time.Since(begun) < deathTimeout; {
		pids := namespacePids(path)
		if len(pids) == 0 {
			return
		}
		for stopped := 0; len(pids) > stopped; pids = namespacePids(path) { // until no new one has come up meanwhile
			stopped = len(pids)
			for _, pid := range pids {
				_ = unix.Kill(pid, unix.SIGSTOP)
			}
		}
		for _, pid := range childrenFirst(pids) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// childrenFirst orders processes so that each comes before its parent.
func childrenFirst(pids []int) []int {
	depth := make(map[int]int, len(pids))
	for _, pid := range pids {
		for p := pid; p > 1 && depth[pid] < 1000; p = parentOf(p) {
			depth[pid]++
		}
	}
	out := slices.Clone(pids)
	slices.SortStableFunc(out, func(a, b int) int { return depth[b] - depth[a] })
	return out
}

// parentOf returns the number of a process's parent, 0 when the process is gone.
func parentOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; after it come the state and the parent.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(f[1])
	return parent
}

// namespacePids lists the processes, except this one, whose main thread is in the network namespace and that are not zombies.
func namespacePids(path string) []int {
	var ns unix.Stat_t
	if unix.Stat(path, &ns) != nil {
		return nil
	}
	entries, _ := os.ReadDir("/proc")
	self := os.Getpid()
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self {
			continue
		}
		var st unix.Stat_t // of a zombie there is none
		if unix.Stat("/proc/"+e.Name()+"/ns/net", &st) == nil && st.Ino == ns.Ino && st.Dev == ns.Dev {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}
