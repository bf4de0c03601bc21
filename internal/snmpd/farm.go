package snmpd

import (
	"time"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// farm is the checker part of KEEPALIVED-MIB.
func (s *state) farm() []agentx.Object {
	rows, servers := s.farmRows()
	list := append(s.serverGroups(), s.virtualServers(rows)...)
	list = append(list, s.realServers(servers)...)
	return append(list, s.kernel()...)
}

// serviceRow is a virtual server of the configuration and its state.
type serviceRow struct {
	*config.VirtualServer
	now *control.Service // nil while it is not known
}

// serverRow is a real or a sorry server of a pool.
type serverRow struct {
	index   agentx.OID
	service *config.VirtualServer
	real    *config.RealServer  // nil: a sorry server
	sorry   *config.SorryServer // nil: a real server
	now     *control.Server     // nil while it is not known
}

// farmRows joins the configuration and the state. The sorry servers of a pool stand
// before its real servers, as keepalived has them.
func (s *state) farmRows() ([]serviceRow, []serverRow) {
	now := make(map[string]*control.Service)
	if c := s.status.Checkers; c != nil {
		for i := range c.Services {
			now[c.Services[i].Name] = &c.Services[i]
		}
	}
	all := 0
	for i := range s.config.VirtualServers {
		all += len(s.config.VirtualServers[i].RealServers) + len(s.config.VirtualServers[i].SorryServers)
	}
	rows := make([]serviceRow, len(s.config.VirtualServers))
	servers := make([]serverRow, 0, all)
	indexes := make(agentx.OID, 0, 2*all)
	for i := range rows {
		vs := &s.config.VirtualServers[i]
		rows[i] = serviceRow{vs, now[vs.Name]}
		real, sorry := byName(now[vs.Name])
		add := func(n int, row serverRow) {
			indexes = append(indexes, uint32(i+1), uint32(n+1))
			row.index, row.service = indexes[len(indexes)-2:len(indexes):len(indexes)], vs
			servers = append(servers, row)
		}
		for j := range vs.SorryServers {
			r := &vs.SorryServers[j]
			add(j, serverRow{sorry: r, now: sorry[r.Name]})
		}
		for j := range vs.RealServers {
			r := &vs.RealServers[j]
			add(len(vs.SorryServers)+j, serverRow{real: r, now: real[r.Name]})
		}
	}
	return rows, servers
}

// byName finds the servers of a pool.
func byName(s *control.Service) (real, sorry map[string]*control.Server) {
	if s == nil {
		return nil, nil
	}
	real, sorry = make(map[string]*control.Server, len(s.Servers)), make(map[string]*control.Server)
	for i := range s.Servers {
		real[s.Servers[i].Name] = &s.Servers[i]
	}
	for i := range s.SorryServers {
		sorry[s.SorryServers[i].Name] = &s.SorryServers[i]
	}
	return real, sorry
}

// groupMemberRow is an address, a range or a mark of a group.
type groupMemberRow struct {
	index agentx.OID
	*config.GroupMember
	addresses config.Range // zero for a mark
}

// serverGroups are virtualServerGroupTable and virtualServerGroupMemberTable.
func (s *state) serverGroups() []agentx.Object {
	var rows []groupMemberRow
	for i := range s.config.ServerGroups {
		g := &s.config.ServerGroups[i]
		for j := range g.Members {
			row := groupMemberRow{index: agentx.OID{uint32(i + 1), uint32(j + 1)}, GroupMember: &g.Members[j]}
			if row.FWMark == 0 {
				row.addresses, _ = config.ParseRange(row.Address) // the validation has seen it
			}
			rows = append(rows, row)
		}
	}
	ranges := func(r *groupMemberRow) bool { return r.FWMark == 0 && r.addresses.First != r.addresses.Last }
	only := func(when bool, v agentx.Value) agentx.Value {
		if !when {
			return none
		}
		return v
	}
	list := table(checkPart.Append(1, 1), s.config.ServerGroups, nil, []column[config.VirtualServerGroup]{
		{2, func(r *config.VirtualServerGroup) agentx.Value { return text(r.Name) }},
	})
	return append(list, table(checkPart.Append(2, 1), rows, func(r *groupMemberRow) agentx.OID { return r.index }, []column[groupMemberRow]{
		{2, func(r *groupMemberRow) agentx.Value {
			switch {
			case r.FWMark != 0:
				return agentx.Integer(1) // fwmark
			case ranges(r):
				return agentx.Integer(3) // iprange
			}
			return agentx.Integer(2) // ip
		}},
		{3, func(r *groupMemberRow) agentx.Value { return only(r.FWMark != 0, agentx.Gauge(uint64(r.FWMark))) }},
		{4, func(r *groupMemberRow) agentx.Value { return addressType(r.addresses.First) }},
		{5, func(r *groupMemberRow) agentx.Value { return only(!ranges(r), address(r.addresses.First)) }},
		{6, func(r *groupMemberRow) agentx.Value { return only(ranges(r), address(r.addresses.First)) }},
		{7, func(r *groupMemberRow) agentx.Value { return only(ranges(r), address(r.addresses.Last)) }},
		{8, func(r *groupMemberRow) agentx.Value {
			return only(r.FWMark == 0, agentx.Gauge(uint64(r.addresses.Port)))
		}},
	})...)
}

// kernel are the scalars of connection sync and of IPVS' timeouts.
func (s *state) kernel() []agentx.Object {
	c := s.config
	sync := map[uint32]agentx.Value{1: yes(c.IPVSSync != nil), 2: none, 3: none, 4: none, 5: none, 6: none, 7: none, 8: none, 9: none}
	if y := c.IPVSSync; y != nil {
		sync[2], sync[3], sync[4] = text(y.Interface), text(y.Instance), agentx.Integer(int(y.ID))
		if y.MaxLen > 0 {
			sync[5] = agentx.Integer(int(y.MaxLen))
		}
		sync[6], sync[7] = agentx.Integer(int(y.Port)), agentx.Integer(int(y.TTL))
		sync[8], sync[9] = addressType(y.Group), address(y.Group)
	}
	timeouts := map[uint32]agentx.Value{1: none, 2: none, 3: none}
	if t := c.IPVSTimeouts; t != nil {
		for number, d := range map[uint32]config.Duration{1: t.TCP, 2: t.TCPFin, 3: t.UDP} {
			if d > 0 {
				timeouts[number] = agentx.Integer(int(d.D() / time.Second))
			}
		}
	}
	return append(scalars(checkPart.Append(6), sync), scalars(checkPart.Append(7), timeouts)...)
}
