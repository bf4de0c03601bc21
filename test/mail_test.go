package test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"director/internal/netlab"
)

// A mailbox is an SMTP server that keeps what it is given.
type mailbox struct {
	mu    sync.Mutex
	mails []string // envelope and message
}

func (m *mailbox) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			in, envelope := bufio.NewReader(conn), ""
			say := func(s string) { fmt.Fprintf(conn, "%s\r\n", s) }
			say("220 mx")
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				switch command := strings.ToUpper(strings.Fields(line + " x")[0]); command {
				case "MAIL", "RCPT":
					envelope += line
					say("250 ok")
				case "DATA":
					say("354 go on")
					var text strings.Builder
					for line, err = in.ReadString('\n'); err == nil && line != ".\r\n"; line, err = in.ReadString('\n') {
						text.WriteString(line)
					}
					m.mu.Lock()
					m.mails = append(m.mails, envelope+text.String())
					m.mu.Unlock()
					envelope = ""
					say("250 taken")
				case "QUIT":
					say("221 bye")
					return
				default:
					say("250 ok")
				}
			}
		}()
	}
}

// count returns how many mails there are.
func (m *mailbox) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.mails)
}

// find returns a mail that holds all of the words.
func (m *mailbox) find(words ...string) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
next:
	for _, text := range m.mails {
		for _, w := range words {
			if !strings.Contains(text, w) {
				continue next
			}
		}
		return text, true
	}
	return "", false
}

// Set-up 4: haproxy on both hosts, a script that looks whether it runs, and a mail to three people for every change, through a
// server that is reached over the same network. While that server is gone the address moves all the same, and the mail comes
// when it is back.
func TestHAProxyPairWithMail(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	mx := p.Host("mx")
	port := p.Connect(mx, "eth0", p.sw, "192.0.2.60/24")
	l, err := mx.Listen("tcp", "192.0.2.60:25")
	p.Must(err)
	defer l.Close()
	box := &mailbox{}
	go box.serve(l)

	haproxy := func(host string) string {
		return fmt.Sprintf("global\n\tmaxconn 100\ndefaults\n\tmode http\n\ttimeout connect 1s\n\ttimeout client 5s\n\ttimeout server 5s\n"+
			"frontend web\n\tbind 0.0.0.0:80\n\thttp-request return status 200 content-type text/plain string %s\n", host)
	}
	conf := func(host string, prio int, pidFile string) string {
		return fmt.Sprintf(`[global]
router_id = "lb-%s"
[notify.mail]
to = ["ops@example.com", "oncall@example.com", "boss@example.com"]
from = "director@example.com"
server = "192.0.2.60"
connect_timeout = "30s"
tls = "none"
[vrrp_script.chk_haproxy]
script = ["/bin/sh", "-c", "kill -0 $(cat %s)"]
user = "root"
interval = "500ms"
timeout = "3s"
weight = -20
`, host, pidFile) + vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, `track_script = ["chk_haproxy"]`)
	}
	running := make(map[string]*netlab.Process)
	start := func(h string) (pidFile string, run func()) {
		host := p.a
		if h == "b" {
			host = p.b
		}
		path, err := host.WriteFile("haproxy.cfg", haproxy(h))
		p.Must(err)
		pidFile = host.Path("haproxy.pid")
		return pidFile, func() {
			proc, err := host.Start("haproxy", "haproxy", "-db", "-f", path)
			p.Must(err)
			p.Must(os.WriteFile(pidFile, []byte(fmt.Sprint(proc.Pid())), 0o644))
			running[h] = proc
		}
	}
	pidA, runA := start("a")
	pidB, runB := start("b")
	runA()
	runB()
	a := startDirector(t, p.a, conf("a", 100, pidA))
	b := startDirector(t, p.b, conf("b", 90, pidB))
	p.onlyOn(p.a, vip, patience)
	page := func(want string) {
		t.Helper()
		p.Eventually(patience, "the page of "+want, func() error {
			_, body, err := p.client.Get("http://192.0.2.100/", lostAfter)
			if err == nil && body != want {
				err = fmt.Errorf("it is %q", body)
			}
			return err
		})
	}
	page("a")
	mail := func(words ...string) {
		t.Helper()
		p.Eventually(patience, fmt.Sprintf("a mail with %q", words), func() error {
			text, ok := box.find(words...)
			if !ok {
				return fmt.Errorf("%d mails, none of them", box.count())
			}
			for _, to := range []string{"ops@example.com", "oncall@example.com", "boss@example.com"} {
				if !strings.Contains(text, "RCPT TO:<"+to+">") {
					return fmt.Errorf("not to %s: %s", to, text)
				}
			}
			return nil
		})
	}
	mail("lb-a", "VI_1", "MASTER")
	mail("lb-b", "VI_1", "BACKUP")

	// haproxy dies on A: 100 - 20 is less than 90.
	running["a"].Kill()
	b.WaitInstance("VI_1", "MASTER", patience)
	page("b")
	mail("lb-b", "VI_1", "MASTER", "lower priority 80")
	mail("lb-a", "VI_1", "BACKUP", "higher priority 90")

	// The mail server is gone: the address moves as fast as before.
	p.Must(port.Cut())
	runA()
	a.WaitInstance("VI_1", "MASTER", patience)
	page("a")
	p.Must(port.Heal())
	mail("lb-a", "VI_1", "MASTER", "lower priority 90")
}
