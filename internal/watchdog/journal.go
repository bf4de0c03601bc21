package watchdog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"director/internal/control"
)

const (
	// maxEvents is how many past events are kept in memory, and told.
	maxEvents = 1000
	// journalName is the file of events in the runtime directory. A full one gets the
	// end ".1", and the one that had it goes.
	journalName = "events.jsonl"
	journalSize = 1 << 20
	// maxJournalLine bounds one event, whose reason has at most maxText bytes.
	maxJournalLine = 64 << 10
)

// journal is the history of events: the newest in memory, and all of them in a file
// that outlives the process, so that what led to a restart can be told after it.
type journal struct {
	log    *slog.Logger
	path   string
	file   *os.File // nil: events are kept in memory only
	size   int64    // with what is in buffer
	buffer []byte   // lines that are not in the file yet, see flush
	failed bool     // which has been told
	torn   bool     // a full disk took half a line

	list []control.Event // the oldest at next, once full
	next int
	seq  uint64 // of the newest
}

// openJournal goes on with the history of a runtime directory. A file that cannot be
// read or written is no reason not to start.
func openJournal(dir string, log *slog.Logger) *journal {
	j := &journal{log: log, path: filepath.Join(dir, journalName)}
	past, lost, err := readJournal(dir)
	if err != nil {
		log.Warn("the history of events cannot be read", "reason", err)
	}
	if lost > 0 {
		log.Warn("lines of the history are no events and left out", "lines", lost, "reason", "half written, or by another program")
	}
	for _, e := range past {
		j.keep(e)
		j.seq = max(j.seq, e.Seq)
	}
	j.open()
	return j
}

func (j *journal) open() {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		j.fails(err)
		return
	}
	info, err := f.Stat()
	if err != nil {
		j.fails(err)
		f.Close()
		return
	}
	j.file, j.size = f, info.Size()
	// A process that was killed while it wrote left half a line.
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, j.size-1); err == nil && last[0] != '\n' {
		j.buffer = append(j.buffer, '\n')
		j.size++
	}
}

// fails tells once that the history is not kept on disk.
func (j *journal) fails(err error) {
	if !j.failed {
		j.failed = true
		j.log.Warn("events are not kept for after a restart", "reason", err)
	}
}

// add numbers an event and keeps it. On disk it is after the next flush.
func (j *journal) add(e control.Event) control.Event {
	j.seq++
	e.Seq = j.seq
	j.keep(e)
	if j.file == nil {
		return e
	}
	line, err := json.Marshal(e)
	if err == nil && len(line) >= maxJournalLine {
		err = fmt.Errorf("an event of %d bytes: allowed are %d", len(line), maxJournalLine-1)
	}
	if err != nil {
		j.fails(err)
		return e
	}
	if j.size+int64(len(line)) >= journalSize {
		j.turn()
	}
	j.buffer = append(append(j.buffer, line...), '\n')
	j.size += int64(len(line)) + 1
	return e
}

// flush writes what was added: many events that come together in one system call. It is
// called before anything is waited for.
func (j *journal) flush() {
	if len(j.buffer) == 0 {
		return
	}
	if j.file != nil {
		if j.torn {
			j.buffer = slices.Insert(j.buffer, 0, '\n')
		}
		n, err := j.file.Write(j.buffer)
		if err != nil {
			j.fails(err)
		}
		j.torn = err != nil && (j.torn || n > 0)
	}
	j.buffer = j.buffer[:0]
}

// turn begins a new file.
func (j *journal) turn() {
	j.flush()
	j.file.Close()
	j.file = nil
	if err := os.Rename(j.path, j.path+".1"); err != nil {
		j.fails(err)
		return
	}
	j.open()
}

func (j *journal) keep(e control.Event) {
	if len(j.list) < maxEvents {
		j.list = append(j.list, e)
		return
	}
	j.list[j.next] = e
	j.next = (j.next + 1) % maxEvents
}

// after returns the newest events, oldest first, that have a greater number than seq:
// at most limit of them, when that is positive.
func (j *journal) after(seq uint64, limit int) []control.Event {
	list := make([]control.Event, 0, len(j.list))
	for i := range j.list {
		if e := j.list[(j.next+i)%len(j.list)]; e.Seq > seq {
			list = append(list, e)
		}
	}
	if limit <= 0 {
		return list
	}
	return list[max(0, len(list)-limit):]
}

func (j *journal) close() {
	j.flush()
	if j.file != nil {
		j.file.Close()
	}
}

// ReadJournal reads the history that a daemon with this runtime directory has left,
// oldest first: at most the newest 1000 events. Without a history it is empty. What is no
// event in its files is left out.
func ReadJournal(dir string) ([]control.Event, error) {
	list, _, err := readJournal(dir)
	return list, err
}

// readJournal returns beside the events how many lines are none. What can be read of the
// history is returned beside an error, too.
func readJournal(dir string) (list []control.Event, lost int, err error) {
	list, lost, err = readEvents(dir, journalName)
	if len(list) < maxEvents { // else those of the older file would be thrown away
		older, more, olderErr := readEvents(dir, journalName+".1")
		list, lost, err = append(older, list...), lost+more, errors.Join(olderErr, err)
	}
	return list[max(0, len(list)-maxEvents):], lost, err
}

// readEvents reads the events of one file, and counts the lines that are none: half a
// line of a process that was killed, zeros after a power cut, what is too long. There are
// none when there is no file.
func readEvents(dir, name string) (list []control.Event, lost int, err error) {
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, maxJournalLine)
	for {
		line, err := lines.ReadSlice('\n')
		whole := !errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		var e control.Event
		switch {
		case whole && json.Unmarshal(line, &e) == nil && e.Seq > 0:
			list = append(list, e)
		case len(bytes.TrimSpace(line)) > 0:
			lost++
		}
		switch {
		case errors.Is(err, io.EOF):
			return list, lost, nil
		case err != nil:
			return list, lost, fmt.Errorf("%s: %w", name, err)
		}
	}
}
