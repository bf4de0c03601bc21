package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"
)

// RequireRoot fails the test at once when it does not run as root.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and needs root")
	}
}

// T is a lab that belongs to a test: its methods end the test where Lab's return an error.
type T struct {
	*Lab
	t testing.TB
}

// NewT makes a lab that goes with the test. When the test has failed, the ends of all its processes' logs are shown. It needs
// root.
func NewT(t testing.TB, name string) *T {
	t.Helper()
	RequireRoot(t)
	l, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			dumpLogs(t, l)
		}
		if err := l.Close(); err != nil {
			t.Errorf("close lab: %v", err)
		}
	})
	return &T{Lab: l, t: t}
}

// dumpLogs shows what the lab's processes have written: of each the last 8000 bytes.
func dumpLogs(t testing.TB, l *Lab) {
	for _, h := range l.Hosts() {
		shown := map[string]bool{}
		for _, p := range h.Started() {
			if shown[p.log] {
				continue
			}
			shown[p.log] = true
			state := "running"
			if !p.Running() {
				state = p.cmd.ProcessState.String()
			}
			t.Logf("=== %s: %s (%s)\n%s", h.Name(), p.Name(), state, tail(p.Log(), 8000))
		}
	}
}

// Host is Lab.Host.
func (t *T) Host(name string) *Host {
	t.t.Helper()
	h, err := t.Lab.Host(name)
	t.Must(err)
	return h
}

// Switch is Lab.Switch.
func (t *T) Switch(name string) *Switch {
	t.t.Helper()
	s, err := t.Lab.Switch(name)
	t.Must(err)
	return s
}

// Connect is Lab.Connect with addresses written as "192.0.2.1/24".
func (t *T) Connect(h *Host, ifname string, sw *Switch, prefixes ...string) *Port {
	t.t.Helper()
	list := make([]netip.Prefix, len(prefixes))
	for i, s := range prefixes {
		p, err := netip.ParsePrefix(s)
		t.Must(err)
		list[i] = p
	}
	p, err := t.Lab.Connect(h, ifname, sw, list...)
	t.Must(err)
	return p
}

// Start is Host.Start.
func (t *T) Start(h *Host, name string, argv ...string) *Process {
	t.t.Helper()
	p, err := h.Start(name, argv...)
	t.Must(err)
	return p
}

// Run is Host.Run.
func (t *T) Run(h *Host, argv ...string) string {
	t.t.Helper()
	out, err := h.Run(argv...)
	t.Must(err)
	return out
}

// Must ends the test when err is an error.
func (t *T) Must(err error) {
	t.t.Helper()
	if err != nil {
		t.t.Fatal(err)
	}
}

// Eventually ends the test when cond does not return nil within limit. what names the expectation in the message.
func (t *T) Eventually(limit time.Duration, what string, cond func() error) {
	t.t.Helper()
	if err := EventuallyWithin(limit, cond); err != nil {
		t.t.Fatalf("%s: %v", what, err)
	}
}

// Within ends the test when cond is not true within limit.
func (t *T) Within(limit time.Duration, what string, cond func() bool) {
	t.t.Helper()
	t.Eventually(limit, what, func() error {
		if cond() {
			return nil
		}
		return fmt.Errorf("it is not so")
	})
}

// Holds ends the test when cond stops being true before the time is over.
func (t *T) Holds(duration time.Duration, what string, cond func() bool) {
	t.t.Helper()
	for start := time.Now(); time.Since(start) < duration; time.Sleep(10 * time.Millisecond) {
		if !cond() {
			t.t.Fatalf("%s: no longer so after %v", what, time.Since(start).Round(time.Millisecond))
		}
	}
}
