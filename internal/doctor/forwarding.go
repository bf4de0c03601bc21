package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"director/config"
)

// forwardingPath is the setting that lets the host route packets of a family.
func forwardingPath(a netip.Addr) string {
	if a.Is4() {
		return "net/ipv4/ip_forward"
	}
	return "net/ipv6/conf/all/forwarding"
}

// ipForward: NAT farms need it, or replies are dropped. Direct routing and tunnels do
// not: IPVS sends their packets itself. Who has virtual routes or rules is most
// likely a gateway.
func ipForward(v *visit) {
	off := func(a netip.Addr, s Severity, path []string, what string) {
		setting := forwardingPath(a)
		if n, ok := v.sysctl(setting); ok && n == 0 {
			v.add(s, path, fmt.Sprintf("%s is off, and there %s", dotted(setting), what), set(setting, 1))
		}
	}
	for _, s := range servers(v.Config) {
		if s.forward == config.NAT && !v.Facts.Ways[s.addr].Local {
			off(s.addr, Broken, sub(s.path[:2], "forwarding"), "are real servers behind NAT")
		}
	}
	for n := range v.Config.Instances {
		in := &v.Config.Instances[n]
		path := []string{"vrrp_instance", in.Name}
		for _, r := range in.Routes {
			off(r.To.Addr(), Unwise, sub(path, "virtual_routes"), "are virtual routes")
		}
		for _, r := range in.Rules {
			a := netip.IPv4Unspecified()
			if r.Family == "inet6" || r.From.Addr().Is6() || r.To.Addr().Is6() {
				a = netip.IPv6Unspecified()
			}
			off(a, Unwise, sub(path, "virtual_rules"), "are virtual rules")
		}
	}
}

// routerAdvertisement: only where this configuration is a reason to forward IPv6, and
// the host has learned its default route.
func routerAdvertisement(v *visit) {
	for _, s := range servers(v.Config) {
		if s.forward != config.NAT || !s.addr.Is6() {
			continue
		}
		for _, device := range v.Facts.Learned {
			setting := "net/ipv6/conf/" + device + "/accept_ra"
			if n, ok := v.sysctl(setting); ok && n == 1 {
				v.add(Broken, s.path[:2], fmt.Sprintf("the default route of %s was learned, and its accept_ra is 1", device), set(setting, 2))
			}
		}
	}
}

// reversePath: the value 1 on the interface that clients come in by, where answers to
// most of them leave by another one.
func reversePath(v *visit) {
	for _, a := range v.index.virtuals {
		out := v.Facts.Outward["ipv4"]
		if !a.addr().Is4() || out == "" || out == a.device || out == a.below || a.below == "lo" || v.virtualNetwork(a.below) {
			continue
		}
		if l, ok := v.link(out); ok && (l.Master == a.below || l.Master != "" && l.Master == v.master(a.below)) {
			continue // parts of one bridge or VRF
		}
		if n, ok := v.conf(a.below, "rp_filter"); ok && n == 1 {
			v.add(Unwise, a.path, fmt.Sprintf("clients of %s come in by %s, whose rp_filter is 1 (strict), and the default route leaves by %s", a.addr(), a.below, out),
				set("net/ipv4/conf/"+a.below+"/rp_filter", 2))
		}
	}
}

func (v *visit) master(name string) string {
	l, _ := v.link(name)
	return l.Master
}

// sendRedirects: a NAT server on the link of the clients. The kernel sends redirects
// when the interface or all of them have the setting.
func sendRedirects(v *visit) {
	for _, s := range servers(v.Config) {
		way, ok := v.Facts.Ways[s.addr]
		if s.forward != config.NAT || !s.addr.Is4() || !ok || way.Device == "" || way.Local || way.Gateway.IsValid() || !slices.Contains(v.entrances(s.vs), entrance{way.Device, false}) {
			continue
		}
		if n, ok := v.conf(way.Device, "send_redirects"); ok && n == 1 {
			v.add(Unwise, s.path, fmt.Sprintf("%s is on %s like the clients, and send_redirects is on there", s.addr, way.Device),
				set("net/ipv4/conf/all/send_redirects", 0), set("net/ipv4/conf/"+way.Device+"/send_redirects", 0))
		}
	}
}

// noWay: the kernel has no route.
func noWay(v *visit) {
	none := func(path []string, a netip.Addr) {
		if way := v.Facts.Ways[a]; way.Error != "" {
			v.add(Broken, path, fmt.Sprintf("there is no way to %s: %s", a, way.Error), "ip route add "+netip.PrefixFrom(a, a.BitLen()).String()+" via GATEWAY")
		}
	}
	for _, s := range servers(v.Config) {
		none(s.path, s.addr)
	}
	for n := range v.Config.Instances {
		for _, p := range peers(&v.Config.Instances[n]) {
			if !v.virtualNetwork(p.device) {
				none(p.path, p.addr)
			}
		}
	}
}

// directRouting: the server must be on a network of this host.
func directRouting(v *visit) {
	for _, s := range servers(v.Config) {
		way := v.Facts.Ways[s.addr]
		if s.forward == config.DR && way.Error == "" && !way.Local && way.Gateway.IsValid() {
			v.add(Broken, s.path, fmt.Sprintf("%s is behind the router %s", s.addr, way.Gateway),
				`forwarding = "tunnel"   # or "nat"; or give this host an interface in the network of the server`)
		}
	}
}

// localServer: a director that also serves. Its virtual address stands on lo for that
// while it is a backup, and ARP must keep still about it.
func localServer(v *visit) {
	quiet := func(path []string, a netip.Addr, s Severity, found string) {
		device := v.deviceOf(a)
		if device == "lo" || device == "" {
			device = "all"
		}
		var cure []string
		if n, ok := v.conf(device, "arp_ignore"); ok && n == 0 {
			cure = append(cure, set("net/ipv4/conf/all/arp_ignore", 1))
		}
		if n, ok := v.conf(device, "arp_announce"); ok && n < 2 {
			cure = append(cure, set("net/ipv4/conf/all/arp_announce", 2))
		}
		if len(cure) > 0 {
			v.add(s, path, found, cure...)
		}
	}
	for _, s := range servers(v.Config) {
		if s.forward == config.NAT || !v.Facts.Ways[s.addr].Local {
			continue
		}
		for _, f := range v.fronts(s.vs) {
			if f.addr.Is4() {
				quiet(s.path, f.addr, Unwise, fmt.Sprintf("the real server %s is this host, and arp_ignore and arp_announce do not keep it quiet about %s while it is a backup", s.addr, f.addr))
			}
		}
	}
	for _, a := range v.index.virtuals {
		if a.addr().Is4() && a.device != "lo" && slices.Contains(v.holders(a.addr()), "lo") {
			quiet(a.path, a.addr(), Broken, fmt.Sprintf("%s is on lo, and arp_ignore and arp_announce do not keep this host quiet about it while it is a backup", a.addr()))
		}
	}
}

// throughVIP: a master drops what comes from its own addresses, and so the answers to
// probes through them. Over IPv6 the kernel does not look.
func throughVIP(v *visit) {
	for _, s := range servers(v.Config) {
		vip, way := s.vs.ProbeAddress().Addr(), v.Facts.Ways[s.addr]
		n := slices.IndexFunc(v.index.virtuals, func(a virtual) bool { return a.addr() == vip })
		if !s.through || n < 0 || !vip.Is4() || way.Local || way.Device == "" {
			continue
		}
		if on, ok := v.conf(way.Device, "accept_local"); ok && on == 0 {
			v.add(Broken, s.path[:2], fmt.Sprintf("real servers are asked through %s, and accept_local is off on %s, where their answers come in", vip, way.Device),
				set("net/ipv4/conf/"+way.Device+"/accept_local", 1))
		}
		if strict, ok := v.conf(way.Device, "rp_filter"); ok && strict == 1 && v.index.virtuals[n].device != way.Device {
			v.add(Broken, s.path[:2], fmt.Sprintf("real servers are asked through %s, which is put on %s, and their answers come in by %s, whose rp_filter is 1 (strict)", vip, v.index.virtuals[n].device, way.Device),
				set("net/ipv4/conf/"+way.Device+"/rp_filter", 2))
		}
	}
}

// largeReceive: the kernel switches LRO off by itself where it forwards; IPVS with
// direct routing and tunnels does not count as that.
func largeReceive(v *visit) {
	if n, known := v.sysctl("net/ipv4/ip_forward"); !known || n != 0 {
		return
	}
	for _, s := range servers(v.Config) {
		if s.forward == config.NAT {
			continue
		}
		for _, e := range v.entrances(s.vs) {
			if l, ok := v.link(e.device); ok && l.LargeReceive {
				v.add(Unwise, s.path[:2], "large-receive-offload is on on "+l.Name, "ethtool -K "+quote(l.Name)+" lro off")
			}
		}
	}
}

// tunnelMTU: a packet of the clients' size with the outer headers must fit.
func tunnelMTU(v *visit) {
	for _, s := range servers(v.Config) {
		way, ok := v.Facts.Ways[s.addr]
		if s.forward != config.Tunnel || !ok || way.Local || way.Device == "" {
			continue
		}
		out, known := v.link(way.Device)
		if !known {
			continue
		}
		room := out.MTU
		if way.MTU > 0 {
			room = min(room, way.MTU)
		}
		header, what := outerHeader(s)
		for _, e := range v.entrances(s.vs) {
			in, from := v.link(e.device)
			if !from || room >= in.MTU+header {
				continue
			}
			mss := room - header - 40 // of IP and TCP
			if e.ipv6 {
				mss -= 20
			}
			v.add(Unwise, s.path, fmt.Sprintf("clients' packets of up to %d bytes come in by %s, and the way to %s by %s carries %d: %d without the headers of the tunnel, %d bytes for %s",
				in.MTU, in.Name, s.addr, out.Name, room, room-header, header, what),
				fmt.Sprintf("ip link set %s mtu %d   # and so on the whole way", quote(out.Name), in.MTU+header),
				fmt.Sprintf("ip route replace default via GATEWAY advmss %d   # or this on each real server", mss))
		}
	}
}

// outerHeader returns how many bytes IPVS puts before a packet that it sends to a server
// through a tunnel, at most, and what they are (ip_vs_tunnel_xmit, RFC 2784,
// draft-ietf-intarea-gue).
func outerHeader(s server) (size int, what string) {
	size, what = 20, "IPv4"
	if s.addr.Is6() {
		size, what = 40, "IPv6"
	}
	if s.tunnel == nil {
		return size, what
	}
	switch {
	case s.tunnel.Type == "gue" && s.tunnel.Checksum == "remote-checksum":
		return size + 8 + 4 + 8, what + ", UDP and GUE with the offsets of the checksum"
	case s.tunnel.Type == "gue":
		return size + 8 + 4, what + ", UDP and GUE"
	case s.tunnel.Type == "gre" && s.tunnel.Checksum == "checksum":
		return size + 4 + 4, what + " and GRE with a checksum"
	case s.tunnel.Type == "gre":
		return size + 4, what + " and GRE"
	}
	return size, what
}
