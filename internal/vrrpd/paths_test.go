package vrrpd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// heartbeat gives an instance a path by multicast over an interface, or to peers.
func heartbeat(c config.Instance, device string, peers ...string) config.Instance {
	h := config.Heartbeat{Interface: device, TTL: 255}
	for _, p := range peers {
		h.Peers = append(h.Peers, config.UnicastPeer{Address: netip.MustParseAddr(p), MinTTL: 255, MaxTTL: 255})
	}
	c.Heartbeats = append(slices.Clone(c.Heartbeats), h)
	return c
}

// hearOver brings an advert over a device; from a sender that is not zero it is one of
// a heartbeat path.
func (w *world) hearOver(device, src, dst, sender string, prio uint8, c *config.Instance) {
	w.t.Helper()
	s := settings(c)
	if sender != "" {
		s.Addresses = vrrp.HeartbeatAddresses(s.Addresses, netip.MustParseAddr(sender))
	}
	from, to := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	pdu, err := vrrp.AppendAdvert(nil, &s, prio, from, to)
	if err != nil {
		w.t.Fatal(err)
	}
	w.e.receive(device, link.Datagram{Src: from, Dst: to, TTL: 255, Payload: pdu, Arrival: w.now})
	w.settle()
}

func (w *world) paths(name string) string {
	var all []string
	for _, p := range w.router(name).Paths {
		all = append(all, fmt.Sprintf("%s %s %d/%d", p.Name, p.State, p.Sent, p.Heard))
	}
	return strings.Join(all, ", ")
}

const group4 = "224.0.0.18"

func TestHeartbeatPath(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "198.51.100.9/24")
	c := heartbeat(instance("web", 51, 100, "192.0.2.10/32"), "eth1")
	w.configure(nil, c)
	w.want("web INIT->BACKUP (started)")
	if !slices.Equal(w.socks["eth0"], []uint8{51}) || !slices.Equal(w.socks["eth1"], []uint8{51}) {
		t.Fatalf("filters %v", w.socks)
	}

	// The master is heard over the heartbeat path alone, under the address that it has
	// on its own link: no takeover, and one event.
	for range 20 {
		w.hearOver("eth1", "198.51.100.2", group4, "192.0.2.2", 200, &c)
		w.pass(time.Second)
	}
	w.want("web clear->raised (path_silent)")
	i := w.router("web")
	if i.State != "BACKUP" || i.Master != "192.0.2.2" || i.MasterPriority != 200 {
		t.Errorf("%s, master %s (%d)", i.State, i.Master, i.MasterPriority)
	}
	if got, want := w.paths("web"), "eth0 silent 0/0, eth1 up 0/20"; got != want {
		t.Errorf("paths %s, want %s", got, want)
	}
	if p := i.Paths[0]; !p.Own || !strings.HasPrefix(p.Note, "own link silent for ") ||
		!strings.Contains(p.Note, "the master 192.0.2.2 (200) is heard over eth1") {
		t.Errorf("note %q", p.Note)
	}

	// The link is whole again: it is told once it has brought three adverts.
	for n := range 3 {
		if got := w.paths("web"); !strings.HasPrefix(got, "eth0 silent") {
			t.Errorf("after %d adverts: %s", n, got)
		}
		w.hearOver("eth0", "192.0.2.2", group4, "", 200, &c)
		w.hearOver("eth1", "198.51.100.2", group4, "192.0.2.2", 200, &c)
		w.pass(time.Second)
	}
	w.want("web raised->clear (path_silent)")

	// Both silent: the master is dead. Its adverts go over both, with the address of
	// each.
	w.pass(2620 * time.Millisecond)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 198.51.100.9", "add 192.0.2.10/32", "announce 192.0.2.10/32",
		"web BACKUP->MASTER (master_down)")

	// Equal priorities are decided by the addresses of the own links, 192.0.2.1 against
	// .2, although those of the path are in the other order.
	w.hearOver("eth1", "198.51.100.2", group4, "192.0.2.2", 100, &c)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 198.51.100.9", "remove 192.0.2.10/32", "web MASTER->BACKUP (higher_address)")

	// What does not say who it is on a heartbeat path is none of ours, and neither is
	// what comes from us.
	w.hearOver("eth1", "198.51.100.2", group4, "", 250, &c)
	w.hearOver("eth1", "198.51.100.2", group4, "192.0.2.1", 250, &c)
	w.hearOver("eth1", "198.51.100.2", "198.51.100.9", "192.0.2.2", 250, &c)
	i = w.router("web")
	for _, why := range []vrrp.Discard{vrrp.DiscardNoHeartbeat, vrrp.DiscardOwnPacket, vrrp.DiscardUnicast} {
		if i.Discards[why.String()] != 1 {
			t.Errorf("%v is not counted: %v", why, i.Discards)
		}
	}
	if i.Master != "192.0.2.2" || i.MasterPriority != 100 {
		t.Errorf("master %s (%d)", i.Master, i.MasterPriority)
	}
}

// The link of the master goes down: it says good-bye over the heartbeat path. That of
// a heartbeat path goes down: the router goes on.
func TestHeartbeatLinks(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "198.51.100.1/24")
	c := heartbeat(instance("web", 51, 100, "192.0.2.10/32"), "eth1")
	w.configure(nil, c)
	w.pass(4 * time.Second)
	w.take()
	w.link("eth1", 3, false, "198.51.100.1/24")
	w.want("web clear->raised (path_down)")
	w.pass(time.Second)
	w.want("advert 100 from 192.0.2.1")
	if p := w.router("web").Paths[1]; p.Note != "interface eth1 is down" {
		t.Errorf("note %q", p.Note)
	}
	w.link("eth1", 3, true)
	w.want()
	if p := w.router("web").Paths[1]; p.State != control.PathDown || !strings.Contains(p.Note, "no IPv4 address") {
		t.Errorf("%s: %q", p.State, p.Note)
	}
	w.link("eth1", 3, true, "198.51.100.7/24")
	w.want("web raised->clear (path_down)")
	w.pass(time.Second)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 198.51.100.7")
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth0", Index: 2}})
	w.settle()
	w.want("advert 0 from 198.51.100.7", "remove 192.0.2.10/32", "web MASTER->FAULT (interface_absent)")
	w.link("eth0", 2, true, "192.0.2.1/24")
	w.pass(4 * time.Second)
	w.take()
	w.e.stop(w.now)
	w.settle()
	if got := w.take(); !strings.HasPrefix(got, "advert 0 from 192.0.2.1\nadvert 0 from 198.51.100.7\n") {
		t.Errorf("a stop says:\n%s", got)
	}
}

// Paths by unicast, one of them over the router's own interface, and a reload.
func TestHeartbeatByUnicast(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "198.51.100.1/24")
	plain := instance("web", 51, 100, "192.0.2.10/32")
	c := heartbeat(heartbeat(plain, "eth0", "192.0.2.2"), "eth1", "198.51.100.2")
	w.configure(nil, c)
	w.take()
	hear := func(device, src, dst, sender string) {
		t.Helper()
		w.hearOver(device, src, dst, sender, 200, &c)
	}
	hear("eth0", "192.0.2.2", group4, "")
	hear("eth0", "192.0.2.2", "192.0.2.1", "192.0.2.2")
	hear("eth1", "198.51.100.2", "198.51.100.1", "192.0.2.2")
	hear("eth1", "198.51.100.3", "198.51.100.1", "192.0.2.3") // a stranger
	hear("eth1", "198.51.100.2", group4, "192.0.2.2")         // in the wrong way
	want := "eth0 up 0/1, eth0 to 192.0.2.2 up 0/1, eth1 to 198.51.100.2 up 0/1"
	if got := w.paths("web"); got != want {
		t.Errorf("paths %s, want %s", got, want)
	}
	if d := w.router("web").Discards; d["unknown_peer"] != 1 || d["multicast"] != 1 {
		t.Errorf("discards %v", d)
	}
	w.pass(3700 * time.Millisecond)
	w.want("advert 100 from 192.0.2.1", "advert 100 from 192.0.2.1 to 192.0.2.2, TTL 255",
		"advert 100 from 198.51.100.1 to 198.51.100.2, TTL 255",
		"add 192.0.2.10/32", "announce 192.0.2.10/32", "web BACKUP->MASTER (master_down)")

	// A reload that takes one away keeps what is known of the others, and says
	// good-bye to nobody. A path that was down is not left so in the record.
	w.link("eth1", 3, false, "198.51.100.1/24")
	w.configure(nil, heartbeat(plain, "eth0", "192.0.2.2"))
	w.want("web clear->raised (path_down)", "web raised->clear (path_down)")
	if got, want := w.paths("web"), "eth0 up 1/1, eth0 to 192.0.2.2 up 1/1"; got != want {
		t.Errorf("paths %s, want %s", got, want)
	}
	if w.socks["eth1"] != nil || !slices.Equal(w.socks["eth0"], []uint8{51}) {
		t.Errorf("filters %v", w.socks)
	}
	w.configure(nil, plain)
	if p := w.router("web").Paths; p != nil {
		t.Errorf("paths %+v", p)
	}
	w.hear("192.0.2.2", 200, settings(&plain))
	w.settle()
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("%s", i.State)
	}
}

// The names of two families: a path by unicast to one of them is a path of that family.
func TestHeartbeatFamilies(t *testing.T) {
	w := newWorld(t)
	w.link("eth0", 2, true, "192.0.2.1/24", "fe80::1/64")
	w.link("eth1", 3, true, "198.51.100.1/24", "fe80::9/64")
	c := heartbeat(heartbeat(instance("web", 51, 100, "192.0.2.10/32", "fe80::10/64"), "eth1"), "eth1", "fe80::2")
	w.configure(nil, c)
	w.pass(4 * time.Second)
	got := w.take()
	for _, want := range []string{
		"advert 100 from 192.0.2.1\n", "advert 100 from 198.51.100.1\n", "advert 100 from fe80::1", "advert 100 from fe80::9",
		"advert 100 from fe80::9 to fe80::2, TTL 255",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	var names []string
	for _, i := range w.e.snapshot().Instances {
		for _, p := range i.Paths {
			names = append(names, i.Family+" "+p.Name)
		}
	}
	want := []string{"ipv4 eth0", "ipv4 eth1", "ipv6 eth0", "ipv6 eth1", "ipv6 eth1 to fe80::2"}
	if !slices.Equal(names, want) {
		t.Errorf("paths %q", names)
	}
}

// A heartbeat path costs an advert no memory.
func TestHeartbeatAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	w.link("eth1", 3, true, "198.51.100.1/24")
	c := heartbeat(instance("web", 51, 100, "192.0.2.10/32"), "eth1")
	w.configure(nil, c)
	s := settings(&c)
	s.Addresses = vrrp.HeartbeatAddresses(s.Addresses, netip.MustParseAddr("192.0.2.2"))
	src, dst := netip.MustParseAddr("198.51.100.2"), vrrp.Group4()
	pdu, err := vrrp.AppendAdvert(nil, &s, 200, src, dst)
	if err != nil {
		t.Fatal(err)
	}
	w.e.messages = nil
	n := testing.AllocsPerRun(100, func() {
		w.now = w.now.Add(time.Millisecond)
		w.e.receive("eth1", link.Datagram{Src: src, Dst: dst, TTL: 255, Payload: pdu, Arrival: w.now})
		w.e.judgePaths(w.now)
	})
	if n > 0 {
		t.Errorf("%v allocations for each advert heard", n)
	}
}
