package webd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/bcrypt"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
)

func TestHealth(t *testing.T) {
	change := func(f func(*control.Status)) *control.Status {
		s := sample()
		s.VRRP.Instances[1].Name = "six"
		s.Checkers.Services = append(s.Checkers.Services, control.Service{Name: "dns", State: "down"})
		f(s)
		return s
	}
	well := change(func(*control.Status) {})
	for _, test := range []struct {
		what   string
		status *control.Status
		path   string
		code   int
		text   string
	}{
		{"all is well", well, "/healthz", 200, "ok"},
		{"the web process does not judge itself", change(func(s *control.Status) { s.Processes[3].State = "starting" }), "/healthz", 200, "ok"},
		{"an SNMP agent that is away is not waited for", change(func(s *control.Status) {
			s.Processes = append(s.Processes, control.Process{Role: "snmp", State: "respawn in 4s"})
		}), "/healthz", 200, "ok"},
		{"a process is not needed", change(func(s *control.Status) { s.Processes[2].State = "not needed" }), "/healthz", 200, "ok"},
		{"a process is dead", change(func(s *control.Status) { s.Processes[2].State = "respawn in 4s" }), "/healthz", 503, "checkers respawn in 4s"},
		{"a process hangs", change(func(s *control.Status) { s.Processes[1].Stale = true }), "/healthz", 503, "vrrp does not answer"},
		{"master", well, "/healthz/master/outside", 200, "MASTER"},
		{"backup", well, "/healthz/master/six", 503, "ipv6 BACKUP"},
		{"one family of two", change(func(s *control.Status) { s.VRRP.Instances[1].Name = "outside" }), "/healthz/master/outside", 503, "ipv6 BACKUP"},
		{"master, says a process that hangs", change(func(s *control.Status) { s.Processes[1].Stale = true }), "/healthz/master/outside", 503, "vrrp does not answer"},
		{"no such instance", well, "/healthz/master/x", 404, "there is no such instance"},
		{"no VRRP", change(func(s *control.Status) { s.VRRP = nil }), "/healthz/master/outside", 404, "there is no such instance"},
		{"service", well, "/healthz/service/web", 200, "up"},
		{"service down", well, "/healthz/service/dns", 503, "down"},
		{"no such service", well, "/healthz/service/x", 404, "there is no such virtual server"},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := ask(testDaemon(t, test.status), "GET", test.path)
			if got := strings.TrimSpace(w.Body.String()); w.Code != test.code || got != test.text {
				t.Errorf("%s: %d %q, want %d %q", test.path, w.Code, got, test.code, test.text)
			}
		})
	}
	t.Run("an old state", func(t *testing.T) {
		d := testDaemon(t, well)
		d.take(watchdog.News{Status: well}, time.Now().Add(-time.Minute))
		for _, path := range []string{"/healthz", "/healthz/master/outside", "/healthz/service/web"} {
			if w := ask(d, "GET", path); w.Code != 503 || !strings.Contains(w.Body.String(), "old") {
				t.Errorf("%s of a state that is a minute old: %d %s", path, w.Code, w.Body)
			}
		}
	})
	t.Run("no state", func(t *testing.T) {
		d := testDaemon(t, well)
		d.view.Store(nil)
		for _, path := range []string{"/healthz", "/healthz/master/outside", "/healthz/service/web", "/api/status"} {
			if w := ask(d, "GET", path); w.Code != 503 {
				t.Errorf("%s before the first state: %d", path, w.Code)
			}
		}
	})
}

// TestReadOnly: there is no way to change anything.
func TestReadOnly(t *testing.T) {
	d := testDaemon(t, sample())
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"} {
		for _, path := range []string{"/", "/metrics", "/api/status", "/api/events", "/events", "/healthz"} {
			if w := ask(d, method, path); w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	w := ask(d, "GET", "/metrics")
	if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("Content-Security-Policy: %q", csp)
	}
}

func TestJSON(t *testing.T) {
	d := testDaemon(t, sample())
	var got control.Status
	if err := json.Unmarshal(ask(d, "GET", "/api/status").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*sample(), got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	var events []control.Event
	for i := range uint64(keptEvents + 5) {
		events = append(events, control.Event{Seq: i + 1, Kind: "instance", Subject: "web"})
	}
	d.take(watchdog.News{Events: events[:3]}, time.Now())
	d.take(watchdog.News{Events: events[3:]}, time.Now())
	for query, want := range map[string][2]uint64{
		"": {6, keptEvents + 5}, "?after=1000": {1001, 1005}, "?after=5&limit=2": {1004, 1005}, "?limit=0": {6, 1005}, "?after=2000": {},
	} {
		var got []control.Event
		if err := json.Unmarshal(ask(d, "GET", "/api/events"+query).Body.Bytes(), &got); err != nil || got == nil {
			t.Fatalf("%s: %v %v", query, got, err)
		}
		if want[1] == 0 {
			if len(got) != 0 {
				t.Errorf("%s: %d events", query, len(got))
			}
			continue
		}
		if len(got) == 0 || got[0].Seq != want[0] || got[len(got)-1].Seq != want[1] || len(got) != int(want[1]-want[0])+1 {
			t.Errorf("%s: %d events", query, len(got))
		}
	}
	if w := ask(d, "GET", "/api/events?after=x"); w.Code != http.StatusBadRequest {
		t.Errorf("a question that makes no sense: %d", w.Code)
	}
}

// silentFeed tells nothing until it is closed.
type silentFeed chan struct{}

func (f silentFeed) Next() (watchdog.News, error) {
	<-f
	return watchdog.News{}, io.EOF
}

// serve runs a daemon on a loopback address, which it returns.
func serve(t *testing.T, d *Daemon) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	feed, done := make(silentFeed), make(chan error, 1)
	go func() { done <- d.Run(context.Background(), feed, []net.Listener{l}) }()
	t.Cleanup(func() {
		close(feed)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestQuietClients: clients that connect and say nothing, more than are allowed, keep
// nobody out.
func TestQuietClients(t *testing.T) {
	address := serve(t, testDaemon(t, sample(), func(w *config.Web) { w.MaxConnections = 8 }))
	quiet := func() {
		for i := range 40 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if i%2 == 0 {
				fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
			}
		}
	}
	quiet()
	client := http.Client{Timeout: headerTimeout * 4 / 5} // the quiet ones must go before their time
	for range 3 {
		r, err := client.Get("http://" + address + "/healthz")
		for tries := 0; err != nil && tries < 3; tries++ { // a busy machine's fault, unless it is so each time
			quiet()
			r, err = client.Get("http://" + address + "/healthz")
		}
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, r.Body)
		r.Body.Close()
		if r.StatusCode != 200 {
			t.Error(r.Status)
		}
	}
}

// TestGateCounts: there are never more connections than allowed, and all are
// forgotten when they end.
func TestGateCounts(t *testing.T) {
	g := newGate(3)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	gated := g.listen(l)
	var clients []net.Conn
	var accepted []net.Conn
	for range 5 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
		a, err := gated.Accept()
		if err != nil {
			t.Fatal(err)
		}
		accepted = append(accepted, a)
	}
	if len(g.all) != 3 || len(g.quiet) != 3 {
		t.Fatalf("%d connections, %d quiet", len(g.all), len(g.quiet))
	}
	for i, c := range clients {
		limit := 30 * time.Second
		if i >= 2 {
			limit = 50 * time.Millisecond
		}
		c.SetReadDeadline(time.Now().Add(limit))
		_, err := bufio.NewReader(c).ReadByte()
		if evicted := err == io.EOF; evicted != (i < 2) {
			t.Errorf("connection %d: %v", i, err)
		}
	}
	done := g.working(accepted[2])
	if len(g.quiet) != 2 {
		t.Error("a connection with a request is taken for quiet")
	}
	another := g.working(accepted[2]) // over HTTP/2
	another()
	if len(g.quiet) != 2 {
		t.Error("a connection is taken for quiet of which one request of two has ended")
	}
	done()
	if len(g.quiet) != 3 {
		t.Error("a connection without a request is not quiet")
	}
	for _, c := range accepted {
		c.Close()
	}
	if len(g.all) != 0 || len(g.quiet) != 0 {
		t.Errorf("%d connections, %d quiet after the end", len(g.all), len(g.quiet))
	}
}

// certificate writes a certificate for 127.0.0.1 and its key, and returns its authority.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}

const tlsPart = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"

func usersPart(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return "basic_auth_users:\n  ops: " + string(hash) + "\n"
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	const local, open = "127.0.0.1:9650", "0.0.0.0:9650"
	for _, test := range []struct {
		what, listen, file string
		insecure           bool
		want               string // part of the error
	}{
		{"loopback needs nothing", local, "", false, ""},
		{"loopback over IPv6", "[::1]:9650", "", false, ""},
		{"a UNIX socket", "/run/x.sock", "", false, ""},
		{"everybody, without anything", open, "", false, "without TLS and authentication"},
		{"everybody, said explicitly", open, "", true, ""},
		{"TLS and a password", open, tlsPart + usersPart(t), false, ""},
		{"TLS and client certificates", open, tlsPart + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: cert.pem\n", false, ""},
		{"client certificates that need not be", open, tlsPart + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: cert.pem\n", false, "no authentication"},
		{"TLS only", open, tlsPart, false, "no authentication"},
		{"a password only", open, usersPart(t), false, "no TLS"},
		{"neither", open, "http_server_config:\n  http2: true\n", false, "no TLS (tls_server_config) and no authentication"},
		{"neither, said explicitly", open, "http_server_config:\n  http2: true\n", true, ""},
		{"a key that is missing", local, "tls_server_config:\n  cert_file: cert.pem\n  key_file: absent.pem\n", false, "absent.pem"},
		{"an unknown key", local, "tls:\n  x: y\n", false, "not found"},
		{"no file", local, "-", false, "no such file"},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := config.Web{Listen: []string{test.listen}, AllowInsecure: test.insecure}
			if test.file != "" {
				c.ConfigFile = filepath.Join(dir, strings.ReplaceAll(test.what, " ", "-")+".yml")
			}
			if test.file != "" && test.file != "-" {
				if err := os.WriteFile(c.ConfigFile, []byte(test.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := Check(c)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// TestTLS: what is configured is served: nothing without TLS, nothing without the
// password.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	file := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(file, []byte(tlsPart+usersPart(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	address := serve(t, testDaemon(t, sample(), func(w *config.Web) { w.ConfigFile = file }))
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	get := func(url, password string) int {
		r, err := http.NewRequest("GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			r.SetBasicAuth("ops", password)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Log(err)
			return 0
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	for _, test := range []struct {
		url, password string
		want          int
	}{
		{"https://" + address + "/metrics", "secret", 200}, {"https://" + address + "/metrics", "wrong", 401},
		{"https://" + address + "/healthz", "", 401}, {"http://" + address + "/metrics", "secret", 400},
	} {
		if got := get(test.url, test.password); got != test.want {
			t.Errorf("%s with password %q: %d, want %d", test.url, test.password, got, test.want)
		}
	}
}
