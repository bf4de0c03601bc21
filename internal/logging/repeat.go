package logging

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// firstWindow is for how long a line that comes again is counted before that is
	// told; while it goes on, the time doubles up to lastWindow.
	firstWindow = 5 * time.Second
	lastWindow  = 5 * time.Minute
	// maxRepeats bounds the lines that are remembered. Further ones are written as they come.
	maxRepeats = 256
)

// repeats counts lines that come again instead of repeating them. The first is written at
// once. Those that are the same but for their time are counted, and then told by one more
// such line with their number and over how long they came. Lines that differ in anything
// (states have a number of their own) are never held back.
type repeats struct {
	mu     sync.Mutex
	key    bytes.Buffer // where a line is written to be compared
	lines  map[string]*repeated
	closed bool
}

// repeated is a line that was written.
type repeated struct {
	count       int // since that was told last
	first, last time.Time
	window      time.Duration
	timer       *time.Timer
	handler     *repeatHandler // of the newest
	record      slog.Record
}

// repeatHandler hands on what is no repetition.
type repeatHandler struct {
	all  *repeats
	next slog.Handler
	text slog.Handler // writes a line without time to all.key
}

func newRepeatHandler(next slog.Handler) *repeatHandler {
	all := &repeats{lines: make(map[string]*repeated)}
	opts := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime}
	return &repeatHandler{all: all, next: next, text: slog.NewTextHandler(&all.key, opts)}
}

// withoutTime leaves the time of a record out.
func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// Enabled implements slog.Handler.
func (h *repeatHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *repeatHandler) Handle(ctx context.Context, r slog.Record) error {
	if h.again(ctx, r) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// again counts a line and reports whether it is one that was written already.
func (h *repeatHandler) again(ctx context.Context, r slog.Record) bool {
	all := h.all
	all.mu.Lock()
	defer all.mu.Unlock()
	all.key.Reset()
	if err := h.text.Handle(ctx, r); err != nil || all.closed {
		return false
	}
	if known := all.lines[string(all.key.Bytes())]; known != nil {
		if known.count == 0 {
			known.first = r.Time
		}
		known.count++
		known.last, known.handler, known.record = r.Time, h, r.Clone()
		return true
	}
	if len(all.lines) >= maxRepeats {
		return false
	}
	key := all.key.String()
	line := &repeated{window: firstWindow}
	line.timer = time.AfterFunc(line.window, func() { all.over(key, line) })
	all.lines[key] = line
	return false
}

// over ends a window: what came in it is told, and the line is forgotten when nothing did.
func (all *repeats) over(key string, line *repeated) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.lines[key] != line {
		return
	}
	if line.count == 0 {
		delete(all.lines, key)
		return
	}
	line.tell()
	line.window = min(2*line.window, lastWindow)
	line.timer.Reset(line.window)
}

// tell writes the line once more, with how often it came. all.mu is held.
func (line *repeated) tell() {
	r := slog.NewRecord(time.Now(), line.record.Level, line.record.Message, 0)
	line.record.Attrs(func(a slog.Attr) bool {
		r.AddAttrs(a)
		return true
	})
	r.AddAttrs(slog.Int("repeated", line.count), slog.Duration("within", line.last.Sub(line.first).Round(time.Millisecond)))
	line.count = 0
	_ = line.handler.next.Handle(context.Background(), r) // there is nowhere to report that the log cannot be written
}

// close tells what was counted; from then on every line is written.
func (all *repeats) close() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.closed = true
	for key, line := range all.lines {
		line.timer.Stop()
		delete(all.lines, key)
		if line.count > 0 {
			line.tell()
		}
	}
}

// WithAttrs implements slog.Handler.
func (h *repeatHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &repeatHandler{h.all, h.next.WithAttrs(a), h.text.WithAttrs(a)}
}

// WithGroup implements slog.Handler.
func (h *repeatHandler) WithGroup(name string) slog.Handler {
	return &repeatHandler{h.all, h.next.WithGroup(name), h.text.WithGroup(name)}
}
