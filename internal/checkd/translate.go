package checkd

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/ipvs"
)

// Query is one question to one target: the identity of a probe. Checks of any
// number of servers and services that ask the same are answered by one probe.
type Query struct {
	Kind   config.CheckKind
	Target netip.AddrPort // port 0 for kinds without ports
	// HTTP only. Status is written as "200-299,304".
	Method, Path, Host, Status, Body string
}

// TargetText names the target as status shows it: 10.0.0.1, 10.0.0.1:80 or
// 10.0.0.1:80/health.
func (q Query) TargetText() string {
	if q.Kind == config.CheckPing {
		return q.Target.Addr().String()
	}
	return q.Target.String() + q.Path
}

// Label names the query in reasons.
func (q Query) Label() string { return string(q.Kind) + " " + q.TargetText() }

// id returns the query as the identity of a check's health.
func (q Query) id() checkers.CheckID {
	return checkers.CheckID(strings.Join([]string{q.Label(), q.Method, q.Host, q.Status, q.Body}, "\x00"))
}

// Ask makes the probe. It is the Options.Probe of a real daemon.
func Ask(ctx context.Context, q Query, status []config.StatusRange) probe.Result {
	to := probe.Target{Addr: q.Target}
	switch q.Kind {
	case config.CheckPing:
		return probe.Ping(ctx, to)
	case config.CheckTCP:
		return probe.TCP(ctx, to)
	case config.CheckHTTP:
		s := probe.HTTPSettings{Method: q.Method, Path: q.Path, Host: q.Host, Body: q.Body}
		for _, r := range status {
			s.Status = append(s.Status, probe.StatusRange{From: r.From, To: r.To})
		}
		return probe.HTTP(ctx, to, s)
	}
	return probe.Result{Reason: probe.Local, Detail: fmt.Sprintf("there is no check of type %q", q.Kind)}
}

// schedule says when a query is asked. Together with the query it identifies a
// task of the scheduler.
type schedule struct {
	Query
	interval, timeout time.Duration
}

// order is a schedule with what is needed to carry it out.
type order struct {
	schedule
	status []config.StatusRange
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
		f.orders[i] = make([]order, len(rs.Checks))
		for j := range rs.Checks {
			c := &rs.Checks[j]
			o := order{
				schedule: schedule{Query: query(c, rs.Address), interval: c.Interval.D(), timeout: c.Timeout.D()},
				status:   c.Status,
			}
			f.orders[i][j] = o
			s.Checks[j] = checkers.CheckConfig{
				ID: o.id(), Label: o.Label(),
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

// query returns what a check asks of a server at address.
func query(c *config.Check, address netip.AddrPort) Query {
	ip, port := address.Addr(), address.Port()
	if c.ConnectAddress.IsValid() {
		ip = c.ConnectAddress
	}
	if c.ConnectPort != 0 {
		port = c.ConnectPort
	}
	if c.Kind == config.CheckPing {
		port = 0 // so that all servers of one machine share the probe
	}
	q := Query{Kind: c.Kind, Target: netip.AddrPortFrom(ip, port)}
	if c.Kind != config.CheckHTTP {
		return q
	}
	q.Method, q.Path, q.Host, q.Body = c.Method, c.Path, c.Host, c.Body
	if q.Host == "" && ip != address.Addr() {
		q.Host = netip.AddrPortFrom(address.Addr(), port).String()
		if port == 80 {
			q.Host = strings.TrimSuffix(q.Host, ":80")
		}
	}
	ranges := make([]string, len(c.Status))
	for i, r := range c.Status {
		ranges[i] = probe.StatusRange{From: r.From, To: r.To}.String()
	}
	q.Status = strings.Join(ranges, ",")
	return q
}

// names returns what the pool calls its servers.
func (f farm) names() []ipvs.DestKey {
	names := make([]ipvs.DestKey, 0, len(f.pool.Servers)+1)
	for i := range f.pool.Servers {
		names = append(names, f.pool.Servers[i].Key)
	}
	if f.pool.Sorry != nil {
		names = append(names, f.pool.Sorry.Key)
	}
	return names
}
