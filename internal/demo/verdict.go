package demo

import (
	"fmt"
	"strings"
	"time"
)

// promise is something that director promises, and what was seen of it.
type promise struct {
	act  int
	text string // such as "no request fails"
	kept bool
	seen string // what was measured
}

// part is what the summary says of one act.
type part struct {
	title      string
	ok, failed int
	gap        time.Duration
	still      time.Duration // for how long the machine stood still at most
	note       string        // such as the measured time of a switch
}

// report gathers what the play has shown.
type report struct {
	parts    []part
	promises []promise
	stopped  error // why the play ended before its last act
}

// BrokenError says which promises were not kept.
type BrokenError struct {
	// Promises are told in words, with what was seen instead.
	Promises []string
}

func (e *BrokenError) Error() string {
	what := "a promise was"
	if n := len(e.Promises); n > 1 {
		what = fmt.Sprintf("%d promises were", n)
	}
	return "demo: " + what + " not kept:\n  " + strings.Join(e.Promises, "\n  ")
}

// err is the verdict: nil when every act was played and every promise kept.
func (r *report) err() error {
	var e BrokenError
	for _, p := range r.promises {
		if !p.kept {
			e.Promises = append(e.Promises, fmt.Sprintf("act %d: %s: %s", p.act, p.text, p.seen))
		}
	}
	switch {
	case len(e.Promises) > 0:
		return &e
	case r.stopped != nil:
		return fmt.Errorf("demo: %w", r.stopped)
	case len(r.promises) == 0:
		return fmt.Errorf("demo: nothing was shown")
	}
	return nil
}

// lines is the summary.
func (r *report) lines() []string {
	width := len("total")
	for _, p := range r.parts {
		width = max(width, len(p.title)+3)
	}
	out := []string{fmt.Sprintf("%-*s  %8s  %6s  %11s  %11s", width, "act", "answered", "failed", "longest gap", "stood still")}
	var ok, failed int
	for i, p := range r.parts {
		out = append(out, strings.TrimRight(fmt.Sprintf("%-*s  %8d  %6d  %11s  %11s  %s",
			width, fmt.Sprintf("%d  %s", i+1, p.title), p.ok, p.failed, p.gap.Round(time.Millisecond), p.still.Round(time.Millisecond), p.note), " "))
		ok, failed = ok+p.ok, failed+p.failed
	}
	return append(out, fmt.Sprintf("%-*s  %8d  %6d", width, "total", ok, failed))
}

// verdict is the last line.
func (r *report) verdict() string {
	n := 0
	for _, p := range r.promises {
		if p.kept {
			n++
		}
	}
	switch lost := len(r.promises) - n; {
	case lost == 1:
		return fmt.Sprintf("1 of %d promises was NOT kept", len(r.promises))
	case lost > 1:
		return fmt.Sprintf("%d of %d promises were NOT kept", lost, len(r.promises))
	case r.stopped != nil:
		return fmt.Sprintf("the demo could not go on: %v", r.stopped)
	case n == 0:
		return "nothing was shown"
	}
	return fmt.Sprintf("all %d promises were kept", n)
}
