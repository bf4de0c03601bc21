package link

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/vrrp"
)

// Adverts with an authentication header, by multicast and by unicast: what the
// kernel sends is what was signed, and the filter knows their VRIDs.
func TestAuthenticationHeader(t *testing.T) {
	p := &pair{a: newHost(t), b: newHost(t)}
	cable(p.a, "eth0", "10.1.0.1/24", p.b, "eth0", "10.1.0.2/24")
	p.pa, p.pb = p.a.poller(), p.b.poller()
	var got []Datagram
	open := func(h *host, poller *Poller, vrids ...uint8) *Socket {
		s := in(h, func() (*Socket, error) {
			return poller.OpenAH(h.iface("eth0"), func(d Datagram) {
				d.Header, d.Payload = bytes.Clone(d.Header), bytes.Clone(d.Payload)
				got = append(got, d)
			})
		})
		if err := s.SetVRIDs(vrids); err != nil {
			t.Fatal(err)
		}
		return s
	}
	sa, sb := open(p.a, p.pa, 51), open(p.b, p.pb, 51, 255)
	plain := p.b.open(p.pb, "eth0", 51, 52) // hears nothing of it
	set := vrrp.Settings{VRID: 51, Version: 2, AdvertInterval: time.Second, AuthType: vrrp.AuthAH}
	set.Addresses = append(set.Addresses, ip("10.1.0.100"))
	password := vrrp.Password{'x'}
	mine, theirs := vrrp.NewAH(password, 1, time.Now()), vrrp.NewAH(password, 1, time.Now())
	src := ip("10.1.0.1")
	var packet []byte
	for _, to := range []string{"224.0.0.18", "10.1.0.2"} {
		for _, vrid := range []uint8{51, 52, 255} {
			set.VRID = vrid
			pdu, err := vrrp.AppendAdvert(nil, &set, 100, src, ip(to))
			if err != nil {
				t.Fatal(err)
			}
			packet = mine.AppendPacket(packet[:0], pdu, src, ip(to), 255)
			sa.Queue(src, ip(to), 255, packet)
		}
	}
	if err := sa.Flush(); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(30 * time.Second); len(got) < 4 && time.Now().Before(limit); {
		if err := p.pb.Wait(limit); err != nil {
			t.Fatal(err)
		}
	}
	if len(got) != 4 || sb.Stats().Received != 4 || plain.Stats().Received != 0 {
		t.Fatalf("%d packets, %+v, without the header %+v", len(got), sb.Stats(), plain.Stats())
	}
	for i, d := range got {
		pdu, ok := vrrp.SplitAH(d.Payload)
		adv, why := vrrp.Parse(pdu, d.Src, d.Dst)
		if !ok || why != vrrp.DiscardNone || d.Protocol != vrrp.ProtocolAH || d.TTL != 255 || d.Src != src || adv.VRID != []uint8{51, 255}[i%2] {
			t.Errorf("packet %d: %v, %v, %+v, %+v", i, ok, why, adv, d)
		}
		if why := theirs.Verify(d.Header, d.Payload, d.Arrival); why != vrrp.DiscardNone {
			t.Errorf("packet %d: %v", i, why)
		}
		if d.Header[1] != tos || d.Header[6]&0x40 != 0 {
			t.Errorf("packet %d: header %x", i, d.Header)
		}
	}
	if sum, err := sb.Foreign(func(d Datagram) {
		if pdu, _ := vrrp.SplitAH(d.Payload); len(pdu) < 2 || pdu[1] != 52 {
			t.Errorf("foreign: %x", d.Payload)
		}
	}); err != nil || sum != 2 {
		t.Errorf("%d foreign packets, %v", sum, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		sa.Queue(src, ip("10.1.0.2"), 255, packet)
		_ = sa.Flush()
	}); n != 0 && !raceEnabled {
		t.Errorf("an advert costs %v allocations", n)
	}
	if v, err := unix.GetsockoptInt(sa.fd, unix.IPPROTO_IP, unix.IP_HDRINCL); err != nil || v != 1 {
		t.Errorf("IP_HDRINCL is %d, %v", v, err)
	}
}
