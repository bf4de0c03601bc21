package observe

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Match says which processes are meant.
type Match struct {
	// Name is the process's name as in /proc/PID/comm. The kernel keeps 15 bytes
	// of it; a longer one is also compared with the file name of the program.
	Name string
	// CommandLine, when Name is empty, is the whole command line with single blanks
	// between the arguments; with Prefix, how it begins.
	CommandLine string
	Prefix      bool
}

// maxComm is the length of a process's name in the kernel.
const maxComm = 15

// processCheck is the period of looking through all processes where the kernel
// tells of changes.
const processCheck = 30 * time.Second

// Processes counts the processes that match, until ctx ends, and calls seen with
// the counts, in the order of matches: at once, and when one of them changes.
// Zombies do not count. Where the kernel does not tell of processes (it does so
// in the first namespaces of the host only), it looks at the interval.
func Processes(ctx context.Context, matches []Match, interval time.Duration, seen func(counts []int)) {
	processes(ctx, matches, interval, seen, connect)
}

func processes(ctx context.Context, matches []Match, interval time.Duration, seen func([]int),
	connect func(context.Context) (*connector, error)) {
	w := &processWatch{matches: matches, seen: seen, pids: make(map[int][]bool)}
	w.scan() // what there is counts at once, before the kernel has answered
	for ctx.Err() == nil {
		c, err := connect(ctx)
		if err != nil {
			break
		}
		w.follow(ctx, c) // when it ends, the stream broke: connect anew
	}
	for ctx.Err() == nil {
		w.scan()
		sleep(ctx, interval)
	}
}

type processWatch struct {
	matches []Match
	seen    func([]int)
	pids    map[int][]bool // what each process that matches something matches
	last    []int
	young   []young // in the order of their time
	buffer  []byte
}

// scan looks at every process.
func (w *processWatch) scan() {
	clear(w.pids)
	if proc, err := os.Open("/proc"); err == nil {
		names, _ := proc.Readdirnames(-1)
		proc.Close()
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				w.look(pid)
			}
		}
	}
	w.tell()
}

// look finds out what a process matches.
func (w *processWatch) look(pid int) {
	delete(w.pids, pid)
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := w.read(dir + "/stat")
	if err != nil {
		return // it has ended
	}
	comm, state, ok := parseStat(stat)
	if !ok || state == 'Z' || state == 'X' {
		return
	}
	var line []byte
	read := false
	matched := make([]bool, len(w.matches))
	for i, m := range w.matches {
		if m.Name != "" && m.Name[:min(len(m.Name), maxComm)] != comm {
			continue
		}
		if m.Name != "" && len(m.Name) <= maxComm {
			matched[i] = true
			continue
		}
		if !read {
			line, _ = w.read(dir + "/cmdline")
			read = true
		}
		matched[i] = m.commandLine(line)
	}
	if slices.Contains(matched, true) {
		w.pids[pid] = matched
	}
}

// commandLine compares what /proc/PID/cmdline holds: the arguments, each with a
// NUL behind it.
func (m Match) commandLine(raw []byte) bool {
	raw = bytes.TrimRight(raw, "\x00 ")
	if m.Name != "" {
		program, _, _ := bytes.Cut(raw, []byte{0})
		return string(program[bytes.LastIndexByte(program, '/')+1:]) == m.Name
	}
	line := strings.ReplaceAll(string(raw), "\x00", " ")
	if m.Prefix {
		return strings.HasPrefix(line, m.CommandLine)
	}
	return line == strings.TrimRight(m.CommandLine, " ")
}

// read reads a small file of /proc.
func (w *processWatch) read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if w.buffer == nil {
		w.buffer = make([]byte, 128<<10)
	}
	n := 0
	for n < len(w.buffer) {
		k, err := f.Read(w.buffer[n:])
		n += k
		if err != nil || k == 0 {
			break
		}
	}
	return w.buffer[:n], nil
}

// parseStat takes the name and the state from /proc/PID/stat: "17 (na) me) S 1 ...".
func parseStat(stat []byte) (comm string, state byte, ok bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open || end+2 >= len(stat) {
		return "", 0, false
	}
	return string(stat[open+1 : end]), stat[end+2], true
}

// tell reports the counts when they have changed.
func (w *processWatch) tell() {
	counts := make([]int, len(w.matches))
	for _, matched := range w.pids {
		for i, m := range matched {
			if m {
				counts[i]++
			}
		}
	}
	if w.last == nil || !slices.Equal(counts, w.last) {
		w.last = counts
		w.seen(slices.Clone(counts))
	}
}
