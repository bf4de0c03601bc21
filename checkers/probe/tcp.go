package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxReply is how much of a reply is read when something is looked for in it, in
// bytes.
const MaxReply = 64 << 10

// TCP asks whether the target accepts TCP connections.
//
// The server's kernel answers the first packet when a program listens and its
// queue of new connections has room; that is what is asked. The probe then ends
// with a reset in place of the third packet: three packets in all, no TIME_WAIT
// state on this machine however many servers are probed, and no connection that
// the server's program would have to accept, log and clean up.
func TCP(ctx context.Context, to Target) Result {
	start := time.Now()
	c, err := connectTCP(ctx, to)
	if err != nil {
		return broken(ctx, start, "connect", err)
	}
	result := passed(start, "connected")
	c.abort()
	c.Close()
	return result
}

// TalkSettings says what is said on a connection and what must come back.
type TalkSettings struct {
	// Send is sent first; empty sends nothing.
	Send []byte
	// Expect is looked for in the first MaxReply bytes of what comes back, as it
	// comes: the server need not end the connection.
	Expect Match
	// TLS encrypts the connection when it is not nil.
	TLS *TLSSettings
}

// Talk opens a TCP connection, sends something, and waits for a reply.
func Talk(ctx context.Context, to Target, s TalkSettings) Result {
	start := time.Now()
	c, what, err := dial(ctx, to, s.TLS, MaxReply+maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	if len(s.Send) > 0 {
		if _, err := c.Write(s.Send); err != nil {
			return c.failed(ctx, start, "send", err)
		}
	}
	if s.Expect.empty() {
		return c.passed(start, "connected")
	}
	reply := make([]byte, 0, 512)
	search := search{match: &s.Expect}
	for {
		if len(reply) == cap(reply) {
			reply = append(reply, make([]byte, len(reply))...)[:len(reply)]
		}
		n, err := c.in.Read(reply[len(reply):min(cap(reply), MaxReply)])
		reply = reply[:len(reply)+n]
		switch {
		case len(reply) > 0 && search.found(reply, err != nil || len(reply) == MaxReply):
			return c.passed(start, fmt.Sprintf("reply with %s", s.Expect.want()))
		case err == nil && len(reply) < MaxReply:
		case err == nil || errors.Is(err, io.EOF):
			return failed(start, BodyMismatch, fmt.Sprintf("no %s in the reply %s (%d bytes)", s.Expect.want(), shown(reply), len(reply)))
		default:
			r := c.failed(ctx, start, "read reply", err)
			if r.Reason == Timeout && len(reply) > 0 {
				r.Detail = fmt.Sprintf("no %s in the reply %s (%d bytes) after %s", s.Expect.want(), shown(reply), len(reply), r.Duration.Round(time.Millisecond))
			}
			return r
		}
	}
}
