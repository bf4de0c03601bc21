package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Protocol constants.
const (
	ProtocolNumber = 112 // IP protocol (RFC 9568 section 5.1.1.4)
	TTL            = 255 // of every multicast advert sent, and expected (sections 5.1.1.3 and 5.1.2.3)

	typeAdvertisement = 1
	headerLen         = 8
	authLen           = 8 // trailing authentication data of version 2 over IPv4

	// MaxAddresses is what the 8-bit count of an advert can say.
	MaxAddresses = 255
)

// AuthType is the authentication type of version 2 (RFC 2338 section 5.3.6,
// kept on the wire by RFC 3768).
type AuthType uint8

// The authentication types that are spoken.
const (
	AuthNone AuthType = 0
	AuthPass AuthType = 1 // a password of at most 8 bytes, in clear text
	AuthAH   AuthType = 2 // an IP Authentication Header (RFC 4302) around the message, see AH
)

func (t AuthType) String() string {
	switch t {
	case AuthNone:
		return "none"
	case AuthPass:
		return "PASS"
	case AuthAH:
		return "AH"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// ChecksumForm tells which of the two readings of the version 3 IPv4 checksum
// a packet carries. RFC 9568 section 5.2.8 leaves the pseudo-header out;
// keepalived and FRR include it by default, as RFC 5798 was read. Over IPv6 the
// pseudo-header always counts.
type ChecksumForm uint8

// The checksum forms.
const (
	ChecksumPseudo ChecksumForm = iota // with the pseudo-header
	ChecksumPlain                      // over the VRRP message alone
)

func (f ChecksumForm) String() string {
	switch f {
	case ChecksumPseudo:
		return "pseudo-header"
	case ChecksumPlain:
		return "plain"
	}
	return fmt.Sprintf("form %d", uint8(f))
}

// Advert is one decoded advertisement. Its address list points into the buffer
// it was parsed from and is valid only as long as that.
type Advert struct {
	Version  uint8
	VRID     uint8
	Priority uint8
	Interval time.Duration // Max Advertise Interval (v3) or Advertisement Interval (v2)
	AuthType AuthType      // v2 only
	Auth     [authLen]byte // v2 only
	Checksum ChecksumForm  // v3 only
	// Trailer is what follows the message: nothing, the trailer of HMAC, or what
	// only an instance with HMAC has to look at.
	Trailer []byte

	message []byte // without the trailer
	addrs   []byte
	addrLen int
}

// Addresses returns how many addresses the advert lists.
func (a *Advert) Addresses() int {
	if a.addrLen == 0 {
		return 0
	}
	return len(a.addrs) / a.addrLen
}

// Address returns the i-th address of the list, 0 <= i < Addresses().
func (a *Advert) Address(i int) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.addrs[i*a.addrLen : (i+1)*a.addrLen])
	return addr
}

// LinkLocalFirst says that an advert keeps the rule of RFC 9568 section 5.2.9 for
// IPv6: the first address is the link-local one. keepalived lists addresses in
// the order of its configuration, and often has no link-local one, so that a
// router that dropped such adverts (erratum 8300) would become a second MASTER
// beside it. Over IPv4 it is always true.
func (a *Advert) LinkLocalFirst() bool {
	return a.addrLen != 16 || a.Addresses() > 0 && a.Address(0).IsLinkLocalUnicast()
}

// SameAddresses reports whether the advert lists exactly want, in any order.
func (a *Advert) SameAddresses(want []netip.Addr) bool {
	if a.Addresses() != len(want) {
		return false
	}
	// The usual case is the same list in the same order; only another order
	// costs the nested loop, over at most 255 addresses.
next:
	for i, w := range want {
		if a.Address(i) == w {
			continue
		}
		for j := range want {
			if a.Address(j) == w {
				continue next
			}
		}
		return false
	}
	return true
}

// Discard is why a received packet was not processed. DiscardNone means that
// it was.
type Discard uint8

// The reasons for which packets are dropped, in the order of their checks.
const (
	DiscardNone Discard = iota
	DiscardTruncated
	DiscardVersion
	DiscardType
	DiscardNoAddress
	DiscardChecksum
	DiscardInterval
	DiscardMulticast // by multicast, and we speak to peers
	DiscardUnicast   // by unicast, and we speak by multicast
	DiscardPeer      // by unicast from an address that is no peer's
	DiscardGroup     // by multicast to a group that is not ours
	DiscardTTL
	DiscardAuthType
	DiscardAuthPassword
	DiscardUnsigned // without the trailer of HMAC, in mode enforce
	DiscardTrailer  // with bytes behind the message that are no trailer
	DiscardKey      // signed with a key that we do not have
	DiscardICV      // HMAC or AH: the signature is wrong
	DiscardWindow   // HMAC: signed too long ago, or in the future
	DiscardReplay   // HMAC or AH: not newer than the newest one of its sender
	DiscardIntervalMismatch
	DiscardNoHeartbeat // on a heartbeat path, and it does not say who sent it
	DiscardOwnPacket
	DiscardState
	numDiscards
)

var discardNames = [numDiscards]string{
	DiscardNone:             "none",
	DiscardTruncated:        "truncated",
	DiscardVersion:          "wrong_version",
	DiscardType:             "wrong_type",
	DiscardNoAddress:        "no_address",
	DiscardChecksum:         "bad_checksum",
	DiscardInterval:         "zero_interval",
	DiscardMulticast:        "multicast",
	DiscardUnicast:          "unicast",
	DiscardPeer:             "unknown_peer",
	DiscardGroup:            "other_group",
	DiscardTTL:              "wrong_ttl",
	DiscardAuthType:         "wrong_auth_type",
	DiscardAuthPassword:     "wrong_password",
	DiscardUnsigned:         "unsigned",
	DiscardTrailer:          "bad_trailer",
	DiscardKey:              "unknown_key",
	DiscardICV:              "bad_icv",
	DiscardWindow:           "outside_window",
	DiscardReplay:           "replay",
	DiscardIntervalMismatch: "interval_mismatch",
	DiscardNoHeartbeat:      "no_heartbeat",
	DiscardOwnPacket:        "own_packet",
	DiscardState:            "not_running",
}

func (d Discard) String() string {
	if int(d) < len(discardNames) {
		return discardNames[d]
	}
	return fmt.Sprintf("discard %d", uint8(d))
}

// Discards returns every reason for which a packet can be dropped.
func Discards() []Discard {
	all := make([]Discard, 0, numDiscards-1)
	for d := DiscardNone + 1; d < numDiscards; d++ {
		all = append(all, d)
	}
	return all
}

// PeekVRID returns the virtual router ID of a packet too short or too strange
// to parse, so that its discard can be counted where it belongs.
func PeekVRID(pdu []byte) (vrid uint8, ok bool) {
	if len(pdu) < 2 {
		return 0, false
	}
	return pdu[1], true
}

// Parse decodes the VRRP message of a packet from src to dst, without its IP
// header; src tells the family. It makes the checks that need no configuration
// (RFC 9568 section 7.1, RFC 3768 section 7.1); Settings.Check makes the others.
// It allocates nothing.
func Parse(pdu []byte, src, dst netip.Addr) (Advert, Discard) {
	var a Advert
	if len(pdu) < headerLen {
		return a, DiscardTruncated
	}
	a.Version = pdu[0] >> 4
	a.VRID = pdu[1]
	a.Priority = pdu[2]
	count := int(pdu[3])
	family := FamilyOf(src)
	a.addrLen = family.addrLen()
	// Version 2 is for IPv4 alone (RFC 3768 section 1).
	if a.Version != 3 && (a.Version != 2 || family != IPv4) {
		return a, DiscardVersion
	}
	if pdu[0]&0x0f != typeAdvertisement {
		return a, DiscardType
	}
	// RFC 9568 erratum 8299: an advert without any address is invalid.
	if count == 0 {
		return a, DiscardNoAddress
	}
	need := headerLen + count*a.addrLen
	if a.Version == 2 {
		need += authLen
	}
	if len(pdu) < need {
		return a, DiscardTruncated
	}
	// What follows the message may be padding of a short Ethernet frame, and is no
	// fault (RFC 9568 section 7.1 asks for no exact length).
	a.Trailer = pdu[need:]
	pdu = pdu[:need]
	a.message = pdu
	a.addrs = pdu[headerLen : headerLen+count*a.addrLen]

	if a.Version == 2 {
		a.AuthType = AuthType(pdu[4])
		a.Interval = time.Duration(pdu[5]) * time.Second
		copy(a.Auth[:], pdu[need-authLen:])
		if checksum(0, pdu) != 0 {
			return a, DiscardChecksum
		}
	} else {
		// The upper four bits are reserved and ignored (section 5.2.6).
		a.Interval = time.Duration(binary.BigEndian.Uint16(pdu[4:])&0x0fff) * 10 * time.Millisecond
		switch {
		case checksum(pseudoSum(src, dst, len(pdu)), pdu) == 0:
			a.Checksum = ChecksumPseudo
		case family == IPv4 && checksum(0, pdu) == 0:
			a.Checksum = ChecksumPlain
		default:
			return a, DiscardChecksum
		}
	}
	if a.Interval == 0 {
		return a, DiscardInterval // RFC 9568 erratum 8301
	}
	return a, DiscardNone
}

// ErrTooManyAddresses is returned for an address list that an advert cannot carry.
var ErrTooManyAddresses = errors.New("vrrp: an advert carries 1 to 255 addresses")

// AppendAdvert appends to b the advertisement of the router described by s with
// the given priority (0 says that this MASTER stops), as sent from src to dst,
// addresses of the router's family. It allocates only when b is too small.
func AppendAdvert(b []byte, s *Settings, priority uint8, src, dst netip.Addr) ([]byte, error) {
	if len(s.Addresses) == 0 || len(s.Addresses) > MaxAddresses {
		return b, fmt.Errorf("%w, not %d", ErrTooManyAddresses, len(s.Addresses))
	}
	start := len(b)
	b = append(b, s.Version<<4|typeAdvertisement, s.VRID, priority, byte(len(s.Addresses)))
	if s.Version == 2 {
		b = append(b, byte(s.AuthType), byte(s.AdvertInterval/time.Second))
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(s.AdvertInterval/(10*time.Millisecond))&0x0fff)
	}
	b = append(b, 0, 0) // checksum, filled in below
	for _, addr := range s.Addresses {
		if s.Family == IPv6 {
			a16 := addr.As16()
			b = append(b, a16[:]...)
			continue
		}
		a4 := addr.As4()
		b = append(b, a4[:]...)
	}
	var seed uint32
	if s.Version == 2 {
		// Version 2 always ends with authentication data, zero without a
		// password (RFC 3768 section 5.3.10).
		b = append(b, s.Password[:]...)
	} else if s.Checksum == ChecksumPseudo || s.Family == IPv6 {
		seed = pseudoSum(src, dst, len(b)-start)
	}
	binary.BigEndian.PutUint16(b[start+6:], checksum(seed, b[start:]))
	return b, nil
}

// pseudoSum is the unfolded sum of the pseudo-header: that of IPv4 (RFC 9568
// section 5.2.8), or for addresses of IPv6 that of RFC 8200 section 8.1 with next
// header 112.
func pseudoSum(src, dst netip.Addr, length int) uint32 {
	if src.Is4() != dst.Is4() || !src.IsValid() || !dst.IsValid() || length > math.MaxUint16 {
		return 0
	}
	sum := uint32(ProtocolNumber) + uint32(length)
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		return sum + wordSum(s[:]) + wordSum(d[:])
	}
	s, d := src.As16(), dst.As16()
	return sum + wordSum(s[:]) + wordSum(d[:])
}

// wordSum adds up the 16-bit words of an address.
func wordSum(b []byte) (sum uint32) {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// checksum is the Internet checksum (RFC 1071) of b on top of seed. Over a
// message that holds its own checksum it is 0.
func checksum(seed uint32, b []byte) uint16 {
	sum := seed
	for len(b) >= 2 {
		sum += uint32(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > math.MaxUint16 {
		sum = sum>>16 + sum&math.MaxUint16
	}
	return ^uint16(sum)
}

// AddressDigest returns a number that tells the advert's address list from others
// (FNV-1a).
func (a *Advert) AddressDigest() uint64 {
	h := uint64(14695981039346656037)
	for _, b := range a.addrs {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}
