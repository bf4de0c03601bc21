package watchdog

import "time"

const (
	maxBackoff = 60 * time.Second
	// settled is how long a child must live for its past deaths to be forgotten.
	settled = 60 * time.Second
	// prompt is how many deaths in a row are answered at once. Backups of a VRRP
	// child wait for three of its adverts, which may be 30 ms: a delay, and be it
	// a second, gives the addresses away.
	prompt = 3
)

// backoff decides how long a dead child stays dead: the first few times not at all,
// then 1, 2, 4 ... 60 seconds while it keeps dying young.
type backoff struct {
	deaths int // in a row
	next   time.Duration
}

// died returns the delay before the next start of a child that lived for so long.
func (b *backoff) died(lived time.Duration) time.Duration {
	if lived >= settled {
		b.reset()
	}
	if b.deaths++; b.deaths <= prompt {
		return 0
	}
	b.next = min(max(time.Second, 2*b.next), maxBackoff)
	return b.next
}

// reset forgets past deaths.
func (b *backoff) reset() { *b = backoff{} }
