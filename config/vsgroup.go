package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// VirtualServerGroup is a set of addresses, ranges and firewall marks with one pool
// behind them all (keepalived: virtual_server_group).
type VirtualServerGroup struct {
	Name    string        // the table's name: [virtual_server_group.NAME]
	Members []GroupMember `toml:"members" short:"address" required:"true" alias:"addresses ip fwmark member"`
}

// GroupMember is an address, a range of addresses or a firewall mark of a group.
type GroupMember struct {
	// Address is written as "192.0.2.1:80", "192.0.2.1-9:80", "192.0.2.16/28:80", of
	// IPv6 as "[2001:db8::1-2001:db8::f]:80". See Range.
	Address string `toml:"address" form:"range" json:",omitempty"`
	FWMark  uint32 `toml:"fwmark" min:"1" max:"4294967295" json:",omitempty"`
	Family  string `toml:"family" oneof:"ipv4 ipv6" default:"=that of the real servers" json:",omitempty" alias:"ip_family"` // of a fwmark
}

// MaxGroup is the greatest number of services that one group may stand for.
const MaxGroup = 16384

// Range is a run of addresses, and a port that all have; port 0 means all ports.
type Range struct {
	First, Last netip.Addr
	Port        uint16
}

var (
	errRangePort  = errors.New("has no valid port; ports are 1 to 65535")
	errRangeOrder = errors.New("ends before it begins")
	errRangeSize  = fmt.Errorf("has more than %d addresses", MaxGroup)
	errRangeForm  = errors.New("is not an address, a range such as \"192.0.2.1-9:80\" or a network such as \"192.0.2.16/28:80\"")
)

// ParseRange reads an address, a range or a network, with or without a port. The
// last address of a range may be written whole or as its last part alone. A range
// has at most MaxGroup addresses, all those of a network among them.
func ParseRange(s string) (Range, error) {
	hosts, port, err := cutPort(s)
	if err != nil {
		return Range{}, err
	}
	r := Range{Port: port}
	if from, to, ok := strings.Cut(hosts, "-"); ok {
		if r.First, err = parseAddr(from); err != nil {
			return Range{}, errRangeForm
		}
		if r.Last, err = parseAddr(to); err != nil {
			if r.Last, err = lastPart(r.First, to); err != nil {
				return Range{}, errRangeForm
			}
		}
	} else if strings.Contains(hosts, "/") {
		p, err := parsePrefix(hosts)
		if err != nil {
			return Range{}, err
		}
		if p != p.Masked() {
			return Range{}, fmt.Errorf("has bits behind its mask; the network is %q", p.Masked())
		}
		r.First, r.Last = p.Addr(), lastOf(p)
	} else {
		if r.First, err = parseAddr(hosts); err != nil {
			return Range{}, err
		}
		r.Last = r.First
	}
	switch {
	case r.First.Is4() != r.Last.Is4():
		return Range{}, errRangeForm
	case r.Last.Less(r.First):
		return Range{}, errRangeOrder
	case r.len() > MaxGroup:
		return Range{}, errRangeSize
	}
	return r, nil
}

// cutPort takes the port off: what is in brackets, or has a single colon, may have one.
func cutPort(s string) (hosts string, port uint16, err error) {
	text := ""
	if inside, ok := strings.CutPrefix(s, "["); ok {
		hosts, text, ok = strings.Cut(inside, "]")
		if !ok || text != "" && text[0] != ':' {
			return "", 0, errRangeForm
		}
	} else if strings.Count(s, ":") == 1 {
		i := strings.IndexByte(s, ':')
		hosts, text = s[:i], s[i:]
	} else {
		return s, 0, nil
	}
	if text == "" {
		return hosts, 0, nil
	}
	n, err := strconv.ParseUint(text[1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, errRangePort
	}
	return hosts, uint16(n), nil
}

// lastPart replaces the last byte of an IPv4 address, or the last group of an IPv6 one.
func lastPart(first netip.Addr, text string) (netip.Addr, error) {
	b := first.AsSlice()
	if first.Is4() {
		n, err := strconv.ParseUint(text, 10, 8)
		b[3] = byte(n)
		a, _ := netip.AddrFromSlice(b)
		return a, err
	}
	n, err := strconv.ParseUint(text, 16, 16)
	b[14], b[15] = byte(n>>8), byte(n)
	a, _ := netip.AddrFromSlice(b)
	return a, err
}

// lastOf returns the highest address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// len counts the addresses; beyond MaxGroup it does not count on.
func (r Range) len() int {
	a, b := r.First.As16(), r.Last.As16()
	n := 0
	for i := range a { // the difference, high bytes first
		n = n<<8 + int(b[i]) - int(a[i])
		if n > MaxGroup {
			return MaxGroup + 1
		}
	}
	return n + 1
}

// Addresses returns the addresses of the range with its port, in ascending order.
func (r Range) Addresses() []netip.AddrPort {
	list := make([]netip.AddrPort, 0, r.len())
	for a := r.First; ; a = a.Next() {
		list = append(list, netip.AddrPortFrom(a, r.Port))
		if a == r.Last {
			return list
		}
	}
}

// ServiceID names one service of the kernel: an address with a protocol, or a
// firewall mark in a family.
type ServiceID struct {
	Protocol Protocol
	Address  netip.AddrPort
	FWMark   uint32
	Family   string
}

func (id ServiceID) String() string {
	if id.FWMark != 0 {
		if id.Family == familyWord(true) {
			return fmt.Sprintf("fwmark %d ipv6", id.FWMark)
		}
		return fmt.Sprintf("fwmark %d", id.FWMark)
	}
	return fmt.Sprintf("%s/%s", addrPortText(id.Address), id.Protocol)
}

// Services returns the services of the kernel behind which the virtual server's pool
// stands: one, or those of its group.
func (vs *VirtualServer) Services() []ServiceID {
	if vs.Group == "" {
		return []ServiceID{{Protocol: vs.Protocol, Address: vs.Address, FWMark: vs.FWMark, Family: vs.Family}}
	}
	var list []ServiceID
	for i := range vs.Members {
		list = append(list, vs.Members[i].services(vs.Protocol)...)
	}
	return list
}

func (m *GroupMember) services(p Protocol) []ServiceID {
	if m.FWMark != 0 {
		return []ServiceID{{FWMark: m.FWMark, Family: m.Family}}
	}
	r, err := ParseRange(m.Address)
	if err != nil {
		return nil
	}
	list := make([]ServiceID, 0, r.len())
	for _, a := range r.Addresses() {
		list = append(list, ServiceID{Protocol: p, Address: a})
	}
	return list
}

// face is what clients see of a virtual server.
type face struct {
	port     uint16 // that all its services have; 0: none, or several
	portless bool   // an address stands for all ports
	four     bool   // there are services of IPv4
	six      bool   // there are services of IPv6
	free     bool   // there are marks that take the family of the servers
}

func (vs *VirtualServer) face() face {
	var f face
	first := true
	port := func(n uint16) {
		if first {
			f.port, first = n, false
		} else if f.port != n {
			f.port = 0
		}
		f.portless = f.portless || n == 0
	}
	family := func(mark uint32, word string, a netip.Addr) {
		switch {
		case mark != 0 && word == "":
			f.free = true
		case mark != 0 && word == familyWord(true) || mark == 0 && a.Is6():
			f.six = true
		case mark != 0 || a.Is4():
			f.four = true
		}
	}
	if vs.Group == "" {
		if vs.FWMark == 0 {
			port(vs.Address.Port())
		}
		family(vs.FWMark, vs.Family, vs.Address.Addr())
		return f
	}
	for _, m := range vs.Members {
		var r Range
		if m.FWMark == 0 {
			r, _ = ParseRange(m.Address)
			port(r.Port)
		}
		family(m.FWMark, m.Family, r.First)
	}
	if slices.ContainsFunc(vs.Members, func(m GroupMember) bool { return m.FWMark != 0 }) {
		f.port = 0 // packets with a mark have any port
	}
	return f
}

// setFamily gives the marks without a family that of the servers.
func (vs *VirtualServer) setFamily(ipv6 bool) {
	if vs.FWMark != 0 && vs.Family == "" {
		vs.Family = familyWord(ipv6)
	}
	for i := range vs.Members {
		if m := &vs.Members[i]; m.FWMark != 0 && m.Family == "" {
			m.Family = familyWord(ipv6)
		}
	}
}

// serverGroups checks the groups, each alone, and that each is used.
func (v *validator) serverGroups() {
	used := make(map[string]bool)
	for i := range v.cfg.VirtualServers {
		used[v.cfg.VirtualServers[i].Group] = true
	}
	tables := v.root.child("virtual_server_group")
	for i := range v.cfg.ServerGroups {
		g := &v.cfg.ServerGroups[i]
		at := tables.child(g.Name)
		members := at.child("members")
		if members.exists() && len(g.Members) == 0 && v.ok(members) {
			v.errorf(members, "is empty, required is at least one address, range or fwmark")
		}
		total := 0
		for j, e := range members.list() {
			if j < len(g.Members) {
				total += v.member(e.asShort("address"), &g.Members[j])
			}
		}
		if total > MaxGroup {
			v.errorf(members, "stands for %d services, allowed is at most %d", total, MaxGroup)
		}
		if !used[g.Name] && len(v.errs) == 0 {
			v.warnf(at, "no virtual_server has this group")
		}
	}
}

// member checks one member and returns how many services it stands for.
func (v *validator) member(e place, m *GroupMember) int {
	addr, mark, family := e.child("address"), e.child("fwmark"), e.child("family")
	switch {
	case !v.ok(e) || !v.ok(addr) || !v.ok(mark) || !v.ok(family):
		return 0
	case addr.exists() && mark.exists():
		v.errorf(mark, "a member has either an address or a firewall mark, allowed is one of them")
		return 0
	case mark.exists():
		return 1
	case !addr.exists():
		v.errorf(addr, "is missing, required is an address, a range or a fwmark")
		return 0
	case family.exists():
		v.errorf(family, "the address itself has a family, allowed with fwmark only")
		return 0
	}
	r, _ := ParseRange(m.Address)
	for _, a := range []netip.Addr{r.First, r.Last} {
		if what := serverAddressProblem(a); what != "" {
			v.errorf(addr, "%s %s, allowed are addresses that clients can reach", a, what)
			return 0
		}
	}
	return r.len()
}

// members gives a virtual server the members of its group.
func (v *validator) members(at, proto place, vs *VirtualServer) {
	i := slices.IndexFunc(v.cfg.ServerGroups, func(g VirtualServerGroup) bool { return g.Name == vs.Group })
	if i < 0 {
		names := make([]string, len(v.cfg.ServerGroups))
		for i := range names {
			names[i] = v.cfg.ServerGroups[i].Name
		}
		v.unknownName(at, "virtual_server_group", vs.Group, names)
		return
	}
	g := v.root.child("virtual_server_group").child(vs.Group)
	if !v.ok(g) || !v.ok(g.child("members")) {
		return
	}
	vs.Members = slices.Clone(v.cfg.ServerGroups[i].Members)
	seen := make(map[ServiceID]bool)
	for i, e := range g.child("members").list() {
		m := &vs.Members[i]
		if !v.ok(e) || !v.ok(e.asShort("address").child("address")) {
			continue
		}
		for _, id := range m.services(vs.Protocol) {
			if seen[id] {
				v.errorf(e, "%s is in this group twice, allowed is each once", id)
				break
			}
			seen[id] = true
		}
	}
	f := vs.face()
	if f.portless && vs.PersistenceTimeout == 0 {
		v.errorf(at, "a member of %s has no port, allowed is a member without a port (for all ports) together with persistence_timeout", ref(g))
	}
	if !slices.ContainsFunc(vs.Members, func(m GroupMember) bool { return m.FWMark == 0 }) {
		v.markOnly(proto, vs)
	}
}
