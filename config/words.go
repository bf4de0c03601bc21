package config

import (
	"errors"
	"strings"
)

var (
	errQuote     = errors.New("has a quote that is not closed")
	errBackslash = errors.New("ends in a backslash")
)

// splitWords splits a command line into its words: blanks separate, 'single
// quotes' keep everything, "double quotes" keep everything but \" and \\, and
// elsewhere a backslash keeps the next character. Nothing is expanded: no shell
// takes part. meta is the first thing outside quotes that only a shell would
// understand, "" when there is none.
func splitWords(line string) (words []string, meta string, err error) {
	var word strings.Builder
	inWord := false
	note := func(s string) {
		if meta == "" {
			meta = s
		}
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case ' ', '\t', '\n', '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
			continue
		case '\'':
			end := strings.IndexByte(line[i+1:], '\'')
			if end < 0 {
				return nil, "", errQuote
			}
			word.WriteString(line[i+1 : i+1+end])
			i += end + 1
		case '"':
			for i++; ; i++ {
				if i >= len(line) {
					return nil, "", errQuote
				}
				if line[i] == '"' {
					break
				}
				if line[i] == '\\' && i+1 < len(line) && (line[i+1] == '"' || line[i+1] == '\\') {
					i++
				}
				word.WriteByte(line[i])
			}
		case '\\':
			if i+1 == len(line) {
				return nil, "", errBackslash
			}
			i++
			word.WriteByte(line[i])
		default:
			switch {
			case strings.IndexByte("|&;<>`", c) >= 0:
				note(string(c))
			case c == '$' && i+1 < len(line) && line[i+1] != ' ':
				note("$")
			case c == '*' || c == '~' && !inWord:
				note(string(c))
			}
			word.WriteByte(c)
		}
		inWord = true
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, meta, nil
}
