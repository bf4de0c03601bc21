package keepalived

import (
	"cmp"
	"slices"
	"strings"
)

// check notes a check; it is translated when its server's address is known.
func check(sc *scope, s *statement) { sc.checks = append(sc.checks, hosts(sc, s)...) }

// hosts makes several checks of an SMTP_CHECK with blocks of hosts, the old form.
func hosts(sc *scope, s *statement) []*statement {
	isHost := func(k *statement) bool { return k.key() == "host" && k.block }
	if s.key() != "SMTP_CHECK" || !slices.ContainsFunc(s.kids, isHost) {
		return []*statement{s}
	}
	common := slices.DeleteFunc(slices.Clone(s.kids), isHost)
	var list []*statement
	for _, k := range s.kids {
		if isHost(k) {
			sc.Warnf(k.at(), k.key(), "is the old form of an SMTP_CHECK for each host, with connect_ip and connect_port")
			list = append(list, &statement{words: s.words, block: true, kids: slices.Concat(common, k.kids)})
		}
	}
	return list
}

// checkKinds are the kinds of checks by keepalived's names.
var checkKinds = map[string]string{
	"HTTP_GET": "http", "SSL_GET": "https", "TCP_CHECK": "tcp", "SMTP_CHECK": "smtp", "DNS_CHECK": "dns",
	"MISC_CHECK": "script", "PING_CHECK": "ping", "UDP_CHECK": "udp", "FILE_CHECK": "file", "BFD_CHECK": "bfd",
}

// finishChecks translates the checks of a server.
func (sc *scope) finishChecks(e target) {
	checks := make([]*scope, 0, len(sc.checks))
	dynamic := 0
	for _, s := range sc.checks {
		t := sc.t.Append("check", s.at())
		kind := checkKinds[s.key()]
		t.Set("type", kind, s.at())
		c := sc.enter(s.key(), t, s)
		checks = append(checks, c)
		if all := sc.global["checker_log_all_failures"]; all != nil && kind != "file" && !t.Has("log_all_failures") {
			boolean("log_all_failures")(c, all)
		}
		if kind != "file" && kind != "bfd" {
			c.times(kind)
		}
		switch kind {
		case "http", "https":
			c.http()
		case "smtp":
			if !t.Has("helo_name") {
				sc.imply(t, "helo_name", "smtpchecker.keepalived.org", s.at())
			}
		case "udp":
			c.udp()
		case "script":
			if !t.Has("script") {
				sc.Errorf(s.at(), s.key(), "there is no misc_path")
			}
			if d := c.seen["misc_dynamic"]; d != nil {
				if dynamic++; dynamic > 1 {
					sc.Warnf(d.at(), d.key(), "is there for several checks of this server: the least of their weights counts; keepalived adds up what each of them is above or below the configured one")
				}
			}
		case "bfd":
			if !t.Has("bfd") {
				sc.Errorf(s.at(), s.key(), "there is no name")
			}
		}
		port := int64(cmp.Or(sc.checkPort, e.port))
		if kind != "ping" && kind != "file" && kind != "bfd" && kind != "script" && !t.Has("connect_port") {
			transport := "tcp"
			if kind == "udp" || kind == "dns" {
				transport = "udp"
			}
			if port != 0 && (port != int64(e.port) || transport != sc.up.proto) {
				t.Set("connect_port", port, s.at())
			}
		}
	}
	sc.serverStartsDown(checks)
}

// inherited finds a keyword in a check, its server or its service.
func (sc *scope) inherited(key string) *statement {
	for up := sc; up != nil; up = up.up {
		if s := up.seen[key]; s != nil {
			return s
		}
	}
	return nil
}

// someRetry drops a retry 0 of a service or a server, which keepalived knows in checks
// alone.
func (sc *scope) someRetry() {
	if s := sc.seen["retry"]; s != nil && s.arg(1).text == "0" {
		sc.Warnf(s.arg(1).at, s.key(), "0 is not used, as in keepalived, which takes it in a check and 1 at least here")
		delete(sc.seen, "retry")
	}
}

// times puts the times of a check with keepalived's defaults.
func (sc *scope) times(kind string) {
	at := sc.s.at()
	time := func(key, path, otherwise string) {
		if s := sc.inherited(key); s != nil {
			seconds(path)(sc, s)
		} else if otherwise != "" {
			sc.imply(sc.t, path, otherwise, at)
		}
	}
	time("delay_loop", "interval", "60s")
	switch kind {
	case "script":
		if !sc.t.Has("timeout") { // misc_timeout; else the interval of the service
			if s := sc.up.up.seen["delay_loop"]; s != nil {
				seconds("timeout")(sc, s)
			} else {
				sc.imply(sc.t, "timeout", "60s", at)
			}
		}
	default:
		time("connect_timeout", "timeout", "5s")
	}
	pause := "1s"
	switch kind {
	case "http", "https":
		pause = "3s"
	case "dns":
		pause = ""
	}
	time("delay_before_retry", "interval_changing", pause)
	retry := map[string]int64{"dns": 3, "script": 0}
	n, ok := retry[kind]
	if !ok {
		n = 1
	}
	s := sc.inherited("retry")
	if old := sc.seen["nb_get_retry"]; old != nil && sc.seen["retry"] == nil {
		sc.Warnf(old.at(), old.key(), "is the old name of retry")
		s = old
	}
	sc.imply(sc.t, "rise", int64(1), at)
	if s != nil && sc.need(s, 1, 1) {
		if v, ok := sc.number(s.arg(1), s.key(), 10); ok {
			sc.t.Set("fall", v+1, s.arg(1).at)
			return
		}
	}
	sc.imply(sc.t, "fall", n+1, at)
}

// udp settles what a reply must be. keepalived compares bytes with its beginning, and looks
// at its length only where there are bytes to compare.
func (sc *scope) udp() {
	if sc.t.Has("expect") {
		at := sc.seen["require_reply"].at()
		sc.imply(sc.t, "expect_at_start", true, at)
		if !sc.t.Has("max_reply_length") {
			sc.imply(sc.t, "max_reply_length", int64(255), at)
		}
		return
	}
	for _, key := range []string{"min_reply_length", "max_reply_length"} {
		if s := sc.seen[key]; s != nil {
			sc.Warnf(s.at(), key, "is left out: keepalived looks at the length of a reply only where require_reply gives bytes")
			sc.t.Delete(key)
		}
	}
}

// http translates the URLs of a check.
func (sc *scope) http() {
	at := sc.s.at()
	host := sc.inherited("virtualhost")
	if host != nil && sc.need(host, 1, 1) {
		sc.t.Set("host", host.arg(1).text, host.arg(1).at)
	}
	if !sc.t.Has("http_version") {
		sc.imply(sc.t, "http_version", "1.0", at)
	}
	if sc.s.key() == "SSL_GET" {
		sc.imply(sc.t, "verify", false, at)
		sc.imply(sc.t, "tls_min_version", "1.0", at) // keepalived takes what OpenSSL takes
	}
	var urls []*statement
	for _, k := range sc.s.kids {
		if k.key() == "url" && k.block {
			urls = append(urls, k)
		}
	}
	if len(urls) == 0 {
		sc.Errorf(at, sc.s.key(), "there is no url")
	}
	for _, k := range urls {
		t := sc.t
		if len(urls) > 1 {
			t = sc.t.Append("url", k.at())
		}
		u := sc.enter("url", t, k)
		if !t.Has("path") {
			sc.Errorf(k.at(), k.key(), "there is no path")
		}
		u.regex()
	}
}

// regex puts a regular expression on the body.
func (sc *scope) regex() {
	s := sc.seen["regex"]
	if s == nil {
		return
	}
	s, ok := sc.escaped(s)
	if !ok || !sc.need(s, 1, 1) {
		return
	}
	flags := ""
	if o := sc.seen["regex_options"]; o != nil {
		for _, w := range o.args() {
			f, ok := map[string]string{"caseless": "i", "dotall": "s", "multiline": "m", "ungreedy": "U", "utf": "", "never_ucp": "", "no_auto_capture": ""}[w.text]
			if !ok {
				sc.Errorf(w.at, o.key(), "%q is not supported, allowed are caseless, dotall, multiline and ungreedy", w.text)
			}
			flags += f
		}
	}
	path := "body_regexp"
	if sc.seen["regex_no_match"] != nil {
		path = "body_not"
	}
	text := s.arg(1).text
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	sc.t.Set(path, text, s.arg(1).at)
}

// urlPath is the path of a URL, which keepalived sends as it is.
func urlPath(sc *scope, s *statement) {
	if !sc.need(s, 1, 1) {
		return
	}
	w := s.arg(1)
	path := strings.ReplaceAll(w.text, " ", "%20")
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	if path != w.text {
		sc.Warnf(w.at, s.key(), "%q is no path that servers understand: %s is asked for", w.text, path)
	}
	sc.set("path", path, w.at)
}

func httpProtocol(sc *scope, s *statement) {
	if sc.need(s, 1, 1) {
		sc.set("http_version", strings.TrimSuffix(strings.ToUpper(s.arg(1).text), "C"), s.arg(1).at)
	}
}

func statusCode(sc *scope, s *statement) {
	if sc.need(s, 1, -1) {
		for _, w := range s.args() {
			sc.t.Add("status", w.text, w.at)
		}
	}
}

func digest(sc *scope, s *statement) {
	if sc.need(s, 1, 1) {
		sc.set("body_digest", "md5:"+s.arg(1).text, s.arg(1).at)
	}
}

// hexDigits writes keepalived's free form of bytes as two digits a byte: a group of
// digits with an odd number of them begins with a 0.
func hexDigits(words []word) string {
	var b strings.Builder
	var groups []string
	for _, w := range words {
		groups = append(groups, strings.Fields(w.text)...)
	}
	for _, text := range groups {
		if len(text)%2 == 1 {
			text = text[:len(text)-1] + "0" + text[len(text)-1:]
		}
		b.WriteString(strings.NewReplacer("x", "?", "X", "?").Replace(text))
	}
	return "hex:" + b.String()
}

func payload(sc *scope, s *statement) {
	if sc.need(s, 1, -1) {
		sc.set("send", hexDigits(s.args()), s.arg(1).at)
	}
}

func requireReply(sc *scope, s *statement) {
	sc.set("require_reply", true, s.at())
	if len(s.args()) > 0 {
		sc.set("expect", hexDigits(s.args()), s.arg(1).at)
	}
}

// fileOfCheck is the track_file that a FILE_CHECK follows.
func fileOfCheck(sc *scope, s *statement) {
	if !sc.need(s, 1, 1) {
		return
	}
	file := sc.trackFiles[s.arg(1).text]
	if file == nil || file.last("file") == nil {
		sc.Errorf(s.arg(1).at, s.key(), "there is no track_file %q", s.arg(1).text)
		return
	}
	sc.fileChecks[s.arg(1).text] = true
	sc.set("file", file.last("file").arg(1).text, s.arg(1).at)
	if sc.t.Has("weight") {
		return
	}
	sc.t.Set("weight", int64(1), s.at())
	if w := file.last("weight"); w != nil {
		fileWeight(sc, w)
	}
}

// fileWeight is what the number in a file is multiplied with: weight N [reverse].
func fileWeight(sc *scope, s *statement) {
	weight(sc, s)
	if n, _ := sc.t.Get("weight").(int64); sc.t.Get("reverse") == true {
		sc.t.Set("weight", -n, s.arg(1).at)
	}
	sc.t.Delete("reverse")
}
