package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"director/internal/control"
)

// colourMode is the value of --color.
type colourMode string

// The values of --color.
const (
	colourAuto   colourMode = "auto" // on a terminal that has them, unless NO_COLOR is set
	colourAlways colourMode = "always"
	colourNever  colourMode = "never"
)

// String returns the word.
func (m *colourMode) String() string { return string(*m) }

// Set takes a word of the command line.
func (m *colourMode) Set(s string) error {
	switch colourMode(s) {
	case colourAuto, colourAlways, colourNever:
		*m = colourMode(s)
		return nil
	}
	return errors.New("allowed are auto, always and never")
}

// Type is what the help calls the value.
func (m *colourMode) Type() string { return "WHEN" }

// isTerminal says whether a file, as which out or in of a command is meant, is a terminal.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colours says whether what a command writes to an output is to have colours.
func colours(cmd *cobra.Command, out io.Writer) bool {
	if f := cmd.Flag("color"); f != nil {
		switch colourMode(f.Value.String()) {
		case colourAlways:
			return true
		case colourNever:
			return false
		}
	}
	return isTerminal(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// viewFor is how text of a command goes to its output.
func viewFor(cmd *cobra.Command) control.View {
	return control.View{Now: time.Now(), Colour: colours(cmd, cmd.OutOrStdout())}
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// watching are the flags --watch and --interval of commands that show a list, and what
// they do.
type watching struct {
	on       bool
	interval time.Duration
}

func (w *watching) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.on, "watch", "w", false, "print it again and again; with --json one line each time")
	cmd.Flags().DurationVar(&w.interval, "interval", time.Second, "time between two prints of --watch")
}

// print writes a value as JSON: on one line when it is watched.
func (w *watching) print(out io.Writer, v any) error {
	if w.on {
		return json.NewEncoder(out).Encode(v)
	}
	return printJSON(out, v)
}

// run calls show once, or again and again until the command is interrupted.
func (w *watching) run(cmd *cobra.Command, asJSON bool, show func(ctx context.Context, out io.Writer) error) error {
	if w.on && w.interval < 100*time.Millisecond {
		return &usageError{fmt.Errorf("--interval %v: must be at least 100ms", w.interval)}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	out := cmd.OutOrStdout()
	if !w.on {
		return show(ctx, out)
	}
	frame := func(page []byte) []byte {
		if asJSON {
			return page
		}
		return append(page, '\n')
	}
	if isTerminal(out) && !asJSON {
		frame = func(page []byte) []byte {
			_, height, err := term.GetSize(int(out.(*os.File).Fd()))
			if err != nil {
				height = 0
			}
			return screenful(page, height)
		}
	}
	err := repeat(ctx, out, w.interval, frame, show)
	if isTerminal(out) && !asJSON {
		fmt.Fprintln(out) // the cursor stands behind the last line
	}
	return err
}

// repeat calls show until ctx ends, and writes what it shows, as frame has it. A daemon
// that does not answer is no reason to give up.
func repeat(ctx context.Context, out io.Writer, interval time.Duration, frame func([]byte) []byte, show func(context.Context, io.Writer) error) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		var page bytes.Buffer
		if err := show(ctx, &page); err != nil && ctx.Err() == nil {
			page.Reset()
			fmt.Fprintln(&page, "director:", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		if _, err := out.Write(frame(page.Bytes())); err != nil {
			if errors.Is(err, syscall.EPIPE) {
				return nil
			}
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// screenful is what puts a page onto a terminal of so many lines in place of the one
// before: in one piece and without clearing the screen first, so that nothing flickers.
// Lines that are too long are cut by the terminal, and of a page that is too long the
// last line tells how much is missing.
func screenful(page []byte, height int) []byte {
	lines := strings.Split(strings.TrimSuffix(string(page), "\n"), "\n")
	if height > 1 && len(lines) > height {
		more := len(lines) - (height - 1)
		lines = append(lines[:height-1:height-1], fmt.Sprintf("... and %s: make the window larger, or leave out --watch", count(more, "line")))
	}
	const noWrap, wrap, home, restOfLine, restOfScreen = "\x1b[?7l", "\x1b[?7h", "\x1b[H", "\x1b[K", "\x1b[J"
	return []byte(home + noWrap + strings.Join(lines, restOfLine+"\r\n") + restOfLine + restOfScreen + wrap)
}
