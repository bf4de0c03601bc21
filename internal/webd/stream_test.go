package webd

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
)

// TestStream: what happens comes as it happens, each event once, and only the number of
// the newest state.
func TestStream(t *testing.T) {
	d := testDaemon(t, sample())
	address := serve(t, d)
	r, err := http.Get("http://" + address + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := r.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	lines := make(chan string, 100)
	go func() {
		for s := bufio.NewScanner(r.Body); s.Scan(); {
			lines <- s.Text()
		}
		close(lines)
	}()
	next := func() string {
		t.Helper()
		for {
			select {
			case l := <-lines:
				if l != "" && !strings.HasPrefix(l, ":") {
					return l
				}
			case <-time.After(time.Minute):
				t.Fatal("nothing comes")
			}
		}
	}
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if got := next(); !strings.HasPrefix(got, w) {
				t.Fatalf("%q, want %q", got, w)
			}
		}
	}
	expect("retry: 2000", "event: state", "data: 1")
	d.take(watchdog.News{Events: []control.Event{{Seq: 8, Kind: "instance", Subject: "a\nb"}}, Status: sample()}, time.Now())
	expect("id: 8", "event: change", `data: {"seq":8`, "event: state", "data: 2")
	d.take(watchdog.News{Events: []control.Event{{Seq: 9, Kind: "instance"}}}, time.Now())
	expect("id: 9", "event: change", `data: {"seq":9`)
}

// TestSlowStreams: clients that do not read cost the others nothing, keep no more than
// a few events, and are cut off.
func TestSlowStreams(t *testing.T) {
	t.Parallel()
	d := testDaemon(t, sample(), func(w *config.Web) { w.MaxConnections = 20 })
	address := serve(t, d)
	refused := 0
	for range 15 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.(*net.TCPConn).SetReadBuffer(1024)
		fmt.Fprint(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		line, err := bufio.NewReaderSize(c, 16).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "503") {
			refused++
		}
	}
	if refused != 5 {
		t.Errorf("%d of 15 clients were refused where 10 may follow", refused)
	}
	began := time.Now()
	large := control.Event{Kind: "instance", Reason: strings.Repeat("x", 10_000)}
	for i := range uint64(2000) {
		large.Seq = i + 1
		d.take(watchdog.News{Events: []control.Event{large}}, time.Now())
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("telling clients that do not read took %v", took)
	}
	d.streams.mu.Lock()
	for s := range d.streams.all {
		s.mu.Lock()
		if len(s.events) > streamQueue || !s.lost {
			t.Errorf("%d events wait for a client, lost %v", len(s.events), s.lost)
		}
		s.mu.Unlock()
	}
	d.streams.mu.Unlock()
	for deadline := time.Now().Add(12 * streamWrite); ; time.Sleep(50 * time.Millisecond) {
		d.streams.mu.Lock()
		n := len(d.streams.all)
		d.streams.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d clients that do not read still follow", n)
		}
	}
}

// TestGateCannotBeHeldByStreams: those who follow the events leave room for others.
func TestGateCannotBeHeldByStreams(t *testing.T) {
	address := serve(t, testDaemon(t, sample(), func(w *config.Web) { w.MaxConnections = 8 }))
	for range 20 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprint(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		time.Sleep(5 * time.Millisecond)
	}
	client := http.Client{Timeout: 30 * time.Second}
	r, err := client.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
}
