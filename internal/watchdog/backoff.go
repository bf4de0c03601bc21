package watchdog

import "time"

const (
	maxBackoff = 60 * time.Second
	// settled is how long a child must live for its past deaths to be forgotten.
	settled = 60 * time.Second
)

// backoff decides how long a dead child stays dead: not at all the first time,
// then 1, 2, 4 ... 60 seconds while it keeps dying young.
type backoff struct{ next time.Duration }

// died returns the delay before the next start of a child that lived for so long.
func (b *backoff) died(lived time.Duration) time.Duration {
	if lived >= settled {
		b.next = 0
	}
	delay := b.next
	b.next = min(max(time.Second, 2*b.next), maxBackoff)
	return delay
}

// reset forgets past deaths.
func (b *backoff) reset() { b.next = 0 }
