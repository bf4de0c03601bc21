package top

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// What a terminal is told. The alternate screen leaves alone what was on it before.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	restOfLine  = "\x1b[0m\x1b[K"
	below       = "\x1b[J"
)

// screen is a terminal in the hands of this program.
type screen struct {
	in, out *os.File
	was     *term.State // nil while it is as it was found
}

// enter takes the terminal over.
func (s *screen) enter() error {
	was, err := term.MakeRaw(int(s.in.Fd()))
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	s.was = was
	_, err = s.out.WriteString(enterScreen)
	return err
}

// restore gives it back as it was found. It may be called again.
func (s *screen) restore() {
	if s.was == nil {
		return
	}
	// Both are tried whatever becomes of the other: there is nobody left to tell.
	_, _ = s.out.WriteString(leaveScreen)
	_ = term.Restore(int(s.in.Fd()), s.was)
	s.was = nil
}

// size returns how large it is; 80 by 24 when it does not say.
func (s *screen) size() (width, height int) {
	width, height, err := term.GetSize(int(s.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// draw puts lines in place of those that were there, in one piece and without clearing
// the screen first: nothing flickers.
func (s *screen) draw(lines []string) error {
	var b strings.Builder
	b.WriteString(home)
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l + restOfLine)
	}
	b.WriteString(below)
	_, err := s.out.WriteString(b.String())
	return err
}
