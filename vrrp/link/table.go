package link

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// EventKind says what an Event reports.
type EventKind uint8

// The kinds of events.
const (
	// LinkChanged: the interface appeared, or its name, state, MTU, MAC, or the
	// order of its addresses changed. Interface.Addrs is complete: addresses that
	// an interface has when it is reported first get no event of their own.
	LinkChanged EventKind = iota + 1
	// LinkRemoved: the interface is gone, and its addresses with it. An interface of
	// the same name that comes later has another index.
	LinkRemoved
	// AddrAdded: Prefix was added to the interface.
	AddrAdded
	// AddrRemoved: Prefix was removed from the interface.
	AddrRemoved
	// Synced: everything that existed at the start has been reported.
	Synced
)

func (k EventKind) String() string {
	switch k {
	case LinkChanged:
		return "link changed"
	case LinkRemoved:
		return "link removed"
	case AddrAdded:
		return "address added"
	case AddrRemoved:
		return "address removed"
	case Synced:
		return "synced"
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is one change of an interface. Interface is the state after the
// change, for LinkRemoved the last one known; Prefix is set for AddrAdded and
// AddrRemoved.
type Event struct {
	Kind      EventKind
	Interface Interface
	Prefix    netip.Prefix
}

// table is the monitor's picture of the host.
type table struct {
	links map[int]*linkEntry
}

type linkEntry struct {
	info  Interface // Addrs is kept equal to the prefixes of addrs
	addrs []addrEntry
}

type addrEntry struct {
	prefix    netip.Prefix
	scope     uint8
	secondary bool // of IPv4
	passing   bool // of IPv6: deprecated or temporary
	unready   bool // of IPv6: not known to be unique
}

// flagged gives an address the flags that the kernel has for it.
func (a addrEntry) flagged(flags uint32) addrEntry {
	if a.prefix.Addr().Is4() {
		a.secondary = flags&unix.IFA_F_SECONDARY != 0
		return a
	}
	a.passing = flags&(unix.IFA_F_DEPRECATED|unix.IFA_F_TEMPORARY) != 0
	// An optimistic address is used while its uniqueness is being found out.
	a.unready = flags&unix.IFA_F_DADFAILED != 0 || flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
	return a
}

func newTable() table { return table{links: make(map[int]*linkEntry)} }

// event is what the world sees: its slice cannot grow into ours.
func (l *linkEntry) event(kind EventKind, prefix netip.Prefix) Event {
	e := Event{Kind: kind, Interface: l.info, Prefix: prefix}
	e.Interface.Addrs = slices.Clip(e.Interface.Addrs)
	return e
}

// setLink records a link without addresses.
func (t table) setLink(i Interface) { t.links[i.Index] = &linkEntry{info: i} }

// addAddress records an address that was listed: they come in the kernel's order.
func (t table) addAddress(index int, a addrEntry) {
	if l := t.links[index]; l != nil && !a.unready {
		l.addrs = append(l.addrs, a)
		l.info.Addrs = append(l.info.Addrs, a.prefix)
		if a.passing {
			l.info.Passing = append(l.info.Passing, a.prefix.Addr())
		}
	}
}

// changeLink applies a notification about a link.
func (t table) changeLink(i Interface, emit func(Event)) {
	l := t.links[i.Index]
	if l == nil {
		t.setLink(i)
		l = t.links[i.Index]
	} else {
		if sameLink(l.info, i) {
			return // it changed in something that does not concern us
		}
		i.Addrs, i.Passing = l.info.Addrs, l.info.Passing
		l.info = i
	}
	emit(l.event(LinkChanged, netip.Prefix{}))
}

func (t table) removeLink(index int, emit func(Event)) {
	if l := t.links[index]; l != nil {
		delete(t.links, index)
		emit(l.event(LinkRemoved, netip.Prefix{}))
	}
}

// changeAddress applies a notification that an address was added or changed. An
// address that cannot be used is as good as absent.
func (t table) changeAddress(index int, a addrEntry, emit func(Event)) {
	l := t.links[index]
	if l == nil {
		return
	}
	if a.unready {
		t.removeAddress(index, a.prefix, emit)
		return
	}
	at := l.find(a.prefix)
	if at >= 0 && l.addrs[at] == a {
		return
	}
	if at < 0 {
		l.insert(a)
		emit(l.event(AddrAdded, a.prefix))
		return
	}
	// A secondary address that was promoted, when its primary went, moves up.
	before, passing := l.info.Addrs, l.info.Passing
	l.remove(at)
	l.insert(a)
	if !slices.Equal(before, l.info.Addrs) || !slices.Equal(passing, l.info.Passing) {
		emit(l.event(LinkChanged, netip.Prefix{}))
	}
}

func (t table) removeAddress(index int, p netip.Prefix, emit func(Event)) {
	l := t.links[index]
	if l == nil {
		return
	}
	if at := l.find(p); at >= 0 {
		l.remove(at)
		emit(l.event(AddrRemoved, p))
	}
}

func (l *linkEntry) find(p netip.Prefix) int {
	return slices.Index(l.info.Addrs, p)
}

// insert puts an address where the kernel does: a secondary one last, a primary
// one behind the primaries of its family whose scope is not narrower.
func (l *linkEntry) insert(a addrEntry) {
	at := len(l.addrs)
	if !a.secondary && a.prefix.Addr().Is4() {
		for at > 0 && !follows(a, l.addrs[at-1]) {
			at--
		}
	}
	l.addrs = slices.Insert(l.addrs, at, a)
	if at == len(l.addrs)-1 && !a.passing {
		// Slices handed out with earlier events end before the new element.
		l.info.Addrs = append(l.info.Addrs, a.prefix)
		return
	}
	l.renew()
}

// follows says whether a new primary address goes behind an existing one.
func follows(a, existing addrEntry) bool {
	return existing.prefix.Addr().Is4() && !existing.secondary && a.scope <= existing.scope
}

func (l *linkEntry) remove(at int) {
	l.addrs = slices.Delete(l.addrs, at, at+1)
	l.renew()
}

// renew makes a fresh slice of prefixes; the old one may be in use elsewhere.
func (l *linkEntry) renew() {
	l.info.Addrs = make([]netip.Prefix, len(l.addrs))
	l.info.Passing = nil
	for i, a := range l.addrs {
		l.info.Addrs[i] = a.prefix
		if a.passing {
			l.info.Passing = append(l.info.Passing, a.prefix.Addr())
		}
	}
}

// replace makes the table equal to a complete listing and emits what differs,
// removals first.
func (t table) replace(listed table, emit func(Event)) {
	for _, index := range slices.Sorted(maps.Keys(t.links)) {
		if listed.links[index] == nil {
			t.removeLink(index, emit)
		}
	}
	for _, index := range slices.Sorted(maps.Keys(listed.links)) {
		fresh := listed.links[index]
		l := t.links[index]
		if l == nil {
			t.links[index] = fresh
			emit(fresh.event(LinkChanged, netip.Prefix{}))
			continue
		}
		have := prefixSet(l.info.Addrs)
		want := prefixSet(fresh.info.Addrs)
		for _, p := range slices.Clone(l.info.Addrs) {
			if !want[p] {
				t.removeAddress(index, p, emit)
			}
		}
		for _, a := range fresh.addrs {
			if !have[a.prefix] {
				t.changeAddress(index, a, emit)
			}
		}
		reordered := !slices.Equal(l.info.Addrs, fresh.info.Addrs)
		changed := !sameLink(l.info, fresh.info) || !slices.Equal(l.info.Passing, fresh.info.Passing)
		t.links[index] = fresh
		if changed || reordered {
			emit(fresh.event(LinkChanged, netip.Prefix{}))
		}
	}
}

func prefixSet(list []netip.Prefix) map[netip.Prefix]bool {
	set := make(map[netip.Prefix]bool, len(list))
	for _, p := range list {
		set[p] = true
	}
	return set
}

// sameLink compares all but the addresses.
func sameLink(a, b Interface) bool {
	return a.Index == b.Index && a.Name == b.Name && a.Up == b.Up && a.NoARP == b.NoARP &&
		a.MTU == b.MTU && bytes.Equal(a.HardwareAddr, b.HardwareAddr)
}

// interfaceOf translates the library's link.
func interfaceOf(l netlink.Link) Interface {
	a := l.Attrs()
	return Interface{
		Index:        a.Index,
		Name:         a.Name,
		Up:           a.RawFlags&unix.IFF_UP != 0 && a.RawFlags&unix.IFF_RUNNING != 0,
		AdminUp:      a.RawFlags&unix.IFF_UP != 0,
		Master:       a.MasterIndex,
		NoARP:        a.RawFlags&(unix.IFF_NOARP|unix.IFF_LOOPBACK|unix.IFF_POINTOPOINT) != 0,
		MTU:          a.MTU,
		HardwareAddr: a.HardwareAddr,
	}
}

// addressOf translates an address of a listing.
func addressOf(a netlink.Addr) (addrEntry, bool) {
	if a.IPNet == nil {
		return addrEntry{}, false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return addrEntry{}, false
	}
	mask := a.Mask
	if a.Peer != nil { // the prefix belongs to the peer then
		mask = a.Peer.Mask
	}
	ones, _ := mask.Size()
	return addrEntry{prefix: netip.PrefixFrom(ip, ones), scope: uint8(a.Scope)}.flagged(uint32(a.Flags)), true
}

// parseAddress reads an address notification.
func parseAddress(data []byte) (index int, a addrEntry, ok bool) {
	if len(data) < unix.SizeofIfAddrmsg {
		return 0, addrEntry{}, false
	}
	msg := nl.DeserializeIfAddrmsg(data)
	attributes, err := nl.ParseRouteAttr(data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return 0, addrEntry{}, false
	}
	flags := uint32(msg.Flags)
	var local, address netip.Addr
	for _, at := range attributes {
		switch at.Attr.Type {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(at.Value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(at.Value)
		case unix.IFA_FLAGS:
			if len(at.Value) >= 4 {
				flags = nl.NativeEndian().Uint32(at.Value)
			}
		}
	}
	if !local.IsValid() { // IPv6 says it once
		local = address
	}
	if !local.IsValid() {
		return 0, addrEntry{}, false
	}
	return int(msg.Index), addrEntry{prefix: netip.PrefixFrom(local, int(msg.Prefixlen)), scope: msg.Scope}.flagged(flags), true
}
