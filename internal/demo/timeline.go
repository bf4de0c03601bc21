package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"director/internal/colour"
)

// mark is what kind of line a line of the timeline is.
type mark uint8

const (
	seen   mark = iota // something that happened
	done               // something that the play did
	kept               // a promise that was kept
	broken             // a promise that was not
)

// sign is what the mark looks like.
func (m mark) sign() string { return [...]string{" ", ">", "✓", "✗"}[m] }

// style is how the text of a line with this mark is shown.
func (m mark) style() colour.Style {
	return [...]colour.Style{colour.Plain, colour.Act, colour.Good, colour.Bad.Strong()}[m]
}

// view is what each line of the timeline shows of the farm at its moment.
type view struct {
	at         time.Duration // since the play began
	owner      string        // which director has the virtual address: lb1, lb2, both or -
	pool       string        // the servers with their weights, as the owner's kernel has them
	ok, failed int           // requests of this act that have ended
}

// timeline prints the play, line by line, as it goes on. It may be used by
// several goroutines.
type timeline struct {
	mu      sync.Mutex
	w       io.Writer
	colours bool
	width   int // of the screen, in characters
}

const columns = "   time  VIP   pool             ok failed"

// indent is how far the text of a timeline's line is from the left edge.
const indent = 44

// act begins an act with its heading.
func (t *timeline) act(number int, title string) {
	t.print("", t.paint(colour.Bold, fmt.Sprintf("%d  %s", number, title)), t.paint(colour.Faint, columns))
}

// text prints lines as they are.
func (t *timeline) text(lines ...string) { t.print(lines...) }

// line prints one line, and as many below it as its text needs.
func (t *timeline) line(v view, m mark, text string) {
	failed := fmt.Sprintf("%6d", v.failed)
	if v.failed > 0 {
		failed = t.paint(colour.Bad, failed)
	}
	head := fmt.Sprintf("%6.2fs  %-4s  %-13s %5d %s  ", v.at.Seconds(), v.owner, v.pool, v.ok, failed)
	parts := wrap(text, t.width-indent-1)
	out := make([]string, len(parts))
	for i, part := range parts {
		out[i] = strings.Repeat(" ", indent) + t.paint(m.style(), part)
	}
	out[0] = head + t.paint(m.style(), m.sign()+" "+parts[0])
	t.print(out...)
}

// paint puts a style on text where colours are wanted.
func (t *timeline) paint(st colour.Style, text string) string { return st.If(t.colours, text) }

// print writes lines; a writer that fails has nobody behind it, so that there is
// nobody to tell.
func (t *timeline) print(lines ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, _ = io.WriteString(t.w, strings.Join(lines, "\n")+"\n")
}

// wrap breaks text at blanks into lines of at most width characters; a word that
// is longer stays whole.
func wrap(text string, width int) []string {
	var lines []string
	line, n := "", 0
	for _, word := range strings.Fields(text) {
		size := utf8.RuneCountInString(word)
		if n > 0 && n+1+size > width {
			lines = append(lines, line)
			line, n = "", 0
		}
		if n > 0 {
			line += " "
			n++
		}
		line += word
		n += size
	}
	return append(lines, line)
}

// ms is a duration in milliseconds, with one decimal where there is one.
func ms(d time.Duration) string {
	tenths := d.Round(100*time.Microsecond).Microseconds() / 100
	if tenths%10 == 0 {
		return fmt.Sprintf("%d ms", tenths/10)
	}
	return fmt.Sprintf("%.1f ms", float64(tenths)/10)
}

// sec is a duration in seconds with two decimals.
func sec(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// count is a number with its noun: 1 request, 2 requests.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
