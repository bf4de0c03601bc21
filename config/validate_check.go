package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// checks checks a list of checks and resolves the defaults that depend on other
// keys. portless says that a server with these checks has no port of its own.
func (v *validator) checks(at place, checks []Check, proto Protocol, portless bool) {
	for i, e := range at.list() {
		c := &checks[i]
		v.resolveCheck(e, c)
		if !v.ok(e) || !v.ok(e.child("type")) {
			continue
		}
		v.checkAddresses(e, c)
		v.checkPort(e, c, proto, portless)
		v.checkTimes(e, c)
		v.checkReply(e, c)
		v.checkTLS(e, c)
		v.checkLogin(e, c)
		for key, missing := range map[string]bool{
			"script": c.Kind == CheckScript && len(c.Command) == 0, "file": c.Kind == CheckFile && c.File == "", "bfd": c.Kind == CheckBFD && c.Session == "",
		} {
			if child := e.child(key); missing && v.ok(child) {
				v.errorf(child, "is missing, required with type = %q", c.Kind)
			}
		}
		v.checkSession(e, c)
		if c.Kind == CheckFile && c.UpWhen != "zero" && c.FileWeight != 0 {
			v.errorf(e.child("up_when"), "%q contradicts weight, allowed is one of them: with a weight the number changes the server's weight and the check is always up", c.UpWhen)
		}
	}
}

// resolveCheck fills in the defaults that depend on other keys.
func (v *validator) resolveCheck(e place, c *Check) {
	rise, fall := 2, 3
	if c.Kind == CheckAgent || c.Kind == CheckFile || c.Kind == CheckBFD {
		rise, fall = 1, 1 // these say how it is, they do not measure
	}
	if !e.has("rise") {
		c.Rise = rise
	}
	if !e.has("fall") {
		c.Fall = fall
	}
	if !e.has("interval_down") {
		c.IntervalDown = c.Interval
	}
	if !e.has("interval_changing") {
		c.IntervalChanging = c.Interval
	}
	if !e.has("connect_timeout") && c.Stream() {
		c.ConnectTimeout = c.Timeout
	}
	if c.Kind == CheckScript && c.User == "" {
		c.User = v.cfg.Global.ScriptUser
	}
	if c.Kind == CheckDNS && len(c.RCodes) == 0 {
		c.RCodes = []string{"NOERROR"}
	}
	if c.Kind == CheckPostgres && c.Database == "" {
		c.Database = c.Username
	}
	if c.ClientKey == "" {
		c.ClientKey = c.ClientCert // one file may hold both
	}
	for i := range c.URLs {
		c.URLs[i].inherit(c)
	}
	if !c.Encrypted() {
		c.Verify, c.ExpiryDays, c.TLSMin = false, 0, ""
	}
}

// inherit fills in what a URL does not say itself.
func (u *CheckURL) inherit(c *Check) {
	if u.Host == "" {
		u.Host = c.Host
	}
	if len(u.Status) == 0 {
		u.Status = c.Status
	}
	for _, text := range [...]struct {
		own   *string
		check string
	}{{&u.Body, c.Body}, {&u.BodyRegexp, c.BodyRegexp}, {&u.BodyNot, c.BodyNot}, {&u.BodyDigest, c.BodyDigest}} {
		if *text.own == "" {
			*text.own = text.check
		}
	}
}

// checkAddresses checks the addresses that a check is sent to and from.
func (v *validator) checkAddresses(e place, c *Check) {
	if at := e.child("connect_address"); at.exists() && v.ok(at) {
		if what := serverAddressProblem(c.ConnectAddress); what != "" {
			v.errorf(at, "%s %s, allowed is the address of a host", show(at.raw), what)
		}
	}
	at := e.child("bind_address")
	if !at.exists() || !v.ok(at) || !c.BindAddress.IsValid() {
		return
	}
	if what := serverAddressProblem(c.BindAddress); what != "" {
		v.errorf(at, "%s %s, allowed is an address of this host", show(at.raw), what)
	} else if c.ConnectAddress.IsValid() && c.ConnectAddress.Is4() != c.BindAddress.Is4() {
		v.errorf(at, "%s is of another IP version than connect_address, allowed is the same", show(at.raw))
	}
}

// bindFamily checks that a server can be asked from where its checks say.
func (v *validator) bindFamily(at place, checks []Check, server netip.Addr) {
	for i := range checks {
		c := &checks[i]
		if c.BindAddress.IsValid() && !c.ConnectAddress.IsValid() && !c.ThroughVIP && server.IsValid() && c.BindAddress.Is4() != server.Is4() {
			v.errorf(at, "%s is of another IP version than bind_address %s of its check, allowed is the same", server, c.BindAddress)
			return
		}
	}
}

// checkPort checks that there is a port that speaks the check's transport.
func (v *validator) checkPort(e place, c *Check, proto Protocol, portless bool) {
	port := e.child("connect_port")
	if c.ConnectPort != 0 || !v.ok(port) || slices.Contains([]CheckKind{CheckPing, CheckScript, CheckFile, CheckBFD}, c.Kind) {
		return
	}
	want := "a TCP port"
	if c.Kind == CheckUDP || c.Kind == CheckDNS && c.Transport == "udp" {
		want = "a UDP port"
	}
	switch {
	case c.Kind == CheckAgent:
		v.errorf(port, "is missing, required with type = %q is the port of the agent", c.Kind)
	case c.Kind != CheckDNS && (c.Stream() && (proto == UDP || proto == SCTP) || c.Kind == CheckUDP && (proto == TCP || proto == SCTP)):
		v.errorf(port, "is missing, required with type = %q is %s: the service is %s", c.Kind, want, strings.ToUpper(string(proto)))
	case portless:
		v.errorf(port, "is missing, required with type = %q is %s: the real server has no port of its own", c.Kind, want)
	}
}

// checkSession checks that there is the BFD session of a check.
func (v *validator) checkSession(e place, c *Check) {
	if c.Kind != CheckBFD {
		return
	}
	if at := e.child("connect_address"); at.exists() && v.ok(at) {
		v.errorf(at.atKey(), "has no meaning with type = %q, allowed with the others: the session says whom it is with", c.Kind)
	}
	if at := e.child("bfd"); c.Session != "" && v.ok(at) && !v.names.sessions.has(c.Session) {
		v.unknownName(at, "bfd", c.Session, v.names.sessions.list)
	}
}

// checkTimes compares the times of a check with each other.
func (v *validator) checkTimes(e place, c *Check) {
	connect, total := e.child("connect_timeout"), e.child("timeout")
	if connect.exists() && v.ok(connect) && v.ok(total) && c.ConnectTimeout > c.Timeout {
		v.errorf(connect, "%s is longer than the timeout of the whole check, allowed is 10ms to %s", show(connect.raw), c.Timeout)
	}
	v.slow(e, c.Interval, c.Timeout, c.Fall)
}

// slow warns of a timeout that is much longer than the interval, where somebody wrote
// it: the next attempt waits for the end of the one before. Somewhat longer is usual,
// and does no harm.
func (v *validator) slow(e place, interval, timeout Duration, fall int) {
	at := e.child("timeout")
	if timeout <= 2*interval || !v.ok(at) || !v.ok(e.child("interval")) || at.pos == e.pos {
		return
	}
	v.warnf(at, "%v is longer than the interval of %v: without an answer the next attempt waits for the end of the one before, and fall = %d takes %v",
		timeout, interval, fall, Duration(fall)*timeout)
}

// checkReply checks what is wanted of a reply.
func (v *validator) checkReply(e place, c *Check) {
	bodies := [...]string{"body", "body_regexp", "body_not", "body_digest"}
	if c.Method == "HEAD" {
		for _, at := range append(e.child("url").list(), e) {
			for _, key := range bodies {
				if child := at.child(key); child.exists() && v.ok(child) {
					v.errorf(child, "a reply to HEAD has no body, allowed with another method only")
				}
			}
		}
	}
	if path := e.child("path"); len(c.URLs) > 0 {
		if path.exists() && v.ok(path) {
			v.errorf(path, "contradicts url, allowed is one of them")
		}
		c.Path = ""
	}
	if at := e.child("expect_at_start"); at.exists() && v.ok(at) && v.ok(e.child("expect")) && c.Expect == "" {
		v.errorf(at.atKey(), "has no meaning without expect, allowed is it together with that: a regular expression has ^")
	}
	if c.MaxReplyLength < c.MinReplyLength {
		v.errorf(e.child("max_reply_length"), "%d is below min_reply_length, allowed is %d to 65535", c.MaxReplyLength, c.MinReplyLength)
	}
	if c.HTTPVersion == "2" {
		for i, at := range e.child("headers").list() {
			if h := c.Headers[i]; v.ok(at) && hopHeader(h) {
				v.errorf(at, "%q belongs to a connection, allowed in HTTP/2 are others", h)
			}
		}
	}
}

// checkTLS checks the keys about TLS.
func (v *validator) checkTLS(e place, c *Check) {
	if c.TLS && c.StartTLS {
		v.errorf(e.child("starttls"), "contradicts tls, allowed is one of them: with tls the connection is encrypted from its start")
	}
	if !c.Encrypted() {
		for _, key := range [...]string{"verify", "tls_min_version", "ca_file", "server_name", "client_cert", "client_key", "expiry_warning_days"} {
			if child := e.child(key); child.exists() && v.ok(child) {
				v.errorf(child.atKey(), "has no meaning without TLS, allowed is it together with %s", c.encryption())
			}
		}
		return
	}
	if at := e.child("ca_file"); !c.Verify && at.exists() && v.ok(at) {
		v.errorf(at, "has no meaning with verify = false, allowed is one of them")
	}
	if at := e.child("client_key"); at.exists() && c.ClientCert == "" && v.ok(at) {
		v.errorf(at, "has no meaning without client_cert, allowed are both or neither")
	}
}

// encryption names the keys that make a check speak TLS.
func (c *Check) encryption() string {
	if c.Kind == CheckSMTP {
		return "tls = true or starttls = true"
	}
	return "tls = true"
}

// checkLogin checks the keys about logging in.
func (v *validator) checkLogin(e place, c *Check) {
	given := 0
	for _, key := range [...]string{"password", "password_file", "credential"} {
		child := e.child(key)
		if !child.exists() {
			continue
		}
		if given++; given > 1 && v.ok(child) {
			v.errorf(child.atKey(), "the password is already given, allowed is one of password, password_file and credential")
		}
		if key == "password" && v.ok(child) {
			if err := checkLoginPassword(c.Password); err != nil {
				v.errorf(child, "%s", err)
			}
		}
	}
	if user := e.child("username"); given == 0 && v.ok(user) && user.exists() && (c.Kind == CheckRedis || c.Kind == CheckLDAP) {
		v.errorf(user, "has no password, required with a user is password, password_file or credential")
	} else if given > 0 && c.Username == "" && c.Kind == CheckLDAP && v.ok(user) {
		v.errorf(user, "is missing, required with a password is the name to bind as, such as \"cn=check,dc=example,dc=com\"")
	}
}

func checkLoginPassword(s Secret) error {
	if len(s) == 0 || len(s) > 512 {
		return fmt.Errorf("is a password of %d bytes, allowed are 1 to 512", len(s))
	}
	return nil
}

// hopHeader says that a header belongs to one connection (RFC 9113 section 8.2.2).
func hopHeader(header string) bool {
	name, _, _ := strings.Cut(header, ":")
	return slices.Contains([]string{"keep-alive", "proxy-connection", "upgrade", "te"}, strings.ToLower(name))
}
