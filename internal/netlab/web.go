package netlab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// HealthPath is the path that WebServer and Nginx answer with 200 "ok" when they are healthy and with 503 when not.
const HealthPath = "/health"

// A WebServer is a web server on a host that lives in this process: quick to start, and its health, speed and count of requests
// are in the test's hand. It serves
//
//	/         the page
//	/health   200, or 503 while it is unhealthy
//	/stream   the page and a number, 1, 2, ..., as a line every 20 ms, without end (see Host.LongTransfer)
//	/slow     the page after 1 s
type WebServer struct {
	listener  net.Listener
	server    *http.Server
	page      string
	requests  atomic.Int64
	health    atomic.Int64
	unhealthy atomic.Bool
	closed    sync.Once
}

// WebServer starts a web server on the host. An address without a port number gets a free one.
func (h *Host) WebServer(addr netip.AddrPort, page string) (*WebServer, error) {
	l, err := h.Listen("tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("%s: web server: %w", h.name, err)
	}
	w := &WebServer{listener: l, page: page}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		fmt.Fprintln(rw, w.page)
	})
	mux.HandleFunc(HealthPath, func(rw http.ResponseWriter, r *http.Request) {
		w.health.Add(1)
		if w.unhealthy.Load() {
			http.Error(rw, "unhealthy", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(rw, "ok")
	})
	mux.HandleFunc("/slow", func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
		fmt.Fprintln(rw, w.page)
	})
	mux.HandleFunc("/stream", func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			if _, err := fmt.Fprintln(rw, w.page, n); err != nil {
				return
			}
			_ = http.NewResponseController(rw).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	})
	w.server = &http.Server{Handler: mux}
	go func() { _ = w.server.Serve(l) }()
	return w, nil
}

// Addr is where the server listens.
func (w *WebServer) Addr() netip.AddrPort { return w.listener.Addr().(*net.TCPAddr).AddrPort() }

// SetHealthy chooses between 200 and 503 on HealthPath. A new server is healthy.
func (w *WebServer) SetHealthy(ok bool) { w.unhealthy.Store(!ok) }

// Requests counts the requests for anything but HealthPath.
func (w *WebServer) Requests() int { return int(w.requests.Load()) }

// HealthChecks counts the requests for HealthPath.
func (w *WebServer) HealthChecks() int { return int(w.health.Load()) }

// Close stops the server at once: open connections are closed, new ones refused.
func (w *WebServer) Close() { w.closed.Do(func() { _ = w.server.Close() }) }

// An EchoServer answers each datagram with its name, a blank and the datagram.
type EchoServer struct {
	conn net.PacketConn
}

// EchoServer starts a UDP echo server on the host, for LoadUDP.
func (h *Host) EchoServer(addr netip.AddrPort, name string) (*EchoServer, error) {
	conn, err := h.ListenPacket("udp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("%s: echo server: %w", h.name, err)
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(append([]byte(name+" "), buf[:n]...), from)
		}
	}()
	return &EchoServer{conn: conn}, nil
}

// Addr is where the server listens.
func (e *EchoServer) Addr() netip.AddrPort { return e.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close stops the server.
func (e *EchoServer) Close() { _ = e.conn.Close() }

// A Transfer is one long download over one connection, of which every byte is checked.
type Transfer struct {
	cancel context.CancelFunc
	done   chan struct{}
	from   string
	local  string

	mu    sync.Mutex
	bytes int64
	last  time.Time
	stall time.Duration
	err   error
}

// LongTransfer starts a download from the host that goes on until Stop is called, the server ends it or the connection
// breaks. The URL is a WebServer's /stream: anything but the next line of that breaks the transfer too. It returns when the first
// line is there.
func (h *Host) LongTransfer(ctx context.Context, url string) (*Transfer, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &Transfer{cancel: cancel, done: make(chan struct{})}
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { t.local = i.Conn.LocalAddr().String() }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, url, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	client := h.HTTPClient(0, false)
	resp, err := client.Do(req)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s: transfer: %w", h.name, err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("%s: transfer: status %s", h.name, resp.Status)
	}
	lines := bufio.NewReader(resp.Body)
	first, err := lines.ReadString('\n')
	page, numbered := strings.CutSuffix(first, " 1\n")
	if err != nil || !numbered {
		resp.Body.Close()
		cancel()
		return nil, fmt.Errorf("%s: transfer: the first line is %q (%v)", h.name, first, err)
	}
	t.from, t.bytes, t.last = page, int64(len(first)), time.Now()
	go func() {
		defer close(t.done)
		defer resp.Body.Close()
		for n := 2; ; n++ {
			if err := t.next(lines, fmt.Sprintf("%s %d\n", page, n)); err != nil {
				if ctx.Err() == nil {
					t.mu.Lock()
					t.err = err
					t.mu.Unlock()
				}
				return
			}
		}
	}()
	return t, nil
}

// next reads a line and wants it to be this one.
func (t *Transfer) next(lines *bufio.Reader, want string) error {
	line, err := lines.ReadString('\n')
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.stall = max(t.stall, now.Sub(t.last))
	t.last = now
	t.bytes += int64(len(line))
	switch {
	case err == io.EOF:
		return errors.New("the server ended it")
	case err == nil && line != want:
		return fmt.Errorf("got %q, want %q", line, want)
	}
	return err
}

// From is the page of the server that sends.
func (t *Transfer) From() string { return t.from }

// Local is the client's end of the connection, address and port.
func (t *Transfer) Local() string { return t.local }

// Bytes counts what has arrived.
func (t *Transfer) Bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bytes
}

// LongestStall is the longest time between two arrivals, the one going on included.
func (t *Transfer) LongestStall() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.done:
		return t.stall
	default:
		return max(t.stall, time.Since(t.last))
	}
}

// Err is why the transfer broke; nil while it goes on and after Stop.
func (t *Transfer) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Stop ends the transfer.
func (t *Transfer) Stop() {
	t.cancel()
	<-t.done
}
