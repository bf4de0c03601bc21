package ipvs

import (
	"cmp"
	"maps"
	"slices"
)

// Diff returns the operations that lead from have to want, in the order in
// which they must be done:
//
//  1. services are added and edited,
//  2. real servers are added,
//  3. real servers are edited, those that gain a weight first and those that
//     lose theirs last,
//  4. real servers are deleted,
//  5. services are deleted.
//
// So a pool that has members before and after has members all the way, and
// one that could take connections before and after can all the way. An edit
// keeps the connections and counters of what it edits; nothing is ever deleted
// and added again to change it.
//
// A service that want does not list is deleted when owned says that it is ours;
// a nil owned says so of none. Within a service that want lists, every real
// server is ours.
//
// Both tables are compared in canonical form and the operations are canonical.
func Diff(have, want Table, owned func(ServiceKey) bool) []Op {
	have, want = have.canonicalView(), want.canonicalView()

	var services, adds, edits, deletes, gone []Op
	for _, k := range want.Keys() {
		w, h := want[k], have[k]
		if h == nil {
			services = append(services, Op{Kind: AddService, Key: k, Service: w.Service})
			h = &Entry{}
		} else if h.Service != w.Service {
			services = append(services, Op{Kind: EditService, Key: k, Service: w.Service})
		}
		if maps.Equal(h.Dests, w.Dests) {
			continue
		}
		first := len(edits)
		for _, dk := range w.Keys() {
			d := w.Dests[dk]
			if old, ok := h.Dests[dk]; !ok {
				adds = append(adds, Op{Kind: AddDest, Key: k, DestKey: dk, Dest: d})
			} else if old != d {
				edits = append(edits, Op{Kind: EditDest, Key: k, DestKey: dk, Dest: d})
			}
		}
		slices.SortStableFunc(edits[first:], func(a, b Op) int {
			return cmp.Compare(editRank(h, a), editRank(h, b))
		})
		for _, dk := range h.Keys() {
			if _, ok := w.Dests[dk]; !ok {
				deletes = append(deletes, Op{Kind: DeleteDest, Key: k, DestKey: dk})
			}
		}
	}
	if owned != nil {
		for _, k := range have.Keys() {
			if _, ok := want[k]; !ok && owned(k) {
				gone = append(gone, Op{Kind: DeleteService, Key: k})
			}
		}
	}
	return slices.Concat(services, adds, edits, deletes, gone)
}

// editRank orders the edits within a service: gaining a weight, keeping one or
// none, losing it.
func editRank(h *Entry, o Op) int {
	before, after := h.Dests[o.DestKey].Weight > 0, o.Dest.Weight > 0
	switch {
	case !before && after:
		return 0
	case before && !after:
		return 2
	}
	return 1
}

// canonicalView returns t itself when it is canonical already, as a table from
// the kernel is, and a canonical clone otherwise.
func (t Table) canonicalView() Table {
	for k, e := range t {
		if k != k.Canonical() || e.Service != e.Service.Canonical() {
			return t.Canonical()
		}
		for dk, d := range e.Dests {
			if dk != CanonicalDest(dk) || d != d.Canonical() {
				return t.Canonical()
			}
		}
	}
	return t
}
