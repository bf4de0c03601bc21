package convert

import (
	"cmp"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"director/config"
)

// servicePorts are the services that ldirectord takes for granted at their ports.
var servicePorts = map[uint16]string{
	21: "ftp", 25: "smtp", 53: "dns", 80: "http", 110: "pop", 119: "nntp", 143: "imap", 389: "ldap", 443: "https", 587: "submission",
	636: "ldaps", 993: "imaps", 995: "pops", 1521: "oracle", 1812: "radius", 3128: "http_proxy", 3306: "mysql", 5432: "pgsql", 5060: "sip",
}

// greetings are what servers of old protocols say first.
var greetings = map[string]string{"ftp": "220", "nntp": "20", "pop": "+OK", "pops": "+OK", "imap": "* OK", "imaps": "* OK"}

// checks translates the checks of a virtual server: one for all of its servers where
// they are alike.
func (f *farm) checks(p *pool, t *config.Tree, servers []*config.Tree) {
	kind := p.own("checktype", "negotiate")
	at := p.at
	if v, ok := p.values["checktype"]; ok {
		at = v.at
	}
	service := p.own("service", cmp.Or(servicePorts[p.port], "none"))
	switch {
	case kind == "off":
		f.Warnf(at, "checktype", "off takes the servers out for as long as the file says so: their weight is 0")
		for _, rs := range servers {
			if rs != nil {
				rs.Set("weight", int64(0), at)
			}
		}
		return
	case kind == "on" || kind == "negotiate" && service == "none":
		f.NoEffectf(at, "checktype", "there is no check: a real server that is dead stays in the pool, as in ldirectord")
		return
	case kind == "negotiate" || kind == "connect" || kind == "ping" || kind == "external" || kind == "external-perl":
	default:
		if n, err := strconv.Atoi(kind); err != nil || n < 1 {
			f.Errorf(at, "checktype", "%q is not known, allowed are negotiate, connect, ping, external, external-perl, on, off and a number", kind)
			return
		}
		f.Warnf(at, "checktype", "every check is the whole one, where ldirectord makes %s short ones in between", kind)
		kind = "negotiate"
	}
	if kind == "external-perl" {
		f.Warnf(at, "checktype", "the command is run as a program of its own, as with external")
	}
	c := &check{farm: f, pool: p, kind: kind, service: service, at: at}
	for i, rs := range servers {
		if rs != nil {
			c.put(rs.Append("check", at), p.servers[i])
		}
	}
	c.tell()
	t.Hoist("check", "real_server")
	each := []*config.Tree{t}
	each = append(each, t.Elements("real_server")...)
	for _, holder := range each {
		for _, e := range holder.Elements("check") {
			explain(e, defaults, c.ours...)
		}
	}
}

// check is what the checks of a pool have in common.
type check struct {
	*farm
	pool    *pool
	kind    string
	service string
	at      config.Position
	ours    []string // keys that no line says
	lost    []setting
	why     []string
}

// lose notes a setting of the pool that a check does not have.
func (c *check) lose(key, why string) {
	v, ok := c.pool.values[key]
	for _, s := range c.lost {
		ok = ok && s.key != key
	}
	if ok {
		c.lost, c.why = append(c.lost, v), append(c.why, why)
	}
}

// tell reports what is lost, once for all servers.
func (c *check) tell() {
	for i, s := range c.lost {
		c.LeftOutf(s.at, s.key, "is not supported and not used: %s", c.why[i])
	}
}

// text puts a setting of the pool at a key.
func (c *check) text(t *config.Tree, key, path string) {
	if v, ok := c.pool.values[key]; ok && v.value != "" {
		t.Set(path, v.value, v.at)
	}
}

// put translates the check of one server.
func (c *check) put(t *config.Tree, s server) {
	c.ours = nil
	switch {
	case c.kind == "ping" || c.kind == "connect" && c.pool.proto == "udp":
		t.Set("type", "ping", c.at)
	case c.kind == "connect":
		t.Set("type", "tcp", c.at)
	case c.kind == "negotiate":
		c.negotiate(t, s)
	default:
		c.external(t, s)
	}
	c.times(t)
	kind := t.Get("type")
	if port, at, ok := c.number(c.pool.section, "checkport", 1); ok && kind != "ping" && kind != "script" {
		t.Set("connect_port", int64(port), at)
	} else if s.port == 0 && kind != "ping" && kind != "script" {
		c.lose("checktype", "a check needs a port here, which checkport names")
		t.Set("type", "ping", c.at)
	}
}

// external is a command with the addresses and ports of both servers.
func (c *check) external(t *config.Tree, s server) {
	t.Set("type", "script", c.at)
	v, ok := c.pool.values["checkcommand"]
	if !ok {
		v = setting{"checkcommand", "/bin/true", c.at}
	}
	virtual, port := strconv.FormatUint(c.pool.mark, 10), ""
	if c.pool.addr.IsValid() {
		virtual, port = c.pool.addr.String(), strconv.Itoa(int(c.pool.port))
	}
	for _, word := range append(strings.Fields(v.value), virtual, port, s.addr.String(), strconv.Itoa(int(s.port))) {
		t.Add("script", word, v.at)
	}
}

// times puts the times of a check.
func (c *check) times(t *config.Tree) {
	put := func(path, otherwise string, keys ...string) {
		for _, key := range keys {
			if n, at, ok := c.number(c.pool.section, key, 1); ok {
				t.Set(path, strconv.Itoa(n)+"s", at)
				return
			}
		}
		t.Set(path, otherwise, c.at)
		c.ours = append(c.ours, path)
	}
	put("interval", "10s", "checkinterval")
	if c.kind == "negotiate" {
		put("timeout", "30s", "negotiatetimeout", "checktimeout")
	} else {
		put("timeout", "5s", "checktimeout", "negotiatetimeout")
	}
	t.Set("rise", int64(1), c.at)
	c.ours = append(c.ours, "rise")
	keys := []string{"failurecount"}
	if t.Get("type") == "ping" {
		keys = append(keys, "checkcount")
	}
	for _, key := range keys {
		if n, at, ok := c.number(c.pool.section, key, 1); ok {
			t.Set("fall", int64(n), at)
			return
		}
	}
	t.Set("fall", int64(1), c.at)
	c.ours = append(c.ours, "fall")
}

// negotiate translates a check that knows its protocol.
func (c *check) negotiate(t *config.Tree, s server) {
	request, receive := c.pool.values["request"], c.pool.values["receive"]
	if s.request != "" {
		request = setting{"request", s.request, s.at}
	}
	if s.receive != "" {
		receive = setting{"receive", s.receive, s.at}
	}
	switch c.service {
	case "http", "https":
		c.http(t, request, receive)
	case "dns":
		c.dns(t, request, receive)
	case "smtp", "submission":
		t.Set("type", "smtp", c.at)
	case "ftp", "nntp", "pop", "pops", "imap", "imaps":
		t.Set("type", "tcp", c.at)
		t.Set("expect_regexp", "^"+regexp.QuoteMeta(greetings[c.service]), c.at)
		if strings.HasSuffix(c.service, "s") {
			c.tls(t)
		}
		for _, key := range []string{"login", "passwd", "request", "receive"} {
			c.lose(key, "the check ends with the greeting of the server; a script can log in")
		}
	case "ldap", "ldaps":
		t.Set("type", "ldap", c.at)
		c.text(t, "login", "username")
		c.text(t, "passwd", "password")
		if c.service == "ldaps" {
			c.tls(t)
		}
		c.lose("request", "the check logs in; root_dse = true also reads the root of the directory")
		c.lose("receive", "the check logs in; root_dse = true also reads the root of the directory")
	case "mysql":
		t.Set("type", "mysql", c.at)
		c.text(t, "login", "username")
		for _, key := range []string{"passwd", "database", "request"} {
			c.lose(key, "the check ends with the answer to the user's name; a script can ask more")
		}
	case "pgsql":
		t.Set("type", "postgres", c.at)
		c.text(t, "login", "username")
		c.text(t, "database", "database")
		for _, key := range []string{"passwd", "request"} {
			c.lose(key, "the check ends before the password; a script can ask more")
		}
	case "simpletcp":
		t.Set("type", "tcp", c.at)
		if request.value != "" {
			t.Set("send", strings.ReplaceAll(request.value, `\n`, "\n"), request.at)
		}
		c.regexp(t, "expect_regexp", receive)
	case "radius", "sip", "oracle", "http_proxy":
		t.Set("type", "tcp", c.at)
		if c.pool.proto == "udp" {
			t.Set("type", "ping", c.at)
		}
		c.lost = c.lost[:0:0]
		c.why = nil
		c.lost, c.why = append(c.lost, setting{"service", c.service, c.at}), append(c.why,
			"there is no check of "+c.service+": the one that was written asks only whether the server answers; a script can ask more")
	default:
		c.Errorf(cmp.Or(c.pool.values["service"].at, c.at), "service", "%q is not known", c.service)
		t.Set("type", "ping", c.at)
	}
}

// tls marks a check as encrypted; ldirectord verifies no certificate.
func (c *check) tls(t *config.Tree) {
	if t.Get("type") != "https" {
		t.Set("tls", true, c.at)
	}
	t.Set("verify", false, c.at)
	t.Set("tls_min_version", "1.0", c.at) // ldirectord takes what OpenSSL takes
	c.ours = append(c.ours, "verify", "tls_min_version")
}

// http translates a request.
func (c *check) http(t *config.Tree, request, receive setting) {
	t.Set("type", c.service, c.at)
	if c.service == "https" {
		c.tls(t)
	}
	path := request.value
	if _, rest, whole := strings.Cut(path, "://"); whole { // of another server
		_, path, _ = strings.Cut(rest, "/")
		c.lose("request", "the servers themselves are asked; connect_address and connect_port send a check elsewhere")
	}
	if path != "" {
		t.Set("path", "/"+strings.TrimPrefix(path, "/"), request.at)
	}
	c.text(t, "virtualhost", "host")
	c.text(t, "httpmethod", "method")
	c.regexp(t, "body_regexp", receive)
}

// dns translates a question.
func (c *check) dns(t *config.Tree, request, receive setting) {
	t.Set("type", "dns", c.at)
	if c.pool.proto == "tcp" {
		t.Set("transport", "tcp", c.at)
	}
	if request.value != "" {
		t.Set("query_name", request.value, request.at)
		t.Set("query_type", "A", request.at)
	}
	if a, err := netip.ParseAddr(request.value); err == nil {
		t.Set("query_name", reverse(a), request.at)
		t.Set("query_type", "PTR", request.at)
	}
	if receive.value == "" {
		return
	}
	if plain := strings.ReplaceAll(receive.value, `\.`, "."); regexp.QuoteMeta(plain) == receive.value || !strings.ContainsAny(plain, `\*+?()[]{}|^$`) {
		t.Set("answer", []any{plain}, receive.at)
		return
	}
	c.lose("receive", "answers are compared as they are: write them into answer")
}

// reverse returns the name under which an address is looked up.
func reverse(a netip.Addr) string {
	b := a.AsSlice()
	var name strings.Builder
	for i := len(b) - 1; i >= 0; i-- {
		if a.Is4() {
			name.WriteString(strconv.Itoa(int(b[i])) + ".")
			continue
		}
		name.WriteString(strconv.FormatUint(uint64(b[i]&15), 16) + "." + strconv.FormatUint(uint64(b[i]>>4), 16) + ".")
	}
	if a.Is4() {
		return name.String() + "in-addr.arpa"
	}
	return name.String() + "ip6.arpa"
}

// regexp puts a regular expression of Perl at a key, if RE2 knows it too.
func (c *check) regexp(t *config.Tree, path string, s setting) {
	if s.value == "" {
		return
	}
	if _, err := regexp.Compile(s.value); err != nil {
		c.lose("receive", "it is not a regular expression of RE2: "+err.Error())
		return
	}
	t.Set(path, s.value, s.at)
}
