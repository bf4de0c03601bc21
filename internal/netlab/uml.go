package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// umlMark is set in the environment of everything that runs inside User Mode Linux.
const umlMark = "NETLAB_UML"

// ErrNoUML reports that this machine has no User Mode Linux kernel.
var ErrNoUML = errors.New("linux.uml not found: install the Debian package user-mode-linux (apt-get install user-mode-linux busybox)")

// HasIPVS reports whether the running kernel has IPVS. The look-up itself lets the kernel load its ip_vs module.
func HasIPVS() bool {
	_, err := netlink.GenlFamilyGet("IPVS")
	return err == nil
}

// InUML reports whether this process runs inside User Mode Linux, started by this package or not.
func InUML() bool {
	if os.Getenv(umlMark) != "" {
		return true
	}
	b, err := os.ReadFile("/proc/cpuinfo")
	return err == nil && bytes.Contains(b, []byte("User Mode Linux"))
}

// UMLOptions says what to run inside User Mode Linux. Only Command is required.
type UMLOptions struct {
	// Command is the program and its arguments. The program must be visible inside: the whole root file system of the
	// host is, read-only, except /tmp, /run, /var/log, /var/lib and /dev/shm, which are new and empty there. Use Dir or
	// Share for a program that lives in one of these.
	Command []string

	// Dir is a host directory that is writable inside, at the same path. Empty: none.
	Dir string

	// Share lists host directories and files that must be visible inside, read-only, at the same path. Only those below the
	// hidden directories named above need it; naming another one does no harm.
	Share []string

	// WorkDir is the working directory of Command. Empty: "/".
	WorkDir string

	// Env holds KEY=VALUE settings for Command. PATH, HOME, TMPDIR and TERM are set anyway and can be overridden here.
	Env []string

	// Mem is the memory size in the kernel's notation. Empty: "1G". It is allocated as it is touched.
	Mem string

	// Nice is the niceness of the kernel's processes, -20 to 19; a negative one makes time inside run more evenly on a busy
	// machine. What the machine does not permit is left undone.
	Nice int

	// Stdout receives what Command writes to its standard output and standard error, live, byte for byte, and nothing of
	// the kernel's own output. Nil: thrown away.
	Stdout io.Writer

	// Stdin, when set, makes the console interactive: Command gets a controlling terminal with line editing, echo and
	// job control, fed from Stdin (line ends in Stdout are then CR LF, as a terminal in raw mode wants them).
	// Nil: Command reads nothing from its standard input.
	Stdin io.Reader
}

// UML boots a User Mode Linux kernel on the host's own root file system, runs o.Command in it as root and returns its exit
// code. The kernel has ip_vs with all schedulers, IPv6, veth, bridges, macvlan, VRF, IPIP and loads other modules on demand;
// lo is up. When ctx ends, the kernel and all that runs in it are killed and ctx's error is returned. Several may run at
// once. Nothing stays behind. It works for an unprivileged user too: the command is root inside all the same.
//
// An error means that the command's exit code is not known: no kernel (ErrNoUML), it did not boot, or it died; the end of
// the kernel's own messages is then part of the error's text.
func UML(ctx context.Context, o UMLOptions) (exitcode int, err error) {
	if len(o.Command) == 0 {
		return -1, errors.New("uml: no command")
	}
	if err := ctx.Err(); err != nil {
		return -1, err
	}
	ctl, release, err := scratchDir()
	if err != nil {
		return -1, fmt.Errorf("uml: %w", err)
	}
	defer release()
	kernel, err := umlKernel(ctl)
	if err != nil {
		return -1, err
	}
	script, err := umlScript(ctl, o)
	if err != nil {
		return -1, fmt.Errorf("uml: %w", err)
	}
	initPath := filepath.Join(ctl, "init")
	if err := writeExecutable(initPath, strings.NewReader(script)); err != nil {
		return -1, fmt.Errorf("uml: %w", err)
	}
	mem := o.Mem
	if mem == "" {
		mem = "1G"
	}
	bootlog, err := runUML(ctx, kernel, ctl, o, []string{
		"mem=" + mem, "rootfstype=hostfs", "rootflags=/", "ro", "init=" + initPath,
		"quiet", "random.trust_cpu=on", "uml_dir=" + ctl + "/", "umid=uml",
		"con=null", "con0=fd:0,fd:1", "con1=fd:3,fd:4",
	})
	if ctx.Err() != nil {
		return -1, fmt.Errorf("uml: %w", context.Cause(ctx))
	}
	text, rerr := os.ReadFile(filepath.Join(ctl, "exit"))
	if rerr == nil {
		if code, cerr := strconv.Atoi(strings.TrimSpace(string(text))); cerr == nil {
			return code, nil
		}
	}
	if err == nil {
		err = errors.New("the kernel stopped before the command ended")
	}
	return -1, fmt.Errorf("uml: %w; kernel messages:\n%s", err, Tail(bootlog, 4000))
}

// UMLMain runs this very program again inside User Mode Linux, with other arguments. o.Command is not looked at. A program built
// with the race detector cannot run there.
func UMLMain(ctx context.Context, o UMLOptions, args ...string) (exitcode int, err error) {
	if Race {
		return -1, errors.New("uml: this program has the race detector, which cannot run inside: its tables lie beyond the 512 GB of address space")
	}
	dir, release, err := scratchDir()
	if err != nil {
		return -1, fmt.Errorf("uml: %w", err)
	}
	defer release()
	exe, err := placeExecutable(dir)
	if err != nil {
		return -1, fmt.Errorf("uml: %w", err)
	}
	o.Command = append([]string{exe}, args...)
	o.Share = append([]string{dir}, o.Share...)
	return UML(ctx, o)
}

// placeExecutable puts this very program into dir.
func placeExecutable(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	to := filepath.Join(dir, filepath.Base(self))
	in, err := os.Open("/proc/self/exe") // what runs, also when the file has been replaced since
	if err != nil {
		return "", err
	}
	defer in.Close()
	return to, writeExecutable(to, in)
}

// runUML runs the kernel and returns its own messages.
func runUML(ctx context.Context, kernel, ctl string, o UMLOptions, args []string) (string, error) {
	var boot bytes.Buffer
	inR, inW, err := os.Pipe() // never at end of file: that would hang up the console
	if err != nil {
		return "", err
	}
	defer inW.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		inR.Close()
		return "", err
	}
	defer outR.Close()
	cmd := exec.Command(kernel, args...)
	cmd.Env = []string{"TMPDIR=" + umlMemoryDir(o.Mem), "PATH=" + os.Getenv("PATH"), "HOME=" + ctl}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &boot, &boot
	cmd.ExtraFiles = []*os.File{inR, outW}
	cmd.WaitDelay = 5 * time.Second
	// All processes of the kernel stay in its session and process group, so that one signal ends them all.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}

	guard, err := startGuard()
	if err != nil {
		inR.Close()
		outW.Close()
		return "", err
	}
	defer guard.dismiss()
	forker := newForker()
	defer forker.close()
	release := func() {}
	err = forker.do(func() error {
		release = onOneCPU()
		return cmd.Start()
	})
	defer release()
	inR.Close()
	outW.Close()
	if err != nil {
		return "", err
	}
	pid := cmd.Process.Pid
	guard.watch(pid)
	if o.Nice != 0 {
		// All that it starts inherits it. Where the host's scheduler weighs sessions first (autogroup), so must this one be.
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, o.Nice)
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(o.Nice)), 0)
	}
	kill := func() {
		// The processes that run the inner programs are traced by the kernel's main one: they go first, so that none
		// is let loose.
		for _, p := range sessionMembers(pid) {
			if p != pid {
				_ = unix.Kill(p, unix.SIGKILL)
			}
		}
		_ = unix.Kill(-pid, unix.SIGKILL)
	}
	var copied sync.WaitGroup
	copied.Go(func() {
		w := o.Stdout
		if w == nil {
			w = io.Discard
		}
		if _, err := io.Copy(w, outR); err != nil {
			_, _ = io.Copy(io.Discard, outR) // a reader that went away must not block the kernel
		}
	})
	if o.Stdin != nil {
		go func() { _, _ = io.Copy(inW, o.Stdin) }() // ends with the next read after the kernel has gone
	}
	stop := context.AfterFunc(ctx, kill)
	err = cmd.Wait()
	stop()
	kill()
	copied.Wait()
	return boot.String(), err
}

// A guard is a process that kills a process group when this process dies without having dismissed it. The parent-death signal
// reaches only the kernel's main process, and the programs inside, which it traces, would be let loose to spin for ever.
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File // its end of file is the sign; nobody else holds this end
}

func startGuard() (*guard, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	g := &guard{cmd: exec.Command(busybox, "sh", "-c", "read group && { read word || kill -9 -- -$group; }"), pipe: w}
	g.cmd.Stdin = r
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C of the terminal is not meant for it
	if err := g.cmd.Start(); err != nil {
		w.Close()
		return nil, err
	}
	return g, nil
}

func (g *guard) watch(group int) { fmt.Fprintln(g.pipe, group) }

func (g *guard) dismiss() {
	fmt.Fprintln(g.pipe, "dismissed")
	g.pipe.Close()
	_ = g.cmd.Wait()
}

// sessionMembers lists the processes of a session.
func sessionMembers(sid int) []int {
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := unix.Getsid(pid); err == nil && s == sid {
			out = append(out, pid)
		}
	}
	return out
}

// umlMemoryDir chooses where the kernel keeps its memory file, which it unlinks at once. A tmpfs is fastest, but in a container
// it is often too small or mounted noexec. Another kernel may be about to take as much of it.
func umlMemoryDir(mem string) string {
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Flags&unix.ST_NOEXEC != 0 {
		return os.TempDir()
	}
	if uint64(st.Bavail)*uint64(st.Bsize) < 2*memBytes(mem) {
		return os.TempDir()
	}
	return "/dev/shm"
}

// memBytes reads the kernel's notation of a size: a number and K, M or G. What it does not understand counts as 1 GiB.
func memBytes(mem string) uint64 {
	const gib = 1 << 30
	if mem == "" {
		return gib
	}
	shift := 0
	switch mem[len(mem)-1] {
	case 'k', 'K':
		shift = 10
	case 'm', 'M':
		shift = 20
	case 'g', 'G':
		shift = 30
	}
	if shift != 0 {
		mem = mem[:len(mem)-1]
	}
	n, err := strconv.ParseUint(mem, 10, 32)
	if err != nil {
		return gib
	}
	return n << shift
}

// Tail returns the last n bytes of s, from the start of a line where possible.
func Tail(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	if i := strings.IndexByte(s, '\n'); i >= 0 && i+1 < len(s) {
		s = s[i+1:]
	}
	return "...\n" + s
}
