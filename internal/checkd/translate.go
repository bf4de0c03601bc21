package checkd

import (
	"cmp"
	"crypto/sha256"
	"net/netip"
	"slices"
	"time"

	"director/checkers"
	"director/config"
	"director/ipvs"
)

// Query is one question to one target: the identity of a probe. Checks of any
// number of servers and services that ask the same are answered by one probe.
type Query struct {
	Kind   config.CheckKind
	Target netip.AddrPort // port 0 for kinds without ports; invalid for kinds without a target
	Path   string         // HTTP and file: what is asked for
	Host   string         // HTTP: the Host header where the check leaves it to the server
	// Question is config.Check.Question: how it is asked.
	Question [sha256.Size]byte
	// Through is the way to one real server, of a question that goes to the virtual
	// address; Mark, which a question gets when it is asked, leads onto that way.
	Through passage
	Mark    uint32
}

// TargetText names the target as status shows it: 10.0.0.1, 10.0.0.1:80,
// 10.0.0.1:80/health, 192.0.2.80:80/health through 10.0.0.1 or /run/web/state.
func (q Query) TargetText() string {
	switch {
	case q.Through.valid():
		return q.Target.String() + q.Path + " through " + q.Through.server.String()
	case !q.Target.IsValid():
		return q.Path
	case q.Target.Port() == 0:
		return q.Target.Addr().String()
	}
	return q.Target.String() + q.Path
}

// Label names the query in reasons.
func (q Query) Label() string { return string(q.Kind) + " " + q.TargetText() }

// id returns the query as the identity of a check's health.
func (q Query) id() checkers.CheckID {
	return checkers.CheckID(q.Label() + "\x00" + q.Host + "\x00" + string(q.Question[:]))
}

// schedule says when a query is asked. Together with the query it identifies a
// task of the scheduler.
type schedule struct {
	Query
	interval, whileDown, whileChanging, jitter time.Duration
	timeout, connect                           time.Duration
	logFailures                                bool
}

// order is a schedule with what is needed to carry it out.
type order struct {
	schedule
	plan *Plan
}

// plans makes the plans of checks, one for each question and time limit.
type plans struct {
	known map[planKey]*Plan
	// last are the checks that were looked at last: those of the virtual server
	// stand at most of its servers.
	last   *config.Check
	orders []order
}

type planKey struct {
	question         [sha256.Size]byte
	timeout, connect config.Duration
}

// of returns the orders for a list of checks, with no target yet.
func (p *plans) of(checks []config.Check) []order {
	if len(checks) > 0 && &checks[0] == p.last && len(checks) == len(p.orders) {
		return p.orders
	}
	list := make([]order, len(checks))
	for i := range checks {
		c := &checks[i]
		key := planKey{c.Question(), c.Timeout, c.ConnectTimeout}
		plan := p.known[key]
		if plan == nil {
			plan = NewPlan(c)
			p.known[key] = plan
		}
		list[i] = order{
			schedule: schedule{
				Query: Query{Question: key.question}, interval: c.Interval.D(),
				whileDown: cmp.Or(c.IntervalDown, c.Interval).D(), whileChanging: cmp.Or(c.IntervalChanging, c.Interval).D(),
				jitter: c.Jitter.D(), timeout: c.Timeout.D(), connect: c.ConnectTimeout.D(), logFailures: c.LogAllFailures,
			},
			plan: plan,
		}
	}
	if len(checks) > 0 {
		p.last, p.orders = &checks[0], list
	}
	return list
}

// farm is one virtual server in the terms of the packages that do the work.
type farm struct {
	keys   []ipvs.ServiceKey // the kernel's services that have the pool behind them
	pool   checkers.PoolConfig
	orders [][]order // of each server, then of each sorry server, of each check
}

// translate puts a virtual server into those terms.
func translate(v *config.VirtualServer) farm {
	f := farm{
		keys: serviceKeys(v),
		pool: checkers.PoolConfig{
			Name:           v.Name,
			Service:        kernelService(v),
			Quorum:         v.Quorum,
			Hysteresis:     v.Hysteresis,
			PanicThreshold: v.PanicShare(),
			Servers:        make([]checkers.ServerConfig, len(v.RealServers)),
			Sorry:          make([]checkers.ServerConfig, len(v.SorryServers)),
			DrainOnRemove:  v.DrainOnRemove.D(),
		},
		orders: make([][]order, 0, len(v.RealServers)+len(v.SorryServers)),
	}
	p := plans{known: map[planKey]*Plan{}}
	for i := range v.RealServers {
		rs := &v.RealServers[i]
		s := &f.pool.Servers[i]
		*s = checkers.ServerConfig{
			Name: rs.Name, Key: ipvs.CanonicalDest(rs.Address),
			Dest:    destination(cmp.Or(rs.Forwarding, v.Forwarding), rs.Tunnel, rs.Thresholds, rs.Weight),
			Inhibit: rs.Inhibit, StartsIn: !rs.Alpha, RampUp: rs.RampUp.D(), VerdictWithin: patience(rs.Checks),
		}
		f.checks(&p, v, s, rs.Address, rs.Checks)
	}
	for i := range v.SorryServers {
		ss := &v.SorryServers[i]
		s := &f.pool.Sorry[i]
		*s = checkers.ServerConfig{
			Name: ss.Name, Key: ipvs.CanonicalDest(ss.Address),
			Dest:    destination(cmp.Or(ss.Forwarding, v.Forwarding), ss.Tunnel, config.Thresholds{}, 1),
			Inhibit: ss.Inhibit, VerdictWithin: patience(ss.Checks),
		}
		f.checks(&p, v, s, ss.Address, ss.Checks)
	}
	return f
}

// checks gives a server its checks, and notes the orders for these.
func (f *farm) checks(p *plans, v *config.VirtualServer, s *checkers.ServerConfig, address netip.AddrPort, checks []config.Check) {
	s.Name = cmp.Or(s.Name, address.String())
	s.Checks = make([]checkers.CheckConfig, len(checks))
	orders := slices.Clone(p.of(checks))
	for j := range checks {
		c, o := &checks[j], &orders[j]
		o.Query = query(c, o.Question, address)
		if c.ThroughVIP {
			o.Query.goThrough(v, c, *s)
		}
		s.Checks[j] = checkers.CheckConfig{
			ID: o.id(), Label: o.Label(), Weighs: c.Weighs(), WarnBefore: time.Duration(c.ExpiryDays) * 24 * time.Hour,
			Thresholds: checkers.Thresholds{Rise: c.Rise, Fall: c.Fall},
		}
	}
	f.orders = append(f.orders, orders)
}

// leastPatience is how long the first verdict is waited for in any case: many probes at a
// start, or a busy host, take their time.
const leastPatience = 10 * time.Second

// patience is how long checks may take to come to their first verdict.
func patience(checks []config.Check) time.Duration {
	longest := leastPatience
	for i := range checks {
		c := &checks[i]
		longest = max(longest, time.Duration(c.Rise)*(c.Interval.D()+c.Timeout.D()))
	}
	return longest
}

// leavingKeys returns what a pool calls servers that leave it.
func leavingKeys(list []checkers.Leaving) []ipvs.DestKey {
	keys := make([]ipvs.DestKey, len(list))
	for i, l := range list {
		keys[i] = l.Key
	}
	return keys
}

// names returns what a pool calls its servers, the sorry servers last.
func names(c checkers.PoolConfig) []ipvs.DestKey {
	list := make([]ipvs.DestKey, 0, len(c.Servers)+len(c.Sorry))
	for _, servers := range [2][]checkers.ServerConfig{c.Servers, c.Sorry} {
		for i := range servers {
			list = append(list, servers[i].Key)
		}
	}
	return list
}
