package keepalived

// answers gives an instance keepalived's announcements after an advert of lower priority:
// without a word about them they are as global_defs has those of a new master, not as the
// instance itself has them.
func (sc *scope) answers(ownDelay, ownRepeat *statement) {
	least := false
	if min := sc.global["vrrp_min_garp"]; min != nil {
		least, _ = sc.onOff(min)
	}
	for _, d := range []struct {
		own          *statement
		key, global  string
		usual, least any
		put          func(string) handler
	}{
		{ownDelay, "lower_prio_delay", "vrrp_garp_master_delay", "5s", "0s", seconds},
		{ownRepeat, "lower_prio_repeat", "vrrp_garp_master_repeat", int64(5), int64(1), atLeastOne},
	} {
		if d.own == nil {
			continue // as those of a new master, all of them
		}
		garp := sc.t.Table("garp", d.own.at())
		switch g := sc.global[d.global]; {
		case garp.Has(d.key):
		case g != nil:
			d.put("garp."+d.key)(sc, g)
		case least:
			sc.imply(garp, d.key, d.least, sc.s.at())
		default:
			sc.imply(garp, d.key, d.usual, sc.s.at())
		}
	}
}
