package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/script"
)

// daemon is a Handler that answers what a test wants.
type daemon struct {
	status  *Status
	reload  ReloadResult
	err     error
	block   chan struct{} // Reload waits for it, or for ctx
	stopped chan struct{}
	order   Order // the newest
}

func (d *daemon) Status(context.Context) (*Status, error) { return d.status, d.err }

func (d *daemon) LogLevels(_ context.Context, q LogQuery) ([]LogLevel, error) {
	return []LogLevel{{Process: "vrrp", Level: q.Level, Ordered: true, Author: q.Author}}, d.err
}

func (d *daemon) Overview(_ context.Context, q OverviewQuery) (*Overview, error) {
	if d.status == nil {
		return nil, d.err
	}
	return d.status.Overview(q), d.err
}

func (d *daemon) Reload(ctx context.Context) (ReloadResult, error) {
	if d.block != nil {
		select {
		case <-d.block:
		case <-ctx.Done():
			return ReloadResult{}, errors.New("closed")
		}
	}
	return d.reload, d.err
}

func (d *daemon) Events(_ context.Context, q EventQuery) ([]Event, error) {
	if q.Wait > 0 {
		return nil, fmt.Errorf("waited %v after %d", q.Wait, q.After)
	}
	return []Event{{Seq: q.After + 1, Kind: "instance", Subject: "web", From: "BACKUP", To: "MASTER", Reason: "x"}}, nil
}

func (d *daemon) Apply(_ context.Context, q ApplyQuery) (ApplyResult, error) {
	return ApplyResult{Trial: &Trial{File: q.File, Author: q.Who()}}, d.err
}

func (d *daemon) Confirm(_ context.Context, by Asker) (ApplyResult, error) {
	return ApplyResult{Replaced: "confirmed by " + by.Who()}, d.err
}

func (d *daemon) Undo(_ context.Context, by Asker) (ApplyResult, error) {
	return ApplyResult{Replaced: "undone by " + by.Who()}, d.err
}

func (d *daemon) Plan(_ context.Context, q PlanQuery) (Plan, error) {
	return Plan{File: q.File, Changes: Changes{IPVS: []string{"-D -t 192.0.2.1:80"}}}, d.err
}

func (d *daemon) Order(_ context.Context, o Order) (OrderResult, error) {
	d.order = o
	return OrderResult{Servers: []OrderedServer{{Service: o.Service, Was: VerbReady, Server: Server{Name: o.Servers[0]}}}}, d.err
}

func (d *daemon) Stop(context.Context) error {
	close(d.stopped)
	return nil
}

// serve starts a server on a fresh socket.
func serve(t *testing.T, d *daemon) (*Listener, string) {
	t.Helper()
	// A short path: t.TempDir can be longer than a socket's path may be.
	dir, err := os.MkdirTemp("/tmp", "director-control-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "director.sock")
	l, err := Listen(path, "1.2.3", d, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	t.Cleanup(func() {
		l.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l, path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOperations(t *testing.T) {
	d := &daemon{
		status:  &Status{Version: "1.2.3", Generation: 4, VRRP: &VRRP{Instances: []Instance{{Name: "web", State: "MASTER"}}}},
		reload:  ReloadResult{OK: false, Errors: []string{"director.toml:3: no"}},
		stopped: make(chan struct{}),
	}
	_, path := serve(t, d)
	c := dial(t, path)
	if v, err := c.Version(t.Context()); err != nil || v != "1.2.3" {
		t.Errorf("version: %q, %v", v, err)
	}
	for range 2 { // one connection carries any number of requests
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d.status, s); diff != "" {
			t.Error(diff)
		}
	}
	r, err := c.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.reload, r); diff != "" {
		t.Error(diff)
	}
	events, err := c.Events(t.Context(), EventQuery{After: 41})
	if err != nil || len(events) != 1 || events[0].Seq != 42 || events[0].To != "MASTER" {
		t.Errorf("events: %+v, %v", events, err)
	}
	if _, err := c.Events(t.Context(), EventQuery{After: 7, Wait: time.Second}); err == nil || err.Error() != "waited 1s after 7" {
		t.Errorf("the question came as: %v", err)
	}
	if _, err := c.call(t.Context(), Request{Op: OpEvents, Args: []byte(`{"after":"x"}`)}); err == nil || !strings.Contains(err.Error(), "malformed question") {
		t.Errorf("a malformed question: %v", err)
	}
	// Who orders something is what the kernel says, not what the client does.
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	result, err := c.Order(t.Context(), Order{Verb: VerbDrain, Service: "web", Servers: []string{"a"}, Author: "somebody", Claimed: "alice", For: time.Hour})
	if err != nil || len(result.Servers) != 1 || result.Servers[0].Name != "a" || result.Servers[0].Was != "ready" {
		t.Errorf("order: %+v, %v", result, err)
	}
	if diff := cmp.Diff(Order{Verb: VerbDrain, Service: "web", Servers: []string{"a"}, Author: me.Username, Claimed: "alice", For: time.Hour}, d.order); diff != "" {
		t.Error(diff)
	}
	if who := d.order.Who(); who != me.Username+" for alice" {
		t.Errorf("by %q", who)
	}
	if _, err := c.call(t.Context(), Request{Op: OpOrder, Args: []byte(`[]`)}); err == nil || !strings.Contains(err.Error(), "malformed order") {
		t.Errorf("a malformed order: %v", err)
	}
	if _, err := c.call(t.Context(), Request{Op: "dance"}); err == nil || err.Error() != `operation "dance" is not known to director 1.2.3` {
		t.Errorf("unknown operation: %v", err)
	}
	d.err = errors.New("no such luck")
	if _, err := c.Status(t.Context()); err == nil || err.Error() != "no such luck" {
		t.Errorf("error of the daemon: %v", err)
	}
}

// TestStopWaitsForTheEnd shows that Stop returns when the daemon's end of the
// connection is closed, not when it has answered.
func TestStopWaitsForTheEnd(t *testing.T) {
	d := &daemon{stopped: make(chan struct{})}
	l, path := serve(t, d)
	c := dial(t, path)
	result := make(chan error, 1)
	go func() { result <- c.Stop(t.Context()) }()
	<-d.stopped
	select {
	case err := <-result:
		t.Fatalf("returned before the end: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	l.Close()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if _, err := Dial(t.Context(), path); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v, want ErrNotRunning", err)
	}
}

func TestClientGivesUp(t *testing.T) {
	d := &daemon{block: make(chan struct{})}
	_, path := serve(t, d)
	c := dial(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := c.Reload(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSocket(t *testing.T) {
	d := &daemon{}
	_, path := serve(t, d)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode(); mode != os.ModeSocket|0o600 {
		t.Errorf("mode %v, want Srw-------", mode)
	}
	// A socket that a killed daemon left is replaced; another kind of file is not.
	stale := filepath.Join(filepath.Dir(path), "stale.sock")
	sock, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	sock.SetUnlinkOnClose(false)
	sock.Close()
	if _, err := Dial(t.Context(), stale); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stale socket: %v, want ErrNotRunning", err)
	}
	l, err := Listen(stale, "x", d, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, "x", d, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "is not a socket") {
		t.Errorf("a file in the way: %v", err)
	}
	if _, err := Listen("/tmp/"+strings.Repeat("x", 110), "x", d, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "longer than the 107 bytes") {
		t.Errorf("a long path: %v", err)
	}
}

// TestPeerCredentials asks as an unprivileged user through a socket that
// somebody opened to all.
func TestPeerCredentials(t *testing.T) {
	d := &daemon{stopped: make(chan struct{})}
	_, path := serve(t, d)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	helper := filepath.Join(filepath.Dir(path), "client")
	text, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(helper, text, 0o755), os.Chmod(helper, 0o755)); err != nil { // whatever the umask
		t.Fatal(err)
	}
	ask := func() string {
		r := script.Run(t.Context(), script.Command{Argv: []string{helper}, User: "nobody",
			Env: []string{"DIRECTOR_TEST_ASK=" + path, "GOCOVERDIR=/tmp"}, Timeout: 20 * time.Second})
		return r.Output
	}
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := ask(); !strings.Contains(got, "only root and the daemon's user may ask") {
		t.Errorf("mode 0600: %q", got)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := ask(); !strings.Contains(got, "is neither root nor the daemon's user") {
		t.Errorf("mode 0666: %q", got)
	}
	select {
	case <-d.stopped:
		t.Error("an unprivileged user stopped the daemon")
	default:
	}
}

func TestMain(m *testing.M) {
	if path := os.Getenv("DIRECTOR_TEST_ASK"); path != "" {
		c, err := Dial(context.Background(), path)
		if err == nil {
			err = c.Stop(context.Background())
		}
		os.Stdout.WriteString("answer: " + errorText(err) + "\n")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func errorText(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}

func TestHostileClients(t *testing.T) {
	d := &daemon{}
	_, path := serve(t, d)
	for _, tc := range []struct {
		name string
		send []byte
		want string
	}{
		{"long", binary.BigEndian.AppendUint32(nil, maxRequest+1), "control: frame of 100663297 bytes is longer than the 100663296 allowed"},
		{"not JSON", append(binary.BigEndian.AppendUint32(nil, 3), "abc"...), "control: malformed frame: invalid character 'a' looking for beginning of value"},
		{"torn", append(binary.BigEndian.AppendUint32(nil, 30), "{}"...), "control: unexpected EOF inside a frame"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write(tc.send); err != nil {
				t.Fatal(err)
			}
			conn.CloseWrite()
			var res Response
			if err := readFrame(conn, maxResponse, &res); err != nil {
				t.Fatal(err)
			}
			if res.Error != tc.want {
				t.Errorf("got %q, want %q", res.Error, tc.want)
			}
			if _, err := conn.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
	// More connections than allowed: those above are closed, the daemon goes on. Those of
	// the cases before may still be counted, so which are above is not known, only how many.
	const over = 5
	refused := make(chan Response, maxConnections+over)
	var conns []net.Conn
	for range maxConnections + over {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
		go func() {
			var res Response
			if readFrame(conn, maxResponse, &res) == nil {
				refused <- res
			}
		}()
	}
	const patience = 30 * time.Second
	limit := time.After(patience)
	for n := range over {
		select {
		case res := <-refused:
			if res.Error != "director has 64 connections already" {
				t.Errorf("a connection above the limit: %+v", res)
			}
		case <-limit:
			t.Fatalf("%d connections above the limit were refused, want %d", n, over)
		}
	}
	for _, conn := range conns {
		conn.Close()
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		c, err := Dial(t.Context(), path)
		if err == nil {
			_, err = c.Version(t.Context())
			c.Close()
		}
		if err == nil {
			break
		}
		if time.Since(began) > patience {
			t.Fatalf("the daemon does not answer any more: %v", err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	var seed bytes.Buffer
	if err := writeFrame(&seed, Request{Op: OpReload, Args: []byte(`{"a":1}`)}); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, frame []byte) {
		var req Request
		if err := readFrame(bytes.NewReader(frame), maxRequest, &req); err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeFrame(&out, req); err != nil {
			t.Fatalf("read but cannot be written: %v", err)
		}
		var again Request
		if err := readFrame(&out, maxRequest, &again); err != nil || again.Op != req.Op {
			t.Fatalf("wrote %+v, read %+v, %v", req, again, err)
		}
	})
}
