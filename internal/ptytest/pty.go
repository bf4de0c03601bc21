package ptytest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long Wait waits; the machine may be busy.
const patience = time.Minute

// Terminal is a pseudo-terminal with a program on it.
type Terminal struct {
	t     testing.TB
	Cmd   *exec.Cmd
	ptm   *os.File
	ended chan struct{}

	mu     sync.Mutex
	screen *Screen
	raw    strings.Builder
}

// Start runs cmd on a new terminal of a size. It is killed at the end of the test.
func Start(t testing.TB, columns, rows int, cmd *exec.Cmd) *Terminal {
	t.Helper()
	ptm, pts, err := open()
	if err != nil {
		t.Fatal(err)
	}
	x := &Terminal{t: t, Cmd: cmd, ptm: ptm, ended: make(chan struct{}), screen: NewScreen(columns, rows)}
	x.size(columns, rows)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = pts, pts, pts
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pts.Close()
	go x.read()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		ptm.Close()
		<-x.ended
	})
	return x
}

func open() (ptm, pts *os.File, err error) {
	if ptm, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(ptm.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ptm.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		pts, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		ptm.Close()
	}
	return ptm, pts, err
}

// read is the goroutine that draws what the program writes. It ends with the program.
func (x *Terminal) read() {
	defer close(x.ended)
	buf := make([]byte, 64<<10)
	for {
		n, err := x.ptm.Read(buf)
		x.mu.Lock()
		x.screen.Write(buf[:n])
		x.raw.Write(buf[:n])
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (x *Terminal) size(columns, rows int) {
	x.t.Helper()
	if err := unix.IoctlSetWinsize(int(x.ptm.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)}); err != nil {
		x.t.Fatal(err)
	}
}

// Resize changes the size of the terminal; the kernel tells the program (SIGWINCH).
func (x *Terminal) Resize(columns, rows int) {
	x.t.Helper()
	x.mu.Lock()
	x.screen.Resize(columns, rows)
	x.mu.Unlock()
	x.size(columns, rows)
}

// Type sends keys.
func (x *Terminal) Type(keys string) {
	x.t.Helper()
	if _, err := x.ptm.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// Look calls f with the screen as it is now.
func (x *Terminal) Look(f func(*Screen)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(x.screen)
}

// Text returns what is on the screen, without space at the ends of lines.
func (x *Terminal) Text() (text string) {
	x.Look(func(s *Screen) { text = s.String() })
	return text
}

// Raw returns everything that the program has written.
func (x *Terminal) Raw() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

// Wait waits until f says of the screen's text that it is right, and returns it.
func (x *Terminal) Wait(what string, f func(text string) bool) string {
	x.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		text := x.Text()
		if f(text) {
			return text
		}
		if time.Now().After(deadline) {
			x.t.Fatalf("%s: not on the screen:\n%s", what, text)
		}
	}
}

// WaitFor waits until all of some texts are on the screen.
func (x *Terminal) WaitFor(texts ...string) string {
	x.t.Helper()
	return x.Wait(fmt.Sprintf("%q", texts), func(screen string) bool {
		for _, want := range texts {
			if !strings.Contains(screen, want) {
				return false
			}
		}
		return true
	})
}

// WaitExit waits for the end of the program and returns its exit status, 128 and the
// number of a signal that ended it.
func (x *Terminal) WaitExit() int {
	x.t.Helper()
	select {
	case <-x.ended:
	case <-time.After(patience):
		x.t.Fatalf("the program does not end:\n%s", x.Text())
	}
	_ = x.Cmd.Wait()
	ws := x.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// Modes returns the settings of the terminal's line discipline, to see that a program
// leaves them as they were.
func (x *Terminal) Modes() unix.Termios {
	x.t.Helper()
	m, err := unix.IoctlGetTermios(int(x.ptm.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *m
}
