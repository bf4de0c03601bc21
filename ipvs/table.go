package ipvs

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Entry is one virtual service with its real servers.
type Entry struct {
	Service Service
	Dests   map[DestKey]Destination
}

// Table is the whole of what IPVS does on a host, or of what it should do.
type Table map[ServiceKey]*Entry

// Set puts a service into the table, keeping the real servers that it has
// there, and returns its entry.
func (t Table) Set(k ServiceKey, s Service) *Entry {
	k = k.Canonical()
	e := t[k]
	if e == nil {
		e = &Entry{Dests: map[DestKey]Destination{}}
		t[k] = e
	}
	e.Service = s
	return e
}

// Clone returns a table that shares nothing with t.
func (t Table) Clone() Table {
	c := make(Table, len(t))
	for k, e := range t {
		d := maps.Clone(e.Dests)
		if d == nil {
			d = map[DestKey]Destination{}
		}
		c[k] = &Entry{Service: e.Service, Dests: d}
	}
	return c
}

// Canonical returns a clone in which every key and value is canonical.
func (t Table) Canonical() Table {
	c := make(Table, len(t))
	for k, e := range t {
		n := &Entry{Service: e.Service.Canonical(), Dests: make(map[DestKey]Destination, len(e.Dests))}
		for dk, d := range e.Dests {
			n.Dests[CanonicalDest(dk)] = d.Canonical()
		}
		c[k.Canonical()] = n
	}
	return c
}

// Equal reports whether two tables are the same in canonical form.
func (t Table) Equal(o Table) bool {
	a, b := t.Canonical(), o.Canonical()
	return maps.EqualFunc(a, b, func(x, y *Entry) bool {
		return x.Service == y.Service && maps.Equal(x.Dests, y.Dests)
	})
}

// Keys returns the services in the order in which ipvsadm lists them.
func (t Table) Keys() []ServiceKey {
	return slices.SortedFunc(maps.Keys(t), ServiceKey.Compare)
}

// Len returns the numbers of services and of destinations.
func (t Table) Len() (services, destinations int) {
	for _, e := range t {
		destinations += len(e.Dests)
	}
	return len(t), destinations
}

// Keys returns the entry's real servers by address and port.
func (e *Entry) Keys() []DestKey {
	return slices.SortedFunc(maps.Keys(e.Dests), netip.AddrPort.Compare)
}

// String returns the table as `ipvsadm -Sn` prints it, sorted, one line an
// entry; `ipvsadm -R` restores it. Thresholds, which ipvsadm itself forgets to
// save, are included.
func (t Table) String() string {
	var b strings.Builder
	for _, k := range t.Keys() {
		e := t[k]
		b.WriteString(Op{Kind: AddService, Key: k, Service: e.Service}.String())
		b.WriteByte('\n')
		for _, d := range e.Keys() {
			b.WriteString(Op{Kind: AddDest, Key: k, DestKey: d, Dest: e.Dests[d]}.String())
			b.WriteByte('\n')
		}
	}
	return b.String()
}
