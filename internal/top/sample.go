package top

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"director/internal/control"
	"director/ipvs"
)

// Want says what a sample is to hold beside all services.
type Want struct {
	// Open are the virtual servers whose real servers the daemon is to list, by name.
	Open []string
	// Read are those whose real servers are read from the kernel; All reads those of all.
	Read []string
	All  bool
}

// covers says that a sample taken for w has all that o wants.
func (w Want) covers(o Want) bool {
	has := func(list []string, name string) bool { return slices.Contains(list, name) }
	for _, name := range o.Open {
		if !has(w.Open, name) {
			return false
		}
	}
	if w.All {
		return true
	}
	for _, name := range o.Read {
		if !has(w.Read, name) {
			return false
		}
	}
	return !o.All
}

// Sample is how things are at a moment.
type Sample struct {
	At time.Time
	// View is the newest that the daemon told, nil when it has told nothing yet; Lost is
	// why it told nothing now, since when.
	View      *control.Overview
	Lost      error
	LostSince time.Time
	// Table and Stats are the kernel's, with the real servers that were wanted; Kernel is
	// why there are none.
	Table  ipvs.Table
	Stats  ipvs.Stats
	Kernel error
	Want   Want // that it was taken for
}

// numbers are what is counted of a service or a server.
type numbers struct {
	control.Rates
	active, inactive uint64
	counted          bool // active and inactive are known
	unrated          bool // nothing is known: the kernel does not answer
}

// take adds the kernel's rates.
func (n *numbers) take(c ipvs.Counters) {
	n.Connections += c.ConnectionRate
	n.InPackets += c.InPacketRate
	n.OutPackets += c.OutPacketRate
	n.InBytes += c.InByteRate
	n.OutBytes += c.OutByteRate
}

// service is a virtual server on the screen, or a service of the kernel that the daemon
// does not know.
type service struct {
	name      string
	addresses []string
	state     string // up, down, sorry, standby, unknown; empty: the daemon does not know it
	up, total int
	numbers
	servers []server // nil: not known
}

// server is one real server of it.
type server struct {
	name, address string
	health        string // up, down, unknown, leaving; empty: the daemon does not know it
	order, reason string
	weight        int32
	installed     bool
	numbers
}

// services joins what the daemon and the kernel say.
func (s *Sample) services() []service {
	byText := make(map[string]ipvs.ServiceKey, len(s.Stats))
	for key := range s.Stats {
		byText[key.String()] = key
	}
	var list []service
	if s.View != nil {
		list = make([]service, 0, len(s.View.Services))
		for i := range s.View.Services {
			v := &s.View.Services[i]
			row := service{name: v.Name, addresses: v.Addresses, state: v.State, up: v.Up, total: v.Total}
			var keys []ipvs.ServiceKey
			for _, a := range v.Addresses {
				if key, ok := byText[a]; ok {
					keys = append(keys, key)
					delete(byText, a)
				}
			}
			s.fill(&row, keys, v.Servers)
			list = append(list, row)
		}
	}
	var strangers []service
	for text, key := range byText {
		row := service{name: text, addresses: []string{text}}
		s.fill(&row, []ipvs.ServiceKey{key}, nil)
		row.total = len(row.servers)
		strangers = append(strangers, row)
	}
	slices.SortFunc(strangers, func(a, b service) int { return cmp.Compare(a.name, b.name) })
	return append(list, strangers...)
}

// fill puts the kernel's numbers of some services into a row, and its real servers: those
// that the daemon has listed, and those that only the kernel has.
func (s *Sample) fill(row *service, keys []ipvs.ServiceKey, told []control.OverviewServer) {
	read := len(keys) == 0 && s.Kernel == nil // of a service that the kernel does not have all is known
	for _, key := range keys {
		row.take(s.Stats[key].Counters)
		read = read || len(s.Stats[key].Dests) > 0 || s.Want.All || slices.Contains(s.Want.Read, row.name)
	}
	known := make(map[string]int, len(told)) // by address
	if told != nil {
		row.servers = make([]server, 0, len(told))
	}
	for _, t := range told {
		known[t.Address] = len(row.servers)
		row.servers = append(row.servers, server{name: t.Name, address: t.Address, health: t.Health, order: t.Order, reason: t.Reason,
			numbers: numbers{counted: read, unrated: s.Kernel != nil}})
	}
	row.counted, row.unrated = read, s.Kernel != nil
	for _, key := range keys {
		e := s.Table[key]
		if e == nil {
			continue
		}
		for _, d := range e.Keys() {
			st := s.Stats[key].Dests[d]
			row.active += uint64(st.Active)
			row.inactive += uint64(st.Inactive)
			i, ok := known[d.String()]
			if !ok {
				// A server of a pool without a port goes by its address alone.
				i, ok = known[netip.AddrPortFrom(d.Addr(), 0).String()]
			}
			if !ok {
				i = len(row.servers)
				known[d.String()] = i
				row.servers = append(row.servers, server{name: d.String(), address: d.String(), numbers: numbers{counted: true}})
			}
			r := &row.servers[i]
			r.installed, r.weight = true, e.Dests[d].Weight
			r.take(st.Counters)
			r.active += uint64(st.Active)
			r.inactive += uint64(st.Inactive)
		}
	}
}

// matches says that a row has every word of a filter in its name, addresses, state or in
// the names of its servers.
func (row *service) matches(words []string) bool {
	for _, w := range words {
		if !row.has(w) {
			return false
		}
	}
	return true
}

func (row *service) has(word string) bool {
	in := func(s string) bool { return strings.Contains(strings.ToLower(s), word) }
	if in(row.name) || row.state == word || slices.ContainsFunc(row.addresses, in) {
		return true
	}
	return slices.ContainsFunc(row.servers, func(r server) bool { return in(r.name) || in(r.address) || r.health == word })
}

// total adds services up.
func total(list []service) (sum numbers, servers, up int) {
	sum.counted = true
	for i := range list {
		n := &list[i].numbers
		sum.Connections += n.Connections
		sum.InPackets += n.InPackets
		sum.OutPackets += n.OutPackets
		sum.InBytes += n.InBytes
		sum.OutBytes += n.OutBytes
		sum.active += n.active
		sum.inactive += n.inactive
		sum.counted = sum.counted && n.counted
		servers += list[i].total
		up += list[i].up
	}
	return sum, servers, up
}
