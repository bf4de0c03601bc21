package checkd

import (
	"net/netip"
	"time"

	"director/config"
	"director/ipvs"
)

// This file puts what the configuration says of a service into the kernel's terms.

// serviceKeys returns the kernel's names of a virtual server.
func serviceKeys(v *config.VirtualServer) []ipvs.ServiceKey {
	ids := v.Services()
	keys := make([]ipvs.ServiceKey, len(ids))
	for i, id := range ids {
		if id.FWMark != 0 {
			family := ipvs.IPv4
			if id.Family == ipvs.IPv6.String() || id.Family == "" && serversAreIPv6(v) {
				family = ipvs.IPv6
			}
			keys[i] = ipvs.MarkService(id.FWMark, family)
			continue
		}
		keys[i] = ipvs.AddrService(protocol(id.Protocol), id.Address)
	}
	return keys
}

// serversAreIPv6 is the family of a mark that has none of its own.
func serversAreIPv6(v *config.VirtualServer) bool {
	return len(v.RealServers) > 0 && ipvs.FamilyOf(v.RealServers[0].Address.Addr()) == ipvs.IPv6
}

func protocol(p config.Protocol) ipvs.Protocol {
	switch p {
	case config.UDP:
		return ipvs.UDP
	case config.SCTP:
		return ipvs.SCTP
	}
	return ipvs.TCP
}

// kernelService returns how the kernel schedules the clients of a virtual server.
func kernelService(v *config.VirtualServer) ipvs.Service {
	s := ipvs.Service{
		Scheduler:          v.Scheduler,
		PersistenceTimeout: uint32(v.PersistenceTimeout.D() / time.Second),
		PersistenceEngine:  v.PersistenceEngine,
	}
	for _, flag := range v.SchedulerFlags {
		s.Flags |= [...]ipvs.ServiceFlags{0, ipvs.FlagSched1, ipvs.FlagSched2, ipvs.FlagSched3}[config.FlagNumber(flag)]
	}
	if v.OnePacket {
		s.Flags |= ipvs.FlagOnePacket
	}
	if v.PersistenceGranularity != "" {
		// The services of a group with a granularity are all of one family.
		if keys := serviceKeys(v); len(keys) > 0 {
			s.PersistenceMask, _ = config.Granularity(v.PersistenceGranularity, keys[0].IPFamily() == ipvs.IPv6)
		}
	}
	return s.Canonical()
}

// destination returns how the kernel reaches a server.
func destination(f config.Forwarding, tunnel *config.TunnelOptions, t config.Thresholds, weight int) ipvs.Destination {
	d := ipvs.Destination{Weight: int32(weight), UpperThreshold: t.Upper, LowerThreshold: t.Lower}
	switch f {
	case config.DR:
		d.Forwarding = ipvs.DirectRoute
	case config.Tunnel:
		d.Forwarding = ipvs.Tunnel
	}
	if tunnel != nil {
		d.TunnelPort = tunnel.Port
		switch tunnel.Type {
		case "gue":
			d.TunnelType = ipvs.GUE
		case "gre":
			d.TunnelType = ipvs.GRE
		}
		switch tunnel.Checksum {
		case "checksum":
			d.TunnelFlags = ipvs.TunnelChecksum
		case "remote-checksum":
			d.TunnelFlags = ipvs.TunnelRemoteChecksum
		}
	}
	return d.Canonical()
}

// destKey returns the name of a server within one service of a group: without a port
// it has that of the service.
func destKey(d ipvs.DestKey, service ipvs.ServiceKey) ipvs.DestKey {
	if d.Port() == 0 {
		return netip.AddrPortFrom(d.Addr(), service.Addr.Port())
	}
	return d
}

// entryFor returns what should stand in the kernel's table of one service.
func entryFor(e *ipvs.Entry, service ipvs.ServiceKey) *ipvs.Entry {
	if service.Addr.Port() == 0 {
		return e
	}
	for d := range e.Dests {
		if d.Port() != 0 {
			continue
		}
		own := &ipvs.Entry{Service: e.Service, Dests: make(map[ipvs.DestKey]ipvs.Destination, len(e.Dests))}
		for d, to := range e.Dests {
			own.Dests[destKey(d, service)] = to
		}
		return own
	}
	return e
}

// heldBy returns what the kernel's table holds of a virtual server, with servers
// named as its pool names them: that of the first of its services that is there.
func heldBy(table ipvs.Table, keys []ipvs.ServiceKey, names []ipvs.DestKey) *ipvs.Entry {
	for _, key := range keys {
		e := table[key]
		if e == nil {
			continue
		}
		held := &ipvs.Entry{Service: e.Service, Dests: make(map[ipvs.DestKey]ipvs.Destination, len(e.Dests))}
		for d, to := range e.Dests {
			held.Dests[d] = to
		}
		for _, name := range names {
			if to, ok := e.Dests[destKey(name, key)]; ok {
				held.Dests[name] = to
			}
		}
		return held
	}
	return nil
}
