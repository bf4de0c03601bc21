package checkd

import (
	"cmp"
	"slices"
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
	d.stats = stats
	for key, e := range t.have {
		s := stats[key]
		if s == nil || len(s.Dests) != len(e.Dests) {
			t.compareAt = now
			return
		}
	}
}

// snapshot is what status shows of the checkers, with the counters that were
// read last.
func (d *Daemon) snapshot() *control.Checkers {
	c := &control.Checkers{
		Generation: d.generation,
		Services:   make([]control.Service, len(d.services)),
		Reconciled: d.table.reconciled,
		Repairs:    d.table.repairs,
	}
	for i, s := range d.services {
		c.Services[i] = d.serviceStatus(s)
	}
	for _, f := range d.table.failures {
		c.Failures = append(c.Failures, f.KernelFail)
	}
	slices.SortFunc(c.Failures, func(a, b control.KernelFail) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.What, b.What))
	})
	return c
}

func (d *Daemon) serviceStatus(s *service) control.Service {
	cfg := s.pool.Config()
	state, since, reason := s.pool.State()
	have, stats := d.table.have[s.key], d.stats[s.key]
	if stats == nil {
		stats = &ipvs.ServiceStats{}
	}
	v := control.Service{
		Name: cfg.Name, Address: s.key.String(), Scheduler: cfg.Service.Scheduler,
		Forwarding: string(cmp.Or(s.source.Forwarding, config.NAT)),
		State:      state.String(), Since: since, Reason: reason,
		Quorum: cfg.Quorum, UpWeight: s.pool.Weights().Up,
		Servers:   make([]control.Server, len(s.pool.Servers())),
		Installed: have != nil,
		Counters:  counters(stats.Counters),
	}
	for i, rs := range s.pool.Servers() {
		r := control.Server{
			Name: rs.Config.Name, Address: rs.Config.Key.String(),
			Health: rs.State.String(), Since: rs.Since, Reason: rs.Why(),
			Weight: int(rs.Config.Dest.Weight), EffectiveWeight: int(rs.Weight()), Forwarding: forwardingText(rs.Config.Dest),
			Checks: make([]control.CheckStatus, len(rs.Checks)),
		}
		installed(&r, have, stats, rs.Config.Key)
		for j, c := range rs.Checks {
			q := s.tasks[c].Query
			r.Checks[j] = control.CheckStatus{
				Kind: string(q.Kind), Target: q.TargetText(), State: c.Health.State.String(),
				Result: c.Last.Text, LastRun: c.Last.At, Duration: c.Last.Duration,
				Passed: c.Health.Passed, Failed: c.Health.Failed, Warning: c.Last.Warning, Advice: c.Advice.String(),
			}
		}
		v.Servers[i] = r
	}
	if cfg.Sorry != nil {
		v.Sorry = &control.Server{
			Name: "sorry server", Address: cfg.Sorry.Key.String(), Health: checkers.Unknown.String(), Since: since,
			Reason: "not checked", Weight: int(cfg.Sorry.Dest.Weight), EffectiveWeight: int(cfg.Sorry.Dest.Weight), Forwarding: forwardingText(cfg.Sorry.Dest),
		}
		installed(v.Sorry, have, stats, cfg.Sorry.Key)
	}
	return v
}

// installed fills in what the kernel has of a real server.
func installed(r *control.Server, have *ipvs.Entry, stats *ipvs.ServiceStats, key ipvs.DestKey) {
	r.KernelWeight = -1
	if have == nil {
		return
	}
	d, ok := have.Dests[key]
	if !ok {
		return
	}
	r.Installed, r.KernelWeight = true, int(d.Weight)
	n := stats.Dests[key]
	r.Active, r.Inactive, r.Counters = n.Active, n.Inactive, counters(n.Counters)
}

func counters(c ipvs.Counters) control.Counters {
	return control.Counters{
		Connections: c.Connections, InPackets: c.InPackets, OutPackets: c.OutPackets,
		InBytes: c.InBytes, OutBytes: c.OutBytes,
	}
}

// forwardingText names the forwarding method as the configuration does.
func forwardingText(d ipvs.Destination) string { return d.Forwarding.String() }
