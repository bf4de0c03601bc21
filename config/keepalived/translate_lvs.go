package keepalived

import (
	"net/netip"
	"strconv"
	"strings"

	"director/config"
)

// target is what makes a service: an address with or without a port, a mark, or a
// group of them.
type target struct {
	at      config.Position
	addr    netip.Addr
	port    uint16 // 0: none, or several
	several bool   // a group whose members have not all the same port, or none
	marked  bool   // a mark, or a group of marks alone: there is no protocol
	group   bool
}

// service translates a virtual_server.
func service(sc *scope, s *statement) {
	var to target
	name, key := "", ""
	var value any
	switch kind := s.arg(1).text; kind {
	case "group", "fwmark":
		if !sc.need(s, 2, 2) {
			return
		}
		to = target{at: s.arg(2).at, marked: kind == "fwmark", group: kind == "group"}
		key, value, name = "group", s.arg(2).text, s.arg(2).text
		if kind == "fwmark" {
			n, ok := sc.number(s.arg(2), kind, 0)
			if !ok {
				return
			}
			key, value, name = kind, n, "fwmark-"+strconv.FormatInt(n, 10)
			break
		}
		to.ofGroup(sc.groupOf(name).kids)
	default:
		if !sc.need(s, 1, 2) {
			return
		}
		var ok bool
		if to, ok = sc.endpoint(s, 1); !ok {
			return
		}
		key, value = "address", to.addr.String()
		name = strings.ReplaceAll(to.addr.String(), ":", "-")
		if to.port != 0 {
			value = netip.AddrPortFrom(to.addr, to.port).String()
			name += "-" + strconv.Itoa(int(to.port))
		}
	}
	proto := sc.protocol(s)
	if !to.marked {
		name += "-" + proto
	}
	table := sc.root.Table("virtual_server", s.at())
	if table.Has(name) {
		sc.Errorf(s.arg(1).at, s.key(), "%s is already a service, allowed is each once", name)
		return
	}
	t := table.Table(name, s.at())
	t.Set(key, value, to.at)
	sc.pool(t, s, to, proto)
	if !t.Has("real_server") {
		sc.NoEffectf(s.at(), s.key(), "has no real_server and is not used, as in keepalived")
		table.Delete(name)
	}
}

// ofGroup finds what the members of a group have in common.
func (t *target) ofGroup(members []*statement) {
	marks, ports := 0, make(map[uint16]bool)
	for _, k := range members {
		if k.key() == "fwmark" {
			marks++
			continue
		}
		n, _ := strconv.ParseUint(k.arg(1).text, 10, 16)
		t.port = uint16(n)
		ports[t.port] = true
	}
	t.marked = marks > 0 && len(ports) == 0
	t.several = len(ports) > 1 || marks > 0 && len(ports) > 0
	if t.several {
		t.port = 0
	}
}

// groupOf returns the group of a name, an empty one when there is none: the
// validation tells of that.
func (t *translator) groupOf(name string) *statement {
	if g := t.serverGroup[name]; g != nil {
		return g
	}
	return new(statement)
}

// serverGroup translates a virtual_server_group.
func serverGroup(sc *scope, s *statement) {
	t := sc.named("virtual_server_group", s)
	if t == nil {
		return
	}
	for _, k := range s.kids {
		if k.key() == "fwmark" {
			if !sc.need(k, 1, 2) {
				continue
			}
			m := t.Append("members", k.at())
			if n, ok := sc.number(k.arg(1), "fwmark", 0); ok {
				m.Set("fwmark", n, k.arg(1).at)
			}
			if f := k.arg(2); f.text != "" {
				m.Set("family", family(f.text), f.at)
			}
			continue
		}
		if !sc.need(k, 0, 1) {
			continue
		}
		address := k.key()
		if p, err := netip.ParsePrefix(address); err == nil && p != p.Masked() {
			sc.Warnf(k.at(), s.key(), "%s is the network %s, all of whose addresses are meant", address, p.Masked())
			address = p.Masked().String()
		}
		if port := k.arg(1).text; port != "" {
			if strings.Contains(address, ":") {
				address = "[" + address + "]"
			}
			address += ":" + port
		}
		t.Append("members", k.at()).Set("address", address, k.at())
	}
}

// family translates the word for a version of IP.
func family(word string) string {
	switch word {
	case "inet":
		return "ipv4"
	case "inet6":
		return "ipv6"
	}
	return word
}

// protocol finds the transport of a service. Without one it is UDP.
func (sc *scope) protocol(s *statement) string {
	k := s.last("protocol")
	if k == nil {
		return "udp"
	}
	switch p := k.arg(1).text; strings.ToUpper(p) {
	case "TCP", "UDP", "SCTP":
		return strings.ToLower(p)
	default:
		sc.Errorf(k.arg(1).at, "protocol", "%q is not known, allowed are TCP, UDP and SCTP", p)
		return "tcp"
	}
}

// String is an address with or without a port.
func (t target) String() string {
	if t.port == 0 {
		return t.addr.String()
	}
	return netip.AddrPortFrom(t.addr, t.port).String()
}

// endpoint reads an address and a port that may be absent.
func (sc *scope) endpoint(s *statement, from int) (target, bool) {
	w := s.arg(from)
	a, err := netip.ParseAddr(w.text)
	if err != nil || a.Zone() != "" {
		sc.Errorf(w.at, s.key(), "%q is not an IP address", w.text)
		return target{}, false
	}
	t := target{at: w.at, addr: a}
	if p := s.arg(from + 1); p.text != "" {
		n, err := strconv.ParseUint(p.text, 10, 16)
		if err != nil {
			sc.Errorf(p.at, s.key(), "%q is not a port, allowed are 1 to 65535", p.text)
			return target{}, false
		}
		t.port = uint16(n)
	}
	return t, true
}

// pool translates what is behind a service.
func (sc *scope) pool(t *config.Tree, s *statement, to target, proto string) {
	vs := sc.enter("virtual_server", t, s)
	at := s.at()
	if !to.marked {
		if vs.seen["protocol"] == nil {
			sc.Warnf(at, s.key(), "there is no protocol: UDP is used, as in keepalived; write protocol TCP if that is meant")
		}
		sc.implyUnless(vs.seen["protocol"], t, "protocol", proto, at)
	} else if p := vs.seen["protocol"]; p != nil && !to.group {
		sc.Warnf(p.at(), p.key(), "is not used: the mark alone chooses the packets")
	}
	vs.someRetry()
	vs.persistence(to)
	if k := vs.seen["quorum"]; k != nil {
		number("quorum")(vs, k)
	}
	if k := vs.seen["hysteresis"]; k != nil {
		number("hysteresis")(vs, k)
	}
	vs.granular(to)
	if s := vs.seen["persistence_engine"]; s != nil {
		switch {
		case proto != "udp" && !to.marked:
			sc.Warnf(s.at(), s.key(), "is not used: the kernel looks for SIP in UDP only")
			t.Delete(s.key())
		case !t.Has("persistence_timeout"):
			sc.NoEffectf(s.at(), s.key(), "is not used: there is no persistence_timeout")
			t.Delete(s.key())
		}
	}

	vs.to, vs.proto = to, proto
	mail := false
	total := int64(0)
	seen := make(map[netip.AddrPort]bool)
	for _, k := range s.kids {
		if k.key() != "real_server" {
			continue
		}
		if !sc.need(k, 1, 2) {
			continue
		}
		e, ok := sc.endpoint(k, 1)
		if !ok {
			continue
		}
		port := vs.port(k, e, vs.nat(k.last("lvs_method")))
		if id := netip.AddrPortFrom(e.addr, port); seen[id] {
			sc.Warnf(k.arg(1).at, k.key(), "%s is already a server of this service, and the second one is not used, as in keepalived", e.addr)
			continue
		} else {
			seen[id] = true
		}
		rs := sc.scope(vs, "real_server", t.Append("real_server", k.at()), k)
		rs.statements()
		rs.someRetry()
		rs.server(e, port)
		vs.runs = append(vs.runs, rs.runs...)
		n, _ := rs.t.Get("weight").(int64)
		total += n
		if a := rs.seen["smtp_alert"]; a != nil {
			on, _ := sc.onOff(a)
			mail = mail || on
		} else {
			on, _ := sc.alert("smtp_alert_checker", true)
			mail = mail || on
		}
	}
	vs.users("user")
	_, by := sc.alert("smtp_alert_checker", true)
	if a := vs.seen["smtp_alert"]; a != nil {
		on, _ := sc.onOff(a)
		mail, by = mail || on, a
	}
	sc.implyUnless(by, t, "mail", mail, at)
	if t.Hoist("check", "real_server") {
		sc.conversion.share(s)
	}
	vs.quorum(total)
	vs.startsDown()
	vs.sorry()
}

// persistence knows keepalived's default and repair.
func (sc *scope) persistence(to target) {
	s := sc.seen["persistence_timeout"]
	switch {
	case s != nil && len(s.args()) == 0:
		sc.set("persistence_timeout", "360s", s.at())
	case s != nil:
		seconds("persistence_timeout")(sc, s)
	case to.port == 0 && !to.marked && !to.group:
		sc.Warnf(sc.s.at(), sc.s.key(), "has no port, and so takes all of them, which needs persistence: 360s are used, as in keepalived")
		sc.set("persistence_timeout", "360s", sc.s.at())
	}
}

// granular drops a granularity that has nothing to be of.
func (sc *scope) granular(to target) {
	if s := sc.seen["persistence_granularity"]; s != nil && !sc.t.Has("persistence_timeout") {
		sc.NoEffectf(s.at(), s.key(), "is not used: there is no persistence_timeout")
		sc.t.Delete(s.key())
	}
	if s := sc.seen["ip_family"]; s != nil && (to.group || !to.marked) {
		what := "address tells it"
		if to.group {
			what = "addresses tell it, and of a mark its own word or the servers"
		}
		sc.NoEffectf(s.at(), s.key(), "is not used: the %s", what)
		sc.t.Delete("family")
	}
}

// quorum lowers what could not be reached, as keepalived does.
func (sc *scope) quorum(total int64) {
	quorum, is := sc.t.Get("quorum").(int64)
	if !is {
		quorum = 1
	}
	if is && quorum > total && total > 0 {
		k := sc.seen["quorum"]
		sc.Warnf(k.arg(1).at, k.key(), "%d is above the total weight of the servers: %d is used, as in keepalived", quorum, total)
		quorum = total
		sc.t.Set("quorum", quorum, k.arg(1).at)
	}
	hysteresis, is := sc.t.Get("hysteresis").(int64)
	if most := min(quorum-1, total-quorum); is && hysteresis > most && total > 0 {
		k := sc.seen["hysteresis"]
		sc.Warnf(k.arg(1).at, k.key(), "%d is too much for a quorum of %d and a total weight of %d: %d is used", hysteresis, quorum, total, max(most, 0))
		sc.t.Set("hysteresis", max(most, 0), k.arg(1).at)
	}
}

// server puts the address of a real server, as keepalived does.
// port is the one that is used in place of the one that is written.
func (sc *scope) server(e target, port uint16) {
	vs := sc.up
	if !sc.t.Has("weight") {
		weight, at := int64(1), sc.s.at()
		if w := vs.seen["weight"]; w != nil && sc.need(w, 1, 1) {
			if n, ok := sc.number(w.arg(1), w.key(), 10); ok {
				weight, at = n, w.arg(1).at
			}
		}
		sc.t.Set("weight", weight, at)
	}
	if sc.t.Has("forwarding") {
		plainTunnel(vs.t, sc.t, sc.s.at())
	}
	if port != e.port {
		sc.checkPort, e.port = e.port, port
	}
	if s := sc.seen["lthreshold"]; s != nil && sc.seen["uthreshold"] == nil {
		sc.Warnf(s.at(), s.key(), "is not used: there is no uthreshold")
		sc.t.Delete("lower_threshold")
	}
	sc.t.Set("address", e.String(), e.at)
	sc.finishChecks(e)
}

func scheduler(sc *scope, s *statement) {
	if sc.need(s, 1, -1) {
		sc.set("scheduler", strings.ToLower(s.arg(1).text), s.arg(1).at)
		for _, w := range s.words[2:] {
			sc.t.Add("scheduler_flags", w.text, w.at)
		}
	}
}

// schedulerFlag is a keyword that is a switch of the scheduler.
func schedulerFlag(sc *scope, s *statement) {
	sc.t.Add("scheduler_flags", s.key(), s.at())
}

// method reads NAT, DR or TUN, and puts what is said of the tunnel.
func (sc *scope) method(s *statement, t *config.Tree) (string, bool) {
	if !sc.need(s, 1, -1) {
		return "", false
	}
	w := s.arg(1)
	method := map[string]config.Forwarding{"NAT": config.NAT, "DR": config.DR, "TUN": config.Tunnel}[strings.ToUpper(w.text)]
	if method == "" {
		sc.Errorf(w.at, s.key(), "%q is not known, allowed are NAT, DR and TUN", w.text)
		return "", false
	}
	t.Delete("tunnel") // of a line before it
	for i := 2; i < len(s.words); i++ {
		switch w := s.words[i]; {
		case method != config.Tunnel:
			sc.Errorf(w.at, s.key(), "%q is for TUN alone", w.text)
			return "", false
		case w.text == "type" && i+1 < len(s.words):
			i++
			t.Table("tunnel", w.at).Set("type", s.words[i].text, s.words[i].at)
		case w.text == "port" && i+1 < len(s.words):
			i++
			if n, ok := sc.number(s.words[i], w.text, 10); ok {
				t.Table("tunnel", w.at).Set("port", n, s.words[i].at)
			}
		case w.text == "nocsum" || w.text == "csum" || w.text == "remcsum":
			sum := map[string]string{"nocsum": "none", "csum": "checksum", "remcsum": "remote-checksum"}[w.text]
			t.Table("tunnel", w.at).Set("checksum", sum, w.at)
		default:
			sc.Errorf(w.at, s.key(), "%q is not known behind TUN, allowed are type with ipip, gue or gre, port with a number, nocsum, csum and remcsum", w.text)
			return "", false
		}
	}
	return string(method), true
}

func forwarding(path string) handler {
	return func(sc *scope, s *statement) {
		if m, ok := sc.method(s, sc.t); ok {
			sc.set(path, m, s.arg(1).at)
		}
	}
}

// onePacket is ops, which is for datagrams.
func onePacket(sc *scope, s *statement) {
	if p := sc.protocol(sc.s); p != "udp" && sc.s.arg(1).text != "fwmark" {
		sc.NoEffectf(s.at(), s.key(), "is for UDP and is not used, as in keepalived")
		return
	}
	sc.set("one_packet", true, s.at())
}

// ipFamily is ip_family inet or inet6.
func ipFamily(sc *scope, s *statement) {
	if sc.need(s, 1, 1) {
		sc.set("family", family(s.arg(1).text), s.arg(1).at)
	}
}
