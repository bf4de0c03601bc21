package probe

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// UDPSettings says what is sent and what must come back.
type UDPSettings struct {
	// Send is the content of the datagram; empty sends an empty one.
	Send []byte
	// RequireReply makes silence a failure. Without it a server is well unless
	// an ICMP error says that it is not, so that a probe of a silent one lasts as
	// long as it may.
	RequireReply bool
	// Expect is what the first reply must hold.
	Expect Match
	// MinLength and MaxLength bound a reply's length in bytes; a MaxLength of 0
	// means no bound.
	MinLength, MaxLength int
}

// UDP sends one datagram and judges the reply, or what its absence means.
func UDP(ctx context.Context, to Target, s UDPSettings) Result {
	start := time.Now()
	c, err := connectUDP(ctx, to)
	if err != nil {
		return broken(ctx, start, "open socket", err)
	}
	defer c.Close()
	if _, err := c.Write(s.Send); err != nil {
		return broken(ctx, start, "send", err)
	}
	reply, err := c.datagram()
	if err != nil {
		r := broken(ctx, start, "datagram", err)
		if r.Reason == Timeout && !s.RequireReply {
			return passed(start, "no reply, and no ICMP error either")
		}
		return r
	}
	return s.judge(start, reply)
}

func (s *UDPSettings) judge(start time.Time, reply []byte) Result {
	n := len(reply)
	switch {
	case n < s.MinLength:
		return failed(start, BadAnswer, fmt.Sprintf("a reply of %d bytes, want %d at least", n, s.MinLength))
	case s.MaxLength > 0 && n > s.MaxLength:
		return failed(start, BadAnswer, fmt.Sprintf("a reply of %d bytes, want %d at most", n, s.MaxLength))
	case !s.Expect.found(reply):
		return failed(start, BodyMismatch, fmt.Sprintf("no %s in the reply %s (%d bytes)", s.Expect.want(), shown(reply), n))
	}
	return passed(start, fmt.Sprintf("reply of %d bytes", n))
}

// datagram waits for a datagram and returns what is in it. A buffer that holds any
// would be 64 KiB for each probe, for an answer of some tens of bytes.
func (c *conn) datagram() (text []byte, err error) {
	var got error
	err = c.raw.Read(func(fd uintptr) bool {
		var n int
		if n, _, got = unix.Recvfrom(int(fd), nil, unix.MSG_PEEK|unix.MSG_TRUNC); got == nil {
			text = make([]byte, n)
			n, _, got = unix.Recvfrom(int(fd), text, 0)
			text = text[:max(n, 0)]
		}
		return got != unix.EAGAIN && got != unix.EINTR
	})
	if err == nil {
		err = os.NewSyscallError("receive", fromNetwork(got))
	}
	return text, err
}

// connectUDP returns a socket that sends to the target, gets what comes from it
// alone, and is told of ICMP errors about it.
func connectUDP(ctx context.Context, to Target) (*conn, error) {
	c, err := open(ctx, to, unix.SOCK_DGRAM, unix.IPPROTO_UDP)
	if err != nil {
		return nil, err
	}
	if err := c.connect(to.Addr); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
