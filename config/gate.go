package config

import (
	"fmt"
	"net/netip"
	"strings"
)

// GateKind is a kind of promotion gates.
type GateKind string

// The kinds.
const (
	GateReference GateKind = "reference" // an address answers
	GateVIPFree   GateKind = "vip_free"  // nobody answers for a virtual address
	GateLock      GateKind = "lock"      // a file of a shared file system is locked
	GateFence     GateKind = "fence"     // a command has put the other host out of action
	GatePool      GateKind = "pool"      // virtual servers have their quorum
)

// GateBefore says before which takeovers a gate is asked.
type GateBefore string

// The takeovers.
const (
	BeforeAny      GateBefore = "any"
	BeforeTakeover GateBefore = "takeover" // no master is heard any more
	BeforePreempt  GateBefore = "preempt"  // a master of lower priority is heard; the owner starts
)

// Gate is something that must hold before a backup becomes master.
type Gate struct {
	Kind GateKind `toml:"type" oneof:"reference vip_free lock fence pool" required:"true"`
	// Timeout is how long an answer is waited for; vip_free waits so long for
	// nobody to answer.
	Timeout Duration `toml:"timeout" default:"1s" min:"10ms" max:"1h"`
	// Otherwise says what happens when there is no answer: promote or stay.
	Otherwise string   `toml:"otherwise" oneof:"stay promote" required:"true"`
	Retry     Duration `toml:"retry" default:"1s" min:"100ms" max:"1h"` // pause after a gate that did not open; of a lock also between two looks at it
	// Before is resolved for the kinds that have but one answer.
	Before  GateBefore   `toml:"before" oneof:"any takeover preempt" default:"any" when:"type=reference|pool"`
	Targets []GateTarget `toml:"target" short:"address" when:"type=reference" alias:"targets"`
	Need    string       `toml:"need" oneof:"any all" default:"any" when:"type=reference"`
	File    string       `toml:"file" form:"file" when:"type=lock"`
	Command []string     `toml:"script" form:"command" when:"type=fence" alias:"command"`
	User    string       `toml:"user" form:"user" default:"=global.script_user" when:"type=fence"`
	Pools   []string     `toml:"virtual_server" form:"name" when:"type=pool" alias:"virtual_servers"`
}

// GateTarget is an address that is asked by ping, or with a port by opening a TCP
// connection.
type GateTarget struct {
	Address netip.AddrPort `toml:"address" required:"true"`
}

func (t GateTarget) String() string {
	if t.Address.Port() == 0 {
		return t.Address.Addr().String()
	}
	return t.Address.String()
}

// Name tells the gate to a person: "reference 192.0.2.254".
func (g *Gate) Name() string {
	var of []string
	switch g.Kind {
	case GateReference:
		for _, t := range g.Targets {
			of = append(of, t.String())
		}
	case GateLock:
		of = []string{g.File}
	case GateFence:
		of = g.Command[:min(1, len(g.Command))]
	case GatePool:
		of = g.Pools
	}
	if len(of) == 0 {
		return string(g.Kind)
	}
	return fmt.Sprintf("%s %s", g.Kind, strings.Join(of, ","))
}
