package labtest

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"director/internal/netlab"
)

// RequireRoot fails the test at once when it does not run as root.
func RequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces and needs root")
	}
}

// A Lab belongs to a test: its methods end the test where netlab.Lab's return an error.
type Lab struct {
	*netlab.Lab
	t testing.TB
}

// New makes a lab that goes with the test. When the test has failed, the ends of all its processes' logs are shown. It needs
// root.
func New(t testing.TB, name string) *Lab {
	t.Helper()
	RequireRoot(t)
	l, err := netlab.New(name)
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
	return &Lab{Lab: l, t: t}
}

// dumpLogs shows what the lab's processes have written: of each the last 8000 bytes.
func dumpLogs(t testing.TB, l *netlab.Lab) {
	for _, h := range l.Hosts() {
		shown := map[string]bool{}
		for _, p := range h.Started() {
			if shown[p.LogPath()] {
				continue
			}
			shown[p.LogPath()] = true
			t.Logf("=== %s: %s (%s)\n%s", h.Name(), p.Name(), p.State(), netlab.Tail(p.Log(), 8000))
		}
	}
}

// Host is netlab.Lab.Host.
func (l *Lab) Host(name string) *netlab.Host {
	l.t.Helper()
	h, err := l.Lab.Host(name)
	l.Must(err)
	return h
}

// Switch is netlab.Lab.Switch.
func (l *Lab) Switch(name string) *netlab.Switch {
	l.t.Helper()
	s, err := l.Lab.Switch(name)
	l.Must(err)
	return s
}

// Connect is netlab.Lab.Connect with addresses written as "192.0.2.1/24".
func (l *Lab) Connect(h *netlab.Host, ifname string, sw *netlab.Switch, prefixes ...string) *netlab.Port {
	l.t.Helper()
	list := make([]netip.Prefix, len(prefixes))
	for i, s := range prefixes {
		p, err := netip.ParsePrefix(s)
		l.Must(err)
		list[i] = p
	}
	p, err := l.Lab.Connect(h, ifname, sw, list...)
	l.Must(err)
	return p
}

// Start is netlab.Host.Start.
func (l *Lab) Start(h *netlab.Host, name string, argv ...string) *netlab.Process {
	l.t.Helper()
	p, err := h.Start(name, argv...)
	l.Must(err)
	return p
}

// Run is netlab.Host.Run.
func (l *Lab) Run(h *netlab.Host, argv ...string) string {
	l.t.Helper()
	out, err := h.Run(argv...)
	l.Must(err)
	return out
}

// Must ends the test when err is an error.
func (l *Lab) Must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// Eventually ends the test when cond does not return nil within limit. what names the expectation in the message.
func (l *Lab) Eventually(limit time.Duration, what string, cond func() error) {
	l.t.Helper()
	if err := netlab.EventuallyWithin(limit, cond); err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
}

// Within ends the test when cond is not true within limit.
func (l *Lab) Within(limit time.Duration, what string, cond func() bool) {
	l.t.Helper()
	l.Eventually(limit, what, func() error {
		if cond() {
			return nil
		}
		return fmt.Errorf("it is not so")
	})
}

// Holds ends the test when cond stops being true before the time is over.
func (l *Lab) Holds(duration time.Duration, what string, cond func() bool) {
	l.t.Helper()
	for start := time.Now(); time.Since(start) < duration; time.Sleep(10 * time.Millisecond) {
		if !cond() {
			l.t.Fatalf("%s: no longer so after %v", what, time.Since(start).Round(time.Millisecond))
		}
	}
}
