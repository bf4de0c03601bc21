package probe

import (
	"context"
	"time"
)

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
