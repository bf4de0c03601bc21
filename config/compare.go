package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Side is the configuration of one of two hosts that work together.
type Side struct {
	Name   string // of the file
	Find   Finder // finds its keys
	Config *Config
}

// ComparePeers compares the configurations of two hosts that work together. Errors
// are what keeps them from it: both would be MASTER, or one could not follow the
// other. Warnings are what is probably not meant. Places are those of own. Secrets
// are compared where both files have them, and not shown.
func ComparePeers(own, peer Side) (Errors, []Warning) {
	c := &comparison{
		own: own, peer: peer,
		find: own.Find, other: peer.Find,
	}
	if a, b := own.Config.Global.RouterID, peer.Config.Global.RouterID; a != "" && a == b {
		c.warnf(path("global", "router_id"), "%q on both hosts: mails and events do not tell which of them speaks", a)
	}
	matched := make(map[*Instance]bool)
	for i := range own.Config.Instances {
		a := &own.Config.Instances[i]
		b := counterpart(a, peer.Config.Instances)
		if b == nil {
			c.warnf(path("vrrp_instance", a.Name), "%s has no instance of this name and none with an address of it: it has no backup there", peer.Name)
			continue
		}
		matched[b] = true
		c.instances(a, b)
	}
	for i := range peer.Config.Instances {
		if b := &peer.Config.Instances[i]; !matched[b] {
			c.warnf(nil, "the instance %s of %s has no counterpart here", b.Name, c.at("vrrp_instance", b.Name))
		}
	}
	c.groups()
	c.farms()
	r := &report{errs: c.errs, warns: c.warns}
	r.sort()
	return r.errs, r.warns
}

// counterpart finds the instance of the other host that is the same virtual router:
// that of the same name, else the one with an address in common.
func counterpart(a *Instance, list []Instance) *Instance {
	for i := range list {
		if list[i].Name == a.Name {
			return &list[i]
		}
	}
	for i := range list {
		for _, addr := range list[i].Addresses {
			if slices.ContainsFunc(a.Addresses, func(own VirtualAddress) bool { return own.Prefix.Addr() == addr.Prefix.Addr() }) {
				return &list[i]
			}
		}
	}
	return nil
}

// comparison gathers what differs.
type comparison struct {
	own, peer   Side
	find, other Finder
	errs        Errors
	warns       []Warning
}

func path(parts ...string) []string { return parts }

func (c *comparison) errorf(at []string, format string, args ...any) {
	c.errs = append(c.errs, c.finding(at, fmt.Sprintf(format, args...)))
}

func (c *comparison) warnf(at []string, format string, args ...any) {
	c.warns = append(c.warns, Warning(c.finding(at, fmt.Sprintf(format, args...))))
}

func (c *comparison) finding(at []string, msg string) Error {
	e := Error{File: c.own.Name, Key: strings.Join(at, "."), Msg: msg}
	for n := len(at); n > 0 && e.Line == 0; n-- { // a default stands nowhere: name its table
		p := c.find(at[:n]...)
		e.Line, e.Col = p.Line, p.Col
		if p.Line > 0 {
			e.File = p.File
		}
	}
	return e
}

// at names a place in the peer's file.
func (c *comparison) at(parts ...string) string {
	for n := len(parts); n > 0; n-- {
		if p := c.other(parts[:n]...); p.Line > 0 {
			return fmt.Sprintf("%s:%d", p.File, p.Line)
		}
	}
	return c.peer.Name
}

// agreement is a property in which two instances that are one virtual router have to
// agree.
type agreement struct {
	key   []string
	of    func(*Instance) string
	why   string
	fatal func(*Instance) bool // nil: always
}

func agreements() []agreement {
	never := func(*Instance) bool { return false }
	return []agreement{
		{path("virtual_router_id"), func(i *Instance) string { return fmt.Sprint(i.VRID) }, "neither would hear the other, and both would be MASTER", nil},
		{path("version"), func(i *Instance) string { return fmt.Sprint(i.Version) }, "each would drop the adverts of the other, and both would be MASTER", nil},
		{path("advert_interval"), func(i *Instance) string { return i.AdvertInterval.String() },
			"in version 2 each would drop the adverts of the other; in version 3 a backup learns the interval of the master",
			func(i *Instance) bool { return i.Version == 2 }},
		{path("unicast_peer"), func(i *Instance) string {
			if i.Unicast() {
				return "unicast"
			}
			return "multicast"
		}, "neither would hear the other, and both would be MASTER", nil},
		{path("mcast_group"), func(i *Instance) string {
			if i.Unicast() {
				return ""
			}
			return fmt.Sprint(i.Group)
		}, "neither would hear the other, and both would be MASTER", nil},
		{path("authentication", "type"), func(i *Instance) string {
			if i.Authentication.Type == "" {
				return "no authentication"
			}
			return i.Authentication.Type
		}, "each would drop the adverts of the other, and both would be MASTER", nil},
		{path("virtual_ipaddress"), func(i *Instance) string { return addressSet(i.Addresses) },
			"an address that one host alone has goes away with it", nil},
		{path("virtual_ipaddress_excluded"), func(i *Instance) string { return addressSet(i.Excluded) },
			"an address that one host alone has goes away with it", never},
		{path("down_timer_adverts"), func(i *Instance) string { return fmt.Sprint(i.DownTimerAdverts) }, "one host takes over later than the other", never},
		{path("use_vmac"), func(i *Instance) string { return fmt.Sprint(i.UseVMAC) }, "with each move the clients have to learn another MAC address", never},
		{path("vmac_address"), func(i *Instance) string {
			if !i.UseVMAC {
				return ""
			}
			return fmt.Sprint(i.VMAC(!i.Family(false)))
		}, "with each move the clients have to learn another MAC address", never},
		{path("accept"), func(i *Instance) string { return fmt.Sprint(i.Accept) }, "the addresses answer on one host and not on the other", never},
		{path("heartbeat"), func(i *Instance) string { return fmt.Sprintf("%d paths", len(i.Heartbeats)) }, "a path needs both ends", never},
	}
}

func addressSet(list []VirtualAddress) string {
	var addrs []string
	for _, a := range list {
		addrs = append(addrs, a.Prefix.String())
	}
	slices.Sort(addrs)
	if len(addrs) == 0 {
		return "none"
	}
	return strings.Join(addrs, ", ")
}

// instances compares two that are one virtual router.
func (c *comparison) instances(a, b *Instance) {
	at := func(key ...string) []string { return append(path("vrrp_instance", a.Name), key...) }
	there := func(key ...string) string { return c.at(append(path("vrrp_instance", b.Name), key...)...) }
	for _, g := range agreements() {
		here, remote := g.of(a), g.of(b)
		if here == remote || here == "" || remote == "" {
			continue
		}
		say := c.errorf
		if g.fatal != nil && !g.fatal(a) {
			say = c.warnf
		}
		say(at(g.key...), "%s, but %s at %s: %s", here, remote, there(g.key...), g.why)
	}
	c.secrets(a, b, at, there)
	c.weights(a, b, at, there)
	switch {
	case a.Priority != b.Priority:
	case a.Priority == 255:
		c.errorf(at("priority"), "255 on both hosts (%s): both own the addresses, and both are MASTER", there("priority"))
	case !a.NoPreempt || !b.NoPreempt:
		c.warnf(at("priority"), "%d on both hosts (%s): the higher address of the two is preferred, and takes over again after each outage", a.Priority, there("priority"))
	}
	for _, v6 := range []bool{false, true} {
		key, own, remote := "mcast_src_ip", a.Source, b.Source
		if a.Unicast() {
			key, own, remote = "unicast_src_ip", a.UnicastSource, b.UnicastSource
		}
		if src := own.Of(v6); src.IsValid() && src == remote.Of(v6) {
			c.errorf(at(key), "%s on both hosts (%s): it can be the address of one", src, there(key))
		}
	}
	if a.Unicast() && b.Unicast() {
		c.peers(a, b, at("unicast_peer"), there("unicast_src_ip"), "does not have %s, which is the source of the other host's adverts (%s): they would be dropped")
		c.peers(b, a, at("unicast_src_ip"), there("unicast_peer"), "%[1]s is not in the list of the other host (%[2]s): it would drop the adverts of this one")
	}
}

// peers checks that the source of b is a peer of a.
func (c *comparison) peers(a, b *Instance, at []string, there, format string) {
	for _, v6 := range []bool{false, true} {
		src := b.UnicastSource.Of(v6)
		if src.IsValid() && !slices.ContainsFunc(a.Peers, func(p UnicastPeer) bool { return p.Address == src }) {
			c.errorf(at, format, src, there)
		}
	}
}

// secrets compares passwords and keys that both files have.
func (c *comparison) secrets(a, b *Instance, at func(...string) []string, there func(...string) string) {
	x, y := &a.Authentication, &b.Authentication
	if x.Type != y.Type {
		return
	}
	if x.Password != "" && y.Password != "" && x.Password != y.Password {
		c.errorf(at("authentication", "password"), "not the password of %s: each would drop the adverts of the other, and both would be MASTER",
			there("authentication", "password"))
	}
	known := func(signer, hearer *Authentication) bool {
		i := slices.IndexFunc(signer.Keys, func(k HMACKey) bool { return k.ID == signer.ActiveKey })
		j := slices.IndexFunc(hearer.Keys, func(k HMACKey) bool { return k.ID == signer.ActiveKey })
		if i < 0 || j < 0 {
			return i < 0
		}
		p, q := signer.Keys[i].Key, hearer.Keys[j].Key
		return p == "" || q == "" || p == q
	}
	if x.Type == AuthHMAC {
		if !known(x, y) {
			c.errorf(at("authentication", "active_key"), "the other host (%s) does not have the key %d that this one signs with: it would drop its adverts", there("authentication", "keys"), x.ActiveKey)
		}
		if !known(y, x) {
			c.errorf(at("authentication", "keys"), "there is not the key %d that the other host (%s) signs with: its adverts would be dropped", y.ActiveKey, there("authentication", "active_key"))
		}
	}
}

func (c *comparison) groups() {
	members := func(g *SyncGroup) string {
		list := slices.Clone(g.Members)
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	for i := range c.own.Config.Groups {
		g := &c.own.Config.Groups[i]
		j := slices.IndexFunc(c.peer.Config.Groups, func(o SyncGroup) bool { return o.Name == g.Name })
		switch {
		case j < 0:
			c.warnf(path("vrrp_sync_group", g.Name), "%s has no such group: there its members move one by one", c.peer.Name)
		case members(g) != members(&c.peer.Config.Groups[j]):
			c.warnf(path("vrrp_sync_group", g.Name, "group"), "%s, but %s at %s", members(g), members(&c.peer.Config.Groups[j]), c.at("vrrp_sync_group", g.Name, "group"))
		}
	}
}

// farms compares what the two balance: whoever takes over should do the same.
func (c *comparison) farms() {
	type service struct {
		addr     netip.AddrPort
		mark     uint32
		protocol Protocol
	}
	key := func(v *VirtualServer) service { return service{v.Address, v.FWMark, v.Protocol} }
	servers := func(v *VirtualServer) string {
		var list []string
		for _, r := range v.RealServers {
			list = append(list, fmt.Sprintf("%s weight %d", r.Address, r.Weight))
		}
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	sorry := func(v *VirtualServer) string { // their order counts
		var list []string
		for _, s := range v.SorryServers {
			list = append(list, s.Address.String())
		}
		return strings.Join(list, ", ")
	}
	there := make(map[service]*VirtualServer)
	for i := range c.peer.Config.VirtualServers {
		v := &c.peer.Config.VirtualServers[i]
		there[key(v)] = v
	}
	for i := range c.own.Config.VirtualServers {
		v := &c.own.Config.VirtualServers[i]
		at := path("virtual_server", v.Name)
		o := there[key(v)]
		if o == nil {
			c.warnf(at, "%s has no virtual server of this address: nobody serves it when that host takes over", c.peer.Name)
			continue
		}
		delete(there, key(v))
		for _, p := range []struct{ key, here, remote string }{
			{"scheduler", v.Scheduler, o.Scheduler},
			{"forwarding", string(v.Forwarding), string(o.Forwarding)},
			{"sorry_server", sorry(v), sorry(o)},
			{"ramp_up", v.RampUp.String(), o.RampUp.String()},
			{"panic_threshold", v.PanicThreshold, o.PanicThreshold},
			{"active_with", v.ActiveWith, o.ActiveWith},
			{"persistence_timeout", v.PersistenceTimeout.String(), o.PersistenceTimeout.String()},
			{"real_server", servers(v), servers(o)},
		} {
			if p.here != p.remote {
				c.warnf(append(slices.Clone(at), p.key), "%s, but %s at %s", orNone(p.here), orNone(p.remote), c.at("virtual_server", o.Name, p.key))
			}
		}
	}
	for i := range c.peer.Config.VirtualServers {
		v := &c.peer.Config.VirtualServers[i]
		if there[key(v)] == nil {
			continue
		}
		c.warnf(nil, "the virtual server %s of %s has no counterpart here", v.Name, c.at("virtual_server", v.Name))
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
