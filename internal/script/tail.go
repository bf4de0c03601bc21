package script

import (
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxOutput is how much of the end of a command's output is kept, in bytes.
const maxOutput = 4 << 10

// tail keeps the last maxOutput bytes of a stream.
type tail struct {
	mu   sync.Mutex
	data []byte
	cut  bool // something before data was dropped
}

// readFrom reads r to its end.
func (t *tail) readFrom(r io.Reader) {
	buf := make([]byte, 8<<10)
	for {
		n, err := r.Read(buf)
		t.add(buf[:n])
		if err != nil {
			return
		}
	}
}

func (t *tail) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, b...)
	if over := len(t.data) - maxOutput; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
		t.cut = true
	}
}

// String returns what is kept as text: valid UTF-8, no control characters but
// newlines and tabs, no space at the ends.
func (t *tail) String() string {
	t.mu.Lock()
	data, cut := string(t.data), t.cut
	t.mu.Unlock()
	return Clean(data, cut)
}

// Clean makes text from a program fit for a log or a terminal: valid UTF-8,
// no control characters but newlines and tabs, no white space at the ends. cut
// says that text is the end of something longer, whose first rune may be torn.
func Clean(text string, cut bool) string {
	for cut && len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0):
			return -1
		default:
			return r
		}
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.TrimSpace(text)
}

// LastBytes returns the end of text, at most n bytes, beginning with a whole rune.
func LastBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	text = text[len(text)-n:]
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}
