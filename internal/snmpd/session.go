package snmpd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"director/config"
	"director/internal/agentx"
	"director/internal/watchdog"
)

// leaveTime is how long the good-bye may take.
const leaveTime = 100 * time.Millisecond

// priority is the one that RFC 2741 section 6.2.3 gives to who has no other wish.
const priority = 127

// session is one session with the SNMP agent, over a connection that is open. One
// goroutine reads, answers and asks; at most one question of ours is open at a time.
type session struct {
	conn     net.Conn
	settings config.SNMPAgent
	view     func() *agentx.View

	id     uint32
	packet uint32        // of the newest question
	open   agentx.Type   // its type, 0: it was answered
	until  time.Time     // when its answer must be there
	ask    []*agentx.PDU // to be asked, in this order
}

func newSession(conn net.Conn, settings config.SNMPAgent, view func() *agentx.View) *session {
	seconds := uint8(settings.Timeout.D() / time.Second)
	s := &session{conn: conn, settings: settings, view: view}
	s.ask = []*agentx.PDU{{
		Header:  agentx.Header{Type: agentx.Open},
		Timeout: seconds, Name: keepalivedMIB, Description: "director",
	}}
	for _, m := range modules(&settings) {
		s.ask = append(s.ask, &agentx.PDU{
			Header:  agentx.Header{Type: agentx.Register},
			Context: settings.Context, Timeout: seconds, Priority: priority, Name: m.root,
		})
	}
	s.ask = append(s.ask, &agentx.PDU{
		Header:  agentx.Header{Type: agentx.AddAgentCaps},
		Context: settings.Context, Name: keepalivedMIB, Description: "director, read-only: KEEPALIVED-MIB and the MIBs of VRRP",
	})
	return s
}

// run goes on until the session has ended, and says why: with a watchdog.Departure
// where it is the agent's doing.
func (s *session) run() error {
	for {
		if s.open == 0 && len(s.ask) > 0 {
			if err := s.question(s.ask[0]); err != nil {
				return err
			}
			s.ask = s.ask[1:]
		}
		p, err := s.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && s.open == 0:
			s.ask = append(s.ask, &agentx.PDU{Header: agentx.Header{Type: agentx.Ping}, Context: s.settings.Context})
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.bye(agentx.CloseTimeouts)
			return fmt.Errorf("%w: no answer to %v for %v", watchdog.MasterSilent, s.open, s.settings.Timeout)
		case err != nil:
			return err
		default:
			if err := s.handle(p); err != nil {
				return err
			}
		}
	}
}

// question sends one of our own PDUs.
func (s *session) question(p *agentx.PDU) error {
	s.packet++
	p.Session, p.Packet = s.id, s.packet
	p.Flags |= agentx.NetworkByteOrder
	s.open, s.until = p.Type, time.Now().Add(s.settings.Timeout.D())
	return s.write(p)
}

func (s *session) write(p *agentx.PDU) error {
	text, err := p.Encode()
	if err != nil && p.Type == agentx.Response { // more than a PDU holds, to a question of that size
		text, err = (&agentx.PDU{Header: p.Header, Error: agentx.ProcessingError}).Encode()
	}
	if err != nil {
		return err
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.settings.Timeout.D())); err != nil {
		return gone(err)
	}
	if _, err := s.conn.Write(text); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("%w: it takes nothing", watchdog.MasterSilent)
		}
		return gone(err)
	}
	return nil
}

// read waits for a PDU: until the answer to our question is due, else for the time
// after which the agent is asked whether it lives. What has begun must come whole
// within the timeout.
func (s *session) read() (*agentx.PDU, error) {
	until := s.until
	if s.open == 0 {
		until = time.Now().Add(s.settings.PingInterval.D())
	}
	var head [agentx.HeaderLen]byte
	if err := s.fill(head[:1], until); err != nil {
		return nil, err
	}
	until = time.Now().Add(s.settings.Timeout.D())
	err := s.fill(head[1:], until)
	var p *agentx.PDU
	if err == nil {
		h, n, bad := agentx.ParseHeader(head[:])
		if bad != nil {
			return nil, s.garbled(bad)
		}
		payload := make([]byte, n)
		if err = s.fill(payload, until); err == nil {
			if p, bad = agentx.Decode(h, payload); bad != nil {
				return nil, s.garbled(bad)
			}
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.bye(agentx.CloseTimeouts)
		err = fmt.Errorf("%w: the rest of a PDU does not come", watchdog.MasterSilent)
	}
	return p, err
}

// fill reads so many bytes; os.ErrDeadlineExceeded is returned as it is.
func (s *session) fill(b []byte, until time.Time) error {
	if err := s.conn.SetReadDeadline(until); err != nil {
		return gone(err)
	}
	if _, err := io.ReadFull(s.conn, b); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return gone(err)
	} else if err != nil {
		return os.ErrDeadlineExceeded
	}
	return nil
}

func gone(err error) error { return fmt.Errorf("%w: %w", watchdog.MasterGone, notEOF{err}) }

// notEOF is an error that is no end of the feed, which io.EOF stands for.
type notEOF struct{ err error }

func (e notEOF) Error() string { return e.err.Error() }

// garbled ends the session because of what cannot be understood (RFC 2741 section
// 7.2.2: nothing can be said of what would follow).
func (s *session) garbled(err error) error {
	s.bye(agentx.CloseParseError)
	return fmt.Errorf("%w: %w", watchdog.MasterGarbled, err)
}

// handle answers a request of the agent, or takes its answer to our question.
func (s *session) handle(p *agentx.PDU) error {
	switch p.Type {
	case agentx.Response:
		return s.answered(p)
	case agentx.Close:
		return fmt.Errorf("%w: %v", watchdog.MasterGone, p.Reason)
	}
	a := s.view().Answer(p)
	if a == nil {
		return nil
	}
	switch {
	case p.Session != s.id || s.id == 0:
		*a = agentx.PDU{Header: a.Header, Error: agentx.NotOpen}
	case p.Context != s.settings.Context && p.Type != agentx.CommitSet && p.Type != agentx.UndoSet:
		*a = agentx.PDU{Header: a.Header, Error: agentx.UnsupportedContext}
	}
	return s.write(a)
}

// answered takes the answer to our question. Any other is of a question that is not
// open any more.
func (s *session) answered(p *agentx.PDU) error {
	if s.open == 0 || p.Packet != s.packet {
		return nil
	}
	asked := s.open
	s.open = 0
	switch {
	case p.Error != 0 && asked != agentx.AddAgentCaps:
		s.bye(agentx.CloseOther)
		return fmt.Errorf("%w: %v: %w", watchdog.MasterRefused, asked, p.Error)
	case asked == agentx.Open:
		s.id = p.Session
	}
	return nil
}

// bye closes the session; the connection's end would say the same.
func (s *session) bye(reason agentx.CloseReason) {
	p := &agentx.PDU{Header: agentx.Header{Type: agentx.Close, Flags: agentx.NetworkByteOrder, Session: s.id, Packet: s.packet + 1}, Reason: reason}
	if text, err := p.Encode(); err == nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(leaveTime))
		_, _ = s.conn.Write(text)
	}
}

// leave ends the connection, and with it the session; run returns.
func (s *session) leave() { s.conn.Close() }
