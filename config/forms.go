package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The lengths that the kernel allows: IFNAMSIZ less the final NUL, for the
// names of interfaces and the labels of addresses alike.
const maxInterfaceName = 15

// formProblem says what is wrong with a string of a form, "" when it is right,
// and what the form allows.
func formProblem(form, s string) (what, allowed string) {
	var ok bool
	switch form {
	case "name":
		allowed = "1 to 64 letters, digits and ._-"
		ok = len(s) <= 64 && all(s, isNameByte)
	case "text":
		allowed = "1 to 255 printable characters"
		ok = len(s) <= 255 && all(s, func(c byte) bool { return c >= ' ' && c != 0x7f })
	case "interface":
		allowed = fmt.Sprintf("the name of a network interface, 1 to %d characters without blank, / and :", maxInterfaceName)
		ok = len(s) <= maxInterfaceName && s != "." && s != ".." && all(s, func(c byte) bool {
			return c > ' ' && c != 0x7f && c != '/' && c != ':'
		})
	case "label":
		allowed = fmt.Sprintf("the device's name, or that, a colon and more, at most %d characters without blank", maxInterfaceName)
		ok = len(s) <= maxInterfaceName && all(s, func(c byte) bool { return c > ' ' && c != 0x7f && c != '/' })
	case "user":
		allowed = "user or user:group, by name or number"
		user, group, both := strings.Cut(s, ":")
		ok = isUser(user) && (!both || isUser(group))
	case "path":
		allowed = "an absolute path such as \"/health?full=1\", with %20 for a blank"
		ok = len(s) <= 2048 && strings.HasPrefix(s, "/") && all(s, func(c byte) bool { return c > ' ' && c < 0x7f && c != '#' })
	case "host":
		allowed = "a host name or an address, with or without a port"
		ok = isHost(s)
	case "hostname":
		allowed = "a host name such as \"lb1.example.com\", without a port"
		ok = len(s) <= 253 && all(s, isNameByte)
	case "method":
		allowed = "a method in capital letters, such as \"GET\" or \"HEAD\""
		ok = len(s) <= 32 && all(s, func(c byte) bool { return c >= 'A' && c <= 'Z' || c == '-' })
	case "mail":
		allowed = "a mail address such as \"ops@example.com\", without a name beside it"
		ok = isMail(s)
	case "file":
		allowed = "the absolute path of a file"
		ok = len(s) <= 4095 && s[:min(1, len(s))] == "/" && !strings.HasSuffix(s, "/") && strings.IndexByte(s, 0) < 0
	case "mac":
		allowed = "the Ethernet address of a host, such as \"00:00:5e:00:01:33\""
		_, ok = parseMAC(s)
	case "cpus":
		allowed = "CPU numbers and ranges from 0 to 1023, such as \"0,2-3\""
		ok = CPUs(s) != nil
	case "scope":
		allowed = `"global", "site", "link", "host", "nowhere" or a number from 0 to 255`
		_, ok = ScopeNumber(s)
	case "broadcast":
		allowed = `an IPv4 address, "+" for the last address of the subnet or "-" for its first`
		a, err := netip.ParseAddr(s)
		ok = s == "+" || s == "-" || err == nil && a.Is4()
	case "lifetime":
		allowed = `"forever", or a duration in whole seconds such as "600s"`
		ok = isLifetime(s)
	case "table":
		allowed = `a number from 1 to 4294967295, or a name such as "main"`
		_, ok = TableNumber(s)
		ok = s != "0" && s != "unspec" && (ok || len(s) <= 64 && all(s, isNameByte) && (s[0] < '0' || s[0] > '9'))
	case "metric":
		allowed = "mtu, advmss, window, rtt, rttvar, rto_min, ssthresh, cwnd, initcwnd, initrwnd, reordering or hoplimit"
		ok = slices.Contains(lockable, s)
	case "ipproto":
		allowed = `a protocol such as "tcp", or its number from 1 to 255`
		_, ok = protocolNumber(s)
	case "ports":
		allowed = `a port from 1 to 65535, or a range such as "1000-2000"`
		from, _, is := parseRange(s, 16)
		ok = is && from > 0
	case "uids":
		allowed = `a user's number, or a range such as "1000-1999"`
		_, _, ok = parseRange(s, 32)
	case "schedflag":
		allowed = `"sh-fallback", "sh-port", "mh-fallback", "mh-port", "flag-1", "flag-2" or "flag-3"`
		ok = FlagNumber(s) != 0
	case "granularity":
		allowed = `a netmask such as "255.255.255.0", or a prefix length such as "24" or "64"`
		_, four := Granularity(s, false)
		_, six := Granularity(s, true)
		ok = four || six
	case "agentx":
		allowed = "the absolute path of a UNIX socket of at most 107 bytes, or tcp: with an address and a port such as \"tcp:127.0.0.1:705\""
		_, _, ok = ParseAgentX(s)
	case "listen":
		allowed = `an address with a port such as "127.0.0.1:9650" or "[::1]:9650", or the absolute path of a UNIX socket`
		_, _, ok = ParseListen(s)
	case "range":
		allowed = `an address such as "192.0.2.1:80", a range such as "192.0.2.1-9:80" or a network such as "192.0.2.16/28:80"`
		_, err := ParseRange(s)
		if ok = err == nil; !ok && s != "" {
			return err.Error(), allowed
		}
	case "percent":
		allowed = `a share from "0%" to "100%"`
		_, ok = parsePercent(s)
	case "body":
		allowed = "1 to 4096 bytes"
		ok = len(s) >= 1 && len(s) <= 4096
	default:
		ok, allowed = checkForm(form, s)
	}
	switch {
	case ok:
		return "", allowed
	case s == "":
		return "is empty", allowed
	}
	return "is not valid", allowed
}

// all says that a string is not empty and has only bytes of a kind.
func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return s != ""
}

func isNameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// isUser takes what user databases hold in practice, directory services with
// their domains included.
func isUser(s string) bool {
	return len(s) <= 64 && s != "" && s[0] != '-' && all(s, func(c byte) bool {
		return isNameByte(c) || strings.IndexByte("$@+\\", c) >= 0
	})
}

// isHost takes what a Host header may be (RFC 9110 section 7.2): a name or an
// address, IPv6 in brackets, with or without a port.
func isHost(s string) bool {
	host := s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		if ap, err := netip.ParseAddrPort("0.0.0.0" + s[i:]); err != nil || ap.Port() == 0 {
			return false
		}
		host = s[:i]
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(v6, "]"))
		return strings.HasSuffix(v6, "]") && err == nil && a.Is6() && a.Zone() == ""
	}
	return len(host) <= 253 && all(host, isNameByte)
}

// isMail takes the addresses of RFC 5321 section 4.1.2 that need no quotes.
func isMail(s string) bool {
	local, domain, both := strings.Cut(s, "@")
	return both && len(local) <= 64 && len(domain) <= 253 && all(domain, isNameByte) &&
		local[:min(1, len(local))] != "." && !strings.HasSuffix(local, ".") && !strings.Contains(local, "..") &&
		all(local, func(c byte) bool { return isNameByte(c) || strings.IndexByte("!#$%&'*+/=?^`{|}~", c) >= 0 })
}
