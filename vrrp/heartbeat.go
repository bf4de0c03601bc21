package vrrp

import (
	"net/netip"
	"time"
)

// A router with heartbeat paths sends each of its adverts over several links, and
// the others hear it under a different address on each. What the state machine
// compares must not depend on the path: two routers of equal priority whose
// addresses are ordered one way on one link and the other way on the next would
// both yield, or both stay, as the adverts happen to come. A rule by which path
// they compare themselves does not help, because a link that is broken in one
// direction is whole to one of them and broken to the other.
//
// So an advert on a heartbeat path tells who sent it: behind the virtual addresses
// it lists the unspecified address, which no router ever has, and the address
// that the sender has on its own link. All routers then order themselves by
// (priority, that address), which is the same for all of them on every path. The
// mark is part of the message, and covered by checksum and authentication. It
// also keeps strangers apart: a router without it, which happens to have the same
// number on the link of a path, is none of ours.

// HeartbeatAddresses returns the address list of adverts on a heartbeat path: the
// virtual addresses, the mark, and the sender's address on its own link, of the same
// family. The virtual addresses are at most MaxAddresses-2.
func HeartbeatAddresses(virtual []netip.Addr, sender netip.Addr) []netip.Addr {
	mark := netip.IPv4Unspecified()
	if sender.Is6() {
		mark = netip.IPv6Unspecified()
	}
	list := make([]netip.Addr, 0, len(virtual)+2)
	return append(append(list, virtual...), mark, sender)
}

// TakeSender takes the mark of a heartbeat path off the address list, and returns the
// address that the sender has on its own link. It says false and changes nothing
// when there is no mark.
func (a *Advert) TakeSender() (netip.Addr, bool) {
	n := a.Addresses()
	if n < 3 || !a.Address(n-2).IsUnspecified() {
		return netip.Addr{}, false
	}
	sender := a.Address(n - 1)
	if sender.IsUnspecified() || sender.IsMulticast() {
		return netip.Addr{}, false
	}
	a.addrs = a.addrs[:(n-2)*a.addrLen]
	return sender, true
}

// PathWatch tells which of the paths that bring adverts to a BACKUP have fallen
// silent while others still bring them. A path on its own can say nothing about
// that: when all are silent, the MASTER is.
type PathWatch struct {
	paths []watched
}

type watched struct {
	last   time.Time // the newest advert, or when the watch began
	silent bool
	heard  int // silent: adverts in a row
}

// returned is how many adverts in a row make a silent path whole again, so that
// one that loses most of them is told of once.
const returned = 3

// Begin watches n paths anew: none is silent.
func (w *PathWatch) Begin(now time.Time, n int) {
	if cap(w.paths) < n {
		w.paths = make([]watched, n)
	}
	w.paths = w.paths[:n]
	for i := range w.paths {
		w.Restart(now, i)
	}
}

// Restart forgets what was heard over a path: it has just become usable.
func (w *PathWatch) Restart(now time.Time, path int) { w.paths[path] = watched{last: now} }

// Heard notes an advert over a path that arrived at now.
func (w *PathWatch) Heard(now time.Time, path int, limit time.Duration) {
	p := &w.paths[path]
	if now.Sub(p.last) > limit {
		p.heard = 0
	}
	p.heard++
	if now.After(p.last) {
		p.last = now
	}
}

// Judge is to be called when everything that has arrived was noted; after a stall
// that may be much, path by path. A path is silent when another one has brought an
// advert more than limit after its own last one. It reports whether the verdict on
// any path has changed.
func (w *PathWatch) Judge(limit time.Duration) (changed bool) {
	var newest time.Time
	for i := range w.paths {
		if w.paths[i].last.After(newest) {
			newest = w.paths[i].last
		}
	}
	for i := range w.paths {
		p := &w.paths[i]
		switch late := newest.Sub(p.last) > limit; {
		case late && !p.silent:
			p.silent, p.heard, changed = true, 0, true
		case late:
			p.heard = 0
		case p.silent && p.heard >= returned:
			p.silent, changed = false, true
		}
	}
	return changed
}

// Silent reports whether a path is silent, and since when nothing came over it.
func (w *PathWatch) Silent(path int) (since time.Time, silent bool) {
	return w.paths[path].last, w.paths[path].silent
}

// SilenceLimit is the limit for the watch of a BACKUP: one interval more than its
// master-down time, so that a change of the MASTER, whose adverts come over one path
// a moment before they come over the other, is no silence.
func (i *Instance) SilenceLimit() time.Duration { return i.MasterDownTime() + i.interval }
