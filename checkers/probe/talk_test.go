package probe

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"director/checkers"
)

func TestTalk(t *testing.T) {
	// Answers each line, after a banner, a byte at a time.
	to := serve(t, func(c net.Conn) {
		fmt.Fprint(c, "banner\n")
		buf := make([]byte, 100)
		n, _ := c.Read(buf)
		for _, b := range buf[:n] {
			c.Write([]byte{b})
		}
		sayNoMore(c)
	})
	endless := serve(t, func(c net.Conn) {
		for {
			if _, err := c.Write(make([]byte, 4096)); err != nil {
				return
			}
		}
	})
	text := func(s string) Match { return Match{Value: []byte(s)} }
	tests := []struct {
		name   string
		to     Target
		s      TalkSettings
		want   Reason
		detail string
	}{
		{"banner", to, TalkSettings{Expect: text("banner")}, Passed, `reply with "banner"`},
		{"echo", to, TalkSettings{Send: []byte("abc"), Expect: text("abc")}, Passed, ""},
		{"regexp", to, TalkSettings{Send: []byte("abc"), Expect: Match{Regexp: regexp.MustCompile("a.c$")}}, Passed, "reply with /a.c$/"},
		{"bits", to, TalkSettings{Send: []byte{1, 0xf7, 3}, Expect: Match{Value: []byte{0xf0, 3}, Mask: []byte{0xf0, 0xff}}}, Passed, "reply with hex:f003"},
		{"wrong bits", to, TalkSettings{Send: []byte{1, 0xe7, 3}, Expect: Match{Value: []byte{0xf0, 3}, Mask: []byte{0xf0, 0xff}}}, Timeout, "no hex:f003 in the reply"},
		{"missing", to, TalkSettings{Send: []byte("abc"), Expect: text("abd")}, Timeout, `no "abd" in the reply "banner\nabc" (10 bytes) after`},
		{"no end", endless, TalkSettings{Expect: text("x")}, BodyMismatch, "(65536 bytes)"},
		{"nobody", closedPort(t), TalkSettings{Expect: text("x")}, Refused, ""},
		{"send only", to, TalkSettings{Send: []byte("abc")}, Passed, "connected"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := patiently(func(ctx context.Context, _ time.Duration) Result { return Talk(ctx, test.to, test.s) },
				func(r Result, _ time.Duration) bool {
					return r.Reason == test.want && strings.Contains(r.Detail, test.detail)
				}); !ok {
				t.Errorf("%+v, want %s with %q", got, test.want, test.detail)
			}
		})
	}
}

// A reply that drips in is not searched anew for each byte of it, and what comes last
// is found nevertheless.
func TestSearch(t *testing.T) {
	m := Match{Regexp: regexp.MustCompile("ready$")}
	text := append(bytes.Repeat([]byte("x"), MaxReply-100), "ready"...)
	s := search{match: &m}
	for n := 1; n < len(text); n++ {
		if s.found(text[:n], false) {
			t.Fatalf("found in %d bytes", n)
		}
	}
	if s.searched > 2<<20 {
		t.Errorf("%d bytes were searched in a reply of %d", s.searched, len(text))
	}
	if !s.found(text, true) {
		t.Error("not found at the end")
	}
	// Short replies are looked at with each byte, wherever they end.
	s = search{match: &m}
	for n := range 1000 {
		if reply := append(bytes.Repeat([]byte("x"), n), "ready"...); !s.found(reply[:len(reply):len(reply)], false) {
			t.Fatalf("not found in %d bytes", len(reply))
		}
	}
}

// A server that drips and stays is found well at the deadline.
func TestTalkDrips(t *testing.T) {
	to := serve(t, func(c net.Conn) {
		c.Write(bytes.Repeat([]byte("x"), MaxReply-1000))
		for range 40 {
			time.Sleep(2 * time.Millisecond)
			c.Write([]byte("x"))
		}
		c.Write([]byte("ready"))
		sayNoMore(c)
	})
	if r, ok := patiently(func(ctx context.Context, _ time.Duration) Result {
		return Talk(ctx, to, TalkSettings{Expect: Match{Regexp: regexp.MustCompile("ready$")}})
	}, func(r Result, _ time.Duration) bool { return r.OK }); !ok {
		t.Errorf("%+v", r)
	}
}

func TestUDP(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			switch string(buf[:n]) {
			case "":
			case "empty":
				c.WriteTo(nil, from)
			case "huge":
				c.WriteTo(make([]byte, 40000), from)
			default:
				c.WriteTo(buf[:n], from)
			}
		}
	}()
	to := Target{Addr: c.LocalAddr().(*net.UDPAddr).AddrPort()}
	tests := []struct {
		name   string
		to     Target
		s      UDPSettings
		want   Reason
		detail string
	}{
		{"reply", to, UDPSettings{Send: []byte("abc"), RequireReply: true}, Passed, "reply of 3 bytes"},
		{"nothing in it", to, UDPSettings{Send: []byte("empty"), RequireReply: true}, Passed, "reply of 0 bytes"},
		{"huge", to, UDPSettings{Send: []byte("huge"), RequireReply: true}, Passed, "reply of 40000 bytes"},
		{"silence", to, UDPSettings{}, Passed, "no reply"},
		{"silence that counts", to, UDPSettings{RequireReply: true}, Timeout, "no answer"},
		{"port closed", closedPort(t), UDPSettings{}, Refused, "connection refused"},
		{"expected", to, UDPSettings{Send: []byte("abc"), Expect: Match{Value: []byte("bc")}}, Passed, ""},
		{"not expected", to, UDPSettings{Send: []byte("abc"), Expect: Match{Value: []byte("x")}}, BodyMismatch, `no "x" in the reply "abc"`},
		{"short", to, UDPSettings{Send: []byte("abc"), MinLength: 4}, BadAnswer, "want 4 at least"},
		{"long", to, UDPSettings{Send: []byte("abc"), MaxLength: 2}, BadAnswer, "want 2 at most"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got, ok := patiently(func(ctx context.Context, _ time.Duration) Result { return UDP(ctx, test.to, test.s) },
				func(r Result, _ time.Duration) bool {
					return r.Reason == test.want && strings.Contains(r.Detail, test.detail)
				}); !ok {
				t.Errorf("%+v, want %s with %q", got, test.want, test.detail)
			}
		})
	}
}

func TestParseAgent(t *testing.T) {
	for line, want := range map[string]struct {
		reason Reason
		advice string
		silent bool
	}{
		"up":                    {Passed, "", false},
		"75%":                   {Passed, "75%", true},
		"up 50%":                {Passed, "50%", false},
		"UP, 50%, ready":        {Passed, "50% ready", false},
		"drain":                 {Passed, "drain", true},
		"maint":                 {Passed, "maint", true},
		"ready up 100%":         {Passed, "100% ready", false},
		"down":                  {Drained, "", false},
		"down#disk full, 90%":   {Drained, "", false},
		"fail overload":         {Drained, "", false},
		"stopped 0%":            {Drained, "0%", false},
		"maxconn:30":            {Passed, "", true},
		"up maxconn:30%":        {Passed, "", false},
		"":                      {BadAnswer, "", false},
		"hello":                 {BadAnswer, "", false},
		"HTTP/1.1 400 Bad":      {BadAnswer, "", false},
		"-5%":                   {BadAnswer, "", false},
		"up 99999999999999999%": {Passed, "", false},
		"down up":               {Passed, "", false}, // the last word counts
	} {
		r := parseAgent(time.Now(), line)
		if r.Reason != want.reason || r.Advice.String() != want.advice || r.Advice.Silent != want.silent {
			t.Errorf("%q: %+v", line, r)
		}
	}
}

func TestAgent(t *testing.T) {
	answer := func(text string) Target {
		return serve(t, func(c net.Conn) {
			buf := make([]byte, 10)
			n, _ := c.Read(buf)
			if string(buf[:n]) == "web1\n" {
				io.WriteString(c, text)
			}
			c.Close()
		})
	}
	ask := AgentSettings{Send: []byte("web1\n")}
	for text, want := range map[string]checkers.Advice{
		"25% drain\n": {Weighing: checkers.Percent, Value: 25, Order: checkers.Drain, Silent: true},
		"up 25%":      {Weighing: checkers.Percent, Value: 25},
		"up\r\nrest":  {},
	} {
		if r := Agent(within(t, 5*time.Second), answer(text), ask); !r.OK || r.Advice != want || r.Warning != "" {
			t.Errorf("%q: %+v", text, r)
		}
	}
	down := answer("down # no disk\n")
	if r := Agent(within(t, 5*time.Second), down, ask); r.OK || r.Reason != Drained || !strings.Contains(r.Detail, "no disk") {
		t.Errorf("down: %+v", r)
	}
	for name, to := range map[string]Target{
		"nobody": closedPort(t), "empty": answer(""), "nonsense": answer("what?\n"), "too long": answer(strings.Repeat("x", maxAgent+1)),
		"slow": serve(t, sayNoMore),
	} {
		if r := Agent(within(t, 100*time.Millisecond), to, ask); !r.OK || !r.Advice.Silent || r.Warning == "" {
			t.Errorf("%s: %+v", name, r)
		}
		if r := Agent(within(t, 100*time.Millisecond), to, AgentSettings{Send: ask.Send, Required: true}); r.OK {
			t.Errorf("%s, required: %+v", name, r)
		}
	}
}

// health is a gRPC server: Go's own HTTP/2, and a reply by the asked service.
func health(t *testing.T) Target {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		status, code := []byte{8, 1}, "0"
		switch {
		case r.Header.Get("Te") != "trailers" || r.URL.Path != "/grpc.health.v1.Health/Check" || r.ProtoMajor != 2:
			w.WriteHeader(http.StatusBadRequest)
			return
		case strings.HasSuffix(string(body), "sick"):
			status = []byte{8, 2}
		case strings.HasSuffix(string(body), "none"):
			status, code = nil, "5"
		case strings.HasSuffix(string(body), "slow"):
			<-r.Context().Done()
		case strings.HasSuffix(string(body), "odd"):
			w.Write([]byte{1, 2, 3})
		}
		if status != nil {
			w.Write(append([]byte{0, 0, 0, 0, byte(len(status))}, status...))
		}
		w.Header().Set("Grpc-Status", code)
		w.Header().Set("Grpc-Message", "unknown%20service")
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return Target{Addr: netip.MustParseAddrPort(s.Listener.Addr().String())}
}

func TestGRPC(t *testing.T) {
	to := health(t)
	for service, want := range map[string]struct {
		reason Reason
		text   string
	}{
		"":     {Passed, "SERVING"},
		"shop": {Passed, "SERVING"},
		"sick": {BadStatus, "NOT_SERVING"},
		"none": {BadStatus, "NOT_FOUND: unknown service"},
		"slow": {Timeout, "no answer after"},
		"odd":  {BadAnswer, "malformed gRPC message"},
	} {
		if r, ok := patiently(func(ctx context.Context, _ time.Duration) Result {
			return GRPC(ctx, to, GRPCSettings{Service: service})
		}, func(r Result, _ time.Duration) bool {
			return r.Reason == want.reason && strings.Contains(r.Detail, want.text)
		}); !ok {
			t.Errorf("%q: %+v, want %s with %q", service, r, want.reason, want.text)
		}
	}
	plain := web(t, func(w http.ResponseWriter, r *http.Request) {})
	if r := GRPC(within(t, 10*time.Second), plain, GRPCSettings{}); r.OK {
		t.Errorf("a server without HTTP/2: %+v", r)
	}
}

// Each kind gives up at once when it is canceled, whatever it waits for, and leaves
// no goroutine.
func TestCanceledKindsLeaveNothing(t *testing.T) {
	mute := serve(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	udp := Target{Addr: silent.LocalAddr().(*net.UDPAddr).AddrPort()}
	kinds := map[string]func(context.Context) Result{
		"talk": func(ctx context.Context) Result {
			return Talk(ctx, mute, TalkSettings{Expect: Match{Value: []byte("x")}})
		},
		"udp":      func(ctx context.Context) Result { return UDP(ctx, udp, UDPSettings{}) },
		"http":     func(ctx context.Context) Result { return HTTP(ctx, mute, HTTPSettings{}) },
		"http 2":   func(ctx context.Context) Result { return HTTP(ctx, mute, HTTPSettings{Version: "2"}) },
		"https":    func(ctx context.Context) Result { return HTTP(ctx, mute, HTTPSettings{TLS: &TLSSettings{}}) },
		"tls":      func(ctx context.Context) Result { return TLS(ctx, mute, TLSSettings{}) },
		"dns":      func(ctx context.Context) Result { return DNS(ctx, udp, DNSSettings{Name: ".", Type: 6}) },
		"dns tcp":  func(ctx context.Context) Result { return DNS(ctx, mute, DNSSettings{Name: ".", Type: 6, TCP: true}) },
		"smtp":     func(ctx context.Context) Result { return SMTP(ctx, mute, SMTPSettings{}) },
		"grpc":     func(ctx context.Context) Result { return GRPC(ctx, mute, GRPCSettings{}) },
		"mysql":    func(ctx context.Context) Result { return MySQL(ctx, mute, "x") },
		"postgres": func(ctx context.Context) Result { return Postgres(ctx, mute, "x", "x") },
		"redis":    func(ctx context.Context) Result { return Redis(ctx, mute, RedisSettings{}) },
		"ldap":     func(ctx context.Context) Result { return LDAP(ctx, mute, LDAPSettings{}) },
		"agent":    func(ctx context.Context) Result { return Agent(ctx, mute, AgentSettings{}) },
	}
	for name, ask := range kinds {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Millisecond, cancel)
		if r := ask(ctx); r.Reason != Canceled || r.Duration > 5*time.Second {
			t.Errorf("%s: %+v", name, r)
		}
	}
	stacks := func() string {
		buf := make([]byte, 1<<20)
		return string(buf[:runtime.Stack(buf, true)])
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		// What is in this package's code and no test's server is a leak.
		left := 0
		for g := range strings.SplitSeq(stacks(), "\n\n") {
			if strings.Contains(g, "director/checkers/probe.") && !strings.Contains(g, "_test.go") {
				left++
			}
		}
		if left == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left:\n%s", left, stacks())
		}
	}
}

// Servers of an older time, and what their failure says. The second one is of TLS 1.2, and
// knows key exchange by RSA only.
func TestOldTLS(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := func(least, most uint16, suites ...uint16) Target {
		config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: least, MaxVersion: most, CipherSuites: suites}
		return serve(t, func(c net.Conn) { sayNoMore(tls.Server(c, config)) })
	}
	const lower, rsaHint = "a lower tls_min_version takes older servers", `with tls_min_version = "1.0" key exchange by RSA`
	old, elder := server(tls.VersionTLS10, tls.VersionTLS10, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA), server(tls.VersionTLS11, tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA)
	byRSA, today := server(tls.VersionTLS12, tls.VersionTLS12, tls.TLS_RSA_WITH_AES_128_GCM_SHA256), server(tls.VersionTLS12, tls.VersionTLS13)
	for name, test := range map[string]struct {
		to     Target
		least  uint16
		detail string // empty: good
	}{
		"TLS 1.0":                        {old, 0, "TLS 1.2 or later is asked for: " + lower},
		"TLS 1.0, from 1.1":              {old, tls.VersionTLS11, "TLS 1.1 or later is asked for: " + lower},
		"TLS 1.0, from 1.0":              {old, tls.VersionTLS10, ""},
		"TLS 1.1":                        {elder, tls.VersionTLS12, "TLS 1.2 or later is asked for: " + lower},
		"TLS 1.1, from 1.1":              {elder, tls.VersionTLS11, ""},
		"key exchange by RSA":            {byRSA, 0, rsaHint},
		"key exchange by RSA, from 1.0":  {byRSA, tls.VersionTLS10, ""},
		"key exchange by RSA, only 1.3":  {byRSA, tls.VersionTLS13, "TLS 1.3 or later is asked for: " + lower},
		"today's":                        {today, 0, ""},
		"today's, from 1.0":              {today, tls.VersionTLS10, ""},
		"today's, from 1.3":              {today, tls.VersionTLS13, ""},
		"TLS 1.0, nothing left to lower": {server(tls.VersionTLS10, tls.VersionTLS10, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA), tls.VersionTLS10, "handshake failure"},
	} {
		r := TLS(within(t, 5*time.Second), test.to, TLSSettings{Insecure: true, MinVersion: test.least})
		if r.OK != (test.detail == "") || !strings.Contains(r.Detail, test.detail) || strings.Contains(r.Detail, "...") || !r.OK && r.Reason != BadAnswer {
			t.Errorf("%s: %+v", name, r)
		}
		if test.detail == "handshake failure" && strings.Contains(r.Detail, "tls_min_version") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
