package checkd

import (
	"context"

	"director/internal/watchdog"
)

// receive hands the parent's messages to the loop until the channel ends.
func receive(ctx context.Context, ch Channel, messages chan<- watchdog.Message, lost chan<- error) {
	for {
		m, err := ch.Recv()
		if err != nil {
			lost <- err
			return
		}
		select {
		case messages <- m:
		case <-ctx.Done():
			return
		}
	}
}
