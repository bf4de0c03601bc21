package logging

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"
)

// maxQueued bounds the lines that wait for a writer that blocks.
const maxQueued = 4096

// Async is a writer that never makes its caller wait: lines are queued and one
// goroutine writes them. When the writer beneath blocks for so long that the
// queue is full, further lines are dropped; their number is written as a line
// of its own when it moves again.
type Async struct {
	w    io.Writer
	each bool // a Write beneath for each line, as datagrams need it

	mu      sync.Mutex
	lines   [][]byte
	busy    bool
	closed  bool
	dropped uint64        // since the last report
	changed chan struct{} // closed and replaced whenever the fields above change
	report  func(dropped uint64) []byte
}

// newAsync returns a writer in front of w. Each Write must be one line.
func newAsync(w io.Writer) *Async {
	a := &Async{w: w, changed: make(chan struct{}), report: droppedLine}
	go a.run()
	return a
}

// newAsyncEach returns a writer that hands each Write to w by itself, and tells of lost
// ones by what report returns.
func newAsyncEach(w io.Writer, report func(dropped uint64) []byte) *Async {
	a := &Async{w: w, each: true, changed: make(chan struct{}), report: report}
	go a.run()
	return a
}

// droppedLine tells of lost lines in a form that both log formats bear.
func droppedLine(n uint64) []byte {
	return fmt.Appendf(nil, "level=WARN msg=\"log lines dropped because the log could not be written\" count=%d\n", n)
}

// Write queues one line. It never fails.
func (a *Async) Write(line []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.lines) >= maxQueued {
		a.dropped++
		return len(line), nil
	}
	a.lines = append(a.lines, bytes.Clone(line))
	a.signal()
	return len(line), nil
}

// signal wakes whoever waits for a change. a.mu is held.
func (a *Async) signal() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// run is the writing goroutine; it ends after Close.
func (a *Async) run() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		for len(a.lines) == 0 {
			if a.closed {
				return
			}
			changed := a.changed
			a.mu.Unlock()
			<-changed
			a.mu.Lock()
		}
		lines := a.lines
		if a.dropped > 0 {
			lines = append(lines, a.report(a.dropped))
		}
		if !a.each {
			lines = [][]byte{bytes.Join(lines, nil)}
		}
		a.lines, a.dropped, a.busy = nil, 0, true
		a.mu.Unlock()
		for _, text := range lines {
			_, _ = a.w.Write(text) // there is nowhere to report that the log cannot be written
		}
		a.mu.Lock()
		a.busy = false
		a.signal()
	}
}

// Close takes no more lines and waits until those queued were written, at most
// for timeout.
func (a *Async) Close(timeout time.Duration) {
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		a.signal()
	}
	for len(a.lines) > 0 || a.busy {
		changed := a.changed
		a.mu.Unlock()
		select {
		case <-changed:
			a.mu.Lock()
		case <-limit.C:
			a.mu.Lock()
			return
		}
	}
}
