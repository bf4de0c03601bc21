package config

import (
	"net/netip"
)

// ProbeMarks is how many firewall marks probes through virtual addresses have for
// themselves, from Global.ProbeMarkBase on: one for each real server that is asked so.
const ProbeMarks = 65536

// ProbeMark says that a firewall mark is one of those of probes through virtual
// addresses, and that there are such probes.
func (c *Config) ProbeMark(mark uint32) bool {
	base := c.Global.ProbeMarkBase
	return mark >= base && mark-base < ProbeMarks && c.throughServers() > 0
}

// throughServers counts the real servers that are asked through a virtual address.
func (c *Config) throughServers() int {
	n := 0
	for i := range c.VirtualServers {
		for j := range c.VirtualServers[i].RealServers {
			if Through(c.VirtualServers[i].RealServers[j].Checks) {
				n++
			}
		}
	}
	return n
}

// Through says that one of the checks is made through the virtual address.
func Through(checks []Check) bool {
	for i := range checks {
		if checks[i].ThroughVIP {
			return true
		}
	}
	return false
}

// ProbeAddress returns the virtual server's address that probes through it are sent
// to: of a group, its first one. It is not valid where there are firewall marks alone.
func (vs *VirtualServer) ProbeAddress() netip.AddrPort {
	if vs.Group == "" {
		return vs.Address
	}
	for i := range vs.Members {
		if m := &vs.Members[i]; m.FWMark == 0 {
			r, _ := ParseRange(m.Address)
			return netip.AddrPortFrom(r.First, r.Port)
		}
	}
	return netip.AddrPort{}
}

// throughVIP checks what probes through virtual addresses need, and that nothing
// else has their marks.
func (v *validator) throughVIP() {
	count := v.cfg.throughServers()
	if count == 0 {
		v.cfg.Global.ProbeMarkBase = 0 // concerns nobody
		return
	}
	tables := v.root.child("virtual_server")
	if at := v.root.child("global").child("ipvs_network_namespace"); at.exists() && v.ok(at) {
		v.errorf(at, "contradicts through_vip, allowed is one of them: probes start in director's own namespace, and meet its IPVS alone")
	}
	for i := range v.cfg.VirtualServers {
		vs := &v.cfg.VirtualServers[i]
		at := tables.child(vs.Name)
		v.marksApart(at, vs)
		for j, e := range at.child("check").list() {
			v.throughCheck(e, vs, &vs.Checks[j])
		}
		for j, e := range at.child("real_server").list() {
			e, rs := e.asShort("address"), &vs.RealServers[j]
			if !e.has("check") {
				v.throughServer(at.child("check").list(), e, vs, rs)
				continue
			}
			for k, c := range e.child("check").list() {
				v.throughCheck(c, vs, &rs.Checks[k])
			}
			v.throughServer(e.child("check").list(), e, vs, rs)
		}
	}
	if count > ProbeMarks {
		v.errorf(v.root.child("global").child("probe_mark_base"), "%d real servers are asked with through_vip, allowed are %d", count, ProbeMarks)
	}
}

// throughCheck checks a check with through_vip, whatever server it is of.
func (v *validator) throughCheck(e place, vs *VirtualServer, c *Check) {
	at := e.child("through_vip")
	if !c.ThroughVIP || !v.ok(e) || !v.ok(at) {
		return
	}
	for key, why := range map[string]string{
		"connect_address": "the probe goes to the virtual server's address",
		"fwmark":          "the mark says which server IPVS sends the probe to",
		"bind_interface":  "IPVS chooses the interface, as for clients",
	} {
		if child := e.child(key); child.exists() && v.ok(child) {
			v.errorf(child.atKey(), "contradicts through_vip, allowed is one of them: %s", why)
		}
	}
	to := vs.ProbeAddress()
	switch {
	case vs.FWMark != 0 || vs.Group != "" && len(vs.Members) > 0 && !to.IsValid():
		v.errorf(at, "the virtual server has firewall marks alone, allowed with an address: probes need one to be sent to")
	case to.IsValid() && to.Port() == 0 && c.ConnectPort == 0 && v.ok(e.child("connect_port")):
		v.errorf(e.child("connect_port"), "is missing, required with through_vip is a port: the virtual server has none of its own")
	}
	if bind := e.child("bind_address"); to.IsValid() && c.BindAddress.IsValid() && v.ok(bind) && c.BindAddress.Is4() != to.Addr().Is4() {
		v.errorf(bind, "%s is of another IP version than the virtual server's address, allowed with through_vip is the same", c.BindAddress)
	}
}

// throughServer checks that a server can be asked by its checks with through_vip.
func (v *validator) throughServer(checks []place, e place, vs *VirtualServer, rs *RealServer) {
	for k := range rs.Checks {
		c := &rs.Checks[k]
		if !c.ThroughVIP || k >= len(checks) || !v.ok(checks[k]) || !v.ok(e) || !v.ok(e.child("address")) {
			continue
		}
		at := checks[k].child("through_vip")
		if !v.ok(at) {
			continue
		}
		switch to := vs.ProbeAddress(); {
		case rs.Forwarding == NAT:
			v.errorf(at, "%s is reached by NAT, allowed with forwarding = \"dr\" or \"tunnel\": behind NAT a server never sees the virtual address, and its own is all there is to ask", ref(e))
		case to.IsValid() && to.Addr().Is4() != rs.Address.Addr().Is4() && !c.BindAddress.IsValid():
			v.errorf(at, "%s is of another IP version than the virtual server's address, required is bind_address: probes need an address of that version to come from", ref(e))
		}
	}
}

// marksApart checks that nobody else has the marks of the probes.
func (v *validator) marksApart(at place, vs *VirtualServer) {
	first, last := v.cfg.Global.ProbeMarkBase, v.cfg.Global.ProbeMarkBase+ProbeMarks-1
	taken := func(at place, mark uint32) {
		if mark >= first && mark <= last && v.ok(at) {
			v.errorf(at, "%d is one of the marks of probes with through_vip, allowed is a mark below %d or above %d, or another global.probe_mark_base", mark, first, last)
		}
	}
	taken(at.child("fwmark"), vs.FWMark)
	for _, id := range vs.Services() {
		if vs.Group != "" {
			taken(at.child("group"), id.FWMark)
		}
	}
	checks := func(list []place, checks []Check) {
		for i, e := range list {
			taken(e.child("fwmark"), checks[i].Mark)
		}
	}
	checks(at.child("check").list(), vs.Checks)
	for j, e := range at.child("real_server").list() {
		if e = e.asShort("address"); e.has("check") {
			checks(e.child("check").list(), vs.RealServers[j].Checks)
		}
	}
}
