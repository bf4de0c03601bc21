package netlab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const protoVRRP = 112

// An Advert is a VRRP packet as seen on the wire, read without the help of the code under test. Nothing is judged here:
// checksum and lengths may be wrong.
type Advert struct {
	Time      time.Time
	SourceMAC string
	DestMAC   string
	Source    netip.Addr
	Dest      netip.Addr
	TTL       int // or hop limit
	Version   int // 2 or 3
	Type      int // 1 = advertisement
	VRID      int
	Priority  int
	Count     int           // addresses announced
	Interval  time.Duration // what the packet says: seconds in version 2, hundredths in version 3
	AuthType  int           // version 2
	Auth      string        // version 2, type 1: the password
	Addresses []netip.Addr
	Payload   []byte // the VRRP packet
}

// String is the advert on one line.
func (a Advert) String() string {
	return fmt.Sprintf("%s v%d vrid %d prio %d from %s (%s) to %s, every %v, %v",
		a.Time.Format("15:04:05.000000"), a.Version, a.VRID, a.Priority, a.Source, a.SourceMAC, a.Dest, a.Interval, a.Addresses)
}

// An ARP is an ARP packet as seen on the wire.
type ARP struct {
	Time      time.Time
	SourceMAC string // of the frame
	DestMAC   string // of the frame
	Op        int    // 1 request, 2 reply
	SenderMAC string
	Sender    netip.Addr
	TargetMAC string
	Target    netip.Addr
}

// Gratuitous reports whether it announces its sender's own address.
func (a ARP) Gratuitous() bool { return a.Sender == a.Target }

// EtherType is the frame's protocol number, 0 for a frame that is too short.
func (f Frame) EtherType() int {
	if len(f.Data) < 14 {
		return 0
	}
	return int(binary.BigEndian.Uint16(f.Data[12:]))
}

// IP returns the parts of an IPv4 or IPv6 packet (extension headers count as payload).
func (f Frame) IP() (src, dst netip.Addr, proto, ttl int, payload []byte, ok bool) {
	d := f.Data
	switch f.EtherType() {
	case unix.ETH_P_IP:
		d = d[14:]
		if len(d) < 20 {
			return
		}
		header, total := int(d[0]&15)*4, int(binary.BigEndian.Uint16(d[2:]))
		if header < 20 || total < header || len(d) < total {
			return
		}
		return netip.AddrFrom4([4]byte(d[12:16])), netip.AddrFrom4([4]byte(d[16:20])), int(d[9]), int(d[8]), d[header:total], true
	case unix.ETH_P_IPV6:
		d = d[14:]
		if len(d) < 40 {
			return
		}
		total := 40 + int(binary.BigEndian.Uint16(d[4:]))
		if len(d) < total {
			return
		}
		return netip.AddrFrom16([16]byte(d[8:24])), netip.AddrFrom16([16]byte(d[24:40])), int(d[6]), int(d[7]), d[40:total], true
	}
	return
}

// Advert reads the frame as VRRP; false when it is none.
func (f Frame) Advert() (Advert, bool) {
	src, dst, proto, ttl, p, ok := f.IP()
	if !ok || proto != protoVRRP || len(p) < 8 {
		return Advert{}, false
	}
	a := Advert{
		Time: f.Time, SourceMAC: macString(f.Data[6:12]), DestMAC: macString(f.Data[:6]), Source: src, Dest: dst, TTL: ttl,
		Version: int(p[0] >> 4), Type: int(p[0] & 15), VRID: int(p[1]), Priority: int(p[2]), Count: int(p[3]), Payload: p,
	}
	if a.Version == 2 {
		a.AuthType, a.Interval = int(p[4]), time.Duration(p[5])*time.Second
	} else {
		a.Interval = time.Duration(binary.BigEndian.Uint16(p[4:])&0xfff) * 10 * time.Millisecond
	}
	rest, size := p[8:], 4
	if src.Is6() {
		size = 16
	}
	for i := 0; i < a.Count && len(rest) >= size; i++ {
		addr, _ := netip.AddrFromSlice(rest[:size])
		a.Addresses = append(a.Addresses, addr)
		rest = rest[size:]
	}
	if a.Version == 2 && a.AuthType == 1 && len(rest) >= 8 {
		n := 0
		for n < 8 && rest[n] != 0 {
			n++
		}
		a.Auth = string(rest[:n])
	}
	return a, true
}

// ARP reads the frame as ARP for IPv4; false when it is none.
func (f Frame) ARP() (ARP, bool) {
	if f.EtherType() != unix.ETH_P_ARP || len(f.Data) < 42 {
		return ARP{}, false
	}
	d := f.Data[14:]
	if [6]byte(d[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return ARP{}, false
	}
	return ARP{
		Time: f.Time, SourceMAC: macString(f.Data[6:12]), DestMAC: macString(f.Data[:6]), Op: int(binary.BigEndian.Uint16(d[6:])),
		SenderMAC: macString(d[8:14]), Sender: netip.AddrFrom4([4]byte(d[14:18])),
		TargetMAC: macString(d[18:24]), Target: netip.AddrFrom4([4]byte(d[24:28])),
	}, true
}
