package watchdog

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
	"director/internal/netlab/labtest"
)

// daemon is a parent under test, with fake children.
type daemon struct {
	t       *testing.T
	dir     string
	signals chan os.Signal
	out     *labtest.Buffer // its log
	cancel  context.CancelFunc
	result  chan error
}

// prepare makes the directory of a daemon that is not started yet.
func prepare(t *testing.T) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "director-watchdog-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{t: t, dir: dir, signals: make(chan os.Signal, 4), out: &labtest.Buffer{}, result: make(chan error, 1)}
	return d
}

// conf is a configuration with instances and virtual servers of these names. Its
// child_timeout is not for tests of children that hang.
func conf(instances, servers string) *config.Config {
	c := &config.Config{Global: config.Global{
		RouterID: "lb1", ChildTimeout: config.Duration(30 * time.Second), StopTimeout: config.Duration(30 * time.Second),
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
	d.file("config", configText(d.t, c))
}

// configText is the text that parseJSON makes a configuration of.
func configText(t *testing.T, c *config.Config) string {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
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
		case <-time.After(time.Minute):
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
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
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
	case <-time.After(time.Minute):
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

// killUntilDelayed kills a role's processes, young as they are, until the next one has
// to wait, and returns the status of that moment.
func (d *daemon) killUntilDelayed(r Role) (s *control.Status) {
	d.t.Helper()
	d.eventually("a delayed respawn", func() bool {
		s = d.status()
		i := slices.IndexFunc(s.Processes, func(p control.Process) bool { return p.Role == string(r) })
		p := s.Processes[i]
		if p.State == "running" {
			// It may be dead from the time before, which the parent is yet to notice.
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				d.t.Fatal(err)
			}
		}
		return strings.HasPrefix(p.State, "respawn in")
	})
	return s
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
