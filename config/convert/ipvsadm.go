package convert

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"director/config"
	"director/ipvs"
)

// ipvsadm translates what `ipvsadm -S` writes.
func ipvsadm(name, content string, lookUp ipvs.Names) (*config.Tree, *config.Config, []config.Remark, error) {
	t := newText(name, "ipvsadm")
	commands, err := ipvs.ParseCommands(content, lookUp)
	table := make(ipvs.Table)
	if err == nil {
		err = table.Run(commands)
	}
	var wrong ipvs.CommandErrors
	if errors.As(err, &wrong) {
		for _, e := range wrong {
			t.Errorf(t.at(e.Line), "", "%v", e.Err)
		}
		return t.build()
	}
	n := 0
	for line := range strings.Lines(content) {
		n++
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "#") {
			t.comment(n, s, false)
		}
	}
	where := linesOf(commands)
	keys := table.Keys()
	slices.SortStableFunc(keys, func(a, b ipvs.ServiceKey) int { return cmp.Compare(where[line{key: a}], where[line{key: b}]) })
	for _, key := range keys {
		t.kernelService(key, table[key], where)
	}
	if len(keys) > 0 {
		t.root.Item("").Above("From a table that ipvsadm saved. ipvsadm knows no checks: as it stands, a real server that is dead",
			"stays in its pool. The line that is commented out in each virtual server checks it.", "")
	}
	return t.build()
}

// line is what a command of ipvsadm is about.
type line struct {
	key  ipvs.ServiceKey
	dest ipvs.DestKey
}

// linesOf finds where each service and each server was added last.
func linesOf(commands []ipvs.Command) map[line]int {
	where := make(map[line]int)
	for _, c := range commands {
		switch c.Op.Kind {
		case ipvs.AddService:
			where[line{key: c.Op.Key}] = c.Line
		case ipvs.AddDest:
			where[line{c.Op.Key, c.Op.DestKey}] = c.Line
		}
	}
	return where
}

// kernelService translates one service.
func (t *text) kernelService(key ipvs.ServiceKey, e *ipvs.Entry, where map[line]int) {
	at := t.at(where[line{key: key}])
	if len(e.Dests) == 0 {
		t.LeftOutf(at, key.String(), "has no real server, and director has no virtual server without any")
		return
	}
	var vs *config.Tree
	tables := t.root.Table("virtual_server", at)
	if key.FWMark != 0 {
		vs = tables.Table(t.unique("mark-"+strconv.FormatUint(uint64(key.FWMark), 10), "mark-"+strconv.FormatUint(uint64(key.FWMark), 10)+"-"+key.Family.String()), at)
		vs.Set("fwmark", int64(key.FWMark), at)
		for d := range e.Dests { // else the servers tell it
			if ipvs.FamilyOf(d.Addr()) != key.Family {
				vs.Set("family", key.Family.String(), at)
			}
		}
	} else {
		vs = tables.Table(t.unique(names(key.Addr.Addr().String(), key.Addr.Port(), key.Protocol.String())...), at)
		vs.Set("address", endpoint(key.Addr.Addr(), key.Addr.Port()), at)
		vs.Set("protocol", key.Protocol.String(), at)
	}
	vs.Set("scheduler", e.Service.Scheduler, at)
	t.settings(vs, e.Service, at)

	dests := e.Keys()
	slices.SortStableFunc(dests, func(a, b ipvs.DestKey) int { return cmp.Compare(where[line{key, a}], where[line{key, b}]) })
	common := e.Dests[dests[0]].Forwarding
	for _, d := range dests {
		if e.Dests[d].Forwarding != common {
			common = ipvs.NAT // the default, beside which each says its own
		}
	}
	vs.Set("forwarding", common.String(), at)
	for _, d := range dests {
		t.kernelServer(vs.Append("real_server", t.at(where[line{key, d}])), key, d, e.Dests[d], common, t.at(where[line{key, d}]))
	}
	port := key.Addr.Port()
	for _, d := range dests {
		port = cmp.Or(port, d.Port())
	}
	check := `{ type = "tcp" }`
	if key.Protocol == ipvs.UDP || port == 0 {
		check = `{ type = "ping" }`
	} else if key.Addr.Port() == 0 {
		check = `{ type = "tcp", connect_port = ` + strconv.Itoa(int(port)) + ` }`
	}
	vs.Item("").Foot("#check = " + check)
}

// settings translates what a service has beside its scheduler.
func (t *text) settings(vs *config.Tree, s ipvs.Service, at config.Position) {
	flags := []string{"flag-1", "flag-2", "flag-3"}
	if s.Scheduler == "sh" || s.Scheduler == "mh" {
		flags[0], flags[1] = s.Scheduler+"-fallback", s.Scheduler+"-port"
	}
	for i, bit := range []ipvs.ServiceFlags{ipvs.FlagSched1, ipvs.FlagSched2, ipvs.FlagSched3} {
		if s.Flags&bit != 0 {
			vs.Add("scheduler_flags", flags[i], at)
		}
	}
	if s.Flags&ipvs.FlagOnePacket != 0 {
		vs.Set("one_packet", true, at)
	}
	if s.PersistenceTimeout != 0 {
		vs.Set("persistence_timeout", strconv.FormatUint(uint64(s.PersistenceTimeout), 10)+"s", at)
	}
	if n, ok := ipvs.MaskBits(s.PersistenceMask); ok {
		mask := s.PersistenceMask.String()
		if s.PersistenceMask.Is6() {
			mask = strconv.Itoa(n)
		}
		vs.Set("persistence_granularity", mask, at)
	}
	if s.PersistenceEngine != "" {
		vs.Set("persistence_engine", s.PersistenceEngine, at)
	}
}

// kernelServer translates one real server.
func (t *text) kernelServer(rs *config.Tree, key ipvs.ServiceKey, d ipvs.DestKey, s ipvs.Destination, common ipvs.Forwarding, at config.Position) {
	port := d.Port()
	if s.Forwarding != ipvs.NAT && key.FWMark == 0 && port != key.Addr.Port() {
		t.Warnf(at, d.String(), "the port is not used: only -m (nat) can change it, and so the kernel keeps the service's")
		port = key.Addr.Port()
	}
	if s.Forwarding != ipvs.NAT && key.FWMark != 0 {
		port = 0 // packets keep theirs
	}
	rs.Set("address", endpoint(d.Addr(), port), at)
	rs.Set("weight", int64(s.Weight), at)
	if s.Forwarding != common {
		rs.Set("forwarding", s.Forwarding.String(), at)
	}
	if s.UpperThreshold != 0 {
		rs.Set("upper_threshold", int64(s.UpperThreshold), at)
	}
	if s.LowerThreshold != 0 {
		rs.Set("lower_threshold", int64(s.LowerThreshold), at)
	}
	if s.Forwarding != ipvs.Tunnel || s.TunnelType == ipvs.IPIP {
		return
	}
	tunnel := rs.Table("tunnel", at)
	tunnel.Set("type", s.TunnelType.String(), at)
	if s.TunnelPort != 0 {
		tunnel.Set("port", int64(s.TunnelPort), at)
	}
	switch s.TunnelFlags {
	case ipvs.TunnelChecksum:
		tunnel.Set("checksum", "checksum", at)
	case ipvs.TunnelRemoteChecksum:
		tunnel.Set("checksum", "remote-checksum", at)
	}
}

// endpoint writes an address with a port that may be absent.
func endpoint(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
