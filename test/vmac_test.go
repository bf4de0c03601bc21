package test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"director/internal/netlab"
)

// neighbour is the MAC address by which the client knows an address, after it has asked.
func (p *pair) neighbour(addr string) string {
	a := netip.MustParseAddr(addr)
	if c, err := p.client.Dial("udp", netip.AddrPortFrom(a, 9).String()); err == nil {
		_, _ = c.Write([]byte("?"))
		_ = c.Close()
	}
	mac, _ := p.client.Neighbour(a)
	return mac.String()
}

// Set-up 10: a pair with a virtual MAC address, IPv4 and IPv6. The client knows the addresses by the virtual MAC address before and
// after a move and never by another one; a backup says nothing under it and has its interface down; what was changed on the host for
// it is put back.
func TestVirtualMAC(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for h, addr := range map[*netlab.Host]string{p.a: "2001:db8::1/64", p.b: "2001:db8::2/64", p.client: "2001:db8::50/64"} {
		p.Run(h, "ip", "address", "add", addr, "dev", "eth0", "nodad")
	}
	conf := func(prio int) string {
		return vrrp("VI_1", 51, prio, "192.0.2.100/24", fast, "use_vmac = true") +
			strings.Replace(vrrp("VI_6", 51, prio, "fe80::51/64", fast, "use_vmac = true"), `["fe80::51/64"]`, `["fe80::51/64", "2001:db8::100/64"]`, 1)
	}
	all, err := p.sw.Capture(netlab.FilterAll)
	p.Must(err)
	defer all.Close()
	a := startDirector(t, p.a, conf(150))
	b := startDirector(t, p.b, conf(100))
	const mac4, mac6 = "00:00:5e:00:01:33", "00:00:5e:00:02:33"
	known := func(when string) {
		t.Helper()
		p.Eventually(patience, when+" the client knows the virtual MAC addresses", func() error {
			if got, got6 := p.neighbour("192.0.2.100"), p.neighbour("2001:db8::100"); got != mac4 || got6 != mac6 {
				return fmt.Errorf("they are %s and %s", got, got6)
			}
			return nil
		})
	}
	up := func(h *netlab.Host) bool { return strings.Contains(p.Run(h, "ip", "link", "show", "vrrp.51"), ",UP") }
	a.WaitInstance("VI_1", "MASTER", patience)
	b.WaitInstance("VI_1", "BACKUP", patience)
	known("at first")
	if !up(p.a) || up(p.b) {
		t.Errorf("vrrp.51 is up on A: %v, on B: %v", up(p.a), up(p.b))
	}
	ping := func(addr string) {
		t.Helper()
		p.Eventually(patience, addr+" answers", func() error {
			_, err := p.client.Run("ping", "-c1", "-W1", addr)
			return err
		})
	}
	ping("192.0.2.100")
	ping("2001:db8::100")
	if out := p.Run(p.a, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore", "/proc/sys/net/ipv4/conf/eth0/arp_announce"); out != "1\n2\n" {
		t.Errorf("ARP settings of eth0: %q", out)
	}
	text, err := a.CLI("status")
	p.Must(err)
	for _, want := range []string{"vrrp.51", mac4, "vrrp6.51", mac6} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}

	p.cap.Reset()
	p.Must(p.portA.Cut())
	b.WaitInstance("VI_1", "MASTER", patience)
	b.WaitInstance("VI_6", "MASTER", patience)
	known("after the move")
	ping("192.0.2.100")
	for _, arp := range p.cap.ARPs() {
		if arp.Sender == vip && arp.SenderMAC != mac4 {
			t.Errorf("192.0.2.100 was told to be at %s", arp.SenderMAC)
		}
	}
	for _, adv := range p.cap.Adverts() {
		if adv.Source == netip.MustParseAddr("192.0.2.2") && adv.SourceMAC != mac4 {
			t.Errorf("an advert of B came from %s", adv.SourceMAC)
		}
	}
	p.Must(p.portA.Heal())
	a.WaitInstance("VI_1", "MASTER", patience)
	p.Eventually(patience, "B's interface is down again", func() error {
		if up(p.b) {
			return fmt.Errorf("it is up")
		}
		return nil
	})
	known("after the heal")

	// Somebody deletes the interface of the master: it is back with its address.
	p.Run(p.a, "ip", "link", "delete", "vrrp.51")
	p.Eventually(patience, "the address is back", func() error {
		out := p.Run(p.a, "ip", "-br", "address", "show")
		if !strings.Contains(out, "vrrp.51") || !p.a.HasAddr(vip) {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	known("after it was deleted")
	a.WaitInstance("VI_1", "MASTER", patience)

	// Killed, the child goes on with it.
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	a.WaitInstance("VI_1", "MASTER", patience)
	if !up(p.a) {
		t.Error("the interface went down with the child")
	}

	// Frames from the virtual MAC address came from one port at a time, and none before the first MASTER.
	frames := all.Frames()
	if i := slices.IndexFunc(frames, func(f netlab.Frame) bool { return string(f.Data[6:12]) == "\x00\x00\x5e\x00\x02\x33" }); i < 0 {
		t.Error("no frame from the virtual MAC address of IPv6")
	}
	a.Stop()
	b.Stop()
	for _, h := range []*netlab.Host{p.a, p.b} {
		if out := p.Run(h, "ip", "-br", "link", "show"); strings.Contains(out, "vrrp") {
			t.Errorf("left behind on %s: %s", h.Name(), out)
		}
		if out := p.Run(h, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore", "/proc/sys/net/ipv4/conf/eth0/arp_announce"); out != "0\n0\n" {
			t.Errorf("ARP settings of eth0 afterwards: %q", out)
		}
	}
}

// With accept = false nothing of the host answers on the address but neighbour discovery, also after somebody has loaded the
// firewall anew; a stop leaves no rule behind.
func TestNoAccept(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, "accept = false"))
	a.WaitInstance("VI_1", "MASTER", patience)
	answers := func(addr string) bool {
		_, err := p.client.Run("ping", "-c1", "-W0.3", addr)
		return err == nil
	}
	check := func(when string) {
		t.Helper()
		p.Eventually(patience, when+" the address does not answer", func() error {
			if answers("192.0.2.100") || !answers("192.0.2.1") {
				return fmt.Errorf("the address answers: %v, the host: %v", answers("192.0.2.100"), answers("192.0.2.1"))
			}
			return nil
		})
	}
	check("at first")
	if mac, _ := p.a.MAC("eth0"); p.neighbour("192.0.2.100") != mac.String() {
		t.Error("the client does not find the address's MAC address")
	}
	p.Run(p.a, "nft", "flush", "ruleset")
	check("after a flush")
	if err := a.Reload(vrrp("VI_1", 51, 150, "192.0.2.100/24", fast)); err != nil {
		t.Fatal(err)
	}
	p.Within(patience, "the address answers", func() bool { return answers("192.0.2.100") })
	if out := p.Run(p.a, "nft", "list", "ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind:\n%s", out)
	}
	if err := a.Reload(vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, "accept = false")); err != nil {
		t.Fatal(err)
	}
	check("after the second reload")
	a.Stop()
	if out := p.Run(p.a, "nft", "list", "ruleset"); strings.TrimSpace(out) != "" {
		t.Errorf("left behind by the stop:\n%s", out)
	}
}
