// Package logging sets up the daemon's log: slog as text or JSON on standard
// error, or with fields to systemd's journal; with a level and a format that can be
// changed at run time, lines that repeat counted, and a writer that never makes its
// caller wait.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The formats.
const (
	Text = "text"
	JSON = "json"
)

// Settings are what can be changed while the daemon runs. The zero value is
// level info and format text.
type Settings struct {
	level slog.LevelVar // in force
	json  atomic.Bool

	mu         sync.Mutex
	configured slog.Level
	override   *slog.Level // nil: none
}

// ParseLevel returns the level of a word: debug, info, warn, error.
func ParseLevel(word string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(l.String(), word) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("log level %q: must be debug, info, warn or error", word)
}

// Set puts a level (debug, info, warn, error) and a format (text, json) in
// force. An empty word changes nothing.
func (s *Settings) Set(level, format string) error {
	if level != "" {
		l, err := ParseLevel(level)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.configured = l
		s.settle()
		s.mu.Unlock()
	}
	switch format {
	case "":
	case Text, JSON:
		s.json.Store(format == JSON)
	default:
		return fmt.Errorf("log format %q: must be text or json", format)
	}
	return nil
}

// Override puts a level in the place of the one of Set, until it is called with an empty
// word.
func (s *Settings) Override(level string) error {
	var o *slog.Level
	if level != "" {
		l, err := ParseLevel(level)
		if err != nil {
			return err
		}
		o = &l
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.override = o
	s.settle()
	return nil
}

// settle puts the level in force that counts. s.mu is held.
func (s *Settings) settle() {
	l := s.configured
	if s.override != nil {
		l = *s.override
	}
	s.level.Set(l)
}

// Open returns the log of a process on f, its standard error, and what writes the lines
// that are still queued, at most for a time. journalStream is the environment's
// JOURNAL_STREAM: when journald reads f, and the format is text, entries go to it in its
// native protocol, with each attribute as a field.
func Open(f *os.File, journalStream string, s *Settings) (log *slog.Logger, flush func(time.Duration)) {
	return open(f, journalStream, JournalSocket, s)
}

func open(f *os.File, journalStream, socket string, s *Settings) (*slog.Logger, func(time.Duration)) {
	lines := newAsync(f)
	timestamps := timestamped(f, journalStream)
	h := newHandler(lines, s, timestamps)
	var entries *Async
	if !timestamps {
		if j := dialJournal(socket, f); j != nil {
			entries = newAsyncEach(j, droppedEntry)
			h.text = newJournalHandler(entries, h.opts)
		}
	}
	counted := newRepeatHandler(h)
	return slog.New(counted), func(limit time.Duration) {
		counted.all.close()
		lines.Close(limit)
		if entries != nil {
			entries.Close(limit)
		}
	}
}

// newHandler writes lines to w. They have no time of their own when timestamps is false,
// as fits a log that is kept by journald.
func newHandler(w io.Writer, s *Settings, timestamps bool) *handler {
	opts := &slog.HandlerOptions{Level: &s.level}
	if !timestamps {
		opts.ReplaceAttr = withoutTime
	}
	return &handler{settings: s, opts: opts, text: slog.NewTextHandler(w, opts), json: slog.NewJSONHandler(w, opts)}
}

// timestamped reports whether lines on f need a time of their own: not when
// journald reads them, which JOURNAL_STREAM (device:inode of the stream) tells.
func timestamped(f *os.File, journalStream string) bool {
	dev, ino, ok := strings.Cut(journalStream, ":")
	if !ok {
		return true
	}
	info, err := f.Stat()
	if err != nil {
		return true
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return !ok || fmt.Sprint(st.Dev) != dev || fmt.Sprint(st.Ino) != ino
}

// handler hands each record to the text or the JSON handler, whichever the
// settings name at that moment.
type handler struct {
	settings   *Settings
	opts       *slog.HandlerOptions
	text, json slog.Handler
}

func (h *handler) current() slog.Handler {
	if h.settings.json.Load() {
		return h.json
	}
	return h.text
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.text.Enabled(ctx, l) }

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	return h.current().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(a []slog.Attr) slog.Handler {
	return &handler{h.settings, h.opts, h.text.WithAttrs(a), h.json.WithAttrs(a)}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.settings, h.opts, h.text.WithGroup(name), h.json.WithGroup(name)}
}
