package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const bridgeName = "br0"

// A Switch is a learning Ethernet switch: a bridge in a namespace of its own, without spanning tree (and so without forwarding
// delay) and without multicast snooping: a port works the moment it is connected, and multicast reaches every port.
type Switch struct {
	host   *Host // the namespace that holds the bridge
	bridge netlink.Link
}

// A Port is a cable between a host and a switch.
type Port struct {
	sw     *Switch
	host   *Host
	ifname string
	link   netlink.Link // the switch's end
}

// Switch makes a switch. Its namespace is ID-NAME; the bridge in it is br0.
func (l *Lab) Switch(name string) (*Switch, error) {
	h, err := l.newHost(name)
	if err != nil {
		return nil, err
	}
	s := &Switch{host: h}
	_ = h.Do(func() error {
		// A switch has no address and no opinion; a firewall of the machine it runs on shall not see its frames.
		for _, kv := range [...][2]string{
			{"net/ipv6/conf/all/disable_ipv6", "1"}, {"net/ipv6/conf/default/disable_ipv6", "1"},
			{"net/bridge/bridge-nf-call-iptables", "0"}, {"net/bridge/bridge-nf-call-ip6tables", "0"}, {"net/bridge/bridge-nf-call-arptables", "0"},
		} {
			_ = os.WriteFile("/proc/sys/"+kv[0], []byte(kv[1]), 0)
		}
		return nil
	})
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridgeName
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0x00, 0xff, byte(h.index >> 8), byte(h.index), 0x00}
	off := false
	err = h.nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off})
	if err == nil {
		s.bridge, err = h.nl.LinkByName(bridgeName)
	}
	if err == nil {
		err = h.nl.LinkSetUp(s.bridge)
	}
	if err != nil {
		_ = h.close()
		return nil, fmt.Errorf("switch %s: %w", name, err)
	}
	l.mu.Lock()
	l.switches = append(l.switches, s)
	l.mu.Unlock()
	return s, nil
}

// Name is the switch's name in the lab.
func (s *Switch) Name() string { return s.host.name }

// Namespace is the name of the switch's network namespace; its bridge is br0.
func (s *Switch) Namespace() string { return s.host.Namespace() }

// Capture captures all frames that cross the switch, as Host.Capture does on an interface.
func (s *Switch) Capture(filter Filter) (*Capture, error) {
	return s.host.capture(bridgeName, filter, true, nil)
}

// Connect runs a cable from a new interface of the host to the switch. The interface is up and has the addresses when it
// returns. Its MAC address is 02:00:00:HH:HH:II with the host's number (hosts and switches of a lab are counted
// together, from 1, in the order they are made) and the interface's number on the host, from 1.
func (l *Lab) Connect(h *Host, ifname string, sw *Switch, prefixes ...netip.Prefix) (*Port, error) {
	h.mu.Lock()
	n := len(h.ports) + 1
	h.mu.Unlock()
	p := &Port{sw: sw, host: h, ifname: ifname}
	if err := p.connect(n, prefixes); err != nil {
		return nil, fmt.Errorf("connect %s %s to %s: %w", h.name, ifname, sw.Name(), err)
	}
	h.mu.Lock()
	h.ports = append(h.ports, p)
	h.mu.Unlock()
	return p, nil
}

func (p *Port) connect(n int, prefixes []netip.Prefix) error {
	nl := p.sw.host.nl
	name := p.host.name + "." + p.ifname // what `bridge link` in the switch's namespace shows
	if len(name) >= unix.IFNAMSIZ {
		name = fmt.Sprintf("h%d.%d", p.host.index, n)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.HardwareAddr = net.HardwareAddr{0x02, 0x00, 0x80, byte(p.host.index >> 8), byte(p.host.index), byte(n)}
	err := nl.LinkAdd(&netlink.Veth{
		LinkAttrs:        attrs,
		PeerName:         p.ifname,
		PeerHardwareAddr: net.HardwareAddr{0x02, 0x00, 0x00, byte(p.host.index >> 8), byte(p.host.index), byte(n)},
		PeerNamespace:    netlink.NsFd(int(p.host.ns.Fd())),
	})
	if err != nil {
		return err
	}
	if p.link, err = nl.LinkByName(name); err != nil {
		return err
	}
	if err := nl.LinkSetMaster(p.link, p.sw.bridge); err != nil {
		return err
	}
	if err := nl.LinkSetUp(p.link); err != nil {
		return err
	}
	if err := p.host.LinkUp(p.ifname); err != nil {
		return err
	}
	return p.host.AddAddr(p.ifname, prefixes...)
}

// Host is the host at the one end.
func (p *Port) Host() *Host { return p.host }

// Interface is the name of the host's interface.
func (p *Port) Interface() string { return p.ifname }

// Cut loses every frame in both directions and tells nobody: the carrier stays up on the host, as when a switch further away
// dies.
func (p *Port) Cut() error {
	return p.err("cut", p.sw.host.nl.LinkSetNoMaster(p.link))
}

// Heal undoes Cut.
func (p *Port) Heal() error {
	return p.err("heal", p.sw.host.nl.LinkSetMaster(p.link, p.sw.bridge))
}

// Unplug pulls the cable: the host's interface loses its carrier.
func (p *Port) Unplug() error {
	return p.err("unplug", p.sw.host.nl.LinkSetDown(p.link))
}

// Plug undoes Unplug.
func (p *Port) Plug() error {
	return p.err("plug", p.sw.host.nl.LinkSetUp(p.link))
}

// Isolate sets apart the ports it is called on with true: they no longer reach each other but still reach all other ports of
// the switch. That is the split-brain case: two routers that have lost each other while both still serve the clients. Cut and
// Heal end it.
func (p *Port) Isolate(on bool) error {
	return p.err("isolate", p.sw.host.nl.LinkSetIsolated(p.link, on))
}

func (p *Port) err(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s %s: %w", what, p.host.name, p.ifname, err)
	}
	return nil
}
