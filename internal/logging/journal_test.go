package logging

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// journald is a socket that takes entries as systemd-journald does.
type journald struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newJournald(t *testing.T) *journald {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "director-log-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "socket")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &journald{t, conn, path}
}

// next returns the next entry's fields, and whether it came as a file.
func (j *journald) next() (fields map[string][]string, file bool) {
	j.t.Helper()
	buf, oob := make([]byte, 1<<20), make([]byte, 256)
	if err := j.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		j.t.Fatal(err)
	}
	n, oobn, _, _, err := j.conn.ReadMsgUnix(buf, oob)
	if err != nil {
		j.t.Fatal(err)
	}
	entry := buf[:n]
	if oobn > 0 {
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			j.t.Fatal(err)
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			j.t.Fatal(err)
		}
		f := os.NewFile(uintptr(fds[0]), "entry")
		defer f.Close()
		seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
		if want := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE; err != nil || seals != want {
			j.t.Errorf("the file has seals %#x (%v), want %#x", seals, err, want)
		}
		if entry, err = io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil {
			j.t.Fatal(err)
		}
		file = true
	}
	fields = make(map[string][]string)
	for len(entry) > 0 {
		line, rest, ok := bytes.Cut(entry, []byte("\n"))
		if !ok {
			j.t.Fatalf("the entry ends within %q", entry)
		}
		if name, value, ok := strings.Cut(string(line), "="); ok {
			fields[name] = append(fields[name], value)
			entry = rest
			continue
		}
		size := binary.LittleEndian.Uint64(rest)
		fields[string(line)] = append(fields[string(line)], string(rest[8:8+size]))
		entry = rest[8+size+1:]
	}
	return fields, file
}

// stream is a file that stands for the standard error that journald reads, and its
// JOURNAL_STREAM.
func stream(t *testing.T) (*os.File, string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return f, fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

func TestJournal(t *testing.T) {
	j := newJournald(t)
	f, name := stream(t)
	var s Settings
	log, flush := open(f, name, j.path, &s)
	log = log.With("process", "vrrp")
	log.Info("instance state", "instance", "web", "from", "BACKUP", "to", "MASTER", "reason", "the master is silent", "reason_code", "master_down")
	log.Warn("two\nlines", "output", "a\nb", slog.Group("g", "took", 2*time.Second, "x.y-z", 1))
	log.WithGroup("w").Error("grouped", "k", "v")
	log.Info("large", "output", strings.Repeat("0123456789", 100_000))
	want := []map[string][]string{
		{"MESSAGE": {`level=INFO msg="instance state" process=vrrp instance=web from=BACKUP to=MASTER reason="the master is silent" reason_code=master_down`},
			"PRIORITY": {"6"}, "SYSLOG_IDENTIFIER": {"director"}, "DIRECTOR_MESSAGE": {"instance state"}, "DIRECTOR_PROCESS": {"vrrp"},
			"DIRECTOR_INSTANCE": {"web"}, "DIRECTOR_FROM": {"BACKUP"}, "DIRECTOR_TO": {"MASTER"}, "DIRECTOR_REASON": {"the master is silent"},
			"DIRECTOR_REASON_CODE": {"master_down"}},
		{"MESSAGE": {`level=WARN msg="two\nlines" process=vrrp output="a\nb" g.took=2s g.x.y-z=1`}, "PRIORITY": {"4"}, "SYSLOG_IDENTIFIER": {"director"},
			"DIRECTOR_MESSAGE": {"two\nlines"}, "DIRECTOR_PROCESS": {"vrrp"}, "DIRECTOR_OUTPUT": {"a\nb"}, "DIRECTOR_G_TOOK": {"2s"}, "DIRECTOR_G_X_Y_Z": {"1"}},
		{"MESSAGE": {`level=ERROR msg=grouped process=vrrp w.k=v`}, "PRIORITY": {"3"}, "SYSLOG_IDENTIFIER": {"director"},
			"DIRECTOR_MESSAGE": {"grouped"}, "DIRECTOR_PROCESS": {"vrrp"}, "DIRECTOR_W_K": {"v"}},
	}
	for _, w := range want {
		got, file := j.next()
		if d := cmp.Diff(w, got); d != "" || file {
			t.Errorf("as a file %v: %s", file, d)
		}
	}
	if got, file := j.next(); !file || len(got["DIRECTOR_OUTPUT"][0]) != 1_000_000 {
		t.Errorf("a large entry came as a file: %v", file)
	}

	// JSON is what it was: lines on standard error.
	if err := s.Set("", "json"); err != nil {
		t.Fatal(err)
	}
	log.Info("as JSON")
	if err := s.Set("", "text"); err != nil {
		t.Fatal(err)
	}
	// So is the text where journald takes nothing.
	j.conn.Close()
	log.Warn("nobody\nlistens")
	flush(10 * time.Second)
	lines, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"level":"INFO","msg":"as JSON","process":"vrrp"}` + "\n", `level=WARN msg="nobody\nlistens" process=vrrp` + "\n"} {
		if !strings.Contains(string(lines), want) {
			t.Errorf("standard error has no %s:\n%s", want, lines)
		}
	}
}

// TestNoJournal: without journald on the other end, the log is lines with their times.
func TestNoJournal(t *testing.T) {
	j := newJournald(t)
	f, name := stream(t)
	for stream, socket := range map[string]string{"": j.path, name: j.path + ".none"} {
		var s Settings
		log, flush := open(f, stream, socket, &s)
		log.Info("hello", "stream", stream)
		flush(10 * time.Second)
	}
	lines, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(lines), `level=INFO msg=hello stream=""`) || !strings.Contains(string(lines), "time=") ||
		!strings.Contains("\n"+string(lines), "\nlevel=INFO msg=hello stream="+name+"\n") {
		t.Errorf("standard error has\n%s", lines)
	}
}

// TestDroppedEntries: a journald that takes nothing holds nobody up, and is told what it missed.
func TestDroppedEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		a := newAsyncEach(g, droppedEntry)
		log := slog.New(newJournalHandler(a, &slog.HandlerOptions{}))
		log.Info("first")
		synctest.Wait() // the goroutine hangs in the gate with it
		for range maxQueued + 100 {
			log.Info("line")
		}
		close(g.open)
		a.Close(10 * time.Second)
		text := g.text.String()
		i := strings.Index(text, "MESSAGE=level=WARN msg=\"log lines dropped")
		if i < 0 || !strings.Contains(text[i:], "\nPRIORITY=4\nDIRECTOR_COUNT=100\n") {
			t.Errorf("the entries end with %q", text[max(0, len(text)-300):])
		}
	})
}

func FuzzJournalMessage(f *testing.F) {
	f.Add("a\nb", "MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xffx")
	f.Fuzz(func(t *testing.T, text, entry string) {
		if got := message(appendField(nil, "MESSAGE", text)); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
		message([]byte(entry))
	})
}
