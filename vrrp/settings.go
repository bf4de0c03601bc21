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
	Version        uint8         // 2 or 3
	Priority       uint8         // base priority, 1..255
	AdvertInterval time.Duration // whole seconds in v2, multiples of 10 ms up to 40.95 s in v3
	Preempt        bool          // take over from a lower priority
	Addresses      []netip.Addr  // listed in adverts, 1..255
	AuthType       AuthType      // v2 only
	Password       [authLen]byte // v2 only, padded with zeros
	Checksum       ChecksumForm  // v3: the form that is sent; both are accepted

	// GarpRepeat is how often each address is announced in a burst, GarpDelay
	// the time to a second burst (0 = none) and GarpRefresh the period of single
	// announcements while MASTER (0 = never).
	GarpRepeat  int
	GarpDelay   time.Duration
	GarpRefresh time.Duration
}

// Check makes the checks of a received advert that need the configuration
// (RFC 9568 section 7.1, RFC 3768 section 7.1). A different address list or,
// in version 3, another interval is no reason to drop an advert: a router that
// did so would become a second MASTER in the middle of an address change.
func (s *Settings) Check(a *Advert, ttl int) Discard {
	if ttl != TTL {
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
