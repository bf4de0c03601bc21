package keepalived

import (
	"slices"
	"strings"
)

// includeCheck is what must hold for the files that are included.
type includeCheck struct {
	readable, match, wildcard, brace bool
}

func (c *includeCheck) set(word string, on bool) bool {
	switch word {
	case "readable":
		c.readable = on
	case "match":
		c.match = on
	case "wildcard_match":
		c.wildcard = on
	case "brace_match":
		c.brace = on
	default:
		return false
	}
	return true
}

func allChecks() includeCheck { return includeCheck{true, true, true, true} }

// includeCheck takes the statement include_check, wherever it stands: it is about
// the lines behind it.
func (r *reader) includeCheck(l line) bool {
	words := strings.FieldsFunc(l.text, func(c rune) bool { return c < 0x80 && (isSpace(byte(c)) || c == '{' || c == '}') })
	if words[0] != "include_check" || strings.ContainsAny(l.text, "{}") {
		return false
	}
	if len(words) == 1 {
		r.checks = allChecks()
		return true
	}
	if first := words[1]; first[0] != '+' && first[0] != '-' {
		r.checks = includeCheck{}
	}
	for _, w := range words[1:] {
		word := strings.TrimPrefix(strings.TrimPrefix(w, "+"), "-")
		if !r.checks.set(word, w[0] != '-') {
			r.Errorf(l.at, "include_check", "%q is not known, allowed are readable, match, wildcard_match and brace_match, each also with + or - before it", w)
		}
	}
	return true
}

// include takes the statement include and its variants; it reports false for
// every other line.
func (r *reader) include(l line) bool {
	word, pattern := cutWord(l.text)
	if !strings.HasPrefix(word, "include") {
		return false
	}
	checks := r.checks
	switch word {
	case "include":
	case "includer":
		checks.readable = true
	case "includem":
		checks.match = true
	case "includew":
		checks.wildcard = true
	case "includeb":
		checks.brace = true
	case "includea":
		checks = allChecks()
	default:
		return false
	}
	pattern = strings.Trim(pattern, `"`)
	if pattern == "" {
		r.Errorf(l.at, word, "names no file")
		return true
	}
	if r.Glob == nil || r.Read == nil {
		r.Errorf(l.at, word, "%q cannot be included here: there is nothing to read files with", pattern)
		return true
	}
	if r.includes >= maxIncludes {
		r.stop(l.at, "files include each other more than %d deep", maxIncludes)
		return true
	}
	var names []string
	for _, alternative := range braces(pattern) {
		if !strings.HasPrefix(alternative, "/") {
			alternative = r.dir + alternative
		}
		found, err := r.Glob(alternative)
		if err != nil {
			r.Errorf(l.at, word, "%q is not valid: %v", pattern, err)
			return true
		}
		wild := strings.ContainsAny(alternative, "*?[")
		if len(found) == 0 && (checks.brace && alternative != pattern && strings.ContainsRune(pattern, '{') ||
			checks.wildcard && wild || checks.match && !wild) {
			r.Errorf(l.at, word, "there is no file %s", alternative)
			return true
		}
		for _, name := range found {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		if checks.match {
			r.Errorf(l.at, word, "there is no file %s", pattern)
		} else if !strings.ContainsAny(pattern, "*?[") {
			r.Warnf(l.at, word, "there is no file %s, and so nothing is included", pattern)
		}
	}
	for _, name := range names {
		text, err := r.Read(name)
		if err != nil {
			if checks.readable || checks.match || checks.wildcard || checks.brace {
				r.Errorf(l.at, word, "%v", err)
			} else {
				r.Warnf(l.at, word, "nothing is included: %v", err)
			}
			continue
		}
		if r.files++; r.files > r.maxFiles {
			r.stop(l.at, "more than %d files are included", r.maxFiles)
			return true
		}
		dir, checks := r.dir, r.checks
		r.dir = dirOf(name)
		r.includes++
		before, at := len(r.out), l.at
		r.run(split(name, string(text), r.margin), true, 0)
		if len(r.out) > before {
			at = r.out[before].at
		}
		r.margin.note(at, "from %s (%s %s)", name, word, pattern)
		r.includes--
		r.dir, r.checks = dir, checks
		if r.stopped {
			return true
		}
	}
	return true
}

// braces expands the braces of a pattern: {a,b}c is ac and bc. What is not closed
// is left as it is.
func braces(pattern string) []string {
	const most = 1000
	todo := []string{pattern}
	var done []string
	for len(todo) > 0 && len(todo)+len(done) < most {
		p := todo[0]
		todo = todo[1:]
		open := strings.IndexByte(p, '{')
		end, depth, commas := -1, 0, []int{open}
		for i := max(open, 0); open >= 0 && i < len(p) && end < 0; i++ {
			switch p[i] {
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					end = i
				}
			case ',':
				if depth == 1 {
					commas = append(commas, i)
				}
			}
		}
		if end < 0 {
			done = append(done, p)
			continue
		}
		commas = append(commas, end)
		var parts []string
		for i := 1; i < len(commas); i++ {
			parts = append(parts, p[:open]+p[commas[i-1]+1:commas[i]]+p[end+1:])
		}
		todo = append(parts, todo...)
	}
	return append(done, todo...)
}
