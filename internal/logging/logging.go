// Package logging sets up the daemon's log: slog as text or JSON on standard
// error, with a level and a format that a reload can change, and a writer that
// never makes its caller wait.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
)

// The formats.
const (
	Text = "text"
	JSON = "json"
)

// Settings are what can be changed while the daemon runs. The zero value is
// level info and format text.
type Settings struct {
	level slog.LevelVar
	json  atomic.Bool
}

// Set puts a level (debug, info, warn, error) and a format (text, json) in
// force. An empty word changes nothing.
func (s *Settings) Set(level, format string) error {
	if level != "" {
		var l slog.Level
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return fmt.Errorf("log level %q: must be debug, info, warn or error", level)
		}
		s.level.Set(l)
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

// New returns a logger that writes to w. Lines have no time of their own when
// timestamps is false, as fits a log that is kept by journald.
func New(w io.Writer, s *Settings, timestamps bool) *slog.Logger {
	opts := &slog.HandlerOptions{Level: &s.level}
	if !timestamps {
		opts.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
	}
	return slog.New(&handler{
		settings: s,
		text:     slog.NewTextHandler(w, opts),
		json:     slog.NewJSONHandler(w, opts),
	})
}

// Timestamps reports whether lines on f need a time of their own: not when
// journald reads them, which JOURNAL_STREAM (device:inode of the stream) tells.
func Timestamps(f *os.File, journalStream string) bool {
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
	return &handler{h.settings, h.text.WithAttrs(a), h.json.WithAttrs(a)}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.settings, h.text.WithGroup(name), h.json.WithGroup(name)}
}
