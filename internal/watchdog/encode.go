package watchdog

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"director/config"
	"director/internal/script"
	"director/ipvs"
)

// generation is one configuration that was put in force, or is about to be.
type generation struct {
	number uint64
	config *config.Config
	since  time.Time
	back   bool // it takes a trial back
	trial  bool // it may be taken back
}

// configFor returns what of the configuration is a child's business. The channels of notification
// are the parent's, and so are their passwords; the tables of the observers are theirs.
func (g *generation) configFor(r Role) *config.Config {
	c := g.config
	if r == RoleCheckers {
		return &config.Config{Global: c.Global, VirtualServers: c.VirtualServers, IPVSSync: c.IPVSSync, IPVSTimeouts: c.IPVSTimeouts, CheckerProcess: c.CheckerProcess}
	}
	sent := *c
	sent.VirtualServers, sent.ServerGroups, sent.IPVSSync, sent.IPVSTimeouts = activeWith(c), nil, nil, nil
	sent.Notify = config.Channels{}
	sent.Web, sent.SNMP = nil, nil
	if sent.Readiness != nil { // its weight, no key
		sent.Readiness = &config.Readiness{Weight: c.Readiness.Weight}
	}
	return &sent
}

// activeWith lists what the VRRP child has to know of virtual servers: that there are some which
// follow an instance, one for each such instance and without anything else of it.
func activeWith(c *config.Config) (list []config.VirtualServer) {
	seen := make(map[string]bool)
	for i := range c.VirtualServers {
		if name := c.VirtualServers[i].ActiveWith; name != "" && !seen[name] {
			seen[name] = true
			list = append(list, config.VirtualServer{Pooling: config.Pooling{ActiveWith: name}})
		}
	}
	return list
}

// configure is the Configure for a child.
func (g *generation) configure(r Role, resume *Resume) *Configure {
	return &Configure{Generation: g.number, Config: g.configFor(r), Back: g.back, Trial: g.trial, Resume: resume}
}

// needs reports whether the configuration has anything to do for a child.
func (g *generation) needs(r Role) bool {
	switch r {
	case RoleVRRP:
		return len(g.config.Instances) > 0 || len(g.config.BFD) > 0
	default:
		// An exclusive table must be kept empty even without virtual servers.
		c := g.config
		return len(c.VirtualServers) > 0 || c.Global.ExclusiveIPVS || c.IPVSSync != nil || c.IPVSTimeouts != nil
	}
}

// command finds what a request names: the command of a track script or of a
// check, and by what it is known while it runs.
func (g *generation) command(ask *RunScript) (command script.Command, key string, ok bool) {
	if g == nil {
		return script.Command{}, "", false
	}
	if ask.Check != nil {
		return g.checkCommand(ask.Check)
	}
	s, ok := g.script(ask.Name)
	if !ok {
		return script.Command{}, "", false
	}
	command = script.Command{Argv: s.Command, User: cmp.Or(s.User, g.config.Global.ScriptUser), Timeout: s.Timeout.D()}
	if command.Timeout <= 0 {
		command.Timeout = s.Interval.D()
	}
	return command, ask.Name, true
}

// checkCommand finds the command of a check. It is told what server it is to check.
func (g *generation) checkCommand(name *CheckScript) (script.Command, string, bool) {
	for i := range g.config.VirtualServers {
		v := &g.config.VirtualServers[i]
		if v.Name != name.Service {
			continue
		}
		// The addresses of a pool are distinct.
		for j := range v.RealServers {
			if rs := &v.RealServers[j]; isServer(rs.Address, name.Server) {
				return g.runOf(rs.Address, rs.Checks, name.Index)
			}
		}
		for j := range v.SorryServers {
			if ss := &v.SorryServers[j]; isServer(ss.Address, name.Server) {
				return g.runOf(ss.Address, ss.Checks, name.Index)
			}
		}
	}
	return script.Command{}, "", false
}

func isServer(address, name netip.AddrPort) bool {
	return address == name || ipvs.CanonicalDest(address) == name
}

// runOf returns the command of one of a server's checks.
func (g *generation) runOf(server netip.AddrPort, checks []config.Check, index int) (script.Command, string, bool) {
	if index < 0 || index >= len(checks) || checks[index].Kind != config.CheckScript {
		return script.Command{}, "", false
	}
	c := &checks[index]
	to := c.Target(server)
	command := script.Command{
		Argv: c.Command, User: cmp.Or(c.User, g.config.Global.ScriptUser), Timeout: c.Timeout.D(),
		Env: []string{"DIRECTOR_ADDRESS=" + to.Addr().String(), "DIRECTOR_PORT=" + strconv.Itoa(int(to.Port()))},
	}
	return command, fmt.Sprintf("check %q %s %s", command.Argv, command.User, to), true
}

// script finds a track script by its name.
func (g *generation) script(name string) (config.Script, bool) {
	for _, s := range g.config.Scripts {
		if s.Name == name {
			return s, true
		}
	}
	return config.Script{}, false
}
