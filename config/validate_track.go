package config

// named is a tracker of the configuration, for those who use it.
type named struct {
	at      place
	weight  int
	reverse bool
	used    bool
}

// trackers are the trackers that have a table of their own, by kind and name.
type trackers map[TrackKind]*trackerKind

type trackerKind struct {
	table  string // "vrrp_script"
	names  []string
	byName map[string]*named
}

// trackers gathers what can be tracked by name.
func (v *validator) trackers() trackers {
	all := make(trackers)
	add := func(kind TrackKind, table, name string, weight int, reverse bool) {
		k := all[kind]
		if k == nil {
			k = &trackerKind{table: table, byName: make(map[string]*named)}
			all[kind] = k
		}
		k.names = append(k.names, name)
		k.byName[name] = &named{at: v.root.child(table).child(name), weight: weight, reverse: reverse}
	}
	for _, s := range v.cfg.Scripts {
		add(KindScript, "vrrp_script", s.Name, s.Weight, s.Reverse)
	}
	for _, s := range v.cfg.BFD {
		add(KindBFD, "bfd", s.Name, s.Weight, s.Reverse)
	}
	return all
}

// tableOf is the table in which a kind's trackers are defined, empty when they
// need no definition.
func (k TrackKind) tableOf() string {
	switch k {
	case KindInterface:
		return ""
	case KindScript:
		return "vrrp_script"
	case KindBFD:
		return "bfd"
	}
	return k.key()
}

// tracking checks what an instance or a group at a place tracks, and resolves
// the weights. owner: the instance's priority is not moved by weights.
func (v *validator) tracking(at place, t *Tracking, known trackers, owner bool) {
	for _, kind := range trackKinds() {
		list := at.child(kind.key()).list()
		var names []string
		for j, use := range t.entries(kind) {
			e := list[j].asShort("name")
			names = append(names, use.Name)
			if !v.ok(e) || !v.ok(e.child("name")) || use.Name == "" {
				continue
			}
			if table := kind.tableOf(); table != "" {
				var k trackerKind
				if known[kind] != nil {
					k = *known[kind]
				}
				tracker := k.byName[use.Name]
				if tracker == nil {
					v.unknownName(e.child("name"), table, use.Name, k.names)
					continue
				}
				tracker.used = true
				if !e.has("weight") {
					use.Weight = tracker.weight
				}
				if !e.has("reverse") {
					use.Reverse = tracker.reverse
				}
			}
			if owner && use.Weight != 0 {
				v.warnf(e, "the weight %d has no effect: the address owner (priority 255) keeps its priority", use.Weight)
			}
		}
		v.duplicates(list, names)
	}
}

// unused warns of trackers that nobody uses.
func (v *validator) unused(known trackers) {
	for _, kind := range trackKinds() {
		k := known[kind]
		if k == nil || kind == KindBFD {
			continue // a session is of use to its neighbour
		}
		for _, name := range k.names {
			if t := k.byName[name]; !t.used {
				v.warnf(t.at, "is used by no %s and so never run", kind.key())
			}
		}
	}
}

// groupWeights asks that a tracker counts in the same way wherever a group
// tracks it: it counts once, for every member.
func (v *validator) groupWeights(at place, g *SyncGroup, members []*Instance) {
	type key struct {
		kind TrackKind
		name string
	}
	type use struct {
		at place
		Track
	}
	first := make(map[key]use)
	check := func(at place, t *Tracking) {
		for _, kind := range trackKinds() {
			list := at.child(kind.key()).list()
			for j, u := range t.entries(kind) {
				e := list[j].asShort("name")
				if !v.ok(e) || u.Name == "" {
					continue
				}
				f, seen := first[key{kind, u.Name}]
				switch {
				case !seen:
					first[key{kind, u.Name}] = use{e, *u}
				case f.Weight != u.Weight:
					v.errorf(e, "%q has the weight %d here and %d in %s, allowed is one weight for each %s in a sync group: it counts once for every member",
						u.Name, u.Weight, f.Weight, ref(f.at), kind)
				case f.Reverse != u.Reverse:
					v.errorf(e, "%q has reverse = %t here and %t in %s, allowed is the same for each %s in a sync group: it counts once for every member",
						u.Name, u.Reverse, f.Reverse, ref(f.at), kind)
				}
			}
		}
	}
	check(at, &g.Tracking)
	for _, in := range members {
		check(v.root.child("vrrp_instance").child(in.Name), &in.Tracking)
	}
}
