package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"director/internal/netlab"
)

// InsideError says that the run inside User Mode Linux has failed. Its output has
// told why.
type InsideError struct {
	Status int // its exit status, 1 to 255
}

func (e *InsideError) Error() string {
	return fmt.Sprintf("demo: inside User Mode Linux it ended with status %d", e.Status)
}

// Environment variables by which the run inside knows the outside: the size of the
// screen, and the file in which it leaves its verdict before it waits for its end.
const (
	envRows    = "DIRECTOR_DEMO_ROWS"
	envColumns = "DIRECTOR_DEMO_COLUMNS"
	envVerdict = "DIRECTOR_DEMO_VERDICT"
)

// umlNice lets the demo go before other programs: what stands still cannot answer in
// time.
const umlNice = -15

// inside boots a kernel that has IPVS and runs the same command there.
func inside(ctx context.Context, o Options) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	dir, err := os.MkdirTemp("", "director-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer os.RemoveAll(dir)
	verdict := filepath.Join(dir, "verdict")

	why := "This kernel has no IPVS"
	if os.Geteuid() != 0 {
		why = "Making machines needs root"
	}
	for _, line := range wrap(why+": the demo boots User Mode Linux, a kernel that runs as an ordinary process. It is slower than a real machine, "+
		"and so are the times below.", o.Width-1) {
		fmt.Fprintln(o.Stdout, line)
	}
	colour := "never"
	if o.Colour {
		colour = "always"
	}
	uml := netlab.UMLOptions{
		Command: []string{exe, "demo", "--color=" + colour},
		Share:   []string{exe}, Dir: dir, Nice: umlNice,
		Env: []string{envVerdict + "=" + verdict, envColumns + "=" + strconv.Itoa(o.Width)},
	}
	if o.Keep {
		uml.Command = append(uml.Command, "--keep")
	}
	if o.Keep && o.Terminal != nil {
		uml.Stdin = o.Terminal
		uml.Env = append(uml.Env, envRows+"="+strconv.Itoa(rows(o.Terminal)))
		restore, err := raw(o.Terminal)
		if err != nil {
			return fmt.Errorf("demo: terminal: %w", err)
		}
		defer restore()
	}
	begun, newline := time.Now(), "\n"
	if uml.Stdin != nil {
		newline = "\r\n" // as a terminal in raw mode wants it
	}
	uml.Stdout = &firstWrite{w: o.Stdout, before: func() string {
		return fmt.Sprintf("Booted in %s.%s", sec(time.Since(begun)), newline)
	}}
	code, err := netlab.UML(ctx, uml)
	switch {
	case ctx.Err() != nil:
		return judged(verdict)
	case errors.Is(err, netlab.ErrNoUML):
		return fmt.Errorf("demo: this kernel has no IPVS (modprobe ip_vs may help), and there is no other: %w", err)
	case err != nil:
		return fmt.Errorf("demo: %w", err)
	case code != 0:
		return &InsideError{code}
	}
	return nil
}

const (
	verdictKept   = "kept"
	verdictBroken = "broken"
)

// judged is the outcome of a run inside that was ended from outside: the verdict that
// it has left, or none.
func judged(path string) error {
	text, err := os.ReadFile(path)
	switch {
	case err == nil && strings.TrimSpace(string(text)) == verdictKept:
		return nil
	case err == nil:
		return &InsideError{1}
	}
	return ErrInterrupted
}

// leaveVerdict writes the verdict to where the run outside looks for it.
func leaveVerdict(ok bool) error {
	path := os.Getenv(envVerdict)
	if path == "" {
		return nil
	}
	text := verdictBroken
	if ok {
		text = verdictKept
	}
	return os.WriteFile(path, []byte(text+"\n"), 0o644)
}

// rows is the height of a terminal.
func rows(f *os.File) int {
	_, n, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

// raw hands every key to the run inside, which has a terminal of its own to interpret
// them, until restore is called.
func raw(f *os.File) (restore func(), err error) {
	old, err := term.MakeRaw(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	return func() { _ = term.Restore(int(f.Fd()), old) }, nil
}

// adoptSize gives the terminal inside the size of the one outside.
func adoptSize(f *os.File) {
	height, _ := strconv.Atoi(os.Getenv(envRows))
	if width := Width(); width > 0 && height > 0 {
		_ = unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
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
