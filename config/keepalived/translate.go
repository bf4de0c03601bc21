package keepalived

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"director/config"
)

// translator makes a document of statements.
type translator struct {
	*config.Report
	root   *config.Tree
	tables map[string]map[string]keyword // by block
	// global holds the last statement of each keyword of global_defs: many are the
	// defaults of instances and services.
	global      map[string]*statement
	groups      map[string]*statement // by member
	trackFiles  map[string]*statement // by name
	serverGroup map[string]*statement
	rulePrio    int64
	mailEvents  map[string]bool
	pauses      map[string]pauseOf // of garp_group, by interface
	fileChecks  map[string]bool    // track_files that checks follow
	fileUses    map[string]bool    // track_files that instances and groups follow
	conversion  *conversion        // nil unless the text is converted
}

// scope is a block that is being translated.
type scope struct {
	*translator
	block string       // the name of its table of keywords
	t     *config.Tree // what its keywords are put into
	s     *statement   // its own
	up    *scope
	seen  map[string]*statement // the last one of each keyword
	runs  []run                 // its scripts, and of a service those of its servers

	// Of a service: what makes it, and its sorry server. Of a server: its checks, and the port that they
	// take where the server has none, or another one than was written.
	to        target
	sorryAt   target
	proto     string
	checks    []*statement
	checkPort uint16
}

// handler translates one statement.
type handler func(sc *scope, s *statement)

// keyword is one row of the table of keywords.
type keyword struct {
	name  string
	do    handler
	block bool // it has a block
}

// translate makes a document of the statements of a text.
func translate(r *config.Report, name string, statements []*statement, c *conversion) *config.Tree {
	t := &translator{
		Report: r, root: config.NewTree(), tables: tables(),
		global: make(map[string]*statement), groups: make(map[string]*statement),
		trackFiles: make(map[string]*statement), serverGroup: make(map[string]*statement),
		rulePrio: 16384, mailEvents: make(map[string]bool), pauses: make(map[string]pauseOf),
		fileChecks: make(map[string]bool), fileUses: make(map[string]bool),
		conversion: c,
	}
	for _, s := range statements {
		t.look(s)
	}
	root := t.scope(nil, "", t.root, &statement{words: []word{{at: config.Position{File: name, Line: 1, Col: 1}}}, kids: statements})
	root.statements()
	t.finishGlobal(root)
	return t.root
}

// look gathers what other blocks need to know before they are translated.
func (t *translator) look(s *statement) {
	switch s.key() {
	case "global_defs":
		for _, g := range s.kids {
			t.global[g.key()] = g
		}
	case "vrrp_sync_group":
		for _, k := range s.kids {
			if k.key() == "group" {
				for _, member := range k.kids {
					for _, w := range member.words {
						t.groups[w.text] = s
					}
				}
			}
		}
	case "track_file", "vrrp_track_file":
		t.trackFiles[s.arg(1).text] = s
	case "virtual_server_group":
		t.serverGroup[s.arg(1).text] = s
	}
}

func (t *translator) scope(up *scope, block string, tree *config.Tree, s *statement) *scope {
	return &scope{translator: t, block: block, t: tree, s: s, up: up, seen: make(map[string]*statement)}
}

// statements translates the statements of a block.
func (sc *scope) statements() {
	for _, s := range sc.s.kids {
		k, known := sc.tables[sc.block][s.key()]
		switch {
		case !known:
			sc.Errorf(s.at(), s.key(), "%s", sc.unknown(s.key()))
		case k.block && !s.block:
			sc.Errorf(s.at(), s.key(), "a block in braces is missing behind it")
		case !k.block && s.block && len(s.kids) > 0:
			sc.Errorf(s.at(), s.key(), "has no block, here one follows it")
		default:
			k.do(sc, s)
			sc.seen[s.key()] = s
		}
	}
	sc.conversion.block(sc)
}

// unknown says what was probably meant by a keyword that a block does not have.
func (sc *scope) unknown(key string) string {
	where := sc.block
	if where == "" {
		where = "the top level"
	}
	usual := []string{"", "vrrp_instance", "global_defs", "vrrp_sync_group", "virtual_server", "real_server"}
	for _, block := range append(usual, slices.Sorted(maps.Keys(sc.tables))...) {
		if _, ok := sc.tables[block][key]; ok {
			if block == "" {
				return "unknown keyword in " + where + ": it belongs to the top level; is a closing brace missing before it?"
			}
			return "unknown keyword in " + where + ", it belongs into " + block
		}
	}
	msg := "unknown keyword in " + where
	if near := config.Nearest(key, slices.Sorted(maps.Keys(sc.tables[sc.block]))); near != "" {
		return msg + ", did you mean " + near + "?"
	}
	return msg
}

// enter translates the block of a statement into a table.
func (sc *scope) enter(block string, tree *config.Tree, s *statement) *scope {
	inner := sc.scope(sc, block, tree, s)
	inner.statements()
	return inner
}

// set gives a key a value; the key may be in inner tables: "garp.delay".
func (sc *scope) set(path string, value any, at config.Position) {
	t := sc.t
	for {
		table, rest, inner := strings.Cut(path, ".")
		if !inner {
			t.Set(path, value, at)
			return
		}
		t, path = t.Table(table, at), rest
	}
}

// imply gives a key what keepalived takes when the file says nothing.
func (sc *scope) imply(t *config.Tree, key string, value any, at config.Position) {
	t.Set(key, value, at)
	sc.conversion.imply(t.Item(key))
}

// implyUnless does so when there is no statement; with one the value is the file's own.
func (sc *scope) implyUnless(s *statement, t *config.Tree, key string, value any, at config.Position) {
	if s == nil {
		sc.imply(t, key, value, at)
		return
	}
	t.Set(key, value, s.at())
}

// need says that a statement has so many parameters at least; more than most are
// reported, unless most is negative.
func (sc *scope) need(s *statement, least, most int) bool {
	if len(s.args()) < least {
		sc.Errorf(s.at(), s.key(), "a parameter is missing behind it")
		return false
	}
	if most >= 0 && len(s.args()) > most {
		extra := s.arg(most + 1)
		sc.NoEffectf(extra.at, s.key(), "%q has no meaning here and is not used", s.rest(most+1))
	}
	return true
}

// number reads a whole number, as C writes them when base is 0.
func (sc *scope) number(w word, key string, base int) (int64, bool) {
	n, err := strconv.ParseInt(w.text, base, 64)
	if err != nil {
		sc.Errorf(w.at, key, "%q is not a whole number", w.text)
	}
	return n, err == nil
}

// seconds reads a number of seconds, with decimals, as a duration.
func (sc *scope) seconds(w word, key string) (string, bool) { return sc.duration(w, key, time.Second) }

func (sc *scope) duration(w word, key string, unit time.Duration) (string, bool) {
	f, err := strconv.ParseFloat(w.text, 64)
	if err != nil || f > 1e9 || strings.Trim(w.text, "0123456789.") != "" {
		sc.Errorf(w.at, key, "%q is not a time, allowed is a number such as 1 or 2.5", w.text)
		return "", false
	}
	d := time.Duration(math.Round(f*float64(unit)/1e3)) * time.Microsecond
	return d.String(), true
}

// onOff reads keepalived's truth values; without a parameter it is true.
func (sc *scope) onOff(s *statement) (value, ok bool) {
	if len(s.args()) == 0 {
		return true, true
	}
	switch w := s.arg(1); w.text {
	case "on", "true", "yes":
		return true, true
	case "off", "false", "no":
		return false, true
	default:
		sc.Errorf(w.at, s.key(), "%q is not known, allowed are on, off, true, false, yes and no", w.text)
		return false, false
	}
}

// The handlers of keywords that are one key each.

func number(path string) handler {
	return func(sc *scope, s *statement) {
		if sc.need(s, 1, 1) {
			if n, ok := sc.number(s.arg(1), s.key(), 10); ok {
				sc.set(path, n, s.arg(1).at)
			}
		}
	}
}

func seconds(path string) handler {
	return func(sc *scope, s *statement) {
		if sc.need(s, 1, 1) {
			if d, ok := sc.seconds(s.arg(1), s.key()); ok {
				sc.set(path, d, s.arg(1).at)
			}
		}
	}
}

func text(path string) handler {
	return func(sc *scope, s *statement) {
		if sc.need(s, 1, 1) {
			sc.set(path, s.arg(1).text, s.arg(1).at)
		}
	}
}

// says is a keyword that alone says it all.
func says(path string, value bool) handler {
	return func(sc *scope, s *statement) {
		sc.need(s, 0, 0)
		sc.set(path, value, s.at())
	}
}

// boolean is a keyword with a truth value or alone.
func boolean(path string) handler {
	return func(sc *scope, s *statement) {
		sc.need(s, 0, 1)
		if b, ok := sc.onOff(s); ok {
			sc.set(path, b, s.at())
		}
	}
}

// ignored is a keyword that has no effect here, and why, or what to do instead.
func ignored(why string) handler {
	return func(sc *scope, s *statement) { sc.NoEffectf(s.at(), s.key(), "has no effect: %s", why) }
}

// missing is a keyword for which there is nothing here.
func missing(instead string) handler {
	return func(sc *scope, s *statement) {
		sc.LeftOutf(s.at(), s.key(), "is not supported and not used: %s", instead)
	}
}

// refused is a keyword without which the rest would do something else than is
// meant.
func refused(instead string) handler {
	return func(sc *scope, s *statement) {
		if sc.conversion != nil { // what is written is read before it is used
			sc.LeftOutf(s.at(), s.key(), "is not supported, and the rest does something else without it: %s", instead)
			return
		}
		sc.Errorf(s.at(), s.key(), "is not supported: %s", instead)
	}
}

// switchedOff is missing for keywords that may also be switched off.
func switchedOff(instead string) handler {
	return func(sc *scope, s *statement) {
		if on, ok := sc.onOff(s); ok && on {
			sc.LeftOutf(s.at(), s.key(), "is not supported and not used: %s", instead)
		}
	}
}

// given is a keyword that asks for what is always so here, or that another
// keyword's translation takes into account.
func given(*scope, *statement) {}

// renamed is a keyword that has another name today.
func renamed(name string, do handler) handler {
	return func(sc *scope, s *statement) {
		sc.Warnf(s.at(), s.key(), "is the old name of %s", name)
		do(sc, s)
	}
}

// user writes the user and group of a statement as director does.
func user(s *statement, from int) string {
	u := s.arg(from).text
	if g := s.arg(from + 1).text; g != "" {
		u += ":" + g
	}
	return u
}

// words returns the words of all lines of a block: what it lists.
func (s *statement) list() []word {
	var all []word
	for _, k := range s.kids {
		all = append(all, k.words...)
	}
	return all
}
