package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"director/config"
)

// vipNetwork: an address alone (/32, /128) that no network of its link holds.
func vipNetwork(v *visit) {
	for _, a := range v.index.virtuals {
		if _, ok := v.link(a.below); !ok || a.below == "lo" || !a.prefix.IsSingleIP() || a.addr().IsLinkLocalUnicast() {
			continue
		}
		if !slices.ContainsFunc(v.index.networks[a.below], func(p netip.Prefix) bool { return p.Contains(a.addr()) }) {
			v.add(Note, a.path, fmt.Sprintf("%s is in no network of %s", a.addr(), a.below), fmt.Sprintf("%q   # with the length of its network, if it is on this link", a.addr().String()+"/24"))
		}
	}
}

// masters tells which instances are MASTER here, as far as a daemon says.
func (v *visit) masters() map[string]bool {
	master := make(map[string]bool)
	if v.Facts.Daemon != nil && v.Facts.Daemon.VRRP != nil {
		for _, in := range v.Facts.Daemon.VRRP.Instances {
			master[in.Name] = master[in.Name] || in.State == "MASTER"
		}
	}
	return master
}

// stranger says that a MAC address is that of another host.
func (v *visit) stranger(mac string) bool {
	return mac != "" && !slices.ContainsFunc(v.Facts.Links, func(l Link) bool { return l.MAC == mac })
}

// masterOf returns the address of the router that an instance knows as MASTER, if it is
// on the link of a virtual address.
func (v *visit) masterOf(a virtual) (master netip.Addr) {
	if v.Facts.Daemon == nil || v.Facts.Daemon.VRRP == nil {
		return master
	}
	for _, in := range v.Facts.Daemon.VRRP.Instances {
		if m, err := netip.ParseAddr(in.Master); in.Name == a.in.Name && err == nil && m.Is6() == a.addr().Is6() {
			master = m.WithZone("")
		}
	}
	return master
}

// vipAnswered: this host does not hear itself, so a master hears nobody, and a backup
// hears the master. Behind direct routing and tunnels each real server has the address
// as well, and one that answers for it was not told to keep still.
func vipAnswered(v *visit) {
	master := v.masters()
	servers := servers(v.Config)
	for _, a := range v.index.virtuals {
		mac, asked := v.Facts.Answers[a.addr()]
		if !asked || mac != "" && !v.stranger(mac) {
			continue
		}
		if s, is := v.serverWith(servers, mac, a); is {
			severity, unless := Broken, ""
			if v.Facts.Daemon == nil {
				severity, unless = Unwise, ", unless that is the other director"
			}
			v.add(severity, s.path, fmt.Sprintf("the real server %s answers for %s on %s (%s)%s", s.addr, a.addr(), a.below, mac, unless), keepStill(s.addr, a.addr())...)
			continue
		}
		switch {
		case mac != "" && master[a.in.Name]:
			v.add(Broken, a.path, fmt.Sprintf("%s answers for %s on %s, and the instance is MASTER here", mac, a.addr(), a.below),
				fmt.Sprintf("ip addr del %s dev DEVICE   # on the host with %s", a.prefix, mac))
		case mac != "" && v.Facts.Daemon == nil:
			v.add(Note, a.path, fmt.Sprintf("%s answers for %s on %s", mac, a.addr(), a.below),
				fmt.Sprintf("ip addr del %s dev DEVICE   # on the host with %s, unless that is the other director", a.prefix, mac))
		case mac == "" && v.Facts.Daemon != nil && !master[a.in.Name]:
			v.add(Broken, a.path, fmt.Sprintf("nobody answers for %s on %s, and the instance is not MASTER here", a.addr(), a.below),
				"director status   # here and on the other hosts: is one MASTER, and on the same link?")
		}
	}
}

// serverWith finds the real server behind a virtual address that has a MAC address and
// is not the MASTER.
func (v *visit) serverWith(list []server, mac string, a virtual) (server, bool) {
	if mac == "" {
		return server{}, false
	}
	if m := v.masterOf(a); m.IsValid() && v.Facts.Answers[m] == mac {
		return server{}, false
	}
	n := slices.IndexFunc(list, func(s server) bool {
		return s.forward != config.NAT && v.Facts.Answers[s.addr] == mac && slices.ContainsFunc(v.fronts(s.vs), func(f front) bool { return f.addr == a.addr() })
	})
	if n < 0 {
		return server{}, false
	}
	return list[n], true
}

// keepStill is what makes a real server have a virtual address and not answer for it.
// Over IPv6 no host answers for an address of its loopback.
func keepStill(server, vip netip.Addr) []string {
	there := fmt.Sprintf("   # on %s, and in its sysctl.conf", server)
	prefix := netip.PrefixFrom(vip, vip.BitLen())
	move := []string{
		fmt.Sprintf("ip addr show to %s   # on %s: it belongs on lo", vip, server),
		fmt.Sprintf("ip addr del %s dev DEVICE; ip addr add %s dev lo   # there, when it is on another interface", prefix, prefix),
	}
	if vip.Is6() {
		return move
	}
	return append([]string{set("net/ipv4/conf/all/arp_ignore", 1) + there, set("net/ipv4/conf/all/arp_announce", 2) + there}, move...)
}

// vipTaken: with a daemon, an address on a host that is not its master; without one,
// an address at all. The address owner (priority 255) has its addresses always.
func vipTaken(v *visit) {
	master := v.masters()
	for _, a := range v.index.virtuals {
		if a.in.Priority == 255 || master[a.in.Name] || a.device == "lo" {
			continue
		}
		for _, device := range v.holders(a.addr()) {
			if device == "lo" {
				continue // local-server looks at that
			}
			cure := fmt.Sprintf("ip addr del %s dev %s", a.prefix, quote(device))
			if v.Facts.Daemon == nil {
				v.add(Unwise, a.path, fmt.Sprintf("%s is on %s, and no director runs here: somebody else has set it, or a director that was killed has left it", a.addr(), device), cure)
				continue
			}
			v.add(Broken, a.path, fmt.Sprintf("%s is on %s, and the instance is not MASTER here", a.addr(), device), cure)
		}
	}
}

// vipAtBoot: what ifupdown, netplan, NetworkManager and systemd-networkd are told.
func vipAtBoot(v *visit) {
	for _, a := range v.index.virtuals {
		if a.in.Priority == 255 || a.device == "lo" {
			continue
		}
		for _, m := range v.Facts.Mentions {
			if m.Brings && m.Address == a.addr() {
				v.add(Broken, a.path, fmt.Sprintf("%s:%d has %s", m.File, m.Line, a.addr()), fmt.Sprintf("sed -i '%dd' %s   # after a look at it: %s", m.Line, quote(m.File), shorten(m.Text)))
			}
		}
	}
}

// shorten makes a line of somebody's file fit into one of ours.
func shorten(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "..."
	}
	return s
}

// bind: what listens on a virtual address now, or is configured to. What is balanced
// needs no listener here.
func bind(v *visit) {
	for _, a := range v.index.virtuals {
		setting := "net/" + familyOf(a.addr()) + "/ip_nonlocal_bind"
		n, ok := v.sysctl(setting)
		if !ok || n != 0 || a.in.Priority == 255 || a.device == "lo" {
			continue
		}
		for _, l := range v.Facts.Listeners {
			if l.Address.Addr() == a.addr() {
				v.add(Broken, a.path, fmt.Sprintf("a program listens on %s/%s, and %s is 0", l.Address, l.Network, dotted(setting)), set(setting, 1))
			}
		}
		for _, m := range v.Facts.Mentions {
			if !m.Brings && m.Address == a.addr() {
				v.add(Broken, a.path, fmt.Sprintf("%s:%d binds %s, and %s is 0", m.File, m.Line, a.addr(), dotted(setting)), set(setting, 1))
			}
		}
	}
}

// firewall: each packet that the configuration needs to get through.
func firewall(v *visit) {
	for _, p := range Traffic(v.Config) {
		fate, ok := v.Facts.Firewall[p.Name()]
		if !ok || !fate.Drops {
			continue
		}
		s, how := Broken, "drops"
		if fate.Accepts {
			s, how = Unwise, "may drop (not all of its rules could be read)"
		}
		v.add(s, p.Path, fmt.Sprintf("nftables %s %s: %s", how, p.What, fate.Where), p.cure(fate))
	}
}

// Packet is one that has to pass the firewall.
type Packet struct {
	Path     []string // what needs it
	What     string   // for a person
	In       bool     // it arrives; else it leaves
	Device   string   // empty: any
	Protocol uint8
	Port     uint16     // destination, of UDP
	Source   netip.Addr // invalid: not known
	Target   netip.Addr // likewise
	IPv6     bool
}

// Name tells packets apart.
func (p Packet) Name() string {
	return fmt.Sprintf("%t %s %d %d %s %s %t", p.In, p.Device, p.Protocol, p.Port, p.Source, p.Target, p.IPv6)
}

// cure is the rule that lets it pass, in front of the chain that drops it.
func (p Packet) cure(f Fate) string {
	direction, device := "output", "oifname"
	if p.In {
		direction, device = "input", "iifname"
	}
	chain := orElse(f.Chain, "inet filter "+direction)
	rule := "nft insert rule " + chain
	if p.Device != "" {
		rule += fmt.Sprintf(" %s %s", device, quote(p.Device))
	}
	if p.Protocol == protocolUDP {
		return fmt.Sprintf("%s udp dport %d accept", rule, p.Port)
	}
	return fmt.Sprintf("%s meta l4proto %d accept", rule, p.Protocol)
}

const (
	protocolUDP  = 17
	protocolVRRP = 112
	protocolAH   = 51
)

// Traffic lists the packets that have to pass this host's firewall: adverts of every
// instance over every path, and those of BFD, of connection sync and of readiness.
func Traffic(c *config.Config) (all []Packet) {
	both := func(p Packet, source, target netip.Addr) {
		what := p.What
		p.In, p.Source, p.Target, p.What = true, source, target, "incoming "+what
		all = append(all, p)
		p.In, p.Source, p.Target, p.What = false, netip.Addr{}, orAddr(source, target), "outgoing "+what
		all = append(all, p)
	}
	for n := range c.Instances {
		in := &c.Instances[n]
		path := []string{"vrrp_instance", in.Name}
		protocol, name := uint8(protocolVRRP), "VRRP (IP protocol 112)"
		if in.Authentication.Type == "AH" {
			protocol, name = protocolAH, "VRRP within AH (IP protocol 51)"
		}
		if !in.Unicast() {
			for _, ipv6 := range []bool{false, true} {
				if in.Family(ipv6) {
					g := in.Group.Of(ipv6)
					both(Packet{Path: sub(path, "interface"), What: fmt.Sprintf("%s to %s on %s", name, g, in.Interface), Device: in.Interface, Protocol: protocol, IPv6: ipv6}, netip.Addr{}, g)
				}
			}
		}
		for _, p := range peers(in) {
			both(Packet{Path: p.path, What: fmt.Sprintf("%s with %s on %s", name, p.addr, p.device), Device: p.device, Protocol: protocol, IPv6: p.addr.Is6()}, p.addr, netip.Addr{})
		}
		for _, h := range in.Heartbeats {
			if !h.Unicast() && h.Interface != "" && in.Family(false) {
				g := in.Group.Of(false)
				both(Packet{Path: sub(path, "heartbeat"), What: fmt.Sprintf("%s to %s on %s", name, g, h.Interface), Device: h.Interface, Protocol: protocol}, netip.Addr{}, g)
			}
		}
	}
	for _, b := range c.BFD {
		port := uint16(3784)
		if b.Multihop {
			port = 4784
		}
		both(Packet{Path: []string{"bfd", b.Name}, What: fmt.Sprintf("BFD (UDP port %d) with %s", port, b.Neighbor), Device: b.Interface, Protocol: protocolUDP, Port: port, IPv6: b.Neighbor.Is6()}, b.Neighbor, netip.Addr{})
	}
	if s := c.IPVSSync; s != nil {
		both(Packet{Path: []string{"ipvs_sync"}, What: fmt.Sprintf("connection sync (UDP port %d) to %s on %s", s.Port, s.Group, s.Interface), Device: s.Interface, Protocol: protocolUDP, Port: s.Port, IPv6: s.Group.Is6()}, netip.Addr{}, s.Group)
	}
	if r := c.Readiness; r != nil {
		for i, p := range r.Peers {
			path := []string{"readiness", "peer", "[" + strconv.Itoa(i) + "]"}
			packet := Packet{Path: path, Protocol: protocolUDP, IPv6: p.Address.Addr().Is6()}
			in, out := packet, packet
			in.In, in.Port, in.Source, in.Target = true, r.Listen.Port(), p.Address.Addr(), r.Listen.Addr()
			in.What = fmt.Sprintf("incoming readiness reports (UDP port %d) of %s", in.Port, in.Source)
			out.Port, out.Target = p.Address.Port(), p.Address.Addr()
			out.What = fmt.Sprintf("outgoing readiness reports (UDP port %d) to %s", out.Port, out.Target)
			all = append(all, in, out)
		}
	}
	return all
}

func orAddr(a, b netip.Addr) netip.Addr {
	if b.IsValid() {
		return b
	}
	return a
}
