package vrrpd

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// Foresee works out what a start with a configuration would do.
func Foresee(c *config.Config) *control.Changes {
	return (&engine{host: newHost()}).foresee(c)
}

// foresee works out what a configuration does that comes into force now. It changes
// nothing.
func (e *engine) foresee(c *config.Config) *control.Changes {
	f := foresight{changes: &control.Changes{}, adds: map[claim]string{}, removes: map[claim]string{}}
	sockets := map[portKey]bool{}
	stays := map[routerKey]bool{}
	for i := range c.Instances {
		cfg := &c.Instances[i]
		for _, family := range families(cfg) {
			key := routerKey{cfg.Interface, cfg.VRID, family}
			stays[key] = true
			f.router(cfg, key, e.routers[key])
			wantSockets(sockets, cfg, key)
		}
	}
	for _, r := range e.order {
		if !stays[r.key] {
			f.ends(r)
		}
	}
	f.items(e.host.items, static(c), true)
	f.hostChanges()
	f.sockets(e.ports, sockets)
	return f.changes
}

// foresight collects what a configuration does.
type foresight struct {
	changes *control.Changes
	// What comes into the kernel and goes from it. What passes from one router to
	// another does neither.
	adds, removes map[claim]string
	order         []claim
}

// claim is one form of something in the kernel.
type claim struct {
	key     link.Key
	variant string
}

func (f *foresight) say(format string, args ...any) {
	f.changes.VRRP = append(f.changes.VRRP, fmt.Sprintf(format, args...))
}

// router compares what is configured of a virtual router with the one that runs, nil
// when none does.
func (f *foresight) router(cfg *config.Instance, key routerKey, r *router) {
	next := items(cfg, key.family)
	switch {
	case r == nil && cfg.Priority == vrrp.PriorityOwner:
		f.say("vrrp_instance %s %v starts as MASTER: interface %s, virtual router %d", cfg.Name, key.family, key.device, key.vrid)
		f.items(nil, next, true)
	case r == nil:
		f.say("vrrp_instance %s %v starts as BACKUP: interface %s, virtual router %d", cfg.Name, key.family, key.device, key.vrid)
	case reflect.DeepEqual(r.cfg, cfg):
		f.changes.Unaffected.Instances++
		f.items(r.items, next, r.sm.State() == vrrp.Master) // settings that others share may differ
	default:
		name := cfg.Name
		if r.cfg.Name != name {
			name = r.cfg.Name + ", now " + name + ","
		}
		f.say("vrrp_instance %s %v changes and stays %v", name, key.family, r.sm.State())
		f.items(r.items, next, r.sm.State() == vrrp.Master)
	}
}

// ends tells of a router that is configured no more.
func (f *foresight) ends(r *router) {
	if r.sm.State() != vrrp.Master {
		f.say("vrrp_instance %s %v ends; it is %v", r.cfg.Name, r.key.family, r.sm.State())
		return
	}
	f.say("vrrp_instance %s %v ends; it is MASTER, says good-bye (priority 0) and gives its addresses up", r.cfg.Name, r.key.family)
	f.items(r.items, nil, true)
}

// items compares what is held with what is to be held, by a holder that has it in the
// kernel.
func (f *foresight) items(had, next []*item, holds bool) {
	if !holds {
		return
	}
	was, will := map[claim]bool{}, map[claim]bool{}
	for _, i := range next {
		will[claim{i.Key(), i.variant}] = true
	}
	for _, i := range had {
		c := claim{i.Key(), i.variant}
		was[c] = true
		// A setting is undone at a stop only.
		if !will[c] && i.Key().Kind != link.KindSetting {
			f.note(f.removes, c, "remove "+i.String())
		}
	}
	for _, i := range next {
		if c := (claim{i.Key(), i.variant}); !was[c] {
			f.note(f.adds, c, "add "+i.String())
		}
	}
}

func (f *foresight) note(to map[claim]string, c claim, text string) {
	if to[c] == "" {
		to[c] = text
		f.order = append(f.order, c)
	}
}

// hostChanges lists what comes and goes: removals first.
func (f *foresight) hostChanges() {
	for _, list := range []map[claim]string{f.removes, f.adds} {
		for _, c := range f.order {
			if text := list[c]; text != "" && (f.adds[c] == "" || f.removes[c] == "") {
				f.changes.Host = append(f.changes.Host, text)
				delete(list, c)
			}
		}
	}
}

// wantSockets notes the sockets that a virtual router needs.
func wantSockets(wanted map[portKey]bool, cfg *config.Instance, key routerKey) {
	places := []portKey{key.port()}
	for i := range cfg.Heartbeats {
		h := &cfg.Heartbeats[i]
		if !h.Unicast() || slices.ContainsFunc(h.Peers, func(p config.UnicastPeer) bool { return vrrp.FamilyOf(p.Address) == key.family }) {
			places = append(places, portKey{device: h.Interface, family: key.family})
		}
	}
	for _, p := range places {
		wanted[p] = true
		if cfg.Authentication.Type == config.AuthAH {
			p.ah = true
			wanted[p] = true
		}
	}
}

// sockets compares the sockets that there are with those that are wanted.
func (f *foresight) sockets(have map[portKey]*port, wanted map[portKey]bool) {
	keys := map[portKey]bool{}
	maps.Copy(keys, wanted)
	for key := range have {
		keys[key] = true
	}
	for _, key := range slices.SortedFunc(maps.Keys(keys), func(a, b portKey) int {
		plainFirst := 0
		if a.ah != b.ah {
			plainFirst = 1
			if b.ah {
				plainFirst = -1
			}
		}
		return cmp.Or(cmp.Compare(a.device, b.device), cmp.Compare(a.family, b.family), plainFirst)
	}) {
		name := fmt.Sprintf("VRRP socket on %s, %v", key.device, key.family)
		if key.ah {
			name += " with authentication header"
		}
		switch {
		case have[key] == nil:
			f.say("%s opens", name)
		case !wanted[key]:
			f.say("%s closes", name)
		}
	}
}
