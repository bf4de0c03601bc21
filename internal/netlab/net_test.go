package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
)

const keepalivedConf = `global_defs { router_id %s }
vrrp_instance VI {
	interface eth0
	state BACKUP
	virtual_router_id 51
	priority %d
	advert_int 1
	authentication { auth_type PASS
	auth_pass 1111 }
	virtual_ipaddress { 10.0.0.100 }
}
`

func testKeepalived(t *testing.T) {
	lab, a, b, _, _, sw := pair(t)
	vip := netip.MustParseAddr("10.0.0.100")
	wire, err := sw.Capture(netlab.FilterVRRP | netlab.FilterARP)
	lab.Must(err)
	pa, err := a.Keepalived(fmt.Sprintf(keepalivedConf, "a", 255))
	lab.Must(err)
	pb, err := b.Keepalived(fmt.Sprintf(keepalivedConf, "b", 100))
	lab.Must(err)
	lab.Within(30*time.Second, "a owns the address", func() bool { return a.HasAddr(vip) })
	first, err := wire.WaitAdvert(30*time.Second, func(ad netlab.Advert) bool { return ad.Priority == 255 })
	lab.Must(err)
	want := netlab.Advert{
		Time: first.Time, SourceMAC: "02:00:00:00:01:01", DestMAC: "01:00:5e:00:00:12", TTL: 255,
		Source: netip.MustParseAddr("10.0.0.1"), Dest: netip.MustParseAddr("224.0.0.18"),
		Version: 2, Type: 1, VRID: 51, Priority: 255, Count: 1, Interval: time.Second, AuthType: 1, Auth: "1111",
		Addresses: []netip.Addr{vip}, Payload: first.Payload,
	}
	if !reflect.DeepEqual(first, want) {
		t.Errorf("advert\n got %#v\nwant %#v", first, want)
	}
	lab.Within(30*time.Second, "a gratuitous ARP", func() bool {
		for _, arp := range wire.ARPs() {
			if arp.Gratuitous() && arp.Sender == vip && arp.SenderMAC == "02:00:00:00:01:01" && !arp.Time.Before(first.Time) {
				return true
			}
		}
		return false
	})
	lab.Must(a.PowerOff())
	if pa.Running() {
		t.Error("keepalived runs on a machine without power")
	}
	lab.Within(30*time.Second, "b takes over", func() bool { return b.HasAddr(vip) })
	lab.Must(pb.Stop(30 * time.Second))
	if b.HasAddr(vip) {
		t.Error("keepalived left its address")
	}
	lab.Must(wire.Close())
	last := wire.Adverts()
	if p := last[len(last)-1].Priority; p != 0 {
		t.Errorf("the last advert has priority %d", p)
	}
}

func testCapture(t *testing.T) {
	lab, a, b, _, _, sw := pair(t)
	c, err := b.Capture("eth0", netlab.FilterARP|netlab.FilterNDP)
	lab.Must(err)
	all, err := sw.Capture(netlab.FilterAll)
	lab.Must(err)
	before := time.Now()
	for _, addr := range []string{"10.0.0.2", "2001:db8::2"} {
		lab.Within(30*time.Second, "a reaches "+addr, func() bool { return reaches(a, addr) })
	}
	lab.Within(30*time.Second, "ARP and neighbour discovery", func() bool {
		return len(c.ARPs()) >= 2 && slices.ContainsFunc(c.Frames(), func(f netlab.Frame) bool {
			_, _, proto, _, p, ok := f.IP()
			return ok && proto == 58 && p[0] == 135
		})
	})
	var request, reply, ndp bool
	for _, f := range c.Frames() {
		if f.Time.Before(before.Add(-time.Millisecond)) || f.Time.After(time.Now()) {
			t.Errorf("time stamp %v is outside of the test", f.Time)
		}
		if arp, ok := f.ARP(); ok && arp.Sender == netip.MustParseAddr("10.0.0.1") && arp.Op == 1 {
			request = request || !f.Outgoing
		} else if ok && arp.Sender == netip.MustParseAddr("10.0.0.2") && arp.Op == 2 {
			reply = reply || f.Outgoing && arp.TargetMAC == "02:00:00:00:01:01"
		} else if _, _, proto, _, p, ok := f.IP(); ok && proto == 58 && p[0] == 135 {
			ndp = true
		} else if !ok {
			t.Errorf("unexpected frame % x", f.Data)
		}
	}
	if !request || !reply || !ndp {
		t.Errorf("request %v, reply %v, neighbour solicitation %v", request, reply, ndp)
	}
	icmp := 0
	for _, f := range all.Frames() {
		if _, _, proto, _, _, ok := f.IP(); ok && proto == 1 {
			icmp++
		}
	}
	if icmp < 2 {
		t.Errorf("the switch shows %d ICMP packets, want 2 or more", icmp)
	}
	c.Reset()
	if n := len(c.Frames()); n != 0 {
		t.Errorf("%d frames after Reset", n)
	}
	lab.Must(c.Close())
	lab.Must(all.Close())
	if _, err := a.Capture("eth9", netlab.FilterAll); err == nil {
		t.Error("captured on an interface that does not exist")
	}
}

func testPcap(t *testing.T) {
	lab, a, _, _, _, _ := pair(t)
	path := a.Path("a.pcap")
	c, err := a.Pcap("eth0", path)
	lab.Must(err)
	lab.Within(30*time.Second, "contact", func() bool { return reaches(a, "10.0.0.2") })
	lab.Must(c.Close())
	out := lab.Run(a, "tcpdump", "-nr", path, "icmp")
	if !strings.Contains(out, "10.0.0.1 > 10.0.0.2: ICMP echo request") || !strings.Contains(out, "10.0.0.2 > 10.0.0.1: ICMP echo reply") {
		t.Errorf("tcpdump shows\n%s", out)
	}
}

func testLoad(t *testing.T) {
	lab, a, b, _, pb, _ := pair(t)
	w, err := b.WebServer(netip.MustParseAddrPort("10.0.0.2:80"), "b")
	lab.Must(err)
	for _, keep := range []bool{false, true} {
		load := a.LoadHTTPWith(context.Background(), "http://10.0.0.2/", 100*time.Millisecond, 2*time.Second, netlab.LoadOptions{KeepAlive: keep})
		lab.Must(load.AwaitOK(30*time.Second, 10))
		lab.Must(pb.Cut())
		cut := time.Now()
		time.Sleep(3 * time.Second)
		healed := time.Now()
		lab.Must(pb.Heal())
		lab.Must(load.AwaitOK(30*time.Second, 10))
		load.Stop()
		load.Stop()
		s := load.Stats()
		t.Logf("keep-alive %v: %v", keep, s)
		if s.OK < 20 || s.Failed < 1 || s.FirstErr == nil || s.ByBody["b"] != s.OK || s.Max < s.Median || s.Median <= 0 {
			t.Errorf("%+v", s)
		}
		if s.Gap < healed.Sub(cut)/2 || s.GapStart.After(healed) {
			t.Errorf("gap %v from %v; the outage was %v from %v", s.Gap, s.GapStart, healed.Sub(cut), cut)
		}
		if during := load.Since(cut); during.OK+during.Failed >= s.OK+s.Failed || during.OK < 10 {
			t.Errorf("since the cut: %v; in all: %v", during, s)
		}
	}
	w.SetHealthy(false)
	if status, _, err := a.Get("http://10.0.0.2"+netlab.HealthPath, 10*time.Second); status != 503 || err != nil {
		t.Errorf("unhealthy: %d, %v", status, err)
	}
	w.SetHealthy(true)
	if status, body, err := a.Get("http://10.0.0.2"+netlab.HealthPath, 10*time.Second); status != 200 || body != "ok" || err != nil {
		t.Errorf("healthy: %d %q, %v", status, body, err)
	}
	if w.HealthChecks() != 2 || w.Requests() < 40 {
		t.Errorf("%d health checks, %d requests", w.HealthChecks(), w.Requests())
	}
	w.Close()
	if _, _, err := a.Get("http://10.0.0.2/", 10*time.Second); err == nil {
		t.Error("a closed server answers")
	}
}

func testLoadUDP(t *testing.T) {
	lab, a, b, _, pb, _ := pair(t)
	e, err := b.EchoServer(netip.MustParseAddrPort("10.0.0.2:0"), "b")
	lab.Must(err)
	load, err := a.LoadUDP(context.Background(), e.Addr().String(), 10*time.Millisecond, 500*time.Millisecond)
	lab.Must(err)
	lab.Must(load.AwaitOK(30*time.Second, 10))
	lab.Must(pb.Cut())
	time.Sleep(2 * time.Second)
	lab.Must(pb.Heal())
	lab.Must(load.AwaitOK(30*time.Second, 10))
	load.Stop()
	s := load.Stats()
	t.Log(s)
	if s.OK < 20 || s.Failed < 1 || s.Gap < 500*time.Millisecond || s.ByBody["b"] != s.OK {
		t.Errorf("%+v", s)
	}
	if !errors.Is(s.FirstErr, netlab.ErrNoAnswer) {
		t.Errorf("error %v", s.FirstErr)
	}
	e.Close()
}

func testTransfer(t *testing.T) {
	lab, a, b, _, pb, _ := pair(t)
	w, err := b.WebServer(netip.MustParseAddrPort("10.0.0.2:80"), "b")
	lab.Must(err)
	tr, err := a.LongTransfer(context.Background(), "http://10.0.0.2/stream")
	lab.Must(err)
	lab.Within(30*time.Second, "it begins", func() bool { return tr.Bytes() > 10 })
	t.Logf("longest stall without a reason: %v", tr.LongestStall())
	lab.Must(pb.Cut())
	time.Sleep(time.Second)
	lab.Must(pb.Heal())
	n := tr.Bytes()
	lab.Within(30*time.Second, "it goes on", func() bool { return tr.Bytes() > n+4 })
	if s := tr.LongestStall(); s < 500*time.Millisecond {
		t.Errorf("longest stall %v", s)
	}
	if err := tr.Err(); err != nil {
		t.Error(err)
	}
	if tr.From() != "b" {
		t.Errorf("it comes from %q", tr.From())
	}
	if _, err := a.LongTransfer(context.Background(), "http://10.0.0.2/"); err == nil {
		t.Error("a transfer of something else")
	}
	w.Close()
	lab.Within(30*time.Second, "it breaks", func() bool { return tr.Err() != nil })
	tr.Stop()
	if _, err := a.LongTransfer(context.Background(), "http://10.0.0.2/stream"); err == nil {
		t.Error("a transfer from a closed server")
	}
}

func testNginx(t *testing.T) {
	lab, a, b, _, _, _ := pair(t)
	start := time.Now()
	n, err := b.Nginx(netip.MustParseAddrPort("10.0.0.2:80"), "page of b", netlab.NginxOptions{})
	lab.Must(err)
	t.Logf("nginx was up after %v", time.Since(start))
	second, err := b.Nginx(netip.MustParseAddrPort("10.0.0.2:81"), "other", netlab.NginxOptions{
		Name: "second", Server: `location /who { return 200 "$host\n"; }`,
	})
	lab.Must(err)
	expect := func(path string, status int, body string) {
		t.Helper()
		got, text, err := a.Get("http://10.0.0.2"+path, 10*time.Second)
		if err != nil || got != status || !strings.Contains(text, body) {
			t.Errorf("%s: %d %q, %v; want %d %q", path, got, text, err, status, body)
		}
	}
	expect(":80/", 200, "page of b")
	expect(":80/deep/path", 200, "page of b")
	expect(":81/", 200, "other")
	expect(":81/who", 200, "10.0.0.2")
	expect(netlab.HealthPath, 200, "ok")
	lab.Must(n.SetHealthy(false))
	expect(netlab.HealthPath, 503, "")
	expect(":81"+netlab.HealthPath, 200, "ok")
	lab.Must(n.SetHealthy(true))
	lab.Must(n.SetHealthy(true))
	expect(netlab.HealthPath, 200, "ok")
	lab.Must(second.Stop(30 * time.Second))
	n.KillGroup()
	if _, _, err := a.Get("http://10.0.0.2/", 10*time.Second); err == nil {
		t.Error("a killed nginx answers")
	}
	_, err = b.Nginx(netip.MustParseAddrPort("10.0.0.2:80"), "page again", netlab.NginxOptions{})
	lab.Must(err)
	expect("/", 200, "page again")
	if _, err := b.Nginx(netip.MustParseAddrPort("10.0.0.99:80"), "x", netlab.NginxOptions{Name: "third"}); err == nil ||
		!strings.Contains(err.Error(), "Cannot assign requested address") {
		t.Errorf("nginx on a foreign address: %v", err)
	}
}
