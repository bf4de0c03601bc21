package keepalived

import (
	"slices"
	"strconv"
	"strings"
)

// substitute puts the values of parameters into a line and expands the result; it
// reports false when the line holds none that is known.
func (r *reader) substitute(l line, nesting int) bool {
	var b strings.Builder
	text, from, found := l.text, 0, false
	for i := 0; i < len(text); i++ {
		if text[i] != '$' {
			continue
		}
		value, end, ok := r.reference(l, i)
		if !ok {
			continue
		}
		if nesting >= maxNesting {
			r.stop(l.at, "%s is replaced more than %d times over: it holds itself", text[i:end], maxNesting)
			return true
		}
		found = true
		r.margin.use(l.at, text[i:end])
		b.WriteString(text[from:i])
		from = end
		i = end - 1
		if len(value) == 1 {
			b.WriteString(value[0].text)
		} else if len(value) > 1 {
			r.block(l, b.String(), value, text[end:], nesting+1)
			return true
		}
		if b.Len() > maxLine {
			r.stop(l.at, "the line becomes longer than %d bytes", maxLine)
			return true
		}
	}
	if !found {
		return false
	}
	b.WriteString(text[from:])
	l.text, l.expanded = strings.Trim(b.String(), spaces), true
	r.line(l, nil, false, nesting+1)
	return true
}

// block puts a value of several lines into a line. The value's own lines keep
// their places.
func (r *reader) block(l line, before string, value []line, after string, nesting int) {
	if nesting >= maxNesting {
		r.stop(l.at, "a parameter is replaced more than %d times over: it holds itself", maxNesting)
		return
	}
	value = slices.Clone(value)
	first, last := &value[0], &value[len(value)-1]
	if before = strings.TrimLeft(before, spaces); before != "" {
		first.text, first.at, first.expanded = before+first.text, l.at, true
	}
	if after = strings.TrimRight(after, spaces); after != "" {
		last.text, last.expanded = last.text+after, true
	}
	r.run(value, false, nesting)
}

// reference reads the name of a parameter at a place of a line: ${NAME}, or $NAME
// before a blank or the end. It returns its value and where the name ends.
func (r *reader) reference(l line, i int) (value []line, end int, ok bool) {
	rest := l.text[i+1:]
	if strings.HasPrefix(rest, "{") {
		n := strings.IndexByte(rest, '}')
		if n < 0 {
			return nil, 0, false
		}
		name := rest[1:n]
		if value, ok = r.params[name]; !ok && strings.HasPrefix(name, "_") {
			value, ok = r.builtIn(l, name)
		}
		return value, i + n + 2, ok
	}
	n := nameLength(rest)
	if n == 0 || n < len(rest) && !isSpace(rest[n]) {
		return nil, 0, false
	}
	value, ok = r.params[rest[:n]]
	return value, i + n + 1, ok
}

// builtIn returns the value of a parameter that keepalived itself defines.
func (r *reader) builtIn(l line, name string) ([]line, bool) {
	name, args := cutWord(name)
	one := func(s string) ([]line, bool) { return []line{{text: s, at: l.at, expanded: true}}, true }
	switch name {
	case "_PWD":
		dir := r.dir
		if !strings.HasPrefix(dir, "/") && r.Dir != "" {
			dir = strings.TrimSuffix(r.Dir, "/") + "/" + dir
		}
		return one(strings.TrimSuffix(dir, "/"))
	case "_INSTANCE":
		return one(r.ID)
	case "_HASH":
		return one("#")
	case "_BANG":
		return one("!")
	case "_ENV":
		if r.Env != nil {
			if v, ok := r.Env(args); ok {
				return one(strings.Map(func(c rune) rune {
					if c == '\n' {
						return ' '
					}
					return c
				}, v))
			}
		}
	case "_RANDOM":
		bounds := [2]int{0, 32767}
		for i, word := range strings.Fields(args) {
			n, err := strconv.ParseUint(word, 10, 31)
			if err != nil || i > 1 {
				return nil, false
			}
			bounds[i] = int(n)
		}
		if bounds[0] > bounds[1] || r.Random == nil {
			return nil, false
		}
		return one(strconv.Itoa(r.Random(bounds[0], bounds[1])))
	}
	return nil, false
}

// repeat expands the rest of a line behind ~SEQ(...), ~SEQx(...) or ~LST(...) for
// each value; it reports false when the line begins with none of them.
func (r *reader) repeat(l line, nesting int) bool {
	open := strings.IndexByte(l.text, '(')
	end := strings.IndexByte(l.text, ')')
	kind := l.text[:max(open, 0)]
	if kind != "~SEQ" && kind != "~SEQx" && kind != "~LST" {
		return false
	}
	if end < open {
		r.Errorf(l.at, kind, "has no closing bracket")
		return true
	}
	if nesting >= maxNesting {
		r.stop(l.at, "sequences are nested more than %d deep", maxNesting)
		return true
	}
	args := l.text[open+1 : end]
	if strings.IndexByte(args, '$') >= 0 {
		inner := line{text: args, at: l.at}
		sub := &reader{Report: r.Report, Options: r.Options, params: r.params, dir: r.dir}
		sub.maxLines = 1000
		if sub.substitute(inner, nesting); len(sub.out) == 1 {
			args = sub.out[0].text
		}
	}
	r.margin.repeat(l.at, l.text)
	rest := l
	rest.shift(strings.TrimLeft(l.text[end+1:], spaces))
	if kind == "~LST" {
		return r.list(l, args, rest, nesting)
	}
	return r.sequence(l, kind, args, rest, nesting)
}

// sequence is ~SEQ(name, [start,] [step,] end).
func (r *reader) sequence(l line, kind, args string, rest line, nesting int) bool {
	parts := fields(args)
	var numbers [3]int64
	ok := len(parts) >= 2 && len(parts) <= 4 && nameLength(parts[0]) == len(parts[0]) && parts[0] != ""
	for i, p := range parts[1:] {
		n, err := strconv.ParseInt(p, 0, 32)
		if err != nil || i > 2 {
			ok = false
			break
		}
		numbers[i] = n
	}
	if !ok {
		r.Errorf(l.at, kind, "(%s) is not valid, allowed is (NAME, START, STEP, END), (NAME, START, END) or (NAME, END)", args)
		return true
	}
	start, step, end := numbers[0], numbers[1], numbers[2]
	switch len(parts) {
	case 2:
		end, start = start, 1
		if end < 0 {
			start = -1
		}
		step = 0
	case 3:
		end, step = step, 0
	}
	if step == 0 && len(parts) < 4 {
		step = 1
		if end < start {
			step = -1
		}
	}
	if step == 0 || step > 0 && end < start || step < 0 && end > start {
		r.Errorf(l.at, kind, "(%s) never gets from %d to %d, allowed is a step in that direction", args, start, end)
		return true
	}
	base := 10
	if kind == "~SEQx" {
		base = 16
	}
	for n := start; (step > 0 && n <= end || step < 0 && n >= end) && !r.stopped; n += step {
		r.params[parts[0]] = []line{{text: strconv.FormatInt(n, base), at: l.at, expanded: true}}
		r.line(rest, nil, false, nesting+1)
	}
	delete(r.params, parts[0])
	return true
}

// list is ~LST(name, value, ...) or ~LST({name, name}, {value, value}, ...).
func (r *reader) list(l line, args string, rest line, nesting int) bool {
	groups := braced(args)
	for i, g := range groups {
		if i > 0 && len(g) != len(groups[0]) || i == 0 && slices.ContainsFunc(g, func(s string) bool { return s == "" || nameLength(s) != len(s) }) {
			groups = nil
			break
		}
	}
	if len(groups) < 2 {
		r.Errorf(l.at, "~LST", "(%s) is not valid, allowed is (NAME, VALUE, ...) or ({NAME, NAME}, {VALUE, VALUE}, ...)", args)
		return true
	}
	for _, values := range groups[1:] {
		for i, name := range groups[0] {
			r.params[name] = []line{{text: values[i], at: l.at, expanded: true}}
		}
		r.line(rest, nil, false, nesting+1)
		if r.stopped {
			break
		}
	}
	for _, name := range groups[0] {
		delete(r.params, name)
	}
	return true
}

// fields splits a list at its commas.
func fields(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.Trim(parts[i], spaces)
	}
	return parts
}

// braced splits a list of which each element may be a list in braces.
func braced(s string) [][]string {
	var groups [][]string
	for s = strings.Trim(s, spaces); s != ""; {
		var part string
		if s[0] == '{' {
			end := strings.IndexByte(s, '}')
			if end < 0 {
				return nil
			}
			part, s = s[1:end], strings.Trim(s[end+1:], spaces)
			if s != "" && s[0] != ',' {
				return nil
			}
			s = strings.Trim(strings.TrimPrefix(s, ","), spaces)
			groups = append(groups, fields(part))
			continue
		}
		part, s, _ = strings.Cut(s, ",")
		s = strings.Trim(s, spaces)
		groups = append(groups, []string{strings.Trim(part, spaces)})
	}
	return groups
}
