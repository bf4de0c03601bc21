package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"net/netip"
	"time"
)

// The HMAC trailer of draft-cassen-vrrp-auth-hmac, as keepalived 2.4.2 sends it:
// 28 bytes behind the VRRP message, which its checksum does not cover.
const (
	// TrailerLen is the length of the trailer in bytes.
	TrailerLen = 28

	trailerType = 1
	stampAt     = 4  // offset of the time and the counter, 8 bytes
	tagAt       = 12 // offset of the truncated HMAC-SHA256
	tagLen      = TrailerLen - tagAt
)

// AuthMode says what a router that has keys does with adverts that carry no
// trailer. A group of routers gets authentication without an outage by going
// through the modes in the order receive-only, permissive, enforce, each on all
// routers before the next.
type AuthMode uint8

// The modes.
const (
	ModeEnforce     AuthMode = iota // adverts are signed, unsigned ones are dropped
	ModePermissive                  // adverts are signed, unsigned ones are taken and counted
	ModeReceiveOnly                 // as permissive, but nothing is signed
	numModes
)

var modeNames = [numModes]string{"enforce", "permissive", "receive-only"}

func (m AuthMode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// ReplayMode says how an advert is told from one that was recorded and is sent
// again.
type ReplayMode uint8

// The ways. Both take no advert that is not newer than the newest one of its
// sender.
const (
	ReplayTime      ReplayMode = iota // and its time may differ from ours by the window at most
	ReplayMonotonic                   // clocks need not agree
	numReplayModes
)

var replayNames = [numReplayModes]string{"time", "monotonic"}

func (m ReplayMode) String() string {
	if int(m) < len(replayNames) {
		return replayNames[m]
	}
	return fmt.Sprintf("replay mode %d", uint8(m))
}

// Key is one key of the trailer. It is never printed.
type Key struct {
	ID     uint8 // 1..255
	Secret []byte
}

// Format shows the number of the key only, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "key %d", k.ID) }

// HMACSettings are the configured properties of the trailer.
type HMACSettings struct {
	Keys   []Key // at least one; adverts signed with any of them are taken
	Active uint8 // the ID of the one that signs
	Mode   AuthMode
	Replay ReplayMode
	Window time.Duration // ReplayTime: 1s to 300s
	// Senders is how many routers are remembered: the number of unicast peers, or
	// of routers to be expected in the multicast group. With more, the one that
	// was silent for longest is forgotten.
	Senders int
}

// HMAC signs and verifies the adverts of one virtual router. It remembers what it
// sent and what it took from whom, and allocates nothing for an advert. It must
// not be copied.
type HMAC struct {
	settings HMACSettings
	keys     []keyed
	active   *keyed
	senders  senders

	sent    stamp // of the newest advert signed
	hasSent bool

	// Memory of one calculation: arguments of hash.Hash escape to the heap.
	pseudo  [20]byte
	zero    [tagLen]byte
	trailer [TrailerLen]byte
	sum     [sha256.Size]byte
}

// keyed is a key that is ready for use.
type keyed struct {
	id  uint8
	mac hash.Hash
}

// NewHMAC returns a signer and verifier that has sent and heard nothing.
func NewHMAC(s HMACSettings) *HMAC {
	h := &HMAC{}
	h.Reconfigure(s)
	return h
}

// Reconfigure puts changed settings in force. What was sent and heard stays
// known, so that a change of keys lets no old advert in.
func (h *HMAC) Reconfigure(s HMACSettings) {
	h.settings, h.keys, h.active = s, make([]keyed, len(s.Keys)), nil
	for i, k := range s.Keys {
		h.keys[i] = keyed{k.ID, hmac.New(sha256.New, k.Secret)}
		if k.ID == s.Active {
			h.active = &h.keys[i]
		}
	}
	h.senders.resize(max(s.Senders, 1))
}

// Settings returns the settings in force. They must not be changed.
func (h *HMAC) Settings() *HMACSettings { return &h.settings }

// Format shows the settings without the keys.
func (h *HMAC) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "HMAC %v with key %d of %d", h.settings.Mode, h.settings.Active, len(h.settings.Keys))
}

// Sign returns the trailer for an advert that leaves from src at now, of which
// only the wall clock counts: behind every copy of the advert it is the same,
// as it covers neither the destination nor the checksum. The result is valid
// until the next call; it is empty in ModeReceiveOnly.
func (h *HMAC) Sign(pdu []byte, src netip.Addr, now time.Time) []byte {
	if h.active == nil || h.settings.Mode == ModeReceiveOnly || len(pdu) < headerLen {
		return nil
	}
	h.sent, h.hasSent = h.next(stampOf(now)), true
	h.trailer = [TrailerLen]byte{trailerType, h.active.id}
	binary.BigEndian.PutUint64(h.trailer[stampAt:], uint64(h.sent))
	copy(h.trailer[tagAt:], h.tag(h.active.mac, pdu, src, h.trailer[:tagAt]))
	return h.trailer[:]
}

// next returns the stamp for an advert that is sent when the clock shows t: always
// a newer one than the last. A clock that was set back a little is waited for
// by counting on, so that nobody takes our adverts for old ones; one that was
// set back by more than the window must be followed, as everybody would find a
// time outside the window.
func (h *HMAC) next(t stamp) stamp {
	if !h.hasSent || t.after(h.sent) {
		return t
	}
	if n := h.sent + 1; h.settings.Replay == ReplayMonotonic || n.sub(t) <= span(h.settings.Window) {
		return n
	}
	return t
}

// tag computes the truncated HMAC over the pseudo-header, the message with a
// checksum of zero, the head of the trailer, and zeros where the tag will be.
func (h *HMAC) tag(mac hash.Hash, pdu []byte, src netip.Addr, head []byte) []byte {
	h.pseudo = [20]byte{4, pdu[0] >> 4, pdu[1]}
	if src.Is4() {
		a := src.As4()
		copy(h.pseudo[4:], a[:])
	} else {
		h.pseudo[0] = 6
		a := src.As16()
		copy(h.pseudo[4:], a[:])
	}
	mac.Reset()
	mac.Write(h.pseudo[:])
	mac.Write(pdu[:6])
	mac.Write(h.zero[:2])
	mac.Write(pdu[headerLen:])
	mac.Write(head)
	mac.Write(h.zero[:])
	return mac.Sum(h.sum[:0])[:tagLen]
}

// Verify checks the trailer of an advert that Parse and Settings.Check accepted,
// and remembers it when it is good. now is when it arrived: the wall clock
// decides whether it is fresh, the monotonic one how long its sender was silent.
// signed says that there was a trailer; an advert without one is taken in
// the modes other than ModeEnforce.
func (h *HMAC) Verify(a *Advert, src netip.Addr, now time.Time) (signed bool, why Discard) {
	t := a.Trailer
	if len(t) == 0 {
		if h.settings.Mode == ModeEnforce {
			return false, DiscardUnsigned
		}
		return false, DiscardNone
	}
	if len(t) != TrailerLen || t[0] != trailerType || t[2] != 0 || t[3] != 0 {
		return true, DiscardTrailer
	}
	var k *keyed
	for i := range h.keys {
		if h.keys[i].id == t[1] {
			k = &h.keys[i]
		}
	}
	if k == nil {
		return true, DiscardKey
	}
	if !hmac.Equal(h.tag(k.mac, a.message, src, t[:tagAt]), t[tagAt:]) {
		return true, DiscardICV
	}
	at := stamp(binary.BigEndian.Uint64(t[stampAt:]))
	if h.settings.Replay == ReplayTime {
		return true, h.senders.fresh(src, k.id, at, now, span(h.settings.Window))
	}
	return true, h.senders.newer(src, k.id, at, now, a.Interval)
}

// Sender is a router whose signed adverts were taken.
type Sender struct {
	Addr netip.Addr
	Key  uint8     // that signed the newest one
	At   time.Time // when that arrived
}

// Senders calls f for each router that is remembered.
func (h *HMAC) Senders(f func(Sender)) {
	for i := range h.senders.list {
		if s := &h.senders.list[i]; s.addr.IsValid() {
			f(Sender{s.addr, s.key, s.at})
		}
	}
}

// Password is the password of version 2, padded with zeros. It is never printed.
type Password [authLen]byte

// Format hides the password, whatever the verb.
func (Password) Format(f fmt.State, _ rune) { io.WriteString(f, "***") }
