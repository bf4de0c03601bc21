package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"director/config"
)

// used is an interface that the configuration names.
type used struct {
	name  string
	path  []string
	worst Severity // of its being missing or down
}

// interfacesOf lists the interfaces that instances need, but not those that director
// makes.
func interfacesOf(c *config.Config) (all []used) {
	add := func(name string, s Severity, path ...string) {
		if name != "" {
			all = append(all, used{name, path, s})
		}
	}
	for n := range c.Instances {
		in := &c.Instances[n]
		path := []string{"vrrp_instance", in.Name}
		own := Broken
		if in.NoTrackPrimary {
			own = Unwise
		}
		add(in.Interface, own, sub(path, "interface")...)
		for _, t := range in.TrackInterfaces {
			s := Broken // weight 0: FAULT
			if t.Weight != 0 || t.Reverse {
				s = Unwise
			}
			add(t.Name, s, sub(path, "track_interface")...)
		}
		for i, h := range in.Heartbeats {
			add(h.Interface, Unwise, sub(path, "heartbeat", "["+strconv.Itoa(i)+"]", "interface")...)
		}
	}
	for _, a := range virtuals(c) {
		if a.below == a.device {
			add(a.device, Broken, a.path...)
		}
	}
	for _, b := range c.BFD {
		add(b.Interface, Unwise, "bfd", b.Name, "interface")
	}
	for i, a := range c.StaticAddresses {
		add(a.Device, Unwise, "static_address", "["+strconv.Itoa(i)+"]")
	}
	return all
}

// interfaces: each must be there, switched on and connected.
func interfaces(v *visit) {
	if v.Facts.Links == nil {
		return
	}
	told := make(map[string]bool)
	for _, u := range interfacesOf(v.Config) {
		l, ok := v.link(u.name)
		s := u.worst
		switch {
		case told[u.name]:
			continue
		case !ok:
			v.add(s, u.path, "there is no interface "+u.name, "ip -brief link   # tells which there are")
		case !l.Up:
			v.add(s, u.path, u.name+" is switched off", "ip link set "+quote(u.name)+" up")
		case !l.Carrier:
			v.add(s, u.path, u.name+" has no carrier: no cable, or the other end is off", "ethtool "+quote(u.name)+"   # and the port of the switch")
		default:
			continue
		}
		told[u.name] = true
	}
}

// sourceAddress: multicast wants an address of the family on the interface, over IPv6
// a link-local one. A source that is named must be on the host.
func sourceAddress(v *visit) {
	if v.Facts.Links == nil {
		return
	}
	virtual := make(map[netip.Addr]bool)
	for _, a := range v.index.virtuals {
		virtual[a.addr()] = true
	}
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		path := []string{"vrrp_instance", in.Name}
		l, ok := v.link(in.Interface)
		for _, ipv6 := range []bool{false, true} {
			key, source := "mcast_src_ip", in.Source.Of(ipv6)
			if in.Unicast() {
				key, source = "unicast_src_ip", in.UnicastSource.Of(ipv6)
			}
			switch {
			case !in.Family(ipv6) || !ok:
			case source.IsValid():
				if len(v.holders(source)) == 0 {
					v.add(Broken, sub(path, key), fmt.Sprintf("no interface of this host has %s", source), fmt.Sprintf("ip addr add %s/PREFIX dev %s", source, quote(in.Interface)))
				}
			case slices.ContainsFunc(l.Addresses, func(p netip.Prefix) bool {
				a := p.Addr()
				owned := in.Priority == 255 || !virtual[a]
				return a.Is6() == ipv6 && owned && (!ipv6 || in.Unicast() || a.IsLinkLocalUnicast())
			}):
			case ipv6:
				v.add(Broken, sub(path, "interface"), in.Interface+" has no link-local IPv6 address", set("net/ipv6/conf/"+in.Interface+"/addr_gen_mode", 0)+" && ip link set "+quote(in.Interface)+" down && ip link set "+quote(in.Interface)+" up")
			default:
				v.add(Broken, sub(path, "interface"), in.Interface+" has no IPv4 address of its own", "ip addr add ADDRESS/PREFIX dev "+quote(in.Interface))
			}
		}
	}
}

// ipv6Off: disable_ipv6 where an IPv6 address goes.
func ipv6Off(v *visit) {
	for _, a := range v.index.virtuals {
		setting := "net/ipv6/conf/" + a.below + "/disable_ipv6"
		if n, ok := v.sysctl(setting); ok && n != 0 && a.addr().Is6() {
			v.add(Broken, a.path, "IPv6 is switched off on "+a.below+" (disable_ipv6)", set(setting, 0))
		}
	}
}

// promoteSecondaries: director sees to it itself unless it is told not to. The
// kernel takes the setting of the interface or that for all.
func promoteSecondaries(v *visit) {
	seen := make(map[string]netip.Prefix)
	for _, a := range v.index.virtuals {
		if a.in.PromoteSecondaries || !a.addr().Is4() || a.prefix.IsSingleIP() {
			continue
		}
		key := a.in.Name + " " + a.device + " " + a.prefix.Masked().String()
		first, twice := seen[key]
		seen[key] = a.prefix
		if on, ok := v.conf(a.below, "promote_secondaries"); twice && ok && on == 0 {
			v.add(Broken, []string{"vrrp_instance", a.in.Name, "promote_secondaries"}, fmt.Sprintf("%s and %s are of one network, and promote_secondaries is off here and on %s", first, a.prefix, a.below),
				"promote_secondaries = true", set("net/ipv4/conf/"+a.below+"/promote_secondaries", 1))
		}
	}
}

// peerWay: the route to a peer leads over another interface, or the peer is this host.
func peerWay(v *visit) {
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		for _, p := range peers(in) {
			way, ok := v.Facts.Ways[p.addr]
			strict, known := v.conf(p.device, "rp_filter")
			switch {
			case !ok || way.Error != "" || v.virtualNetwork(p.device):
			case way.Local:
				v.add(Note, p.path, fmt.Sprintf("%s is this host itself: director leaves it out", p.addr), "unicast_peer = [...]   # without it")
			case way.Device != p.device:
				s, more := Unwise, ""
				if known && strict == 1 && p.addr.Is4() {
					s, more = Broken, ", and rp_filter of "+p.device+" is 1 (strict): adverts of the peer are dropped"
				}
				v.add(s, p.path, fmt.Sprintf("the route to %s leaves by %s, not by %s%s", p.addr, way.Device, p.device, more),
					fmt.Sprintf("interface = %q", way.Device), fmt.Sprintf("ip route add %s dev %s", netip.PrefixFrom(p.addr, p.addr.BitLen()), quote(p.device)))
			}
		}
	}
}

// fastAdverts: what an ordinary process cannot keep.
func fastAdverts(v *visit) {
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		if d := in.AdvertInterval.D(); d < 100*time.Millisecond && v.Config.VRRPProcess.RTPriority == 0 {
			v.add(Unwise, []string{"vrrp_instance", in.Name, "advert_interval"}, fmt.Sprintf("an advert every %v, and [vrrp_process] has no rt_priority", d), "[vrrp_process]", "rt_priority = 50")
		}
	}
}

// realTime: the kernel gives real-time processes no time at all.
func realTime(v *visit) {
	const setting = "kernel/sched_rt_runtime_us"
	n, ok := v.sysctl(setting)
	for name, p := range map[string]config.Process{"vrrp_process": v.Config.VRRPProcess, "checker_process": v.Config.CheckerProcess} {
		if p.RTPriority > 0 && ok && n == 0 {
			v.add(Broken, []string{name, "rt_priority"}, "kernel.sched_rt_runtime_us is 0", set(setting, 950000))
		}
	}
}

// advertSize: over IPv6 an advert is not fragmented (RFC 9568 section 5.2.9 allows as
// many addresses as fit).
func advertSize(v *visit) {
	const headers, each, signature = 40 + 8, 16, 28
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		size := headers
		for _, a := range in.Addresses {
			if a.Prefix.Addr().Is6() {
				size += each
			}
		}
		if in.Authentication.Type == config.AuthHMAC {
			size += signature
		}
		if l, ok := v.link(in.Interface); ok && in.Family(true) && size > l.MTU && l.MTU > 0 {
			v.add(Broken, []string{"vrrp_instance", in.Name, "virtual_ipaddress"}, fmt.Sprintf("an advert has %d bytes, and %s carries %d", size, l.Name, l.MTU),
				"virtual_ipaddress_excluded = [...]   # those that the other routers need not know")
		}
	}
}

// vmacParent: what can carry no macvlan, and what passes no second MAC address.
func vmacParent(v *visit) {
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		l, ok := v.link(in.Interface)
		path := []string{"vrrp_instance", in.Name, "use_vmac"}
		cure := "use_vmac = false"
		switch {
		case !in.UseVMAC || !ok:
		case l.Wireless:
			v.add(Broken, path, l.Name+" is wireless: access points take frames of one MAC address only", cure)
		case l.MasterOf == "bridge" || l.MasterOf == "bond" || l.MasterOf == "team" || l.MasterOf == "openvswitch":
			v.add(Broken, path, fmt.Sprintf("%s is part of the %s %s", l.Name, l.MasterOf, l.Master), fmt.Sprintf("interface = %q", l.Master))
		case l.Kind == "macvlan" || l.Kind == "ipvlan" || l.Kind == "tun" || l.Kind == "wireguard" || l.Name == "lo":
			v.add(Broken, path, fmt.Sprintf("%s is of the kind %s", l.Name, orElse(l.Kind, "loopback")), cure)
		}
	}
}

// ownAlias is how the VRRP process marks the interfaces that it has made.
const ownAlias = "director VMAC"

// vmacName: the name belongs to an interface of somebody else.
func vmacName(v *visit) {
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		for _, ipv6 := range []bool{false, true} {
			name := in.VMACDevice(ipv6)
			if l, ok := v.link(name); name != "" && ok && l.Alias != ownAlias {
				key := "vmac_interface"
				if in.VMACInterface == "" {
					key = "use_vmac"
				}
				v.add(Broken, []string{"vrrp_instance", in.Name, key}, fmt.Sprintf("there is an interface %s that director has not made", name),
					fmt.Sprintf("ip link delete %s   # unless something needs it; or another vmac_interface", quote(name)))
			}
		}
	}
}

// vmacVirtual: only where the machine says that it is virtual.
func vmacVirtual(v *visit) {
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		if in.UseVMAC && v.Facts.Virtual != "" {
			v.add(Note, []string{"vrrp_instance", in.Name, "use_vmac"}, "this is a virtual machine of "+v.Facts.Virtual,
				"# let the port of the virtual switch pass other MAC addresses (VMware: forged transmits, MAC address changes and promiscuous mode), or use_vmac = false")
		}
	}
}

// multicastSnooping: 224.0.0.0/24 is flooded by every switch (RFC 4541 section
// 2.1.2), other groups are not. Of IPv6, ff02::1 alone is exempt; the default group
// ff02::12 is left out here, as every host with VRRP has it.
func multicastSnooping(v *visit) {
	local := netip.MustParsePrefix("224.0.0.0/24")
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		if g := in.Group.IPv4; !in.Unicast() && in.Family(false) && g.IsValid() && !local.Contains(g) {
			v.add(Note, []string{"vrrp_instance", in.Name, "mcast_group"}, fmt.Sprintf("the group %s is outside %s", g, local), `mcast_group = "224.0.0.18"   # or a querier in the network`)
		}
	}
}

// clock: signed adverts carry the time.
func clock(v *visit) {
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		a := &in.Authentication
		if a.Type == config.AuthHMAC && a.AntiReplay == "time" && v.Facts.ClockKnown && !v.Facts.ClockSynchronised {
			v.add(Unwise, []string{"vrrp_instance", in.Name, "authentication"}, fmt.Sprintf("nothing keeps this host's clock right, and adverts count within %v", a.TimeWindow),
				"timedatectl set-ntp true   # or chrony", `anti_replay = "monotonic"   # needs no clock`)
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
