package checkd

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/internal/watchdog"
)

// scriptCalls are the scripts that the parent runs for us. Its methods may be
// called from any goroutine.
type scriptCalls struct {
	send func(watchdog.Message)

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan<- *watchdog.ScriptDone
}

// run has the parent run a check's script and waits for its end, which the
// parent sees to: the script's time limit is with it.
func (s *scriptCalls) run(ctx context.Context, generation uint64, script watchdog.CheckScript, c *config.Check) probe.Result {
	done := make(chan *watchdog.ScriptDone, 1)
	s.mu.Lock()
	s.last++
	id := s.last
	s.waiting[id] = done
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, id)
	}()
	s.send(watchdog.Message{RunScript: &watchdog.RunScript{ID: id, Check: &script, Generation: generation}})
	select {
	case d := <-done:
		return judgeScript(c, d)
	case <-ctx.Done():
		if ctx.Err() == context.Canceled {
			return probe.Result{Reason: probe.Canceled, Detail: "canceled"}
		}
		return probe.Result{Reason: probe.Local, Detail: "the parent process does not say how the script ended"}
	}
}

// done hands over the end of a script.
func (s *scriptCalls) done(d *watchdog.ScriptDone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.waiting[d.ID]; w != nil {
		w <- d
		delete(s.waiting, d.ID)
	}
}

// judgeScript makes a result of how a script ended.
func judgeScript(c *config.Check, d *watchdog.ScriptDone) probe.Result {
	r := probe.Result{Detail: d.Result, Duration: d.Duration}
	if text := strings.TrimSpace(d.Output); text != "" {
		r.Detail += fmt.Sprintf(": %s", lastLine(text))
	}
	switch {
	case !d.Ran:
		r.Reason = probe.Local
	case d.OK:
		r.OK = true
		if c.Dynamic {
			r.Advice = checkers.Advice{Weighing: checkers.Percent, Value: 100}
		}
	case c.Dynamic && d.Exit >= 2:
		r.OK, r.Advice = true, checkers.Advice{Weighing: checkers.Absolute, Value: d.Exit - 2}
	case d.Exit < 0 && strings.HasPrefix(d.Result, "timed out"):
		r.Reason = probe.Timeout
	default:
		r.Reason = probe.BadStatus
	}
	return r
}

// lastLine returns the last line of an output, fit for a line of text.
func lastLine(output string) string {
	output = output[strings.LastIndexByte(output, '\n')+1:]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, output)
}
