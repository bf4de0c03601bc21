package keepalived

import (
	"strings"

	"director/config"
)

const maxDepth = 32 // of blocks in blocks; keepalived needs five

// word is one word of a statement.
type word struct {
	text string // without quotes
	at   config.Position
}

// statement is a keyword with its parameters, and the block that follows it.
type statement struct {
	words []word // never empty
	raw   string // its words as they are written, with quotes and escapes
	block bool   // there is a block, which may be empty
	kids  []*statement
	end   config.Position // of the closing brace
}

func (s *statement) key() string         { return s.words[0].text }
func (s *statement) at() config.Position { return s.words[0].at }
func (s *statement) args() []word        { return s.words[1:] }

// arg returns a parameter, counted from 1; it is empty when there is none.
func (s *statement) arg(n int) word {
	if n < len(s.words) {
		return s.words[n]
	}
	return word{at: s.at()}
}

// rest returns the parameters from one on as one text.
func (s *statement) rest(n int) string {
	var parts []string
	for i := n; i < len(s.words); i++ {
		parts = append(parts, s.words[i].text)
	}
	return strings.Join(parts, " ")
}

// last returns the last statement of a keyword in the block, nil when there is none.
func (s *statement) last(key string) *statement {
	for i := len(s.kids) - 1; i >= 0; i-- {
		if s.kids[i].key() == key {
			return s.kids[i]
		}
	}
	return nil
}

// tree puts lines together to statements: a brace outside quotes opens and closes
// a block wherever it stands, and nothing else than a line's end or a brace ends a
// statement.
func tree(r *config.Report, lines []line) []*statement {
	root := &statement{block: true}
	stack := []*statement{root}
	var last *statement // what an opening brace belongs to
	tooDeep := 0
	for _, l := range lines {
		var open *statement // the statement of this line
		from := 0           // where it begins
		for i := 0; i < len(l.text); {
			c := l.text[i]
			at := l.at
			if !l.expanded {
				at.Col += i
			}
			switch {
			case isSpace(c):
				i++
			case c == '{':
				i++
				open = nil
				switch {
				case tooDeep > 0 || len(stack) > maxDepth:
					if tooDeep++; tooDeep == 1 {
						r.Errorf(at, "", "the blocks are nested more than %d deep", maxDepth)
					}
				case last == nil:
					r.Errorf(at, "", "a block begins here without a keyword before it")
					stack = append(stack, &statement{words: []word{{text: "{", at: at}}, block: true})
				default:
					last.block = true
					stack = append(stack, last)
				}
				last = nil
			case c == '}':
				i++
				open, last = nil, nil
				switch {
				case tooDeep > 0:
					tooDeep--
				case len(stack) == 1:
					r.Errorf(at, "", "there is a closing brace too many: no block is open here")
				default:
					stack[len(stack)-1].end = at
					stack = stack[:len(stack)-1]
				}
			default:
				w, n := cut(r, l.text[i:], at)
				i += n
				if tooDeep > 0 {
					continue
				}
				if open == nil {
					open, from = new(statement), i-n
					top := stack[len(stack)-1]
					top.kids = append(top.kids, open)
					last = open
				}
				open.words = append(open.words, w)
				open.raw = l.text[from:i]
			}
		}
	}
	if len(stack) > 1 {
		s := stack[len(stack)-1]
		r.Errorf(s.at(), s.key(), "the block that begins here is not closed: a closing brace is missing here or before the end of the file")
	}
	return root.kids
}

// cut reads one word: text up to a blank or a brace, in which double quotes hold
// blanks and braces together. Single quotes do so around a whole word.
func cut(r *config.Report, s string, at config.Position) (word, int) {
	w := word{at: at}
	if s[0] == '\'' {
		if end := strings.IndexByte(s[1:], '\''); end >= 0 && (end+2 == len(s) || strings.IndexByte(spaces+"{}", s[end+2]) >= 0) {
			w.text = s[1 : end+1]
			return w, end + 2
		}
	}
	var b strings.Builder
	i := 0
	for i < len(s) && !isSpace(s[i]) {
		switch c := s[i]; {
		case c == '"':
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					b.WriteByte(s[i])
					i++
				}
				b.WriteByte(s[i])
			}
			if i >= len(s) {
				r.Errorf(at, "", "a quote is not closed on its line")
			}
			i++
			continue
		case c == '$' && strings.HasPrefix(s[i+1:], "{"): // a parameter that nobody defined
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				end = len(s) - i - 1
			}
			b.WriteString(s[i : i+end+1])
			i += end + 1
			continue
		case c == '{' || c == '}':
			w.text = b.String()
			return w, i
		}
		b.WriteByte(s[i])
		i++
	}
	w.text = b.String()
	return w, min(i, len(s))
}
