package convert

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"director/config"
	"director/ipvs"
)

// pool is a virtual server of ldirectord that is being translated.
type pool struct {
	*section
	addr    netip.Addr // invalid: a firewall mark
	port    uint16
	mark    uint64
	proto   string
	v6      bool
	servers []server
}

// server is one real server of it.
type server struct {
	setting
	addr             netip.Addr
	port             uint16
	forwarding       config.Forwarding
	weight           int64
	lower, upper     int64
	request, receive string // "" where the virtual server's count
}

// pool translates a virtual server.
func (f *farm) pool(s *section) {
	p := &pool{section: s, v6: s.key == "virtual6"}
	if !f.address(p) || !f.servers(p) {
		return
	}
	t := f.root.Table("virtual_server", s.at).Table(f.nameOf(p), s.at)
	f.ends[s.at.Line] = tail{f.ends[s.at.Line].last, t}
	if p.addr.IsValid() {
		t.Set("address", endpoint(p.addr, p.port), s.at)
		t.Set("protocol", p.proto, s.at)
	} else {
		t.Set("fwmark", int64(p.mark), s.at)
	}
	for _, key := range []string{"comment", "servicename"} {
		if v, ok := s.values[key]; ok {
			f.notes = append(f.notes, note{line: s.at.Line, text: v.value, behind: key == "servicename"})
		}
	}
	var ours []string // keys that no line says
	f.scheduling(p, t)
	common := f.forwarding(p, t)
	if quiescent, at, said := f.yes(s, "quiescent", true); quiescent {
		t.Set("inhibit_on_failure", true, at)
		if !said {
			ours = append(ours, "inhibit_on_failure")
		}
	}
	if _, said := s.values["scheduler"]; !said {
		ours = append(ours, "scheduler")
	}
	f.fallback(p, t)
	f.checks(p, t, common)
	explain(t, defaults, ours...)
}

// defaults is the comment above what no line of the file says.
const defaults = "ldirectord's defaults, where director's differ"

// nameOf calls a virtual server by its servicename, else by its port.
func (f *farm) nameOf(p *pool) string {
	var all []string
	if v, ok := p.values["servicename"]; ok {
		all = append(all, plainName(strings.Trim(v.value, `"'`)))
	}
	if !p.addr.IsValid() {
		mark := "mark-" + strconv.FormatUint(p.mark, 10)
		if p.v6 {
			return f.unique(append(all, mark, mark+"-ipv6")...)
		}
		return f.unique(append(all, mark)...)
	}
	return f.unique(append(all, names(p.addr.String(), p.port, p.proto)...)...)
}

// address reads what makes the service.
func (f *farm) address(p *pool) bool {
	proto := p.own("protocol", "")
	if mark, err := strconv.ParseUint(p.value, 10, 32); err == nil && mark > 0 {
		if proto != "" && proto != "fwm" {
			f.Errorf(p.values["protocol"].at, "protocol", "%q is not for a firewall mark, allowed is fwm", proto)
		}
		p.mark = mark
		return true
	}
	word := strings.Fields(p.value + " ")
	if len(word) == 0 {
		f.Errorf(p.at, p.key, "has no address")
		return false
	}
	host, portText := cutHost(word[0])
	port, ok := f.port(p.setting, portText, ipvs.TCP)
	if !ok {
		return false
	}
	p.port, p.proto = port, "tcp"
	if port == 53 {
		p.proto = "udp"
	}
	switch proto {
	case "":
	case "tcp", "udp", "sctp":
		p.proto = proto
	default:
		f.Errorf(p.values["protocol"].at, "protocol", "%q is not known, allowed are tcp and udp, and fwm for a firewall mark", proto)
	}
	p.addr, ok = f.host(p.setting, host, p.v6)
	return ok
}

// realLine is host[->host][:port] METHOD [WEIGHT] ["REQUEST", "RECEIVE"] [l:N] [u:N].
var realLine = regexp.MustCompile(`^(\S+?)(?:\s+(\w+))?(?:\s+(\d+))?(?:\s+"([^"]*)"[, ]\s*"([^"]*)")?(?:\s+"?l:(\d+)"?)?(?:\s+"?u:(\d+)"?)?$`)

// servers reads the real servers.
func (f *farm) servers(p *pool) bool {
	good := true
	for _, s := range p.real {
		m := realLine.FindStringSubmatch(s.value)
		if m == nil {
			f.Errorf(s.at, s.key, "%q is not valid, allowed is ADDRESS:PORT gate|masq|ipip WEIGHT \"REQUEST\", \"RECEIVE\" l:N u:N, of which the last four may be absent", s.value)
			good = false
			continue
		}
		host, portText := cutHost(m[1])
		first, last, isRange := strings.Cut(host, "->")
		port, ok1 := f.port(s, portText, ipvs.TCP)
		method, ok2 := f.method(s, m[2])
		from, ok3 := f.host(s, first, p.v6)
		to, ok4 := from, true
		if isRange {
			to, ok4 = f.host(s, last, p.v6)
		}
		if !ok1 || !ok2 || !ok3 || !ok4 {
			good = false
			continue
		}
		one := server{setting: s, port: port, forwarding: method, weight: 1, request: m[4], receive: m[5]}
		one.weight = whole(m[3], 1)
		one.lower, one.upper = whole(m[6], 0), whole(m[7], 0)
		if f.portOf(p, &one); !f.expand(p, one, from, to) {
			good = false
		}
	}
	if len(p.real) == 0 {
		f.LeftOutf(p.at, p.key, "%s has no real server, and is not used", p.value)
		return false
	}
	return good
}

// whole reads digits.
func whole(digits string, otherwise int64) int64 {
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n
	}
	return otherwise
}

// portOf puts the port right, as ldirectord does.
func (f *farm) portOf(p *pool, s *server) {
	switch {
	case !p.addr.IsValid():
		if s.forwarding != config.NAT {
			s.port = 0
		}
	case s.port == 0:
		s.port = p.port
	case s.forwarding != config.NAT && s.port != p.port:
		f.Warnf(s.at, s.key, "%d is not the service's port, and only masq can change it: %d is used, as in ldirectord", s.port, p.port)
		s.port = p.port
	}
}

// expand adds the servers of a range.
func (f *farm) expand(p *pool, s server, from, to netip.Addr) bool {
	const most = 4096
	if from.Is4() != to.Is4() || to.Less(from) {
		f.Errorf(s.at, s.key, "the range from %s to %s is not valid, allowed is one that begins at the lower address", from, to)
		return false
	}
	for a, n := from, 0; a.IsValid() && !to.Less(a); a, n = a.Next(), n+1 {
		if n >= most {
			f.Errorf(s.at, s.key, "the range from %s to %s has more than %d addresses", from, to, most)
			return false
		}
		s.addr = a
		p.servers = append(p.servers, s)
	}
	return true
}

// scheduling translates how clients are spread.
func (f *farm) scheduling(p *pool, t *config.Tree) {
	if v, ok := p.values["scheduler"]; ok {
		t.Set("scheduler", v.value, v.at)
	} else {
		t.Set("scheduler", "wrr", p.at)
	}
	if v, ok := p.values["schedflags"]; ok {
		for _, flag := range strings.Split(v.value, ",") {
			t.Add("scheduler_flags", strings.TrimSpace(flag), v.at)
		}
	}
	if n, at, ok := f.number(p.section, "persistent", 1); ok {
		t.Set("persistence_timeout", strconv.Itoa(n)+"s", at)
	}
	if v, ok := p.values["netmask"]; ok {
		switch {
		case !t.Has("persistence_timeout"):
			f.NoEffectf(v.at, v.key, "has no effect: there is no persistent")
		case v.value != "255.255.255.255" && v.value != "128":
			t.Set("persistence_granularity", v.value, v.at)
		}
	}
	if ops, at, _ := f.yes(p.section, "ops", false); ops {
		if p.proto == "tcp" {
			f.NoEffectf(at, "ops", "has no effect: it is for UDP")
		} else {
			t.Set("one_packet", true, at)
		}
	}
}

// forwarding translates the servers, with their common method at the virtual server.
func (f *farm) forwarding(p *pool, t *config.Tree) []*config.Tree {
	common := p.servers[0].forwarding
	for _, s := range p.servers {
		if s.forwarding != common {
			common = config.NAT
		}
	}
	t.Set("forwarding", string(common), p.real[0].at)
	if common == config.NAT && p.servers[0].forwarding != common {
		t.Delete("forwarding")
	}
	var all []*config.Tree
	seen := make(map[netip.AddrPort]bool)
	for _, s := range p.servers {
		if id := netip.AddrPortFrom(s.addr, s.port); seen[id] {
			f.Warnf(s.at, s.key, "%s is already a server of this service, and the second one is not used", s.addr)
			all = append(all, nil)
			continue
		} else {
			seen[id] = true
		}
		rs := t.Append("real_server", s.at)
		rs.Set("address", endpoint(s.addr, s.port), s.at)
		rs.Set("weight", s.weight, s.at)
		if s.forwarding != common {
			rs.Set("forwarding", string(s.forwarding), s.at)
		}
		if s.upper > 0 {
			rs.Set("upper_threshold", s.upper, s.at)
		}
		if s.lower > 0 {
			rs.Set("lower_threshold", s.lower, s.at)
		}
		all = append(all, rs)
	}
	return all
}

// fallback translates what happens when all servers are down.
func (f *farm) fallback(p *pool, t *config.Tree) {
	key := "fallback"
	if p.v6 {
		key = "fallback6"
	}
	if v, ok := p.get(key); ok {
		words := strings.Fields(v.value + " -")
		host, portText := cutHost(words[0])
		method := ""
		if len(words) > 2 {
			method = words[1]
		}
		fwd, ok1 := f.method(v, method)
		port, ok2 := f.port(v, portText, ipvs.TCP)
		addr, ok3 := f.host(v, host, p.v6)
		if ok1 && ok2 && ok3 {
			s := server{setting: v, addr: addr, port: port, forwarding: fwd}
			if _, own := p.values[key]; !own && p.addr.IsValid() && fwd != config.NAT {
				s.port = p.port // one for all cannot have the port of each
			}
			f.portOf(p, &s)
			f.sorry(p, t, s)
		}
	}
	f.fallbackCommand(p, t)
}

// sorry puts the server that answers when all others are down.
func (f *farm) sorry(p *pool, t *config.Tree, s server) {
	for _, r := range p.servers {
		if r.addr == s.addr && r.port == s.port {
			f.LeftOutf(s.at, s.key, "is not used for %s: it is a real server there, which is down with the others", p.value)
			return
		}
	}
	sorry := t.Table("sorry_server", s.at)
	sorry.Set("address", endpoint(s.addr, s.port), s.at)
	if common, _ := t.Get("forwarding").(string); common != string(s.forwarding) && (common != "" || s.forwarding != config.NAT) {
		sorry.Set("forwarding", string(s.forwarding), s.at)
	}
}

// fallbackCommand translates the command for that moment and for its end.
func (f *farm) fallbackCommand(p *pool, t *config.Tree) {
	v, ok := p.get("fallbackcommand")
	if !ok {
		return
	}
	service, proto := strconv.FormatUint(p.mark, 10)+":", "fwm"
	if p.addr.IsValid() {
		service, proto = netip.AddrPortFrom(p.addr, p.port).String(), p.proto
	}
	for _, when := range [][2]string{{"quorum_down", "start"}, {"quorum_up", "stop"}} {
		for _, word := range append(strings.Fields(v.value), when[1], service, proto) {
			t.Add(when[0], word, v.at)
		}
	}
}
