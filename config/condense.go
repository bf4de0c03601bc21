package config

import (
	"reflect"
	"slices"
)

// Condense returns a copy of the configuration for sending, in which the real servers that
// have the checks of their virtual server have none: in a large farm nearly all have, and
// each would carry a copy. inherits says which they are, by virtual server and real server;
// it is nil for a virtual server without checks. See Expand.
func (c *Config) Condense() (sent *Config, inherits [][]bool) {
	copied := *c
	copied.VirtualServers = slices.Clone(c.VirtualServers)
	inherits = make([][]bool, len(c.VirtualServers))
	for i := range copied.VirtualServers {
		v := &copied.VirtualServers[i]
		if len(v.Checks) == 0 {
			continue
		}
		v.RealServers, inherits[i] = slices.Clone(v.RealServers), make([]bool, len(v.RealServers))
		for j := range v.RealServers {
			if rs := &v.RealServers[j]; v.Lends(rs.Checks) {
				rs.Checks, inherits[i][j] = nil, true
			}
		}
	}
	return &copied, inherits
}

// Lends says that these are the virtual server's own checks, which Parse has given to a
// real server without any.
func (v *VirtualServer) Lends(checks []Check) bool {
	return len(v.Checks) > 0 && len(checks) == len(v.Checks) && &checks[0] == &v.Checks[0]
}

// Expand makes a configuration that Condense returned whole again. It reports false when
// inherits is that of another one.
func (c *Config) Expand(inherits [][]bool) bool {
	if len(inherits) != len(c.VirtualServers) {
		return false
	}
	for i := range c.VirtualServers {
		v := &c.VirtualServers[i]
		if len(inherits[i]) > len(v.RealServers) {
			return false
		}
		for j, yes := range inherits[i] {
			if yes {
				v.RealServers[j].Checks = v.Checks
			}
		}
	}
	return true
}

// Same says that two virtual servers are the same in everything. Checks that the real servers
// have of their virtual server are compared once, not for each of them.
func (v *VirtualServer) Same(other *VirtualServer) bool {
	a, b := *v, *other
	a.RealServers, b.RealServers = nil, nil
	if len(v.RealServers) != len(other.RealServers) || !reflect.DeepEqual(&a, &b) {
		return false
	}
	var one, two RealServer
	for i := range v.RealServers {
		one, two = v.RealServers[i], other.RealServers[i]
		if v.Lends(one.Checks) && other.Lends(two.Checks) {
			one.Checks, two.Checks = nil, nil
		}
		if !reflect.DeepEqual(&one, &two) {
			return false
		}
	}
	return true
}
