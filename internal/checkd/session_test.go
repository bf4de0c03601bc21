package checkd

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/watchdog"
)

// followed has every check follow a BFD session of the server's name.
func followed(c *config.Config) {
	for i := range c.VirtualServers {
		for j := range c.VirtualServers[i].RealServers {
			rs := &c.VirtualServers[i].RealServers[j]
			rs.Checks = []config.Check{{Kind: config.CheckBFD, Session: rs.Name, Interval: config.Duration(5 * time.Second), Timeout: config.Duration(3 * time.Second), Rise: 1, Fall: 1}}
		}
	}
}

// A server follows its BFD session at once, and keeps its state while nothing is known.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.ask = Ask
		told := func(states ...string) { // "a up", "a down", "a unknown", "a admin", "a AdminDown"
			m := &watchdog.Sessions{States: map[string]watchdog.Session{}}
			for _, text := range states {
				name, verdict, _ := strings.Cut(text, " ")
				s := watchdog.Session{State: "Down", Verdict: verdict, Code: "detection_time_expired", Reason: "nothing heard"}
				switch verdict {
				case "up":
					s.State = "Up"
				case "admin":
					s.Verdict, s.Code, s.Reason = "down", "peer_admin_down", "taken down"
				case "AdminDown":
					s.State, s.Verdict = "AdminDown", "down"
				}
				m.States[name] = s
			}
			w.parent.down <- watchdog.Message{Sessions: m}
			w.pass(20 * time.Millisecond)
		}
		w.run()
		defer func() { w.kill() }()
		w.configure(configOf("web: a1 b1", followed))
		w.pass(10 * time.Second)
		w.table("web:") // nothing is known
		told("a unknown", "b unknown")
		w.table("web:")
		told("a up", "b up")
		w.table("web: a1 b1")
		w.events()
		told("a down", "b up")
		w.table("web: b1")
		if got := w.events(); got != "web/a up>down" || w.reasons[0] != "check failed: bfd a: unreachable: session is Down: nothing heard" {
			t.Errorf("%s: %q", got, w.reasons)
		}
		told("a down", "b unknown") // the VRRP process was replaced
		w.pass(time.Minute)
		told("a down")
		w.pass(time.Minute)
		told("a down", "b admin")
		w.pass(time.Minute)
		told("a down", "b AdminDown")
		w.pass(time.Minute)
		w.table("web: b1")
		if got := w.events(); got != "" {
			t.Errorf("events %s", got)
		}
		if c := w.inquire().Services[0].Servers[1].Checks[0]; c.Kind+" "+c.Target != "bfd b" || !strings.HasPrefix(c.Result, "nothing said: session is AdminDown") {
			t.Errorf("check %+v", c)
		}
		// The checker process is replaced: it has its table, and waits to be told.
		last := w.inquire()
		w.kill()
		w.run()
		w.configure(configOf("web: a1 b1", followed), last)
		w.pass(time.Minute)
		w.table("web: b1")
		told("a up", "b up")
		w.table("web: a1 b1")
	})
}
