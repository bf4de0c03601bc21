package netlab

import (
	"context"
	"fmt"
	"time"
)

// Eventually calls cond until it returns nil: at once, then every 5 ms, after 100 ms every 20 ms. When ctx ends first, the error
// tells how long it tried and what cond said last.
func Eventually(ctx context.Context, cond func() error) error {
	start := time.Now()
	for {
		last := cond()
		if last == nil {
			return nil
		}
		pause := 5 * time.Millisecond
		if time.Since(start) > 100*time.Millisecond {
			pause = 20 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", time.Since(start).Round(time.Millisecond), last)
		case <-time.After(pause):
		}
	}
}

// EventuallyWithin is Eventually with a time limit. cond is tried at least once.
func EventuallyWithin(limit time.Duration, cond func() error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return Eventually(ctx, cond)
}
