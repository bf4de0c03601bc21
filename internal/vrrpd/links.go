package vrrpd

import (
	"time"

	"director/vrrp/link"
)

// linkEvent takes what the monitor saw of interfaces and addresses.
func (e *engine) linkEvent(now time.Time, ev link.Event) {
	ifi := ev.Interface
	switch ev.Kind {
	case link.LinkChanged:
		e.linkChanged(now, ifi)
	case link.LinkRemoved:
		e.linkGone(ifi.Name)
	case link.AddrAdded:
		e.links[ifi.Name] = ifi
		if e.vips[ev.Prefix.Addr()] {
			return // our own work changes nobody's source address
		}
	case link.AddrRemoved:
		e.links[ifi.Name] = ifi
		e.lost(ifi.Name, ev.Prefix)
		if e.vips[ev.Prefix.Addr()] {
			return
		}
	default:
		return
	}
	e.review(now)
}

func (e *engine) linkChanged(now time.Time, ifi link.Interface) {
	for name, l := range e.links {
		if l.Index == ifi.Index && name != ifi.Name {
			e.linkGone(name) // renamed: to whoever names it, the old interface is gone
		}
	}
	e.links[ifi.Name] = ifi
	p := e.ports[ifi.Name]
	if p == nil {
		return
	}
	if p.sock != nil && p.index != ifi.Index {
		p.closePort() // the socket belongs to a former interface of that name
	}
	if p.sock == nil {
		e.openPort(now, p)
	}
}

// linkGone forgets an interface and all that went with it.
func (e *engine) linkGone(name string) {
	delete(e.links, name)
	if p := e.ports[name]; p != nil {
		p.closePort()
	}
	for _, r := range e.order {
		for _, a := range r.addrs {
			if a.device == name {
				a.installed = false
			}
		}
	}
	e.changed = true
}
