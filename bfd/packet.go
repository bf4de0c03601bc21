package bfd

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// The numbers of the protocol.
const (
	Version      = 1
	PacketLen    = 24   // of a control packet without authentication
	Port         = 3784 // UDP, single hop (RFC 5881 section 4)
	MultihopPort = 4784 // UDP, multihop (RFC 5883 section 5)
	TTL          = 255  // of every packet (RFC 5881 section 5)
)

// State is the state of a session, with the numbers that packets carry.
type State uint8

// The states (RFC 5880 section 4.1).
const (
	AdminDown State = iota
	Down
	Init
	Up
	numStates
)

var stateNames = [numStates]string{"AdminDown", "Down", "Init", "Up"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Diag is the diagnostic code of a packet: why the sender's session last left Up.
type Diag uint8

// The diagnostic codes (RFC 5880 section 4.1).
const (
	DiagNone Diag = iota
	DiagExpired
	DiagEchoFailed
	DiagPeerDown
	DiagForwardingReset
	DiagPathDown
	DiagConcatenatedDown
	DiagAdminDown
	DiagReverseConcatenatedDown
	numDiags
)

var diagNames = [numDiags]string{
	"none", "detection_time_expired", "echo_failed", "neighbor_signaled_down", "forwarding_plane_reset",
	"path_down", "concatenated_path_down", "administratively_down", "reverse_concatenated_path_down",
}

func (d Diag) String() string {
	if int(d) < len(diagNames) {
		return diagNames[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

// Packet is a control packet. Intervals are whole microseconds up to about 71
// minutes.
type Packet struct {
	Diag        Diag
	State       State
	Poll, Final bool
	Independent bool  // the sender's BFD outlives its control plane
	Demand      bool  // the sender wants no periodic packets while both are Up
	Multiplier  uint8 // of the sender's detection time, not 0
	MyDiscr     uint32
	YourDiscr   uint32
	MinTx       time.Duration // Desired Min TX Interval
	MinRx       time.Duration // Required Min RX Interval
	MinEchoRx   time.Duration // Required Min Echo RX Interval
}

// Discard is why a received packet was dropped.
type Discard uint8

// The reasons to drop a packet. Parse finds those up to DiscardYourDiscr, a
// Session the next two, and the owner of the sockets the others.
const (
	DiscardNone       Discard = iota
	DiscardShort              // less than a packet
	DiscardVersion            // not version 1
	DiscardLength             // the length field fits neither a packet nor the payload
	DiscardMultiplier         // 0
	DiscardMultipoint         // the multipoint bit is set
	DiscardMyDiscr            // 0
	DiscardAuth               // carries authentication, which no session here has
	DiscardYourDiscr          // 0 in a state that is neither Down nor AdminDown
	DiscardWrongDiscr         // meant for another session
	DiscardAdminDown          // the session is administratively down
	DiscardUnknown            // no session has this discriminator or address
	DiscardTTL                // came from too far away
	DiscardAddress            // right discriminator, but not from the session's neighbour
	numDiscards
)

// NumDiscards is the number of reasons to drop a packet, for counters.
const NumDiscards = int(numDiscards)

var discardNames = [numDiscards]string{
	"none", "short", "version", "length", "multiplier", "multipoint", "my_discriminator", "authentication",
	"your_discriminator", "wrong_discriminator", "admin_down", "unknown_session", "ttl", "address",
}

// String returns the reason's stable name, fit for a metric label.
func (d Discard) String() string {
	if int(d) < len(discardNames) {
		return discardNames[d]
	}
	return fmt.Sprintf("discard %d", uint8(d))
}

const (
	flagPoll = 0x20 >> iota
	flagFinal
	flagIndependent
	flagAuth
	flagDemand
	flagMultipoint
)

// Parse reads a control packet, the payload of a UDP datagram, and makes those
// checks of RFC 5880 section 6.8.6 that need no session.
func Parse(b []byte) (Packet, Discard) {
	if len(b) < PacketLen {
		return Packet{}, DiscardShort
	}
	flags, length := b[1], int(b[3])
	least := PacketLen
	if flags&flagAuth != 0 {
		least += 2
	}
	p := Packet{
		Diag:        Diag(b[0] & 0x1f),
		State:       State(flags >> 6),
		Poll:        flags&flagPoll != 0,
		Final:       flags&flagFinal != 0,
		Independent: flags&flagIndependent != 0,
		Demand:      flags&flagDemand != 0,
		Multiplier:  b[2],
		MyDiscr:     binary.BigEndian.Uint32(b[4:]),
		YourDiscr:   binary.BigEndian.Uint32(b[8:]),
		MinTx:       interval(b[12:]),
		MinRx:       interval(b[16:]),
		MinEchoRx:   interval(b[20:]),
	}
	switch {
	case b[0]>>5 != Version:
		return Packet{}, DiscardVersion
	case length < least || length > len(b):
		return Packet{}, DiscardLength
	case p.Multiplier == 0:
		return Packet{}, DiscardMultiplier
	case flags&flagMultipoint != 0:
		return Packet{}, DiscardMultipoint
	case p.MyDiscr == 0:
		return Packet{}, DiscardMyDiscr
	case p.YourDiscr == 0 && p.State != Down && p.State != AdminDown:
		return Packet{}, DiscardYourDiscr
	case flags&flagAuth != 0:
		return Packet{}, DiscardAuth
	}
	return p, DiscardNone
}

// AppendPacket appends the packet as it goes on the wire.
func AppendPacket(b []byte, p *Packet) []byte {
	flags := byte(p.State) << 6
	for _, f := range []struct {
		set bool
		bit byte
	}{{p.Poll, flagPoll}, {p.Final, flagFinal}, {p.Independent, flagIndependent}, {p.Demand, flagDemand}} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, Version<<5|byte(p.Diag)&0x1f, flags, p.Multiplier, PacketLen)
	b = binary.BigEndian.AppendUint32(b, p.MyDiscr)
	b = binary.BigEndian.AppendUint32(b, p.YourDiscr)
	b = binary.BigEndian.AppendUint32(b, microseconds(p.MinTx))
	b = binary.BigEndian.AppendUint32(b, microseconds(p.MinRx))
	return binary.BigEndian.AppendUint32(b, microseconds(p.MinEchoRx))
}

// interval reads an interval, which packets carry in microseconds.
func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}

func microseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}
