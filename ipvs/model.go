package ipvs

import (
	"math/bits"
	"net/netip"
	"strconv"
)

// ServiceFlags are the bits of a service, numbered as in linux/ip_vs.h.
type ServiceFlags uint32

// The bits. Persistent and hashed are kept by the kernel or set from
// PersistenceTimeout; a caller sets the others.
const (
	FlagPersistent ServiceFlags = 0x01
	FlagHashed     ServiceFlags = 0x02
	FlagOnePacket  ServiceFlags = 0x04 // each datagram is scheduled for itself (UDP)
	FlagSched1     ServiceFlags = 0x08 // sh-fallback, mh-fallback
	FlagSched2     ServiceFlags = 0x10 // sh-port, mh-port
	FlagSched3     ServiceFlags = 0x20
)

// MaxPersistence is the longest persistence time in seconds: 31 days, as in
// ipvsadm. The kernel multiplies by its tick rate and wraps silently beyond.
const MaxPersistence = 31 * 86400

// Service is what can be set on a virtual service.
type Service struct {
	// Scheduler is the kernel's name of the scheduler (see Schedulers), at most 15 bytes.
	Scheduler string
	Flags     ServiceFlags
	// PersistenceTimeout binds a client to one real server for so many seconds
	// after its last connection ended, 1..MaxPersistence; 0 means no persistence.
	PersistenceTimeout uint32
	// PersistenceMask groups clients: those equal under the mask are bound
	// together. It is a mask written as an address (255.255.255.0,
	// ffff:ffff:ffff:ffff::); the zero Addr means each client for itself. See Mask.
	PersistenceMask netip.Addr
	// PersistenceEngine is the name of the kernel's engine that tells clients
	// apart ("sip"), at most 15 bytes; empty means by address.
	PersistenceEngine string
}

// Canonical returns the form in which two services that behave alike are
// equal: without the kernel's bookkeeping bits, without persistence details
// where there is no persistence, and with the zero mask for the full one.
func (s Service) Canonical() Service {
	s.Flags &^= FlagHashed
	if s.PersistenceTimeout != 0 {
		s.Flags |= FlagPersistent
	}
	if s.Flags&FlagPersistent == 0 {
		s.PersistenceMask = netip.Addr{}
	}
	if n, ok := MaskBits(s.PersistenceMask); ok && n == s.PersistenceMask.BitLen() {
		s.PersistenceMask = netip.Addr{}
	}
	return s
}

// Mask returns the persistence mask of the given prefix length: Mask(IPv4, 24)
// is 255.255.255.0. A length outside 0..32 (0..128) gives the zero Addr.
func Mask(f Family, bits int) netip.Addr {
	all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if f == IPv6 {
		var b [16]byte
		for i := range b {
			b[i] = 0xff
		}
		all = netip.AddrFrom16(b)
	}
	p, err := all.Prefix(bits)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr()
}

// MaskBits returns the prefix length of a mask, and whether it is one: a mask
// such as 255.0.255.0, which the kernel accepts, is not.
func MaskBits(m netip.Addr) (n int, ok bool) {
	if !m.IsValid() {
		return 0, false
	}
	b := m.AsSlice()
	for _, x := range b {
		n += bits.LeadingZeros8(^x)
		if x != 0xff {
			break
		}
	}
	return n, Mask(FamilyOf(m), n) == m
}

// Forwarding is how packets reach a real server, numbered as in linux/ip_vs.h.
type Forwarding uint8

// The forwarding methods. Local and Bypass are only ever read back.
const (
	NAT         Forwarding = 0 // addresses are rewritten; replies pass the director
	Local       Forwarding = 1
	Tunnel      Forwarding = 2 // the packet is wrapped; see TunnelType
	DirectRoute Forwarding = 3 // only the link-layer address changes
	Bypass      Forwarding = 4
)

// String returns nat, local, tunnel, dr, bypass, or forwarding-N.
func (f Forwarding) String() string {
	switch f {
	case NAT:
		return "nat"
	case Local:
		return "local"
	case Tunnel:
		return "tunnel"
	case DirectRoute:
		return "dr"
	case Bypass:
		return "bypass"
	}
	return "forwarding-" + strconv.Itoa(int(f))
}

// TunnelType is the encapsulation of Tunnel forwarding, numbered as in linux/ip_vs.h.
type TunnelType uint8

// The encapsulations.
const (
	IPIP TunnelType = 0
	GUE  TunnelType = 1 // needs a port
	GRE  TunnelType = 2
)

// String returns ipip, gue, gre, or tunnel-N.
func (t TunnelType) String() string {
	switch t {
	case IPIP:
		return "ipip"
	case GUE:
		return "gue"
	case GRE:
		return "gre"
	}
	return "tunnel-" + strconv.Itoa(int(t))
}

// TunnelFlags are the checksum options of GUE and GRE.
type TunnelFlags uint16

// The checksum options; 0 is none.
const (
	TunnelChecksum       TunnelFlags = 1
	TunnelRemoteChecksum TunnelFlags = 2 // GUE only
)

// Destination is what can be set on a real server within a service.
type Destination struct {
	Forwarding Forwarding
	// Weight is 0..2^31-1. With 0 a server gets no new connections and keeps
	// those it has.
	Weight int32
	// With UpperThreshold connections a server gets no new ones until it is
	// down to LowerThreshold. 0 means no limit. Lower is at most upper.
	UpperThreshold, LowerThreshold uint32

	TunnelType  TunnelType // with Forwarding Tunnel
	TunnelPort  uint16     // with GUE
	TunnelFlags TunnelFlags
}

// Canonical returns the form in which two destinations that behave alike are
// equal: without tunnel details where there is no such tunnel.
func (d Destination) Canonical() Destination {
	if d.Forwarding != Tunnel {
		d.TunnelType = IPIP
	}
	if d.TunnelType != GUE {
		d.TunnelPort = 0
	}
	if d.TunnelType == IPIP {
		d.TunnelFlags = 0
	}
	return d
}

// Schedulers returns the names of the schedulers that Linux knows. "none"
// makes a service that schedules nothing.
func Schedulers() []string {
	return []string{
		"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh",
		"sed", "nq", "fo", "ovf", "mh", "twos", "none",
	}
}

// Engines returns the names of the persistence engines that Linux knows.
func Engines() []string { return []string{"sip"} }
