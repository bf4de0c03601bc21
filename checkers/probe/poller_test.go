package probe

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// newPoller runs a poller until stop is called; answers come by the channel.
func newPoller(t testing.TB) (p *Poller, answered <-chan Answer, stop func()) {
	t.Helper()
	answers := make(chan Answer, 10_000)
	p, err := NewPoller(func(list []Answer) {
		for _, a := range list {
			answers <- a
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { p.Run(ctx) })
	return p, answers, func() { cancel(); running.Wait() }
}

// polled makes exchanges with a poller of their own and returns the results in their order.
func polled(t testing.TB, list ...*Exchange) []Result {
	t.Helper()
	p, answers, stop := newPoller(t)
	defer stop()
	for i, x := range list {
		x.Owner = i
	}
	p.Ask(list)
	results := make([]Result, len(list))
	for range list {
		a := <-answers
		results[a.Exchange.Owner.(int)] = a.Result
		if took := time.Since(a.At); took < a.Result.Duration {
			t.Errorf("started %s ago, and took %s", took, a.Result.Duration)
		}
	}
	return results
}

// Many at once, of which some wait: each has its own answer, and can be asked again.
func TestPollerMany(t *testing.T) {
	good := serve(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	closed, silent := closedPort(t), silentPort(t)
	well := web(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	slow := web(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		io.WriteString(w, "late")
	})
	long := web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 5*shortReply))
		io.WriteString(w, "end")
	})
	var list []*Exchange
	var want []Reason
	add := func(to Target, s *HTTPSettings, limit time.Duration, r Reason) {
		list, want = append(list, &Exchange{To: to, Timeout: limit, HTTP: s}), append(want, r)
	}
	for i := range 50 {
		path := fmt.Sprintf("/%d", i)
		add(good, nil, time.Minute, Passed)
		add(closed, nil, time.Minute, Refused)
		add(silent, nil, 30*time.Millisecond, Timeout)
		add(well, &HTTPSettings{Path: path, Body: path}, time.Minute, Passed)
		add(well, &HTTPSettings{Path: path, Body: "other"}, time.Minute, BodyMismatch)
		add(slow, &HTTPSettings{Body: "late"}, time.Minute, Passed)
		add(good, &HTTPSettings{}, 20*time.Millisecond, Timeout)
		add(long, &HTTPSettings{Body: "end"}, time.Minute, Passed)
	}
	for range 2 {
		for i, r := range polled(t, list...) {
			if r.Reason != want[i] {
				t.Errorf("number %d: %+v, want %s", i, r, want[i])
			}
		}
	}
}

// What is given up is answered at once, however far it has come.
func TestPollerCancel(t *testing.T) {
	mute := serve(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	endless := web(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 5*shortReply))
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for name, x := range map[string]*Exchange{
		"connecting": {To: silentPort(t), Timeout: time.Minute},
		"asking":     {To: mute, Timeout: time.Minute, HTTP: &HTTPSettings{}},
		"away":       {To: endless, Timeout: time.Minute, HTTP: &HTTPSettings{}},
	} {
		for _, after := range []time.Duration{0, 50 * time.Millisecond} {
			p, answers, stop := newPoller(t)
			p.Ask([]*Exchange{x})
			time.Sleep(after)
			p.Cancel(x)
			select {
			case a := <-answers:
				if a.Exchange != x || a.Result.Reason != Canceled {
					t.Errorf("%s, after %s: %+v", name, after, a.Result)
				}
			case <-time.After(10 * time.Second):
				t.Fatalf("%s, after %s: no answer", name, after)
			}
			p.Cancel(x) // too late: nothing happens
			p.Ask([]*Exchange{{To: mute, Timeout: time.Minute}})
			if a := <-answers; !a.Result.OK {
				t.Errorf("%s: the next: %+v", name, a.Result)
			}
			stop()
		}
	}
}

func TestPollerTarget(t *testing.T) {
	from := make(chan net.Addr, 10)
	to := serve(t, func(c net.Conn) {
		from <- c.RemoteAddr()
		io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		sayNoMore(c)
	})
	to.Source, to.Mark, to.Device = netip.MustParseAddr("127.0.0.7"), 77, "lo"
	other := to
	other.Source = netip.MustParseAddr("::1")
	slow := silentPort(t)
	slow.ConnectTimeout = 50 * time.Millisecond
	r := polled(t, &Exchange{To: to, Timeout: 10 * time.Second, HTTP: &HTTPSettings{}}, &Exchange{To: other, Timeout: time.Second}, &Exchange{To: slow, Timeout: time.Minute})
	if got := <-from; !strings.HasPrefix(got.String(), "127.0.0.7:") || !r[0].OK {
		t.Errorf("the probe came from %s: %+v", got, r[0])
	}
	if r[1].Conclusive() || !strings.Contains(r[1].Detail, "another IP version") {
		t.Errorf("a source of another IP version: %+v", r[1])
	}
	if r[2].Reason != Timeout || r[2].Duration > 10*time.Second {
		t.Errorf("connect timeout: %+v", r[2])
	}
}

// A reply is whole at its last byte and not before, also where the server does not hang up.
func TestCompleteReplies(t *testing.T) {
	for _, test := range []struct {
		name, text string
		s          HTTPSettings
	}{
		{"length", "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\nhello", HTTPSettings{}},
		{"bare line ends", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", HTTPSettings{}},
		{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTPSettings{}},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", HTTPSettings{}},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTPSettings{Method: "HEAD"}},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7;x=y\r\nhe0\r\n\r\n\r\n2\r\nlo\r\n0\r\n\r\n", HTTPSettings{}},
		{"interim", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", HTTPSettings{}},
		{"as much as is read", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello", HTTPSettings{MaxBody: 5}},
	} {
		for n := range len(test.text) + 1 {
			if got := test.s.complete([]byte(test.text[:n])); got != (n == len(test.text)) {
				t.Errorf("%s: after %q it is complete: %v", test.name, test.text[:n], got)
			}
		}
		if r := test.s.judgeReply(time.Now(), bufio.NewReader(strings.NewReader(test.text))); !r.OK {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
	if (&HTTPSettings{}).complete([]byte("HTTP/1.0 200 OK\r\n\r\nuntil the end")) {
		t.Error("a body that ends with the connection is complete before")
	}
}

// What counts as complete is never found cut short by the parser.
func FuzzComplete(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), false)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nlo\r\n0\r\n\r\n"), false)
	f.Add([]byte("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, head bool) {
		s := HTTPSettings{MaxBody: 1000}
		if head {
			s.Method = "HEAD"
		}
		r := s.judgeReply(time.Now(), bufio.NewReader(bytes.NewReader(text)))
		if s.complete(text) && strings.Contains(r.Detail, "before the reply was complete") {
			t.Errorf("%q is complete, and judged %+v", text, r)
		}
	})
}
