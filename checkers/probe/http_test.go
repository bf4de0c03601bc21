package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// web serves handler and returns where.
func web(t testing.TB, handler http.HandlerFunc) Target {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return Target{Addr: netip.MustParseAddrPort(s.Listener.Addr().String())}
}

// script answers each connection, once the request's head was read, with the
// given texts, and then does what last says.
func script(t testing.TB, last func(net.Conn), texts ...string) Target {
	t.Helper()
	return serve(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			c.Close()
			return
		}
		for _, text := range texts {
			io.WriteString(c, text)
		}
		last(c)
	})
}

func hangUp(c net.Conn)    { c.Close() }
func sendRST(c net.Conn)   { c.(*net.TCPConn).SetLinger(0); c.Close() }
func sayNoMore(c net.Conn) { io.Copy(io.Discard, c); c.Close() } // until the other end closes
func drip(c net.Conn)      { dripText(c, "x") }
func dripHead(c net.Conn)  { dripText(c, "X-Filler: 1\r\n") }

func dripText(c net.Conn, text string) {
	defer c.Close()
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestHTTPAnswers(t *testing.T) {
	answer := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	huge := func(before, mark string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, before)
			filler := strings.Repeat("x", 64<<10)
			for range 64 { // 4 MiB
				io.WriteString(w, filler)
			}
			io.WriteString(w, mark)
		}
	}
	const head = "HTTP/1.1 200 OK\r\n"
	hello := sha256.Sum256([]byte("hello"))
	tests := []struct {
		name     string
		to       Target
		settings HTTPSettings
		want     Reason
		detail   string
	}{
		{"good", web(t, answer(200, "hello")), HTTPSettings{}, Passed, "status 200"},
		{"no content", web(t, answer(204, "")), HTTPSettings{}, Passed, "status 204"},
		{"server failure", web(t, answer(503, "")), HTTPSettings{}, BadStatus, "status 503 Service Unavailable, want 200-299"},
		{"redirect is not followed", web(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}), HTTPSettings{}, BadStatus, "status 302 Found"},
		{"redirect as wanted", web(t, answer(302, "")), HTTPSettings{Status: []StatusRange{{200, 200}, {300, 399}}}, Passed, "status 302"},
		{"not in the ranges", web(t, answer(204, "")), HTTPSettings{Status: []StatusRange{{200, 200}, {300, 399}}}, BadStatus, "want 200,300-399"},
		{"body", web(t, answer(200, "all is well")), HTTPSettings{Body: "is well"}, Passed, "status 200"},
		{"wrong body", web(t, answer(200, "maintenance")), HTTPSettings{Body: "is well"}, BodyMismatch, `status 200, but the body (11 bytes read) does not contain "is well"`},
		{"wrong status comes before wrong body", web(t, answer(500, "maintenance")), HTTPSettings{Body: "is well"}, BadStatus, "status 500"},
		{"huge body", web(t, huge("", "")), HTTPSettings{}, Passed, "status 200"},
		{"huge body, found at its start", web(t, huge("MARK", "")), HTTPSettings{Body: "MARK"}, Passed, "status 200"},
		{"huge body, mark beyond the limit", web(t, huge("", "MARK")), HTTPSettings{Body: "MARK"}, BodyMismatch, "1048576 bytes read"},
		{"digest of a body as long as allowed", web(t, answer(200, "hello")), HTTPSettings{Digest: hello[:], MaxBody: 5}, Passed, "status 200"},
		{"digest of a longer one", web(t, answer(200, "hello, you")), HTTPSettings{Digest: hello[:], MaxBody: 5}, BodyMismatch,
			"status 200, but the body (6 bytes read) is longer than max_body, 5 bytes"},
		{"text in a longer one", web(t, answer(200, "hello, you")), HTTPSettings{Digest: hello[:], Body: "lo,", MaxBody: 5}, BodyMismatch, `does not contain "lo,"`},
		{"digest of chunks", script(t, hangUp, head, "Transfer-Encoding: chunked\r\n\r\n", "1\r\nh\r\n1\r\ne\r\n", "0\r\n\r\n"),
			HTTPSettings{Digest: hello[:], MaxBody: 1}, BodyMismatch, "is longer than max_body"},
		{"chunked", script(t, hangUp, head, "Transfer-Encoding: chunked\r\n\r\n", "3\r\nal", "l\r\n5\r\n is w\r\n", "0\r\n\r\n"), HTTPSettings{Body: "all is w"}, Passed, "status 200"},
		{"body ends with the connection", script(t, hangUp, "HTTP/1.0 200 OK\r\n\r\n", "all"), HTTPSettings{Body: "all"}, Passed, "status 200"},
		{"interim replies", script(t, hangUp, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", head, "Content-Length: 0\r\n\r\n"), HTTPSettings{}, Passed, "status 200"},
		{"interim replies for ever", script(t, hangUp, strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 50)), HTTPSettings{}, BadAnswer, "read reply: more than 8 interim replies"},
		{"switches protocols", script(t, hangUp, "HTTP/1.1 101 Switching Protocols\r\n\r\n"), HTTPSettings{}, BadAnswer, "read reply: status 101"},
		{"body cut short", script(t, hangUp, head, "Content-Length: 10\r\n\r\n", "all"), HTTPSettings{}, BadAnswer, "read body of reply with status 200: the server closed the connection before the reply was complete"},
		{"closes at once", script(t, hangUp), HTTPSettings{}, BadAnswer, "read reply: the server closed"},
		{"resets at once", script(t, sendRST), HTTPSettings{}, Reset, "read reply: connection reset by peer"},
		{"not HTTP", script(t, hangUp, "220 mail ESMTP\r\n"), HTTPSettings{}, BadAnswer, "read reply: malformed HTTP"},
		{"not HTTP, and does not hang up", script(t, sayNoMore, "220 mail ESMTP\r\n"), HTTPSettings{}, BadAnswer, "read reply: malformed HTTP"},
		{"control characters", script(t, hangUp, "HTTP/1.1 599 \x1b[31mred\r\nContent-Length: 0\r\n\r\n"), HTTPSettings{}, BadStatus, "status 599 [31mred, want"},
		{"endless header", script(t, hangUp, head, strings.Repeat("X-Filler: 0123456789\r\n", 10000)), HTTPSettings{}, BadAnswer, "header of more than 65536 bytes"},
		{"hangs before the reply", script(t, sayNoMore), HTTPSettings{}, Timeout, "read reply: no answer after"},
		{"hangs in the body", script(t, sayNoMore, head, "Content-Length: 10\r\n\r\nall"), HTTPSettings{}, Timeout, "read body of reply with status 200: no answer after"},
		{"header drips", script(t, dripHead, head), HTTPSettings{}, Timeout, "read reply: no answer after"},
		{"body drips", script(t, drip, head, "\r\n"), HTTPSettings{}, Timeout, "read body of reply with status 200: no answer after"},
		{"does not hang up after its reply", script(t, sayNoMore, head, "Content-Length: 3\r\n\r\nall"), HTTPSettings{Body: "all"}, Passed, "status 200"},
		{"nobody listens", closedPort(t), HTTPSettings{}, Refused, "connect: connection refused"},
		{"no answer to connect", silentPort(t), HTTPSettings{}, Timeout, "connect: no answer after"},
		{"settings that would make two requests", closedPort(t), HTTPSettings{Path: "/ HTTP/1.1\r\nX: y"}, Local, "http: path"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for name, ask := range map[string]func(context.Context, time.Duration) Result{
				"alone": func(ctx context.Context, _ time.Duration) Result { return HTTP(ctx, test.to, test.settings) },
				"by a poller": func(_ context.Context, limit time.Duration) Result {
					return polled(t, &Exchange{To: test.to, Timeout: limit, HTTP: &test.settings})[0]
				},
			} {
				if got, ok := patiently(ask, func(r Result, limit time.Duration) bool {
					return r.Reason == test.want && r.OK == (test.want == Passed) && strings.Contains(r.Detail, test.detail) &&
						// The limit runs from before the probe begins, its duration from when it does.
						(test.want != Timeout || limit*3/4 <= r.Duration && r.Duration <= 10*limit)
				}); !ok {
					t.Errorf("%s: got %+v, want reason %s, detail with %q", name, got, test.want, test.detail)
				}
			}
		})
	}
}

func TestHTTPRequest(t *testing.T) {
	var seen atomic.Pointer[http.Request]
	to := web(t, func(w http.ResponseWriter, r *http.Request) { seen.Store(r) })
	tests := []struct {
		name     string
		settings HTTPSettings
		want     string
	}{
		{"defaults", HTTPSettings{}, fmt.Sprintf("GET / HTTP/1.1 %s", to.Addr)},
		{"all", HTTPSettings{Method: "HEAD", Path: "/health?full=1", Host: "www.example.net"}, "HEAD /health?full=1 HTTP/1.1 www.example.net"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if r := HTTP(within(t, 5*time.Second), to, test.settings); !r.OK {
				t.Fatal(r)
			}
			r := seen.Load()
			if got := fmt.Sprintf("%s %s %s %s", r.Method, r.RequestURI, r.Proto, r.Host); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if r.UserAgent() != "director" || !r.Close {
				t.Errorf("user agent %q, connection close %v", r.UserAgent(), r.Close)
			}
		})
	}
}

func TestHTTPHostHeader(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:80":       "192.0.2.1",
		"192.0.2.1:8080":     "192.0.2.1:8080",
		"[2001:db8::1]:80":   "[2001:db8::1]",
		"[2001:db8::1]:8080": "[2001:db8::1]:8080",
	} {
		text, err := (&HTTPSettings{}).request(Target{Addr: netip.MustParseAddrPort(addr)})
		if err != nil || !strings.Contains(string(text), "\r\nHost: "+want+"\r\n") {
			t.Errorf("%s: %q, %v", addr, text, err)
		}
	}
}

// A proxy in the environment must not be asked on behalf of a health check.
func TestHTTPIgnoresProxies(t *testing.T) {
	t.Setenv("http_proxy", "http://"+closedPort(t).Addr.String())
	to := web(t, func(w http.ResponseWriter, r *http.Request) {})
	if r := HTTP(within(t, 5*time.Second), to, HTTPSettings{Host: "www.example.net"}); !r.OK {
		t.Error(r)
	}
}

// The server closes first, so this machine keeps no TIME_WAIT state.
func TestHTTPLeavesNothingBehind(t *testing.T) {
	to := web(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })
	for range 20 {
		if r := HTTP(within(t, 5*time.Second), to, HTTPSettings{}); !r.OK {
			t.Fatal(r)
		}
		if r := polled(t, &Exchange{To: to, Timeout: 5 * time.Second, HTTP: &HTTPSettings{}})[0]; !r.OK {
			t.Fatal(r)
		}
	}
	for range 1000 { // LAST_ACK lasts for a moment
		if socketsTo(t, to) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d sockets towards the server are left", socketsTo(t, to))
}

func BenchmarkHTTP(b *testing.B) {
	// A minimal server: what is measured is the probe.
	to := serve(b, func(c net.Conn) {
		buf := make([]byte, 1024)
		c.Read(buf)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
		c.Close()
	})
	measure(b, func(ctx context.Context) Result { return HTTP(ctx, to, HTTPSettings{Body: "hello"}) })
}
