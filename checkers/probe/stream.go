package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a TCP connection to a target, encrypted or not, on which a protocol is
// spoken. Its reads are bounded by budget.
type stream struct {
	raw *conn
	net.Conn
	in     *bufio.Reader
	budget io.LimitedReader
	cert   expiry
}

// dial connects to the target, by TLS when secure is not nil. limit bounds how
// many bytes are read in all. On an error, what says what was being done.
func dial(ctx context.Context, to Target, secure *TLSSettings, limit int64) (s *stream, what string, err error) {
	c, err := connectTCP(ctx, to)
	if err != nil {
		return nil, "connect", err
	}
	s = &stream{raw: c, Conn: plainConn{c, to.Addr}}
	s.budget.N = limit
	if secure != nil {
		if err := s.encrypt(to, secure); err != nil {
			s.Close()
			return nil, "TLS handshake", err
		}
		return s, "", nil
	}
	s.buffer()
	return s, "", nil
}

func (s *stream) buffer() {
	s.budget.R = s.Conn
	s.in = bufio.NewReaderSize(&s.budget, 4<<10)
}

// encrypt begins TLS on the connection.
func (s *stream) encrypt(to Target, secure *TLSSettings) error {
	if s.in != nil && s.in.Buffered() > 0 {
		return errors.New("the server sent something before the handshake")
	}
	config, err := secure.config(to)
	if err != nil {
		return err
	}
	client := tls.Client(s.Conn, config)
	if err := client.Handshake(); err != nil {
		return secure.hint(err)
	}
	state := client.ConnectionState()
	s.cert = secure.expiry(state.PeerCertificates, time.Now())
	s.Conn = client
	s.buffer()
	return nil
}

// Close ends the connection at once and without a trace on this machine.
func (s *stream) Close() error {
	s.raw.abort()
	return s.raw.Close()
}

// spent says that the server sent more than it may.
func (s *stream) spent() bool { return s.budget.N <= 0 }

// failed is the result of a stream that ended with err while it was doing what.
func (s *stream) failed(ctx context.Context, start time.Time, what string, err error) Result {
	if s.spent() && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return failed(start, BadAnswer, what+": the reply is too long")
	}
	var wrong answerError
	if errors.As(err, &wrong) {
		return failed(start, BadAnswer, printable(string(wrong), 200))
	}
	var status statusError
	if errors.As(err, &status) {
		return failed(start, BadStatus, what+": "+status.Error())
	}
	return broken(ctx, start, what, plain(err))
}

// statusError is an answer by which the server says itself that it is not well.
type statusError interface {
	error
	isStatus()
}

// refusal is a statusError in the server's own words.
type refusal string

func (e refusal) Error() string { return string(e) }
func (refusal) isStatus()       {}

func refused(format string, args ...any) error {
	return refusal(printable(fmt.Sprintf(format, args...), 200))
}

// passed is the result of a stream on which all was said.
func (s *stream) passed(start time.Time, detail string) Result {
	r := passed(start, detail)
	s.cert.tell(&r)
	return r
}

// answerError is an answer that is well-formed, or not, and not what was wanted.
type answerError string

func (e answerError) Error() string { return string(e) }

func wrongAnswer(format string, args ...any) error { return answerError(fmt.Sprintf(format, args...)) }

// line reads a line without its end, of at most limit bytes.
func (s *stream) line(limit int) (string, error) {
	var text []byte
	for {
		b, err := s.in.ReadByte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			break
		}
		if len(text) == limit {
			return "", wrongAnswer("a line of more than %d bytes", limit)
		}
		text = append(text, b)
	}
	if n := len(text); n > 0 && text[n-1] == '\r' {
		text = text[:n-1]
	}
	return string(text), nil
}

// full reads exactly n bytes.
func (s *stream) full(n int) ([]byte, error) {
	if int64(n) > s.budget.N+int64(s.in.Buffered()) {
		return nil, wrongAnswer("a message of %d bytes is too long", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.in, b)
	return b, err
}

// plainConn makes a net.Conn of a socket, for packages that want one.
type plainConn struct {
	*conn
	to netip.AddrPort
}

// LocalAddr returns the address of this end.
func (c plainConn) LocalAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.conn.source(), 0))
}

// RemoteAddr returns the address of the other end.
func (c plainConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.to) }

// source returns the address that a connected socket is bound to; invalid when
// there is none.
func (c *conn) source() netip.Addr {
	var addr netip.Addr
	c.raw.Control(func(fd uintptr) {
		name, err := unix.Getsockname(int(fd))
		if err != nil {
			return
		}
		switch name := name.(type) {
		case *unix.SockaddrInet4:
			addr = netip.AddrFrom4(name.Addr)
		case *unix.SockaddrInet6:
			addr = netip.AddrFrom16(name.Addr)
		}
	})
	return addr
}
