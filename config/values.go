package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// problem is why a value cannot be used.
type problem struct {
	what    string // the value and what is wrong with it
	allowed string // what would be right; empty: what the field's tags say
}

const shownLength = 60 // bytes of a value that a message shows

// show writes a value the way its file does.
func show(raw any) string {
	switch v := raw.(type) {
	case string:
		return quote(v, shownLength)
	case float64:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if v == math.Trunc(v) && !math.IsInf(v, 0) {
			s += ".0"
		}
		if len(s) > shownLength {
			s = strconv.FormatFloat(v, 'g', -1, 64)
		}
		return s
	case int64, bool:
		return fmt.Sprint(v)
	}
	return typeWord(raw)
}

// typeWord names the type of a value.
func typeWord(raw any) string {
	switch raw.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a decimal number"
	case bool:
		return "a truth value"
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	}
	return "a list"
}

// wrongType is the problem of a value of another type than the field's.
func wrongType(raw any) *problem {
	shown, word := show(raw), typeWord(raw)
	if shown == word {
		return &problem{what: word + " is not allowed here"}
	}
	return &problem{what: shown + " is " + word}
}

// allowed says what a field takes.
func (f *field) allowed() string {
	if len(f.OneOf) > 0 {
		if f.kind == kindInt {
			return strings.Join(f.OneOf, " or ")
		}
		return orList(f.OneOf)
	}
	switch f.kind {
	case kindBool:
		return "true or false"
	case kindInt:
		return "a whole number from " + f.Min + " to " + f.Max
	case kindDuration:
		s := "a duration from " + f.Min + " to " + f.Max
		if f.Step != "" {
			s += " in steps of " + f.Step
		}
		return s + `, as a string with a unit such as "1.5s"`
	case kindSecret:
		return "a string"
	case kindAddr:
		return `an IP address as a string, such as "192.0.2.1"`
	case kindAddrs:
		return `an IP address as a string, such as "192.0.2.1", or a list of two, one of IPv4 and one of IPv6`
	case kindPrefix:
		if f.form == "destination" {
			return `a network or an address as a string, such as "10.0.0.0/8", or "default"`
		}
		return `an IP address with or without a mask as a string, such as "192.0.2.10/24"`
	case kindAddrPort:
		return `an IP address with a port as a string, such as "192.0.2.1:80" or "[2001:db8::1]:80"`
	case kindStatus:
		return `a list of status codes and ranges from 100 to 599, such as [200, "300-399"]`
	case kindCommand:
		return `a command as a string or as a list of strings`
	case kindString, kindStrings: // of these each
		_, allowed := formProblem(f.form, "")
		return allowed
	case kindList:
		if f.Short != "" {
			return "a list, each entry " + f.table.byKey[f.Short].allowed()
		}
		return "a list of tables"
	}
	return "a table"
}

func orList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = strconv.Quote(v)
	}
	if n := len(quoted); n > 1 {
		return strings.Join(quoted[:n-1], ", ") + " or " + quoted[n-1]
	}
	return quoted[0]
}

// parse turns a value of one of the simple kinds into the model's type.
func (f *field) parse(raw any, fv reflect.Value) *problem {
	switch f.kind {
	case kindBool:
		b, ok := raw.(bool)
		if !ok {
			return wrongType(raw)
		}
		fv.SetBool(b)
		return nil
	case kindInt:
		return f.parseInt(raw, fv)
	case kindDuration:
		d, p := f.parseDuration(raw)
		if p == nil {
			fv.SetInt(int64(d))
		}
		return p
	case kindSecret:
		s, ok := raw.(string)
		if !ok {
			return &problem{what: typeWord(raw) + " is not allowed here"}
		}
		fv.SetString(s)
		return nil
	case kindStatus:
		r, p := parseStatus(raw.([]any)[0])
		fv.Set(reflect.ValueOf([]StatusRange{r}))
		return p
	}
	s, ok := raw.(string)
	if f.kind == kindString {
		if p := f.parseString(raw, &s); p != nil {
			return p
		}
		fv.SetString(s)
		return nil
	}
	if !ok {
		return wrongType(raw)
	}
	var v any
	var err error
	switch f.kind {
	case kindAddr:
		v, err = parseAddr(s)
	case kindPrefix:
		if f.form == "destination" {
			v, err = parseDestination(s)
		} else {
			v, err = parsePrefix(s)
		}
	case kindAddrPort:
		v, err = parseAddrPort(s)
	}
	if err != nil {
		return &problem{what: quote(s, shownLength) + " " + err.Error()}
	}
	fv.Set(reflect.ValueOf(v))
	return nil
}

func (f *field) parseInt(raw any, fv reflect.Value) *problem {
	n, ok := raw.(int64)
	if !ok {
		return wrongType(raw)
	}
	if len(f.OneOf) > 0 {
		if !slices.Contains(f.OneOf, strconv.FormatInt(n, 10)) {
			return &problem{what: show(raw) + " is not known"}
		}
	} else if n < f.min || n > f.max {
		return &problem{what: show(raw) + " is out of range"}
	}
	if fv.CanUint() {
		fv.SetUint(uint64(n))
	} else {
		fv.SetInt(n)
	}
	return nil
}

// parseString checks a string against the field's values or its form.
func (f *field) parseString(raw any, s *string) *problem {
	text, ok := raw.(string)
	if n, is := raw.(int64); is && f.takesNumbers() {
		text, ok = strconv.FormatInt(n, 10), true
	}
	if !ok {
		return wrongType(raw)
	}
	if len(f.OneOf) > 0 {
		if slices.Contains(f.OneOf, text) {
			*s = text
			return nil
		}
		p := &problem{what: show(raw) + " is not known"}
		if right := f.wrong[strings.ToLower(text)]; right != "" {
			p.what += fmt.Sprintf(" (it is called %q here)", right)
		} else if near := nearest(text, f.OneOf); near != "" {
			p.what += fmt.Sprintf(" (did you mean %q?)", near)
		}
		return p
	}
	if what, allowed := formProblem(f.form, text); what != "" {
		return &problem{what: show(raw) + " " + what, allowed: allowed}
	}
	*s = text
	return nil
}

// takesNumbers says that a string may be written as a number: some have numbers beside
// names or ranges.
func (f *field) takesNumbers() bool {
	return f != nil && f.kind == kindString && slices.Contains([]string{"scope", "table", "ipproto", "ports", "uids", "granularity"}, f.form)
}

func (f *field) parseDuration(raw any) (Duration, *problem) {
	switch raw.(type) {
	case int64, float64:
		text := strings.TrimSuffix(show(raw), ".0")
		return 0, &problem{what: show(raw) + " has no unit, write " + strconv.Quote(text+"s") + " if seconds are meant"}
	}
	text, ok := raw.(string)
	if !ok {
		return 0, wrongType(raw)
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil { // time.ParseDuration takes a bare "0"
		return 0, &problem{what: show(raw) + " has no unit, write " + strconv.Quote(text+"s") + " if seconds are meant"}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, &problem{what: show(raw) + " is not a duration (units are ms, s, m and h)"}
	}
	if int64(d) < f.min || int64(d) > f.max {
		return 0, &problem{what: show(raw) + " is out of range"}
	}
	if f.step > 0 && int64(d)%f.step != 0 {
		return 0, &problem{what: show(raw) + " is not a multiple of " + f.Step}
	}
	return Duration(d), nil
}

var (
	errNotAddr = errors.New("is not an IP address")
	errZone    = errors.New("has a zone, which is not allowed here")
	errMapped  = errors.New("is an IPv4 address written as an IPv6 one")
	errPort    = errors.New("has no valid port; ports are 1 to 65535")
	errName    = errors.New("is not an IP address with a port; names are not looked up")
)

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, errNotAddr
	}
	return usable(a)
}

// usable refuses the forms of addresses that mean nothing here.
func usable(a netip.Addr) (netip.Addr, error) {
	switch {
	case a.Zone() != "":
		return netip.Addr{}, errZone
	case a.Is4In6():
		return netip.Addr{}, errMapped
	}
	return a, nil
}

// parsePrefix reads an address with its mask; no mask means the address alone.
func parsePrefix(s string) (netip.Prefix, error) {
	addr, mask, found := strings.Cut(s, "/")
	a, err := parseAddr(addr)
	if err != nil {
		return netip.Prefix{}, err
	}
	if !found {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	bits, err := strconv.ParseUint(mask, 10, 8)
	if err != nil || bits < 1 || int(bits) > a.BitLen() || mask[0] == '0' || mask[0] == '+' {
		return netip.Prefix{}, fmt.Errorf("has no valid mask; masks are 1 to %d", a.BitLen())
	}
	return netip.PrefixFrom(a, int(bits)), nil
}

// anywhere stands for "default" until the family is known.
var anywhere = netip.PrefixFrom(netip.Addr{}, -1)

// parseDestination reads a network, an address or default.
func parseDestination(s string) (netip.Prefix, error) {
	switch s {
	case "default", "all", "any":
		return anywhere, nil
	case "0.0.0.0/0", "::/0":
		return netip.MustParsePrefix(s), nil
	}
	p, err := parsePrefix(s)
	if err == nil && p != p.Masked() {
		return p, fmt.Errorf("has bits behind its mask; the network is %q", p.Masked())
	}
	return p, err
}

// parseAddrPort reads an address with a port; port 0 says that there was none.
func parseAddrPort(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		if ap.Port() == 0 {
			return netip.AddrPort{}, errPort
		}
		a, err := usable(ap.Addr())
		return netip.AddrPortFrom(a, ap.Port()), err
	}
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		a, err := usable(a)
		return netip.AddrPortFrom(a, 0), err
	}
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		if _, err := netip.ParseAddr(strings.Trim(s[:i], "[]")); err == nil {
			return netip.AddrPort{}, errPort
		}
	}
	return netip.AddrPort{}, errName
}

// parseStatus reads one status code or range: 200, "200" or "200-299".
func parseStatus(raw any) (StatusRange, *problem) {
	const allowed = `a code from 100 to 599 or a range such as "200-299"`
	var from, to string
	switch v := raw.(type) {
	case int64:
		from = strconv.FormatInt(v, 10)
		to = from
	case string:
		var isRange bool
		if from, to, isRange = strings.Cut(v, "-"); !isRange {
			to = from
		}
	default:
		p := wrongType(raw)
		p.allowed = allowed
		return StatusRange{}, p
	}
	lo, err1 := strconv.ParseUint(from, 10, 16)
	hi, err2 := strconv.ParseUint(to, 10, 16)
	switch {
	case err1 != nil || err2 != nil:
		return StatusRange{}, &problem{what: show(raw) + " is not a status", allowed: allowed}
	case lo < 100 || hi > 599 || lo > 599 || hi < 100:
		return StatusRange{}, &problem{what: show(raw) + " is out of range", allowed: allowed}
	case lo > hi:
		return StatusRange{}, &problem{what: show(raw) + " ends before it begins", allowed: allowed}
	}
	return StatusRange{int(lo), int(hi)}, nil
}

// parseCommand reads a command line or an argument vector. warning is set for
// what works, but not as somebody who thinks of a shell expects.
func parseCommand(raw any) (argv []string, warning string, p *problem) {
	switch v := raw.(type) {
	case string:
		words, meta, err := splitWords(v)
		if err != nil {
			return nil, "", &problem{what: show(raw) + " " + err.Error()}
		}
		argv = words
		if meta != "" {
			warning = fmt.Sprintf("%s is run without a shell, so %q has no special meaning in it; for a shell write [\"/bin/sh\", \"-c\", ...]", show(raw), meta)
		}
	case []any:
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				p := wrongType(e)
				p.allowed = "a string for each argument"
				return nil, "", p
			}
			argv = append(argv, s)
		}
		if len(argv) == 1 && strings.ContainsAny(argv[0], " \t") {
			warning = fmt.Sprintf("%s is taken as the name of one file with a blank in it; arguments are further elements of the list", show(argv[0]))
		}
	default:
		return nil, "", wrongType(raw)
	}
	const program = `an absolute path or a bare name with its arguments`
	switch {
	case len(argv) == 0 || argv[0] == "":
		return nil, "", &problem{what: "an empty command", allowed: program}
	case argv[0][0] != '/' && strings.Contains(argv[0], "/"):
		return nil, "", &problem{what: show(argv[0]) + " is a relative path", allowed: program}
	case strings.HasSuffix(argv[0], "/"):
		return nil, "", &problem{what: show(argv[0]) + " is a directory", allowed: program}
	}
	for _, arg := range argv {
		if strings.IndexByte(arg, 0) >= 0 {
			return nil, "", &problem{what: show(arg) + " holds a NUL byte", allowed: "any argument without it"}
		}
	}
	return argv, warning, nil
}
