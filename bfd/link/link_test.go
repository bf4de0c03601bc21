package link

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// loopback gives the calling test a network of its own, in which nobody else has ports, and
// returns its loopback interface, over which the tests talk. IPv6 is on there,
// whatever the machine's network has.
func loopback(t *testing.T) Scope {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("a network namespace, which needs root: %v", err)
	}
	up, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	up.SetUint16(unix.IFF_UP)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, up); err != nil {
		t.Fatal(err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	return Scope{Name: lo.Name, Index: lo.Index}
}

func listen(t *testing.T, e Endpoint, shared bool) *Listener {
	t.Helper()
	l, err := Listen(e, shared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, p Path, port uint16) *Sender {
	t.Helper()
	s, err := Dial(p, port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// receive waits for what is due; delivery on loopback is within the call that sends.
func receive(t *testing.T, l *Listener, want int) []Datagram {
	t.Helper()
	var got []Datagram
	for end := time.Now().Add(time.Minute); len(got) < want && time.Now().Before(end); {
		if err := l.Read(func(d Datagram) {
			d.Payload = bytes.Clone(d.Payload)
			got = append(got, d)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != want {
		t.Fatalf("received %d packets, want %d", len(got), want)
	}
	return got
}

func send(t *testing.T, s *Sender, text string) {
	t.Helper()
	if err := s.Send([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestB14TimeToLiveIsSentAndSeen(t *testing.T) {
	lo := loopback(t)
	for i, tc := range []struct {
		src, dst string
		ttl      uint8
	}{{"127.0.0.1", "127.0.0.2", 255}, {"127.0.0.1", "127.0.0.2", 254}, {"::1", "::1", 255}, {"::1", "::1", 64}} {
		src, dst := netip.MustParseAddr(tc.src), netip.MustParseAddr(tc.dst)
		port := uint16(39700 + i)
		l := listen(t, Endpoint{V6: dst.Is6(), Port: port}, false)
		s := dial(t, Path{Source: src, Peer: dst, Port: port, TTL: tc.ttl}, 0)
		begin := time.Now()
		send(t, s, "hello")
		d := receive(t, l, 1)[0]
		if d.Src != src || d.Dst != dst || d.TTL != int(tc.ttl) || d.Index != lo.Index || string(d.Payload) != "hello" {
			t.Errorf("%+v: received %+v", tc, d)
		}
		if d.Arrival.Before(begin) || d.Arrival.After(time.Now()) {
			t.Errorf("arrived at %v", d.Arrival)
		}
		if class, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_TOS); dst.Is4() && (err != nil || class != trafficClass) {
			t.Errorf("type of service %#x, %v", class, err)
		}
	}
}

func TestB13SourcePort(t *testing.T) {
	loopback(t)
	peer := netip.MustParseAddr("127.0.0.1")
	seen := make(map[uint16]bool)
	for range 20 {
		s := dial(t, Path{Peer: peer, Port: 39710, TTL: 255}, 0)
		if s.Port() < 49152 || seen[s.Port()] {
			t.Errorf("source port %d", s.Port())
		}
		seen[s.Port()] = true
		sa, err := unix.Getsockname(s.fd)
		if in, ok := sa.(*unix.SockaddrInet4); err != nil || !ok || in.Port != int(s.Port()) {
			t.Errorf("bound to %v, %v; want port %d", sa, err, s.Port())
		}
	}
	s := dial(t, Path{Peer: peer, Port: 39710, TTL: 255}, 0)
	if other := dial(t, Path{Peer: peer, Port: 39710, TTL: 255}, s.Port()); other.Port() == s.Port() {
		t.Error("two sessions have the same source port")
	}
	s.Close()
	if again := dial(t, Path{Peer: peer, Port: 39710, TTL: 255}, s.Port()); again.Port() != s.Port() {
		t.Errorf("port %d became %d", s.Port(), again.Port())
	}
}

// The closest of several listeners gets a packet; a stranger's port is refused.
func TestListenersShareAPort(t *testing.T) {
	lo := loopback(t)
	const port = 39720
	all := listen(t, Endpoint{Port: port}, false)
	if _, err := Listen(Endpoint{Port: port}, false); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("the port of another: %v", err)
	}
	one := listen(t, Endpoint{Port: port, Scope: lo}, true)
	s := dial(t, Path{Peer: netip.MustParseAddr("127.0.0.1"), Port: port, TTL: 255}, 0)
	send(t, s, "x")
	receive(t, one, 1)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	send(t, s, "y")
	receive(t, all, 1)
	scoped := dial(t, Path{Peer: netip.MustParseAddr("127.0.0.1"), Port: port, TTL: 255, Scope: lo}, 0)
	send(t, scoped, "z")
	receive(t, all, 1)
}

func TestReadMany(t *testing.T) {
	loopback(t)
	l := listen(t, Endpoint{Port: 39730}, false)
	s := dial(t, Path{Peer: netip.MustParseAddr("127.0.0.1"), Port: 39730, TTL: 255}, 0)
	const n = 3*batchSize + 1
	for i := range n {
		send(t, s, string(rune('A'+i)))
	}
	for i, d := range receive(t, l, n) {
		if string(d.Payload) != string(rune('A'+i)) {
			t.Fatalf("packet %d is %q", i, d.Payload)
		}
	}
	send(t, s, "one")
	send(t, s, "two")
	calls := 0
	if err := l.Read(func(Datagram) { calls++; l.Close() }); err != nil || calls != 1 {
		t.Errorf("closed while reading: %d calls, %v", calls, err)
	}
	if err := l.Read(nil); err != ErrClosed {
		t.Errorf("Read after Close: %v", err)
	}
	if err := errors.Join(l.Close(), s.Close(), s.Close()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Send(nil); err != ErrClosed {
		t.Errorf("Send after Close: %v", err)
	}
}

func TestAddressThatIsNotHere(t *testing.T) {
	loopback(t)
	_, err := Dial(Path{Source: netip.MustParseAddr("192.0.2.77"), Peer: netip.MustParseAddr("192.0.2.1"), Port: 39740, TTL: 255}, 0)
	if !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("%v", err)
	}
}
