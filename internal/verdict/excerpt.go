package verdict

import (
	"regexp"
	"strings"

	"director/config"
)

// pages are the texts of the files that findings are about, in lines.
type pages struct {
	sources Sources
	files   map[string][]string
	secret  func(name string) bool
}

func newPages(sources Sources) *pages {
	return &pages{sources, make(map[string][]string), config.SecretNames()}
}

func (p *pages) lines(file string) []string {
	lines, known := p.files[file]
	if !known && p.sources != nil {
		if text := p.sources(file); text != "" {
			lines = strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
		}
		p.files[file] = lines
	}
	return lines
}

// excerpt is the line of a finding and what of it is meant: text[from:to].
type excerpt struct {
	text     string
	from, to int
	isValue  bool // what is meant is a value, not a key or a header
	cut      bool // the rest of the line is a secret
}

// value returns what the file has as the value.
func (e excerpt) value() string {
	if !e.isValue || e.cut && e.to == len(e.text) {
		return ""
	}
	return e.text[e.from:e.to]
}

// excerpt returns the line of a finding. It is empty where there is none to show.
func (p *pages) excerpt(f Finding) excerpt {
	lines := p.lines(f.File)
	if f.Line < 1 || f.Line > len(lines) || f.Column < 1 {
		return excerpt{}
	}
	foreign := strings.HasSuffix(f.File, ".conf")
	e := excerpt{text: strings.TrimRight(lines[f.Line-1], "\r")}
	from := f.Column - 1 // of an error of syntax it may be one behind the end
	if at := p.secretAt(e.text, foreign); at >= 0 {
		e.text, e.cut = e.text[:at], true
	} else if f.Key == "" && !foreign && p.insideSecret(lines[:f.Line-1]) {
		return excerpt{}
	}
	e.from = min(from, len(e.text))
	e.to = e.from + token(e.text[e.from:], foreign)
	before, after := strings.TrimSpace(e.text[:e.from]), strings.TrimLeft(e.text[e.to:], " \t")
	switch {
	case e.from == e.to:
	case foreign: // the first word of a line is a keyword
		e.isValue = before != "" && !strings.HasSuffix(before, "{")
	default:
		e.isValue = !strings.HasPrefix(after, "=") && !strings.HasPrefix(after, ".") && (before != "" || e.text[e.from] != '[')
	}
	return e
}

// name matches a key before its value, in TOML and in the language of keepalived.
var (
	name        = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_-]*)"?[ \t]*=[ \t]*`)
	foreignName = regexp.MustCompile(`(?:^|[{}])[ \t]*([A-Za-z_][A-Za-z0-9_-]*)(?:[ \t]+|$)`)
)

// secretAt returns where on a line the value of a secret begins, -1 when there is none.
func (p *pages) secretAt(line string, foreign bool) int {
	find := name
	if foreign {
		find = foreignName
	}
	for _, m := range find.FindAllStringSubmatchIndex(line, -1) {
		if p.secret(line[m[2]:m[3]]) {
			return m[1]
		}
	}
	return -1
}

// insideSecret says that a line behind others may be part of a secret of several
// lines: where the syntax is wrong nobody can tell where a value ends.
func (p *pages) insideSecret(before []string) bool {
	for i := len(before) - 1; i >= 0; i-- {
		line := strings.TrimSpace(before[i])
		if p.secretAt(line, false) >= 0 {
			return true
		}
		if line == "" || line[0] == '[' {
			return false
		}
	}
	return false
}

// token returns the length of the value, key or word with which a text begins.
func token(s string, foreign bool) int {
	if s == "" {
		return 0
	}
	ends := ",]}#= \t"
	if foreign {
		ends = "{} \t"
	}
	switch c := s[0]; {
	case c == '"' || c == '\'':
		for i := 1; i < len(s); i++ {
			if s[i] == '\\' && c == '"' {
				i++
			} else if s[i] == c {
				return i + 1
			}
		}
		return len(s)
	case !foreign && (c == '[' || c == '{'):
		return brackets(s)
	}
	if n := strings.IndexAny(s, ends); n > 0 {
		return n
	}
	return len(strings.TrimRight(s, " \t"))
}

// brackets returns the length of a list or table, to the line's end where it goes on
// behind that.
func brackets(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"', '\'':
			i += token(s[i:], false) - 1
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case '#':
			return len(strings.TrimRight(s[:i], " \t"))
		}
	}
	return len(strings.TrimRight(s, " \t"))
}
