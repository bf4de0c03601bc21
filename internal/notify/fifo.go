package notify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/control"
)

// fifo is the FIFO channel under one configuration. Its lines are keepalived's.
type fifo struct {
	path string
	kept *fifos
}

// fifos are the FIFOs that were opened, by path. They stay open through reloads:
// what is written while nobody reads waits in the pipe.
type fifos struct {
	mu   sync.Mutex
	open map[string]*os.File
	made map[string]os.FileInfo // those that were not there before
}

func (f *fifo) wants(h *held, e control.Event) bool { return fifoLine(h, e) != "" }

// lane keeps all lines in their order.
func (f *fifo) lane(control.Event) string { return "" }

// again never repeats: a line that comes late would tell the past as the present.
func (f *fifo) again(int, time.Duration) (time.Duration, bool) { return 0, false }

// deliver writes one line, whole or not at all, and never waits for a reader.
func (f *fifo) deliver(_ context.Context, nt *note) error {
	line := fifoLine(nt.held, nt.event)
	f.kept.mu.Lock()
	defer f.kept.mu.Unlock()
	file, err := f.kept.get(f.path)
	if err != nil {
		return &finalError{err}
	}
	raw, err := file.SyscallConn()
	if err != nil {
		return &finalError{err}
	}
	var wrote error
	if err := raw.Control(func(fd uintptr) { _, wrote = unix.Write(int(fd), []byte(line)) }); err != nil {
		return &finalError{err}
	}
	switch {
	case errors.Is(wrote, unix.EAGAIN):
		return &finalError{fmt.Errorf("fifo %s is full: nobody reads", f.path)}
	case wrote != nil:
		return &finalError{fmt.Errorf("fifo %s: %w", f.path, wrote)}
	}
	return nil
}

// get returns the FIFO at path, opened and, when nothing is there, made. It is
// opened for both directions, so that it opens and keeps lines without a reader.
func (k *fifos) get(path string) (*os.File, error) {
	if f := k.open[path]; f != nil {
		if same(f, path) {
			return f, nil
		}
		f.Close() // somebody made another one
		delete(k.open, path)
	}
	made := unix.Mkfifo(path, 0o600)
	if made != nil && !errors.Is(made, unix.EEXIST) {
		return nil, fmt.Errorf("fifo %s: %w", path, made)
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("fifo %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	info, err := f.Stat()
	if err == nil && info.Mode()&os.ModeNamedPipe == 0 {
		err = errors.New("is not a FIFO")
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("fifo %s: %w", path, err)
	}
	if k.open[path] = f; made == nil {
		k.made[path] = info
	}
	return f, nil
}

// same says that path still names the file.
func same(f *os.File, path string) bool {
	a, err1 := f.Stat()
	b, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// close ends all, and removes those that were made here.
func (k *fifos) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for path, f := range k.open {
		if k.made[path] != nil && same(f, path) {
			os.Remove(path)
		}
		f.Close()
	}
	clear(k.open)
}

// fifoLine writes an event as keepalived does; "" is for one that keepalived has
// no line for.
func fifoLine(h *held, e control.Event) string {
	switch e.Kind {
	case "instance":
		if slices.Contains([]string{"MASTER", "BACKUP", "FAULT", "STOP"}, e.To) {
			return fmt.Sprintf("INSTANCE %q %s %d\n", e.Subject, e.To, e.Priority)
		}
	case control.KindAlarm:
		// keepalived has no alarms; a reader tells its lines by their first word.
		return fmt.Sprintf("ALARM %q %s %s\n", e.Subject, strings.ToUpper(e.To), e.Code)
	case "group":
		if slices.Contains([]string{"MASTER", "BACKUP", "FAULT", "STOP"}, e.To) {
			return fmt.Sprintf("GROUP %q %s 0\n", e.Subject, e.To)
		}
	case "service":
		if s := h.service(e); s != nil && (e.To == "up" || e.From == "up" || e.From == "unknown") {
			return fmt.Sprintf("VS %s %s\n", fifoService(s), upDown(e.To))
		}
	case "server":
		s := h.service(e)
		if s == nil || e.To != "up" && e.To != "down" {
			return ""
		}
		_, name, _ := strings.Cut(e.Subject, "/")
		for i := range s.RealServers {
			if r := &s.RealServers[i]; r.Name == name {
				return fmt.Sprintf("RS %s %s %s\n", fifoAddress(r.Address, s.Protocol), fifoService(s), upDown(e.To))
			}
		}
	}
	return ""
}

func upDown(state string) string {
	if state == "up" {
		return "UP"
	}
	return "DOWN"
}

func fifoService(s *config.VirtualServer) string {
	switch {
	case s.Group != "":
		return fmt.Sprintf("[%s]:0", s.Group)
	case s.FWMark != 0:
		return fmt.Sprintf("FWM %d", s.FWMark)
	}
	return fifoAddress(s.Address, s.Protocol)
}

func fifoAddress(a netip.AddrPort, p config.Protocol) string {
	if p == "" { // behind a firewall mark
		p = "none"
	}
	return fmt.Sprintf("[%s]:%s:%d", a.Addr(), p, a.Port())
}
