package doctor

import (
	"cmp"
	"slices"
	"strings"

	"director/config"
)

// Split divides a configuration that names an ipvs_network_namespace: the farms, with
// all that IPVS does, are looked at there, the rest in director's own namespace. farm
// is nil when there is no such namespace.
func Split(c *config.Config) (rest, farm *config.Config) {
	if c.Global.IPVSNamespace == "" {
		return c, nil
	}
	outer, inner := *c, config.Config{VirtualServers: c.VirtualServers, IPVSSync: c.IPVSSync, IPVSTimeouts: c.IPVSTimeouts}
	outer.VirtualServers, outer.IPVSSync, outer.IPVSTimeouts = nil, nil, nil
	inner.Global = c.Global
	return &outer, &inner
}

// Join adds a report about a network namespace. Its findings name it, and their
// commands enter it.
func (r Report) Join(namespace string, there Report) Report {
	commands := []string{"sysctl ", "ip ", "nft ", "ethtool ", "ipvsadm "}
	for _, f := range there.Findings {
		f.Found += " (network namespace " + namespace + ")"
		f.Cure = slices.Clone(f.Cure)
		for i, c := range f.Cure {
			if slices.ContainsFunc(commands, func(name string) bool { return strings.HasPrefix(c, name) }) {
				f.Cure[i] = "ip netns exec " + namespace + " " + c
			}
		}
		r.Findings = append(r.Findings, f)
	}
	for _, u := range there.Unseen {
		u.What += " (network namespace " + namespace + ")"
		r.Unseen = append(r.Unseen, u)
	}
	r.sum()
	return r
}

// sum puts the findings in order and counts them.
func (r *Report) sum() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), cmp.Compare(a.Line, b.Line))
	})
	r.Broken, r.Unwise, r.Notes = 0, 0, 0
	for _, f := range r.Findings {
		switch f.Severity {
		case Broken:
			r.Broken++
		case Unwise:
			r.Unwise++
		case Note:
			r.Notes++
		}
	}
}
