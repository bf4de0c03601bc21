package keepalived

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"director/config"
)

// maxMembers bounds the services that one virtual_server_group makes.
const maxMembers = 4096

// target is what makes a service: an address with or without a port, or a mark.
type target struct {
	at     config.Position
	addr   netip.Addr
	port   uint16
	mark   int64
	marked bool
}

// service translates a virtual_server; with a group it makes one for each member.
func service(sc *scope, s *statement) {
	var targets []target
	prefix := ""
	switch s.arg(1).text {
	case "group":
		if !sc.need(s, 2, 2) {
			return
		}
		prefix = s.arg(2).text + "-"
		group := sc.serverGroup[s.arg(2).text]
		if group == nil {
			sc.Errorf(s.arg(2).at, s.key(), "there is no virtual_server_group %q", s.arg(2).text)
			return
		}
		for _, k := range group.kids {
			targets = append(targets, sc.members(group, k)...)
			if len(targets) > maxMembers {
				sc.Errorf(k.at(), group.key(), "has more than %d addresses, each of which would be a service; a firewall mark makes one of them all", maxMembers)
				return
			}
		}
		if len(targets) == 0 {
			sc.Errorf(group.at(), group.key(), "has no address and no fwmark")
			return
		}
	case "fwmark":
		if !sc.need(s, 2, 2) {
			return
		}
		n, ok := sc.number(s.arg(2), "fwmark", 0)
		if !ok {
			return
		}
		targets = []target{{at: s.arg(2).at, mark: n, marked: true}}
	default:
		if !sc.need(s, 1, 2) {
			return
		}
		t, ok := sc.endpoint(s, 1)
		if !ok {
			return
		}
		targets = []target{t}
	}
	var first *config.Tree
	kind := ""
	for _, to := range targets {
		proto := sc.protocol(s, to)
		table := sc.root.Table("virtual_server", s.at())
		name := prefix + to.name(proto)
		if table.Has(name) {
			sc.Errorf(s.arg(1).at, s.key(), "%s is already a service", strings.TrimPrefix(name, prefix))
			continue
		}
		// What the servers become depends on the port; members without one, and marks,
		// are of another kind than the others.
		like := fmt.Sprint(to.port, to.marked)
		t := table.Table(name, s.at())
		if first != nil && like == kind {
			t.Copy(first)
		} else if sc.pool(t, s, to, proto); first == nil {
			first, kind = t, like
		}
		switch {
		case to.marked:
			t.Set("fwmark", to.mark, to.at)
		case to.port == 0:
			t.Set("address", to.addr.String(), to.at)
		default:
			t.Set("address", netip.AddrPortFrom(to.addr, to.port).String(), to.at)
		}
		if list, _ := t.Get("real_server").([]any); len(list) == 0 {
			sc.Warnf(s.at(), s.key(), "has no real_server and is not used, as in keepalived")
			table.Delete(name)
		}
	}
}

// name is that of a service in director's language.
func (t *target) name(proto string) string {
	if t.marked {
		return fmt.Sprintf("fwmark-%d", t.mark)
	}
	name := strings.ReplaceAll(t.addr.String(), ":", "-")
	if t.port != 0 {
		name += "-" + strconv.Itoa(int(t.port))
	}
	return name + "-" + proto
}

// protocol finds the transport of a service. Without one it is UDP.
func (sc *scope) protocol(s *statement, to target) string {
	for i := len(s.kids) - 1; i >= 0; i-- {
		k := s.kids[i]
		if k.key() != "protocol" {
			continue
		}
		switch p := k.arg(1).text; strings.ToUpper(p) {
		case "TCP", "UDP":
			return strings.ToLower(p)
		default:
			sc.Errorf(k.arg(1).at, "protocol", "%q is not supported, allowed are TCP and UDP", p)
			return "tcp"
		}
	}
	return "udp"
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

// members reads one line of a virtual_server_group.
func (sc *scope) members(group, k *statement) []target {
	if k.key() == "fwmark" {
		if !sc.need(k, 1, 2) {
			return nil
		}
		if n, ok := sc.number(k.arg(1), "fwmark", 0); ok {
			return []target{{at: k.arg(1).at, mark: n, marked: true}}
		}
		return nil
	}
	if !sc.need(k, 0, 1) {
		return nil
	}
	first, last, ok := addressRange(k.key())
	if !ok {
		sc.Errorf(k.at(), group.key(), "%q is not an address or a range, allowed are an address, a.b.c.d-e, a.b.c.d-e.f.g.h and a.b.c.d/mask, each with a port", k.key())
		return nil
	}
	var port uint16
	if p := k.arg(1); p.text != "" {
		n, err := strconv.ParseUint(p.text, 10, 16)
		if err != nil {
			sc.Errorf(p.at, group.key(), "%q is not a port, allowed are 1 to 65535", p.text)
			return nil
		}
		port = uint16(n)
	}
	var list []target
	for a := first; len(list) <= maxMembers; a = a.Next() {
		list = append(list, target{at: k.at(), addr: a, port: port})
		if a == last || !a.IsValid() {
			break
		}
	}
	return list
}

// addressRange reads an address, a range or a network.
func addressRange(s string) (first, last netip.Addr, ok bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		first = p.Masked().Addr()
		b := first.AsSlice()
		for i := p.Bits(); i < len(b)*8; i++ {
			b[i/8] |= 0x80 >> (i % 8)
		}
		last, _ = netip.AddrFromSlice(b)
		return first, last, true
	}
	from, to, isRange := strings.Cut(s, "-")
	first, err := netip.ParseAddr(from)
	if err != nil || first.Zone() != "" {
		return first, last, false
	}
	if !isRange {
		return first, first, true
	}
	if last, err = netip.ParseAddr(to); err != nil { // the last part alone
		sep := "."
		if first.Is6() {
			sep = ":"
		}
		last, err = netip.ParseAddr(from[:strings.LastIndex(from, sep)+1] + to)
	}
	return first, last, err == nil && first.BitLen() == last.BitLen() && first.Compare(last) <= 0
}

// pool translates what is behind a service.
func (sc *scope) pool(t *config.Tree, s *statement, to target, proto string) {
	vs := sc.enter("virtual_server", t, s)
	at := s.at()
	if !to.marked {
		if vs.seen["protocol"] == nil {
			sc.Warnf(at, s.key(), "there is no protocol: UDP is used, as in keepalived; write protocol TCP if that is meant")
		}
		t.Set("protocol", proto, at)
	}
	vs.persistence(to)
	if k := vs.seen["quorum"]; k != nil {
		number("quorum")(vs, k)
	}
	if k := vs.seen["hysteresis"]; k != nil {
		number("hysteresis")(vs, k)
	}

	vs.to, vs.proto = to, proto
	mail := false
	total := int64(0)
	seen := make(map[string]bool)
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
		if id := fmt.Sprint(e.addr, e.port); seen[id] {
			sc.Warnf(k.arg(1).at, k.key(), "%s is already a server of this service, and the second one is not used, as in keepalived", e.addr)
			continue
		} else {
			seen[id] = true
		}
		rs := sc.scope(vs, "real_server", t.Append("real_server", k.at()), k)
		rs.statements()
		rs.server(e)
		n, _ := rs.t.Get("weight").(int64)
		total += n
		if a := rs.seen["smtp_alert"]; a != nil {
			on, _ := sc.onOff(a)
			mail = mail || on
		} else {
			mail = mail || sc.alert("smtp_alert_checker", true)
		}
	}
	if a := vs.seen["smtp_alert"]; a != nil {
		on, _ := sc.onOff(a)
		mail = mail || on
	}
	t.Set("mail", mail, at)
	vs.quorum(total)
}

// persistence knows keepalived's default and repair.
func (sc *scope) persistence(to target) {
	s := sc.seen["persistence_timeout"]
	switch {
	case s != nil && len(s.args()) == 0:
		sc.set("persistence_timeout", "360s", s.at())
	case s != nil:
		seconds("persistence_timeout")(sc, s)
	case to.port == 0 && !to.marked:
		sc.Warnf(sc.s.at(), sc.s.key(), "has no port, and so takes all of them, which needs persistence: 360s are used, as in keepalived")
		sc.set("persistence_timeout", "360s", sc.s.at())
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
func (sc *scope) server(e target) {
	vs := sc.up
	if !sc.t.Has("weight") {
		weight := int64(1)
		if w := vs.seen["weight"]; w != nil && sc.need(w, 1, 1) {
			if n, ok := sc.number(w.arg(1), w.key(), 10); ok {
				weight = n
			}
		}
		sc.t.Set("weight", weight, sc.s.at())
	}
	method, _ := sc.t.Get("forwarding").(string)
	if method == "" {
		if method, _ = vs.t.Get("forwarding").(string); method == "" {
			method = string(config.NAT)
		}
	}
	nat := method == string(config.NAT)
	port := sc.s.arg(2)
	switch to := vs.to; {
	case to.marked && !nat && e.port != 0:
		sc.Warnf(port.at, sc.s.key(), "the port is not used, as in keepalived: behind a mark packets keep theirs without NAT")
		sc.checkPort, e.port = e.port, 0
	case to.marked:
	case to.port == 0 && e.port != 0:
		sc.Warnf(port.at, sc.s.key(), "the port is not used: the service takes all ports and keeps them")
		sc.checkPort, e.port = e.port, 0
	case e.port == 0:
		e.port = to.port
	case !nat && e.port != to.port:
		sc.Warnf(port.at, sc.s.key(), "%d is not the service's port, and only NAT can change it: %d is used, as in keepalived", e.port, to.port)
		e.port = to.port
	}
	address := e.addr.String()
	if e.port != 0 {
		address = netip.AddrPortFrom(e.addr, e.port).String()
	}
	sc.t.Set("address", address, e.at)
	sc.finishChecks(e)
}

func scheduler(sc *scope, s *statement) {
	if sc.need(s, 1, -1) {
		sc.set("scheduler", strings.ToLower(s.arg(1).text), s.arg(1).at)
		if len(s.args()) > 1 {
			sc.Warnf(s.arg(2).at, s.key(), "%q is not supported and not used: the scheduler works with its kernel's defaults", s.rest(2))
		}
	}
}

// method reads NAT, DR or TUN.
func (sc *scope) method(s *statement) (string, bool) {
	if !sc.need(s, 1, -1) {
		return "", false
	}
	w := s.arg(1)
	method := map[string]config.Forwarding{"NAT": config.NAT, "DR": config.DR, "TUN": config.Tunnel}[strings.ToUpper(w.text)]
	switch {
	case method == "":
		sc.Errorf(w.at, s.key(), "%q is not known, allowed are NAT, DR and TUN", w.text)
		return "", false
	case len(s.args()) > 1 && (method != config.Tunnel || s.arg(2).text != "type" || s.arg(3).text != "ipip" || len(s.args()) > 3):
		sc.Errorf(s.arg(2).at, s.key(), "%q is not supported, allowed are NAT, DR and TUN, which tunnels IP in IP", s.rest(2))
		return "", false
	}
	return string(method), true
}

func forwarding(path string) handler {
	return func(sc *scope, s *statement) {
		if m, ok := sc.method(s); ok {
			sc.set(path, m, s.arg(1).at)
		}
	}
}

// sorryServer is sorry_server IP [PORT].
func sorryServer(sc *scope, s *statement) {
	if !sc.need(s, 1, 2) {
		return
	}
	e, ok := sc.endpoint(s, 1)
	if !ok {
		return
	}
	address := e.addr.String()
	if e.port != 0 {
		address = netip.AddrPortFrom(e.addr, e.port).String()
	}
	sc.t.Table("sorry_server", s.at()).Set("address", address, s.arg(1).at)
}

func sorryMethod(sc *scope, s *statement) {
	if m, ok := sc.method(s); ok {
		sc.t.Table("sorry_server", s.at()).Set("forwarding", m, s.arg(1).at)
	}
}

// quorumScript is a command, which runs as the script_user.
func quorumScript(key string) handler {
	return func(sc *scope, s *statement) {
		if sc.command(s, key) && len(s.args()) > 1 {
			sc.Errorf(s.arg(2).at, s.key(), "%q is not supported: the commands of services run as the script_user", s.rest(2))
		}
	}
}
