package kernel

import (
	"fmt"
	"math/bits"
	"net/netip"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// decodeAddr reads an address of the family; the kernel sends 16 bytes for both.
func decodeAddr(f ipvs.Family, b []byte) (netip.Addr, error) {
	if f == ipvs.IPv4 && len(b) >= 4 {
		return netip.AddrFrom4([4]byte(b)), nil
	}
	if f == ipvs.IPv6 && len(b) == 16 {
		return netip.AddrFrom16([16]byte(b)), nil
	}
	return netip.Addr{}, fmt.Errorf("%w: %v address of %d bytes", errMalformed, f, len(b))
}

func decodeFamily(v uint64) (ipvs.Family, error) {
	switch v {
	case unix.AF_INET:
		return ipvs.IPv4, nil
	case unix.AF_INET6:
		return ipvs.IPv6, nil
	}
	return 0, fmt.Errorf("%w: address family %d", errMalformed, v)
}

// decodeService reads one service of a dump.
func decodeService(m message) (k ipvs.ServiceKey, s ipvs.Service, c ipvs.Counters, err error) {
	body, err := m.nest(attrService)
	if err != nil {
		return k, s, c, err
	}
	var family, mask, mark uint64
	var protocol uint64
	var addr []byte
	var port uint16
	var wide bool
	a := attributes{rest: body}
	for a.next() {
		switch a.typ {
		case svcFamily:
			family = a.uint()
		case svcProtocol:
			protocol = a.uint()
		case svcAddress:
			addr = a.value
		case svcPort:
			port = a.port()
		case svcFWMark:
			mark = a.uint()
		case svcScheduler:
			s.Scheduler = a.string()
		case svcEngine:
			s.PersistenceEngine = a.string()
		case svcFlags:
			if len(a.value) != 8 {
				return k, s, c, fmt.Errorf("%w: flags of %d bytes", errMalformed, len(a.value))
			}
			s.Flags = ipvs.ServiceFlags(native.Uint32(a.value))
		case svcTimeout:
			s.PersistenceTimeout = uint32(a.uint())
		case svcNetmask:
			mask = a.uint()
		case svcStats:
			if !wide {
				c, a.err = decodeCounters(a.value)
			}
		case svcStats64:
			wide = true
			c, a.err = decodeCounters(a.value)
		}
	}
	if a.err != nil {
		return k, s, c, a.err
	}
	f, err := decodeFamily(family)
	if err != nil {
		return k, s, c, err
	}
	if s.Flags&ipvs.FlagPersistent == 0 {
		s.PersistenceTimeout = 0
	}
	s.PersistenceMask = decodeMask(f, uint32(mask))
	if mark != 0 {
		return ipvs.MarkService(uint32(mark), f), s.Canonical(), c, nil
	}
	ip, err := decodeAddr(f, addr)
	if err != nil {
		return k, s, c, err
	}
	if bits.Len64(protocol) > 8 {
		return k, s, c, fmt.Errorf("%w: protocol %d", errMalformed, protocol)
	}
	return ipvs.AddrService(ipvs.Protocol(protocol), netip.AddrPortFrom(ip, port)), s.Canonical(), c, nil
}

// decodeDest reads one real server of a dump. Kernels before 3.18 do not say
// its address family: it is the service's.
func decodeDest(m message, family ipvs.Family) (k ipvs.DestKey, d ipvs.Destination, st ipvs.DestStats, err error) {
	body, err := m.nest(attrDest)
	if err != nil {
		return k, d, st, err
	}
	var addr []byte
	var port uint16
	var wide bool
	a := attributes{rest: body}
	for a.next() {
		switch a.typ {
		case dstFamily:
			if family, err = decodeFamily(a.uint()); err != nil {
				return k, d, st, err
			}
		case dstAddress:
			addr = a.value
		case dstPort:
			port = a.port()
		case dstForwarding:
			d.Forwarding = ipvs.Forwarding(a.uint() & 7)
		case dstWeight:
			d.Weight = int32(a.uint())
		case dstUpper:
			d.UpperThreshold = uint32(a.uint())
		case dstLower:
			d.LowerThreshold = uint32(a.uint())
		case dstTunnelType:
			d.TunnelType = ipvs.TunnelType(a.uint())
		case dstTunnelPort:
			d.TunnelPort = a.port()
		case dstTunnelFlags:
			d.TunnelFlags = ipvs.TunnelFlags(a.uint())
		case dstActive:
			st.Active = uint32(a.uint())
		case dstInactive:
			st.Inactive = uint32(a.uint())
		case dstPersistent:
			st.Persistent = uint32(a.uint())
		case dstStats:
			if !wide {
				st.Counters, a.err = decodeCounters(a.value)
			}
		case dstStats64:
			wide = true
			st.Counters, a.err = decodeCounters(a.value)
		}
	}
	if a.err != nil {
		return k, d, st, a.err
	}
	ip, err := decodeAddr(family, addr)
	if err != nil {
		return k, d, st, err
	}
	return netip.AddrPortFrom(ip, port), d.Canonical(), st, nil
}

// decodeCounters reads statistics of either width.
func decodeCounters(b []byte) (c ipvs.Counters, err error) {
	a := attributes{rest: b}
	for a.next() {
		var to *uint64
		switch a.typ {
		case statConns:
			to = &c.Connections
		case statInPkts:
			to = &c.InPackets
		case statOutPkts:
			to = &c.OutPackets
		case statInBytes:
			to = &c.InBytes
		case statOutBytes:
			to = &c.OutBytes
		case statCPS:
			to = &c.ConnectionRate
		case statInPPS:
			to = &c.InPacketRate
		case statOutPPS:
			to = &c.OutPacketRate
		case statInBPS:
			to = &c.InByteRate
		case statOutBPS:
			to = &c.OutByteRate
		default:
			continue
		}
		*to = a.uint()
	}
	return c, a.err
}
