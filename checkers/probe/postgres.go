package probe

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	maxPostgres        = 64 << 10 // bytes of all messages
	maxPostgresMessage = 16 << 10
)

// Postgres asks a PostgreSQL server whether it would speak TLS, which any server
// answers that takes connections. With a user it begins a session in the database
// and leaves when the server asks for the password, or has let the user in: a
// server that is starting up, stopping or full says so there.
func Postgres(ctx context.Context, to Target, user, database string) Result {
	start := time.Now()
	c, what, err := dial(ctx, to, nil, maxPostgres)
	if err != nil {
		return broken(ctx, start, what, err)
	}
	defer c.Close()
	if user == "" {
		if _, err := c.Write([]byte{0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f}); err != nil { // SSLRequest
			return c.failed(ctx, start, "SSLRequest", err)
		}
		b, err := c.in.ReadByte()
		if err == nil && b != 'S' && b != 'N' {
			err = wrongAnswer("%q is no answer to SSLRequest: this is no PostgreSQL server", b)
		}
		if err != nil {
			return c.failed(ctx, start, "SSLRequest", err)
		}
		return c.passed(start, "takes connections")
	}
	if _, err := c.Write(postgresStartup(user, database)); err != nil {
		return c.failed(ctx, start, "startup", err)
	}
	for {
		kind, body, err := c.postgresMessage()
		if err == nil {
			var done bool
			if done, err = postgresStep(kind, body); done {
				c.Write([]byte{'X', 0, 0, 0, 4}) // Terminate
				return c.passed(start, fmt.Sprintf("takes sessions of %q", user))
			}
		}
		if err != nil {
			return c.failed(ctx, start, "startup", err)
		}
	}
}

// postgresStep judges a message after the startup. done says that the server is
// well.
func postgresStep(kind byte, body []byte) (done bool, err error) {
	switch kind {
	case 'R': // Authentication...: 0 lets the user in, others ask for a proof
		if len(body) < 4 {
			return false, wrongAnswer("a message that is cut short")
		}
		return binary.BigEndian.Uint32(body) != 0, nil
	case 'Z': // ReadyForQuery
		return true, nil
	case 'E':
		return false, postgresError(body)
	case 'v', 'N', 'S', 'K': // NegotiateProtocolVersion, NoticeResponse, ParameterStatus, BackendKeyData
		return false, nil
	}
	return false, wrongAnswer("a message of type %q", kind)
}

// postgresStartup returns a StartupMessage.
func postgresStartup(user, database string) []byte {
	m := []byte{0, 0, 0, 0, 0, 3, 0, 0} // length, version 3.0
	for _, text := range [...]string{"user", user, "database", database, "application_name", "director"} {
		m = append(append(m, text...), 0)
	}
	m = append(m, 0)
	binary.BigEndian.PutUint32(m, uint32(len(m)))
	return m
}

// postgresMessage reads a message.
func (s *stream) postgresMessage() (kind byte, body []byte, err error) {
	head, err := s.full(5)
	if err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > maxPostgresMessage {
		return 0, nil, wrongAnswer("a message of %d bytes: this is no PostgreSQL server", size)
	}
	body, err = s.full(int(size) - 4)
	return head[0], body, err
}

// postgresError is what an ErrorResponse says: its code and its text.
func postgresError(body []byte) error {
	var code, text string
	for len(body) > 1 {
		value, rest, found := bytes.Cut(body[1:], []byte{0})
		if !found {
			return wrongAnswer("an error that is cut short")
		}
		switch body[0] {
		case 'C':
			code = string(value)
		case 'M':
			text = string(value)
		}
		body = rest
	}
	return refused("error %s: %s", code, text)
}
