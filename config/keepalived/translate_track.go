package keepalived

import (
	"net/netip"
	"strings"
	"time"
)

// trackScript translates a vrrp_script.
func trackScript(sc *scope, s *statement) {
	if t := sc.named("vrrp_script", s); t != nil {
		sc.enter("vrrp_script", t, s)
	}
}

// trackFile translates a track_file.
func trackFile(sc *scope, s *statement) {
	if t := sc.named("track_file", s); t != nil {
		sc.enter("track_file", t, s)
	}
}

// initFile is init_file [VALUE] [overwrite].
func initFile(sc *scope, s *statement) {
	sc.set("init_file", "missing", s.at())
	for _, w := range s.args() {
		if w.text == "overwrite" {
			sc.set("init_file", "overwrite", w.at)
		} else if n, ok := sc.number(w, s.key(), 10); ok {
			sc.set("init_value", n, w.at)
		}
	}
}

// weight is weight N [reverse].
func weight(sc *scope, s *statement) {
	if !sc.need(s, 1, 2) {
		return
	}
	if n, ok := sc.number(s.arg(1), s.key(), 10); ok {
		sc.set("weight", n, s.arg(1).at)
	}
	switch w := s.arg(2); w.text {
	case "":
	case "reverse":
		sc.set("reverse", true, w.at)
	case "noreverse", "no_reverse":
		sc.set("reverse", false, w.at)
	default:
		sc.Errorf(w.at, s.key(), "%q is not known, allowed behind the weight is reverse", w.text)
	}
}

// runAs is user USER [GROUP].
func runAs(sc *scope, s *statement) {
	if sc.need(s, 1, 2) {
		sc.set("user", user(s, 1), s.arg(1).at)
	}
}

// trackProcess translates a vrrp_track_process.
func trackProcess(sc *scope, s *statement) {
	t := sc.named("track_process", s)
	if t == nil {
		return
	}
	p := sc.enter("vrrp_track_process", t, s)
	process := p.seen["process"]
	if process == nil || !sc.need(process, 1, -1) {
		return
	}
	match, full := p.seen["param_match"], p.seen["full_command"]
	if len(process.args()) == 1 && match == nil && full == nil {
		name := process.arg(1).text
		if short := name[strings.LastIndexByte(name, '/')+1:]; short != name && short != "" {
			sc.Warnf(process.arg(1).at, process.key(), "the kernel knows processes by their names without a path: %q is used", short)
			name = short
		}
		if len(name) > 15 {
			sc.Warnf(process.arg(1).at, process.key(), "the kernel keeps 15 bytes of a process's name: %q is used", name[:15])
			name = name[:15]
		}
		p.set("process", name, process.arg(1).at)
		return
	}
	p.set("command_line", process.rest(1), process.arg(1).at)
	if match == nil {
		return
	}
	switch w := match.arg(1); w.text {
	case "":
	case "initial", "partial":
		p.set("command_match", "prefix", w.at)
	default:
		sc.Errorf(w.at, match.key(), "%q is not known, allowed are initial and partial", w.text)
	}
}

// bfdInstance translates a bfd_instance.
func bfdInstance(sc *scope, s *statement) {
	t := sc.named("bfd", s)
	if t == nil {
		return
	}
	b := sc.enter("bfd_instance", t, s)
	for _, key := range []string{"min_rx", "min_tx"} {
		if !t.Has(key) {
			sc.imply(t, key, "10ms", s.at())
		}
	}
	for _, key := range []string{"neighbor_ip", "neighbour_ip"} {
		if n := b.seen[key]; n != nil && !t.Has("ttl") {
			if a, err := netip.ParseAddr(n.arg(1).text); err == nil && a.Is6() {
				sc.Warnf(s.at(), s.key(), "keepalived sends with the hop limit 64 over IPv6, director with 255, as RFC 5881 has it")
			}
		}
	}
}

func milliseconds(path string) handler {
	return func(sc *scope, s *statement) {
		if sc.need(s, 1, 1) {
			if d, ok := sc.duration(s.arg(1), s.key(), time.Millisecond); ok {
				sc.set(path, d, s.arg(1).at)
			}
		}
	}
}

// track is a list of trackers, one a line: NAME [weight N] [reverse].
func track(key string) handler {
	return func(sc *scope, s *statement) {
		for _, k := range s.kids {
			if key == "track_interface" && sc.ownInterface(k.key()) {
				sc.NoEffectf(k.at(), s.key(), "%s is the instance's own interface and is not used here, as in keepalived", k.key())
				continue
			}
			e := sc.t.Append(key, k.at())
			e.Set("name", k.key(), k.at())
			if key == "track_file" {
				sc.fileUses[k.key()] = true
			}
			for i := 1; i < len(k.words); i++ {
				switch w := k.words[i]; {
				case w.text == "weight" && i+1 < len(k.words):
					i++
					if n, ok := sc.number(k.words[i], w.text, 10); ok {
						e.Set("weight", n, k.words[i].at)
						if group := sc.groups[sc.s.arg(1).text]; group != nil && n != 0 && sc.s.key() == "vrrp_instance" && !group.has("sync_group_tracking_weight") {
							sc.Warnf(k.words[i].at, s.key(), "keepalived does not use a weight of a member of %s; director does, and counts it for all members", group.arg(1).text)
						}
					}
				case w.text == "reverse":
					e.Set("reverse", true, w.at)
				case w.text == "noreverse" || w.text == "no_reverse":
					e.Set("reverse", false, w.at)
				default:
					sc.Errorf(w.at, s.key(), "%q is not known here, allowed behind %s are weight with a number, reverse and noreverse, and one a line", w.text, k.key())
				}
			}
		}
	}
}

// ownInterface says that the block is that of an instance on the interface.
func (sc *scope) ownInterface(name string) bool {
	if sc.s.key() != "vrrp_instance" {
		return false
	}
	own := sc.s.last("interface")
	return own != nil && own.arg(1).text == name
}

// has says that a block holds a keyword.
func (s *statement) has(key string) bool {
	for _, k := range s.kids {
		if k.key() == key {
			return true
		}
	}
	return false
}

// interfaceDelays is a list of interfaces with their delays.
func interfaceDelays(sc *scope, s *statement) {
	for _, k := range s.kids {
		if !sc.need(k, 1, 2) {
			continue
		}
		t := sc.root.Table("track_interface", s.at()).Table(k.key(), k.at())
		if d, ok := sc.seconds(k.arg(1), s.key()); ok {
			t.Set("down_delay", d, k.arg(1).at)
		}
		if len(k.args()) < 2 {
			continue
		}
		if d, ok := sc.seconds(k.arg(2), s.key()); ok {
			t.Set("up_delay", d, k.arg(2).at)
		}
	}
}

// garpGroup is a pause between announcements on interfaces. director has it by
// instance.
func garpGroup(sc *scope, s *statement) {
	g := sc.scope(sc, "garp_group", sc.root, s)
	g.statements()
	pause := g.seen["garp_interval"]
	if pause == nil {
		pause = g.seen["gna_interval"]
	}
	if pause == nil || !sc.need(pause, 1, 1) {
		return
	}
	value, ok := sc.seconds(pause.arg(1), pause.key())
	if !ok {
		return
	}
	var names []word
	if i := g.seen["interface"]; i != nil {
		names = i.args()
	}
	if l := g.seen["interfaces"]; l != nil {
		names = l.list()
		sc.Warnf(l.at(), l.key(), "director keeps the pause on each interface, not over all of them together")
	}
	for _, n := range names {
		sc.pauses[n.text] = pauseOf{value, pause.arg(1)}
	}
}

// pauseOf is a least time between announcements and where it is written.
type pauseOf struct {
	value string
	at    word
}
