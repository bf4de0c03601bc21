package watchdog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// daemon is a parent under test, with fake children.
type daemon struct {
	t       *testing.T
	dir     string
	signals chan os.Signal
	out     *syncBuffer // its log
	cancel  context.CancelFunc
	result  chan error
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// prepare makes the directory of a daemon that is not started yet.
func prepare(t *testing.T) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "director-watchdog-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{t: t, dir: dir, signals: make(chan os.Signal, 4), out: &syncBuffer{}, result: make(chan error, 1)}
	return d
}

// conf is a configuration with instances and virtual servers of these names.
func conf(instances, servers string) *config.Config {
	c := &config.Config{Global: config.Global{
		RouterID: "lb1", ChildTimeout: config.Duration(400 * time.Millisecond), StopTimeout: config.Duration(5 * time.Second),
	}}
	for _, name := range strings.Fields(instances) {
		c.Instances = append(c.Instances, config.Instance{Name: name})
	}
	for _, name := range strings.Fields(servers) {
		c.VirtualServers = append(c.VirtualServers, config.VirtualServer{Name: name})
	}
	return c
}

func (d *daemon) configure(c *config.Config) {
	d.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.file("config", string(text))
}

func (d *daemon) file(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) remove(name string) {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
		d.t.Fatal(err)
	}
}

// start runs the daemon; the test ends it if nothing else did.
func (d *daemon) start(change ...func(*Options)) *daemon {
	o := fakeOptions(d.dir, d.signals)
	o.Log = slog.New(slog.NewTextHandler(d.out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	stderr, err := os.OpenFile(filepath.Join(d.dir, "stderr"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		d.t.Fatal(err)
	}
	o.Stdout, o.Stderr = stderr, stderr
	for _, f := range change {
		f(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	done := make(chan struct{})
	go func() {
		d.result <- Run(ctx, o)
		close(done)
	}()
	d.t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			d.t.Error("the daemon does not end")
		}
		stderr.Close()
		if d.t.Failed() {
			d.t.Logf("log of the parent:\n%s\nlog of the children:\n%s", d.out, d.log())
		}
	})
	return d
}

// log is what the children wrote down.
func (d *daemon) log() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(text)
}

// await waits until the log of the children has the line so often.
func (d *daemon) await(line string, times int) {
	d.t.Helper()
	re := regexp.MustCompile("(?m)^" + line + "$")
	d.eventually(fmt.Sprintf("%d lines %q in the children's log", times, line), func() bool { return len(re.FindAllString(d.log(), -1)) >= times })
}

// says waits until the parent's log has the text.
func (d *daemon) says(text string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%q in the parent's log", text), func() bool { return strings.Contains(d.out.String(), text) })
}

func (d *daemon) eventually(what string, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	d.t.Fatalf("never came: %s", what)
}

// ends waits for the daemon's end.
func (d *daemon) ends() error {
	d.t.Helper()
	select {
	case err := <-d.result:
		return err
	case <-time.After(15 * time.Second):
		d.t.Fatal("the daemon does not end")
		return nil
	}
}

func (d *daemon) client() *control.Client {
	d.t.Helper()
	c, err := control.Dial(d.t.Context(), SocketPath(filepath.Join(d.dir, "run")))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

func (d *daemon) status() *control.Status {
	d.t.Helper()
	c := d.client()
	defer c.Close()
	s, err := c.Status(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *daemon) process(r Role) control.Process {
	d.t.Helper()
	for _, p := range d.status().Processes {
		if p.Role == string(r) {
			return p
		}
	}
	d.t.Fatalf("no process %s in status", r)
	return control.Process{}
}

func (d *daemon) reload() control.ReloadResult {
	d.t.Helper()
	r, err := d.client().Reload(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

// order checks that the children's log has exactly these lines, in order, after
// those that vary (observed, resume times) are taken out.
func (d *daemon) order(want ...string) {
	d.t.Helper()
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(d.log()), "\n") {
		if !strings.Contains(line, "observed") {
			got = append(got, regexp.MustCompile(`alive \d+`).ReplaceAllString(line, "alive"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Error(diff)
	}
}

func TestStartAndStopOrder(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.file("checkers.delay", "100ms")
	d.file("vrrp.stop-delay", "100ms")
	d.start()
	d.says("director is ready")
	d.signals <- syscall.SIGTERM
	if err := d.ends(); err != nil {
		t.Errorf("Run: %v", err)
	}
	d.order(
		"checkers start", "checkers configure 1", "checkers applied 1",
		"vrrp start", "vrrp configure 1", "vrrp applied 1",
		"vrrp stop", "vrrp exit", "checkers stop", "checkers exit")
	if n := strings.Count(d.log(), "observed 1"); n != 2 {
		t.Errorf("%d configurations observed, want 2", n)
	}
}

// TestOnlyNeededChildren shows that a child without work does not run, and that a
// reload starts and stops it.
func TestOnlyNeededChildren(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.says("director is ready")
	if p := d.process(RoleCheckers); p.State != "not needed" || p.PID != 0 {
		t.Errorf("checkers: %+v", p)
	}
	d.configure(conf("web", "farm"))
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	if p := d.process(RoleCheckers); p.State != "running" {
		t.Errorf("checkers: %+v", p)
	}
	d.configure(conf("", "farm"))
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	d.eventually("vrrp not needed", func() bool { return d.process(RoleVRRP).State == "not needed" })
	if s := d.status(); s.VRRP != nil || s.Generation != 3 {
		t.Errorf("status still has instances, or generation %d", s.Generation)
	}
	d.configure(conf("web", ""))
	if r := d.reload(); !r.OK { // both at once: one starts, the other ends
		t.Errorf("reload: %+v", r)
	}
	d.eventually("checkers not needed", func() bool { return d.process(RoleCheckers).State == "not needed" })
	if p := d.process(RoleVRRP); p.State != "running" || p.Restarts != 0 {
		t.Errorf("vrrp: %+v", p)
	}
	d.order(
		"vrrp start", "vrrp configure 1", "vrrp applied 1",
		"checkers start", "checkers configure 2", "checkers applied 2", "vrrp configure 2", "vrrp applied 2",
		"checkers configure 3", "checkers applied 3", "vrrp configure 3", "vrrp applied 3", "vrrp stop", "vrrp exit",
		"checkers configure 4", "checkers applied 4", "vrrp start", "vrrp configure 4", "vrrp applied 4", "checkers stop", "checkers exit")
}

func TestLeftoversNeedTheirChild(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.file("leftover", "")
	d.start(func(o *Options) {
		o.Leftovers = func(r Role) bool {
			_, err := os.Stat(filepath.Join(d.dir, "leftover"))
			return r == RoleCheckers && err == nil
		}
	})
	d.says("director is ready")
	if p := d.process(RoleCheckers); p.State != "running" {
		t.Errorf("checkers: %+v", p)
	}
	d.remove("leftover")
	d.reload()
	d.eventually("checkers not needed", func() bool { return d.process(RoleCheckers).State == "not needed" })
}

// resumed returns the moments at which the parent believed a role's dead processes alive.
func (d *daemon) resumed(r Role) []int64 {
	var list []int64
	for _, m := range regexp.MustCompile(`(?m)^`+string(r)+` configure \d+ resume alive (\d+)`).FindAllStringSubmatch(d.log(), -1) {
		var n int64
		fmt.Sscan(m[1], &n)
		list = append(list, n)
	}
	return list
}

func TestKilledChildResumes(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start()
	d.says("director is ready")
	before := d.process(RoleVRRP)
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })

	killed, killedMono := time.Now(), monotonic()
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp applied 1", 2)
	t.Logf("killed to configuration in force again: %v", time.Since(killed))
	var after control.Process
	d.eventually("running again", func() bool { after = d.process(RoleVRRP); return after.State == "running" })
	if after.PID == before.PID || after.Restarts != 1 || after.LastExit != "signal: killed" || after.Stale {
		t.Errorf("after: %+v", after)
	}
	if !strings.Contains(d.log(), "resume alive") || !strings.Contains(d.log(), "MASTER") {
		t.Errorf("no resume:\n%s", d.log())
	}
	if at := d.resumed(RoleVRRP); len(at) != 1 || at[0] < killedMono || at[0] > killedMono+int64(time.Second) {
		t.Errorf("last known alive at %v, killed at %d", at, killedMono)
	}
	if p := d.process(RoleCheckers); p.Restarts != 0 || p.State != "running" {
		t.Errorf("the other child was touched: %+v", p)
	}
	d.says(`msg="process state" process=vrrp from=running to=dead reason="signal: killed" generation=1`)

	// It dies young again: now it is delayed, visibly, and the old state is kept.
	if err := syscall.Kill(after.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.eventually("a delayed respawn", func() bool { return strings.HasPrefix(d.process(RoleVRRP).State, "respawn in") })
	if s := d.status(); s.VRRP == nil || !slices.ContainsFunc(s.Processes, func(p control.Process) bool { return p.Role == "vrrp" && p.Stale && p.PID == 0 }) {
		t.Errorf("the last known state is not shown as such: %+v", s.Processes)
	}
	d.await("vrrp applied 1", 3)
}

// TestDeathBeforeReady shows that the moment of the last sign of life is kept
// over processes that die before they could take over.
func TestDeathBeforeReady(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.file("vrrp.crash", "")
	if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp configure 1 .*", 2)
	d.remove("vrrp.crash")
	d.await("vrrp applied 1", 2)
	at := d.resumed(RoleVRRP)
	if len(at) < 2 || at[0] != at[len(at)-1] {
		t.Errorf("last known alive: %v, want the same each time", at)
	}
}

func TestHungChildIsEnded(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	before := d.process(RoleVRRP)
	hung := monotonic()
	d.file("vrrp.hang", "")
	d.says("child hangs and is ended")
	d.remove("vrrp.hang")
	d.await("vrrp applied 1", 2)
	if at := d.resumed(RoleVRRP); len(at) != 1 || at[0] > hung+int64(200*time.Millisecond) || at[0] < hung-int64(300*time.Millisecond) {
		t.Errorf("last known alive at %v, hung since %d", at, hung)
	}
	d.eventually("running again", func() bool { return d.process(RoleVRRP).State == "running" })
	if after := d.process(RoleVRRP); after.PID == before.PID || !strings.HasPrefix(after.LastExit, "hung: ") {
		t.Errorf("after: %+v", after)
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "stderr"))
	if err != nil || !strings.Contains(string(text), "SIGQUIT") || !strings.Contains(string(text), "goroutine 1") {
		t.Errorf("no dump of the goroutines: %v, %.200s", err, text)
	}
}

// TestStoppedChildIsKilled hangs a child so that it cannot even take SIGQUIT.
func TestStoppedChildIsKilled(t *testing.T) {
	d := prepare(t)
	d.configure(conf("", "farm"))
	d.start()
	d.says("director is ready")
	pid := d.process(RoleCheckers).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d.eventually("stopped", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return strings.Contains(string(text), ") T ")
	})
	start := time.Now()
	if p := d.process(RoleCheckers); !p.Stale { // status does not wait for it for ever
		t.Errorf("status of a silent child: %+v", p)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("status took %v", took)
	}
	d.await("checkers applied 1", 2)
}

func TestFinalErrorStopsTheDaemon(t *testing.T) {
	for _, tc := range []struct {
		name, file, text, want string
		order                  []string
	}{
		{"told", "vrrp.final", "open raw socket: operation not permitted", "director: vrrp: open raw socket: operation not permitted",
			[]string{"checkers start", "checkers configure 1", "checkers applied 1", "vrrp start", "vrrp configure 1", "checkers stop", "checkers exit"}},
		{"by status", "checkers.three", "", "director: checkers: gave up (exit status 3)",
			[]string{"checkers start", "checkers configure 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := prepare(t)
			d.configure(conf("web", "farm"))
			d.file(tc.file, tc.text)
			d.start()
			err := d.ends()
			var final *FinalError
			if !errors.As(err, &final) || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			d.order(tc.order...)
			if strings.Contains(d.out.String(), "is ready") {
				t.Error("it was ready")
			}
		})
	}
	t.Run("first configuration refused", func(t *testing.T) {
		d := prepare(t)
		d.configure(conf("refuse", "farm"))
		d.start()
		if err := d.ends(); err == nil || err.Error() != "director: vrrp: no such interface" {
			t.Errorf("got %v", err)
		}
	})
}

// TestFinalErrorLater gives up when everything runs already.
func TestFinalErrorLater(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("vrrp.final", "no right to do that")
	r := d.reload()
	if want := []string{"director stops: director: vrrp: no right to do that"}; r.OK || cmp.Diff(want, r.Errors) != "" {
		t.Errorf("reload: %+v, want %q", r, want)
	}
	if err := d.ends(); err == nil || err.Error() != "director: vrrp: no right to do that" {
		t.Errorf("Run: %v", err)
	}
}

// TestSilentChildIsShownAsSuch has a child that lives but does not answer inquiries.
func TestSilentChildIsShownAsSuch(t *testing.T) {
	d := ready(t, "web", "farm")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.file("vrrp.deaf", "")
	s := d.status()
	if !s.Processes[1].Stale || s.Processes[2].Stale || s.VRRP == nil {
		t.Errorf("status: %+v", s.Processes)
	}
}

func TestCrashAtStartIsRepeated(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.file("checkers.crash", "")
	d.start()
	d.await("checkers configure 1", 2) // at once
	if strings.Contains(d.log(), "vrrp start") {
		t.Error("VRRP started before the checkers were ready")
	}
	if p := d.process(RoleVRRP); p.State != "waiting for its turn" {
		t.Errorf("vrrp: %+v", p)
	}
	d.remove("checkers.crash")
	d.says("director is ready")
}

func TestSlowStop(t *testing.T) {
	d := prepare(t)
	c := conf("web", "farm")
	c.Global.StopTimeout = config.Duration(2 * time.Second) // the second process starts within it
	d.configure(c)
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.file("vrrp.slow-stop", "")
	d.file("vrrp.lazy", "") // its successor must not be stopped before it has taken over
	d.cancel()
	d.says("child did not stop in time and is killed")
	d.remove("vrrp.slow-stop")
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	// What the killed one left is undone by another before the checkers stop.
	d.order(
		"checkers start", "checkers configure 1", "checkers applied 1",
		"vrrp start", "vrrp configure 1", "vrrp applied 1", "vrrp stop",
		"vrrp start", "vrrp configure 1 resume alive MASTER", "vrrp applied 1", "vrrp stop", "vrrp exit",
		"checkers stop", "checkers exit")
}

// TestStopWhileDead shows that a stop undoes what a child left that is dead at that
// moment.
func TestStopWhileDead(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	for range 2 {
		d.eventually("running", func() bool { return d.process(RoleVRRP).State == "running" })
		if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	d.eventually("a delayed respawn", func() bool { return strings.HasPrefix(d.process(RoleVRRP).State, "respawn in") })
	if err := d.client().Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(d.log(), "vrrp applied 1\nvrrp stop\nvrrp exit\n") {
		t.Errorf("nothing was undone:\n%s", d.log())
	}
}

func TestSecondSignalHurries(t *testing.T) {
	d := prepare(t)
	c := conf("", "farm")
	c.Global.StopTimeout = config.Duration(time.Minute)
	c.Global.KeepIPVSOnStop = true
	d.configure(c)
	d.file("checkers.slow-stop", "")
	d.start()
	d.says("director is ready")
	d.signals <- syscall.SIGINT
	d.await("checkers stop", 1)
	d.signals <- syscall.SIGINT
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	var got []time.Duration
	for range 10 {
		got = append(got, b.died(time.Second)/time.Second)
	}
	got = append(got, b.died(settled)/time.Second, b.died(settled-1)/time.Second)
	b.reset()
	got = append(got, b.died(0))
	want := []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 0, 1, 0}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestSilence(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	const interval = 100 * time.Millisecond
	run := &process{lastCycle: start, pings: []ping{{1, at(0)}, {2, at(100)}, {3, at(200)}}}
	if got := run.silent(at(100), interval); got != 100*time.Millisecond {
		t.Errorf("silent for %v", got)
	}
	// The parent was away for 5 s: the child is not blamed for it.
	if got := run.silent(at(5200), interval); got != 200*time.Millisecond {
		t.Errorf("after an absence: silent for %v, want 200ms", got)
	}
	if got := run.silent(at(5300), interval); got != 300*time.Millisecond {
		t.Errorf("then: silent for %v, want 300ms", got)
	}
	run.answered(2)
	if len(run.pings) != 1 || run.pings[0].seq != 3 {
		t.Errorf("unanswered: %v", run.pings)
	}
	run.answered(9)
	if got := run.silent(at(5400), interval); got != 0 {
		t.Errorf("all answered: silent for %v", got)
	}
}
