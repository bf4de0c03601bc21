package vrrp

import (
	"crypto/subtle"
	"net/netip"
	"time"
)

// PriorityOwner is the priority of the router that owns the virtual addresses
// as its own; PriorityStop in an advert says that the MASTER gives up.
const (
	PriorityOwner = 255
	PriorityStop  = 0
)

// Settings are the configured properties of one virtual router. They are valid
// as config.Parse leaves them; the state machine does not check them again.
type Settings struct {
	VRID           uint8         // 1..255
	Family         Family        // of the addresses, of the source and of the destinations; zero: IPv4
	Version        uint8         // 2 (IPv4 only) or 3
	Priority       uint8         // base priority, 1..255
	AdvertInterval time.Duration // whole seconds in v2, multiples of 10 ms up to 40.95 s in v3
	Preempt        bool          // take over from a lower priority
	Addresses      []netip.Addr  // listed in adverts in this order, 1..255
	AuthType       AuthType      // v2 only
	Password       Password      // AuthPass only
	Checksum       ChecksumForm  // v3 over IPv4: the form that is sent; both are accepted

	// Group is the multicast group to which adverts go, and from which alone they
	// are taken, without Peers. Invalid (zero): the family's own.
	Group netip.Addr

	// Peers are the other routers, each of which gets adverts of its own; none:
	// adverts go to the multicast group. TTL is the time to live (over IPv6 the
	// hop limit) of adverts sent to them, 1..255.
	Peers []Peer
	TTL   uint8

	// GarpRepeat is how often each address is announced in a burst, GarpDelay
	// the time to a second burst (0 = none) and GarpRefresh the period of single
	// announcements while MASTER (0 = never).
	GarpRepeat  int
	GarpDelay   time.Duration
	GarpRefresh time.Duration
}

// Peer is another router that is spoken to by unicast.
type Peer struct {
	Addr netip.Addr
	// Adverts from it arrive with a time to live from MinTTL to MaxTTL. Only 255
	// says that no router is in between: whoever is further away can write any
	// sender into a packet, but routers have counted its time to live down.
	MinTTL, MaxTTL uint8
}

// Unicast says that adverts go to peers rather than to the multicast group.
func (s *Settings) Unicast() bool { return len(s.Peers) > 0 }

// Multicast returns the multicast group in force.
func (s *Settings) Multicast() netip.Addr {
	if s.Group.IsValid() {
		return s.Group
	}
	return s.Family.Group()
}

// AdvertLen is the length of an advert in bytes, without the IP header.
func (s *Settings) AdvertLen() int {
	n := headerLen + len(s.Addresses)*s.Family.addrLen()
	if s.Version == 2 {
		n += authLen
	}
	return n
}

// Peer returns the index of the peer with an address, -1 when there is none.
func (s *Settings) Peer(addr netip.Addr) int {
	for i := range s.Peers {
		if s.Peers[i].Addr == addr {
			return i
		}
	}
	return -1
}

// Check makes the checks of a received advert that need the configuration
// (RFC 9568 section 7.1, RFC 3768 section 7.1). A different address list or,
// in version 3, another interval is no reason to drop an advert: a router that
// did so would become a second MASTER in the middle of an address change.
//
// A unicast router hears its peers alone, and neither kind hears the other: an
// advert that arrives in the wrong way is from a router configured otherwise.
func (s *Settings) Check(a *Advert, src, dst netip.Addr, ttl int) Discard {
	least, most := TTL, TTL
	switch {
	case s.Unicast() && dst.IsMulticast():
		return DiscardMulticast
	case s.Unicast():
		i := s.Peer(src)
		if i < 0 {
			return DiscardPeer
		}
		least, most = int(s.Peers[i].MinTTL), int(s.Peers[i].MaxTTL)
	case !dst.IsMulticast():
		return DiscardUnicast
	case dst != s.Multicast():
		return DiscardGroup
	}
	if ttl < least || ttl > most {
		return DiscardTTL
	}
	if a.Version != s.Version {
		return DiscardVersion
	}
	if a.Version == 2 {
		if a.AuthType != s.AuthType {
			return DiscardAuthType
		}
		if s.AuthType == AuthPass && subtle.ConstantTimeCompare(a.Auth[:], s.Password[:]) != 1 {
			return DiscardAuthPassword
		}
		if a.Interval != s.AdvertInterval {
			return DiscardIntervalMismatch // RFC 3768 section 7.1
		}
	}
	return DiscardNone
}

// SkewTime is the part of the master-down time that depends on the priority, so
// that the best backup moves first. In version 3 interval is the one learned
// from the MASTER (RFC 9568 section 6.1); in version 2 the unit is one second
// whatever the interval (RFC 3768 section 6.1).
func SkewTime(version, priority uint8, interval time.Duration) time.Duration {
	if version == 2 {
		interval = time.Second
	}
	return time.Duration(256-int(priority)) * interval / 256
}

// MasterDownTime is how long a BACKUP waits for an advert before it takes over:
// three intervals and its skew time (RFC 9568 section 6.1, RFC 3768 section 6.1).
func MasterDownTime(version, priority uint8, interval time.Duration) time.Duration {
	return 3*interval + SkewTime(version, priority, interval)
}
