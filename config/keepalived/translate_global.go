package keepalived

import (
	"maps"
	"slices"
	"strings"
	"time"

	"director/config"
)

// globalDefs translates the block global_defs.
func globalDefs(sc *scope, s *statement) {
	if sc.t.Has("vrrp_instance") {
		for _, k := range s.kids {
			for _, pair := range inherited() {
				if pair.global == k.key() {
					sc.Warnf(k.at(), k.key(), "stands behind an instance, for which keepalived would not use it; director does")
				}
			}
		}
	}
	sc.enter("global_defs", sc.t, s)
}

// mail translates the mail settings, which are of use together only.
func (t *translator) mail(root *scope) {
	to, server := t.global["notification_email"], t.global["smtp_server"]
	if to == nil || len(to.list()) == 0 {
		return
	}
	if server == nil || len(server.args()) == 0 {
		t.NoEffectf(to.at(), to.key(), "no mail is sent: there is no smtp_server")
		return
	}
	sc := t.scope(root, "global_defs", t.root.Table("notify", to.at()).Table("mail", to.at()), to)
	for _, w := range to.list() {
		sc.t.Add("to", w.text, w.at)
	}
	host := server.arg(1).text
	if port := server.arg(2).text; port != "" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		host += ":" + port
	} else if strings.Count(host, ":") > 1 {
		host = "[" + host + "]"
	}
	sc.need(server, 1, 2)
	sc.t.Set("server", host, server.arg(1).at)
	for _, k := range [][2]string{{"notification_email_from", "from"}, {"smtp_helo_name", "helo"}} {
		if s := t.global[k[0]]; s != nil && sc.need(s, 1, 1) {
			sc.t.Set(k[1], s.arg(1).text, s.arg(1).at)
		}
	}
	if s := t.global["smtp_connect_timeout"]; s != nil {
		seconds("connect_timeout")(sc, s)
	}
	for _, event := range []string{"instance", "group", "service", "server", "alarm"} {
		if event != "group" || t.mailEvents["group"] {
			sc.t.Add("events", event, to.at())
		}
	}
	t.conversion.imply(sc.t.Item("events"))
}

// alert tells whether mail is sent when a block itself says nothing, and which statement
// says so, nil when none does.
func (t *translator) alert(special string, otherwise bool) (on bool, by *statement) {
	for _, key := range []string{special, "smtp_alert"} {
		if s := t.global[key]; s != nil {
			switch s.arg(1).text {
			case "off", "false", "no":
				return false, s
			}
			return true, s
		}
	}
	return otherwise, nil
}

// fifo translates the FIFOs, of which director has one for all events.
func (t *translator) fifo() {
	var first *statement
	for _, key := range []string{"notify_fifo", "vrrp_notify_fifo", "lvs_notify_fifo"} {
		s := t.global[key]
		if s == nil || len(s.args()) == 0 {
			continue
		}
		if first == nil {
			first = s
			t.root.Table("notify", s.at()).Table("fifo", s.at()).Set("path", s.arg(1).text, s.arg(1).at)
			if key != "notify_fifo" {
				t.Warnf(s.at(), key, "director has one FIFO for all events, VRRP and services: the reader gets the lines of both")
			}
			if len(s.args()) > 1 {
				t.LeftOutf(s.arg(2).at, key, "the FIFO belongs to the daemon's own user, mode 0600: %q is not used", s.rest(2))
			}
		} else if s.arg(1).text != first.arg(1).text {
			t.LeftOutf(s.arg(1).at, key, "director has one FIFO for all events, and that is %q of %s, where the lines for %q are too", first.arg(1).text, first.key(), s.arg(1).text)
		}
	}
}

// snmp translates what makes keepalived a subagent of SNMP.
func (t *translator) snmp() {
	socket := t.global["snmp_socket"]
	var first *statement
	objects := make(map[string]*statement)
	for _, k := range [][]string{
		{"enable_snmp_keepalived", "vrrp", "virtual_server"}, {"enable_snmp_vrrp", "vrrp"}, {"enable_snmp_checker", "virtual_server"},
		{"enable_snmp_rfc", "rfc2787", "rfc6527"}, {"enable_snmp_rfcv2", "rfc2787"}, {"enable_snmp_rfcv3", "rfc6527"},
	} {
		s := t.global[k[0]]
		if s == nil {
			continue
		}
		if first == nil {
			first = s
		}
		for _, o := range k[1:] {
			objects[o] = s
		}
	}
	if first == nil {
		if socket != nil {
			t.NoEffectf(socket.at(), socket.key(), "there is no SNMP process: it needs enable_snmp_keepalived or another of these")
		}
		return
	}
	table := t.root.Table("snmp", first.at())
	for _, o := range []string{"vrrp", "virtual_server", "rfc2787", "rfc6527"} {
		if s := objects[o]; s != nil {
			table.Add("objects", o, s.at())
		}
	}
	if socket == nil || len(socket.args()) == 0 {
		return
	}
	// net-snmp's form, of which this is what a socket of AgentX can be here.
	at, name := socket.arg(1).at, socket.arg(1).text
	name = strings.TrimPrefix(name, "unix:")
	if _, _, ok := config.ParseAgentX(name); !ok {
		t.LeftOutf(at, socket.key(), "%q is not used: allowed are the path of a UNIX socket and tcp: with an address and a port", name)
		return
	}
	table.Set("socket", name, at)
}

// finishGlobal translates what needs several keywords together.
func (t *translator) finishGlobal(root *scope) {
	t.mail(root)
	t.fifo()
	t.snmp()
	for _, name := range slices.Sorted(maps.Keys(t.fileChecks)) {
		if t.fileUses[name] {
			continue
		}
		if s := t.trackFiles[name].last("init_file"); s != nil {
			t.LeftOutf(s.at(), s.key(), "the file is for checks alone, which do not make it: until somebody does, its number is 0")
		}
		t.root.Table("track_file", root.s.at()).Delete(name) // the checks have the file itself
	}
	if files := t.root.Inner("track_file"); files != nil && len(files.Keys()) == 0 {
		t.root.Delete("track_file")
	}
	for _, process := range []string{"vrrp", "checker"} {
		if !t.root.Has(process + "_process") {
			continue
		}
		if p := t.root.Table(process+"_process", root.s.at()); p.Has("rt_priority") && p.Has("nice") {
			nice := t.global[process+"_priority"]
			t.NoEffectf(nice.at(), nice.key(), "has no effect on a process with %s_rt_priority", process)
			p.Delete("nice")
		}
	}
	if !t.root.Has("vrrp_instance") {
		return
	}
	instances := t.root.Table("vrrp_instance", root.s.at())
	for _, name := range instances.Keys() {
		in := instances.Table(name, root.s.at())
		device, _ := in.Get("interface").(string)
		if p, ok := t.pauses[device]; ok {
			in.Table("garp", p.at.at).Set("interval", p.value, p.at.at)
		}
	}
}

// scriptUserGlobal is script_user USER [GROUP].
func scriptUserGlobal(sc *scope, s *statement) {
	if sc.need(s, 1, 2) {
		sc.set("global.script_user", user(s, 1), s.arg(1).at)
	}
}

// microseconds is a time limit of a real-time process.
func microseconds(path string) handler {
	return func(sc *scope, s *statement) {
		n, ok := int64(0), sc.need(s, 1, 1)
		if ok {
			n, ok = sc.number(s.arg(1), s.key(), 10)
		}
		switch {
		case !ok:
		case n < 10000:
			sc.Warnf(s.arg(1).at, s.key(), "%d us are less than the 10 ms that director needs at least: 10 ms are used", n)
			sc.set(path, "10ms", s.arg(1).at)
		default:
			if d, ok := sc.duration(s.arg(1), s.key(), time.Microsecond); ok {
				sc.set(path, d, s.arg(1).at)
			}
		}
	}
}

// cpus is a list of CPU numbers.
func cpus(path string) handler {
	return func(sc *scope, s *statement) {
		if sc.need(s, 1, -1) {
			sc.set(path, strings.ReplaceAll(s.rest(1), " ", ","), s.arg(1).at)
		}
	}
}

// atLeast leaves out a value of zero or less, which means that there is none.
func atLeast(n int64, path string) handler {
	return func(sc *scope, s *statement) {
		if sc.need(s, 1, 1) {
			if v, ok := sc.number(s.arg(1), s.key(), 10); ok && v >= n {
				sc.set(path, v, s.arg(1).at)
			}
		}
	}
}

// autoPriority is max_auto_priority: director does not raise its priority step by
// step.
func autoPriority(sc *scope, s *statement) {
	if arg := s.arg(1).text; arg != "0" && arg != "-1" {
		sc.LeftOutf(s.at(), s.key(), "is not supported and not used: vrrp_rt_priority gives the VRRP process real-time priority from the start")
	}
}

// flush is lvs_flush.
func flush(sc *scope, s *statement) {
	sc.set("global.exclusive_ipvs", true, s.at())
	sc.Warnf(s.at(), s.key(), "makes director take away every service that this file does not have, at the start and later on (exclusive_ipvs)")
}

// mcastGroup is a multicast group of all instances.
func mcastGroup(sc *scope, s *statement) {
	if sc.need(s, 1, 1) {
		sc.t.Table("global", s.at()).Add("mcast_group", s.arg(1).text, s.arg(1).at)
	}
}
