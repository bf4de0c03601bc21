package labtest

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"director/internal/netlab"
)

// RequireIPVS makes sure that a test that needs IPVS (and root) has it.
//
// True: this kernel has ip_vs; go on. False: the test has already been run inside User Mode Linux, by the same test binary, and
// its result and output are now those of t; the caller must return. The inner run's first level of subtests appears as
// subtests of t. With -v its output is printed live.
//
//	func TestKernel(t *testing.T) {
//		if !labtest.RequireIPVS(t) {
//			return
//		}
//		t.Run("adds", ...)
//
// Each call costs a boot (about 2.5 s), so a package has one such test and hangs everything else below it with t.Run.
// The test must be a top-level one. The inner run sees the host's files read-only and a /tmp of its own; the package
// directory and its module are visible even when they lie in /tmp. Files elsewhere in /tmp or /run that the test needs are named
// in share. A machine without ip_vs and without linux.uml fails the test; nothing is ever skipped.
func RequireIPVS(t *testing.T, share ...string) bool {
	t.Helper()
	return RequireIPVSWriting(t, "", share...)
}

// RequireIPVSWriting is RequireIPVS for a test that writes files into dir, such as what it expects; "": nowhere.
func RequireIPVSWriting(t *testing.T, dir string, share ...string) bool {
	t.Helper()
	if netlab.InUML() {
		// Never boot from within: a kernel that lacks ip_vs in there is a failure, not a reason to try again.
		if !netlab.HasIPVS() {
			t.Fatal("the User Mode Linux kernel has no ip_vs: are its modules in /usr/lib/uml/modules?")
		}
		return true
	}
	if netlab.CanMakeHosts() && netlab.HasIPVS() {
		return true
	}
	delegate(t, dir, share)
	return false
}

// RequireLab makes sure that a test that needs a lab but no IPVS can have one: like RequireIPVS, but any kernel will do, so that
// User Mode Linux is used only when the test may not make network namespaces: as an ordinary user, or in a container.
func RequireLab(t *testing.T, share ...string) bool {
	t.Helper()
	if netlab.InUML() || netlab.CanMakeHosts() {
		return true
	}
	delegate(t, "", share)
	return false
}

// guests holds a place for each kernel that runs inside at the same time. Such a kernel is busy all the time, unlike tests in
// namespaces: more of them than processors make each other's waits too short.
var guests = make(chan struct{}, runtime.NumCPU())

// delegate runs the test inside User Mode Linux, where it may write to dir, and gives t its result.
func delegate(t *testing.T, dir string, share []string) {
	t.Helper()
	if strings.Contains(t.Name(), "/") {
		t.Fatalf("%s is a subtest: only a top-level test can be run again inside User Mode Linux", t.Name())
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	guests <- struct{}{}
	defer func() { <-guests }()
	ctx := context.Background()
	args := []string{"-test.v", "-test.run=" + innerPattern(t.Name())}
	if deadline, ok := t.Deadline(); ok {
		// The inner run gives up first, so that its goroutine dump gets out; then the kernel is ended, then this process.
		left := time.Until(deadline)
		args = append(args, fmt.Sprintf("-test.timeout=%v", max(left-left/10-5*time.Second, time.Second)))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, max(left-2*time.Second, time.Second),
			fmt.Errorf("the inner run did not end within %v", left.Round(time.Second)))
		defer cancel()
	}
	args = append(args, forwardedFlags()...)
	out := &innerOutput{name: t.Name(), live: testing.Verbose(), w: os.Stdout}
	o := netlab.UMLOptions{Share: append([]string{moduleRoot(wd)}, share...), WorkDir: wd, Dir: dir, Env: netlab.UMLEnv(), Stdout: out}
	code, err := runInside(t, ctx, o, args)
	out.flush()
	out.judge(t, code, err)
}

// runInside runs the test binary. One with the race detector cannot run inside, where a process has 512 GB of address space and the
// detector wants its tables far above: then the package in o.WorkDir is built again without.
func runInside(t *testing.T, ctx context.Context, o netlab.UMLOptions, args []string) (int, error) {
	t.Helper()
	if !netlab.Race {
		return netlab.UMLMain(ctx, o, args...)
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, "norace.test")
	cmd := exec.Command("go", "test", "-c", "-race=false", "-o", exe, ".")
	cmd.Dir = o.WorkDir
	if out, err := cmd.CombinedOutput(); err != nil {
		return -1, fmt.Errorf("build the test without the race detector: %w\n%s", err, out)
	}
	o.Command, o.Share = append([]string{exe}, args...), append(o.Share, dir)
	return netlab.UML(ctx, o)
}

// moduleRoot is the directory of the go.mod above wd, or wd.
func moduleRoot(wd string) string {
	for d := wd; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d
		}
		if d == filepath.Dir(d) {
			return wd
		}
	}
}

// innerPattern selects the test and, when subtests of it were asked for, only these.
func innerPattern(name string) string {
	pattern := "^" + regexp.QuoteMeta(name) + "$"
	if f := flag.Lookup("test.run"); f != nil {
		run := f.Value.String()
		if _, sub, ok := strings.Cut(run, "/"); ok && !strings.Contains(run, "|") {
			pattern += "/" + sub
		}
	}
	return pattern
}

// forwardedFlags are the flags of this test binary that the inner run shall have too: all that were set, save those that this
// package sets itself and those that name an output file.
func forwardedFlags() []string {
	keep := map[string]bool{"test.short": true, "test.skip": true, "test.failfast": true, "test.parallel": true, "test.shuffle": true}
	var out []string
	flag.Visit(func(f *flag.Flag) {
		if keep[f.Name] || !strings.HasPrefix(f.Name, "test.") {
			out = append(out, "-"+f.Name+"="+f.Value.String())
		}
	})
	return append(out, flag.Args()...)
}

// innerOutput reads what an inner `-test.v` run prints, line by line, and keeps it by subtest.
type innerOutput struct {
	name string
	live bool
	w    io.Writer

	mu      sync.Mutex
	partial []byte
	current string            // whose output the next line is
	order   []string          // the subtests of the first level, as started
	text    map[string]string // output by subtest of the first level; "" is the test itself
	verdict map[string]string // PASS, FAIL or SKIP, likewise
}

// Write takes the inner run's output.
func (o *innerOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, p...)
	for {
		i := bytes.IndexByte(o.partial, '\n')
		if i < 0 {
			return len(p), nil
		}
		o.line(string(o.partial[:i]))
		o.partial = o.partial[i+1:]
	}
}

func (o *innerOutput) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.partial) > 0 {
		o.line(string(o.partial))
		o.partial = nil
	}
}

var (
	innerMark    = regexp.MustCompile(`^=== (RUN|PAUSE|CONT|NAME)\s+(\S+)$`)
	innerVerdict = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(`)
)

func (o *innerOutput) line(l string) {
	l = strings.TrimSuffix(l, "\r")
	if o.text == nil {
		o.text, o.verdict = map[string]string{}, map[string]string{}
	}
	if o.live {
		fmt.Fprintf(o.w, "    uml| %s\n", l)
	}
	if m := innerMark.FindStringSubmatch(l); m != nil {
		sub := o.first(m[2])
		if m[1] == "RUN" && m[2] == o.name+"/"+sub {
			o.order = append(o.order, sub)
		}
		o.current = sub
		return
	}
	if m := innerVerdict.FindStringSubmatch(l); m != nil {
		sub := o.first(m[2])
		if m[2] == o.name || m[2] == o.name+"/"+sub {
			o.verdict[sub] = m[1]
		}
		o.current = sub
	}
	o.text[o.current] += l + "\n"
}

// first returns the name of the first-level subtest that a full test name belongs to.
func (o *innerOutput) first(full string) string {
	rest, ok := strings.CutPrefix(full, o.name+"/")
	if !ok {
		return ""
	}
	sub, _, _ := strings.Cut(rest, "/")
	return sub
}

// judge gives t the inner run's result.
func (o *innerOutput) judge(t *testing.T, code int, err error) {
	t.Helper()
	result, text := o.conclude(code, err)
	for _, sub := range o.order {
		t.Run(sub, func(t *testing.T) {
			switch o.verdict[sub] {
			case "PASS":
			case "SKIP":
				t.Skipf("skipped inside User Mode Linux:\n%s", o.text[sub])
			default:
				t.Errorf("failed inside User Mode Linux:\n%s", o.text[sub])
			}
		})
	}
	switch result {
	case "PASS":
	case "SKIP":
		t.Skip(text)
	default:
		t.Error(text)
	}
}

// conclude says what the run as a whole was: PASS, SKIP or FAIL, and why. Only a run that says that it passed has passed.
func (o *innerOutput) conclude(code int, err error) (result, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	own := netlab.Tail(o.text[""], 16000)
	switch top := o.verdict[""]; {
	case err != nil:
		return "FAIL", fmt.Sprintf("%v\n%s", err, own)
	case code != 0:
		return "FAIL", fmt.Sprintf("the run inside User Mode Linux ended with exit code %d:\n%s", code, own)
	case top == "":
		return "FAIL", fmt.Sprintf("the run inside User Mode Linux did not run %s:\n%s", o.name, own)
	case top == "SKIP":
		return "SKIP", "skipped inside User Mode Linux:\n" + own
	default:
		return top, own
	}
}
