package keepalived

import (
	"net/netip"
	"strconv"
	"strings"

	"director/config"
)

// addresses is a list of virtual addresses, one a line.
func addresses(key string) handler {
	return func(sc *scope, s *statement) {
		first, known := familyOf(sc.s)
		seen := make(map[string]bool)
		for _, k := range s.kids {
			if line := k.rest(0); seen[line] {
				sc.Warnf(k.at(), s.key(), "%s is there twice, and the second one is not used", k.key())
				continue
			} else {
				seen[line] = true
			}
			a, ok := parseAddress(k.key())
			if key == "virtual_ipaddress" && known && ok && a.Is4() != first.Is4() {
				sc.Errorf(k.at(), s.key(), "%s is of another version of IP than the first address: keepalived does not set it up; allowed is it in virtual_ipaddress_excluded", a)
				continue
			}
			sc.address(sc.t.Append(key, k.at()), s, k)
		}
		if len(s.kids) == 0 {
			sc.t.Set(key, []any{}, s.at())
		}
	}
}

// familyOf finds the first virtual address of an instance.
func familyOf(in *statement) (netip.Addr, bool) {
	for _, k := range in.kids {
		if k.key() == "virtual_ipaddress" && len(k.kids) > 0 {
			return parseAddress(k.kids[0].key())
		}
	}
	return netip.Addr{}, false
}

func parseAddress(s string) (netip.Addr, bool) {
	s, _, _ = strings.Cut(s, "/")
	a, err := netip.ParseAddr(s)
	return a, err == nil
}

// staticAddresses is a list of addresses that stay.
func staticAddresses(sc *scope, s *statement) {
	for _, k := range s.kids {
		t := sc.root.Append("static_address", k.at())
		sc.address(t, s, k)
		if t.Has("device") {
			continue
		}
		if d := sc.global["default_interface"]; d != nil {
			t.Set("device", d.arg(1).text, d.arg(1).at)
		} else {
			t.Set("device", "eth0", k.at())
			sc.Warnf(k.at(), s.key(), "%s names no interface: eth0 is used, as in keepalived", k.key())
		}
	}
}

// address translates one address with its options.
func (sc *scope) address(t *config.Tree, s, k *statement) {
	t.Set("address", k.key(), k.at())
	flags := map[string]string{"home": "home", "-nodad": "dad", "mngtmpaddr": "mngtmpaddr", "noprefixroute": "noprefixroute",
		"autojoin": "autojoin", "no_track": "no_track"}
	values := map[string]string{"dev": "device", "label": "label", "brd": "broadcast", "broadcast": "broadcast", "scope": "scope", "peer": "peer"}
	a, _ := parseAddress(k.key())
	for i := 1; i < len(k.words); i++ {
		w := k.words[i]
		next := k.arg(i + 1)
		switch path := values[w.text]; {
		case a.Is4() && (w.text == "home" || w.text == "-nodad" || w.text == "mngtmpaddr" || w.text == "preferred_lft"):
			sc.Warnf(w.at, s.key(), "%s is for IPv6 and is not used with %s", w.text, a)
			if w.text != "preferred_lft" {
				continue
			}
		case w.text == "autojoin" && !a.IsMulticast():
			sc.Warnf(w.at, s.key(), "autojoin is for multicast addresses and is not used with %s", a)
			continue
		case flags[w.text] != "":
			t.Set(flags[w.text], true, w.at)
			continue
		case w.text == "use_vmac":
			sc.LeftOutf(w.at, s.key(), "a MAC address for one virtual address is not supported: it has that of its interface")
			continue
		case next.text == "":
			sc.Errorf(w.at, s.key(), "%q is not known behind an address, or its value is missing; one address a line", w.text)
			return
		case path != "":
			t.Set(path, next.text, next.at)
		case w.text == "preferred_lft":
			if next.text != "forever" && next.text != "0" {
				next.text += "s"
			}
			if next.text == "0" {
				next.text = "0s"
			}
			t.Set("preferred_lft", next.text, next.at)
		case w.text == "track_group":
			sc.LeftOutf(w.at, s.key(), "%q is not supported: the address is put back when somebody takes it away, and no instance depends on it", "track_group")
		default:
			sc.Errorf(w.at, s.key(), "%q is not known behind an address, allowed are dev, label, brd, scope, peer, preferred_lft and others of ip-address(8), and one address a line", w.text)
			return
		}
		i++
	}
}

// lines translates each line of a block into an element of a list.
func lines(key string, line func(sc *scope, t *config.Tree, s, k *statement)) handler {
	return func(sc *scope, s *statement) {
		for _, k := range s.kids {
			line(sc, sc.t.Append(key, k.at()), s, k)
		}
	}
}

func staticRoutes(sc *scope, s *statement) {
	lines("static_route", (*scope).route)(sc.scope(sc, "", sc.root, s), s)
}

// routeValues are the words of ip-route(8) with one value each, and what they are
// called here: # marks a number, ~ milliseconds or a time with a unit.
var routeValues = map[string]string{
	"to": "to", "via": "via", "gw": "via", "dev": "device", "oif": "device", "src": "src", "from": "from", "as": "from",
	"scope": "scope", "table": "table", "metric": "#metric", "priority": "#metric", "preference": "#metric",
	"tos": "#tos", "dsfield": "#tos", "mtu": "#mtu", "advmss": "#advmss", "window": "#window", "rtt": "~rtt", "rttvar": "~rttvar",
	"rto_min": "~rto_min", "ssthresh": "#ssthresh", "cwnd": "#cwnd", "initcwnd": "#initcwnd", "initrwnd": "#initrwnd",
	"reordering": "#reordering", "hoplimit": "#hoplimit", "realms": "#realm", "congctl": "congctl", "pref": "pref",
	"quickack": "?quickack", "fastopen_no_cookie": "?fastopen_no_cookie", "expires": "+expires",
}

var routeProtocols = map[string]int64{
	"redirect": 1, "kernel": 2, "boot": 3, "static": 4, "gated": 8, "ra": 9, "mrt": 10, "zebra": 11, "bird": 12, "dnrouted": 13,
	"xorp": 14, "ntk": 15, "dhcp": 16, "keepalived": 18, "babel": 42, "bgp": 186, "isis": 187, "ospf": 188, "rip": 189, "eigrp": 192,
}

// route translates one route.
func (sc *scope) route(t *config.Tree, s, k *statement) {
	to := false
	for i := 0; i < len(k.words); i++ {
		w, next := k.words[i], k.arg(i+1)
		switch w.text {
		case "blackhole", "unreachable", "prohibit", "throw", "unicast":
			t.Set("type", w.text, w.at)
			continue
		case "local":
			t.Set("type", "local", w.at)
			continue
		case "inet", "inet6":
			t.Set("family", w.text, w.at)
			continue
		case "add", "prepend", "append":
			t.Set("insert", w.text, w.at)
			continue
		case "no_track", "onlink":
			t.Set(w.text, true, w.at)
			continue
		case "nexthop":
			i = sc.hops(t, s, k, i)
			continue
		case "or": // the old form with two gateways
			first := t.Get("via")
			if first == nil {
				sc.Errorf(w.at, s.key(), "\"or\" has no gateway before it")
				return
			}
			sc.Warnf(w.at, s.key(), "\"or\" is the old form of: nexthop via %v nexthop via %s", first, next.text)
			t.Delete("via")
			for _, via := range []any{first, next.text} {
				t.Append("nexthop", w.at).Set("via", via, w.at)
			}
			i++
			continue
		case "track_group", "ttl-propagate", "vrf", "encap":
			if w.text == "encap" || w.text == "vrf" {
				sc.Errorf(w.at, s.key(), "%q is not supported: make the route with the network's own configuration", w.text)
				return
			}
			sc.LeftOutf(w.at, s.key(), "%q is not supported and not used", w.text)
			i++
			continue
		case "protocol", "proto":
			if n, ok := routeProtocols[next.text]; ok {
				t.Set("protocol", n, next.at)
			} else if n, ok := sc.number(next, w.text, 0); ok {
				t.Set("protocol", n, next.at)
			}
			i++
			continue
		case "features":
			for next.text == "ecn" {
				t.Set("ecn", true, next.at)
				i++
				next = k.arg(i + 1)
			}
			continue
		}
		path := routeValues[w.text]
		if path == "" {
			if to {
				sc.Errorf(w.at, s.key(), "%q is not known in a route", w.text)
				return
			}
			t.Set("to", w.text, w.at)
			to = true
			continue
		}
		if next.text == "lock" {
			t.Add("lock", w.text, next.at)
			i++
			next = k.arg(i + 1)
		}
		if next.text == "" {
			sc.Errorf(w.at, s.key(), "the value of %q is missing", w.text)
			return
		}
		to = to || w.text == "to"
		sc.value(t, path, w, next)
		i++
	}
	sc.device(t, k)
}

// device gives a route without a way the interface of its instance, as keepalived
// does.
func (sc *scope) device(t *config.Tree, k *statement) {
	kind, _ := t.Get("type").(string)
	if t.Has("device") || t.Has("via") || t.Has("nexthop") || kind != "" && kind != "unicast" {
		return
	}
	for _, i := range sc.s.kids {
		if i.key() == "interface" && sc.s.key() == "vrrp_instance" {
			t.Set("device", i.arg(1).text, k.at())
		}
	}
}

// value puts a value of a route or a rule at a key.
func (sc *scope) value(t *config.Tree, path string, w, v word) {
	switch path[0] {
	case '#':
		text := v.text
		if w.text == "realms" && strings.Contains(text, "/") {
			text = text[strings.IndexByte(text, '/')+1:]
		}
		if n, ok := sc.number(word{text: text, at: v.at}, w.text, 0); ok {
			t.Set(path[1:], n, v.at)
		}
	case '~':
		if text := strings.TrimSuffix(v.text, "ms"); strings.HasSuffix(text, "s") {
			v.text = strings.TrimSuffix(text, "s")
			if d, ok := sc.seconds(v, w.text); ok {
				t.Set(path[1:], d, v.at)
			}
		} else {
			v.text = text
			if n, ok := sc.number(v, w.text, 10); ok {
				t.Set(path[1:], strconv.FormatInt(n, 10)+"ms", v.at)
			}
		}
	case '+':
		if d, ok := sc.seconds(word{text: strings.TrimSuffix(v.text, "s"), at: v.at}, w.text); ok {
			t.Set(path[1:], d, v.at)
		}
	case '?':
		t.Set(path[1:], v.text != "0", v.at)
	default:
		t.Set(path, v.text, v.at)
	}
}

// hops translates the ways of a route and returns the last word that belongs to
// them.
func (sc *scope) hops(t *config.Tree, s, k *statement, i int) int {
	var hop *config.Tree
	for ; i < len(k.words); i++ {
		w, next := k.words[i], k.arg(i+1)
		switch w.text {
		case "nexthop":
			hop = t.Append("nexthop", w.at)
			continue
		case "onlink":
			hop.Set("onlink", true, w.at)
			continue
		case "via":
			if next.text == "inet" || next.text == "inet6" {
				i++
				next = k.arg(i + 1)
			}
			hop.Set("via", next.text, next.at)
		case "dev":
			hop.Set("device", next.text, next.at)
		case "weight":
			if n, ok := sc.number(next, w.text, 10); ok {
				hop.Set("weight", n, next.at)
			}
		case "realms", "encap", "as":
			sc.Errorf(w.at, s.key(), "%q is not supported in a nexthop", w.text)
			return len(k.words)
		default:
			return i - 1
		}
		i++
	}
	return i
}

func staticRules(sc *scope, s *statement) {
	lines("static_rule", (*scope).rule)(sc.scope(sc, "", sc.root, s), s)
}

var ruleValues = map[string]string{
	"from": "from", "to": "to", "dst": "to", "table": "table", "lookup": "table", "iif": "iif", "dev": "iif", "oif": "oif",
	"priority": "#priority", "preference": "#priority", "order": "#priority", "pref": "#priority", "tos": "#tos", "dsfield": "#tos",
	"tunnel-id": "#tun_id", "uidrange": "uidrange", "ipproto": "ipproto", "ip_proto": "ipproto", "sport": "sport", "dport": "dport",
	"suppress_prefixlength": "#suppress_prefixlength", "suppress_prefixlen": "#suppress_prefixlength",
	"suppress_ifgroup": "#suppress_ifgroup", "goto": "#goto",
}

// rule translates one routing rule.
func (sc *scope) rule(t *config.Tree, s, k *statement) {
	for i := 0; i < len(k.words); i++ {
		w, next := k.words[i], k.arg(i+1)
		switch w.text {
		case "inet", "inet6":
			t.Set("family", w.text, w.at)
			continue
		case "not", "l3mdev", "no_track":
			t.Set(w.text, true, w.at)
			continue
		case "blackhole", "unreachable", "prohibit", "nop":
			t.Set("action", w.text, w.at)
			continue
		case "type":
			t.Set("action", next.text, next.at)
			i++
			continue
		case "fwmark":
			mark, mask, both := strings.Cut(next.text, "/")
			if n, ok := sc.number(word{text: mark, at: next.at}, w.text, 0); ok {
				t.Set("fwmark", n, next.at)
			}
			if both {
				if n, ok := sc.number(word{text: mask, at: next.at}, w.text, 0); ok {
					t.Set("fwmask", n, next.at)
				}
			}
			i++
			continue
		case "protocol", "proto":
			if n, ok := routeProtocols[next.text]; ok {
				t.Set("protocol", n, next.at)
			} else if n, ok := sc.number(next, w.text, 0); ok {
				t.Set("protocol", n, next.at)
			}
			i++
			continue
		case "track_group", "realms":
			sc.LeftOutf(w.at, s.key(), "%q is not supported and not used", w.text)
			i++
			continue
		}
		path := ruleValues[w.text]
		if path == "" || next.text == "" {
			sc.Errorf(w.at, s.key(), "%q is not known in a rule, or its value is missing", w.text)
			return
		}
		if path == "ipproto" {
			next.text = strings.ToLower(next.text)
		}
		if path == "#goto" {
			t.Set("action", "goto", w.at)
		}
		sc.value(t, path, w, next)
		i++
	}
	if !t.Has("priority") {
		sc.Warnf(k.at(), s.key(), "the rule has no preference: %d is used; write one, so that the order of the rules is known", sc.rulePrio)
		t.Set("priority", sc.rulePrio, k.at())
		sc.rulePrio--
	}
}
