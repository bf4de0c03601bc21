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
	for _, kind := range trackKinds() {
		table := kind.key()
		switch kind {
		case KindScript:
			table = "vrrp_script"
		case KindBFD:
			table = "bfd"
		}
		all[kind] = &trackerKind{table: table, byName: make(map[string]*named)}
	}
	add := func(kind TrackKind, name string, weight int, reverse bool) {
		k := all[kind]
		k.names = append(k.names, name)
		k.byName[name] = &named{at: v.root.child(k.table).child(name), weight: weight, reverse: reverse}
	}
	for _, t := range v.cfg.Scripts {
		add(KindScript, t.Name, t.Weight, t.Reverse)
	}
	for _, t := range v.cfg.Interfaces {
		add(KindInterface, t.Name, t.Weight, t.Reverse)
	}
	for _, t := range v.cfg.Files {
		add(KindFile, t.Name, t.Weight, t.Reverse)
	}
	for _, t := range v.cfg.Processes {
		add(KindProcess, t.Name, t.Weight, t.Reverse)
	}
	for _, t := range v.cfg.Targets {
		add(KindTarget, t.Name, t.Weight, t.Reverse)
	}
	for _, s := range v.cfg.BFD {
		add(KindBFD, s.Name, s.Weight, s.Reverse)
	}
	return all
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
			k := known[kind]
			tracker := k.byName[use.Name]
			if tracker == nil {
				if kind != KindInterface { // which need no table
					v.unknownName(e.child("name"), k.table, use.Name, k.names)
					continue
				}
				tracker = new(named)
			}
			tracker.used = true
			if !e.has("weight") {
				use.Weight = tracker.weight
			}
			if !e.has("reverse") {
				use.Reverse = tracker.reverse
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
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		needs := []string{in.Interface}
		for _, a := range in.Addresses {
			needs = append(needs, a.Device)
		}
		for _, a := range in.Excluded {
			needs = append(needs, a.Device)
		}
		for _, name := range needs {
			if t := known[KindInterface].byName[name]; t != nil {
				t.used = true
			}
		}
	}
	for _, kind := range trackKinds() {
		k := known[kind]
		for _, name := range k.names {
			switch t := k.byName[name]; {
			case t.used, kind == KindBFD: // a session is of use to its neighbour
			case kind == KindScript:
				v.warnf(t.at, "is used by no track_script and so never run")
			default:
				v.warnf(t.at, "is used by no %s and so has no effect", kind.key())
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

// trackerTables checks the trackers themselves and resolves their defaults.
func (v *validator) trackerTables() {
	files := make(map[string]place)
	for i := range v.cfg.Files {
		f := &v.cfg.Files[i]
		at := v.root.child("track_file").child(f.Name).child("file")
		if first, taken := files[f.File]; taken && f.File != "" {
			v.errorf(at, "%q is already tracked in %s, allowed is each file once: two weights are the matter of track_file", f.File, ref(first))
		} else if v.ok(at) {
			files[f.File] = at
		}
	}
	for i := range v.cfg.Processes {
		v.processTracker(&v.cfg.Processes[i])
	}
	for i := range v.cfg.Targets {
		v.targetTracker(&v.cfg.Targets[i])
	}
	interfaces := make(map[string]*InterfaceTracker, len(v.cfg.Interfaces))
	for i := range v.cfg.Interfaces {
		interfaces[v.cfg.Interfaces[i].Name] = &v.cfg.Interfaces[i]
	}
	for i := range v.cfg.Instances {
		v.ownDelay(&v.cfg.Instances[i], interfaces[v.cfg.Instances[i].Interface])
		v.ownTracked(&v.cfg.Instances[i])
	}
}

func (v *validator) processTracker(p *ProcessTracker) {
	at := v.root.child("track_process").child(p.Name)
	switch {
	case at.has("process") && at.has("command_line"):
		v.errorf(at.child("command_line"), "contradicts process, allowed is one of both")
	case !at.has("process") && !at.has("command_line"):
		v.errorf(at, "has neither process nor command_line, required is one of both")
	}
	if at.has("process") && at.has("command_match") {
		v.errorf(at.child("command_match"), "only valid with command_line: a process is compared by its whole name")
	}
	if !at.has("quorum_max") {
		p.QuorumMax = -1
	} else if max := at.child("quorum_max"); v.ok(max) && p.QuorumMax < p.Quorum {
		if at.has("quorum") {
			v.errorf(max, "%d is less than the quorum of %d, allowed is a number from it on", p.QuorumMax, p.Quorum)
		} else {
			p.Quorum = p.QuorumMax // 0: no such process may run
		}
	}
	if !at.has("fork_delay") {
		p.ForkDelay = p.Delay
	}
	if !at.has("terminate_delay") {
		p.TerminateDelay = p.Delay
	}
}

func (v *validator) targetTracker(t *TargetTracker) {
	at := v.root.child("track_target").child(t.Name)
	switch {
	case at.has("address") && at.has("gateway"):
		v.errorf(at.child("gateway"), "contradicts address, allowed is one of both")
	case !at.has("address") && !at.has("gateway"):
		v.errorf(at, "has neither address nor gateway, required is one of both")
	}
	if a := at.child("address"); a.exists() && v.ok(a) && (t.Address.IsMulticast() || t.Address.IsUnspecified()) {
		v.errorf(a, "%q is not the address of a host, allowed is what one host answers at", t.Address)
	}
	if a := at.child("address"); a.exists() && v.ok(a) && t.Address.IsLinkLocalUnicast() && t.Address.Is6() && t.Interface == "" {
		v.errorf(a, "%q is a link-local address, required with it is interface: each link has its own", t.Address)
	}
	if !at.has("port") && v.ok(at.child("type")) {
		switch t.Kind {
		case CheckTCP:
			v.errorf(at.child("port"), "is missing, required with type = \"tcp\" is a port from 1 to 65535")
		case CheckHTTP:
			t.Port = 80
		}
	}
	if !at.has("timeout") {
		t.Timeout = t.Interval
	} else {
		v.slow(at, t.Interval, t.Timeout, t.Fall)
	}
}

// ownDelay checks the delay of an instance's own interface: an instance that
// still believes in a link when the others have given it up would be a second
// master.
func (v *validator) ownDelay(in *Instance, t *InterfaceTracker) {
	limit := Duration(max(in.DownTimerAdverts-1, 1)) * in.AdvertInterval
	if t == nil || t.DownDelay < limit || in.NoTrackPrimary {
		return
	}
	if at := v.root.child("track_interface").child(t.Name).child("down_delay"); v.ok(at) {
		v.errorf(at, "%v is too long for %s, whose own interface this is: allowed is less than %v, one advert interval less than that after which the other routers take over",
			t.DownDelay, v.root.child("vrrp_instance").child(in.Name).path(), limit)
	}
}

// ownTracked looks at an instance that tracks its own interface, which it needs
// in any case.
func (v *validator) ownTracked(in *Instance) {
	if in.NoTrackPrimary {
		return
	}
	list := v.root.child("vrrp_instance").child(in.Name).child("track_interface").list()
	for j, t := range in.TrackInterfaces {
		switch e := list[j].asShort("name"); {
		case t.Name != in.Interface || t.Name == "":
		case t.Reverse && t.Weight == 0:
			v.errorf(e, "%q is the instance's own interface: needed up and down at once, it would be in FAULT for ever", t.Name)
		default:
			v.warnf(e, "%q is the instance's own interface: the instance is in FAULT while it is down, so this moves nothing without dont_track_primary", t.Name)
		}
	}
}
