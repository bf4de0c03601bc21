package observe

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A process is counted from its exec to its end, whichever way it is noticed.
func TestProcesses(t *testing.T) {
	t.Run("as the host allows", func(t *testing.T) { testProcesses(t, connect) })
	t.Run("by looking", func(t *testing.T) {
		testProcesses(t, func(context.Context) (*connector, error) { return nil, errSilent })
	})
}

func testProcesses(t *testing.T, connect func(context.Context) (*connector, error)) {
	long := filepath.Join(t.TempDir(), "observed-by-its-long-name")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(long, program, 0o755); err != nil {
		t.Fatal(err)
	}
	matches := []Match{
		{Name: filepath.Base(long)},
		{Name: "observed-by-its"}, // what the kernel keeps of it
		{CommandLine: long + " 61.7"},
		{CommandLine: long + " 61", Prefix: true},
		{CommandLine: long + " 61"},
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan []int, 100), make(chan struct{})
	go func() {
		defer close(done)
		processes(ctx, matches, 20*time.Millisecond, func(c []int) { seen <- c }, connect)
	}()
	want := func(counts ...int) {
		t.Helper()
		limit := time.After(time.Minute)
		var last []int
		for {
			select {
			case last = <-seen:
				if slices.Equal(last, counts) {
					return
				}
			case <-limit:
				t.Fatalf("counts %v, want %v", last, counts)
			}
		}
	}
	want(0, 0, 0, 0, 0)
	first, second := exec.Command(long, "61.7"), exec.Command(long, "62")
	for _, c := range []*exec.Cmd{first, second} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = c.Process.Kill()
			_ = c.Wait()
		}()
	}
	want(2, 2, 1, 1, 0)
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	want(1, 1, 0, 0, 0) // a zombie does not count
	cancel()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("Processes does not end with its context")
	}
}

// event makes a datagram of the connector.
func event(what uint32, words ...uint32) []byte {
	m := make([]byte, unix.SizeofNlMsghdr+cnMsgLen+eventHead+4*len(words))
	ne := binary.NativeEndian
	ne.PutUint32(m, uint32(len(m)))
	body := m[unix.SizeofNlMsghdr:]
	ne.PutUint32(body, cnIdxProc)
	ne.PutUint32(body[4:], cnValProc)
	ne.PutUint32(body[cnMsgLen:], what)
	for i, w := range words {
		ne.PutUint32(body[cnMsgLen+eventHead+4*i:], w)
	}
	return m
}

// The kernel's events move the count like a look at all processes would.
func TestEvents(t *testing.T) {
	own := uint32(os.Getpid())
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	var counts []int
	w := &processWatch{matches: []Match{{Name: strings.TrimSpace(string(comm))}}, seen: func([]int) {}, pids: make(map[int][]bool)}
	for _, datagram := range [][]byte{
		event(eventExec, own, own), event(eventExit, own+1, own, 0, 0), event(eventExit, own, own, 0, 0),
		event(eventFork, own, own, 1<<30, 1<<30), append(event(eventNone, 0), event(eventFork, 1, 1, own, own)...), event(eventExit, own), event(eventExit, own, own),
	} {
		events(datagram, func(what uint32, data []byte) { w.event(time.Time{}, what, data) })
		w.tell()
		counts = append(counts, w.last...)
	}
	if !slices.Equal(counts, []int{1, 1, 0, 0, 1, 1, 0}) {
		t.Errorf("counts %v", counts)
	}
}

// A process that writes its own title is looked at again when it has done so.
func TestTitleIsReadLater(t *testing.T) {
	line, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	title := strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
	w := &processWatch{matches: []Match{{CommandLine: title}}, seen: func([]int) {}, pids: make(map[int][]bool)}
	now := time.Now()
	w.event(now, eventExec, event(eventExec, uint32(os.Getpid()), uint32(os.Getpid()))[unix.SizeofNlMsghdr+cnMsgLen+eventHead:])
	clear(w.pids) // as if it had not had its title yet
	for _, step := range []struct {
		after time.Duration
		want  int
	}{{titleTime - 1, 0}, {titleTime, 1}} {
		w.grownUp(now.Add(step.after))
		if w.tell(); w.last[0] != step.want {
			t.Errorf("after %v: %d", step.after, w.last[0])
		}
	}
	if len(w.young) > 0 {
		t.Error("it is looked at for ever")
	}
}

func TestParseStat(t *testing.T) {
	for _, tc := range []struct {
		stat, comm string
		state      byte
	}{{"17 (nginx) S 1 17", "nginx", 'S'}, {"17 (a) Z (b) R 1", "a) Z (b", 'R'}, {"17 (nginx)", "", 0}, {"", "", 0}, {")(", "", 0}} {
		if comm, state, _ := parseStat([]byte(tc.stat)); comm != tc.comm || state != tc.state {
			t.Errorf("%q: %q %c", tc.stat, comm, state)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(event(eventFork, 1, 1, 2, 2))
	f.Add(event(eventExit, 1))
	f.Fuzz(func(_ *testing.T, data []byte) {
		w := &processWatch{pids: make(map[int][]bool)}
		events(data, func(what uint32, d []byte) {
			if what == eventExit {
				w.event(time.Time{}, what, d)
			}
		})
		parseStat(data)
	})
}

func TestGatewayLines(t *testing.T) {
	native := func(a string) string {
		b := netip.MustParseAddr(a).As4()
		const hex = "0123456789ABCDEF"
		n, s := binary.NativeEndian.Uint32(b[:]), ""
		for shift := 28; shift >= 0; shift -= 4 {
			s += string(hex[n>>shift&15])
		}
		return s
	}
	for _, tc := range []struct{ line, want string }{
		{"eth0\t00000000\t" + native("192.0.2.1") + "\t0003\t0\t0\t100\t00000000\t0\t0\t0", "192.0.2.1 eth0 100"},
		{"eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0", ""},
		{"eth0\t" + native("10.0.0.0") + "\t" + native("192.0.2.1") + "\t0003\t0\t0\t0\t000000FF\t0\t0\t0", ""},
		{"eth0\t00000000\t" + native("192.0.2.1") + "\t0203\t0\t0\t100\t00000000\t0\t0\t0", ""},
		{"Iface", ""},
	} {
		gw, dev, metric, ok := gateway4(strings.Fields(tc.line))
		if got := describe(gw, dev, metric, ok); got != tc.want {
			t.Errorf("%s: %s", tc.line, got)
		}
	}
	zero := strings.Repeat("0", 32)
	for _, tc := range []struct{ line, want string }{
		{zero + " 00 " + zero + " 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth0", "fe80::1%eth0 eth0 1024"},
		{zero + " 00 " + zero + " 00 20010db8000000000000000000000001 00000064 1 0 00000003 eth1", "2001:db8::1 eth1 100"},
		{zero + " 00 " + zero + " 00 " + zero + " ffffffff 1 0 00200200 lo", ""},
		{zero + " 40 " + zero + " 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth0", ""},
	} {
		gw, dev, metric, ok := gateway6(strings.Fields(tc.line))
		if got := describe(gw, dev, metric, ok); got != tc.want {
			t.Errorf("%s: %s", tc.line, got)
		}
	}
	if _, err := Gateway(false, "nosuchdevice"); err == nil || !strings.Contains(err.Error(), "through nosuchdevice") {
		t.Errorf("error %v", err)
	}
}

func describe(gw netip.Addr, dev string, metric uint64, ok bool) string {
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %s %d", gw, dev, metric)
}
