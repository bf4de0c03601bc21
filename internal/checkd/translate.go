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
	orders [][]order // of each server, of each check
}

// translate puts a virtual server into those terms.
func translate(v *config.VirtualServer) farm {
	f := farm{
		keys: serviceKeys(v),
		pool: checkers.PoolConfig{
			Name:       v.Name,
			Service:    kernelService(v),
			Quorum:     v.Quorum,
			Hysteresis: v.Hysteresis,
			Servers:    make([]checkers.ServerConfig, len(v.RealServers)),
		},
		orders: make([][]order, len(v.RealServers)),
	}
	p := plans{known: map[planKey]*Plan{}}
	for i := range v.RealServers {
		rs := &v.RealServers[i]
		s := checkers.ServerConfig{
			Name:    rs.Name,
			Key:     ipvs.CanonicalDest(rs.Address),
			Dest:    destination(cmp.Or(rs.Forwarding, v.Forwarding), rs.Tunnel, rs.Thresholds, rs.Weight),
			Inhibit: rs.Inhibit,
			Checks:  make([]checkers.CheckConfig, len(rs.Checks)),
		}
		if s.Name == "" {
			s.Name = rs.Address.String()
		}
		f.orders[i] = slices.Clone(p.of(rs.Checks))
		for j := range rs.Checks {
			c, o := &rs.Checks[j], &f.orders[i][j]
			o.Query = query(c, o.Question, rs.Address)
			if c.ThroughVIP {
				o.Query.goThrough(v, c, s)
			}
			s.Checks[j] = checkers.CheckConfig{
				ID: o.id(), Label: o.Label(), Weighs: c.Weighs(),
				Thresholds: checkers.Thresholds{Rise: c.Rise, Fall: c.Fall},
			}
		}
		f.pool.Servers[i] = s
	}
	if v.SorryServer != nil {
		f.pool.Sorry = &checkers.SorryConfig{
			Key:  ipvs.CanonicalDest(v.SorryServer.Address),
			Dest: destination(cmp.Or(v.SorryServer.Forwarding, v.Forwarding), v.SorryServer.Tunnel, config.Thresholds{}, 1),
		}
	}
	return f
}

// names returns what a pool calls its servers, the sorry server last.
func names(c checkers.PoolConfig) []ipvs.DestKey {
	list := make([]ipvs.DestKey, 0, len(c.Servers)+1)
	for i := range c.Servers {
		list = append(list, c.Servers[i].Key)
	}
	if c.Sorry != nil {
		list = append(list, c.Sorry.Key)
	}
	return list
}
