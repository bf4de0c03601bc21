package kernel

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// appendKey appends the attributes that name a service.
func appendKey(b []byte, k ipvs.ServiceKey) []byte {
	b = appendU16(b, svcFamily, sysFamily(k.IPFamily()))
	if k.FWMark != 0 {
		return appendU32(b, svcFWMark, k.FWMark)
	}
	b = appendU16(b, svcProtocol, uint16(k.Protocol))
	b = appendAddr(b, svcAddress, k.Addr.Addr())
	return appendPort(b, svcPort, k.Addr.Port())
}

// appendServiceOp appends a whole message for an operation on a service.
func appendServiceOp(b []byte, family, flags uint16, seq uint32, op ipvs.Op) []byte {
	start := len(b)
	cmd := map[ipvs.OpKind]uint8{
		ipvs.AddService: cmdNewService, ipvs.EditService: cmdSetService, ipvs.DeleteService: cmdDelService,
	}[op.Kind]
	b = appendMessage(b, family, flags, seq, cmd)
	b, nest := appendNest(b, attrService)
	b = appendKey(b, op.Key)
	if op.Kind != ipvs.DeleteService {
		s := op.Service.Canonical()
		b = appendAttr(b, svcScheduler, append([]byte(s.Scheduler), 0)...)
		if s.PersistenceEngine != "" {
			b = appendAttr(b, svcEngine, append([]byte(s.PersistenceEngine), 0)...)
		}
		var flags [8]byte
		native.PutUint32(flags[:], uint32(s.Flags))
		native.PutUint32(flags[4:], ^uint32(0)) // which of them are meant: all
		b = appendAttr(b, svcFlags, flags[:]...)
		b = appendU32(b, svcTimeout, s.PersistenceTimeout)
		b = appendU32(b, svcNetmask, encodeMask(op.Key.IPFamily(), s.PersistenceMask))
	}
	endNest(b, nest)
	endMessage(b, start)
	return b
}

// appendDestOp appends a whole message for an operation on a real server.
func appendDestOp(b []byte, family, flags uint16, seq uint32, op ipvs.Op) []byte {
	start := len(b)
	var cmd uint8
	switch op.Kind {
	case ipvs.AddDest:
		cmd = cmdNewDest
	case ipvs.EditDest:
		cmd = cmdSetDest
	case ipvs.DeleteDest:
		cmd = cmdDelDest
	}
	b = appendMessage(b, family, flags, seq, cmd)
	b, nest := appendNest(b, attrService)
	b = appendKey(b, op.Key)
	endNest(b, nest)

	b, nest = appendNest(b, attrDest)
	b = appendU16(b, dstFamily, sysFamily(ipvs.FamilyOf(op.DestKey.Addr())))
	b = appendAddr(b, dstAddress, op.DestKey.Addr())
	b = appendPort(b, dstPort, op.DestKey.Port())
	if op.Kind != ipvs.DeleteDest {
		d := op.Dest.Canonical()
		b = appendU32(b, dstForwarding, uint32(d.Forwarding))
		b = appendU32(b, dstWeight, uint32(d.Weight))
		b = appendU32(b, dstUpper, d.UpperThreshold)
		b = appendU32(b, dstLower, d.LowerThreshold)
		b = appendAttr(b, dstTunnelType, byte(d.TunnelType))
		b = appendPort(b, dstTunnelPort, d.TunnelPort)
		b = appendU16(b, dstTunnelFlags, uint16(d.TunnelFlags))
	}
	endNest(b, nest)
	endMessage(b, start)
	return b
}

// encodeMask returns the kernel's form of a persistence mask: for IPv4 the
// mask's bytes in network order read as a native number, for IPv6 the prefix
// length, which must be given even without persistence. The zero Addr is the
// full mask.
func encodeMask(f ipvs.Family, m netip.Addr) uint32 {
	if f == ipvs.IPv6 {
		if n, ok := ipvs.MaskBits(m); ok {
			return uint32(n)
		}
		return 128
	}
	if !m.IsValid() {
		return ^uint32(0)
	}
	x := m.As4()
	return native.Uint32(x[:])
}

func decodeMask(f ipvs.Family, v uint32) netip.Addr {
	if f == ipvs.IPv6 {
		return ipvs.Mask(ipvs.IPv6, int(min(v, 128)))
	}
	var x [4]byte
	native.PutUint32(x[:], v)
	return netip.AddrFrom4(x)
}

func sysFamily(f ipvs.Family) uint16 {
	if f == ipvs.IPv6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}
