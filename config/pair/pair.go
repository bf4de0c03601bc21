// Package pair writes the configurations of two hosts that back each other up.
//
// The package is pure: questions are asked, and keys are made, by its caller.
package pair

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"director/config"
)

// Host is one of the two.
type Host struct {
	Name    string
	Address netip.Addr // its own, on the interface
}

// Plan is what the two are to do.
type Plan struct {
	Hosts     [2]Host // the first one is the better
	Interface string
	Address   netip.Prefix // the virtual one, with its mask
	VRID      uint8        // 1 to 255
	Unicast   bool         // adverts go to the other host by name, not by multicast
	Key       string       // that signs adverts: hex: and digits; empty: they are not signed
	NoPreempt bool
	// Process and Port are something local that has to run for a host to be a good
	// master: the name of a process, or a TCP port. Neither: nothing.
	Process string
	Port    uint16
	Farm    *Farm // nil: the two only share the address
}

// Farm is a service behind the virtual address.
type Farm struct {
	Port    uint16
	Method  config.Forwarding
	Servers []netip.AddrPort // port 0: that of the service
	Path    string           // what an HTTP check asks for; empty: a connection is enough
	// Inside is the address that servers behind NAT have as their gateway, and Device
	// its interface; it moves together with the virtual one. Invalid: they have another way.
	Inside netip.Prefix
	Device string
}

// Write returns the two files, the first host's first, as package config checks them:
// the error is of what it would refuse in one of them, or between the two.
func (p *Plan) Write() (files [2]string, err error) {
	if err := p.check(); err != nil {
		return files, err
	}
	var sides [2]config.Side
	for i := range files {
		files[i] = p.file(i)
		name := p.Hosts[i].Name + ".toml"
		cfg, warnings, err := config.ParseWithWarnings(name, []byte(files[i]))
		if err != nil {
			return files, err
		}
		if len(warnings) > 0 {
			return files, errors.New(warnings[0].String())
		}
		sides[i] = config.Side{Name: name, Find: config.Positions(name, []byte(files[i])), Config: cfg}
	}
	errs, warnings := config.ComparePeers(sides[0], sides[1])
	if len(errs) > 0 {
		return files, errs
	}
	if len(warnings) > 0 {
		return files, errors.New(warnings[0].String())
	}
	return files, nil
}

// check asks for what the files alone would not tell.
func (p *Plan) check() error {
	a, b := p.Hosts[0], p.Hosts[1]
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	switch {
	case a.Name == "" || b.Name == "" || a.Name == b.Name:
		return fmt.Errorf("the hosts are called %q and %q, and need names of their own", a.Name, b.Name)
	case strings.Trim(a.Name+b.Name, letters) != "" || a.Name[0] == '.' || b.Name[0] == '.':
		return fmt.Errorf("the hosts are called %q and %q, and their files likewise: allowed are letters, digits and ._-", a.Name, b.Name)
	case !a.Address.IsValid() || !b.Address.IsValid() || a.Address == b.Address:
		return fmt.Errorf("the hosts have the addresses %v and %v, and need addresses of their own", a.Address, b.Address)
	case a.Address.Is4() != p.Address.Addr().Is4() || b.Address.Is4() != p.Address.Addr().Is4():
		return fmt.Errorf("the addresses of the hosts are of another IP version than the virtual address %v", p.Address)
	case p.Address.Addr() == a.Address || p.Address.Addr() == b.Address:
		return fmt.Errorf("%v is a host's own address: the virtual one is a third, which neither host has by itself", p.Address.Addr())
	case p.Address.IsSingleIP():
		return fmt.Errorf("the virtual address %v needs the length of its network, such as %v/24", p.Address.Addr(), p.Address.Addr())
	case p.Process != "" && p.Port != 0:
		return errors.New("a process or a port is tracked, not both")
	case p.Farm != nil && p.Farm.Inside.IsValid() && p.Farm.Method != config.NAT:
		return fmt.Errorf("with %s the servers answer the clients themselves, and need no address of the directors as their gateway", p.Farm.Method)
	}
	return nil
}

// VRID returns the usual number of the virtual router of an address: its last byte.
func VRID(a netip.Addr) uint8 {
	b := a.AsSlice()
	return max(b[len(b)-1], 1)
}

// file writes the configuration of a host.
func (p *Plan) file(n int) string {
	own, other := p.Hosts[n], p.Hosts[1-n]
	w := new(writer)
	w.line("# %s: one of a pair with %s, made by director init. What is not said here has its", own.Name, other.Name)
	w.line("# default; etc/director.toml explains every key.")
	w.line("")
	w.line("[global]")
	w.line("router_id = %q", own.Name)
	p.instance(w, n)
	if p.Process != "" {
		w.line("")
		w.line("# The instance obeys this process of the host.")
		w.line("[track_process.local]")
		w.line("process = %q", p.Process)
		w.weight(p)
	}
	if p.Port != 0 {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if p.Address.Addr().Is6() {
			loopback = netip.IPv6Loopback()
		}
		w.line("")
		w.line("# The instance obeys this port of the host.")
		w.line("[track_target.local]")
		w.line("type = \"tcp\"")
		w.line("address = %q", loopback)
		w.line("port = %d", p.Port)
		w.weight(p)
	}
	if p.Farm != nil {
		p.farm(w)
	}
	return w.b.String()
}

// weight explains what follows when the tracker is down.
func (w *writer) weight(p *Plan) {
	if p.NoPreempt {
		w.line("# Without a weight a host where it is down gives the address up: with nopreempt no")
		w.line("# difference of priorities would move it.")
		return
	}
	w.line("# Taken from the priority while it is down: more than the distance between the hosts,")
	w.line("# so that the other one takes over, and when both are down one of them still serves.")
	w.line("weight = -20")
}

func (p *Plan) instance(w *writer, n int) {
	priority := [2]int{100, 90}[n]
	own, other := p.Hosts[n], p.Hosts[1-n]
	w.line("")
	w.line("# The virtual address. The host with the higher priority has it.")
	w.line("[vrrp_instance.main]")
	w.line("interface = %q", p.Interface)
	w.line("virtual_router_id = %d # the same on both hosts, and of nobody else on this network", p.VRID)
	w.line("priority = %d", priority)
	w.line("virtual_ipaddress = [%q]", p.Address)
	if p.NoPreempt {
		w.line("nopreempt = true # a host that comes back leaves the address where it is")
	}
	if p.Unicast {
		w.line("unicast_src_ip = %q", own.Address)
		w.line("unicast_peer = [%q] # %s: adverts go to it alone, not to the multicast group", other.Address, other.Name)
	}
	switch {
	case p.Process != "":
		w.line("track_process = [\"local\"]")
	case p.Port != 0:
		w.line("track_target = [\"local\"]")
	}
	p.signed(w, "main")
	if p.Farm == nil || !p.Farm.Inside.IsValid() {
		return
	}
	w.line("")
	w.line("# The gateway of the servers behind NAT. It is always on the same host as the address above.")
	w.line("[vrrp_instance.inside]")
	w.line("interface = %q", p.Farm.Device)
	inside := VRID(p.Farm.Inside.Addr())
	if inside == p.VRID && p.Farm.Device == p.Interface {
		inside = inside%255 + 1
	}
	w.line("virtual_router_id = %d", inside)
	w.line("priority = %d", priority)
	w.line("virtual_ipaddress = [%q]", p.Farm.Inside)
	if p.NoPreempt {
		w.line("nopreempt = true")
	}
	p.signed(w, "inside")
	w.line("")
	w.line("[vrrp_sync_group.farm]")
	w.line("group = [\"main\", \"inside\"]")
}

// signed writes the key, the same for both instances.
func (p *Plan) signed(w *writer, instance string) {
	if p.Key == "" {
		return
	}
	w.line("")
	w.line("# Adverts are signed: nobody without this key can take the address. Both hosts have the")
	w.line("# same key, and clocks that agree within seconds. Keep this file to root (mode 0600).")
	w.line("[vrrp_instance.%s.authentication]", instance)
	w.line("type = \"HMAC\"")
	w.line("keys = [{ id = 1, key = %q }]", p.Key)
}

func (p *Plan) farm(w *writer) {
	f := p.Farm
	address := netip.AddrPortFrom(p.Address.Addr(), f.Port)
	w.line("")
	w.line("# What clients connect to, and the servers behind it. A server joins after its check")
	w.line("# has succeeded twice, and leaves after three failures.")
	w.line("[virtual_server.main]")
	w.line("address = %q", address)
	switch f.Method {
	case config.DR:
		w.line("forwarding = \"dr\" # the servers answer the clients themselves: each has %s on lo, without ARP for it", address.Addr())
	case config.Tunnel:
		w.line("forwarding = \"tunnel\" # IP in IP: each server has %s on its tunnel interface, and answers the clients itself", address.Addr())
	default:
		w.line("forwarding = \"nat\" # replies of the servers come back through this host")
	}
	if f.Path != "" {
		w.line("check = { type = \"http\", path = %q }", f.Path)
	} else {
		w.line("check = { type = \"tcp\" }")
	}
	list := make([]string, len(f.Servers))
	for i, s := range f.Servers {
		text := s.String()
		if s.Port() == 0 {
			text = netip.AddrPortFrom(s.Addr(), f.Port).String()
		}
		list[i] = strconv.Quote(text)
	}
	w.line("real_server = [%s]", strings.Join(list, ", "))
}

// Steps tells what is left to be done by hand, a line each.
func (p *Plan) Steps(files [2]string) []string {
	a, b := p.Hosts[0], p.Hosts[1]
	steps := []string{
		fmt.Sprintf("director check --peer %s %s   # is the same true of both?", files[1], files[0]),
		fmt.Sprintf("install -m 0600 %s /etc/director/director.toml   # on %s", files[0], a.Name),
		fmt.Sprintf("scp %s root@%s:/etc/director/director.toml   # for %s; then chmod 0600", files[1], bracket(b.Address), b.Name),
	}
	if f := p.Farm; f != nil && f.Method == config.NAT {
		forward := "net.ipv4.ip_forward"
		if p.Address.Addr().Is6() {
			forward = "net.ipv6.conf.all.forwarding"
		}
		steps = append(steps, fmt.Sprintf("sysctl -w %s=1   # on both: what is balanced by NAT passes through", forward))
		if f.Inside.IsValid() {
			steps = append(steps, fmt.Sprintf("ip route replace default via %s   # on each server", f.Inside.Addr()))
		} else {
			steps = append(steps, "# the servers' replies have to come back through the directors: an address of theirs as gateway (--inside)")
		}
	}
	if f := p.Farm; f != nil && f.Method == config.DR && p.Address.Addr().Is4() {
		steps = append(steps,
			"sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2   # on each server, before the next line",
			fmt.Sprintf("ip addr add %s/32 dev lo   # on each server", p.Address.Addr()))
	}
	return append(steps,
		"director doctor   # on both: what on the host would be in the way, kernel settings too, and the cure",
		"systemctl enable --now director && director status   # on both")
}

func bracket(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// Methods are the ways in which packets reach the servers.
func Methods() []string {
	return []string{string(config.NAT), string(config.DR), string(config.Tunnel)}
}

// ParseMethod reads a forwarding method.
func ParseMethod(s string) (config.Forwarding, error) {
	if !slices.Contains(Methods(), s) {
		return "", fmt.Errorf("%q is not known, allowed are %s", s, strings.Join(Methods(), ", "))
	}
	return config.Forwarding(s), nil
}

type writer struct{ b strings.Builder }

func (w *writer) line(format string, args ...any) {
	fmt.Fprintf(&w.b, format+"\n", args...)
}
