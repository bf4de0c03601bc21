package checkd

import (
	"cmp"
	"fmt"
	"time"

	"director/checkers"
	"director/config"
	"director/internal/control"
	"director/ipvs"
)

// readStats reads the counters of the kernel. When they tell of other entries
// than our picture of the table, the table is compared at once.
func (d *Daemon) readStats(now time.Time) {
	t := d.table
	if !t.known {
		return
	}
	const what = "read the IPVS counters"
	stats, err := t.kernel.Stats()
	if err != nil {
		t.fail(now, what, err).again = d.readStats
		return
	}
	t.succeed(what)
	d.stats, d.statsAt = stats, now
	for key, e := range t.have {
		s := stats[key]
		if s == nil || len(s.Dests) != len(e.Dests) {
			t.compareAt = now
			return
		}
	}
}

// snapshotDue returns when a snapshot that nobody asked for may be sent.
func (d *Daemon) snapshotDue() time.Time { return d.lastSnapshot.Add(d.gap()) }

// snapshot is what status shows of the checkers, with the counters that were
// read last.
func (d *Daemon) snapshot() *control.Checkers {
	c := &control.Checkers{
		Generation: d.generation,
		Services:   make([]control.Service, len(d.services)),
		Reconciled: d.table.reconciled,
		Repairs:    d.table.repairs,
		Repaired:   d.table.repairedAt,
		Work:       control.TableWork{Comparisons: d.table.comparisons, Operations: d.table.done, Failed: d.table.failed},
		Sync:       d.syncStatus(),
	}
	for i, s := range d.services {
		c.Services[i] = d.serviceStatus(s)
	}
	c.Failures, c.Unwritten = d.table.failures.status(), d.unwritten.status()
	return c
}

func (d *Daemon) serviceStatus(s *service) control.Service {
	cfg := s.pool.Config()
	state, since, reason := s.pool.State()
	have := d.held(s)
	stats := have.stats
	v := control.Service{
		Name: cfg.Name, Address: s.keys[0].String(), Scheduler: cfg.Service.Scheduler, Options: optionsText(cfg.Service),
		Forwarding: string(cmp.Or(s.source.Forwarding, config.NAT)),
		State:      state.String(), Since: since, Reason: reason,
		Quorum: cfg.Quorum, UpWeight: s.pool.Weights().Up,
		Servers:   make([]control.Server, len(s.pool.Servers())),
		Installed: have.all,
		Counters:  counters(stats.Counters),
		Rates:     rates(stats.Counters),
	}
	v.ActiveWith, v.Standby = s.source.ActiveWith, s.standby
	if s.source.Group != "" {
		v.Group, v.Members = s.source.Group, d.members(s)
	}
	if needs, of := s.pool.GuardNeeds(); cfg.PanicThreshold > 0 {
		v.PanicGuard = &control.PanicGuard{Threshold: cfg.PanicThreshold, Needs: needs, Of: of}
		if yes, since := s.pool.Guarding(); yes {
			v.PanicGuard.Blocking, v.PanicGuard.Since = true, since
		}
	}
	if ends, since := s.pool.Expiring(); !ends.IsZero() {
		v.Expiring = &control.Expiring{At: ends, Since: since}
	}
	if yes, since := s.pool.Overdue(); yes {
		v.NoVerdict = &control.NoVerdict{Since: since}
	}
	for i, rs := range s.pool.Servers() {
		v.Servers[i] = d.serverStatus(s, rs, have)
	}
	for _, rs := range s.pool.SorryServers() {
		v.SorryServers = append(v.SorryServers, d.serverStatus(s, rs, have))
	}
	v.Leaving = d.leavingStatus(s, have)
	return v
}

// serverStatus is what status shows of a real server or a sorry server.
func (d *Daemon) serverStatus(s *service, rs *checkers.Server, have held) control.Server {
	r := control.Server{
		Name: rs.Config.Name, Address: rs.Config.Key.String(),
		Health: rs.State.String(), Since: rs.Since, Reason: rs.Why(),
		Weight: int(rs.Config.Dest.Weight), EffectiveWeight: int(rs.Weight()), Forwarding: forwardingText(rs.Config.Dest),
		UpperThreshold: rs.Config.Dest.UpperThreshold, LowerThreshold: rs.Config.Dest.LowerThreshold,
		Kept:   rs.Kept,
		Checks: make([]control.CheckStatus, len(rs.Checks)),
	}
	if rs.Override().Order != checkers.Maintenance {
		r.Unchecked, r.Obstacle = rs.Unchecked()
	}
	if began, ends := rs.Ramp(); !began.IsZero() {
		r.RampUp = &control.RampUp{Weight: int(rs.RampedWeight()), Began: began, Ends: ends}
	}
	if o := s.overrides[rs.Config.Key]; o != nil {
		own := *o
		if o.Order == control.VerbDrain {
			own.Left, _ = d.connections(s, rs.Config.Key)
		}
		r.Override = &own
	}
	installed(&r, have, rs.Config.Key)
	for j, c := range rs.Checks {
		q := s.tasks[c].Query
		r.Checks[j] = control.CheckStatus{
			Kind: string(q.Kind), Target: q.TargetText(), State: c.Health.State.String(),
			Result: c.Last.Text, LastRun: c.Last.At, Duration: c.Last.Duration, Spent: c.Spent,
			Passed: c.Health.Passed, Failed: c.Health.Failed, Warning: c.Last.Warning, Expires: c.Expires, Advice: c.Advice.String(), Unchecked: c.Blind,
		}
	}
	return r
}

// installed fills in what the kernel has of a real server.
func installed(r *control.Server, have held, key ipvs.DestKey) {
	r.KernelWeight = -1
	d, ok := have.dests[key]
	if !ok {
		return
	}
	r.Installed, r.KernelWeight = true, int(d.Weight)
	n := have.stats.Dests[key]
	r.Active, r.Inactive, r.Persistent = n.Active, n.Inactive, n.Persistent
	r.Counters, r.Rates = counters(n.Counters), rates(n.Counters)
}

func counters(c ipvs.Counters) control.Counters {
	return control.Counters{
		Connections: c.Connections, InPackets: c.InPackets, OutPackets: c.OutPackets,
		InBytes: c.InBytes, OutBytes: c.OutBytes,
	}
}

func rates(c ipvs.Counters) control.Rates {
	return control.Rates{
		Connections: c.ConnectionRate, InPackets: c.InPacketRate, OutPackets: c.OutPacketRate,
		InBytes: c.InByteRate, OutBytes: c.OutByteRate,
	}
}

// forwardingText names the forwarding method as the configuration does, with the
// encapsulation where it is not plain IP in IP.
func forwardingText(d ipvs.Destination) string {
	s := d.Forwarding.String()
	if d.Forwarding != ipvs.Tunnel || d.TunnelType == ipvs.IPIP {
		return s
	}
	s += " " + d.TunnelType.String()
	if d.TunnelType == ipvs.GUE {
		s += fmt.Sprintf(" %d", d.TunnelPort)
	}
	switch d.TunnelFlags {
	case ipvs.TunnelChecksum:
		s += " checksum"
	case ipvs.TunnelRemoteChecksum:
		s += " remote-checksum"
	}
	return s
}

// optionsText tells how a service schedules, beyond the scheduler's name.
func optionsText(s ipvs.Service) []string {
	list := s.FlagNames()
	if s.Flags&ipvs.FlagOnePacket != 0 {
		list = append(list, "one packet")
	}
	if s.PersistenceTimeout != 0 {
		p := fmt.Sprintf("persistent for %v", time.Duration(s.PersistenceTimeout)*time.Second)
		if n, ok := ipvs.MaskBits(s.PersistenceMask); ok {
			p += fmt.Sprintf(" by /%d", n)
		}
		if s.PersistenceEngine != "" {
			p += " by " + s.PersistenceEngine
		}
		list = append(list, p)
	}
	return list
}

// held is what the kernel has of a virtual server: of a group, of all its services.
type held struct {
	all   bool // every service is there
	dests map[ipvs.DestKey]ipvs.Destination
	stats *ipvs.ServiceStats
}

// held adds up a group. Its servers go by their names in the pool, and their weight
// is that in the first service that has them.
func (d *Daemon) held(s *service) held {
	if len(s.keys) == 1 && s.source.Group == "" {
		h := held{stats: d.stats[s.keys[0]]}
		if e := d.table.have[s.keys[0]]; e != nil {
			h.all, h.dests = true, e.Dests
		}
		if h.stats == nil {
			h.stats = &ipvs.ServiceStats{}
		}
		return h
	}
	servers := append(names(s.pool.Config()), leavingKeys(s.pool.Leaving())...)
	h := held{all: true, dests: map[ipvs.DestKey]ipvs.Destination{}, stats: &ipvs.ServiceStats{Dests: map[ipvs.DestKey]ipvs.DestStats{}}}
	for _, key := range s.keys {
		e, stats := d.table.have[key], d.stats[key]
		if e == nil {
			h.all = false
			continue
		}
		if stats == nil {
			stats = &ipvs.ServiceStats{}
		}
		h.stats.Counters = h.stats.Counters.Add(stats.Counters)
		for _, name := range servers {
			to, ok := e.Dests[destKey(name, key)]
			if !ok {
				continue
			}
			if _, seen := h.dests[name]; !seen {
				h.dests[name] = to
			}
			sum, n := h.stats.Dests[name], stats.Dests[destKey(name, key)]
			sum.Active += n.Active
			sum.Inactive += n.Inactive
			sum.Persistent += n.Persistent
			sum.Counters = sum.Counters.Add(n.Counters)
			h.stats.Dests[name] = sum
		}
	}
	return h
}

// members lists the services of a group.
func (d *Daemon) members(s *service) []control.ServiceMember {
	list := make([]control.ServiceMember, len(s.keys))
	for i, key := range s.keys {
		list[i] = control.ServiceMember{Address: key.String(), Installed: d.table.have[key] != nil}
		if stats := d.stats[key]; stats != nil {
			list[i].Counters = counters(stats.Counters)
		}
	}
	return list
}
