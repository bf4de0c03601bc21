package watchdog

import (
	"fmt"
	"maps"

	"director/config"
	"director/internal/script"
)

// Fence asks the parent to run the command of a promotion gate of type fence, which
// it finds by the instance's name and the gate's place in the configuration. The
// parent answers with Fenced with the same ID.
type Fence struct {
	ID       uint64
	Instance string
	Gate     int
	Peer     string // the address of the silent master, empty when none was ever heard
	Reason   string // why this host would take over
}

// Fenced is the outcome of a Fence.
type Fenced struct {
	ID     uint64
	OK     bool   // exit status 0
	Failed bool   // another exit status: the other host is not out of action; else nobody knows
	Result string // for a person
}

// Pools tells the states of the virtual servers that promotion gates name: "up",
// "down", "sorry", or "unknown" before the first verdicts and without a checker child.
type Pools struct{ States map[string]string }

// fence runs the command of a fence gate. One of an instance runs at a time.
func (p *parent) fence(c *child, run *process, ask *Fence) {
	answer := func(r Fenced) {
		if c.run == run {
			r.ID = ask.ID
			run.ch.Send(Message{Fenced: &r})
		}
	}
	if p.phase == stopping {
		answer(Fenced{Result: p.stopReason()})
		return
	}
	g := c.want
	if g == nil {
		g = p.force
	}
	gate := fenceGate(g.config, ask)
	if gate == nil {
		answer(Fenced{Result: "no such gate in the configuration"})
		return
	}
	if p.fences[ask.Instance] {
		answer(Fenced{Result: "the former run has not ended"})
		return
	}
	p.fences[ask.Instance] = true
	command := script.Command{
		Argv: gate.Command, User: gate.User, Timeout: gate.Timeout.D(),
		Env: []string{
			"DIRECTOR_INSTANCE=" + ask.Instance,
			"DIRECTOR_PEER=" + ask.Peer,
			"DIRECTOR_REASON=" + ask.Reason,
			"DIRECTOR_ROUTER_ID=" + g.config.Global.RouterID,
		},
	}
	p.log.Warn("fencing the other host", "instance", ask.Instance, "peer", ask.Peer, "reason", ask.Reason)
	p.scripts.running.Go(func() {
		r := script.Run(p.scripts.ctx, command)
		p.post(func() {
			delete(p.fences, ask.Instance)
			result := r.String()
			if out := script.LastBytes(r.Output, maxScriptOutput); out != "" && !r.OK {
				result = fmt.Sprintf("%s: %q", result, out)
			}
			if r.OK {
				p.log.Info("fencing succeeded", "instance", ask.Instance, "peer", ask.Peer, "duration", r.Duration)
			} else {
				p.log.Error("fencing failed", "instance", ask.Instance, "peer", ask.Peer, "reason", result)
			}
			answer(Fenced{OK: r.OK, Failed: !r.OK && !r.TimedOut && r.Err == nil, Result: result})
		})
	})
}

// fenceGate finds the gate that a child means, nil when the configuration has none.
func fenceGate(c *config.Config, ask *Fence) *config.Gate {
	in := instance(c, ask.Instance)
	if in == nil || ask.Gate < 0 || ask.Gate >= len(in.Gates) || in.Gates[ask.Gate].Kind != config.GateFence {
		return nil
	}
	return &in.Gates[ask.Gate]
}

// instance finds an instance by its name, nil when the configuration has none.
func instance(c *config.Config, name string) *config.Instance {
	for i := range c.Instances {
		if c.Instances[i].Name == name {
			return &c.Instances[i]
		}
	}
	return nil
}

// relayPools tells the VRRP child how the pools are that its promotion gates ask
// for, whenever that has changed: it does not know the checkers, nor they it.
func (p *parent) relayPools() {
	vrrp, checkers := p.child(RoleVRRP), p.child(RoleCheckers)
	if !vrrp.follows() {
		return
	}
	states := make(map[string]string)
	for i := range vrrp.want.config.Instances {
		for _, g := range vrrp.want.config.Instances[i].Gates {
			for _, name := range g.Pools {
				states[name] = "unknown"
			}
		}
	}
	if checkers.run != nil && checkers.run.ready && checkers.last != nil && checkers.last.Checkers != nil {
		for _, s := range checkers.last.Checkers.Services {
			if states[s.Name] != "" {
				states[s.Name] = s.State
			}
		}
	}
	if maps.Equal(states, vrrp.run.pools) {
		return
	}
	vrrp.run.pools = states
	vrrp.run.ch.Send(Message{Pools: &Pools{States: states}})
}
