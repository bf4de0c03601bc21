package keepalived

import (
	"strings"

	"director/config"
)

// leastMessage is the least maxlen that the configuration takes.
const leastMessage = 1024

// syncDaemon is lvs_sync_daemon INTERFACE [inst] INSTANCE [id N] [maxlen N] [port N]
// [ttl N] [group ADDRESS]. Older ones have INTERFACE INSTANCE ID.
func syncDaemon(sc *scope, s *statement) {
	if !sc.need(s, 1, -1) {
		return
	}
	t := sc.root.Table("ipvs_sync", s.at())
	t.Set("interface", s.arg(1).text, s.arg(1).at)
	numbers := map[string]string{"id": "sync_id", "maxlen": "max_length", "port": "port", "ttl": "ttl"}
	for i := 2; i < len(s.words); i++ {
		w, next := s.words[i], s.arg(i+1)
		_, isNumber := numbers[w.text]
		if isNumber || w.text == "inst" || w.text == "group" {
			if next.text == "" {
				sc.Errorf(w.at, s.key(), "the value of %q is missing", w.text)
				return
			}
			i++
		}
		switch {
		case isNumber:
			n, ok := sc.number(next, w.text, 10)
			if ok && w.text == "maxlen" && n > 0 && n < leastMessage {
				sc.Warnf(next.at, s.key(), "%d is less than director takes: %d is used", n, leastMessage)
				n = leastMessage
			}
			if ok {
				t.Set(numbers[w.text], n, next.at)
			}
		case w.text == "group":
			t.Set("mcast_group", next.text, next.at)
		case w.text == "inst":
			t.Set("vrrp_instance", next.text, next.at)
		case i == 2:
			t.Set("vrrp_instance", w.text, w.at)
		case i == 3 && strings.Trim(w.text, "0123456789") == "": // the oldest form
			sc.Warnf(w.at, s.key(), "%s is the old form of id %s", w.text, w.text)
			if n, ok := sc.number(w, "id", 10); ok {
				t.Set("sync_id", n, w.at)
			}
		default:
			sc.Errorf(w.at, s.key(), "%q is not known here, allowed are inst, id, maxlen, port, ttl and group, each with a value", w.text)
			return
		}
	}
}

// syncInterface is the old form, a line of the instance that the daemons follow.
func syncInterface(sc *scope, s *statement) {
	if !sc.need(s, 1, 1) {
		return
	}
	if d := sc.global["lvs_sync_daemon"]; d != nil {
		sc.Warnf(s.at(), s.key(), "is not used: there is lvs_sync_daemon in global_defs")
		return
	}
	t := sc.root.Table("ipvs_sync", s.at())
	if t.Has("interface") {
		sc.Warnf(s.at(), s.key(), "is not used: the daemons follow one instance, and that is %v", t.Get("vrrp_instance"))
		return
	}
	sc.Warnf(s.at(), s.key(), "is the old form of lvs_sync_daemon %s inst %s", s.arg(1).text, sc.s.arg(1).text)
	t.Set("interface", s.arg(1).text, s.arg(1).at)
	t.Set("vrrp_instance", sc.s.arg(1).text, s.at())
}

// ipvsTimeouts is lvs_timeouts [tcp N] [tcpfin N] [udp N].
func ipvsTimeouts(sc *scope, s *statement) {
	if !sc.need(s, 2, -1) {
		return
	}
	t := sc.root.Table("ipvs_timeouts", s.at())
	keys := map[string]string{"tcp": "tcp", "tcpfin": "tcp_fin", "udp": "udp"}
	for i := 1; i < len(s.words); i += 2 {
		w, next := s.words[i], s.arg(i+1)
		key, known := keys[w.text]
		if !known || next.text == "" {
			sc.Errorf(w.at, s.key(), "%q is not known here or its value is missing, allowed are tcp, tcpfin and udp, each with a number of seconds", w.text)
			return
		}
		sc.timeout(t, key, w, next)
	}
}

// timeout puts one of them; 0 leaves the kernel's, as in keepalived.
func (sc *scope) timeout(t *config.Tree, key string, w, value word) {
	if value.text == "0" {
		return
	}
	if d, ok := sc.seconds(value, w.text); ok {
		t.Set(key, d, value.at)
	}
}
