package doctor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"director/config"
)

// virtual is a virtual address of an instance.
type virtual struct {
	in     *config.Instance
	path   []string
	prefix netip.Prefix
	device string // where it is put
	below  string // the interface of the link: device, or what is below a VMAC
}

func (v virtual) addr() netip.Addr { return v.prefix.Addr() }

// virtuals lists the virtual addresses of all instances.
func virtuals(c *config.Config) (all []virtual) {
	for n := range c.Instances {
		in := &c.Instances[n]
		for key, list := range map[string][]config.VirtualAddress{"virtual_ipaddress": in.Addresses, "virtual_ipaddress_excluded": in.Excluded} {
			for i, a := range list {
				below := a.Device
				if a.Device == in.VMACDevice(false) || a.Device == in.VMACDevice(true) {
					below = in.Interface
				}
				all = append(all, virtual{in, []string{"vrrp_instance", in.Name, key, "[" + strconv.Itoa(i) + "]"}, a.Prefix, a.Device, below})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b virtual) int { return strings.Compare(strings.Join(a.path, "."), strings.Join(b.path, ".")) })
	return all
}

// server is a real server or a sorry server.
type server struct {
	vs      *config.VirtualServer
	path    []string
	addr    netip.Addr
	forward config.Forwarding
	tunnel  *config.TunnelOptions // nil: IP in IP, or no tunnel
	weight  int
	inhibit bool
	sorry   bool
	through bool // it is asked through the virtual address
}

// servers lists all real servers and sorry servers.
func servers(c *config.Config) (all []server) {
	for n := range c.VirtualServers {
		vs := &c.VirtualServers[n]
		path := []string{"virtual_server", vs.Name}
		for i, rs := range vs.RealServers {
			all = append(all, server{vs, sub(path, "real_server", "["+strconv.Itoa(i)+"]"), rs.Address.Addr(), rs.Forwarding, rs.Tunnel, rs.Weight, rs.Inhibit, false, config.Through(rs.Checks)})
		}
		for i, s := range vs.SorryServers {
			all = append(all, server{vs, sub(path, "sorry_server", "["+strconv.Itoa(i)+"]"), s.Address.Addr(), s.Forwarding, s.Tunnel, 1, s.Inhibit, true, config.Through(s.Checks)})
		}
	}
	return all
}

// Questions lists the addresses whose ways the checks want to know.
func Questions(c *config.Config) (all []netip.Addr) {
	for _, s := range servers(c) {
		all = append(all, s.addr)
	}
	for _, v := range virtuals(c) {
		all = append(all, v.addr())
	}
	for i := range c.VirtualServers {
		for _, id := range c.VirtualServers[i].Services() {
			if id.Address.IsValid() {
				all = append(all, id.Address.Addr())
			}
		}
	}
	for n := range c.Instances {
		for _, p := range peers(&c.Instances[n]) {
			all = append(all, p.addr)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Probe is a question on a link who has an address.
type Probe struct {
	Device string
	Addr   netip.Addr
}

// Probes lists the questions to be asked for the virtual addresses.
func Probes(c *config.Config) (all []Probe) {
	for _, a := range virtuals(c) {
		if a.below != "lo" {
			all = append(all, Probe{a.below, a.addr()})
		}
	}
	return all
}

// Suspects lists further questions, once it is known who answers for virtual addresses:
// of direct routing and tunnels a real server has the address as well, and must keep
// still about it. Where the instance waits for a master, that one is asked for, too.
func Suspects(c *config.Config, f *Facts) (all []Probe) {
	v := &visit{Input: Input{Config: c, Facts: f}}
	v.index = newIndex(v.Input)
	answered := make(map[netip.Addr]bool)
	for _, a := range v.index.virtuals {
		if v.stranger(f.Answers[a.addr()]) {
			answered[a.addr()] = true
			if m := v.masterOf(a); m.IsValid() {
				all = append(all, Probe{a.below, m})
			}
		}
	}
	for _, s := range servers(c) {
		way := f.Ways[s.addr]
		if s.forward == config.NAT || way.Local || way.Device == "" || way.Gateway.IsValid() {
			continue
		}
		if slices.ContainsFunc(v.fronts(s.vs), func(f front) bool { return answered[f.addr] }) {
			all = append(all, Probe{way.Device, s.addr})
		}
	}
	slices.SortFunc(all, func(a, b Probe) int { return cmp.Or(strings.Compare(a.Device, b.Device), a.Addr.Compare(b.Addr)) })
	return slices.Compact(all)
}

// peer is another router that is spoken to by unicast.
type peer struct {
	path   []string
	addr   netip.Addr
	device string
}

func peers(in *config.Instance) (all []peer) {
	path := []string{"vrrp_instance", in.Name}
	for i, p := range in.Peers {
		all = append(all, peer{sub(path, "unicast_peer", "["+strconv.Itoa(i)+"]"), p.Address, in.Interface})
	}
	for h, hb := range in.Heartbeats {
		device := hb.Interface
		if device == "" {
			device = in.Interface
		}
		for i, p := range hb.Peers {
			all = append(all, peer{sub(path, "heartbeat", "["+strconv.Itoa(h)+"]", "unicast_peer", "["+strconv.Itoa(i)+"]"), p.Address, device})
		}
	}
	return all
}

// Modules that the configuration needs, with what needs them. What the kernel gives
// by itself where it can is told apart from what must be loaded by hand.
type need struct {
	module string
	path   []string
	what   string // that needs it
	byHand bool
}

func needs(c *config.Config) (all []need) {
	for n := range c.VirtualServers {
		vs := &c.VirtualServers[n]
		path := []string{"virtual_server", vs.Name}
		all = append(all, need{"ip_vs", path, "virtual servers", false},
			need{"ip_vs_" + vs.Scheduler, sub(path, "scheduler"), "the scheduler " + vs.Scheduler, false})
		if vs.PersistenceEngine != "" {
			all = append(all, need{"ip_vs_pe_" + vs.PersistenceEngine, sub(path, "persistence_engine"), "persistence by " + vs.PersistenceEngine, false})
		}
		ftp := func(id config.ServiceID) bool { return id.Address.Port() == 21 && id.Protocol == config.TCP }
		if vs.Forwarding == config.NAT && slices.ContainsFunc(vs.Services(), ftp) {
			all = append(all, need{"ip_vs_ftp", sub(path, "address"), "active and passive FTP behind NAT", true})
		}
	}
	for n := range c.Instances {
		in := &c.Instances[n]
		path := []string{"vrrp_instance", in.Name}
		if in.UseVMAC {
			all = append(all, need{"macvlan", sub(path, "use_vmac"), "use_vmac", false})
		}
		if !in.Accept {
			all = append(all, need{"nf_tables", sub(path, "accept"), "accept = false", false})
		}
	}
	return all
}

// Needs lists the kernel's modules that the configuration needs.
func Needs(c *config.Config) (all []string) {
	for _, n := range needs(c) {
		all = append(all, n.module)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// index is what the checks look up again and again, made once.
type index struct {
	virtuals []virtual
	links    map[string]Link
	clients  map[netip.Addr]string     // the interface of the link by which clients of an address come in
	holders  map[netip.Addr][]string   // the interfaces that have an address
	networks map[string][]netip.Prefix // of an interface, by its own and its virtual addresses
	fronts   map[*config.VirtualServer][]front
}

// front is an address that clients of a virtual server send to.
type front struct {
	addr   netip.Addr
	device string // by which they come in; empty: it is not known
}

// fronts lists the addresses of a virtual server. Which packets a firewall marks is not
// known here: behind a mark may be every virtual address of its family, with active_with
// those of that instance.
func (v *visit) fronts(vs *config.VirtualServer) []front {
	list, known := v.index.fronts[vs]
	if known {
		return list
	}
	for _, id := range vs.Services() {
		if id.FWMark == 0 {
			list = append(list, front{id.Address.Addr(), v.deviceOf(id.Address.Addr())})
			continue
		}
		for _, a := range v.index.virtuals {
			if a.addr().Is6() == (id.Family == "ipv6") && (vs.ActiveWith == "" || vs.ActiveWith == a.in.Name) {
				list = append(list, front{a.addr(), a.below})
			}
		}
	}
	v.index.fronts[vs] = list
	return list
}

// entrance is an interface by which clients of a virtual server come in.
type entrance struct {
	device string
	ipv6   bool
}

// entrances lists them, as far as they are known.
func (v *visit) entrances(vs *config.VirtualServer) (list []entrance) {
	for _, f := range v.fronts(vs) {
		if e := (entrance{f.device, f.addr.Is6()}); e.device != "" && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

func newIndex(in Input) *index {
	x := &index{virtuals(in.Config), make(map[string]Link), make(map[netip.Addr]string), make(map[netip.Addr][]string), make(map[string][]netip.Prefix),
		make(map[*config.VirtualServer][]front)}
	for _, l := range in.Facts.Links {
		x.links[l.Name] = l
		for _, p := range l.Addresses {
			x.holders[p.Addr()] = append(x.holders[p.Addr()], l.Name)
			x.clients[p.Addr()] = l.Name
			x.network(l.Name, p)
		}
	}
	for _, s := range in.Config.StaticAddresses {
		x.clients[s.Prefix.Addr()] = s.Device
		x.network(s.Device, s.Prefix)
	}
	for _, a := range x.virtuals {
		x.clients[a.addr()] = a.below
		x.network(a.below, a.prefix)
	}
	return x
}

func (x *index) network(device string, p netip.Prefix) {
	if p = p.Masked(); !p.IsSingleIP() && !slices.Contains(x.networks[device], p) {
		x.networks[device] = append(x.networks[device], p)
	}
}

// link finds an interface.
func (v *visit) link(name string) (Link, bool) {
	l, ok := v.index.links[name]
	return l, ok
}

// virtualNetwork says that an interface is part of a VRF, whose routes are others
// than those that were asked for.
func (v *visit) virtualNetwork(device string) bool {
	l, _ := v.link(device)
	return l.MasterOf == "vrf"
}

// sysctl returns a setting as a number; false: the host does not have it, or it
// could not be read.
func (v *visit) sysctl(path string) (int, bool) {
	text, ok := v.Facts.Sysctl[path]
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, ok && err == nil
}

// conf returns an IPv4 setting of an interface, joined with that for all by the rule
// of that setting (ip-sysctl.rst: the greater, or one of both).
func (v *visit) conf(device, name string) (int, bool) {
	own, ok := v.sysctl("net/ipv4/conf/" + device + "/" + name)
	all, _ := v.sysctl("net/ipv4/conf/all/" + name)
	return max(own, all), ok
}

// dotted writes a setting as sysctl(8) does. With a dot in an interface's name it
// takes slashes, and nothing else.
func dotted(path string) string {
	if strings.Contains(path, ".") {
		return path
	}
	return strings.ReplaceAll(path, "/", ".")
}

// set is the command that makes a setting.
func set(path string, value int) string { return fmt.Sprintf("sysctl -w %s=%d", dotted(path), value) }

// deviceOf returns the interface of the link that the clients of an address come in
// by, as far as configuration and host tell; empty: it is not known.
func (v *visit) deviceOf(a netip.Addr) string { return v.index.clients[a] }

// holders lists the interfaces that have an address.
func (v *visit) holders(a netip.Addr) []string { return v.index.holders[a] }

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// quote puts a word of a command into quotes where a shell needs them.
func quote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%_+=:,./-", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
