package ipvs

import (
	"net/netip"
	"slices"
	"strings"
)

// persistenceDefault is what ipvsadm takes for -p without a time, in seconds.
const persistenceDefault = 360

// settings reads how a service schedules its clients.
func (p *reading) settings(key ServiceKey) Service {
	s := Service{Scheduler: "wlc"}
	if name, ok := p.given["scheduler"]; ok {
		s.Scheduler = name
		if !slices.Contains(Schedulers(), name) {
			p.fail("-s %q: allowed is one of %s", name, strings.Join(Schedulers(), ", "))
		}
	}
	if text, ok := p.given["persistent"]; ok {
		s.PersistenceTimeout = persistenceDefault
		if text != "" {
			s.PersistenceTimeout = uint32(p.number("persistent", 0, 1, MaxPersistence))
		}
	} else if key.FWMark == 0 && key.Addr.IsValid() && key.Addr.Port() == 0 {
		p.fail("the service's port is 0, which stands for every port and needs -p")
	}
	if text, ok := p.given["netmask"]; ok {
		s.PersistenceMask = p.mask(text, key.IPFamily())
		if s.PersistenceTimeout == 0 {
			p.fail("-M groups the clients that -p binds to their servers, and -p is missing")
		}
	}
	if name, ok := p.given["pe"]; ok {
		s.PersistenceEngine = name
		if !slices.Contains(Engines(), name) {
			p.fail("--pe %q: allowed is %s", name, strings.Join(Engines(), ", "))
		}
	}
	if p.has("ops") {
		s.Flags |= FlagOnePacket
		if key.Protocol == TCP || key.Protocol == SCTP {
			p.fail("-o schedules each datagram for itself and goes with -u and -f only")
		}
	}
	if text, ok := p.given["sched-flags"]; ok {
		s.Flags |= p.flags(s.Scheduler, text)
	}
	return s.Canonical()
}

// mask reads the granularity of persistence: for IPv4 a mask written as an address,
// for IPv6 a prefix length.
func (p *reading) mask(text string, f Family) netip.Addr {
	if f == IPv6 {
		return Mask(IPv6, int(p.number("netmask", 0, 1, 128)))
	}
	m, err := netip.ParseAddr(text)
	if err != nil || !m.Is4() {
		p.fail("-M %q: allowed for IPv4 is a mask such as 255.255.255.0", text)
		return netip.Addr{}
	}
	return m
}

// flags reads the options of a scheduler.
func (p *reading) flags(scheduler, text string) (flags ServiceFlags) {
	var allowed []string
	byName := map[string]ServiceFlags{}
	for i, f := range []ServiceFlags{FlagSched1, FlagSched2, FlagSched3} {
		named, numbered := flagName(scheduler, i+1), flagName("", i+1)
		byName[named], byName[numbered] = f, f
		if named != numbered {
			allowed = append(allowed, named)
		}
	}
	allowed = append(allowed, flagName("", 1), flagName("", 2), flagName("", 3))
	for name := range strings.SplitSeq(text, ",") {
		f, ok := byName[name]
		if !ok {
			p.fail("-b %q: allowed with -s %s is %s", name, scheduler, strings.Join(allowed, ", "))
		}
		flags |= f
	}
	return flags
}

// server reads which real server the line is about.
func (p *reading) server(key ServiceKey) DestKey {
	text, ok := p.given["real-server"]
	if !ok {
		p.fail("-r is missing: which real server?")
		return DestKey{}
	}
	d := p.address("real-server", text, key.Protocol, key.IPFamily(), key.Addr.Port())
	if d.IsValid() && !unicast(d.Addr()) {
		p.fail("-r %q: no real server can have this address, allowed is one that belongs to a single host", text)
	}
	return d
}

// destination reads how a real server is reached.
func (p *reading) destination(key ServiceKey, server DestKey) Destination {
	d := Destination{Forwarding: DirectRoute}
	methods := 0
	if p.has("gatewaying") {
		methods++
	}
	if p.has("ipip") {
		methods++
		d.Forwarding = Tunnel
	}
	if p.has("masquerading") {
		methods++
		d.Forwarding = NAT
	}
	if methods > 1 {
		p.fail("more than one way to forward, allowed is one of -g, -i and -m")
	}
	d.Weight = int32(p.number("weight", 1, 0, 1<<31-1))
	d.UpperThreshold = uint32(p.number("u-threshold", 0, 0, 1<<32-1))
	d.LowerThreshold = uint32(p.number("l-threshold", 0, 0, uint64(d.UpperThreshold)))
	if server.IsValid() && FamilyOf(server.Addr()) != key.IPFamily() && d.Forwarding != Tunnel {
		p.fail("-r %v: a real server of another IP version than its service needs a tunnel, -i", server)
	}
	p.tunnel(&d)
	return d.Canonical()
}

// tunnel reads how packets are wrapped.
func (p *reading) tunnel(d *Destination) {
	var checksum []string
	for i, name := range []string{"tun-nocsum", "tun-csum", "tun-remcsum"} {
		if p.has(name) {
			checksum = append(checksum, name)
			d.TunnelFlags = []TunnelFlags{0, TunnelChecksum, TunnelRemoteChecksum}[i]
		}
	}
	kind, typed := p.given["tun-type"]
	if d.Forwarding != Tunnel {
		if typed || p.has("tun-port") || len(checksum) > 0 {
			p.fail("the options of a tunnel go with -i only")
		}
		return
	}
	switch kind {
	case "", "ipip":
		d.TunnelType = IPIP
	case "gue":
		d.TunnelType = GUE
	case "gre":
		d.TunnelType = GRE
	default:
		p.fail("--tun-type %q: allowed is ipip, gue, gre", kind)
	}
	switch d.TunnelPort = uint16(p.number("tun-port", 0, 1, 65535)); {
	case d.TunnelType == GUE && !p.has("tun-port"):
		p.fail("--tun-type gue needs --tun-port, the UDP port of the tunnel at the real server")
	case d.TunnelType != GUE && p.has("tun-port"):
		p.fail("--tun-port goes with --tun-type gue only")
	}
	switch {
	case len(checksum) > 1:
		p.fail("allowed is one of --tun-nocsum, --tun-csum and --tun-remcsum")
	case len(checksum) == 1 && d.TunnelType == IPIP:
		p.fail("--%s goes with --tun-type gue and gre only", checksum[0])
	case d.TunnelFlags == TunnelRemoteChecksum && d.TunnelType != GUE:
		p.fail("--tun-remcsum goes with --tun-type gue only")
	}
}
