package checkd

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"director/checkers/probe"
	"director/config"
)

// asked makes the probe that a check in TOML describes, of a server at address.
func asked(t *testing.T, check string, address string) probe.Result {
	t.Helper()
	return askedWithin(t, "30s", check, address)
}

// askedInVain is asked, for what need not be awaited long.
func askedInVain(t *testing.T, check string, address string) probe.Result {
	t.Helper()
	return askedWithin(t, "300ms", check, address)
}

func askedWithin(t *testing.T, limit, check, address string) probe.Result {
	t.Helper()
	text := fmt.Sprintf("[virtual_server.web]\naddress = \"192.0.2.1:80\"\nprotocol = \"tcp\"\nreal_server = [%q]\ncheck = { timeout = %q, %s }\n", address, limit, check)
	c, err := config.Parse("x.toml", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", check, err)
	}
	o := translate(&c.VirtualServers[0]).orders[0][0]
	ctx, cancel := context.WithTimeout(t.Context(), o.timeout)
	defer cancel()
	return Ask(ctx, o.Query, o.plan)
}

// speaks serves a protocol of lines: reply says what to answer; "" ends it.
func speaks(t *testing.T, banner string, reply func(string, net.Conn) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.WriteString(c, banner)
				in := bufio.NewScanner(c)
				for in.Scan() {
					text := reply(in.Text(), c)
					if text == "" {
						return
					}
					io.WriteString(c, text)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// Every key about what is asked and what is a good answer reaches the probe: each
// check here passes as it is written, and its twin, in which one thing is wrong,
// does not.
func TestKeysReachTheProbe(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/status" {
			w.WriteHeader(418)
		}
		fmt.Fprintf(w, "%s %s %s %s %s %s", r.Method, r.Host, r.URL.Path, r.Proto, r.Header.Get("X-A"), body)
	}
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(echo))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	old := httptest.NewUnstartedServer(plain.Config.Handler)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}
	old.StartTLS()
	defer old.Close()
	oldWeb := old.Listener.Addr().String()
	web, tlsWeb := plain.Listener.Addr().String(), secure.Listener.Addr().String()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o644); err != nil {
		t.Fatal(err)
	}
	trusted := fmt.Sprintf("ca_file = %q", ca)
	days := int(time.Until(secure.Certificate().NotAfter)/(24*time.Hour)) + 1
	dialogue := speaks(t, "banner\n", func(s string, c net.Conn) string {
		if s == "who" {
			return c.RemoteAddr().String() + "\n"
		}
		return "<" + s + ">\n"
	})
	mail := speaks(t, "220 hi\r\n", func(s string, _ net.Conn) string {
		switch {
		case s == "EHLO lb.example.com":
			return "250 ok\r\n"
		case s == "QUIT":
			return "221 bye\r\n"
		}
		return "550 no\r\n"
	})
	agent := speaks(t, "", func(s string, _ net.Conn) string { return map[string]string{"web1": "up 40%\n", "x": "down\n"}[s] })
	gone := speaks(t, "", func(string, net.Conn) string { return "" })
	state := filepath.Join(dir, "state")
	if err := os.WriteFile(state, []byte("3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ address, good, bad string }{
		{web, `type = "http", body = "GET"`, `type = "http", body = "POST"`},
		{web, `type = "http", path = "/x", body = "/x"`, `type = "http", path = "/y", body = "/x"`},
		{web, `type = "http", host = "h", body = "GET h /"`, `type = "http", body = "GET h /"`},
		{web, `type = "http", method = "PUT", request_body = "data", body_regexp = "^PUT .* data$"`, `type = "http", method = "PUT", body_regexp = "^PUT .* data$"`},
		{web, `type = "http", headers = ["X-A: yes"], body = "yes"`, `type = "http", body = "yes"`},
		{web, `type = "http", body_not = "PUT"`, `type = "http", body_not = "GET"`},
		{web, `type = "http", path = "/status", status = [418]`, `type = "http", path = "/status"`},
		{web, `type = "http", http_version = "1.0", body = "HTTP/1.0"`, `type = "http", body = "HTTP/1.0"`},
		{web, `type = "http", body = "GET", max_body = 3`, `type = "http", body = "GET ", max_body = 3`},
		{web, `type = "http", url = ["/a", { path = "/status", status = [418] }]`, `type = "http", url = ["/a", "/status"]`},
		{web, `type = "http", body = "/a", url = ["/a", { path = "/b", body = "/b" }]`, `type = "http", body = "/a", url = ["/a", "/b"]`},
		{web, `type = "http", url = [{ path = "/a", host = "h", body_regexp = "h /a", body_not = "x" }]`, `type = "http", url = [{ path = "/a", host = "h", body_not = "h" }]`},
		{tlsWeb, `type = "https", ` + trusted + `, server_name = "example.com"`, `type = "https"`},
		{tlsWeb, `type = "https", verify = false`, `type = "https", ` + trusted + `, server_name = "example.net"`},
		{tlsWeb, `type = "https", host = "example.com:99", ` + trusted, `type = "https", host = "example.net", ` + trusted},
		{tlsWeb, `type = "https", http_version = "2", body = "HTTP/2", ` + trusted, `type = "https", body = "HTTP/2", ` + trusted},
		{tlsWeb, `type = "tls", ` + trusted, `type = "tls"`},
		{tlsWeb, `type = "tcp", tls = true, verify = false, send = "GET / HTTP/1.0\r\n\r\n", expect = "200 OK"`, `type = "tcp", tls = true, send = "GET / HTTP/1.0\r\n\r\n", expect = "200 OK"`},
		{dialogue, `type = "tcp", send = "abc\n", expect = "<abc>"`, `type = "tcp", send = "abd\n", expect = "<abc>"`},
		{dialogue, `type = "tcp", send = "hex:6162630a", expect = "hex:3c6??2633e"`, `type = "tcp", send = "abc\n", expect = "hex:3c6??2643e"`},
		{dialogue, `type = "tcp", expect_regexp = "ban+er"`, `type = "tcp", expect_regexp = "^x"`},
		{dialogue, `type = "tcp", send = "who\n", expect = "127.0.0.9:", bind_address = "127.0.0.9"`, `type = "tcp", send = "who\n", expect = "127.0.0.9:"`},
		{dialogue, `type = "tcp", bind_interface = "lo", fwmark = 9`, `type = "tcp", bind_interface = "nosuchlink"`},
		{mail, `type = "smtp", helo_name = "lb.example.com"`, `type = "smtp"`},
		{gone, `type = "agent", connect_port = ` + gone[strings.LastIndexByte(gone, ':')+1:], `type = "agent", agent_required = true, connect_port = ` + gone[strings.LastIndexByte(gone, ':')+1:]},
		{agent, `type = "agent", send = "web1\n", connect_port = ` + agent[strings.LastIndexByte(agent, ':')+1:], `type = "agent", send = "x\n", connect_port = ` + agent[strings.LastIndexByte(agent, ':')+1:]},
		{web, fmt.Sprintf(`type = "file", file = %q, up_when = "exists"`, state), fmt.Sprintf(`type = "file", file = %q`, state)},
		{web, fmt.Sprintf(`type = "file", file = %q, weight = 2`, state), fmt.Sprintf(`type = "file", file = %q, up_when = "missing"`, state)},
		{web, fmt.Sprintf(`type = "file", file = %q`, state+"x"), fmt.Sprintf(`type = "file", file = %q, up_when = "exists"`, state+"x")},
	} {
		if r := asked(t, test.good, test.address); !r.OK {
			t.Errorf("%s: %s", test.good, r)
		}
		if r := askedInVain(t, test.bad, test.address); r.OK {
			t.Errorf("%s: %s", test.bad, r)
		}
	}
	if r := asked(t, fmt.Sprintf(`type = "tls", %s, expiry_warning_days = %d`, trusted, min(days, 3650)), tlsWeb); days < 3650 && r.Warning == "" {
		t.Errorf("no warning: %+v", r)
	}
	for version, good := range map[string]bool{"1.0": true, "1.1": true, "1.2": false, "1.3": false} {
		if r := asked(t, fmt.Sprintf(`type = "tls", %s, tls_min_version = %q`, trusted, version), oldWeb); r.OK != good {
			t.Errorf("TLS 1.1 with tls_min_version %s: %+v", version, r)
		}
	}
	if r := asked(t, `type = "file", weight = 2, file = "`+state+`"`, web); r.Advice.String() != "+6" {
		t.Errorf("file: %+v", r)
	}
}

func TestHostName(t *testing.T) {
	for in, want := range map[string]string{"www": "www", "www:80": "www", "[::1]": "::1", "[::1]:80": "::1", "10.0.0.1:8": "10.0.0.1", "": ""} {
		if got := hostName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Checks with different intervals of one question are made apart, and the same ones
// together, whatever server's list they stand in.
func TestTaskIdentity(t *testing.T) {
	c, err := config.Parse("x", []byte(`
[virtual_server.web]
address = "192.0.2.1:80"
check = { type = "http", headers = ["A: b"] }
real_server = ["10.0.0.1", { address = "10.0.0.2", check = { type = "http", headers = ["A: b"] } }, { address = "10.0.0.1:81", check = [
  { type = "http", headers = ["A: b"], connect_port = 80 }, { type = "http", headers = ["A: c"], connect_port = 80 },
  { type = "http", headers = ["A: b"], connect_port = 80, jitter = "1s" }, { type = "http", headers = ["A: b"], connect_port = 80, rise = 5 } ] }]
`))
	if err != nil {
		t.Fatal(err)
	}
	o := translate(&c.VirtualServers[0]).orders
	same := o[0][0]
	for i, want := range []bool{true, false, false, true} {
		if got := o[2][i].schedule == same.schedule; got != want {
			t.Errorf("check %d is the same task: %v", i, got)
		}
	}
	if o[1][0].plan != same.plan || o[1][0].Target != netip.MustParseAddrPort("10.0.0.2:80") {
		t.Errorf("an equal check: %+v", o[1][0])
	}
}
