package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Result is one request of a load and what became of it.
type Result struct {
	Start   time.Time
	Latency time.Duration // until the whole answer was read, or until it failed
	Body    string        // the answer without surrounding blanks: who it was that answered
	Status  int           // the HTTP status, 0 without an answer and for UDP
	Err     error         // why there was no answer; a status outside 200-299 is an error too
}

// A Load is a stream of requests at a fixed pace: one starts every period, whether the one before has been answered or not, so
// that an outage shows with all the requests that it cost.
type Load struct {
	period time.Duration
	cancel context.CancelFunc
	done   chan struct{} // closed when the last request has ended

	mu      sync.Mutex
	results []Result // in the order they ended
	sent    int
}

// LoadOptions changes what LoadHTTP does.
type LoadOptions struct {
	// KeepAlive lets requests share connections. Otherwise each makes its own, and closes it.
	KeepAlive bool
	// Host is sent as the Host header; empty: the host of the URL.
	Host string
}

// LoadHTTP starts GET requests from the host to url, one each period, each with a time limit, until Stop is called or ctx ends.
func (h *Host) LoadHTTP(ctx context.Context, url string, period, timeout time.Duration) *Load {
	return h.LoadHTTPWith(ctx, url, period, timeout, LoadOptions{})
}

// LoadHTTPWith is LoadHTTP with options.
func (h *Host) LoadHTTPWith(ctx context.Context, url string, period, timeout time.Duration, o LoadOptions) *Load {
	client := h.HTTPClient(timeout, o.KeepAlive)
	return newLoad(ctx, period, client.CloseIdleConnections, func(ctx context.Context) Result {
		return get(ctx, client, url, o.Host)
	})
}

// HTTPClient returns a client whose connections come from the host. It follows no redirects.
func (h *Host) HTTPClient(timeout time.Duration, keepAlive bool) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext:         h.DialContext,
			DisableKeepAlives:   !keepAlive,
			DisableCompression:  true,
			MaxIdleConnsPerHost: 64,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Get makes one request from the host and returns the status and the body. An answer of any status is no error.
func (h *Host) Get(url string, timeout time.Duration) (status int, body string, err error) {
	r := get(context.Background(), h.HTTPClient(timeout, false), url, "")
	if r.Status != 0 {
		return r.Status, r.Body, nil
	}
	return 0, r.Body, r.Err
}

func get(ctx context.Context, client *http.Client, url, host string) Result {
	r := Result{Start: time.Now()}
	r.Body, r.Status, r.Err = func() (string, int, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", 0, err
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil {
			return "", 0, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		text := strings.TrimSpace(string(body))
		if err != nil {
			return text, 0, err
		}
		if resp.StatusCode < 200 || resp.StatusCode > 299 {
			return text, resp.StatusCode, fmt.Errorf("status %s", resp.Status)
		}
		return text, resp.StatusCode, nil
	}()
	r.Latency = time.Since(r.Start)
	return r
}

// newLoad paces requests. Those that are under way when it is stopped are let end.
func newLoad(ctx context.Context, period time.Duration, last func(), request func(context.Context) Result) *Load {
	paceCtx, cancel := context.WithCancel(ctx)
	l := &Load{period: period, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(l.done)
		var under sync.WaitGroup
		tick := time.NewTicker(period)
		defer tick.Stop()
		for paceCtx.Err() == nil {
			l.mu.Lock()
			l.sent++
			l.mu.Unlock()
			under.Go(func() { l.add(request(context.WithoutCancel(ctx))) })
			select {
			case <-tick.C:
			case <-paceCtx.Done():
			}
		}
		under.Wait()
		last()
	}()
	return l
}

func (l *Load) add(r Result) {
	l.mu.Lock()
	l.results = append(l.results, r)
	l.mu.Unlock()
}

// Stop ends the load: no new requests; those under way end or time out before it returns. A second call does nothing.
func (l *Load) Stop() {
	l.cancel()
	<-l.done
}

// AwaitOK waits until n requests that were started after the call have been answered.
func (l *Load) AwaitOK(limit time.Duration, n int) error {
	from := time.Now()
	return EventuallyWithin(limit, func() error {
		if s := l.Since(from); s.OK < n {
			return fmt.Errorf("%d of %d requests answered: %v", s.OK, n, s)
		}
		return nil
	})
}

// Results returns the requests that have ended, in the order they were started.
func (l *Load) Results() []Result {
	l.mu.Lock()
	out := slices.Clone(l.results)
	l.mu.Unlock()
	slices.SortStableFunc(out, func(a, b Result) int { return a.Start.Compare(b.Start) })
	return out
}

// Stats sums up a load, or a part of it.
type Stats struct {
	OK, Failed int
	ByBody     map[string]int // answers by body
	// Gap is the longest time without service: from the end of one answered request to the end of the next. With
	// no failure it is about the period. GapStart is when it began.
	Gap      time.Duration
	GapStart time.Time
	// Median and Max are the latencies of the answered requests.
	Median, Max time.Duration
	FirstErr    error
}

// String is one line, such as "812 ok, 3 failed, longest gap 41ms, median 0.8ms, max 2ms".
func (s Stats) String() string {
	text := fmt.Sprintf("%d ok, %d failed, longest gap %v, median %v, max %v", s.OK, s.Failed,
		s.Gap.Round(time.Millisecond), s.Median.Round(100*time.Microsecond), s.Max.Round(100*time.Microsecond))
	if s.FirstErr != nil {
		text += fmt.Sprintf(" (first: %v)", s.FirstErr)
	}
	return text
}

// Stats sums up the requests that have ended so far.
func (l *Load) Stats() Stats { return l.Since(time.Time{}) }

// Since sums up the requests that were started at or after t.
func (l *Load) Since(t time.Time) Stats {
	all := l.Results()
	i, _ := slices.BinarySearchFunc(all, t, func(r Result, t time.Time) int { return r.Start.Compare(t) })
	return summarize(all[i:])
}

// summarize works on requests in the order of their start.
func summarize(rs []Result) Stats {
	s := Stats{ByBody: map[string]int{}}
	var ends []time.Time
	var latencies []time.Duration
	for _, r := range rs {
		if r.Err != nil {
			s.Failed++
			if s.FirstErr == nil {
				s.FirstErr = r.Err
			}
			continue
		}
		s.OK++
		s.ByBody[r.Body]++
		ends = append(ends, r.Start.Add(r.Latency))
		latencies = append(latencies, r.Latency)
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := 1; i < len(ends); i++ {
		if gap := ends[i].Sub(ends[i-1]); gap > s.Gap {
			s.Gap, s.GapStart = gap, ends[i-1]
		}
	}
	if n := len(latencies); n > 0 {
		slices.Sort(latencies)
		s.Median, s.Max = latencies[n/2], latencies[n-1]
	}
	return s
}

// LoadUDP sends datagrams from one socket of the host to an EchoServer (or anything that answers each datagram), one each
// period, until Stop is called or ctx ends. A datagram without an answer within timeout has failed. Body is what the server
// put before the echo: its name.
func (h *Host) LoadUDP(ctx context.Context, addr string, period, timeout time.Duration) (*Load, error) {
	conn, err := h.ListenPacket("udp", ":0")
	if err != nil {
		return nil, fmt.Errorf("%s: udp load: %w", h.name, err)
	}
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: udp load: %w", h.name, err)
	}
	u := &udpLoad{conn: conn, to: to, timeout: timeout, waiting: map[string]chan string{}}
	go u.read()
	return newLoad(ctx, period, func() { conn.Close() }, u.request), nil
}

type udpLoad struct {
	conn    net.PacketConn
	to      net.Addr
	timeout time.Duration

	mu      sync.Mutex
	next    int
	waiting map[string]chan string // by the text sent
}

var errNoAnswer = errors.New("no answer")

func (u *udpLoad) request(context.Context) Result {
	answer := make(chan string, 1)
	u.mu.Lock()
	u.next++
	text := fmt.Sprintf("%d", u.next)
	u.waiting[text] = answer
	u.mu.Unlock()
	defer func() {
		u.mu.Lock()
		delete(u.waiting, text)
		u.mu.Unlock()
	}()
	r := Result{Start: time.Now()}
	_, r.Err = u.conn.WriteTo([]byte(text), u.to)
	// A send that fails (no route while an interface is away) counts after the full time too, as a client would.
	select {
	case r.Body = <-answer:
		r.Err = nil
	case <-time.After(u.timeout):
		if r.Err == nil {
			r.Err = errNoAnswer
		}
	}
	r.Latency = time.Since(r.Start)
	return r
}

// read hands answers out. Errors (an ICMP refusal) say nothing about a single datagram and are passed over.
func (u *udpLoad) read() {
	buf := make([]byte, 2048)
	for {
		n, _, err := u.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		who, text, _ := strings.Cut(string(buf[:n]), " ")
		u.mu.Lock()
		if c := u.waiting[text]; c != nil {
			select {
			case c <- who:
			default: // a duplicate
			}
		}
		u.mu.Unlock()
	}
}
