package vrrp

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"hash"
	"net/netip"
	"time"
)

// The IP Authentication Header (RFC 4302, RFC 2338 section 5.3.6.3) as keepalived
// speaks it, between the IPv4 header and the message of version 2.
const (
	// ProtocolAH is the IP protocol of adverts with AuthAH.
	ProtocolAH = 51
	// AHLen is the length of the authentication header in bytes.
	AHLen = 24

	ipHeaderLen = 20
	ahTos       = 0xc0 // internetwork control, as on other adverts
	seqAt       = 8    // offset of the sequence number in the authentication header
	icvAt       = 12   // and of the integrity check value: HMAC-MD5-96 (RFC 2403)
	icvLen      = AHLen - icvAt
)

// AH makes and verifies the adverts of one virtual router that uses AuthAH. The
// signature covers the IP header, so it writes that as well. It allocates
// nothing for an advert, and must not be copied.
//
// keepalived keeps one sequence number for each virtual router, which grows with
// the adverts that it sends and with those that it hears, and drops what is not
// above it. So ours goes on from the highest that was heard of anybody; what we
// take from a router only has to be above the last of that router, and a router
// that dropped our adverts after a partition hears, at our answer to its own, one
// that is above both.
type AH struct {
	mac     hash.Hash
	seq     uint32 // the highest one sent or heard
	id      uint16 // IP identification of the newest one sent; never 0, which the kernel would replace
	senders []ahSender

	// Memory of one calculation: arguments of hash.Hash escape to the heap.
	header [ipHeaderLen]byte
	ah     [AHLen]byte
	sum    [md5.Size]byte
}

// ahSender is a router whose adverts were taken.
type ahSender struct {
	addr netip.Addr
	seq  uint32
	at   time.Time
}

// NewAH returns an AH for a password that remembers the given number of other
// routers. Its sequence number begins at the time of day: a restarted router
// does not fall behind its own former adverts, which its peers remember.
func NewAH(password Password, senders int, now time.Time) *AH {
	h := &AH{}
	const begin = 1577836800 // 2020: four adverts a second last until 2054
	if s := now.Unix() - begin; s > 0 {
		h.seq = uint32(s * 4)
	}
	h.Reconfigure(password, senders)
	return h
}

// Reconfigure puts a changed password or number of senders in force.
func (h *AH) Reconfigure(password Password, senders int) {
	h.mac = hmac.New(md5.New, password[:])
	old := h.senders
	h.senders = make([]ahSender, max(senders, 1))
	copy(h.senders, old)
}

// Format hides the password.
func (h *AH) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "AH at %d", h.seq) }

// AppendPacket appends to b the IPv4 packet that carries an advert of
// AppendAdvert from src to dst, with the next sequence number. The checksum of the
// IP header is left to the kernel.
func (h *AH) AppendPacket(b, pdu []byte, src, dst netip.Addr, ttl uint8) []byte {
	if h.id++; h.id == 0 {
		h.id = 1
	}
	h.seq++
	s, d := src.As4(), dst.As4()
	start := len(b)
	b = append(b, 0x45, ahTos)
	b = binary.BigEndian.AppendUint16(b, uint16(ipHeaderLen+AHLen+len(pdu)))
	b = binary.BigEndian.AppendUint16(b, h.id)
	b = append(b, 0, 0, ttl, ProtocolAH, 0, 0)
	b = append(append(b, s[:]...), d[:]...)
	b = append(b, ProtocolNumber, AHLen/4-2, 0, 0)
	b = append(b, s[:]...) // the security parameters index
	b = binary.BigEndian.AppendUint32(b, h.seq)
	icv := h.icv(b[start:start+ipHeaderLen], b[start+ipHeaderLen:], pdu)
	return append(append(b, icv...), pdu...)
}

// icv computes the signature over the IP header with its mutable fields zero, the
// authentication header without the value itself, and the message. The time to
// live is covered where no router changes it, in the multicast group.
func (h *AH) icv(header, ah, pdu []byte) []byte {
	copy(h.header[:], header)
	h.header[1] = 0                        // type of service
	h.header[6], h.header[7] = 0, 0        // flags and fragment offset
	h.header[10], h.header[11] = 0, 0      // checksum
	if dst := h.header[16]; dst>>4 != 14 { // no multicast group
		h.header[8] = 0
	}
	h.ah = [AHLen]byte{}
	copy(h.ah[:icvAt], ah)
	h.mac.Reset()
	h.mac.Write(h.header[:])
	h.mac.Write(h.ah[:])
	h.mac.Write(pdu)
	return h.mac.Sum(h.sum[:0])[:icvLen]
}

// SplitAH returns the VRRP message behind an authentication header, false when
// there is none. Nothing of it is verified.
func SplitAH(payload []byte) (pdu []byte, ok bool) {
	if len(payload) < AHLen || payload[0] != ProtocolNumber || payload[1] != AHLen/4-2 {
		return nil, false
	}
	return payload[AHLen:], true
}

// Verify checks the packet of an advert that Parse and Settings.Check accepted: its
// IP header and what follows, and remembers it when it is good.
func (h *AH) Verify(header, payload []byte, now time.Time) Discard {
	pdu, ok := SplitAH(payload)
	if !ok || len(header) != ipHeaderLen || [4]byte(payload[4:8]) != [4]byte(header[12:16]) ||
		!hmac.Equal(h.icv(header, payload[:icvAt], pdu), payload[icvAt:AHLen]) {
		return DiscardICV
	}
	src, seq := netip.AddrFrom4([4]byte(header[12:16])), binary.BigEndian.Uint32(payload[seqAt:])
	s := &h.senders[0]
	for i := range h.senders {
		o := &h.senders[i]
		if o.addr == src {
			s = o
			break
		}
		if o.at.Before(s.at) {
			s = o
		}
	}
	if s.addr == src && seq <= s.seq {
		return DiscardReplay
	}
	*s = ahSender{src, seq, now}
	h.seq = max(h.seq, seq)
	return DiscardNone
}
