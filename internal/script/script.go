// Package script runs the commands that a configuration names: track scripts,
// notify scripts and quorum commands.
//
// A command is an argument vector; no shell is involved. It runs in a process
// group of its own, as the user that the configuration names, with a time
// limit after which the whole group is ended, and with the last of its output
// kept for the operator.
package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// killAfter is the time between SIGTERM and SIGKILL.
	killAfter = 2 * time.Second
	// outputGrace is how long output is awaited after the command has ended, when
	// something that it left running still holds its output open.
	outputGrace = 100 * time.Millisecond
)

// Command is what to run.
type Command struct {
	// Argv is the program and its arguments. A program without a slash is looked
	// up in the PATH that the script itself gets.
	Argv []string
	// User is user[:group], names or numbers. Empty means the user of this
	// process. The user must exist. Without a group, the user's own groups
	// apply; with one, it is the only one.
	User string
	// Timeout bounds the run; 0 means no limit.
	Timeout time.Duration
	// Env is added to the environment, NAME=value each.
	Env []string
}

// Result is how a run ended.
type Result struct {
	// OK says that the command ran and ended with exit status 0, in time.
	OK bool
	// ExitStatus is the exit status, or -1 when there is none.
	ExitStatus int
	// Signal ended the command when it is not 0.
	Signal syscall.Signal
	// TimedOut says that the time limit passed and the command was ended.
	TimedOut bool
	// Err is why the command could not be run or was given up, nil when it ended
	// by itself with any exit status.
	Err error
	// Output is the end of what it wrote to its standard output and error, at most 4 KiB.
	Output string
	// Duration is the time from start to end.
	Duration time.Duration
	// limit is the time limit that passed.
	limit time.Duration
}

// String tells the outcome in a few words: "exit status 1", "timed out after
// 2s", "ended by signal: killed", or why it did not run.
func (r Result) String() string {
	switch {
	case r.TimedOut:
		return fmt.Sprintf("timed out after %v", r.limit)
	case r.Err != nil:
		return r.Err.Error()
	case r.Signal != 0:
		return fmt.Sprintf("ended by signal: %v", r.Signal)
	default:
		return fmt.Sprintf("exit status %d", r.ExitStatus)
	}
}

// Run runs c and waits for its end. At the time limit, or when ctx ends, the
// command's whole process group gets SIGTERM, and SIGKILL two seconds later; Run
// returns when the command itself is gone. What a command leaves running
// in the background when it ends in time is not touched.
func Run(ctx context.Context, c Command) Result {
	start := time.Now()
	res := Result{ExitStatus: -1, limit: c.Timeout}
	run, err := (*running)(nil), context.Cause(ctx)
	if err != nil {
		err = fmt.Errorf("given up: %w", err)
	} else {
		run, err = launch(c)
	}
	if err != nil {
		res.Err = err
		res.Duration = time.Since(start)
		return res
	}

	var limit <-chan time.Time
	if c.Timeout > 0 {
		t := time.NewTimer(c.Timeout - time.Since(start))
		defer t.Stop()
		limit = t.C
	}
	select {
	case <-run.exited:
	case <-limit:
		res.TimedOut = true
		run.end()
	case <-ctx.Done():
		res.Err = fmt.Errorf("given up: %w", context.Cause(ctx))
		run.end()
	}

	state, err := run.reap()
	res.Duration = time.Since(start)
	res.Output = run.output.String()
	if err != nil {
		res.Err = err
		return res
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		res.Signal = status.Signal()
	} else {
		res.ExitStatus = state.ExitCode()
	}
	res.OK = res.Err == nil && !res.TimedOut && res.ExitStatus == 0
	return res
}

// Check reports why c cannot be run as things stand: its user does not exist, or
// its program does not or is not executable. It is an *UnsafeError when c would
// run as root and somebody else can change what is run. It returns nil when Run
// would start it, as far as can be seen from outside.
func Check(c Command) error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return errors.New("no command")
	}
	who, err := lookup(c.User)
	if err != nil {
		return err
	}
	_, err = program(c, who, environment(os.Environ(), who, c.Env))
	return err
}

// program returns the file to execute for c, when that is safe.
func program(c Command, who identity, env []string) (string, error) {
	path, err := find(c.Argv[0], env)
	if err == nil && who.uid == 0 {
		err = safe(path)
	}
	return path, err
}

// running is a started command.
type running struct {
	process *os.Process
	output  *tail
	exited  chan struct{} // closed when the command has ended; it is not yet reaped
	drained chan struct{} // closed when nobody holds its output open any more
}

// launch starts c.
func launch(c Command) (*running, error) {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return nil, errors.New("no command")
	}
	who, err := lookup(c.User)
	if err != nil {
		return nil, err
	}
	env := environment(os.Environ(), who, c.Env)
	path, err := program(c, who, env)
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("output pipe: %w", err)
	}
	defer w.Close()

	p, err := os.StartProcess(path, c.Argv, &os.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: []*os.File{null, w, w},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Credential: who.credential()},
	})
	if err != nil {
		r.Close()
		return nil, explain(err, path, who)
	}
	if own, err := os.ReadFile(oomFile("self")); err == nil {
		normalOOM(string(own), p.Pid)
	}
	run := &running{process: p, output: &tail{}, exited: make(chan struct{}), drained: make(chan struct{})}
	go func() {
		defer close(run.drained)
		defer r.Close()
		run.output.readFrom(r)
	}()
	go func() {
		defer close(run.exited)
		waitExit(p.Pid)
	}()
	return run, nil
}

// normalOOM takes from a script the protection against the kernel's OOM killer
// that a daemon may have (a negative oom_score_adj), and that its children inherit.
func normalOOM(own string, pid int) {
	if strings.HasPrefix(own, "-") {
		_ = os.WriteFile(oomFile(strconv.Itoa(pid)), []byte("0"), 0) // it may have ended
	}
}

func oomFile(process string) string { return "/proc/" + process + "/oom_score_adj" }

// waitExit waits until the child has ended and leaves it to be reaped: until
// then its number, and that of its process group, cannot be given to another.
func waitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// end ends the whole process group: SIGTERM, and SIGKILL when the command or
// something that writes to its output is still there two seconds later.
func (r *running) end() {
	group := -r.process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM) // fails only when nobody is left
	_ = syscall.Kill(group, syscall.SIGCONT) // a stopped process cannot act on SIGTERM
	t := time.NewTimer(killAfter)
	defer t.Stop()
	exited, drained := r.exited, r.drained
wait:
	for exited != nil || drained != nil {
		select {
		case <-exited:
			exited = nil
		case <-drained:
			drained = nil
		case <-t.C:
			break wait
		}
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	<-r.exited
}

// reap waits for the end and collects what was written until then.
func (r *running) reap() (*os.ProcessState, error) {
	<-r.exited
	t := time.NewTimer(outputGrace)
	defer t.Stop()
	select {
	case <-r.drained:
	case <-t.C: // something in the background keeps the output; it is read on, and dropped
	}
	return r.process.Wait()
}

// explain turns the error of a start into one that names the cause.
func explain(err error, path string, who identity) error {
	var reason string
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		reason = "is not a program: it has no #! line and is no executable of this machine"
	case errors.Is(err, syscall.ENOENT):
		reason = "its interpreter (the #! line) does not exist"
		if _, statErr := os.Stat(path); statErr != nil {
			return fmt.Errorf("%s: no such file or directory", path)
		}
	case errors.Is(err, syscall.EACCES):
		reason = fmt.Sprintf("permission denied for user %s (mode and owner of the file and of each directory above it)", who.name)
	case errors.Is(err, syscall.EPERM) && who.change:
		reason = fmt.Sprintf("cannot become user %s: operation not permitted", who.name)
	default:
		return err
	}
	return fmt.Errorf("%s: %s", path, reason)
}

// find returns the file to execute.
func find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		info, err := os.Stat(name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return "", fmt.Errorf("%s: no such file or directory", name)
		case err != nil:
			return name, nil // its user may see what we do not
		case info.IsDir():
			return "", fmt.Errorf("%s: is a directory", name)
		case info.Mode()&0o111 == 0:
			return "", fmt.Errorf("%s: is not executable (mode %v)", name, info.Mode().Perm())
		}
		return name, nil
	}
	for _, dir := range strings.Split(valueOf(env, "PATH"), ":") {
		if !strings.HasPrefix(dir, "/") {
			continue // never the current directory
		}
		path := dir + "/" + name
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s: not found in PATH (%s)", name, valueOf(env, "PATH"))
}
