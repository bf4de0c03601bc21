package logging

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// JournalSocket is where systemd-journald takes entries in its native protocol.
const JournalSocket = "/run/systemd/journal/socket"

const (
	// identifier is what the journal calls the program (SYSLOG_IDENTIFIER).
	identifier = "director"
	// fieldPrefix is before the names of fields that are ours.
	fieldPrefix = "DIRECTOR_"
)

// journal sends entries to systemd-journald, one datagram each. One that is too large for
// a datagram goes as a sealed file in memory. What journald does not take goes to the
// stream beneath, as a line.
type journal struct {
	conn     *net.UnixConn
	to       *net.UnixAddr
	fallback io.Writer
}

// dialJournal returns the way to journald, nil when there is none.
func dialJournal(path string, fallback io.Writer) *journal {
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return nil
	}
	// Not connected: journald may be restarted, and its socket be another one then.
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil
	}
	return &journal{conn: conn, to: &net.UnixAddr{Name: path, Net: "unixgram"}, fallback: fallback}
}

// Write sends one entry.
func (j *journal) Write(entry []byte) (int, error) {
	_, err := j.conn.WriteToUnix(entry, j.to)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		err = j.writeFile(entry)
	}
	if err != nil {
		return j.fallback.Write(append([]byte(message(entry)), '\n'))
	}
	return len(entry), nil
}

// writeFile hands an entry over as a file in memory that can change no more.
func (j *journal) writeFile(entry []byte) error {
	fd, err := unix.MemfdCreate("director-journal", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "journal entry")
	defer f.Close()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return err
	}
	_, _, err = j.conn.WriteMsgUnix(nil, unix.UnixRights(int(f.Fd())), j.to)
	return err
}

// appendField adds a field to an entry, in the form that bears any value.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.ContainsRune(value, '\n') {
		b = append(b, '=')
		return append(append(b, value...), '\n')
	}
	b = append(b, '\n')
	b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	return append(append(b, value...), '\n')
}

// message returns the MESSAGE of an entry, which is its first field.
func message(entry []byte) string {
	rest, ok := bytes.CutPrefix(entry, []byte("MESSAGE"))
	if !ok || len(rest) < 1 {
		return string(entry)
	}
	if rest[0] == '=' {
		text, _, _ := bytes.Cut(rest[1:], []byte("\n"))
		return string(text)
	}
	if len(rest) < 9 {
		return string(entry)
	}
	n := binary.LittleEndian.Uint64(rest[1:9])
	return string(rest[9:][:min(uint64(len(rest)-9), n)])
}

// droppedEntry tells the journal of lost lines.
func droppedEntry(n uint64) []byte {
	b := appendField(nil, "MESSAGE", strings.TrimSuffix(string(droppedLine(n)), "\n"))
	b = appendField(b, "PRIORITY", priority(slog.LevelWarn))
	b = appendField(b, fieldPrefix+"COUNT", fmt.Sprint(n))
	return appendField(b, "SYSLOG_IDENTIFIER", identifier)
}

// priority is syslog's number for a level.
func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "3"
	case l >= slog.LevelWarn:
		return "4"
	case l >= slog.LevelInfo:
		return "6"
	}
	return "7"
}

// fieldName is the journal's name for a key: capitals, digits and underscores.
func fieldName(key string) string {
	return fieldPrefix + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

// journalHandler writes records as entries of the journal: MESSAGE is the line that the
// text format has, so that the log reads the same everywhere, and each attribute is a
// field beside it.
type journalHandler struct {
	out   io.Writer
	line  *shared
	text  slog.Handler // writes to line
	attrs []byte       // fields of WithAttrs
	group string       // of WithGroup, as a prefix of keys
}

// shared is a buffer that handlers of one log write to in turn.
type shared struct {
	mu sync.Mutex
	bytes.Buffer
}

func newJournalHandler(out io.Writer, opts *slog.HandlerOptions) *journalHandler {
	line := &shared{}
	return &journalHandler{out: out, line: line, text: slog.NewTextHandler(&line.Buffer, opts)}
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.text.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.mu.Lock()
	h.line.Reset()
	err := h.text.Handle(ctx, r)
	text := strings.TrimSuffix(h.line.String(), "\n")
	h.line.mu.Unlock()
	if err != nil {
		return err
	}
	b := appendField(nil, "MESSAGE", text)
	b = appendField(b, "PRIORITY", priority(r.Level))
	b = appendField(b, "SYSLOG_IDENTIFIER", identifier)
	b = appendField(b, fieldPrefix+"MESSAGE", r.Message)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	_, err = h.out.Write(b)
	return err
}

// appendAttr adds an attribute, those of a group each by itself.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	switch {
	case a.Equal(slog.Attr{}):
		return b
	case v.Kind() == slog.KindGroup:
		if a.Key != "" {
			group += a.Key + "_"
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, group, inner)
		}
		return b
	case v.Kind() == slog.KindTime:
		return appendField(b, fieldName(group+a.Key), v.Time().Format(time.RFC3339Nano))
	}
	return appendField(b, fieldName(group+a.Key), v.String())
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(list []slog.Attr) slog.Handler {
	own := *h
	own.text = h.text.WithAttrs(list)
	own.attrs = bytes.Clone(h.attrs)
	for _, a := range list {
		own.attrs = appendAttr(own.attrs, h.group, a)
	}
	return &own
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	own := *h
	own.text = h.text.WithGroup(name)
	if name != "" {
		own.group += name + "_"
	}
	return &own
}
