package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/watchdog"
)

// startLimit is what a start may take: inside User Mode Linux on a busy machine, seconds are nothing.
const startLimit = 2 * time.Minute

// A director is the daemon on a host of the lab. Its files are in the host's folder: director.toml or keepalived.conf, the
// runtime directory run and the log director.log.
type director struct {
	*netlab.Process
	t          testing.TB
	host       *netlab.Host
	configPath string
	runtimeDir string
}

// startDirector starts director on a host with a configuration and returns when it is ready.
func startDirector(t testing.TB, h *netlab.Host, toml string) *director {
	t.Helper()
	d := launchDirector(t, h, toml)
	d.WaitReady()
	return d
}

// launchDirector is startDirector without the wait, with more KEY=VALUE settings in the environment.
func launchDirector(t testing.TB, h *netlab.Host, toml string, env ...string) *director {
	t.Helper()
	return launchWith(t, h, "director.toml", toml, env...)
}

// startWithConf is startDirector with a configuration in keepalived's language.
func startWithConf(t testing.TB, h *netlab.Host, conf string) *director {
	t.Helper()
	d := launchWith(t, h, netlab.KeepalivedConf, conf)
	d.WaitReady()
	return d
}

// launchWith is launchDirector with a file of that name, which tells the language.
func launchWith(t testing.TB, h *netlab.Host, file, text string, env ...string) *director {
	t.Helper()
	d := &director{t: t, host: h, configPath: h.Path(file), runtimeDir: h.Path("run")}
	d.WriteConfig(text)
	var err error
	d.Process, err = h.StartEnv("director", env, d.argv("run", "-c", d.ConfigPath())...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// argv is a call of director for this daemon's runtime directory.
func (d *director) argv(command string, args ...string) []string {
	d.t.Helper()
	return append([]string{binary(d.t), command, "--runtime-dir", d.RuntimeDir()}, args...)
}

// ConfigPath is the path of the configuration file.
func (d *director) ConfigPath() string { return d.configPath }

// RuntimeDir is the path of the runtime directory.
func (d *director) RuntimeDir() string { return d.runtimeDir }

// WriteConfig replaces the configuration file. Where that says nothing of it, the parent is patient with its children: on a machine that others use
// as well they may get no processor for seconds.
func (d *director) WriteConfig(toml string) {
	d.t.Helper()
	if strings.HasSuffix(d.ConfigPath(), ".toml") && !strings.Contains(toml, "[global]") && !strings.Contains(toml, "global.") {
		toml += "\n[global]\nchild_timeout = \"15s\"\n"
	}
	if err := os.WriteFile(d.ConfigPath(), []byte(toml), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// Again starts director anew on the same host with the same files, after the former one has ended, and returns when it is
// ready.
func (d *director) Again() *director {
	d.t.Helper()
	text, err := os.ReadFile(d.ConfigPath())
	if err != nil {
		d.t.Fatal(err)
	}
	again := launchWith(d.t, d.host, filepath.Base(d.ConfigPath()), string(text))
	again.WaitReady()
	return again
}

// WaitReady waits until the daemon says that its configuration is in force.
func (d *director) WaitReady() {
	d.t.Helper()
	d.waitFor(startLimit, "director is ready", func(s control.Status) error {
		if state := s.Processes[0].State; state != "running" {
			return fmt.Errorf("the parent is %s", state)
		}
		return nil
	})
}

// CLI runs a subcommand of director for this daemon and returns what it printed.
func (d *director) CLI(command string, args ...string) (string, error) {
	d.t.Helper()
	return d.host.Run(d.argv(command, args...)...)
}

// TryStatus asks for the status.
func (d *director) TryStatus() (control.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := control.Dial(ctx, watchdog.SocketPath(d.RuntimeDir()))
	if err != nil {
		return control.Status{}, err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return control.Status{}, err
	}
	return *s, nil
}

// Status asks for the status.
func (d *director) Status() control.Status {
	d.t.Helper()
	s, err := d.TryStatus()
	if err != nil {
		d.t.Fatalf("%s: status: %v", d.host.Name(), err)
	}
	return s
}

// waitFor asks for the status until cond is content with it, and returns it.
func (d *director) waitFor(limit time.Duration, what string, cond func(control.Status) error) control.Status {
	d.t.Helper()
	var found control.Status
	ended := false
	err := netlab.EventuallyWithin(limit, func() error {
		if !d.Running() {
			ended = true
			return nil
		}
		s, err := d.TryStatus()
		if err != nil {
			return err
		}
		found = s
		return cond(s)
	})
	if ended {
		d.t.Fatalf("%s: %s: director ended", d.host.Name(), what)
	}
	if err != nil {
		d.t.Fatalf("%s: %s: %v", d.host.Name(), what, err)
	}
	return found
}

// Instance returns the state of a VRRP instance.
func (d *director) Instance(name string) control.Instance {
	d.t.Helper()
	i, err := findInstance(d.Status(), name)
	if err != nil {
		d.t.Fatalf("%s: %v", d.host.Name(), err)
	}
	return i
}

func findInstance(s control.Status, name string) (control.Instance, error) {
	if s.VRRP == nil {
		return control.Instance{}, errors.New("status has no VRRP part")
	}
	for _, i := range s.VRRP.Instances {
		if i.Name == name {
			return i, nil
		}
	}
	return control.Instance{}, fmt.Errorf("status has no instance %q", name)
}

// WaitInstance waits until an instance is in a state, and returns it. A MASTER has its addresses, too: it is one before.
func (d *director) WaitInstance(name, state string, within time.Duration) control.Instance {
	d.t.Helper()
	var found control.Instance
	d.waitFor(within, fmt.Sprintf("instance %s becomes %s", name, state), func(s control.Status) (err error) {
		if found, err = findInstance(s, name); err != nil {
			return err
		}
		if found.State != state {
			return fmt.Errorf("it is %s: %s", found.State, found.Reason)
		}
		for _, a := range found.Addresses {
			if state == "MASTER" && !a.Installed {
				return fmt.Errorf("it has not added %s", a.Prefix)
			}
		}
		return nil
	})
	return found
}

// Role returns what the status says of one of the daemon's processes: parent, vrrp or checkers.
func (d *director) Role(role string) control.Process {
	d.t.Helper()
	p, err := findRole(d.Status(), role)
	if err != nil {
		d.t.Fatalf("%s: %v", d.host.Name(), err)
	}
	return p
}

func findRole(s control.Status, role string) (control.Process, error) {
	for _, p := range s.Processes {
		if p.Role == role {
			return p, nil
		}
	}
	return control.Process{}, fmt.Errorf("status has no process %q", role)
}

// waitLog waits until the log says something often enough from a place on: it is written after what it tells of has happened.
func (d *director) waitLog(from, times int, text string) {
	d.t.Helper()
	if err := netlab.EventuallyWithin(patience, func() error {
		if n := strings.Count(d.Log()[from:], text); n < times {
			return fmt.Errorf("the log says %q %d times, want %d", text, n, times)
		}
		return nil
	}); err != nil {
		d.t.Errorf("%s: %v:\n%s", d.host.Name(), err, netlab.Tail(d.Log()[from:], 4000))
	}
}

// PID returns the process number of parent, vrrp or checkers; it ends the test when that does not run.
func (d *director) PID(role string) int {
	d.t.Helper()
	if role == "parent" {
		return d.Pid()
	}
	pid := d.Role(role).PID
	if pid == 0 {
		d.t.Fatalf("%s: %s does not run", d.host.Name(), role)
	}
	return pid
}

// SignalRole sends a signal to parent, vrrp or checkers and returns the process number.
func (d *director) SignalRole(role string, sig syscall.Signal) int {
	d.t.Helper()
	pid := d.PID(role)
	if err := syscall.Kill(pid, sig); err != nil {
		d.t.Fatalf("%s: %v to %s (pid %d): %v", d.host.Name(), sig, role, pid, err)
	}
	return pid
}

// Kill kills parent, vrrp or checkers and nothing else (SIGKILL). It does not wait for anything.
func (d *director) Kill(role string) int {
	d.t.Helper()
	return d.SignalRole(role, syscall.SIGKILL)
}

// WaitRespawn waits until another process than pid does the work of a role.
func (d *director) WaitRespawn(role string, pid int, within time.Duration) control.Process {
	d.t.Helper()
	var found control.Process
	d.waitFor(within, role+" is started again", func(s control.Status) (err error) {
		if found, err = findRole(s, role); err != nil {
			return err
		}
		if found.PID == pid || found.PID == 0 || found.State != "running" || found.Stale {
			return fmt.Errorf("it is %s with pid %d, was %d", found.State, found.PID, pid)
		}
		return nil
	})
	return found
}

// Reload puts a new configuration in force. A refusal is the error, with one line for each error of the file.
func (d *director) Reload(toml string) error {
	d.t.Helper()
	d.WriteConfig(toml)
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	c, err := control.Dial(ctx, watchdog.SocketPath(d.RuntimeDir()))
	if err != nil {
		return err
	}
	defer c.Close()
	r, err := c.Reload(ctx)
	if err != nil {
		return err
	}
	if !r.OK {
		return errors.New(strings.Join(r.Errors, "\n"))
	}
	return nil
}

// Stop stops the daemon with SIGTERM and wants it to end with 0.
func (d *director) Stop() {
	d.t.Helper()
	if err := d.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	code, err := d.Wait(startLimit)
	if err != nil {
		d.t.Fatal(err)
	}
	if code != 0 {
		d.t.Fatalf("%s: director ended with %d after SIGTERM, want 0", d.host.Name(), code)
	}
}
