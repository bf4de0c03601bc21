package control

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestRoundsShareOneState has many ask while a state is being gathered: they get the next
// one, which is gathered and encoded once.
func TestRoundsShareOneState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gathered, goOn := 0, make(chan struct{})
		s := newRounds(func(context.Context) (*Status, error) {
			gathered++
			n := gathered
			<-goOn
			if n == 3 {
				return nil, fmt.Errorf("the third fails")
			}
			return &Status{Generation: uint64(n)}, nil
		})
		first := make(chan *round)
		go func() { first <- s.join(t.Context()) }()
		synctest.Wait()
		const many = 20
		rest := make(chan *round, many)
		for range many {
			go func() { rest <- s.join(t.Context()) }()
		}
		synctest.Wait()
		if gathered != 1 {
			t.Errorf("%d states are gathered at once", gathered)
		}
		goOn <- struct{}{}
		r := <-first
		if r.err != nil || !strings.Contains(string(r.frame), `"generation":1,`) {
			t.Errorf("the first got %q, %v", r.frame, r.err)
		}
		s.leave(r)
		synctest.Wait() // the second is being gathered: who asks now is of the third
		late := make(chan *round)
		go func() { late <- s.join(t.Context()) }()
		synctest.Wait()
		goOn <- struct{}{}
		for range many {
			r := <-rest
			if r.err != nil || !strings.Contains(string(r.frame), `"generation":2,`) {
				t.Errorf("the others got %q, %v", r.frame, r.err)
			}
			s.leave(r)
		}
		goOn <- struct{}{}
		if r := <-late; r.err != nil || string(r.frame[4:]) != "{\"error\":\"the third fails\"}\n" {
			t.Errorf("the last got %q, %v", r.frame, r.err)
		}
		if gathered != 3 {
			t.Errorf("%d states were gathered", gathered)
		}
	})
}

// TestLargeStatesAreBounded has readers that keep what they got: no more than two large
// states are in memory, and small ones are not held up by anything else.
func TestLargeStatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := large
		s := newRounds(func(context.Context) (*Status, error) { return &Status{RouterID: strings.Repeat("x", size)}, nil })
		var kept []*round
		for range mostLarge {
			r := s.join(t.Context())
			if len(r.frame) < size {
				t.Fatalf("%d bytes, %v", len(r.frame), r.err)
			}
			kept = append(kept, r)
		}
		next := make(chan *round, 2)
		for range 2 { // of one round
			go func() { next <- s.join(t.Context()) }()
		}
		synctest.Wait()
		if len(next) > 0 {
			t.Fatalf("there are %d large states", mostLarge+1)
		}
		s.leave(kept[0])
		a, b := <-next, <-next
		if a != b {
			t.Error("those who waited got two states")
		}
		s.leave(a)
		size = 1
		waits := make(chan *round, 1)
		go func() { waits <- s.join(t.Context()) }()
		synctest.Wait()
		if len(waits) > 0 {
			t.Error("a state was let go while one still had to take it")
		}
		s.leave(b)
		<-waits // nobody leaves the small ones
		for range 2 * mostLarge {
			s.join(t.Context())
		}
	})
}

// TestRoundsEndWithTheServer ends the server while some wait.
func TestRoundsEndWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newRounds(func(ctx context.Context) (*Status, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		got := make(chan *round, 2)
		for range 2 {
			go func() { got <- s.join(ctx) }()
			synctest.Wait()
		}
		cancel()
		for range 2 {
			r := <-got
			if r.err == nil && !strings.Contains(string(r.frame), "context canceled") {
				t.Errorf("%q, %v", r.frame, r.err)
			}
			s.leave(r)
		}
		ctx, cancel = context.WithCancel(t.Context())
		s = newRounds(func(context.Context) (*Status, error) { return &Status{RouterID: strings.Repeat("x", large)}, nil })
		for range mostLarge {
			s.join(ctx) // and keeps it
		}
		go func() { got <- s.join(ctx) }()
		synctest.Wait()
		cancel()
		if r := <-got; r.err != errClosed {
			t.Errorf("%d bytes, %v", len(r.frame), r.err)
		}
	})
}
