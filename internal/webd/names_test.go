package webd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/config"
)

// TestNames: everything is told only to who calls the server by one of its names, so
// that no page in a browser can have its own name lead here.
func TestNames(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, testDaemon(t, sample(), func(w *config.Web) { w.ServerName = []string{"lb1.example.com", "Status.Example.COM"} }))
	_, port, _ := net.SplitHostPort(address)
	request := func(c net.Conn, path, host string) *http.Response {
		t.Helper()
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r
	}
	dial := func(network, address string) net.Conn {
		t.Helper()
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, test := range []struct {
		host string
		code int
	}{
		{"localhost", 200}, {"localhost:" + port, 200}, {"LocalHost.", 200}, {"director.localhost", 200},
		{"127.0.0.1", 200}, {address, 200}, {"192.0.2.1:80", 200}, {"[::1]:" + port, 200}, {"[2001:db8::1]", 200},
		{own, 200}, {own + ":" + port, 200}, {strings.ToUpper(own), 200}, {"", 200},
		{"lb1.example.com", 200}, {"LB1.example.com:" + port, 200}, {"lb1.example.com.", 200}, {"status.example.com", 200},
		{"evil.example", 421}, {"evil.example:" + port, 421}, {"localhost.evil.example", 421}, {own + ".evil.example", 421},
		{"evil.lb1.example.com", 421}, {"127.0.0.1.evil.example", 421}, {"xlocalhost", 421}, {"lb2.example.com", 421},
	} {
		for _, path := range []string{"/", "/metrics", "/api/status", "/api/events", "/healthz"} {
			if got := request(dial("tcp", address), path, test.host).StatusCode; got != test.code {
				t.Errorf("%s of %q: %d, want %d", path, test.host, got, test.code)
			}
		}
	}

	// A UNIX socket is reached by no browser, and proxies name it as they like.
	socket := filepath.Join(t.TempDir(), "web.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	feed, done := make(silentFeed), make(chan error, 1)
	go func() { done <- testDaemon(t, sample()).Run(context.Background(), feed, []net.Listener{l}) }()
	if got := request(dial("unix", socket), "/metrics", "proxy.example").StatusCode; got != 200 {
		t.Errorf("a UNIX socket by another name: %d", got)
	}
	close(feed)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
