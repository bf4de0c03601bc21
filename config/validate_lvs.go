package config

import (
	"fmt"
	"net/netip"
)

// virtualServers checks the virtual servers, each alone and then among each
// other, and resolves what real servers inherit.
func (v *validator) virtualServers() {
	v.serverGroups()
	services := make(map[ServiceID]place)
	owned, families := make(map[netip.Addr]bool), make(map[bool]bool)
	for i := range v.cfg.Instances {
		for _, list := range [2][]VirtualAddress{v.cfg.Instances[i].Addresses, v.cfg.Instances[i].Excluded} {
			for _, a := range list {
				owned[a.Prefix.Addr()], families[a.Prefix.Addr().Is6()] = true, true
			}
		}
	}

	tables := v.root.child("virtual_server")
	for i := range v.cfg.VirtualServers {
		vs := &v.cfg.VirtualServers[i]
		at := tables.child(vs.Name).keep()
		idAt := v.identity(at, vs)
		known := v.ok(idAt) && idAt.exists() && (vs.Group == "" || len(vs.Members) > 0)
		commands := vs.Commands()
		v.users(at, commands[:]...)
		v.pool(at, vs, known)
		v.scheduling(at, vs, known)
		if !known || vs.Protocol != "" && !v.ok(at.child("protocol")) || !v.ok(at.child("family")) {
			continue
		}
		warned := false
		for _, id := range vs.Services() {
			if first, taken := services[id]; taken && first.path() == at.path() {
				break // twice in its group, which has been said
			} else if taken {
				v.errorf(idAt, "%s is already the service of %s, allowed is one virtual_server for each", id, ref(first))
				break
			}
			services[id] = at
			if a := id.Address.Addr(); a.IsValid() && !warned && families[a.Is6()] && !owned[a] && len(v.errs) == 0 {
				warned = true
				v.warnf(idAt, "%s is no virtual_ipaddress of any vrrp_instance: this host answers there only if the address is set up elsewhere", a)
			}
		}
	}
}

// addrPortText leaves out a port of 0.
func addrPortText(ap netip.AddrPort) string {
	if ap.Port() == 0 {
		return ap.Addr().String()
	}
	return ap.String()
}

// identity checks what makes the service and returns the place that says it.
func (v *validator) identity(at place, vs *VirtualServer) place {
	addr, mark, group, proto := at.child("address"), at.child("fwmark"), at.child("group"), at.child("protocol")
	if family := at.child("family"); family.exists() && !mark.exists() && v.ok(family) {
		v.errorf(family, "the address itself has a family, allowed with fwmark only")
	}
	switch {
	case group.exists() && (addr.exists() || mark.exists()):
		v.errorf(group, "a service has an address, a firewall mark or a group, allowed is one of them")
		return group
	case group.exists():
		if v.ok(group) {
			v.members(group, proto, vs)
		}
		return group
	case addr.exists() && mark.exists():
		if !v.ok(mark) {
			return mark
		}
		v.errorf(mark, "a service has either an address or a firewall mark, allowed is one of them")
		return mark
	case mark.exists():
		v.markOnly(proto, vs)
		return mark
	case !addr.exists():
		v.errorf(addr, "is missing, required is an address with a port, a fwmark or a group")
		return addr
	case !v.ok(addr):
		return addr
	}
	if what := serverAddressProblem(vs.Address.Addr()); what != "" {
		v.errorf(addr, "%s %s, allowed is an address that clients can reach", show(addr.raw), what)
	} else if vs.Address.Port() == 0 && vs.PersistenceTimeout == 0 && v.ok(at.child("persistence_timeout")) {
		v.errorf(addr, "%s has no port, allowed is an address with a port from 1 to 65535, or one without a port (for all ports) together with persistence_timeout", show(addr.raw))
	}
	return addr
}

// markOnly is for a service that has firewall marks alone.
func (v *validator) markOnly(proto place, vs *VirtualServer) {
	vs.Protocol = ""
	if proto.exists() {
		v.errorf(proto, "has no meaning with fwmark: the mark alone chooses the packets; allowed with address only")
	}
}

// serverAddressProblem says why an address cannot be a server's, "" when it can.
// Loopback addresses can: they are the director's own services.
func serverAddressProblem(a netip.Addr) string {
	switch {
	case a.IsUnspecified():
		return "is the unspecified address"
	case a.IsMulticast():
		return "is a multicast address"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	}
	return ""
}

// pool checks the servers behind a virtual server.
func (v *validator) pool(at place, vs *VirtualServer, serviceKnown bool) {
	servers := at.child("real_server").list()
	for i := range servers {
		servers[i] = servers[i].asShort("address")
	}
	p := poolCheck{validator: v, at: at, vs: vs, known: serviceKnown, face: vs.face(),
		addrs: make(map[netip.AddrPort]*place, len(servers)), names: make(map[string]*place, len(servers))}

	total, allOK := 0, v.ok(at.child("real_server"))
	portless, unchecked := 0, 0
	for i := range servers {
		e, rs := &servers[i], &vs.RealServers[i]
		if !v.ok(*e) {
			allOK = false
			continue
		}
		allOK = allOK && v.ok(e.child("weight"))
		total += rs.Weight
		p.real(e, rs)
		if e.has("check") {
			v.checks(e.child("check"), rs.Checks, vs.Protocol, rs.Address.Port() == 0)
			v.bindFamily(e.child("address"), rs.Checks, rs.Address.Addr())
		} else {
			rs.Checks = vs.Checks
			v.bindFamily(e.child("address"), rs.Checks, rs.Address.Addr())
			if rs.Address.Port() == 0 && v.ok(e.child("address")) {
				portless++
			}
		}
		if len(rs.Checks) == 0 && !at.child("check").exists() {
			unchecked++
		}
	}
	v.checks(at.child("check"), vs.Checks, vs.Protocol, serviceKnown && portless > 0)
	p.sorry()
	v.pooling(at, vs, servers)
	v.tunnel(at, &vs.Tunnel, nil, p.forwardings())
	vs.setFamily(p.seen && !p.v4)

	list := at.child("real_server")
	switch {
	case len(servers) == 0 && len(vs.SorryServers) == 0 && v.ok(at.child("sorry_server")):
		v.errorf(list, "is missing, required is at least one real_server or a sorry_server")
		return
	case unchecked > 0 && unchecked == len(servers):
		v.warnf(at, "no check is configured: a dead real server would stay in the pool")
	case unchecked > 0:
		v.warnf(at, "%d of %d real servers have no check: when dead they would stay in the pool", unchecked, len(servers))
	}
	if allOK {
		v.quorum(at, vs, total)
	}
}

// quorum checks that the pool can have its quorum at all.
func (v *validator) quorum(at place, vs *VirtualServer, total int) {
	quorum, hysteresis := at.child("quorum"), at.child("hysteresis")
	if !v.ok(quorum) || !v.ok(hysteresis) {
		return
	}
	switch {
	case vs.Hysteresis >= vs.Quorum:
		v.errorf(hysteresis, "%d is not below the quorum, allowed is %s", vs.Hysteresis, upTo(vs.Quorum-1))
	case len(vs.RealServers) == 0 && !quorum.exists():
		v.warnf(at, "there is no real_server: all clients get the sorry server")
	case total == 0 && !quorum.exists():
		v.warnf(at, "every real server has weight 0: the pool never reaches its quorum")
	case total == 0:
		v.errorf(quorum, "%d cannot be reached: the weights of the real servers add up to 0", vs.Quorum)
	case vs.Quorum > total:
		v.errorf(quorum, "%d is above the total weight of the real servers, allowed is 1 to %d", vs.Quorum, total)
	case vs.Quorum+vs.Hysteresis > total:
		v.errorf(hysteresis, "%d and the quorum %d exceed the total weight of the real servers, allowed is %s: a lost quorum would never come back",
			vs.Hysteresis, vs.Quorum, upTo(min(total-vs.Quorum, vs.Quorum-1)))
	}
}

// upTo words the range from 0 to n.
func upTo(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("0 to %d", n)
}

// poolCheck is what the servers of one pool are compared with.
type poolCheck struct {
	*validator
	at       place
	vs       *VirtualServer
	known    bool // the service's own address or mark is valid
	addrs    map[netip.AddrPort]*place
	names    map[string]*place
	face          // of the service
	v4, seen bool // family of the servers of a firewall mark without one, once one is seen
}

// real checks a real server and resolves what it inherits.
func (p *poolCheck) real(e *place, rs *RealServer) {
	if rs.Forwarding == "" {
		rs.Forwarding = p.vs.Forwarding
	}
	if !e.has("inhibit_on_failure") {
		rs.Inhibit = p.vs.Inhibit
	}
	if p.ok(e.child("forwarding")) && p.ok(p.at.child("forwarding")) {
		p.tunnel(*e, &rs.Tunnel, p.vs.Tunnel, rs.Forwarding)
	}
	p.thresholds(*e, rs.Thresholds)
	commands := rs.Commands(p.vs)
	p.users(*e, commands[:]...)
	if at := e.child("address"); p.ok(at) {
		rs.Address = p.server(at, rs.Address, rs.Forwarding, p.ok(e.child("forwarding")))
		if first, taken := p.addrs[rs.Address]; taken && p.ok(at) {
			p.errorf(at, "%s is already in this pool: %s, allowed is each real server once", addrPortText(rs.Address), ref(*first))
		} else if !taken {
			p.addrs[rs.Address] = e
		}
	} else {
		return
	}
	p.name(e, &rs.Name, addrPortText(rs.Address))
}

// server checks the address of a real or sorry server against its service and
// returns it with its port.
func (p *poolCheck) server(at place, ap netip.AddrPort, fwd Forwarding, fwdOK bool) netip.AddrPort {
	a := ap.Addr()
	if what := serverAddressProblem(a); what != "" {
		p.errorf(at, "%s %s, allowed is the address of a server", show(at.raw), what)
		return ap
	}
	if !p.known || !fwdOK || !p.ok(p.at.child("forwarding")) {
		return ap
	}
	p.family(at, a, fwd)

	switch port := p.port; {
	case ap.Port() == 0:
		return netip.AddrPortFrom(a, port) // 0: it keeps the port that the client asked for
	case port != 0 && fwd != NAT && ap.Port() != port:
		p.errorf(at, "port %d differs from the service's, allowed with forwarding = %q is %d: only NAT can change a port", ap.Port(), fwd, port)
	case port == 0 && !p.portless && fwd != NAT:
		p.errorf(at, "has a port, allowed with forwarding = %q is an address without one: only NAT can change a port", fwd)
	case port == 0 && p.portless:
		p.errorf(at, "has a port, allowed is an address without one: the service takes all ports and keeps them")
	}
	return ap
}

// family checks that the service and the server speak the same IP.
func (p *poolCheck) family(at place, a netip.Addr, fwd Forwarding) {
	if p.free {
		if !p.seen {
			p.seen, p.v4 = true, a.Is4()
		}
		if a.Is4() != p.v4 {
			p.errorf(at, "%s is of another IP version than the servers before it, allowed behind a fwmark without family is one of them", a)
			return
		}
	}
	if (a.Is4() && p.six || !a.Is4() && p.four) && fwd != Tunnel {
		what := "an " + familyName(a.Is4()) + " service"
		if p.four && p.six {
			what = "services of both versions"
		}
		p.errorf(at, "%s is of another IP version, allowed behind %s is the same version, or the other one with forwarding = \"tunnel\"", a, what)
	}
}

// forwardings returns Tunnel when any server of the pool uses it, so that the
// virtual server's tunnel means something.
func (p *poolCheck) forwardings() Forwarding {
	fwd := p.vs.Forwarding
	for i := range p.vs.RealServers {
		if p.vs.RealServers[i].Forwarding == Tunnel {
			fwd = Tunnel
		}
	}
	for i := range p.vs.SorryServers {
		if p.vs.SorryServers[i].Forwarding == Tunnel {
			fwd = Tunnel
		}
	}
	return fwd
}
