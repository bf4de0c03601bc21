package config

import (
	"slices"
	"strings"
	"time"
)

// pooling checks how a pool reacts to the health of its servers, and resolves what
// its servers inherit of that.
func (v *validator) pooling(at place, vs *VirtualServer, servers []place) {
	v.rampUp(at, vs.RampUp, vs)
	ramps, light := vs.RampUp > 0, 0
	for i, e := range servers {
		rs := &vs.RealServers[i]
		if !e.has("alpha") {
			rs.Alpha = vs.Alpha
		}
		if e.has("ramp_up") {
			v.rampUp(e, rs.RampUp, vs)
		} else {
			rs.RampUp = vs.RampUp
		}
		if rs.RampUp > 0 {
			ramps = true
			if rs.Weight == 1 {
				light++
			}
		}
	}
	if light > 0 {
		v.warnf(at, "%d of %d real servers have ramp_up and weight 1, which has no smaller share: use greater weights, such as 100 each", light, len(vs.RealServers))
	}
	if !ramps && at.child("ramp_up").exists() && vs.RampUp > 0 {
		v.warnf(at.child("ramp_up"), "has no effect: every real server has its own")
	}
	if guard := at.child("panic_threshold"); v.ok(guard) && vs.PanicShare() > 0 && len(vs.SorryServers) > 0 {
		v.warnf(guard, "%s of the weight stays in service whatever the checks say: the sorry_server answers only while every real server is ordered out of service", vs.PanicThreshold)
	}
	v.places(at, vs)
	if omega := at.child("omega"); vs.Omega && v.cfg.Global.KeepIPVSOnStop && v.ok(omega) {
		v.warnf(omega, "has no effect with global.keep_ipvs_on_stop = true: the service goes on after the stop")
	}
	if with := at.child("active_with"); vs.ActiveWith != "" && v.ok(with) {
		if !v.names.instances.has(vs.ActiveWith) {
			v.unknownName(with, "vrrp_instance", vs.ActiveWith, v.names.instances.list)
		}
		if v.cfg.IPVSSync != nil {
			v.warnf(with, "goes with ipvs_sync, but of the connections that a backup has learned many count for no real server after a takeover: a drain does not wait for them")
		}
	}
}

// places warns where servers are to stay in the table with weight 0 under a scheduler
// that does not pass them over.
func (v *validator) places(at place, vs *VirtualServer) {
	if scheduler := at.child("scheduler"); !vs.HoldsPlaces() || !v.ok(scheduler) || !v.ok(at.child("scheduler_flags")) {
		return
	}
	var why []string
	add := func(key string, is bool) {
		if is && !slices.Contains(why, key) {
			why = append(why, key)
		}
	}
	for i := range vs.RealServers {
		rs := &vs.RealServers[i]
		add("inhibit_on_failure", rs.Inhibit)
		add("a real_server of weight 0", rs.Weight == 0)
		add("a check that sets weights", slices.ContainsFunc(rs.Checks, func(c Check) bool { return c.Weighs() }))
	}
	add("drain_on_remove", vs.DrainOnRemove > 0)
	add("inhibit of the sorry_server", slices.ContainsFunc(vs.SorryServers, func(s SorryServer) bool { return s.Inhibit }))
	if len(why) > 0 {
		v.warnf(at.child("scheduler"), "%q refuses the new clients that it hashes to a server with weight 0, as there may be with %s: %s",
			vs.Scheduler, strings.Join(why, ", "), vs.Fallback())
	}
}

// rampUp checks the ramp_up of a virtual or a real server.
func (v *validator) rampUp(at place, d Duration, vs *VirtualServer) {
	ramp := at.child("ramp_up")
	switch {
	case d == 0 || !v.ok(ramp):
	case d.D() < time.Second:
		v.errorf(ramp, "%s is too short, allowed is \"0s\" or a duration from 1s to 24h", show(ramp.raw))
	case slices.Contains([]string{"rr", "lc", "dh"}, vs.Scheduler):
		v.errorf(ramp, "has no effect with scheduler = %q, which takes no account of weights; allowed with the others, such as \"wrr\" or \"wlc\"", vs.Scheduler)
	}
}

// sorry checks the sorry servers and resolves what they inherit.
func (p *poolCheck) sorry() {
	for i, e := range p.at.child("sorry_server").list() {
		e = e.asShort("address")
		p.sorryServer(&e, &p.vs.SorryServers[i])
	}
}

func (p *poolCheck) sorryServer(e *place, ss *SorryServer) {
	if ss.Forwarding == "" {
		ss.Forwarding = p.vs.Forwarding
	}
	if !p.ok(*e) {
		return
	}
	if p.ok(e.child("forwarding")) && p.ok(p.at.child("forwarding")) {
		p.tunnel(*e, &ss.Tunnel, p.vs.Tunnel, ss.Forwarding)
	}
	p.checks(e.child("check"), ss.Checks, p.vs.Protocol, ss.Address.Port() == 0 && p.port == 0)
	for i, c := range e.child("check").list() {
		if at := c.child("through_vip"); ss.Checks[i].ThroughVIP && p.ok(at) {
			p.errorf(at.atKey(), "is for real servers, allowed with a sorry_server is a check of its own address")
		}
	}
	at := e.child("address")
	if !p.ok(at) {
		return
	}
	ss.Address = p.server(at, ss.Address, ss.Forwarding, p.ok(e.child("forwarding")))
	p.bindFamily(at, ss.Checks, ss.Address.Addr())
	if first, taken := p.addrs[ss.Address]; taken && p.ok(at) {
		p.errorf(at, "%s is also a server of this pool: %s, allowed is each server once", addrPortText(ss.Address), ref(*first))
	} else if !taken {
		p.addrs[ss.Address] = e
	}
	p.name(e, &ss.Name, addrPortText(ss.Address))
}

// name resolves the name of a server, which no other server of the pool has.
func (p *poolCheck) name(e *place, name *string, otherwise string) {
	if *name == "" {
		*name = otherwise
	}
	at := e.child("name")
	if !p.ok(at) {
		return
	}
	if first, taken := p.names[*name]; taken && p.ok(e.child("address")) {
		p.errorf(at, "%q is already the name of %s, allowed is a name of its own", *name, ref(*first))
	} else if !taken {
		p.names[*name] = e
	}
}
