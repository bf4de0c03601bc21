package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"director/config"
	"director/internal/control"
)

// modules: what the kernel has not got and cannot load. What it loads by itself when
// it is asked for is no matter, but for the settings that come with ip_vs.
func modules(v *visit) {
	m := v.Facts.Modules
	for _, n := range needs(v.Config) {
		state := m.State[n.module]
		if n.module == "ip_vs" && m.IPVS {
			state = "loaded"
		}
		load := "modprobe " + n.module
		atBoot := fmt.Sprintf("echo %s >>/etc/modules-load.d/director.conf", n.module)
		switch {
		case state == "loaded" || state == "builtin":
		case state == "missing" && m.Known:
			v.add(Broken, n.path, fmt.Sprintf("the kernel %s has no module %s, needed for %s", m.Release, n.module, n.what),
				"apt install linux-image-$(dpkg --print-architecture)   # or another kernel that has "+n.module)
		case m.NoLoad:
			v.add(Broken, n.path, fmt.Sprintf("%s, needed for %s, is not loaded, and the kernel loads no module any more (kernel.modules_disabled)", n.module, n.what), atBoot+" && reboot")
		case n.byHand:
			v.add(Unwise, n.path, fmt.Sprintf("%s, needed for %s, is not loaded, and the kernel does not load it by itself", n.module, n.what), load, atBoot)
		case state == "available" && n.module == "ip_vs":
			v.add(Note, n.path, "ip_vs is not loaded yet: director has the kernel load it, but the settings of net.ipv4.vs exist only then, so that none is made at boot and none could be looked at", load, atBoot)
		case state == "":
			v.add(Unwise, n.path, fmt.Sprintf("%s, needed for %s, is not loaded, and whether the kernel can load it is not known", n.module, n.what), load, atBoot)
		}
	}
}

const expireNodestConn = "net/ipv4/vs/expire_nodest_conn"

// expireNodest: connections to a server that was removed.
func expireNodest(v *visit) {
	for _, s := range servers(v.Config) {
		if n, ok := v.sysctl(expireNodestConn); ok && n == 0 && !s.sorry && !s.inhibit {
			v.add(Unwise, s.path[:2], "servers that fail are removed, and net.ipv4.vs.expire_nodest_conn is 0", set(expireNodestConn, 1))
		}
	}
}

// quiescing tells which servers stay with weight 0 at times: when they fail, leave the
// file, or by order of an operator that is in force now.
func quiescing(v *visit) (all []server) {
	ordered := make(map[string]bool) // virtual servers
	if v.Facts.Daemon != nil && v.Facts.Daemon.Checkers != nil {
		for _, s := range v.Facts.Daemon.Checkers.Services {
			ordered[s.Name] = slices.ContainsFunc(s.Servers, func(r control.Server) bool { return r.Override != nil && r.EffectiveWeight == 0 })
		}
	}
	for _, s := range servers(v.Config) {
		if s.inhibit || !s.sorry && (s.weight == 0 || s.vs.DrainOnRemove > 0 || ordered[s.vs.Name]) {
			all = append(all, s)
		}
	}
	return all
}

// expireTemplate: persistence to a server with weight 0. To one that was removed it
// ends by itself.
func expireTemplate(v *visit) {
	const setting = "net/ipv4/vs/expire_quiescent_template"
	for _, s := range quiescing(v) {
		if n, ok := v.sysctl(setting); ok && n == 0 && s.vs.PersistenceTimeout > 0 {
			v.add(Unwise, sub(s.path[:2], "persistence_timeout"), "servers that fail or are drained stay with weight 0, and net.ipv4.vs.expire_quiescent_template is 0", set(setting, 1))
		}
	}
}

// connReuse: only where the default, 1, was changed, and nothing else has new
// connections of a client scheduled anew when the server of its former one has weight 0.
func connReuse(v *visit) {
	const setting = "net/ipv4/vs/conn_reuse_mode"
	if n, ok := v.sysctl(setting); !ok || n != 0 {
		return
	}
	if n, ok := v.sysctl(expireNodestConn); !ok || n != 0 {
		return
	}
	for _, s := range quiescing(v) {
		if s.vs.Protocol != config.UDP {
			v.add(Unwise, s.path[:2], "servers that fail or are drained stay with weight 0, and net.ipv4.vs.conn_reuse_mode and expire_nodest_conn are 0", set(setting, 1))
		}
	}
}

// sloppyTCP: a hash finds the server again, if the kernel lets it.
func sloppyTCP(v *visit) {
	const setting = "net/ipv4/vs/sloppy_tcp"
	n, ok := v.sysctl(setting)
	for i := range v.Config.VirtualServers {
		vs := &v.Config.VirtualServers[i]
		hashes := vs.Scheduler == "mh" || vs.Scheduler == "sh"
		path := []string{"virtual_server", vs.Name, "scheduler"}
		switch {
		case !ok || vs.Protocol == config.UDP || len(v.Config.Instances) == 0:
		case hashes && n == 0:
			v.add(Note, path, fmt.Sprintf("the scheduler is %s, and net.ipv4.vs.sloppy_tcp is 0", vs.Scheduler), set(setting, 1))
		}
	}
}

// natFarm returns the path of a farm behind NAT, nil when there is none.
func natFarm(v *visit) []string {
	for _, s := range servers(v.Config) {
		if s.forward == config.NAT {
			return s.path[:2]
		}
	}
	return nil
}

// ipvsConntrack: a firewall that translates sources.
func ipvsConntrack(v *visit) {
	const setting = "net/ipv4/vs/conntrack"
	if n, ok := v.sysctl(setting); ok && n == 0 && v.Facts.Translate {
		if path := natFarm(v); path != nil {
			v.add(Unwise, path, "the firewall has a chain of type nat at postrouting, and net.ipv4.vs.conntrack is 0", set(setting, 1))
		}
	}
}

// snatReroute: only where the default, 1, was changed.
func snatReroute(v *visit) {
	const setting = "net/ipv4/vs/snat_reroute"
	if n, ok := v.sysctl(setting); ok && n == 0 && (v.Facts.Rules || len(v.Config.StaticRules) > 0) {
		if path := natFarm(v); path != nil {
			v.add(Unwise, path, "there are routing rules, and net.ipv4.vs.snat_reroute is 0", set(setting, 1))
		}
	}
}

// conntrackTable: how full it is. Of what IPVS balances it holds something only with
// vs.conntrack, but every packet passes it.
func conntrackTable(v *visit) {
	count, ok := v.sysctl("net/netfilter/nf_conntrack_count")
	most, limited := v.sysctl("net/netfilter/nf_conntrack_max")
	if !ok || !limited || most <= 0 || count < most/5*4 || len(v.Config.VirtualServers) == 0 {
		return
	}
	s := Unwise
	if count >= most/20*19 {
		s = Broken
	}
	v.add(s, []string{"virtual_server", v.Config.VirtualServers[0].Name}, fmt.Sprintf("conntrack holds %d of at most %d connections", count, most), set("net/netfilter/nf_conntrack_max", most*4))
}

// ipvsStrangers: services of somebody else, or of a director before.
func ipvsStrangers(v *visit) {
	type key struct {
		protocol string
		address  netip.AddrPort
		mark     uint32
	}
	ours := make(map[key]bool)
	for i := range v.Config.VirtualServers {
		for _, id := range v.Config.VirtualServers[i].Services() {
			if id.FWMark != 0 {
				ours[key{"fwmark", netip.AddrPort{}, id.FWMark}] = true
				continue
			}
			ours[key{string(id.Protocol), id.Address, 0}] = true
		}
	}
	if len(ours) == 0 {
		return
	}
	for _, s := range v.Facts.Services {
		k := key{s.Protocol, s.Address, s.Mark}
		if ours[k] || s.Mark != 0 && v.Config.ProbeMark(s.Mark) {
			continue
		}
		name, flag := s.Address.String()+"/"+s.Protocol, "-D -t "+s.Address.String()
		switch s.Protocol {
		case "fwmark":
			name, flag = fmt.Sprintf("fwmark %d", s.Mark), fmt.Sprintf("-D -f %d", s.Mark)
		case "udp":
			flag = "-D -u " + s.Address.String()
		case "sctp":
			flag = "-D --sctp-service " + s.Address.String()
		}
		if v.Config.Global.ExclusiveIPVS {
			v.add(Unwise, []string{"global", "exclusive_ipvs"}, "the kernel's table has the service "+name+", which director removes", "exclusive_ipvs = false   # to keep it")
			continue
		}
		v.add(Note, nil, "the kernel's table has the service "+name+", which is not in this file and stays as it is", "ipvsadm "+flag+"   # unless another program needs it")
	}
}

// farmAddress: nobody here has it. A fwmark's packets are marked by the firewall.
func farmAddress(v *visit) {
	if v.Facts.Links == nil {
		return
	}
	for n := range v.Config.VirtualServers {
		vs := &v.Config.VirtualServers[n]
		path := []string{"virtual_server", vs.Name, "address"}
		if vs.Group != "" {
			path = []string{"virtual_server_group", vs.Group}
		}
		for _, id := range vs.Services() {
			a := id.Address.Addr()
			if !a.IsValid() || v.deviceOf(a) != "" || v.Facts.Ways[a].Local {
				continue
			}
			cure := fmt.Sprintf("virtual_ipaddress = [%q]   # in a [vrrp_instance.NAME]", a)
			if v.Config.Global.IPVSNamespace != "" {
				cure = fmt.Sprintf("ip address add %s dev lo", a) // instances are elsewhere
			}
			v.add(Unwise, path, fmt.Sprintf("no instance of this file has %s, and neither has this host", a), cure)
			break // the others of a group are no news
		}
	}
}
