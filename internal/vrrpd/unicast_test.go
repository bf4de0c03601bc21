package vrrpd

import (
	"net/netip"
	"testing"
	"time"

	"director/config"
	"director/vrrp"
)

// unicast gives an instance peers that are on the link.
func unicast(c config.Instance, ttl uint8, peers ...string) config.Instance {
	c.UnicastTTL, c.Peers = ttl, nil
	for _, p := range peers {
		c.Peers = append(c.Peers, config.UnicastPeer{Address: netip.MustParseAddr(p), MinTTL: 255, MaxTTL: 255})
	}
	return c
}

func TestUnicastAdverts(t *testing.T) {
	w := newWorld(t)
	c := unicast(instance("web", 51, 100, "192.0.2.10/32"), 255, "192.0.2.2", "192.0.2.1", "192.0.2.3")
	w.configure(nil, c)
	w.pass(3610 * time.Millisecond)
	// Each with a checksum of its own, none to ourselves, none to the group.
	to := func(prio string) []string {
		return []string{"advert " + prio + " from 192.0.2.1 to 192.0.2.2, TTL 255", "advert " + prio + " from 192.0.2.1 to 192.0.2.3, TTL 255"}
	}
	w.want(append(append([]string{"web INIT->BACKUP (started)"}, to("100")...),
		"add 192.0.2.10/32", "announce 192.0.2.10/32", "web BACKUP->MASTER (master_down)")...)
	if p := w.router("web").Peers; len(p) != 3 || !p[1].Self || p[0].Self || p[0].Heard != 0 || w.router("web").AdvertsSent != 1 {
		t.Errorf("peers %+v", p)
	}

	here := netip.MustParseAddr("192.0.2.1")
	s := settings(&c)
	w.hearAt("192.0.2.9", here, 255, 200, s)          // a stranger
	w.hearAt("192.0.2.2", vrrp.Group4(), 255, 200, s) // in the wrong way
	w.hearAt("192.0.2.2", here, 254, 200, s)          // from beyond the link
	w.settle()
	w.want()
	i := w.router("web")
	for _, why := range []vrrp.Discard{vrrp.DiscardPeer, vrrp.DiscardMulticast, vrrp.DiscardTTL} {
		if i.Discards[why.String()] != 1 {
			t.Errorf("%v is not counted: %v", why, i.Discards)
		}
	}
	w.hearAt("192.0.2.2", here, 255, 200, s)
	w.settle()
	w.want("advert 100 from 192.0.2.1 to 192.0.2.2, TTL 255", "advert 100 from 192.0.2.1 to 192.0.2.3, TTL 255",
		"remove 192.0.2.10/32", "web MASTER->BACKUP (higher_priority)")

	// Peers come and go, those that stay are known as before; the others stay
	// strangers.
	heard := w.now
	w.pass(time.Second)
	w.configure(nil, unicast(c, 64, "192.0.2.4", "192.0.2.2"))
	if p := w.router("web").Peers; len(p) != 2 || p[0].Heard != 0 || p[1].Heard != 2 || !p[1].LastHeard.Equal(heard) {
		t.Errorf("peers %+v after a reload", p)
	}
	w.hearAt("192.0.2.3", here, 255, 200, s)
	if n := w.router("web").Discards["unknown_peer"]; n != 2 {
		t.Errorf("%d adverts of strangers", n)
	}
	w.pass(3 * time.Second)
	w.want("advert 100 from 192.0.2.1 to 192.0.2.4, TTL 64", "advert 100 from 192.0.2.1 to 192.0.2.2, TTL 64",
		"add 192.0.2.10/32", "announce 192.0.2.10/32", "web BACKUP->MASTER (master_down)")

	// Back to multicast: a unicast advert is now the wrong one.
	w.configure(nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.hearAt("192.0.2.2", here, 255, 200, s)
	w.pass(time.Second)
	w.want("advert 100 from 192.0.2.1")
	if i := w.router("web"); i.Discards["unicast"] != 1 || i.Peers != nil {
		t.Errorf("status %+v", i)
	}
}

func TestUnicastVersion2AndSource(t *testing.T) {
	w := newWorld(t)
	c := unicast(instance("web", 51, 100, "192.0.2.10/32"), 1, "192.0.2.2", "192.0.2.3")
	c.Version, c.UnicastSource = 2, config.PerFamily{IPv4: netip.MustParseAddr("192.0.2.77")}
	c.Authentication = config.Authentication{Type: "PASS", Password: "1111"}
	w.configure(nil, c)
	w.want("web INIT->FAULT (no_source_address)")
	if got := w.router("web").Reason; got != "no source address: unicast_src_ip 192.0.2.77 is on no interface" {
		t.Errorf("reason %q", got)
	}
	w.link("lo", 1, true, "192.0.2.77/32")
	w.pass(4 * time.Second)
	w.want("web FAULT->BACKUP (recovered)",
		"advert 100 from 192.0.2.77 to 192.0.2.2, TTL 1", "advert 100 from 192.0.2.77 to 192.0.2.3, TTL 1",
		"add 192.0.2.10/32", "announce 192.0.2.10/32", "web BACKUP->MASTER (master_down)")
}
