package checkers

// Weights are sums over the servers of a pool.
type Weights struct {
	Up      int // healthy servers
	Held    int // servers without a verdict that are in service
	Pending int // servers without a verdict that are not, and that may still come
	Former  int // servers that the configuration lists no more and that serve in the meantime
}

// Quorum says whether enough of a pool is healthy. It is gained when the
// healthy weight reaches Need+Hysteresis and lost when it falls below
// Need-Hysteresis; weight 0 never is enough.
type Quorum struct {
	Need, Hysteresis int
	// State is Up with a quorum, Down without, and Unknown until enough verdicts
	// are in to tell, whatever the missing ones will be.
	State State
	// Open says that the servers were changed under a quorum: while some serve and those
	// without a verdict may still keep it, it is not lost.
	Open bool
	// Serving says, while State is Unknown, that the pool was found serving: the
	// weight to keep the quorum is then enough to have it.
	Serving bool
}

// Gain returns the least weight at which the quorum is gained.
func (q *Quorum) Gain() int { return max(q.Need+q.Hysteresis, 1) }

// Keep returns the least weight at which the quorum is kept.
func (q *Quorum) Keep() int { return max(q.Need-q.Hysteresis, 1) }

// Step compares the pool's weights with the thresholds and reports whether the
// state changed. Calling it again with the same weights changes nothing.
func (q *Quorum) Step(w Weights) bool {
	before := q.State
	switch q.State {
	case Up:
		// Those who serve without a verdict count until they are proven dead.
		switch {
		case w.Up+w.Held >= q.Keep():
			q.Open = false
		case q.Open && w.Up+w.Held+w.Former > 0 && w.Up+w.Held+w.Pending >= q.Keep():
		default:
			q.State, q.Open = Down, false
		}
	case Down:
		if w.Up >= q.Gain() {
			q.State = Up
		}
	default:
		need := q.Gain()
		if q.Serving {
			need = q.Keep()
		}
		switch {
		case w.Up >= need:
			q.State = Up
		case w.Up+w.Held+w.Pending < need:
			q.State = Down
		}
	}
	return q.State != before
}
