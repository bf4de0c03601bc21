package test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/ipvs/kernel"
)

// unitPath is the unit as it is installed.
const unitPath = "../etc/director.service"

// TestUnit asks systemd what it thinks of the unit: that it is right, and that the sandbox is better than "medium".
func TestUnit(t *testing.T) {
	text, err := os.ReadFile(unitPath)
	if err != nil {
		t.Fatal(err)
	}
	// The command of the unit has to exist.
	unit := filepath.Join(t.TempDir(), "director.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/sbin/director", binary(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	analyze := func(args ...string) string {
		t.Helper()
		out, err := command("systemd-analyze", append(args, unit)...)
		if err != nil {
			t.Fatalf("systemd-analyze %v: %v\n%s", args, err, out)
		}
		return out
	}
	if out := analyze("--man=no", "verify"); strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	out := analyze("security", "--offline=true", "--no-pager")
	_, level, ok := strings.Cut(out, "Overall exposure level for director.service: ")
	exposure, perr := strconv.ParseFloat(strings.SplitN(level, " ", 2)[0], 64)
	if !ok || perr != nil {
		t.Fatalf("systemd-analyze security says nothing of the exposure:\n%s", out)
	}
	t.Logf("exposure %.1f of 10", exposure)
	if exposure >= 5 {
		t.Errorf("exposure %.1f, want less than 5:\n%s", exposure, out)
	}
}

// A manager stands in for systemd: it listens where NOTIFY_SOCKET points.
type manager struct {
	path string

	mu   sync.Mutex
	told []told
	// onReady is called at the first READY=1, before anything more is received.
	onReady func()
}

// told is one message with its sender.
type told struct {
	Time time.Time
	PID  int
	Text string
}

func newManager(t *testing.T, path string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	raw, err := conn.SyscallConn()
	if err == nil {
		if cerr := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); err == nil {
			err = cerr
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{path: path}
	go func() {
		buf, oob := make([]byte, 8192), make([]byte, 256)
		for {
			n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
			if err != nil {
				return
			}
			x := told{Time: time.Now(), Text: string(buf[:n])}
			if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) == 1 {
				if cred, err := unix.ParseUnixCredentials(&msgs[0]); err == nil {
					x.PID = int(cred.Pid)
				}
			}
			if m.onReady != nil && strings.Contains(x.Text, "READY=1") {
				m.onReady()
				m.onReady = nil
			}
			m.mu.Lock()
			m.told = append(m.told, x)
			m.mu.Unlock()
		}
	}()
	return m
}

// all returns the messages so far.
func (m *manager) all() []told {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// since returns the lines of the messages from the nth on, without status and signs of life.
func (m *manager) since(n int) []string {
	var lines []string
	for _, x := range m.all()[n:] {
		for l := range strings.SplitSeq(x.Text, "\n") {
			if name, _, _ := strings.Cut(l, "="); name == "MONOTONIC_USEC" {
				lines = append(lines, name)
			} else if name != "STATUS" && name != "WATCHDOG" {
				lines = append(lines, l)
			}
		}
	}
	return lines
}

// testServiceManager is the daemon's side of sd_notify (set-up 14).
func testServiceManager(t *testing.T) {
	f := newFarm(t, 1, 0)
	h := f.directors[0]
	m := newManager(t, h.Path("notify.sock"))
	var k *kernel.Kernel
	f.Must(h.Do(func() (err error) {
		k, err = kernel.Open()
		return err
	}))
	defer k.Close()
	atReady := make(chan string, 1)
	m.onReady = func() {
		found, err := k.Dump()
		atReady <- fmt.Sprintf("%v%v", found, err)
	}
	const conf = `
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
real_server = ["10.0.0.11:80", "10.0.0.12:80", "10.0.0.13:80"]
` + outsideConfig + "priority = 255\n" // as the owner it wants its address at once
	table := plainTable
	entries := openKernel(t, h)
	defer entries.Close()
	addresses := watchAddressesLooking(t, h, func() string {
		found, err := entries.Dump()
		return fmt.Sprintf("%v%v", found, err)
	}, outsideVIP)
	d := launchDirector(t, h, conf, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=1000000")
	d.WaitReady()
	f.Within(patience, "READY=1 is told", func() bool { return len(m.since(0)) > 0 })
	if got := sortLines(strings.TrimSuffix(<-atReady, "<nil>")); got != sortLines(table) {
		t.Errorf("the table at READY=1:\n%s\nwant\n%s", got, table)
	}
	if got := m.since(0); !slices.Equal(got, []string{"READY=1"}) {
		t.Errorf("told %q at the start, want READY=1 once", got)
	}

	// No address stands in front of an empty table.
	d.WaitInstance("outside", "MASTER", patience)
	f.Within(patience, "the address comes", func() bool { return len(addresses.Events()) > 0 })
	if e := addresses.Events()[0]; !e.Added || sortLines(strings.TrimSuffix(e.Seen, "<nil>")) != sortLines(table) {
		t.Errorf("%v, and the table was then\n%s", e, e.Seen)
	}

	// The parent tells it, nobody else; children and scripts do not even know where.
	f.Within(patience, "five signs of life", func() bool { return count(m.all(), "WATCHDOG=1") >= 5 })
	var life []time.Time
	for _, x := range m.all() {
		if x.PID != d.Pid() {
			t.Errorf("%q was told by process %d, want the parent, %d", x.Text, x.PID, d.Pid())
		}
		if x.Text == "WATCHDOG=1" {
			life = append(life, x.Time)
		}
	}
	for i := 1; i < len(life); i++ {
		// Twice in the time after which systemd kills.
		if gap := life[i].Sub(life[i-1]); gap > 500*time.Millisecond+slack+stood(life[i-1]) {
			t.Errorf("%v between two signs of life, want half a second", gap)
		}
	}
	for _, role := range []string{"vrrp", "checkers"} {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", d.PID(role)))
		f.Must(err)
		for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC"} {
			if strings.Contains(string(env), name+"=") {
				t.Errorf("%s has %s in its environment", role, name)
			}
		}
	}
	f.Eventually(patience, "the status line", func() error {
		all := m.all()
		for _, x := range slices.Backward(all) {
			if s, ok := strings.CutPrefix(x.Text, "STATUS="); ok {
				if s != "generation 1; outside MASTER; 1 of 1 virtual servers up" {
					return fmt.Errorf("status %q", s)
				}
				return nil
			}
		}
		return fmt.Errorf("none")
	})

	reloaded := []string{"RELOADING=1", "MONOTONIC_USEC", "READY=1"}
	for _, r := range []struct{ what, text, status string }{
		{"a reload", strings.Replace(conf, `"10.0.0.13:80"`, `{ address = "10.0.0.13:80", weight = 4 }`, 1), "generation 2;"},
		{"a refused reload", conf + "nonsense", "the last reload was refused"},
	} {
		n := len(m.all())
		d.WriteConfig(r.text)
		f.Must(d.Signal(syscall.SIGHUP))
		f.Within(patience, r.what+" is told", func() bool { return len(m.since(n)) >= 3 })
		if got := m.since(n); !slices.Equal(got, reloaded) {
			t.Errorf("%s: told %q, want %q", r.what, got, reloaded)
		}
		f.Within(patience, r.what+" is in the status line", func() bool {
			return slices.ContainsFunc(m.all()[n:], func(x told) bool {
				return strings.HasPrefix(x.Text, "STATUS=") && strings.Contains(x.Text, r.status)
			})
		})
		wantTable(t, h, strings.Replace(table, "10.0.0.13:80 -m -w 1", "10.0.0.13:80 -m -w 4", 1))
	}
	n := len(m.all())
	d.Stop()
	f.Within(patience, "the stop is told", func() bool { return len(m.since(n)) > 0 })
	if got := m.since(n); !slices.Equal(got, []string{"STOPPING=1"}) {
		t.Errorf("told %q at the stop, want STOPPING=1", got)
	}
}

func count(all []told, text string) int {
	n := 0
	for _, x := range all {
		if x.Text == text {
			n++
		}
	}
	return n
}
