package ipvs

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Command is one line in the language of ipvsadm that changes the table, as
// `ipvsadm -S` writes and `ipvsadm -R` reads it.
type Command struct {
	Line  int  // in its text, from 1
	Clear bool // -C: every service goes; Op is empty
	Op    Op   // canonical
}

// String returns the line, with everything spelled out.
func (c Command) String() string {
	if c.Clear {
		return "-C"
	}
	return c.Op.String()
}

// Names look up what a text says by name. Without a function only numbers are
// allowed.
type Names struct {
	Host func(name string, f Family) (netip.Addr, error) // f is 0 where either family will do
	Port func(name string, p Protocol) (uint16, error)
}

// CommandError says what is wrong with a line.
type CommandError struct {
	Line int
	Err  error
}

func (e *CommandError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

// CommandErrors are all that is wrong with a text, one for a line, in order.
type CommandErrors []*CommandError

func (e CommandErrors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// ParseCommands reads a text in the language of ipvsadm: one command a line, -A, -E,
// -D, -a, -e, -d or -C, with short or long options; before it the program's name may
// stand. Empty lines and those that begin with # say nothing. What ipvsadm takes where
// a line is silent is taken here: wlc, 360 s of -p, -g, weight 1, the service's port.
//
// It is stricter than ipvsadm where that changes silently what was written: a mask
// without -p and one that is not written as an address are errors. And it is more
// faithful in one place: with -g and -i ipvsadm puts the service's port in place of
// the real server's, here the port stays what was written.
//
// Its error is CommandErrors with everything that is wrong.
func ParseCommands(text string, names Names) ([]Command, error) {
	var list []Command
	var wrong CommandErrors
	n := 0
	for line := range strings.Lines(text) {
		n++
		words := strings.Fields(line)
		if len(words) > 0 && (words[0] == "ipvsadm" || strings.HasSuffix(words[0], "/ipvsadm")) {
			words = words[1:]
		}
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		c, err := parseCommand(words, names)
		if err != nil {
			wrong = append(wrong, &CommandError{n, err})
			continue
		}
		c.Line = n
		list = append(list, c)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return list, nil
}

// Run does to the table what the kernel would do on the commands, in order. Its error is
// CommandErrors with all that failed; what did not fail is done.
func (t Table) Run(list []Command) error {
	var wrong CommandErrors
	for _, c := range list {
		if c.Clear {
			clear(t)
			continue
		}
		if err := t.apply(c.Op); err != nil {
			wrong = append(wrong, &CommandError{c.Line, fmt.Errorf("%s: %w", c.Op.Object(), refusal(c.Op, err))})
		}
	}
	if len(wrong) > 0 {
		return wrong
	}
	return nil
}

// refusal puts what the kernel would answer into words.
func refusal(o Op, err error) error {
	var text string
	switch {
	case errors.Is(err, syscall.EEXIST):
		text = "it is in the table already"
	case errors.Is(err, syscall.ESRCH):
		text = "the table has no such service"
	case errors.Is(err, syscall.ENOENT) && o.Kind.OnDest():
		text = "the service has no such real server"
	default:
		return err
	}
	return &wordedError{text, err}
}

// wordedError is an error number with a text of its own.
type wordedError struct {
	text  string
	cause error
}

func (e *wordedError) Error() string { return e.text }

func (e *wordedError) Unwrap() error { return e.cause }

// parseCommand reads the words of one line.
func parseCommand(words []string, names Names) (c Command, err error) {
	given, err := splitOptions(words)
	if err != nil {
		return c, err
	}
	var verb *admOption
	for i := range admOptions {
		o := &admOptions[i]
		if _, ok := given[o.long]; !ok || !o.isVerb() {
			continue
		}
		if verb != nil {
			return c, fmt.Errorf("%s and %s on one line, allowed is one of %s", verb.text(), o.text(), verbNames)
		}
		verb = o
	}
	if verb == nil {
		return c, fmt.Errorf("no command, allowed is one of %s", verbNames)
	}
	for i := range admOptions {
		o := &admOptions[i]
		if _, ok := given[o.long]; ok && !o.goesWith(verb) {
			return c, fmt.Errorf("%s does not go with %s, allowed is %s", o.text(), verb.text(), allowedWith(verb))
		}
	}
	if verb.clear {
		return Command{Clear: true}, nil
	}
	p := reading{given: given, names: names}
	op := Op{Kind: verb.verb, Key: p.service()}
	switch op.Kind {
	case AddService, EditService:
		op.Service = p.settings(op.Key)
	case AddDest, EditDest:
		op.DestKey = p.server(op.Key)
		op.Dest = p.destination(op.Key, op.DestKey)
	case DeleteDest:
		op.DestKey = p.server(op.Key)
	}
	if p.err != nil {
		return c, p.err
	}
	return Command{Op: op}, nil
}

// reading is one line whose options are being understood. The first error stays.
type reading struct {
	given map[string]string // value by the option's long name
	names Names
	err   error
}

func (p *reading) has(name string) bool {
	_, ok := p.given[name]
	return ok
}

func (p *reading) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
}

// number reads the value of an option as a number of the range; without the option it is otherwise.
func (p *reading) number(name string, otherwise, least, most uint64) uint64 {
	text, ok := p.given[name]
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		p.fail("%s %q: allowed is a number from %d to %d", optionNamed(name).text(), text, least, most)
	}
	return n
}

// service reads which service the line is about.
func (p *reading) service() ServiceKey {
	var key ServiceKey
	kinds := 0
	for _, protocol := range []Protocol{TCP, UDP, SCTP} {
		name := protocol.String() + "-service"
		if text, ok := p.given[name]; ok {
			kinds++
			key = AddrService(protocol, p.address(name, text, protocol, 0, 0))
		}
	}
	if text, ok := p.given["fwmark-service"]; ok {
		kinds++
		family := IPv4
		if p.has("ipv6") {
			family = IPv6
		}
		key = MarkService(p.mark(text), family)
	} else if p.has("ipv6") {
		p.fail("-6 goes with -f only: an address tells its family itself")
	}
	if kinds != 1 {
		p.fail("the line names %d services, allowed is exactly one of -t, -u, --sctp-service and -f", kinds)
	}
	return key
}

// mark reads a firewall mark. ipvsadm saves those of 2^31 and more as negative numbers.
func (p *reading) mark(text string) uint32 {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && n < 0 {
		return uint32(n)
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		p.fail("-f %q: allowed is a firewall mark from 1 to 4294967295", text)
		return 1
	}
	return uint32(n)
}

// address reads host, host:port or [host]:port.
func (p *reading) address(name, text string, protocol Protocol, family Family, otherwise uint16) netip.AddrPort {
	option := optionNamed(name).text()
	host, port, hasPort := text, "", false
	if rest, ok := strings.CutPrefix(text, "["); ok {
		var found bool
		host, port, found = strings.Cut(rest, "]")
		port, hasPort = strings.CutPrefix(port, ":")
		if a, err := netip.ParseAddr(host); !found || !hasPort && port != "" || err == nil && !a.Is6() {
			p.fail("%s %q: allowed is ADDRESS:PORT, or [ADDRESS]:PORT for IPv6", option, text)
			return netip.AddrPort{}
		}
	} else if strings.Count(text, ":") > 1 {
		p.fail("%s %q: an IPv6 address stands in brackets: [2001:db8::1]:80", option, text)
		return netip.AddrPort{}
	} else {
		host, port, hasPort = strings.Cut(text, ":")
	}
	addr, err := netip.ParseAddr(host)
	if err != nil && p.names.Host != nil && host != "" {
		addr, err = p.names.Host(host, family)
		if err != nil {
			p.fail("%s %q: %w", option, text, err)
			return netip.AddrPort{}
		}
	}
	if err != nil || addr.Zone() != "" {
		p.fail("%s %q: %q is no address; a table is saved without names by `ipvsadm -Sn`", option, text, host)
		return netip.AddrPort{}
	}
	n := otherwise
	if hasPort {
		n = p.port(option, text, port, protocol)
	}
	return netip.AddrPortFrom(addr, n)
}

func (p *reading) port(option, text, port string, protocol Protocol) uint16 {
	n, err := strconv.ParseUint(port, 10, 16)
	if err == nil {
		return uint16(n)
	}
	if p.names.Port != nil {
		named, err := p.names.Port(port, protocol)
		if err != nil {
			p.fail("%s %q: %w", option, text, err)
		}
		return named
	}
	p.fail("%s %q: port %q: allowed is a number from 0 to 65535", option, text, port)
	return 0
}
