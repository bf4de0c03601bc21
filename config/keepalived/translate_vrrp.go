package keepalived

import (
	"math"
	"strconv"
	"strings"
	"time"

	"director/config"
)

// named makes the table of a block that has a name; a second one of a name is an
// error.
func (sc *scope) named(kind string, s *statement) *config.Tree {
	if !sc.need(s, 1, 1) {
		return nil
	}
	tables := sc.root.Table(kind, s.at())
	if tables.Has(s.arg(1).text) {
		sc.Errorf(s.arg(1).at, s.key(), "there is already one of the name %s, allowed is each name once", s.arg(1).text)
		return nil
	}
	return tables.Table(s.arg(1).text, s.arg(1).at)
}

// instance translates a vrrp_instance.
func instance(sc *scope, s *statement) {
	t := sc.named("vrrp_instance", s)
	if t == nil {
		return
	}
	in := sc.enter("vrrp_instance", t, s)
	if min := sc.global["vrrp_min_garp"]; min != nil {
		if on, ok := sc.onOff(min); ok && on {
			for _, d := range []struct {
				key, path string
				value     any
			}{{"garp_master_repeat", "garp.repeat", int64(1)}, {"garp_master_delay", "garp.delay", "0s"}} {
				if in.seen[d.key] == nil && sc.global["vrrp_"+d.key] == nil {
					in.set(d.path, d.value, min.at())
				}
			}
		}
	}
	ownDelay, ownRepeat := in.seen["garp_master_delay"], in.seen["garp_master_repeat"]
	for _, p := range inherited() {
		if g := sc.global[p.global]; g != nil && in.seen[p.instance] == nil {
			sc.tables["vrrp_instance"][p.instance].do(in, g)
			in.seen[p.instance] = g
		}
	}
	in.answers(ownDelay, ownRepeat)
	for _, key := range []string{"vrrp_garp_interval", "vrrp_gna_interval"} {
		if g := sc.global[key]; g != nil && (!t.Table("garp", g.at()).Has("interval") || key == "vrrp_gna_interval" && !in.v4()) {
			seconds("garp.interval")(in, g)
		}
	}
	in.users("notify.user")

	in.priority()
	in.version()
	if !t.Has("mail") {
		on, by := sc.alert("smtp_alert_vrrp", false)
		in.implyUnless(by, t, "mail", on, s.at())
	}
	in.state()
	in.strict()
	in.preemption()
	in.authenticated()
	in.unicast()
	in.defaults()
}

// defaults are those of keepalived that are not director's own.
func (sc *scope) defaults() {
	at := sc.s.at()
	for _, d := range []struct {
		path  string
		value any
	}{{"higher_prio_send_advert", false}, {"promote_secondaries", false}} {
		if !sc.t.Has(d.path) {
			sc.imply(sc.t, d.path, d.value, at)
		}
	}
	if garp := sc.t.Table("garp", at); !garp.Has("refresh") {
		sc.imply(garp, "refresh", "0s", at)
	}
}

// v4 says that the first virtual address is one of IPv4.
func (sc *scope) v4() bool {
	a, ok := familyOf(sc.s)
	return !ok || a.Is4()
}

// priority knows keepalived's defaults.
func (sc *scope) priority() {
	state := sc.seen["state"]
	if sc.seen["priority"] == nil && state != nil && state.arg(1).text == "MASTER" {
		sc.Warnf(state.at(), "state", "MASTER without a priority makes keepalived take 255, the address owner's, which is used: write priority 100 if that is not meant")
		sc.set("priority", int64(255), state.at())
	}
}

func (sc *scope) owner() bool { return sc.t.Get("priority") == int64(255) }

// version knows keepalived's defaults, and rounds an interval that version 2
// cannot have.
func (sc *scope) version() {
	at := sc.s.at()
	if !sc.v4() {
		if v := sc.seen["version"]; v != nil && v.arg(1).text == "2" {
			if v.key() == "version" {
				sc.Warnf(v.at(), "version", "2 is for IPv4 alone: 3 is used, as in keepalived")
			}
			sc.t.Delete("version")
		}
	}
	if !sc.t.Has("version") {
		v := int64(2)
		if !sc.v4() {
			v = 3
		}
		sc.imply(sc.t, "version", v, at)
	}
	s := sc.seen["advert_int"]
	if s == nil || !sc.need(s, 1, 1) {
		return
	}
	w := s.arg(1)
	f, err := strconv.ParseFloat(w.text, 64)
	d, ok := sc.seconds(w, s.key())
	if !ok || err != nil {
		return
	}
	if sc.t.Get("version") == int64(2) && f != math.Trunc(f) {
		rounded := math.Ceil(f)
		sc.Warnf(w.at, s.key(), "%s is not a whole number of seconds, which version 2 needs: %gs is used", w.text, rounded)
		d = (time.Duration(rounded) * time.Second).String()
	}
	sc.set("advert_interval", d, w.at)
}

// state is a hint only, also in keepalived, where MASTER sticks.
func (sc *scope) state() {
	var last *statement
	for _, k := range sc.s.kids {
		if k.key() == "state" && (last == nil || last.arg(1).text != "MASTER") {
			last = k
		}
	}
	if last != nil && sc.need(last, 1, 1) {
		sc.set("state", last.arg(1).text, last.arg(1).at)
	}
}

// preemption clears what contradicts, as keepalived does.
func (sc *scope) preemption() {
	master := sc.t.Get("state") == "MASTER" && !sc.owner()
	for key, s := range map[string]*statement{"nopreempt": sc.seen["nopreempt"], "preempt_delay": sc.seen["preempt_delay"]} {
		if s == nil || !sc.t.Has(key) {
			continue
		}
		switch {
		case sc.owner():
			sc.Warnf(s.at(), key, "contradicts priority 255, the address owner, and is not used, as in keepalived")
			sc.t.Delete(key)
		case master:
			sc.Warnf(s.at(), key, "needs state BACKUP on both hosts and is not used with state MASTER, as in keepalived")
			sc.t.Delete(key)
		}
	}
	if sc.t.Get("nopreempt") == true && sc.t.Has("preempt_delay") {
		s := sc.seen["preempt_delay"]
		sc.Warnf(s.at(), s.key(), "contradicts nopreempt and is not used, as in keepalived: there is no preemption to delay")
		sc.t.Delete("preempt_delay")
	}
	if s := sc.seen["owner_ignore_adverts"]; s != nil && !sc.owner() && sc.t.Get("owner_ignore_adverts") == true {
		if s.key() == "owner_ignore_adverts" {
			sc.NoEffectf(s.at(), s.key(), "is for priority 255 and has no effect here")
		}
		sc.t.Delete("owner_ignore_adverts")
	}
	if sc.owner() && sc.t.Get("accept") == false {
		s := sc.seen["no_accept"]
		if s == nil {
			s = sc.s
		}
		sc.Warnf(s.at(), "no_accept", "contradicts priority 255 and is not used: the address owner takes what is sent to its addresses")
		sc.t.Delete("accept")
	}
}

// strict expands strict mode into what it does.
func (sc *scope) strict() {
	s := sc.seen["strict_mode"]
	if s == nil {
		return
	}
	if on, ok := sc.onOff(s); !ok || !on {
		return
	}
	var effects []string
	put := func(path string, value any, text string) {
		sc.set(path, value, s.at())
		effects = append(effects, text)
	}
	drop := func(keyword, key string) {
		if k := sc.seen[keyword]; k != nil && (sc.t.Has(key) || key == "") {
			sc.Warnf(k.at(), keyword, "is not allowed in strict mode and not used, as in keepalived")
			sc.t.Delete(key)
		}
	}
	if !sc.owner() && sc.t.Get("state") == "MASTER" {
		sc.Warnf(s.at(), "state", "MASTER is for priority 255 in strict mode: BACKUP is used, as in keepalived")
		sc.t.Set("state", "BACKUP", s.at())
	}
	if sc.seen["accept"] == nil && sc.seen["no_accept"] == nil && !sc.owner() {
		put("accept", false, "no_accept (the virtual addresses answer neither ping nor connections)")
	}
	if accept := sc.seen["accept"]; accept != nil && sc.t.Get("version") == int64(2) && sc.t.Get("accept") == true {
		sc.Warnf(accept.at(), "accept", "is not allowed in strict mode with version 2 and not used, as in keepalived")
		put("accept", false, "no_accept (the virtual addresses answer neither ping nor connections)")
	}
	put("lower_prio_no_advert", true, "lower_prio_no_advert")
	if sc.owner() {
		put("owner_ignore_adverts", true, "owner_ignore_adverts")
	}
	drop("higher_prio_send_advert", "higher_prio_send_advert")
	drop("preempt_delay", "preempt_delay")
	drop("vmac_xmit_base", "vmac_xmit_base")
	drop("authentication", "authentication")
	if p := sc.seen["unicast_peer"]; p != nil {
		sc.Warnf(p.at(), p.key(), "is against the RFC that strict mode asks for, and is used, as in keepalived 2.2")
	}
	sc.Warnf(s.at(), s.key(), "sets for %s: %s. Take it away, and write what of that is meant", sc.s.arg(1).text, strings.Join(effects, ", "))
}

// authenticated drops what the version does not have, as keepalived does.
func (sc *scope) authenticated() {
	s := sc.seen["authentication"]
	if s == nil || !sc.t.Has("authentication") {
		return
	}
	auth := sc.t.Table("authentication", s.at())
	switch {
	case sc.seen["auth_hmac"] != nil:
		return
	case sc.t.Get("version") == int64(3):
		sc.Warnf(s.at(), s.key(), "is not used, as in keepalived: VRRP version 3 has no passwords; auth_hmac works with both versions")
	case !auth.Has("password"):
		sc.Warnf(s.at(), s.key(), "is not used, as in keepalived: there is no auth_pass")
	case !auth.Has("type"):
		sc.Warnf(s.at(), s.key(), "is not used, as in keepalived: there is no auth_type")
	default:
		if auth.Get("type") == config.AuthAH && sc.t.Get("state") == "MASTER" && !sc.owner() {
			sc.t.Delete("state")
		}
		return
	}
	sc.t.Delete("authentication")
}

func authType(sc *scope, s *statement) {
	if sc.need(s, 1, 1) {
		sc.set("type", s.arg(1).text, s.arg(1).at)
	}
}

// authPass is a password, of which 8 bytes count.
func authPass(sc *scope, s *statement) {
	if !sc.need(s, 1, -1) {
		return
	}
	w := s.arg(1)
	if len(s.args()) > 1 {
		sc.Warnf(s.arg(2).at, s.key(), "what follows the first blank is not used, as in keepalived")
	}
	if len(w.text) > 8 {
		sc.Warnf(w.at, s.key(), "the password has %d bytes: the first 8 are used, as in keepalived", len(w.text))
		w.text = w.text[:8]
	}
	sc.set("password", w.text, w.at)
}

// hmac translates auth_hmac.
func hmac(sc *scope, s *statement) {
	t := sc.t.Table("authentication", s.at())
	t.Set("type", config.AuthHMAC, s.at())
	for _, key := range []string{"password"} {
		t.Delete(key)
	}
	sc.enter("auth_hmac", t, s)
}

// hmacKey is key ID SECRET or key ID file:PATH.
func hmacKey(sc *scope, s *statement) {
	if !sc.need(s, 2, 2) {
		return
	}
	id, ok := sc.number(s.arg(1), s.key(), 10)
	if !ok {
		return
	}
	k := sc.t.Append("keys", s.at())
	k.Set("id", id, s.arg(1).at)
	if file, isFile := strings.CutPrefix(s.arg(2).text, "file:"); isFile {
		k.Set("key_file", file, s.arg(2).at)
	} else {
		k.Set("key", s.arg(2).text, s.arg(2).at)
	}
}

// peers is a list of addresses with their bounds.
func peers(sc *scope, s *statement) {
	for _, k := range s.kids {
		p := sc.t.Append("unicast_peer", k.at())
		p.Set("address", k.key(), k.at())
		min, max := false, false
		for i := 1; i < len(k.words); i++ {
			w := k.words[i]
			if (w.text == "min_ttl" || w.text == "max_ttl") && i+1 < len(k.words) {
				if n, ok := sc.number(k.words[i+1], w.text, 10); ok {
					p.Set(w.text, n, k.words[i+1].at)
				}
				min, max = min || w.text == "min_ttl", max || w.text == "max_ttl"
				i++
				continue
			}
			sc.Errorf(w.at, s.key(), "%q is not known behind a peer, allowed are min_ttl and max_ttl with a number, and one peer a line", w.text)
		}
		if !min {
			sc.imply(p, "min_ttl", int64(1), k.at())
		}
	}
}

// unicast puts right what goes with peers.
func (sc *scope) unicast() {
	peers := sc.seen["unicast_peer"]
	if s := sc.seen["unicast_src_ip"]; s != nil && peers == nil {
		sc.t.Delete("unicast_src_ip")
		if !sc.t.Has("mcast_src_ip") {
			sc.Warnf(s.at(), s.key(), "there is no unicast_peer: keepalived speaks by multicast then, from this address, and so does director")
			sc.t.Set("mcast_src_ip", s.arg(1).text, s.arg(1).at)
		} else {
			sc.Warnf(s.at(), s.key(), "is not used: there is no unicast_peer, and mcast_src_ip")
		}
	}
	if s := sc.seen["unicast_ttl"]; s != nil && peers == nil {
		sc.Warnf(s.at(), s.key(), "is not used: there is no unicast_peer, and adverts by multicast have the TTL 255")
		sc.t.Delete("unicast_ttl")
	}
	if s := sc.seen["unicast_fault_no_peer"]; s != nil && peers == nil {
		sc.Errorf(s.at(), s.key(), "there is no unicast_peer: the instance would be in FAULT for ever")
	}
	if s := sc.seen["check_unicast_src"]; s != nil && peers == nil {
		sc.Warnf(s.at(), s.key(), "has no effect: there is no unicast_peer")
	}
	if peers == nil {
		return
	}
	if len(peers.kids) == 0 {
		sc.t.Set("unicast_peer", []any{}, peers.at())
	}
	if s := sc.seen["mcast_src_ip"]; s != nil {
		if !sc.t.Has("unicast_src_ip") {
			sc.t.Set("unicast_src_ip", s.arg(1).text, s.arg(1).at)
			sc.Warnf(s.at(), s.key(), "is used as unicast_src_ip, as in keepalived: there is a unicast_peer")
		} else {
			sc.Warnf(s.at(), s.key(), "is not used: there is a unicast_src_ip")
		}
		sc.t.Delete("mcast_src_ip")
	}
	if s := sc.seen["mcast_dst_ip"]; s != nil {
		sc.Warnf(s.at(), s.key(), "is not used: adverts go to the peers")
		sc.t.Delete("mcast_group")
	}
}

// checksum is v3_checksum_as_v2.
func checksum(sc *scope, s *statement) {
	on, ok := sc.onOff(s)
	if ok && on && sc.v4() && (sc.seen["version"] != nil && sc.seen["version"].arg(1).text == "3") {
		sc.set("checksum", "plain", s.at())
	}
}

// atLeastOne is a number of packets, of which director sends one at least.
func atLeastOne(path string) handler {
	return func(sc *scope, s *statement) {
		if !sc.need(s, 1, 1) {
			return
		}
		n, ok := sc.number(s.arg(1), s.key(), 10)
		if ok && n == 0 {
			sc.Warnf(s.arg(1).at, s.key(), "0 is one in director: without any announcement the hosts around would keep the old address")
			n = 1
		}
		if ok {
			sc.set(path, n, s.arg(1).at)
		}
	}
}

// useVMAC is use_vmac [NAME] [MAC].
func useVMAC(sc *scope, s *statement) {
	sc.set("use_vmac", true, s.at())
	for i := 1; i < len(s.words); i++ {
		w := s.words[i]
		switch {
		case w.text == "netlink_notify_msg":
			sc.NoEffectf(w.at, s.key(), "%s has no effect in director", w.text)
		case w.text == "group":
			sc.LeftOutf(w.at, s.key(), "%q is not supported and not used", s.rest(i))
			return
		case strings.Count(w.text, ":") == 5:
			sc.set("vmac_address", w.text, w.at)
		case strings.Count(w.text, ":") == 4: // the last octet is the VRID
			id, _ := strconv.ParseUint(sc.idText(), 10, 8)
			sc.set("vmac_address", w.text+":"+strconv.FormatUint(0x100|id, 16)[1:], w.at)
		default:
			sc.set("vmac_interface", w.text, w.at)
		}
	}
}

// idText finds the VRID, which may stand behind what needs it.
func (sc *scope) idText() string {
	for _, k := range sc.s.kids {
		if k.key() == "virtual_router_id" {
			return k.arg(1).text
		}
	}
	return ""
}

// syncGroup translates a vrrp_sync_group.
func syncGroup(sc *scope, s *statement) {
	t := sc.named("vrrp_sync_group", s)
	if t == nil {
		return
	}
	g := sc.enter("vrrp_sync_group", t, s)
	g.users("notify.user")
}

func members(sc *scope, s *statement) {
	for _, w := range s.list() {
		sc.t.Add("group", w.text, w.at)
	}
}

// groupMail asks for mail about a group.
func groupMail(sc *scope, s *statement) {
	if on, ok := sc.onOff(s); ok && on {
		sc.mailEvents["group"] = true
	}
}
