package convert

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"director/config"
	"director/ipvs"
)

// setting is one line of ldirectord's language.
type setting struct {
	key, value string
	at         config.Position
}

// section is the lines that are indented below a virtual server, or those of the file
// itself.
type section struct {
	setting // virtual or virtual6; empty for the file
	real    []setting
	values  map[string]setting
	up      *section
}

// get finds a setting here or in the file.
func (s *section) get(key string) (setting, bool) {
	for ; s != nil; s = s.up {
		if v, ok := s.values[key]; ok {
			return v, true
		}
	}
	return setting{}, false
}

// own returns the value of a setting that only a virtual server has, or otherwise.
func (s *section) own(key, otherwise string) string {
	if v, ok := s.values[key]; ok {
		return v.value
	}
	return otherwise
}

// farm is a ldirectord.cf that is being converted.
type farm struct {
	*text
	names  ipvs.Names
	global *section
	pools  []*section
}

// ldirectord translates a ldirectord.cf.
func ldirectord(name, content string, lookUp ipvs.Names) (*config.Tree, *config.Config, []config.Remark, error) {
	f := &farm{text: newText(name, "ldirectord"), names: lookUp, global: &section{values: make(map[string]setting)}}
	f.read(content)
	f.daemon()
	f.mail()
	for _, p := range f.pools {
		f.pool(p)
	}
	return f.build()
}

// read divides the text into its sections.
func (f *farm) read(content string) {
	n := 0
	var pool *section
	for raw := range strings.Lines(content) {
		n++
		raw = strings.TrimRight(raw, " \t\r\n")
		line := strings.TrimLeft(raw, " \t")
		indented := line != raw
		if line == "" {
			continue
		}
		code, comment := cutComment(line)
		if comment != "" {
			f.comment(n, comment, code != "")
		}
		if code == "" {
			continue
		}
		f.code = append(f.code, n)
		key, value, ok := strings.Cut(code, "=")
		key = strings.TrimSpace(key)
		s := setting{key, strings.TrimSpace(value), f.at(n)}
		if !ok {
			f.Errorf(s.at, "", "%q is not known, allowed is KEY = VALUE", code)
			continue
		}
		switch {
		case !indented && (key == "virtual" || key == "virtual6"):
			pool = &section{setting: s, values: make(map[string]setting), up: f.global}
			f.pools = append(f.pools, pool)
		case !indented:
			pool = nil
			if f.known(key, globalKeys, s) {
				s.value = unquote(s.value)
				f.global.values[key] = s
			}
		case pool == nil:
			f.Errorf(s.at, key, "is indented, but there is no virtual server above it")
		case key == "real" || key == "real6":
			pool.real = append(pool.real, s)
		case f.known(key, virtualKeys, s):
			s.value = unquote(s.value)
			pool.values[key] = s
		}
		if pool != nil {
			f.ends[pool.at.Line] = tail{last: n}
		}
	}
	if len(f.pools) == 0 && !f.Failed() {
		f.Errorf(f.at(1), "", "there is no virtual server")
	}
}

// cutComment divides a line at its comment. One in the middle of a line needs a blank
// before it.
func cutComment(line string) (code, comment string) {
	quoted := false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '#' && !quoted && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return strings.TrimRight(line[:i], " \t"), line[i:]
		}
	}
	return line, ""
}

func unquote(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// What becomes of a setting that no part of the translation asks for.
const (
	used   = ""
	always = "no effect: "
)

// globalKeys are the settings of the file; a text that is not empty says why one is not
// carried over.
var globalKeys = map[string]string{
	"checktimeout": used, "negotiatetimeout": used, "checkinterval": used, "checkcount": used, "failurecount": used,
	"fallback": used, "fallback6": used, "fallbackcommand": used, "quiescent": used, "cleanstop": used,
	"emailalert": used, "emailalertfrom": used, "emailalertfreq": used, "emailalertstatus": used, "smtp": used,
	"autoreload":      "`director reload` puts a changed file in force, after it was checked",
	"callback":        "`director reload` is the moment to copy the file, and its status says whether it was right",
	"execute":         "convert that file as well, and put both into one",
	"maintenancedir":  `a check of type = "file" with up_when = "missing" takes a server out for as long as a file exists`,
	"logfile":         always + "director logs to standard error, which systemd keeps",
	"supervised":      always + "`director run` stays in the foreground",
	"fork":            always + "all checks run side by side",
	"readdquiescent":  always + "what somebody takes out of the kernel's table by hand is put back",
	"connecttimeout":  always + "it is the old name of checktimeout, which ldirectord itself refuses",
	"checkservername": always + "it never had one",
}

// virtualKeys are those of a virtual server.
var virtualKeys = map[string]string{
	"request": used, "receive": used, "checktype": used, "checkcommand": used, "checktimeout": used, "negotiatetimeout": used,
	"checkcount": used, "failurecount": used, "checkinterval": used, "checkport": used, "login": used, "passwd": used, "database": used,
	"secret": used, "scheduler": used, "schedflags": used, "persistent": used, "netmask": used, "protocol": used, "ops": used,
	"service": used, "httpmethod": used, "virtualhost": used, "fallback": used, "fallback6": used, "fallbackcommand": used,
	"quiescent": used, "emailalert": used, "emailalertfreq": used, "emailalertstatus": used, "smtp": used, "cleanstop": used,
	"servicename": used, "comment": used,
	"monitorfile":    "set log_all_failures in the check, and read the log",
	"load":           `a check of type = "agent" asks servers for their load`,
	"connecttimeout": always + "it is the old name of checktimeout, which ldirectord itself refuses",
}

// known says that a setting is for the translation, and tells of any other.
func (f *farm) known(key string, keys map[string]string, s setting) bool {
	why, ok := keys[key]
	reason, noEffect := strings.CutPrefix(why, always)
	switch {
	case !ok:
		var all []string
		for k := range keys {
			all = append(all, k)
		}
		if near := config.Nearest(key, all); near != "" {
			f.Errorf(s.at, key, "is not known here, did you mean %s?", near)
		} else {
			f.Errorf(s.at, key, "is not known here")
		}
	case why == used:
		return true
	case noEffect:
		f.NoEffectf(s.at, key, "has no effect: %s", reason)
	case s.value == "no":
	default:
		f.LeftOutf(s.at, key, "is not supported and not used: %s", why)
	}
	return false
}

// yes reads a truth value.
func (f *farm) yes(s *section, key string, otherwise bool) (value bool, by config.Position, said bool) {
	v, ok := s.get(key)
	if !ok {
		return otherwise, s.at, false
	}
	if v.value != "yes" && v.value != "no" {
		f.Errorf(v.at, key, "%q is not known, allowed are yes and no", v.value)
	}
	return v.value == "yes", v.at, true
}

// number reads a whole number; ok is false where there is none.
func (f *farm) number(s *section, key string, least int) (n int, at config.Position, ok bool) {
	v, ok := s.get(key)
	if !ok {
		return 0, s.at, false
	}
	n, err := strconv.Atoi(v.value)
	if err != nil || n < least {
		f.Errorf(v.at, key, "%q is not valid, allowed is a whole number from %d on", v.value, least)
		return 0, v.at, false
	}
	return n, v.at, true
}

// daemon translates what concerns the whole daemon.
func (f *farm) daemon() {
	clean, at, said := f.yes(f.global, "cleanstop", true)
	if said && !clean {
		f.root.Table("global", at).Set("keep_ipvs_on_stop", true, at)
	}
	for _, p := range f.pools {
		if v, own := p.values["cleanstop"]; own && (v.value != "no") != clean {
			f.LeftOutf(v.at, v.key, "is not supported for one virtual server: global.keep_ipvs_on_stop is for all")
		}
	}
}

// mail translates the settings of mails.
func (f *farm) mail() {
	to, ok := f.global.get("emailalert")
	for _, p := range f.pools {
		if v, own := p.values["emailalert"]; own && !ok {
			to, ok = v, true
			f.Warnf(v.at, v.key, "is for this virtual server alone; director's mail is one for all, and mail = false takes the others out")
		} else if own && v.value != to.value {
			f.LeftOutf(v.at, v.key, "is not supported for one virtual server: mails go to those of the whole file")
		}
		for _, key := range []string{"emailalertfreq", "emailalertstatus", "smtp"} {
			if v, own := p.values[key]; own {
				f.LeftOutf(v.at, v.key, "is not supported for one virtual server")
			}
		}
	}
	if !ok {
		return
	}
	t := f.root.Table("notify", to.at).Table("mail", to.at)
	for _, a := range strings.Split(to.value, ",") {
		t.Add("to", strings.Trim(strings.TrimSpace(a), `"`), to.at)
	}
	if smtp, ok := f.global.get("smtp"); ok {
		t.Set("server", smtp.value, smtp.at)
	} else {
		t.Set("server", "localhost", to.at)
		f.Warnf(to.at, to.key, "there is no smtp: the mail server of this host is asked, as director runs no sendmail")
	}
	if from, ok := f.global.get("emailalertfrom"); ok {
		t.Set("from", mailAddress(from.value), from.at)
	}
	t.Add("events", "server", to.at)
	if freq, ok := f.global.get("emailalertfreq"); ok && freq.value != "0" {
		f.LeftOutf(freq.at, freq.key, "is not supported: one mail tells of each change, and none repeats it")
	}
	if status, ok := f.global.get("emailalertstatus"); ok && status.value != "all" {
		f.LeftOutf(status.at, status.key, "is not supported: every change of a server is told; notify.mail.events chooses by kind")
	}
}

// mailAddress takes the address out of "A Name" <address>.
func mailAddress(s string) string {
	if _, rest, ok := strings.Cut(s, "<"); ok {
		s, _, _ = strings.Cut(rest, ">")
	}
	return s
}

// host reads an address, or looks a name up.
func (f *farm) host(s setting, name string, v6 bool) (netip.Addr, bool) {
	bare := strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if a, err := netip.ParseAddr(bare); err == nil {
		return a, true
	}
	if f.names.Host == nil {
		f.Errorf(s.at, s.key, "%q is not an IP address, and names are not looked up here", name)
		return netip.Addr{}, false
	}
	family := ipvs.IPv4
	if v6 {
		family = ipvs.IPv6
	}
	a, err := f.names.Host(name, family)
	if err != nil {
		f.Errorf(s.at, s.key, "%q is not an IP address: %v", name, err)
		return netip.Addr{}, false
	}
	f.Warnf(s.at, s.key, "%s is %s at this moment: director does not look names up", name, a)
	return a, true
}

// port reads a port, or looks the name of one up. An empty one is 0.
func (f *farm) port(s setting, name string, proto ipvs.Protocol) (uint16, bool) {
	if name == "" {
		return 0, true
	}
	if n, err := strconv.ParseUint(name, 10, 16); err == nil {
		return uint16(n), true
	}
	for n, word := range serviceNames { // what is not as old as /etc/services
		if f.names.Port == nil && word == name {
			return n, true
		}
	}
	if f.names.Port != nil {
		if n, err := f.names.Port(name, proto); err == nil {
			return n, true
		}
	}
	f.Errorf(s.at, s.key, "%q is not a port, allowed are 1 to 65535 and the names of /etc/services", name)
	return 0, false
}

// cutHost divides host:port; a port may be absent.
func cutHost(s string) (host, port string) {
	if strings.HasPrefix(s, "[") {
		if i := strings.IndexByte(s, ']'); i >= 0 {
			return s[:i+1], strings.TrimLeft(s[i+1:], ":")
		}
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, ""
	}
	return strings.TrimRight(s[:i], ":"), s[i+1:]
}

// method reads gate, masq or ipip.
func (f *farm) method(s setting, word string) (config.Forwarding, bool) {
	switch cmp.Or(word, "gate") {
	case "gate":
		return config.DR, true
	case "masq":
		return config.NAT, true
	case "ipip":
		return config.Tunnel, true
	}
	f.Errorf(s.at, s.key, "%q is not known, allowed are gate, masq and ipip", word)
	return "", false
}
