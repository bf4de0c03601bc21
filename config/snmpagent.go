package config

import (
	"net/netip"
	"slices"
	"strings"
)

// SNMPAgent answers the questions of network management: a process of its own that
// holds no right gives the state to the host's SNMP agent over AgentX (RFC 2741).
type SNMPAgent struct {
	// Socket is where the agent takes subagents: an absolute path, or tcp: with an
	// address and a port.
	Socket string `toml:"socket" form:"agentx" default:"/var/agentx/master" alias:"agentx_socket snmp_socket"`
	// Objects lists the parts of the tree that are answered for: two of KEEPALIVED-MIB,
	// VRRP-MIB (RFC 2787) and VRRPV3-MIB (RFC 6527).
	Objects []string `toml:"objects" oneof:"vrrp virtual_server rfc2787 rfc6527" default:"=vrrp and virtual_server"`
	// Context is the SNMP context that the objects are in.
	Context string `toml:"context" form:"text" default:"=the default context"`
	// User is the user[:group] that the process runs as.
	User string `toml:"user" form:"user" default:"nobody"`
	// Timeout is how long the agent may take to answer, and is told to wait for us.
	Timeout Duration `toml:"timeout" default:"5s" min:"1s" max:"4m" step:"1s"`
	// PingInterval is how often an agent that asks nothing is asked whether it lives.
	PingInterval Duration `toml:"ping_interval" default:"15s" min:"1s" max:"1h"`
	// RetryInterval is the longest time between two attempts to connect.
	RetryInterval Duration `toml:"retry_interval" default:"15s" min:"1s" max:"10m"`
	// UpdateInterval is how often the process gets the state anew when nothing
	// happens; a change of state is there at once. Large farms are told more rarely.
	UpdateInterval Duration `toml:"update_interval" default:"5s" min:"250ms" max:"1m" alias:"snmp_vs_stats_update_interval snmp_rs_stats_update_interval"`
}

// Has says that a part of the tree is answered for.
func (a *SNMPAgent) Has(objects string) bool { return slices.Contains(a.Objects, objects) }

// ParseAgentX takes SNMPAgent.Socket apart: a network and an address as package net
// has them.
func ParseAgentX(s string) (network, address string, ok bool) {
	if to, tcp := strings.CutPrefix(s, "tcp:"); tcp {
		addr, err := netip.ParseAddrPort(to)
		return "tcp", to, err == nil && addr.Port() > 0
	}
	// The kernel's limit, with the final NUL.
	return "unix", s, strings.HasPrefix(s, "/") && len(s) < 108 && !strings.HasSuffix(s, "/") && strings.IndexByte(s, 0) < 0
}

// snmpAgent checks what one key alone cannot tell.
func (v *validator) snmpAgent() {
	a := v.cfg.SNMP
	if a == nil {
		return
	}
	at := v.root.child("snmp")
	objects := at.child("objects")
	switch {
	case !objects.exists():
		a.Objects = []string{"vrrp", "virtual_server"}
	case len(a.Objects) == 0 && v.ok(objects):
		v.errorf(objects, "an empty list is not allowed, required is at least one of vrrp, virtual_server, rfc2787 and rfc6527")
	}
	v.duplicates(objects.list(), a.Objects)
	if at := at.child("context"); v.ok(at) && len(a.Context) > 32 {
		v.errorf(at, "%s is not valid, allowed are 1 to 32 characters (RFC 3411, SnmpAdminString)", show(at.raw))
	}
}
