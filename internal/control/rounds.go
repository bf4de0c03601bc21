package control

import (
	"context"
	"errors"
	"sync"
)

const (
	// mostLarge is how many states that are large, as text, are in memory at a time.
	mostLarge = 2
	// large is from how many bytes on a state counts: tens of thousands of servers have
	// tens of megabytes, and whoever takes none of it may keep it for writeTimeout.
	large = 1 << 20
)

// rounds answer those who ask for the whole state. All who ask while a state is being
// gathered are answered together, with the one after it, so that however many ask, it is
// gathered and encoded no oftener than one after the other can be.
type rounds struct {
	status func(context.Context) (*Status, error)
	turn   chan struct{} // full while a state is gathered
	larges chan struct{} // holds what stands for each large state

	mu   sync.Mutex
	next *round // of those who ask now; nil: nobody does
}

// round is a state for all who take part in it.
type round struct {
	done  chan struct{} // closed when there is an answer
	frame []byte
	err   error

	takers int // that have not taken it yet; guarded by rounds.mu
	large  bool
}

func newRounds(status func(context.Context) (*Status, error)) *rounds {
	return &rounds{status: status, turn: make(chan struct{}, 1), larges: make(chan struct{}, mostLarge)}
}

// join takes part in the next round and waits for its answer. leave must follow.
func (s *rounds) join(ctx context.Context) *round {
	s.mu.Lock()
	r := s.next
	if r == nil {
		r = &round{done: make(chan struct{})}
		s.next = r
		go s.hold(ctx, r)
	}
	r.takers++
	s.mu.Unlock()
	<-r.done
	return r
}

// leave ends the part of one who has taken the answer.
func (s *rounds) leave(r *round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.takers--; r.takers == 0 && r.large {
		<-s.larges
	}
}

// hold gathers the state of a round when it is its turn.
func (s *rounds) hold(ctx context.Context, r *round) {
	defer close(r.done)
	err := s.await(ctx, s.turn)
	if err == nil {
		defer func() { <-s.turn }()
		if err = s.await(ctx, s.larges); err == nil {
			r.large = true // until it is known
		}
	}
	s.mu.Lock()
	s.next = nil // who asks from now on wants to know what is from now on
	s.mu.Unlock()
	if err != nil {
		r.err = err
		return
	}
	var res Response
	if res.Status, err = s.status(ctx); err != nil {
		res = Response{Error: err.Error()}
	}
	r.frame, r.err = frame(res)
	if len(r.frame) < large {
		r.large = false
		<-s.larges
	}
}

var errClosed = errors.New("director has stopped")

func (s *rounds) await(ctx context.Context, room chan<- struct{}) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errClosed
	}
}
