package config

import (
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

const maxBytes = 4096 // of what a check sends or expects

// checkForm says whether a string has a form that only checks use, and what the
// form allows.
func checkForm(form, s string) (ok bool, allowed string) {
	switch form {
	case "bytes":
		_, ok = ParseBytes(s)
		return ok, `1 to 4096 bytes of text, or "hex:" and two hexadecimal digits a byte`
	case "pattern":
		_, _, ok = ParsePattern(s)
		return ok, `1 to 4096 bytes of text, or "hex:" and two hexadecimal digits a byte, ? for any digit`
	case "regexp":
		_, err := regexp.Compile(s)
		return s != "" && len(s) <= maxBytes && err == nil, `a regular expression of RE2, such as "(?i)^status: *ok"`
	case "digest":
		_, _, ok = ParseDigest(s)
		return ok, `"md5:" and 32 hexadecimal digits, or "sha256:" and 64`
	case "header":
		name, value, both := strings.Cut(s, ":")
		ok = both && len(s) <= maxBytes && all(name, isTokenByte) && !ownHeader(name) &&
			!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
		return ok, `"Name: value", with another name than Host, Connection, Content-Length and Transfer-Encoding`
	case "dnsname":
		return isDNSName(s), `a domain name such as "www.example.com"; "." is the root`
	case "rrtype":
		_, ok = RRType(s)
		return ok, `the type of a DNS record such as "A", or its number as "TYPE65"`
	case "rcode":
		_, ok = RCode(s)
		return ok, `a DNS result code such as "NOERROR" or "NXDOMAIN", or its number from 0 to 15`
	}
	panic("config: unknown form " + form)
}

// ParseBytes reads the bytes that a check sends: text, or hex: and digits.
func ParseBytes(s string) ([]byte, bool) {
	digits, isHex := strings.CutPrefix(s, "hex:")
	if !isHex {
		return []byte(s), s != "" && len(s) <= maxBytes
	}
	b, err := hex.DecodeString(digits)
	return b, err == nil && len(b) > 0 && len(b) <= maxBytes
}

// ParsePattern reads the bytes that a reply must hold. The bits that are set in
// mask are those that must be as in value; mask is nil when all must.
func ParsePattern(s string) (value, mask []byte, ok bool) {
	digits, isHex := strings.CutPrefix(s, "hex:")
	if !isHex || !strings.Contains(digits, "?") {
		value, ok = ParseBytes(s)
		return value, nil, ok
	}
	wanted := make([]byte, len(digits))
	for i := range digits {
		wanted[i] = 'f'
		if digits[i] == '?' {
			wanted[i] = '0'
		}
	}
	value, err1 := hex.DecodeString(strings.ReplaceAll(digits, "?", "0"))
	mask, err2 := hex.DecodeString(string(wanted))
	ok = err1 == nil && err2 == nil && len(value) <= maxBytes && strings.Trim(digits, "?") != ""
	return value, mask, ok
}

// ParseDigest reads md5:HEX or sha256:HEX. Digits alone, as genhash prints them,
// are MD5.
func ParseDigest(s string) (algorithm string, sum []byte, ok bool) {
	algorithm, digits, named := strings.Cut(s, ":")
	if !named {
		algorithm, digits = "md5", s
	}
	sum, err := hex.DecodeString(digits)
	size := map[string]int{"md5": 16, "sha256": 32}[algorithm]
	return algorithm, sum, err == nil && size > 0 && len(sum) == size
}

// isTokenByte takes the characters of a header's name (RFC 9110 section 5.6.2).
func isTokenByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// ownHeader names the headers that a check writes itself.
func ownHeader(name string) bool {
	switch strings.ToLower(name) {
	case "host", "connection", "content-length", "transfer-encoding":
		return true
	}
	return false
}

// isDNSName takes names of printable labels (RFC 1035 section 2.3.4), with the
// underscores that records have.
func isDNSName(s string) bool {
	if s == "." {
		return true
	}
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || !all(label, func(c byte) bool { return isNameByte(c) && c != '.' || c == '*' || c == '/' }) {
			return false
		}
	}
	return true
}

// RRType returns the number of a type of DNS records.
func RRType(s string) (uint16, bool) {
	switch strings.ToUpper(s) {
	case "A":
		return 1, true
	case "NS":
		return 2, true
	case "CNAME":
		return 5, true
	case "SOA":
		return 6, true
	case "PTR":
		return 12, true
	case "MX":
		return 15, true
	case "TXT":
		return 16, true
	case "AAAA":
		return 28, true
	case "SRV":
		return 33, true
	case "NAPTR":
		return 35, true
	case "DS":
		return 43, true
	case "DNSKEY":
		return 48, true
	case "SVCB":
		return 64, true
	case "HTTPS":
		return 65, true
	case "ANY":
		return 255, true
	case "CAA":
		return 257, true
	}
	digits, found := strings.CutPrefix(strings.ToUpper(s), "TYPE")
	n, err := strconv.ParseUint(digits, 10, 16)
	return uint16(n), found && err == nil && n > 0
}

// RCode returns the number of a DNS result code.
func RCode(s string) (int, bool) {
	for i, name := range [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"} {
		if strings.EqualFold(s, name) {
			return i, true
		}
	}
	n, err := strconv.ParseUint(s, 10, 4)
	return int(n), err == nil
}
