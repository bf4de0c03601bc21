package config

// groups checks the sync groups, whose members have been checked already.
func (v *validator) groups(known trackers) {
	instances := make(map[string]*Instance)
	names := make([]string, 0, len(v.cfg.Instances))
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		instances[in.Name] = in
		names = append(names, in.Name)
	}
	grouped := make(map[string]place)
	tables := v.root.child("vrrp_sync_group")
	for i := range v.cfg.Groups {
		g := &v.cfg.Groups[i]
		at := tables.child(g.Name)
		list := at.child("group")
		v.tracking(at, &g.Tracking, known, false)
		v.duplicates(list.list(), g.Members)
		if g.Notify.User == "" {
			g.Notify.User = v.cfg.Global.ScriptUser
		}
		commands := g.Notify.Commands()
		v.users(at.child("notify"), commands[:]...)

		var members []*Instance
		own := make(map[string]bool)
		for j, e := range list.list() {
			name := g.Members[j]
			in := instances[name]
			switch first, taken := grouped[name]; {
			case !v.ok(e) || own[name]:
			case in == nil:
				v.unknownName(e, "vrrp_instance", name, names)
			case taken:
				v.errorf(e, "%q is already in %s, allowed is one group for each instance", name, ref(first))
			default:
				grouped[name], own[name] = at, true
				members = append(members, in)
			}
		}
		switch n := len(g.Members); {
		case !list.exists() || !v.ok(list):
		case n == 0:
			v.errorf(list, "an empty list is not allowed, allowed are the names of at least two instances")
		case n == 1:
			v.warnf(list, "a group of one instance has no effect, except for its own notify and tracking")
		}
		v.groupWeights(at, g, members)
		for _, in := range members {
			if first := members[0]; in.Priority != first.Priority {
				v.warnf(list, "%s has priority %d and %s has %d: a group moves as one, so where another host is better in one instance and worse in another neither of them comes first",
					first.Name, first.Priority, in.Name, in.Priority)
				break
			}
		}
	}
}
