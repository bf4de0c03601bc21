package config

// gates checks the promotion gates of an instance.
func (v *validator) gates(at place, in *Instance) {
	list := at.child("promotion_gate").list()
	if len(list) == 0 {
		return
	}
	locks := 0
	seen := make(map[string]place)
	for i, e := range list {
		g := &in.Gates[i]
		if !v.ok(e) || g.Kind == "" || !v.ok(e.child("type")) {
			continue
		}
		needs := func(key, what string) {
			if !e.has(key) {
				v.errorf(e.child(key), "is missing, required with type = %q is %s", g.Kind, what)
			} else if list := e.child(key); len(list.list()) == 0 && v.ok(list) {
				v.errorf(list, "an empty list is not allowed, allowed is %s", what)
			}
		}
		switch g.Kind {
		case GateReference:
			needs("target", `at least one address, such as "192.0.2.254" (ping) or "192.0.2.53:53" (TCP)`)
			v.gateTargets(e, in, g)
		case GateVIPFree:
			g.Before = BeforeTakeover
		case GateLock:
			needs("file", "the absolute path of a file on storage that all hosts share")
			if locks++; locks == 2 {
				v.errorf(e, "is the second lock of the instance, allowed is one: hosts that take two in turn can stop each other for ever")
			}
			if !in.NoPreempt && v.ok(at.child("priority")) {
				v.errorf(e.child("type"), "%q needs nopreempt = true, allowed without it are the other types: the master keeps the lock until it stops, so no better host could ever preempt it", g.Kind)
			}
			g.Before = BeforeAny
		case GateFence:
			needs("script", "a command that puts the other host out of action")
			g.Before = BeforeTakeover
			if g.User == "" {
				g.User = v.cfg.Global.ScriptUser
			}
		case GatePool:
			needs("virtual_server", "the name of at least one [virtual_server.NAME]")
			list := e.child("virtual_server").list()
			for j, name := range g.Pools {
				if v.ok(list[j]) && !v.names.servers.has(name) {
					v.unknownName(list[j], "virtual_server", name, v.names.servers.list)
				}
			}
			v.duplicates(list, g.Pools)
		}
		if in.NoPreempt && g.Before == BeforePreempt {
			v.warnf(e.child("before"), "has no effect together with nopreempt = true: the gate is never asked")
		}
		if name := g.Name(); g.Kind != GatePool || len(g.Pools) > 0 {
			if first, twice := seen[name]; twice && v.ok(e) {
				v.errorf(e, "is the same as %s, allowed is each gate once", ref(first))
			}
			seen[name] = e
		}
	}
}

// gateTargets refuses references that say nothing about where this host is.
func (v *validator) gateTargets(e place, in *Instance, g *Gate) {
	seen := make(map[string]bool)
	for j, t := range e.child("target").list() {
		t = t.asShort("address")
		at, target := t.child("address"), g.Targets[j]
		addr := target.Address.Addr()
		if !v.ok(t) || !v.ok(at) || !addr.IsValid() {
			continue
		}
		virtual := false
		for _, list := range [][]VirtualAddress{in.Addresses, in.Excluded} {
			for _, a := range list {
				virtual = virtual || a.Prefix.Addr() == addr
			}
		}
		switch {
		case addr.IsLoopback() || addr.IsMulticast() || addr.IsUnspecified():
			v.errorf(at, "%q is no address of another host, allowed is one that this host can reach only when it is not cut off, such as its gateway", target)
		case virtual:
			v.errorf(at, "%q is a virtual address of the instance, allowed is one that does not move with it, such as the gateway", target)
		case seen[target.String()]:
			v.errorf(at, "%q is already in the list, allowed is each once", target)
		}
		seen[target.String()] = true
	}
}
