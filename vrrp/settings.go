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
	PreemptDelay   time.Duration // wait so long before that, from the first advert of the lower one on; 0 = no longer than for a silent one
	DownAdverts    int           // intervals without an advert after which the MASTER is dead, 1..100; 0 = 3
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

	// How a MASTER answers the adverts of another one. By default it answers a
	// loser at once, and to a winner it says once more that it was here.
	LowerPrioNoAdvert  bool // no advert to a loser before the next one is due
	HigherPrioSilent   bool // no advert before yielding
	OwnerIgnoreAdverts bool // with priority 255: never yield, not even to another owner

	// GarpRepeat is how often each address is announced in a burst, GarpDelay
	// the time to a second burst (0 = none) and GarpRefresh the period of
	// announcements while MASTER (0 = never), GarpRefreshRepeat times each (0 = once).
	GarpRepeat        int
	GarpDelay         time.Duration
	GarpRefresh       time.Duration
	GarpRefreshRepeat int
	// GarpLowerRepeat and GarpLowerDelay are in place of GarpRepeat and GarpDelay
	// after the advert of a loser. GarpLowerRepeat 0: no difference is made.
	GarpLowerRepeat int
	GarpLowerDelay  time.Duration

	// Prepare is how long the addresses of a new MASTER, and their announcement, wait
	// at most for what they lead to (ActionPrepare); 0 = they do not wait. Adverts never do.
	Prepare time.Duration
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

// defaultDownAdverts is the number of RFC 9568 section 6.1.
const defaultDownAdverts = 3

// MasterDownTime is how long a BACKUP of a priority waits for an advert before it
// takes over: DownAdverts intervals (three in RFC 9568 section 6.1 and RFC 3768
// section 6.1) and its skew time.
func (s *Settings) MasterDownTime(priority uint8, interval time.Duration) time.Duration {
	adverts := s.DownAdverts
	if adverts == 0 {
		adverts = defaultDownAdverts
	}
	return time.Duration(adverts)*interval + SkewTime(s.Version, priority, interval)
}

// Takeover is the shortest silence of a MASTER after which another router can have
// taken over, if its settings are these: the best backup has priority 254.
func (s *Settings) Takeover() time.Duration {
	return s.MasterDownTime(PriorityOwner-1, s.AdvertInterval)
}

// lowerBurst is the announcement after the advert of a loser.
func (s *Settings) lowerBurst() (repeat int, delay time.Duration) {
	if s.GarpLowerRepeat == 0 {
		return s.GarpRepeat, s.GarpDelay
	}
	return s.GarpLowerRepeat, s.GarpLowerDelay
}
