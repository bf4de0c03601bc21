package snmpd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
	"director/internal/watchdog"
)

// master is the other end of a session: an SNMP agent that does what a test says.
type master struct {
	t    *testing.T
	conn net.Conn
	done chan error // what Run returned
	news chan watchdog.News
}

type feed chan watchdog.News

func (f feed) Next() (watchdog.News, error) {
	n, ok := <-f
	if !ok {
		return n, io.EOF
	}
	return n, nil
}

// begin runs a daemon whose session is not open yet.
func begin(t *testing.T, settings config.SNMPAgent) *master {
	t.Helper()
	ours, theirs := net.Pipe()
	m := &master{t: t, conn: theirs, done: make(chan error, 1), news: make(chan watchdog.News, 2)}
	m.news <- watchdog.News{Config: &watchdog.OpenConfig{Config: &config.Config{}}, Status: &control.Status{Version: "v", RouterID: "lb"}}
	d := New(slog.New(slog.DiscardHandler), settings)
	go func() { m.done <- d.Run(t.Context(), feed(m.news), ours) }()
	return m
}

func agent() config.SNMPAgent {
	return config.SNMPAgent{
		Objects: []string{"vrrp", "virtual_server", "rfc2787", "rfc6527"}, Timeout: config.Duration(5 * time.Second), PingInterval: config.Duration(15 * time.Second),
	}
}

// read returns the next PDU of the subagent.
func (m *master) read() *agentx.PDU {
	m.t.Helper()
	var head [agentx.HeaderLen]byte
	if _, err := io.ReadFull(m.conn, head[:]); err != nil {
		m.t.Fatal(err)
	}
	h, n, err := agentx.ParseHeader(head[:])
	if err != nil {
		m.t.Fatal(err)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(m.conn, payload); err != nil {
		m.t.Fatal(err)
	}
	p, err := agentx.Decode(h, payload)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

func (m *master) write(p *agentx.PDU) {
	m.t.Helper()
	text, err := p.Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.conn.Write(text); err != nil {
		m.t.Fatal(err)
	}
}

// answer answers a question of the subagent.
func (m *master) answer(p *agentx.PDU, err agentx.Error) {
	m.t.Helper()
	m.write(&agentx.PDU{Header: agentx.Header{Type: agentx.Response, Session: 7, Packet: p.Packet}, Error: err})
}

// open plays the master's part until everything is registered, and returns what was.
func (m *master) open() (names []string) {
	m.t.Helper()
	for {
		p := m.read()
		names = append(names, p.Type.String()+" "+p.Context+" "+p.Name.String())
		m.answer(p, 0)
		if p.Type == agentx.AddAgentCaps {
			return names
		}
	}
}

// ask asks for a name and returns the answer.
func (m *master) ask(name agentx.OID, context string, session uint32) *agentx.PDU {
	m.t.Helper()
	m.write(&agentx.PDU{Header: agentx.Header{Type: agentx.Get, Flags: agentx.NonDefaultContext, Session: session, Packet: 99}, Context: context,
		Ranges: []agentx.Range{{Start: name}}})
	return m.read()
}

var routerID = agentx.OID{1, 3, 6, 1, 4, 1, 9586, 100, 5, 1, 2, 0}

// ends asks that the daemon ends for a reason.
func (m *master) ends(want watchdog.Departure, text string) {
	m.t.Helper()
	err := <-m.done
	var got watchdog.Departure
	if !errors.As(err, &got) || got != want || !strings.Contains(err.Error(), text) {
		m.t.Errorf("it ended with %v, want %v with %q", err, want, text)
	}
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings := agent()
		settings.Context = "lb"
		m := begin(t, settings)
		const root = "1.3.6.1.4.1.9586.100.5"
		if got, want := strings.Join(m.open(), "\n"), "Open  "+root+"\nRegister lb "+root+".1\nRegister lb "+root+".2\nRegister lb "+root+".3\nRegister lb 1.3.6.1.2.1.68\nRegister lb 1.3.6.1.2.1.207\nAddAgentCaps lb "+root; got != want {
			t.Errorf("it registered\n%s, want\n%s", got, want)
		}
		if a := m.ask(routerID, "lb", 7); a.Error != 0 || len(a.Variables) != 1 || a.Variables[0].Value.Bytes != "lb" {
			t.Errorf("routerId: %+v", a)
		}
		if a := m.ask(routerID, "", 7); a.Error != agentx.UnsupportedContext || len(a.Variables) != 0 {
			t.Errorf("another context: %+v", a)
		}
		if a := m.ask(routerID, "lb", 8); a.Error != agentx.NotOpen || len(a.Variables) != 0 {
			t.Errorf("another session: %+v", a)
		}
		// An answer that no PDU can hold is an error to the agent, and no end of the session.
		m.write(&agentx.PDU{Header: agentx.Header{Type: agentx.GetNext, Session: 7, Packet: 100}, Context: "lb", Ranges: make([]agentx.Range, (agentx.MaxPayload-8)/8)})
		if a := m.read(); a.Error != agentx.ProcessingError || len(a.Variables) != 0 {
			t.Errorf("to a question without end: %v, %d variables", a.Error, len(a.Variables))
		}
		// A new state is there at once; the old answer is not kept.
		m.news <- watchdog.News{Status: &control.Status{RouterID: "other"}}
		synctest.Wait()
		if a := m.ask(routerID, "lb", 7); a.Variables[0].Value.Bytes != "other" {
			t.Errorf("routerId after the change: %+v", a)
		}
		// Silence is followed by a question, whose answer ends it.
		begun := time.Now()
		for range 3 {
			if p := m.read(); p.Type != agentx.Ping || p.Context != "lb" {
				t.Errorf("after a silence: %+v", p)
			} else {
				m.answer(p, 0)
			}
		}
		if d := time.Since(begun); d != 45*time.Second {
			t.Errorf("three questions took %v", d)
		}
		close(m.news)
		if err := <-m.done; err != nil {
			t.Error(err)
		}
	})
}

// TestSessionEnds: whatever the agent does, the session ends for a reason that is told.
func TestSessionEnds(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(*master)
		want watchdog.Departure
		text string
	}{
		{"closed", func(m *master) { m.open(); m.conn.Close() }, watchdog.MasterGone, "has closed the connection"},
		{"closed by a word", func(m *master) {
			m.open()
			m.write(&agentx.PDU{Header: agentx.Header{Type: agentx.Close, Session: 7}, Reason: agentx.CloseByManager})
		}, watchdog.MasterGone, "by manager"},
		{"session refused", func(m *master) { m.answer(m.read(), agentx.OpenFailed) }, watchdog.MasterRefused, "Open: openFailed"},
		{"registration refused", func(m *master) {
			m.answer(m.read(), 0)
			m.answer(m.read(), agentx.DuplicateRegistration)
			m.read()
		}, watchdog.MasterRefused, "Register: duplicateRegistration"},
		{"never an answer", func(m *master) { m.read(); m.read() }, watchdog.MasterSilent, "no answer to Open for 5s"},
		{"no answer any more", func(m *master) { m.open(); m.read(); m.read() }, watchdog.MasterSilent, "no answer to Ping for 5s"},
		{"half a PDU", func(m *master) { m.open(); m.conn.Write(make([]byte, 1)); m.read() }, watchdog.MasterSilent, "rest of a PDU"},
		{"another protocol", func(m *master) {
			m.open()
			go m.conn.Write(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 2))
			m.read()
		}, watchdog.MasterGarbled, "not version 1"},
		{"a PDU that makes no sense", func(m *master) {
			m.open()
			m.conn.Write([]byte{1, 5, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0})
			if p := m.read(); p.Type != agentx.Close || p.Reason != agentx.CloseParseError {
				m.t.Errorf("it answers %+v", p)
			}
		}, watchdog.MasterGarbled, "decode Get"},
		{"reads nothing", func(m *master) {
			m.open()
			text, _ := (&agentx.PDU{Header: agentx.Header{Type: agentx.Get, Session: 7}, Ranges: []agentx.Range{{Start: routerID}}}).Encode()
			m.conn.Write(text)
		}, watchdog.MasterSilent, "takes nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := begin(t, agent())
				go func() { // nobody looks at what it says at its end
					tc.play(m)
					if tc.text != "takes nothing" {
						io.Copy(io.Discard, m.conn)
					}
				}()
				m.ends(tc.want, tc.text)
				m.conn.Close()
				close(m.news)
			})
		})
	}
}

// An agent that is refused its capabilities goes without: sysORTable is no more than a hint.
func TestCapabilitiesRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := begin(t, agent())
		for p := m.read(); ; p = m.read() {
			if p.Type == agentx.AddAgentCaps {
				m.answer(p, agentx.ProcessingError)
				break
			}
			m.answer(p, 0)
		}
		if a := m.ask(routerID, "", 7); a.Error != 0 {
			t.Errorf("%+v", a)
		}
		close(m.news)
		if err := <-m.done; err != nil {
			t.Error(err)
		}
	})
}

// The end of the feed before there is a state is no failure.
func TestEndOfFeed(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	news := make(feed)
	close(news)
	if err := New(slog.New(slog.DiscardHandler), agent()).Run(context.Background(), news, ours); err != nil {
		t.Error(err)
	}
}
