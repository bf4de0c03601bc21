package config

import "net/netip"

// plausible warns of what works but does not do what it is there for. It looks at
// values that are right by themselves, and is asked only when all are.
func (v *validator) plausible() {
	v.sameLink()
	v.lateTriggers()
	v.ownServers()
	v.directorServers()
}

// sameLink looks for one number on two interfaces that are probably on one link: the
// virtual addresses are of the same network.
func (v *validator) sameLink() {
	type router struct {
		vrid uint8
		net  netip.Prefix
	}
	first := make(map[router]*Instance)
	tables := v.root.child("vrrp_instance")
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		for _, a := range in.Addresses {
			if a.Prefix.IsSingleIP() || a.Prefix.Addr().IsLinkLocalUnicast() || a.Device != in.deviceOf(a.Prefix.Addr().Is6()) {
				continue
			}
			id := router{in.VRID, a.Prefix.Masked()}
			other := first[id]
			if other == nil {
				first[id] = in
				continue
			}
			if other.Interface == in.Interface || in.Unicast() != other.Unicast() || in.Group != other.Group {
				continue // another instance of one interface is an error of its own, or they do not hear each other
			}
			v.warnf(tables.child(in.Name).child("virtual_router_id"),
				"%d is also that of %s, whose addresses are of the same network %s: if %s and %s are on one link, as ports of one bridge are, each takes the adverts of the other for its own",
				in.VRID, ref(tables.child(other.Name)), id.net, other.Interface, in.Interface)
			break
		}
	}
}

// lateTriggers looks for BFD sessions that notice a dead router no sooner than the
// missing adverts do. The neighbour's multiplier is taken to be the same as here.
func (v *validator) lateTriggers() {
	sessions := make(map[string]*BFD, len(v.cfg.BFD))
	for i := range v.cfg.BFD {
		sessions[v.cfg.BFD[i].Name] = &v.cfg.BFD[i]
	}
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		dead := Duration(in.DownTimerAdverts) * in.AdvertInterval
		list := v.root.child("vrrp_instance").child(in.Name).child("bfd_trigger").list()
		for j, t := range in.BFDTriggers {
			s := sessions[t.Name]
			if s == nil {
				continue
			}
			if noticed := Duration(s.Multiplier) * s.MinRx; noticed >= dead {
				v.warnf(list[j], "%q notices a dead router after %v (multiplier times min_rx), which is no sooner than the %v of missing adverts: it triggers nothing",
					t.Name, noticed, dead)
			}
		}
	}
}

// ownServers looks for real servers with an address that moves between the directors,
// their service's own above all: what is sent there comes back to a director.
func (v *validator) ownServers() {
	virtual := make(map[netip.Addr]place)
	tables := v.root.child("vrrp_instance")
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		for _, a := range in.Addresses {
			virtual[a.Prefix.Addr()] = tables.child(in.Name)
		}
		for _, a := range in.Excluded {
			virtual[a.Prefix.Addr()] = tables.child(in.Name)
		}
	}
	for i := range v.cfg.VirtualServers {
		vs := &v.cfg.VirtualServers[i]
		for j := range vs.RealServers {
			addr := vs.RealServers[j].Address.Addr()
			if in, moves := virtual[addr]; moves {
				v.warnf(v.serverAddress(vs, j), "%s is a virtual address of %s, which one of the directors has: what is sent there is balanced once more", addr, ref(in))
			} else if vs.Address.IsValid() && addr == vs.Address.Addr() {
				v.warnf(v.serverAddress(vs, j), "%s is the address of the virtual server itself: what is sent there is balanced once more", addr)
			}
		}
	}
}

// serverAddress is the place of the address of a real server.
func (v *validator) serverAddress(vs *VirtualServer, n int) place {
	return v.root.child("virtual_server").child(vs.Name).child("real_server").list()[n].asShort("address").child("address")
}

// directorServers looks for directors that are real servers of direct routing or of a
// tunnel: the packet comes with the virtual address, for which their IPVS has the service
// while they are backups as well. Whether backups are told to pass such packets on
// (net.ipv4.vs.backup_only, while the backup daemon of connection sync runs) is a matter
// of the host: director doctor looks at that.
func (v *validator) directorServers() {
	if s := v.cfg.IPVSSync; s != nil && s.Instance != "" {
		return
	}
	directors := make(map[netip.Addr]place)
	add := func(a netip.Addr, at place) {
		if _, known := directors[a]; a.IsValid() && !known {
			directors[a] = at
		}
	}
	tables := v.root.child("vrrp_instance")
	for i := range v.cfg.Instances {
		in, at := &v.cfg.Instances[i], tables.child(v.cfg.Instances[i].Name)
		for _, ipv6 := range [...]bool{false, true} {
			add(in.Source.Of(ipv6), at.child("mcast_src_ip"))
			add(in.UnicastSource.Of(ipv6), at.child("unicast_src_ip"))
		}
		for _, p := range in.Peers {
			add(p.Address, at.child("unicast_peer"))
		}
		for _, h := range in.Heartbeats {
			for _, p := range h.Peers {
				add(p.Address, at.child("heartbeat"))
			}
		}
	}
	if r := v.cfg.Readiness; r != nil {
		for _, p := range r.Peers {
			add(p.Address.Addr(), v.root.child("readiness").child("peer"))
		}
	}
	for i := range v.cfg.VirtualServers {
		vs := &v.cfg.VirtualServers[i]
		for j := range vs.RealServers {
			rs := &vs.RealServers[j]
			who, is := directors[rs.Address.Addr()]
			if is && rs.Forwarding != NAT && vs.ActiveWith == "" {
				v.warnf(v.serverAddress(vs, j), "%s is a director, see %s: its IPVS balances once more what the MASTER sends there, perhaps back to the MASTER; "+
					"active_with has the service in the table of the MASTER alone, and so have [ipvs_sync] with vrrp_instance and net.ipv4.vs.backup_only = 1", rs.Address.Addr(), ref(who))
			}
		}
	}
}
