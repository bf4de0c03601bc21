package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"director/internal/netlab"
)

// ErrToldInside says that the run inside User Mode Linux has failed and that its
// output tells why.
var ErrToldInside = errors.New("demo: it failed inside User Mode Linux")

// Environment variables by which the run inside is told about the terminal outside.
const (
	envRows    = "DIRECTOR_DEMO_ROWS"
	envColumns = "DIRECTOR_DEMO_COLUMNS"
)

// inside boots a kernel that has IPVS and runs the same command there.
func inside(ctx context.Context, o Options) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	why := "This kernel has no IPVS"
	if os.Geteuid() != 0 {
		why = "Making machines needs root"
	}
	booting := time.Now()
	fmt.Fprintf(o.Stdout, "%s: the demo runs on a kernel of its own, User Mode Linux, an ordinary process. Its system calls are\n"+
		"slow and it has one processor: times below are longer than on a real machine. Booting ...\n", why)

	command := []string{exe, "demo", "--colour=" + strconv.FormatBool(o.Colour)}
	uml := netlab.UMLOptions{Share: []string{exe}, Env: []string{envColumns + "=" + strconv.Itoa(o.Width)}}
	if o.Keep {
		command = append(command, "--keep")
		if o.Terminal != nil {
			uml.Stdin = o.Terminal
			uml.Env = append(uml.Env, windowSize(o.Terminal)...)
			restore, err := rawTerminal(o.Terminal)
			if err != nil {
				return fmt.Errorf("demo: terminal: %w", err)
			}
			defer restore()
		}
	}
	uml.Command = command
	uml.Stdout = &firstWrite{w: o.Stdout, before: func() string {
		return fmt.Sprintf("Booted in %.1f s.\r\n", time.Since(booting).Seconds())
	}}
	code, err := netlab.UML(ctx, uml)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, netlab.ErrNoUML):
		return fmt.Errorf("demo: this kernel has no IPVS: load it (modprobe ip_vs) or install the Debian package user-mode-linux: %w", err)
	case err != nil:
		return fmt.Errorf("demo: %w", err)
	case code != 0:
		return ErrToldInside
	}
	return nil
}

// windowSize tells the size of a terminal as environment variables.
func windowSize(f *os.File) []string {
	columns, rows, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return nil
	}
	return []string{envRows + "=" + strconv.Itoa(rows), envColumns + "=" + strconv.Itoa(columns)}
}

// rawTerminal hands every key to the run inside, which has a terminal of its own to
// interpret them, until restore is called.
func rawTerminal(f *os.File) (restore func(), err error) {
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(f.Fd()), old) }, nil
}

// adoptWindow gives the terminal inside the size of the one outside.
func adoptWindow(f *os.File) {
	rows, err1 := strconv.Atoi(os.Getenv(envRows))
	columns, err2 := strconv.Atoi(os.Getenv(envColumns))
	if err1 == nil && err2 == nil {
		_ = unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(rows), Col: uint16(columns)})
	}
}

// Width is the width of the screen as the run outside has told it, 0 when it has not.
func Width() int {
	n, _ := strconv.Atoi(os.Getenv(envColumns))
	return n
}

// firstWrite puts a text before the first thing that is written to w.
type firstWrite struct {
	w      io.Writer
	before func() string
	once   sync.Once
}

// Write writes p.
func (f *firstWrite) Write(p []byte) (int, error) {
	var err error
	f.once.Do(func() { _, err = io.WriteString(f.w, f.before()) })
	if err != nil {
		return 0, err
	}
	return f.w.Write(p)
}
