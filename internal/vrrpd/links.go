package vrrpd

import (
	"time"

	"director/vrrp"
	"director/vrrp/link"
)

// minMTU6 is the least MTU over which IPv6 works (RFC 8200 section 5).
const minMTU6 = 1280

// linkEvent takes what the monitor saw of interfaces and addresses.
func (e *engine) linkEvent(now time.Time, ev link.Event) {
	ifi := ev.Interface
	switch ev.Kind {
	case link.LinkChanged:
		e.linkChanged(now, ifi)
	case link.LinkRemoved:
		e.linkGone(ifi, "")
		e.vmacGone(now, ifi.Name)
	case link.AddrAdded:
		e.links[ifi.Name], e.names[ifi.Index] = ifi, ifi.Name
		if e.vips[vipOf(ev.Prefix.Addr(), ifi.Name)] {
			return // our own work changes nobody's source address
		}
	case link.AddrRemoved:
		e.links[ifi.Name], e.names[ifi.Index] = ifi, ifi.Name
		e.lost(now, link.Key{Kind: link.KindAddress, Prefix: ev.Prefix, Device: ifi.Name})
		e.recheck(ifi.Name)
		if e.vips[vipOf(ev.Prefix.Addr(), ifi.Name)] {
			return
		}
	default:
		return
	}
	e.linkBFD(now, ev)
	e.reviewUsers(now, ifi.Name)
}

// routeEvent takes what the monitor saw of routes and rules.
func (e *engine) routeEvent(now time.Time, ev link.RouteEvent) {
	if ev.Key == (link.Key{}) {
		e.recheckAll()
		return
	}
	e.lost(now, ev.Key)
}

func (e *engine) linkChanged(now time.Time, ifi link.Interface) {
	// To whoever names it, a renamed interface is gone, and so is one whose name
	// has passed to another: those who used it have to notice, because their
	// addresses went with it.
	if name, ok := e.names[ifi.Index]; ok && name != ifi.Name {
		e.linkGone(e.links[name], ifi.Name)
		e.reviewUsers(now, name)
	}
	if old, ok := e.links[ifi.Name]; ok && old.Index != ifi.Index {
		e.linkGone(old, "")
		e.reviewUsers(now, ifi.Name)
	}
	was, known := e.links[ifi.Name]
	if known && !was.Up && ifi.Up {
		// Those that went on without their interface, for as long as its delay or
		// because they do not track it.
		defer func() {
			for _, r := range e.users[ifi.Name] {
				e.step(r, now, vrrp.Event{Kind: vrrp.EventLink})
			}
		}()
	}
	before := was.MTU
	e.links[ifi.Name], e.names[ifi.Index] = ifi, ifi.Name
	e.recheck(ifi.Name)
	for _, p := range e.portsOf(ifi.Name) {
		// Below its least MTU an interface has no IPv6, and sockets have left their
		// groups when it has it again.
		if p.key.family == vrrp.IPv6 && before < minMTU6 && ifi.MTU >= minMTU6 {
			p.closePort()
		}
		if p.sock == nil {
			e.openPort(now, p)
		}
	}
}

// linkGone forgets an interface and all that went with it. An interface that
// lives on under another name took our addresses along: they are removed there.
func (e *engine) linkGone(ifi link.Interface, renamed string) {
	name := ifi.Name
	if e.links[name].Index != ifi.Index {
		return // the name has passed to another one
	}
	delete(e.links, name)
	delete(e.names, ifi.Index)
	for _, p := range e.portsOf(name) {
		p.closePort()
	}
	e.strand(&e.host.holding, name, renamed)
	for _, r := range e.users[name] {
		e.strand(&r.holding, name, renamed)
	}
	if r := e.vmacs[name]; r != nil {
		e.strand(&r.holding, name, renamed)
	}
	e.touched = true
}

// strand notes that an interface took its addresses and settings along.
func (e *engine) strand(h *holding, name, renamed string) {
	for _, i := range h.items {
		switch v := i.Item.(type) {
		case link.Address:
			if v.Device != name {
				continue
			}
			if i.installed && !h.own(i) && renamed != "" {
				e.clean(link.Address{Prefix: v.Prefix, Device: renamed, Peer: v.Peer})
			}
			i.installed = false
		case link.Setting:
			i.installed = i.installed && v.Device != name
		}
	}
}

// reviewUsers reviews the routers that a change of one interface may concern.
func (e *engine) reviewUsers(now time.Time, name string) {
	e.interfaceChanged(now, name)
	for _, r := range e.users[name] {
		e.reviewRouter(r, now)
	}
	for _, r := range e.carriers[name] {
		e.inspectPaths(r, now)
	}
	for _, r := range e.roaming {
		e.reviewRouter(r, now)
	}
}
