package probe

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// Match says what a reply must hold. The zero value takes any reply.
type Match struct {
	// Value must be part of the reply. Where Mask is not nil, only its bits count;
	// it is as long as Value.
	Value, Mask []byte
	// AtStart says that the reply must begin with Value.
	AtStart bool
	// Regexp must match the reply; nil matches any.
	Regexp *regexp.Regexp
}

// empty says that any reply is right.
func (m *Match) empty() bool { return len(m.Value) == 0 && m.Regexp == nil }

// found says whether the reply holds what it must.
func (m *Match) found(reply []byte) bool {
	return m.holds(reply) && (m.Regexp == nil || m.Regexp.Match(reply))
}

func (m *Match) holds(reply []byte) bool {
	switch {
	case m.AtStart && m.Mask == nil:
		return bytes.HasPrefix(reply, m.Value)
	case m.AtStart:
		return len(reply) >= len(m.Value) && m.begins(reply)
	case m.Mask == nil:
		return bytes.Contains(reply, m.Value)
	}
	for len(reply) >= len(m.Value) {
		if m.begins(reply) {
			return true
		}
		reply = reply[1:]
	}
	return false
}

func (m *Match) begins(reply []byte) bool {
	for i, want := range m.Value {
		if (reply[i]^want)&m.Mask[i] != 0 {
			return false
		}
	}
	return true
}

// search looks for a Match in a reply that grows. A regular expression can only be
// matched with the whole of it: with a reply that drips in byte by byte that would be
// gigabytes. After freeSearch bytes it waits therefore until the reply has grown by
// an eighth, or has ended.
type search struct {
	match          *Match
	searched, next int
}

const freeSearch = 1 << 20

// found says whether the reply, which has perhaps ended, holds what it must.
func (s *search) found(reply []byte, ended bool) bool {
	if !ended && s.searched > freeSearch && len(reply) < s.next {
		return false
	}
	s.searched += len(reply)
	s.next = len(reply) + len(reply)/8
	return s.match.found(reply)
}

// want names what is looked for.
func (m *Match) want() string {
	text := ""
	if len(m.Value) > 0 {
		text = shown(m.Value)
		if m.AtStart {
			text += " at the start"
		}
	}
	if m.Regexp != nil {
		if text != "" {
			text += " and "
		}
		text += "/" + printable(m.Regexp.String(), 80) + "/"
	}
	return text
}

// shown quotes bytes for people: text as text, the rest in hexadecimal.
func shown(b []byte) string {
	const most = 48
	more := ""
	if len(b) > most {
		b, more = b[:most], "..."
	}
	if utf8.Valid(b) {
		return strconv.Quote(string(b)) + more
	}
	return fmt.Sprintf("hex:%x%s", b, more)
}
