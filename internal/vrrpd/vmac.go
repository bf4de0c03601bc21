package vrrpd

import (
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// vmac is a router's interface with the virtual MAC address. The zero value is none.
type vmac struct {
	device string
	mac    link.MAC
	base   bool // adverts leave under the MAC address of the interface below
}

func vmacOf(c *config.Instance, family vrrp.Family) vmac {
	ipv6 := family == vrrp.IPv6
	device := c.VMACDevice(ipv6)
	if device == "" {
		return vmac{}
	}
	return vmac{device, link.MAC(c.VMAC(ipv6)), c.VMACXmitBase}
}

// presence lists what a MASTER has in the kernel before its addresses: the interface
// with the virtual MAC address, which is there but not up on a backup, and what keeps
// programs of this host from answering.
func presence(c *config.Instance, family vrrp.Family, addresses []*item) (all []*item) {
	if v := vmacOf(c, family); v.device != "" {
		all = append(all,
			newItem(link.VMAC{Device: v.device, Parent: c.Interface, MAC: v.mac}, false),
			newItem(link.Up{Device: v.device}, false))
	}
	if c.Accept || c.Priority == vrrp.PriorityOwner {
		return all
	}
	for _, i := range addresses {
		if a, ok := i.address(); ok {
			all = append(all, newItem(link.Block{Addr: a.Prefix.Addr()}, false))
		}
	}
	return all
}

// vmacHost lists what the host has for the virtual MAC addresses as long as they are
// configured. It goes in front of what needs it.
func vmacHost(c *config.Config) (list []*item) {
	seen := make(map[string]bool)
	for n := range c.Instances {
		in := &c.Instances[n]
		for _, family := range families(in) {
			v := vmacOf(in, family)
			if v.device == "" {
				continue
			}
			if family == vrrp.IPv4 && !seen[in.Interface] {
				seen[in.Interface] = true
				list = append(list,
					newItem(link.Setting{Device: in.Interface, Name: link.ARPIgnore, Value: 1}, true),
					newItem(link.Setting{Device: in.Interface, Name: link.ARPAnnounce, Value: 2}, true))
			}
			list = append(list, newItem(link.VMAC{Device: v.device, Parent: in.Interface, MAC: v.mac}, false))
		}
	}
	return list
}

// snapshot tells how the interface with the virtual MAC address fares.
func (v vmac) snapshot(h *holding) *control.VMAC {
	if v.device == "" {
		return nil
	}
	s := &control.VMAC{Interface: v.device, Address: v.mac.String(), XmitBase: v.base}
	for _, i := range h.items {
		switch i.Item.(type) {
		case link.VMAC, link.Up:
			if _, up := i.Item.(link.Up); up {
				s.Up = i.installed
			}
			if i.err != nil {
				s.Error = i.err.Error()
			}
		}
	}
	return s
}

// vmacGone puts an interface with a virtual MAC address back that somebody removed,
// and on a MASTER all that was on it.
func (e *engine) vmacGone(now time.Time, name string) {
	key := link.VMAC{Device: name}.Key()
	if i := e.host.byKey[key]; i == nil || !i.wanted {
		return
	}
	e.lost(now, key)
	r := e.vmacs[name]
	if r == nil || r.sm.State() != vrrp.Master {
		return
	}
	var again []*item
	for _, i := range r.items {
		if i.wanted && i.On() == name || i.Key() == key {
			i.repairing, i.installed = i.installed || i.repairing, false
			again = append(again, i)
		}
	}
	e.add(&r.holding, again)
	e.announce(r, again, r.cfg.Garp.Repeat)
}

// hasBlocks says that there are rules of the firewall whose removal matters.
func (e *engine) hasBlocks() bool {
	for key := range e.holders {
		if key.Kind == link.KindBlock {
			return true
		}
	}
	return false
}

// recheckBlocks puts back what a change of the firewall may have taken along.
func (e *engine) recheckBlocks() {
	for _, r := range e.order {
		e.confirm(&r.holding, func(i *item) bool { return i.Key().Kind == link.KindBlock })
	}
}
