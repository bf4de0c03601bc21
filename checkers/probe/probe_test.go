package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serve accepts connections on loopback and hands each to handle.
func serve(t testing.TB, handle func(net.Conn)) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveOn(t, l, handle)
}

func serveOn(t testing.TB, l net.Listener, handle func(net.Conn)) Target {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return Target{Addr: l.Addr().(*net.TCPAddr).AddrPort()}
}

// closedPort returns an address on which nobody listens, and nobody can during the
// test: a socket that does not listen has its TCP port, one that hears nobody but its
// peer the UDP port.
func closedPort(t testing.TB) Target {
	t.Helper()
	for range 20 {
		to := bound(t)
		c, err := net.DialUDP("udp", net.UDPAddrFromAddrPort(to), net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), 1)))
		if err == nil {
			t.Cleanup(func() { c.Close() })
			return Target{Addr: to}
		}
	}
	t.Fatal("no port is free for TCP and UDP")
	return Target{}
}

// bound returns the address of a socket that has a TCP port and does not listen.
func bound(t testing.TB) netip.AddrPort {
	t.Helper()
	_, to := boundSocket(t)
	return to
}

func boundSocket(t testing.TB) (fd int, to netip.AddrPort) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fd, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*unix.SockaddrInet4).Port))
}

// silentPort returns an address whose accept queue is full, so that further
// connection requests get no answer: loopback's black hole.
func silentPort(t testing.TB) Target {
	t.Helper()
	fd, to := boundSocket(t)
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 { // a backlog of 0 holds one connection; more do no harm
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(c) })
		if err := unix.Connect(c, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
	}
	return Target{Addr: to}
}

// patiently asks until the answer is the expected one, each time with a longer limit: how
// far a probe comes within a short limit depends on the machine's other work. It
// returns the last answer, and whether that is the expected one.
func patiently(ask func(context.Context, time.Duration) Result, expected func(r Result, limit time.Duration) bool) (r Result, ok bool) {
	for _, limit := range []time.Duration{150 * time.Millisecond, time.Second, 10 * time.Second} {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		r = ask(ctx, limit)
		cancel()
		if ok = expected(r, limit); ok {
			break
		}
	}
	return r, ok
}

func within(t testing.TB, limit time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestReasonNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range reasonCount {
		name := r.String()
		if name == "" || strings.Contains(name, "reason(") || seen[name] {
			t.Errorf("reason %d has the name %q", r, name)
		}
		seen[name] = true
	}
	if got := reasonCount.String(); got != fmt.Sprintf("reason(%d)", reasonCount) {
		t.Errorf("an unknown reason prints as %q", got)
	}
}

func TestConclusive(t *testing.T) {
	for r := range reasonCount {
		want := r != Local && r != Canceled && r != Withheld
		if got := (Result{Reason: r}).Conclusive(); got != want {
			t.Errorf("%s: conclusive = %v, want %v", r, got, want)
		}
	}
}

func TestClassify(t *testing.T) {
	live := t.Context()
	ended, cancel := context.WithCancel(live)
	cancel()
	late, cancel2 := context.WithDeadline(live, time.Now().Add(-time.Second))
	defer cancel2()
	tests := []struct {
		name string
		ctx  context.Context
		err  error
		want Reason
	}{
		{"closed port", live, unix.ECONNREFUSED, Refused},
		{"broken off", live, unix.ECONNRESET, Reset},
		{"broken off while writing", live, fmt.Errorf("write: %w", unix.EPIPE), Reset},
		{"kernel gave up", live, unix.ETIMEDOUT, Timeout},
		{"no route", live, unix.ENETUNREACH, Unreachable},
		{"nobody has the address", live, unix.EHOSTUNREACH, Unreachable},
		{"out of descriptors", live, unix.EMFILE, Local},
		{"out of ports", live, unix.EADDRNOTAVAIL, Local},
		{"local firewall", live, unix.EPERM, Local},
		{"nonsense", live, fmt.Errorf("malformed"), BadAnswer},
		{"caller gave up", ended, unix.ECONNRESET, Canceled},
		{"deadline of the context", late, unix.ECONNRESET, Timeout},
	}
	for _, test := range tests {
		if got := classify(test.ctx, test.err); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestCanceledBeforeTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, r := range map[string]Result{
		"ping": Ping(ctx, Target{Addr: netip.MustParseAddrPort("127.0.0.1:0")}),
		"tcp":  TCP(ctx, closedPort(t)),
		"http": HTTP(ctx, closedPort(t), HTTPSettings{}),
	} {
		if r.OK || r.Reason != Canceled {
			t.Errorf("%s: %v", name, r)
		}
	}
}
