package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// text writes a plain value as the file of a person has it.
func (f *field) text(raw any) string {
	switch v := raw.(type) {
	case string:
		if f != nil && f.kind == kindDuration {
			if d, err := time.ParseDuration(v); err == nil {
				v = durationText(d)
			}
		}
		if f != nil && f.kind == kindStatus { // "200" among the codes
			if n, err := strconv.ParseUint(v, 10, 16); err == nil {
				return strconv.FormatUint(n, 10)
			}
		}
		if n, err := strconv.ParseUint(v, 10, 63); err == nil && f.takesNumbers() && strconv.FormatUint(n, 10) == v {
			return v
		}
		return stringText(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		if s := strconv.FormatFloat(v, 'g', -1, 64); strings.ContainsAny(s, ".en") {
			return s
		} else {
			return s + ".0"
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	panic(fmt.Sprintf("config: no way to write a %T", raw))
}

// durationText writes a duration with one unit where it can: 90s, 10m, 1.5s.
func durationText(d time.Duration) string {
	switch {
	case d < 0 || d%time.Microsecond != 0:
		return d.String()
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d > time.Minute && d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d == 0 || d >= time.Second && d < time.Hour:
		fraction := strings.TrimRight(fmt.Sprintf(".%06d", d%time.Second/time.Microsecond), "0.")
		return strconv.FormatInt(int64(d/time.Second), 10) + fraction + "s"
	case d < time.Second && d%time.Millisecond == 0:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	}
	return d.String()
}

// stringText writes a string in quotes: in single ones where that spares it escapes.
func stringText(s string) string {
	plain := utf8.ValidString(s)
	for _, c := range s {
		plain = plain && (c >= ' ' || c == '\t') && c != 0x7f
	}
	if plain && strings.ContainsAny(s, `"\`) && !strings.ContainsRune(s, '\'') {
		return "'" + s + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// quoteName writes one part of a key.
func quoteName(key string) string {
	if all(key, func(c byte) bool { return isNameByte(c) && c != '.' }) {
		return key
	}
	return stringText(key)
}

// commentText makes a text fit for a comment: a comment has no control characters but
// tabs, and is UTF-8.
func commentText(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// commandLine writes an argument vector as one line where that is read back as the
// same, and needs no more quotes than blanks do.
func commandLine(raw any, f *field) (string, bool) {
	list, ok := raw.([]any)
	if f == nil || f.kind != kindCommand || !ok || len(list) == 0 {
		return "", false
	}
	words := make([]string, len(list))
	for i, e := range list {
		s, isString := e.(string)
		if !isString {
			return "", false
		}
		switch {
		case s == "" || strings.ContainsAny(s, " \t") && !strings.ContainsRune(s, '\''):
			words[i] = "'" + s + "'"
		default:
			words[i] = s
		}
	}
	line := strings.Join(words, " ")
	back, meta, err := splitWords(line)
	if err != nil || meta != "" || len(back) != len(list) {
		return "", false
	}
	for i := range back {
		if back[i] != list[i] {
			return "", false
		}
	}
	return stringText(line), true
}
