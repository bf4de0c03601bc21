package config

import "slices"

// weights looks whether what two hosts track can change which of them is the better
// one: weights that are too small for the distance of the priorities, and weights in
// front of a host that never takes over from a master, are the usual mistakes.
func (c *comparison) weights(a, b *Instance, at func(...string) []string, there func(...string) string) {
	own, ok := c.own.Config.reach(a)
	remote, known := c.peer.Config.reach(b)
	if !ok || !known || own.weights == 0 && remote.weights == 0 || a.Priority == 255 || b.Priority == 255 {
		return // nothing moves, or by numbers that nobody knows before
	}
	switch {
	case a.NoPreempt && b.NoPreempt:
		c.warnf(at("nopreempt"), "with nopreempt on both hosts (%s) no weight of a tracker moves the addresses: a master of lower priority is left in peace; with the weight 0 a tracker that is down makes its host give up",
			there("nopreempt"))
	case own.least > remote.most:
		c.warnf(at("priority"), "stays above the %d of %s whatever is tracked: %d with everything down here and %d with everything up there, so no weight ever moves the addresses",
			b.Priority, there("priority"), own.least, remote.most)
	case remote.least > own.most:
		c.warnf(at("priority"), "stays below the %d of %s whatever is tracked: %d with everything up here and %d with everything down there, so no weight ever moves the addresses",
			b.Priority, there("priority"), own.most, remote.least)
	}
}

// reach is how far the weights of what an instance and its group track move its priority.
type reach struct {
	least, most int
	weights     int // trackers that have one
}

// reach is not ok when a number in a file takes part.
func (c *Config) reach(in *Instance) (r reach, ok bool) {
	r.least, r.most = int(in.Priority), int(in.Priority)
	type tracker struct {
		kind TrackKind
		name string
	}
	seen := make(map[tracker]bool)
	add := func(t *Tracking) bool {
		for _, u := range t.Uses() {
			weight := u.Weight
			if u.Reverse {
				weight = -weight
			}
			if weight == 0 || seen[tracker{u.Kind, u.Name}] {
				continue
			}
			seen[tracker{u.Kind, u.Name}] = true
			if u.Kind == KindFile {
				return false
			}
			r.weights++
			r.least += min(weight, 0)
			r.most += max(weight, 0)
		}
		return true
	}
	if !add(&in.Tracking) {
		return r, false
	}
	// A group's weights, and those of all its members, count for each of them.
	members := make(map[string]*Instance, len(c.Instances))
	for i := range c.Instances {
		members[c.Instances[i].Name] = &c.Instances[i]
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		if !slices.Contains(g.Members, in.Name) {
			continue
		}
		if !add(&g.Tracking) {
			return r, false
		}
		for _, name := range g.Members {
			if m := members[name]; m != nil && !add(&m.Tracking) {
				return r, false
			}
		}
	}
	r.least, r.most = min(max(r.least, 1), 254), min(max(r.most, 1), 254)
	return r, true
}
