package probe

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTCP(t *testing.T) {
	unreachable := Target{Addr: netip.MustParseAddrPort("[fe80::1%no-such-link]:80")}
	tests := []struct {
		name   string
		to     Target
		want   Reason
		detail string
	}{
		{"listening", serve(t, func(c net.Conn) { c.Close() }), Passed, "connected"},
		{"resets each connection", serve(t, func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }), Passed, "connected"},
		{"nobody listens", closedPort(t), Refused, "connect: connection refused"},
		{"accept queue full", silentPort(t), Timeout, "connect: no answer after"},
		{"by the loopback", Target{Addr: serve(t, func(c net.Conn) { c.Close() }).Addr, Device: "lo"}, Passed, "connected"},
		{"by no such interface", Target{Addr: netip.MustParseAddrPort("127.0.0.1:80"), Device: "no-such-link"}, Unreachable, "connect: network is unreachable"},
		{"no such interface", unreachable, Unreachable, "connect: network is unreachable"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for way, ask := range map[string]func(context.Context, time.Duration) Result{
				"alone": func(ctx context.Context, _ time.Duration) Result { return TCP(ctx, test.to) },
				"by a poller": func(_ context.Context, limit time.Duration) Result {
					return polled(t, &Exchange{To: test.to, Timeout: limit})[0]
				},
			} {
				if got, ok := patiently(ask, func(r Result, limit time.Duration) bool {
					return r.Reason == test.want && r.OK == (test.want == Passed) && strings.HasPrefix(r.Detail, test.detail) &&
						0 < r.Duration && r.Duration < 10*limit
				}); !ok {
					t.Errorf("%s: got %+v, want reason %s, detail %q", way, got, test.want, test.detail)
				}
			}
		})
	}
}

func TestTCPCanceledWhileWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	to := silentPort(t)
	time.AfterFunc(20*time.Millisecond, cancel)
	got := TCP(ctx, to)
	if got.Reason != Canceled || got.Duration > 5*time.Second {
		t.Errorf("got %+v", got)
	}
}

// A probe must leave no connection in TIME_WAIT on this machine, and the
// server's program is not to be bothered with it.
func TestTCPLeavesNothingBehind(t *testing.T) {
	var accepted atomic.Int64
	to := serve(t, func(c net.Conn) { accepted.Add(1); c.Close() })
	const probes = 50
	late := int64(0) // after 40 ms the kernel acknowledges by itself what a probe has left open that long
	for range probes {
		for _, ask := range []func() Result{
			func() Result { return TCP(within(t, 10*time.Second), to) },
			func() Result { return polled(t, &Exchange{To: to, Timeout: 10 * time.Second})[0] },
		} {
			began := time.Now()
			if r := ask(); !r.OK {
				t.Fatal(r)
			}
			if time.Since(began) > 20*time.Millisecond {
				late++
			}
		}
	}
	if n := socketsTo(t, to); n != 0 {
		t.Errorf("%d sockets towards the server are left", n)
	}
	if n := accepted.Load(); n > probes/2+late {
		t.Errorf("the server's program saw %d of %d probes, %d of them late", n, 2*probes, late)
	}
}

// socketsTo counts this machine's connections to an IPv4 address, those in
// TIME_WAIT included.
func socketsTo(t *testing.T, to Target) int {
	t.Helper()
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	ip, n := to.Addr.Addr().As4(), 0
	remote := strings.ToUpper(hex(ip[3]) + hex(ip[2]) + hex(ip[1]) + hex(ip[0]) + ":" + hex(byte(to.Addr.Port()>>8)) + hex(byte(to.Addr.Port())))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == remote {
			n++
		}
	}
	return n
}

func hex(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

func TestNoDescriptorLeaks(t *testing.T) {
	good, closed, silent := serve(t, func(c net.Conn) { c.Close() }), closedPort(t), silentPort(t)
	open := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	TCP(within(t, time.Second), good)
	before := open()
	for range 10 {
		TCP(within(t, time.Second), good)
		TCP(within(t, time.Second), closed)
		TCP(within(t, 5*time.Millisecond), silent)
		HTTP(within(t, time.Second), closed, HTTPSettings{})
		polled(t, &Exchange{To: good, Timeout: time.Second}, &Exchange{To: closed, Timeout: time.Second}, &Exchange{To: silent, Timeout: 20 * time.Millisecond},
			&Exchange{To: good, Timeout: time.Second, HTTP: &HTTPSettings{}}, &Exchange{To: closed, Timeout: time.Second, HTTP: &HTTPSettings{}})
		Ping(within(t, time.Second), Target{Addr: netip.MustParseAddrPort("127.0.0.1:0")})
	}
	for range 1000 { // the accepting goroutines may still hold their end
		if open() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors before, %d after", before, open())
}

func BenchmarkTCP(b *testing.B) {
	to := serve(b, func(c net.Conn) { c.Close() })
	measure(b, func(ctx context.Context) Result { return TCP(ctx, to) })
}

// measure reports the processor time of the whole process per probe, a loopback
// server's share included.
func measure(b *testing.B, probe func(context.Context) Result) {
	var before, after unix.Rusage
	b.ReportAllocs()
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	for b.Loop() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if r := probe(ctx); !r.OK {
			b.Fatal(r)
		}
		cancel()
	}
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(used)/float64(b.N)/1e3, "cpu-us/op")
}
