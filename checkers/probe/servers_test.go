package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// server is a real server, of a Debian package, on a loopback port of its own.
type server struct {
	t     *testing.T
	argv  []string
	cmd   *exec.Cmd
	ended chan struct{}
	log   labtest.Buffer
}

// start runs the server in a process group of its own.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.argv[0], s.argv[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() { cmd.Wait(); close(ended) }()
	s.t.Cleanup(func() { s.kill() })
}

// signal sends a signal to all processes of the server.
func (s *server) signal(sig syscall.Signal) { syscall.Kill(-s.cmd.Process.Pid, sig) }

// stop halts the server. Its threads halt one by one, on a busy machine some time later.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	if err := netlab.EventuallyWithin(10*time.Second, func() error {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		for _, t := range tasks {
			text, _ := os.ReadFile(t)
			if _, state, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(state, "T") {
				return fmt.Errorf("%s: %s", t, text)
			}
		}
		return nil
	}); err != nil {
		s.t.Fatalf("the server does not halt: %v", err)
	}
}

func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.ended
}

// trial is what a kind of probe goes through with a real server.
type trial struct {
	*server
	good func(context.Context) Result
	// say is what the good result says.
	say string
	// wrong are questions that the server answers otherwise than wanted.
	wrong map[string]wrong
}

type wrong struct {
	ask  func(context.Context) Result
	why  Reason
	text string
}

// run takes the server up, wrong, slow, back, down and back.
func (c *trial) run() {
	t := c.t
	t.Helper()
	up := func(when string) {
		t.Helper()
		var r Result
		err := netlab.EventuallyWithin(time.Minute, func() error {
			if r = c.good(within(t, 5*time.Second)); !r.OK {
				return errors.New(r.Detail)
			}
			return nil
		})
		if err != nil || !strings.Contains(r.Detail, c.say) {
			t.Fatalf("%s: %s, want %q; the server says\n%s", when, r, c.say, c.log.String())
		}
	}
	up("up")
	for name, w := range c.wrong {
		if r := w.ask(within(t, 10*time.Second)); r.OK != (w.why == Passed) || r.Reason != w.why || !strings.Contains(r.Detail, w.text) {
			t.Errorf("%s: %s (%s), want %s with %q", name, r, r.Reason, w.why, w.text)
		}
	}
	c.stop()
	// The time begins to run a moment before the probe's own clock.
	if r, ok := patiently(func(ctx context.Context, _ time.Duration) Result { return c.good(ctx) },
		func(r Result, limit time.Duration) bool { return r.Reason == Timeout && r.Duration >= limit*3/4 }); !ok {
		t.Errorf("slow: %+v, want a timeout at its limit", r)
	}
	c.signal(syscall.SIGCONT)
	up("no longer slow")
	c.kill()
	if r := c.good(within(t, 10*time.Second)); r.Reason != Refused {
		t.Errorf("down: %s", r)
	}
	c.start()
	up("back")
}

// local returns a free port of 127.0.0.1, of TCP and UDP.
func local(t *testing.T) Target { return Target{Addr: labtest.FreePort(t)} }

func port(to Target) string { return strconv.Itoa(int(to.Addr.Port())) }

func TestNginx(t *testing.T) {
	t.Parallel()
	ca, dir := labtest.NewAuthority(t, t.TempDir()), t.TempDir()
	clear, h2c, secure, soon, late, mutual := local(t), local(t), local(t), local(t), local(t), local(t)
	good, ends, ended := ca.Server("good", 100), ca.Server("soon", 5), ca.Server("late", -1)
	nginx := labtest.Nginx(t, dir, fmt.Sprintf(`
	server {
		listen 127.0.0.1:%s; listen 127.0.0.1:%s http2; listen 127.0.0.1:%s ssl http2;
		ssl_certificate %s; ssl_certificate_key %[4]s;
		location / { return 200 "status: OK, $request_method $http_host $server_protocol $http_x_check\n"; }
		location /fixed { return 200 "hello\n"; }
		location /sick { return 503; }
		location /away { return 302 http://127.0.0.1:1/; }
	}
	server { listen 127.0.0.1:%s ssl; ssl_certificate %s; ssl_certificate_key %[6]s; }
	server { listen 127.0.0.1:%s ssl; ssl_certificate %s; ssl_certificate_key %[8]s; }
	server { listen 127.0.0.1:%s ssl; ssl_certificate %[4]s; ssl_certificate_key %[4]s; ssl_client_certificate %[10]s; ssl_verify_client on; location / { return 200 in; } }
`, port(clear), port(h2c), port(secure), good, port(soon), ends, port(late), ended, port(mutual), ca.File))
	trusted := TLSSettings{Files: &TLSFiles{CA: ca.File}, Name: "www.example.com", WarnDays: 14}
	with := func(change func(*TLSSettings)) *TLSSettings {
		s := TLSSettings{Files: &TLSFiles{CA: ca.File}, Name: "www.example.com", WarnDays: 14}
		change(&s)
		return &s
	}
	get := func(to Target, s HTTPSettings) func(context.Context) Result {
		return func(ctx context.Context) Result { return HTTP(ctx, to, s) }
	}
	hand := func(to Target, s *TLSSettings) func(context.Context) Result {
		return func(ctx context.Context) Result { return TLS(ctx, to, *s) }
	}
	md5sum := []byte{0xb1, 0x94, 0x6a, 0xc9, 0x24, 0x92, 0xd2, 0x34, 0x7c, 0x62, 0x35, 0xb4, 0xd2, 0x61, 0x11, 0x84} // of "hello\n"
	c := trial{server: &server{t: t, argv: nginx},
		good: get(secure, HTTPSettings{Version: "2", TLS: &trusted, Host: "www.example.com", Path: "/x", Header: []string{"X-Check: yes"},
			Body: "OK, GET www.example.com HTTP/2.0 yes"}),
		say: "status 200",
		wrong: map[string]wrong{
			"HTTP/1.1":               {get(clear, HTTPSettings{Host: "h", Header: []string{"X-Check: 1", "Accept: a/b"}, Body: "GET h HTTP/1.1 1"}), Passed, ""},
			"HTTP/1.0":               {get(clear, HTTPSettings{Version: "1.0", Host: "h", Body: "GET h HTTP/1.0"}), Passed, ""},
			"HTTP/1.1 with TLS":      {get(secure, HTTPSettings{TLS: &trusted, Body: "HTTP/1.1"}), Passed, ""},
			"HTTP/2 in clear":        {get(h2c, HTTPSettings{Version: "2", Method: "POST", Content: []byte("abc"), Body: "POST"}), Passed, ""},
			"HEAD, HTTP/2":           {get(h2c, HTTPSettings{Version: "2", Method: "HEAD"}), Passed, ""},
			"digest":                 {get(clear, HTTPSettings{Path: "/fixed", Digest: md5sum}), Passed, ""},
			"digest, HTTP/2":         {get(h2c, HTTPSettings{Version: "2", Path: "/fixed", Digest: md5sum, MaxBody: 6}), Passed, ""},
			"longer than max_body":   {get(h2c, HTTPSettings{Version: "2", Path: "/fixed", Digest: md5sum, MaxBody: 5}), BodyMismatch, "is longer than max_body, 5 bytes"},
			"digest of another body": {get(clear, HTTPSettings{Path: "/", Digest: md5sum}), BodyMismatch, "has the digest"},
			"status":                 {get(secure, HTTPSettings{TLS: &trusted, Path: "/sick"}), BadStatus, "status 503"},
			"status, HTTP/2":         {get(h2c, HTTPSettings{Version: "2", Path: "/sick"}), BadStatus, "status 503"},
			"redirect":               {get(clear, HTTPSettings{Path: "/away"}), BadStatus, "302"},
			"body, HTTP/2":           {get(h2c, HTTPSettings{Version: "2", Body: "nothing"}), BodyMismatch, "does not contain"},
			"no HTTP/2 here":         {get(clear, HTTPSettings{Version: "2"}), BadAnswer, ""},
			"no HTTP/2 agreed upon":  {get(mutual, HTTPSettings{Version: "2", TLS: &trusted}), BadAnswer, ""},
			"no TLS here":            {hand(clear, &trusted), BadAnswer, "does not speak TLS"},
			"handshake":              {hand(secure, &trusted), Passed, "handshake done"},
			"by its address":         {hand(secure, with(func(s *TLSSettings) { s.Name = "" })), Passed, ""},
			"another name":           {hand(secure, with(func(s *TLSSettings) { s.Name = "www.example.net" })), BadCertificate, "www.example.net"},
			"another authority":      {hand(secure, with(func(s *TLSSettings) { s.Files = nil })), BadCertificate, "unknown authority"},
			"not verified":           {hand(secure, with(func(s *TLSSettings) { s.Files, s.Name, s.Insecure = nil, "other", true })), Passed, ""},
			"ended":                  {hand(late, &trusted), BadCertificate, "expired"},
			"ended, not verified":    {hand(late, with(func(s *TLSSettings) { s.Insecure = true })), Passed, ""},
			"no such file":           {hand(secure, with(func(s *TLSSettings) { s.Files = &TLSFiles{CA: "/no/such/file"} })), Local, "no such file"},
			"no certificate of ours": {get(mutual, HTTPSettings{TLS: &trusted}), BadStatus, "400"},
			"a certificate of ours": {get(mutual, HTTPSettings{TLS: with(func(s *TLSSettings) {
				s.Files = &TLSFiles{CA: ca.File, Cert: good, Key: good}
			}), Body: "in"}), Passed, ""},
			"gRPC": {func(ctx context.Context) Result { return GRPC(ctx, h2c, GRPCSettings{}) }, BadAnswer, "no gRPC server"},
		}}
	c.start()
	c.run()
	if r := TLS(within(t, 5*time.Second), soon, trusted); !r.OK || !strings.Contains(r.Warning, "in 5 days") || time.Until(r.Expires).Round(time.Hour) != (5*24+1)*time.Hour {
		t.Errorf("a certificate that ends soon: %+v", r)
	}
	if r := TLS(within(t, 5*time.Second), late, *with(func(s *TLSSettings) { s.Insecure = true })); !strings.Contains(r.Warning, "has ended on") {
		t.Errorf("a certificate that has ended: %+v", r)
	}
	if r := TLS(within(t, 5*time.Second), late, trusted); r.OK || time.Since(r.Expires).Round(time.Hour) != 23*time.Hour {
		t.Errorf("a certificate that has ended and is verified: %+v", r)
	}
	if r := TLS(within(t, 5*time.Second), secure, trusted); r.Warning != "" || time.Until(r.Expires).Round(time.Hour) != (100*24+1)*time.Hour {
		t.Errorf("a good certificate: %+v", r)
	}
	if r := HTTP(within(t, 5*time.Second), soon, HTTPSettings{TLS: &trusted}); !strings.Contains(r.Warning, "in 5 days") || r.Expires.IsZero() {
		t.Errorf("a certificate that ends soon, over HTTP: %+v", r)
	}
	if r := HTTP(within(t, 5*time.Second), clear, HTTPSettings{}); !r.Expires.IsZero() {
		t.Errorf("no certificate: %+v", r)
	}
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	to := local(t)
	ask := func(user, database string) func(context.Context) Result {
		return func(ctx context.Context) Result { return Postgres(ctx, to, user, database) }
	}
	c := trial{server: &server{t: t, argv: labtest.Postgres(t, t.TempDir(), to.Addr, "-c", "max_connections=5")},
		good: ask("postgres", "postgres"), say: "takes sessions",
		wrong: map[string]wrong{
			"no user":      {ask("", ""), Passed, "takes connections"},
			"no such user": {ask("nobody", "postgres"), BadStatus, "28000"},
		}}
	c.start()
	c.run()
}

func TestRedisServer(t *testing.T) {
	t.Parallel()
	to := local(t)
	ask := func(s RedisSettings) func(context.Context) Result {
		return func(ctx context.Context) Result { return Redis(ctx, to, s) }
	}
	info := func(want string) func(context.Context) Result {
		return func(ctx context.Context) Result {
			return Talk(ctx, to, TalkSettings{Send: []byte("AUTH secret\r\nINFO replication\r\n"), Expect: Match{Value: []byte(want)}})
		}
	}
	unheard := `no "role:slave" in the reply`
	short := func(context.Context) Result {
		r, _ := patiently(func(ctx context.Context, _ time.Duration) Result { return info("role:slave")(ctx) },
			func(r Result, _ time.Duration) bool { return strings.Contains(r.Detail, unheard) })
		return r
	}
	c := trial{server: &server{t: t, argv: labtest.Redis(t, t.TempDir(), to.Addr, "--requirepass", "secret")},
		good: ask(RedisSettings{Password: "secret"}), say: "PONG",
		wrong: map[string]wrong{
			"with a user":     {ask(RedisSettings{User: "default", Password: "secret"}), Passed, ""},
			"no password":     {ask(RedisSettings{}), BadStatus, "NOAUTH"},
			"wrong password":  {ask(RedisSettings{Password: "x"}), BadStatus, "WRONGPASS"},
			"spoken by tcp":   {info("role:master"), Passed, "role:master"},
			"tcp, wrong role": {short, Timeout, unheard},
		}}
	c.start()
	c.run()
}

func TestMariaDB(t *testing.T) {
	t.Parallel()
	to := local(t)
	const users = "CREATE USER IF NOT EXISTS 'check'@'%';\nCREATE USER IF NOT EXISTS 'locked'@'%' IDENTIFIED BY 'secret';\n"
	ask := func(user string) func(context.Context) Result {
		return func(ctx context.Context) Result { return MySQL(ctx, to, user) }
	}
	c := trial{server: &server{t: t, argv: labtest.MariaDB(t, t.TempDir(), to.Addr, users)},
		good: ask("check"), say: "logged in as \"check\"",
		wrong: map[string]wrong{
			"greeting only":    {ask(""), Passed, "server "},
			"wants a password": {ask("locked"), BadStatus, "1045"},
		}}
	c.start()
	c.run()
}

func TestSlapd(t *testing.T) {
	t.Parallel()
	to := local(t)
	ask := func(s LDAPSettings) func(context.Context) Result {
		return func(ctx context.Context) Result { return LDAP(ctx, to, s) }
	}
	name := "cn=check,dc=example,dc=com"
	c := trial{server: &server{t: t, argv: labtest.Slapd(t, t.TempDir(), to.Addr)},
		good: ask(LDAPSettings{RootDSE: true}), say: "root entry found",
		wrong: map[string]wrong{
			"anonymous":      {ask(LDAPSettings{}), Passed, "bound"},
			"with a name":    {ask(LDAPSettings{Name: name, Password: "secret"}), Passed, "bound"},
			"wrong password": {ask(LDAPSettings{Name: name, Password: "x"}), BadStatus, "invalidCredentials"},
			"no password":    {ask(LDAPSettings{Name: name}), BadStatus, "unauthenticated"},
		}}
	c.start()
	c.run()
}

func TestNSD(t *testing.T) {
	t.Parallel()
	to := local(t)
	zone := `$ORIGIN example.com.
@ 60 SOA ns hostmaster 7 2 3 4 5
@ 60 NS ns
@ 60 MX 10 mail
ns 60 A 127.0.0.1
www 60 A 192.0.2.1
www 60 A 192.0.2.2
www 60 AAAA 2001:db8::1
www 60 TXT "all is" " well"
alias 60 CNAME www
_x._tcp 60 SRV 1 2 3 www
web 60 HTTPS 1 . alpn=h2
`
	for i := range 200 {
		zone += fmt.Sprintf("many 60 A 10.0.0.%d\n", i)
	}
	ask := func(s DNSSettings) func(context.Context) Result {
		return func(ctx context.Context) Result { return DNS(ctx, to, s) }
	}
	one := func(name string, kind uint16, answers ...string) func(context.Context) Result {
		return ask(DNSSettings{Name: name + ".example.com", Type: kind, Answers: answers})
	}
	c := trial{server: &server{t: t, argv: labtest.NSD(t, t.TempDir(), zone, to.Addr)},
		good: one("www", 1, "192.0.2.2", "192.0.2.1"), say: "NOERROR, 2 answers",
		wrong: map[string]wrong{
			"over TCP":        {ask(DNSSettings{Name: "example.com.", Type: 6, TCP: true, Answers: []string{"NS.example.com hostmaster.example.com. 7 2 3 4 5"}}), Passed, ""},
			"AAAA":            {one("www", 28, "2001:DB8:0::1"), Passed, ""},
			"TXT":             {one("www", 16, "all is well"), Passed, ""},
			"CNAME":           {one("alias", 5, "www.example.com"), Passed, ""},
			"SRV":             {one("_x._tcp", 33, "1 2 3 www.example.com."), Passed, ""},
			"MX":              {ask(DNSSettings{Name: "example.com", Type: 15, Answers: []string{"10 mail.example.com"}}), Passed, ""},
			"HTTPS":           {one("web", 65, `\# 10 0001000001000302683`+"2"), Passed, ""},
			"more than fits":  {one("many", 1, "10.0.0.199"), Passed, "200 answers"},
			"another address": {one("www", 1, "192.0.2.3"), BodyMismatch, `"192.0.2.3" is not among the 2 answers`},
			"no such name":    {one("none", 1), BadStatus, "NXDOMAIN, want NOERROR"},
			"wanted NXDOMAIN": {ask(DNSSettings{Name: "none.example.com", Type: 1, RCodes: []int{3}}), Passed, "NXDOMAIN"},
			"not its zone":    {ask(DNSSettings{Name: "example.net", Type: 1}), BadStatus, "REFUSED"},
			"by udp, a reply": {func(ctx context.Context) Result {
				return UDP(ctx, to, UDPSettings{Send: []byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}, RequireReply: true, Expect: Match{Value: []byte{1, 2, 0x80}, Mask: []byte{0xff, 0xff, 0x80}}})
			}, Passed, "reply of"},
			"by udp, no reply": {func(ctx context.Context) Result {
				return UDP(ctx, to, UDPSettings{Send: []byte{1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1}, MaxLength: 3})
			}, BadAnswer, "want 3 at most"},
		}}
	c.start()
	c.run()
}

func TestSMTPServer(t *testing.T) {
	t.Parallel()
	ca, to := labtest.NewAuthority(t, t.TempDir()), local(t)
	trusted := &TLSSettings{Files: &TLSFiles{CA: ca.File}}
	ask := func(to Target, s SMTPSettings) func(context.Context) Result {
		return func(ctx context.Context) Result { return SMTP(ctx, to, s) }
	}
	old := serve(t, func(c net.Conn) { // a server of before RFC 1869
		fmt.Fprintf(c, "220-two\r\n220 lines\r\n")
		buf := make([]byte, 100)
		for {
			n, err := c.Read(buf)
			switch {
			case err != nil:
				return
			case strings.HasPrefix(string(buf[:n]), "HELO "):
				fmt.Fprint(c, "250 hello\r\n")
			case strings.HasPrefix(string(buf[:n]), "QUIT"):
				fmt.Fprint(c, "221 bye\r\n")
			default:
				fmt.Fprint(c, "500 what?\r\n")
			}
		}
	})
	full := serve(t, func(c net.Conn) { fmt.Fprint(c, "421 too many of you\r\n"); c.Close() })
	c := trial{server: &server{t: t, argv: labtest.Mail(t, t.TempDir(), to.Addr, ca.Server("mail", 100))},
		good: ask(to, SMTPSettings{StartTLS: true, TLS: trusted}), say: "banner",
		wrong: map[string]wrong{
			"in clear":          {ask(to, SMTPSettings{Helo: "lb.example.com"}), Passed, "banner"},
			"no such authority": {ask(to, SMTPSettings{StartTLS: true, TLS: &TLSSettings{}}), BadCertificate, "unknown authority"},
			"not TLS at once":   {ask(to, SMTPSettings{TLS: trusted}), BadAnswer, "does not speak TLS"},
			"old server":        {ask(old, SMTPSettings{}), Passed, `banner "two"`},
			"no STARTTLS":       {ask(old, SMTPSettings{StartTLS: true, TLS: trusted}), BadStatus, "500"},
			"full":              {ask(full, SMTPSettings{}), BadStatus, "421 too many of you, want 220"},
		}}
	c.start()
	c.run()
}

func TestSource(t *testing.T) {
	from := make(chan net.Addr, 10)
	to := serve(t, func(c net.Conn) { from <- c.RemoteAddr(); c.Close() })
	to.Source, to.Mark, to.Device = netip.MustParseAddr("127.0.0.7"), 77, "lo"
	if r := Talk(within(t, 5*time.Second), to, TalkSettings{Expect: Match{Value: []byte("x")}}); r.Reason != BodyMismatch && r.Reason != Reset {
		t.Error(r)
	}
	if got := <-from; !strings.HasPrefix(got.String(), "127.0.0.7:") {
		t.Errorf("the probe came from %s", got)
	}
	to.Source = netip.MustParseAddr("::1")
	if r := TCP(within(t, 10*time.Second), to); r.Conclusive() || !strings.Contains(r.Detail, "another IP version") {
		t.Error(r)
	}
	to.Source = netip.MustParseAddr("192.0.2.99")
	if r := TCP(within(t, 10*time.Second), to); r.Conclusive() {
		t.Error(r)
	}
}

func TestConnectTimeout(t *testing.T) {
	to := silentPort(t)
	to.ConnectTimeout = 50 * time.Millisecond
	if r := TCP(within(t, 10*time.Second), to); r.Reason != Timeout || r.Duration > 5*time.Second {
		t.Errorf("connection: %+v", r)
	}
	slowly := func(_ context.Context, limit time.Duration) Result {
		slow := serve(t, func(c net.Conn) { time.Sleep(2 * limit); fmt.Fprint(c, "ready"); c.Close() })
		slow.ConnectTimeout = limit
		return Talk(within(t, time.Minute), slow, TalkSettings{Expect: Match{Value: []byte("ready")}})
	}
	if r, ok := patiently(slowly, func(r Result, limit time.Duration) bool { return r.OK && r.Duration > limit }); !ok {
		t.Errorf("a reply that takes longer than the connection may: %s", r)
	}
}
