package link

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Leftovers is an item that can only be removed: all addresses, routes and rules
// that carry Protocol, all VMACs and Blocks, and the Settings in the record, that are not in Keep. A director that was killed left them
// behind, and nobody else would take them off. Addresses are found on kernels that
// keep their protocol (5.18 and later).
type Leftovers struct{ Keep map[Key]bool }

// Key is the same for all leftovers.
func (*Leftovers) Key() Key { return Key{Rest: "leftovers"} }

// Variant is empty.
func (*Leftovers) Variant() string { return "" }

// On is empty.
func (*Leftovers) On() string { return "" }

func (*Leftovers) String() string { return "what a former process left behind" }

func (*Leftovers) add(*kernel) (already bool, err error) {
	return false, fmt.Errorf("leftovers are only removed")
}

func (l *Leftovers) remove(k *kernel) (already bool, err error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		rules, err := k.dump(unix.RTM_GETRULE, unix.RTM_NEWRULE, rtHeader(family, 0))
		if err != nil {
			return false, fmt.Errorf("list rules: %w", err)
		}
		for _, m := range rules {
			if r, ok := parseRule(m); ok && r.Protocol == Protocol && !l.Keep[r.Key()] {
				if _, err := r.remove(k); err != nil {
					return false, fmt.Errorf("%s: %w", r, err)
				}
			}
		}
		// The kernel does the search: a router may have a million routes.
		routes, err := k.dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, rtHeader(family, Protocol))
		if err != nil {
			return false, fmt.Errorf("list routes: %w", err)
		}
		for _, m := range routes {
			id, proto, ok := parseRoute(m)
			if !ok || proto != Protocol || l.Keep[id.key()] {
				continue
			}
			if err := k.deleteRoute(m); err != nil && !absent(err) {
				return false, fmt.Errorf("route to %s: %w", id.to, err)
			}
		}
	}
	addresses, err := k.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	names := make(map[int]string)
	for _, m := range addresses {
		index, entry, ok := parseAddress(m)
		if !ok || addressProtocol(m) != Protocol {
			continue
		}
		if names[index] == "" {
			link, err := k.handle.LinkByIndex(index)
			if err != nil {
				continue // it went with its interface
			}
			names[index] = link.Attrs().Name
		}
		a := Address{Prefix: entry.prefix, Device: names[index], Peer: peerOf(m)}
		if l.Keep[a.Key()] {
			continue
		}
		if _, err := a.remove(k); err != nil {
			return false, fmt.Errorf("%s: %w", a, err)
		}
	}
	return false, errors.Join(l.removeVMACs(k), l.removeBlocks(k), l.restoreSettings(k))
}

// restoreSettings puts back the settings that a former process changed.
func (l *Leftovers) restoreSettings(k *kernel) error {
	var list []Setting
	for device, settings := range k.former.values {
		for name := range settings {
			if s := (Setting{Device: device, Name: name}); !l.Keep[s.Key()] {
				list = append(list, s)
			}
		}
	}
	for _, s := range list {
		if _, err := s.remove(k); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func (l *Leftovers) removeVMACs(k *kernel) error {
	links, err := k.handle.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range links {
		v := VMAC{Device: link.Attrs().Name}
		if link.Attrs().Alias != vmacAlias || l.Keep[v.Key()] {
			continue
		}
		if _, err := v.remove(k); err != nil {
			return fmt.Errorf("%s: %w", v.Device, err)
		}
	}
	return nil
}

func (l *Leftovers) removeBlocks(k *kernel) error {
	w, err := k.firewall()
	if err != nil {
		return nil // a host without nftables has none of them
	}
	if exists, err := w.exists(); err != nil || !exists {
		return nil
	}
	for _, set := range []*nftables.Set{w.v4, w.v6} {
		members, err := w.members(set)
		if err != nil {
			return err
		}
		for addr := range members {
			if b := (Block{addr}); !l.Keep[b.Key()] {
				if _, err := w.unblock(addr); err != nil {
					return fmt.Errorf("%s: %w", b, err)
				}
			}
		}
	}
	return nil
}

// dump lists the kernel's objects of a kind. It asks strictly, so that the kernel
// obeys what the header asks for.
func (k *kernel) dump(command int, kind uint16, header nl.NetlinkRequestData) ([][]byte, error) {
	request := nl.NewNetlinkRequest(command, unix.NLM_F_DUMP)
	request.Sockets = k.own
	request.AddData(header)
	return request.Execute(unix.NETLINK_ROUTE, kind)
}

// rtHeader asks for the routes or rules of a family, of one protocol unless it is 0.
func rtHeader(family, protocol uint8) *nl.RtMsg {
	return &nl.RtMsg{RtMsg: unix.RtMsg{Family: family, Protocol: protocol}}
}

// marked says that an address is there and carries Protocol.
func (k *kernel) marked(index int, p netip.Prefix) (bool, error) {
	header := nl.NewIfAddrmsg(unix.AF_UNSPEC)
	header.Index = uint32(index)
	list, err := k.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, header)
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, m := range list {
		if at, entry, ok := parseAddress(m); ok && at == index && entry.prefix == p {
			return addressProtocol(m) == Protocol, nil
		}
	}
	return false, nil
}

// deleteRoute deletes a route as it was listed, next hops included. The kernel
// does not take all that it tells, such as when a route was last used.
func (k *kernel) deleteRoute(m []byte) error {
	msg := *nl.DeserializeRtMsg(m)
	msg.Flags &= unix.RTNH_F_ONLINK
	parts := []nl.NetlinkRequestData{&msg}
	for kind, v := range attributes(behind(m, unix.SizeofRtMsg)) {
		switch kind {
		case unix.RTA_DST, unix.RTA_SRC, unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_VIA, unix.RTA_PRIORITY,
			unix.RTA_PREFSRC, unix.RTA_MULTIPATH, unix.RTA_TABLE:
			parts = append(parts, nl.NewRtAttr(int(kind), v))
		}
	}
	_, err := k.request(unix.RTM_DELROUTE, 0, parts...)
	return err
}

func addressProtocol(m []byte) uint8 {
	if v := attribute(behind(m, unix.SizeofIfAddrmsg), ifaProto); len(v) > 0 {
		return v[0]
	}
	return 0
}

// peerOf returns the other end of a point-to-point address, invalid when there is
// none.
func peerOf(m []byte) netip.Addr {
	local, _ := netip.AddrFromSlice(attribute(behind(m, unix.SizeofIfAddrmsg), unix.IFA_LOCAL))
	other, _ := netip.AddrFromSlice(attribute(behind(m, unix.SizeofIfAddrmsg), unix.IFA_ADDRESS))
	if !local.IsValid() || local == other {
		return netip.Addr{}
	}
	return other
}

// attribute finds a netlink attribute by its path, nil when there is none.
func attribute(b []byte, path ...uint16) []byte {
	for kind, value := range attributes(b) {
		if kind != path[0] {
			continue
		}
		if len(path) == 1 {
			return value
		}
		return attribute(value, path[1:]...)
	}
	return nil
}

// attributes goes through a list of attributes, up to the first one that does not
// fit.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length := int(nl.NativeEndian().Uint16(b))
			kind := nl.NativeEndian().Uint16(b[2:]) & nl.NLA_TYPE_MASK
			if length < unix.SizeofRtAttr || length > len(b) || !yield(kind, b[unix.SizeofRtAttr:length]) {
				return
			}
			b = b[min((length+3)&^3, len(b)):]
		}
	}
}

// behind returns what follows a header of this size.
func behind(m []byte, header int) []byte { return m[min(header, len(m)):] }
