package ipvstest

import (
	"fmt"
	"math"
	"net/netip"

	"pgregory.net/rapid"

	"director/ipvs"
)

// Keys are the services that Tables draws from: few, so that two tables share some.
func Keys() []ipvs.ServiceKey {
	keys := []ipvs.ServiceKey{
		ipvs.MarkService(1, ipvs.IPv4), ipvs.MarkService(1, ipvs.IPv6), ipvs.MarkService(math.MaxUint32, ipvs.IPv4),
	}
	for _, a := range []string{"192.0.2.1:80", "192.0.2.1:0", "[2001:db8::1]:80"} {
		for _, p := range []ipvs.Protocol{ipvs.TCP, ipvs.UDP, ipvs.SCTP} {
			keys = append(keys, ipvs.AddrService(p, netip.MustParseAddrPort(a)))
		}
	}
	return keys
}

// Tables draws tables that a kernel with the given schedulers takes without an
// error, in whatever form a caller may write them.
func Tables(schedulers []string) *rapid.Generator[ipvs.Table] {
	return rapid.Custom(func(t *rapid.T) ipvs.Table {
		table := ipvs.Table{}
		for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(Keys()), 0, 6, rapid.ID).Draw(t, "services") {
			e := table.Set(k, service(t, k, schedulers))
			for range rapid.IntRange(0, 5).Draw(t, "servers") {
				dk, d := destination(t, k.IPFamily())
				e.Dests[dk] = d
			}
		}
		return table
	})
}

func service(t *rapid.T, k ipvs.ServiceKey, schedulers []string) ipvs.Service {
	s := ipvs.Service{
		Scheduler: rapid.SampledFrom(schedulers).Draw(t, "scheduler"),
		Flags: rapid.SampledFrom([]ipvs.ServiceFlags{
			0, ipvs.FlagHashed, ipvs.FlagOnePacket, ipvs.FlagSched1, ipvs.FlagSched1 | ipvs.FlagSched2,
		}).Draw(t, "flags"),
		PersistenceTimeout: rapid.SampledFrom([]uint32{0, 1, 360, ipvs.MaxPersistence}).Draw(t, "persistence"),
	}
	masks := []netip.Addr{{}, ipvs.Mask(ipvs.IPv4, 0), ipvs.Mask(ipvs.IPv4, 24), ipvs.Mask(ipvs.IPv4, 32), netip.MustParseAddr("255.0.255.0")}
	if k.IPFamily() == ipvs.IPv6 {
		masks = []netip.Addr{{}, ipvs.Mask(ipvs.IPv6, 1), ipvs.Mask(ipvs.IPv6, 64), ipvs.Mask(ipvs.IPv6, 128)}
	}
	s.PersistenceMask = rapid.SampledFrom(masks).Draw(t, "mask")
	return s
}

func destination(t *rapid.T, f ipvs.Family) (ipvs.DestKey, ipvs.Destination) {
	d := ipvs.Destination{
		Forwarding:     rapid.SampledFrom([]ipvs.Forwarding{ipvs.NAT, ipvs.DirectRoute, ipvs.Tunnel}).Draw(t, "forwarding"),
		Weight:         rapid.SampledFrom([]int32{0, 0, 1, 2, 65536, math.MaxInt32}).Draw(t, "weight"),
		UpperThreshold: rapid.SampledFrom([]uint32{0, 10, math.MaxUint32}).Draw(t, "upper"),
		TunnelType:     rapid.SampledFrom([]ipvs.TunnelType{ipvs.IPIP, ipvs.GUE, ipvs.GRE}).Draw(t, "tunnel"),
		TunnelPort:     rapid.SampledFrom([]uint16{6080, 6081}).Draw(t, "tunnel port"),
		TunnelFlags:    rapid.SampledFrom([]ipvs.TunnelFlags{0, ipvs.TunnelChecksum}).Draw(t, "tunnel flags"),
	}
	d.LowerThreshold = min(d.UpperThreshold, 5)
	if d.Forwarding == ipvs.Tunnel && rapid.Bool().Draw(t, "other family") {
		f = map[ipvs.Family]ipvs.Family{ipvs.IPv4: ipvs.IPv6, ipvs.IPv6: ipvs.IPv4}[f]
	}
	host, port := rapid.IntRange(1, 4).Draw(t, "host"), rapid.SampledFrom([]uint16{0, 80}).Draw(t, "port")
	addr := fmt.Sprintf("10.0.0.%d", host)
	if f == ipvs.IPv6 {
		addr = fmt.Sprintf("2001:db8:1::%d", host)
	}
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port), d
}
