package test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	wire "director/vrrp"
)

// onlyUnicast asserts from the capture that nobody spoke to the multicast group,
// and that there was something to see.
func (p *pair) onlyUnicast() {
	p.t.Helper()
	adverts := 0
	for _, f := range p.cap.Frames() {
		adv, ok := f.Advert()
		if !ok {
			continue
		}
		adverts++
		if _, dst, _, ttl, _, _ := f.IP(); dst.IsMulticast() || ttl != 255 {
			p.t.Errorf("%v went to %v with TTL %d", adv, dst, ttl)
		}
	}
	if adverts == 0 {
		p.t.Error("no advert was seen")
	}
}

// Set-up 11: peers by name, with no multicast at all. A stranger is not heard.
func TestUnicastPair(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := func(prio, peer int) string {
		return vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, fmt.Sprintf("unicast_peer = [\"192.0.2.%d\"]", peer))
	}
	a := startDirector(t, p.a, conf(150, 2))
	b := startDirector(t, p.b, conf(100, 1))
	p.onlyOn(p.a, vip, patience)
	heard := func(d *director) uint64 {
		i := d.Instance("VI_1")
		if len(i.Peers) != 1 {
			t.Fatalf("peers %+v", i.Peers)
		}
		return i.Peers[0].Heard
	}
	p.Within(patience, "B hears A", func() bool { return heard(b) > 5 })
	if text, err := b.CLI("status"); err != nil || !strings.Contains(text, "192.0.2.1 heard ") {
		t.Errorf("status of B: %v\n%s", err, text)
	}

	// The client sends better adverts than anybody's, by unicast and by multicast.
	set := wire.Settings{VRID: 51, Version: 3, AdvertInterval: 100 * time.Millisecond, Addresses: []netip.Addr{vip}}
	src := netip.MustParseAddr("192.0.2.50")
	send := func(dst netip.Addr) {
		pdu, err := wire.AppendAdvert(nil, &set, 254, src, dst)
		p.Must(err)
		conn, err := p.client.ListenPacket("ip4:112", src.String())
		p.Must(err)
		defer conn.Close()
		for range 5 {
			_, err = conn.WriteTo(pdu, &net.IPAddr{IP: dst.AsSlice()})
			p.Must(err)
		}
	}
	p.onlyUnicast()
	send(netip.MustParseAddr("192.0.2.1"))
	p.Eventually(patience, "A counts the stranger's adverts", func() error {
		if i := a.Instance("VI_1"); i.Discards["unknown_peer"] != 5 || i.State != "MASTER" {
			return fmt.Errorf("A is %s, discards %v", i.State, i.Discards)
		}
		return nil
	})
	send(wire.Group4())
	p.Eventually(patience, "A counts the multicast adverts", func() error {
		if i := a.Instance("VI_1"); i.Discards["multicast"] != 5 || i.State != "MASTER" {
			return fmt.Errorf("A is %s, discards %v", i.State, i.Discards)
		}
		return nil
	})

	p.cap.Reset()
	a.Stop()
	p.onlyOn(p.b, vip, patience)
	if i := b.Instance("VI_1"); i.Code != "master_stopped" {
		t.Errorf("B took over: %s", i.Reason)
	}
	a = a.Again()
	p.onlyOn(p.a, vip, patience)

	// A reload to a peer more keeps what is known of the other.
	before := heard(b)
	p.Must(b.Reload(strings.Replace(conf(100, 1), `["192.0.2.1"]`, `["192.0.2.99", "192.0.2.1"]`, 1)))
	if peers := b.Instance("VI_1").Peers; len(peers) != 2 || peers[0].Heard != 0 || peers[1].Heard < before {
		t.Errorf("peers after the reload: %+v, heard before: %d", peers, before)
	}
	p.onlyUnicast()
	p.noDoubleMaster(51, 50*time.Millisecond)
}
