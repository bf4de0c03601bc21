package vrrpd

import (
	"slices"
	"time"

	"director/internal/control"
	"director/vrrp/link"
)

// item is something that the kernel should hold, and what it is known to hold.
type item struct {
	link.Item
	variant   string
	untracked bool // its removal by somebody else is not repaired
	wanted    bool // the router is MASTER, or the daemon is running
	installed bool // the kernel has it, as far as we know
	ours      bool // we put it there, now or in a former life
	err       error
	failures  int
	since     time.Time // of the first failure in a row
	retryAt   time.Time
	repairing bool      // it went, or may have gone, and is being put back
	doubtful  bool      // it was removed while an Add was under way, before or after that
	losses    int       // removals by others in a row
	lostAt    time.Time // the newest of them
}

func newItem(i link.Item, untracked bool) *item {
	return &item{Item: i, variant: i.Variant(), untracked: untracked}
}

// address returns the address that the item is.
func (i *item) address() (a link.Address, ok bool) {
	a, ok = i.Item.(link.Address)
	return a, ok
}

// short names the item where its kind is known.
func (i *item) short() string {
	if a, ok := i.address(); ok {
		return a.Prefix.String()
	}
	return i.String()
}

// task names what is to be done about the item.
func (i *item) task() string {
	if i.wanted {
		return "add " + i.String()
	}
	return "remove " + i.String()
}

// lossReason tells why the item had to be put back.
func (i *item) lossReason() string {
	if a, ok := i.address(); ok {
		return "somebody else removed it from " + a.Device + "; put back"
	}
	if i.Key().Kind == link.KindRoute {
		return "somebody else removed it, or it went with its interface or an address; put back"
	}
	return "somebody else removed it; put back"
}

// touches says that the item may have gone with an interface or an address of it.
// Addresses and rules are told by events of their own.
func (i *item) touches(name string) bool {
	switch v := i.Item.(type) {
	case *link.Route:
		return len(v.Hops) > 0 && (v.On() == "" || slices.ContainsFunc(v.Hops, func(h link.Hop) bool { return h.Device == name })) ||
			v.Src.IsValid()
	case link.Address, link.Setting, link.VMAC:
		return i.On() == name && (i.err != nil || !i.installed)
	}
	return false
}

func (i *item) status(own bool) control.KernelItem {
	s := control.KernelItem{What: i.String(), Installed: i.installed, Own: own}
	if i.err != nil {
		s.Error = i.err.Error()
	}
	return s
}

// holding is what the kernel is to hold for one virtual router while that is
// MASTER, or for the host as long as the daemon lives.
type holding struct {
	id     string  // names the holding to the worker; never used twice
	name   string  // of the instance, for people
	router *router // nil: the host's
	timer  timed   // what waits in the engine's heap for retryAt
	items  []*item // what addresses need, the addresses, then routes, then rules
	byKey  map[link.Key]*item
	// hosts says that an address that was there before is the host's, so that it is
	// removed only where the kernel says that director had put it there.
	hosts   bool
	left    bool      // removed or stopped
	retryAt time.Time // next attempt of a failed item, zero = none
	pending int       // removals that the worker has not reported yet
}

// hold gives the holding its items.
func (h *holding) hold(items []*item) {
	h.items = items
	h.byKey = make(map[link.Key]*item, len(items))
	for _, i := range items {
		h.byKey[i.Key()] = i
	}
}

// find returns the record of an item that the worker reports on, nil when it
// reports on a former variant of it.
func (h *holding) find(l link.Item) *item {
	if i := h.byKey[l.Key()]; i != nil && i.variant == l.Variant() {
		return i
	}
	return nil
}

// own says that something was on the host before us: such as an address that the
// address owner (RFC 9568 section 1.6) has as its own. It is not ours to remove.
func (h *holding) own(i *item) bool {
	if k := i.Key().Kind; k != link.KindAddress && k != link.KindSetting {
		return false // what is ours says so itself, by its protocol number
	}
	return h.hosts && i.installed && !i.ours
}

// change replaces the items by next. Of those that are alike the records are kept;
// gone are the others, and grown says that there are new ones.
func (h *holding) change(next []*item, ours map[link.Key]bool) (gone []*item, grown bool) {
	kept := make(map[*item]bool, len(next))
	for n, i := range next {
		if had := h.byKey[i.Key()]; had != nil && had.variant == i.variant {
			had.untracked = i.untracked
			next[n] = had
			kept[had] = true
			continue
		}
		i.ours = ours[i.Key()]
		grown = true
	}
	gone = slices.DeleteFunc(slices.Clone(h.items), func(i *item) bool { return kept[i] })
	h.hold(next)
	return gone, grown
}

// failures lists the kernel calls that failed.
func (h *holding) failures() (list []control.Failure) {
	for _, i := range h.items {
		if i.err != nil {
			list = append(list, control.Failure{
				What: i.task(), Error: i.err.Error(), Since: i.since, Count: i.failures,
			})
		}
	}
	return list
}
