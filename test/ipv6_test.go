package test

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
)

var vip6 = netip.MustParseAddr("2001:db8::100")

// newPair6 is a pair whose hosts speak IPv6 as well.
func newPair6(t testing.TB) *pair {
	p := newPair(t)
	for i, h := range []*netlab.Host{p.a, p.b, p.client} {
		p.Must(h.AddAddr("eth0", netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", i+1)), netip.MustParsePrefix(fmt.Sprintf("fe80::%d/64", i+1))))
	}
	return p
}

// Two directors over IPv6. A client that talks to the address all the time is
// answered by the new master at once, whose announcement it believes.
func TestIPv6Pair(t *testing.T) {
	t.Parallel()
	p := newPair6(t)
	pcap, err := p.client.Pcap("eth0", p.client.Path("vrrp.pcap"))
	p.Must(err)
	conf := func(prio int) string {
		return vrrp("VI_1", 51, prio, "2001:db8::100/64", fast, `virtual_ipaddress_excluded = ["2001:db8::101", "fe80::100/64"]`)
	}
	a := startDirector(t, p.a, conf(150))
	p.onlyOn(p.a, vip6, patience)
	b := startDirector(t, p.b, conf(100))
	i := b.WaitInstance("VI_1", "BACKUP", patience)
	p.Within(patience, "B hears A", func() bool { i = b.Instance("VI_1"); return i.Master == "fe80::1" })
	if i.Family != "ipv6" || i.Source != "fe80::2" || i.MulticastGroup != "ff02::12" {
		t.Errorf("B speaks %s from %s to %s", i.Family, i.Source, i.MulticastGroup)
	}
	if text, err := b.CLI("status", "--all"); err != nil || !strings.Contains(text, "51/v3 IPv6") || !strings.Contains(text, "from fe80::2 to ff02::12") {
		t.Errorf("status of B: %v\n%s", err, text)
	}
	// An address alone is never the source of what the host itself sends.
	if out, err := p.a.Run("ip", "-6", "addr", "show", "dev", "eth0"); err != nil ||
		!strings.Contains(out, "2001:db8::101/128 scope global nodad deprecated") || !strings.Contains(out, "2001:db8::100/64 scope global nodad") {
		t.Errorf("addresses of A (%v):\n%s", err, out)
	}

	// A is cut off: the entry of the client, which is in use, is replaced.
	mac, err := p.b.MAC("eth0")
	p.Must(err)
	p.Must(p.portA.Cut())
	b.WaitInstance("VI_1", "MASTER", patience)
	p.Within(patience, "the client knows the new master", func() bool {
		got, ok := p.client.Neighbour(vip6)
		return ok && got.String() == mac.String()
	})
	p.Must(p.portA.Heal())
	p.onlyOn(p.a, vip6, patience)
	// In order: B does not wait for its master-down time.
	a.Stop()
	p.onlyOn(p.b, vip6, patience)
	if i := b.Instance("VI_1"); i.Code != "master_stopped" || i.Reason != "fe80::1 stopped (priority 0)" {
		t.Errorf("B took over: %s", i.Reason)
	}
	a = a.Again()
	p.onlyOn(p.a, vip6, patience)

	// Without a link-local address it cannot speak, and it says so until it can.
	out, err := p.a.Run("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "link")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if i := a.WaitInstance("VI_1", "FAULT", patience); !strings.Contains(i.Reason, "no IPv6 link-local address") {
		t.Errorf("A is in FAULT: %s", i.Reason)
	}
	p.onlyOn(p.b, vip6, patience)
	p.Must(p.a.AddAddr("eth0", netip.MustParsePrefix("fe80::1/64")))
	p.onlyOn(p.a, vip6, patience)
	p.noDoubleMaster(51, 50*time.Millisecond)
	p.Must(pcap.Close())
	sound6(t, p.client.Path("vrrp.pcap"), "2001:db8::100")
}

// An instance with addresses of both families: both move together, and a change
// is told once.
func TestMixedPair(t *testing.T) {
	t.Parallel()
	p := newPair6(t)
	record := p.a.Path("record")
	script, err := p.a.WriteFile("notify.sh", "#!/bin/sh\necho \"$*\" >>"+record+"\n")
	p.Must(err)
	conf := func(prio int, lines ...string) string {
		c := vrrp("VI_1", 51, prio, "192.0.2.100/24", append([]string{fast, forbearing}, lines...)...)
		return strings.Replace(c, `["192.0.2.100/24"]`, `["192.0.2.100/24", "2001:db8::100/64"]`, 1)
	}
	a := startDirector(t, p.a, conf(150, "notify = { all = \""+script+"\" }"))
	b := startDirector(t, p.b, conf(100))
	both := func(h *netlab.Host, other *netlab.Host) {
		t.Helper()
		p.onlyOn(h, vip, patience)
		p.Within(patience, "the IPv6 address is there too", func() bool { return h.HasAddr(vip6) && !other.HasAddr(vip6) })
	}
	both(p.a, p.b)
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	p.Within(patience, "both sides go on", func() bool {
		n := 0
		for _, i := range a.Status().VRRP.Instances {
			if i.State == "MASTER" && i.Code == "resumed" {
				n++
			}
		}
		return n == 2
	})
	p.Holds(lull, "both stay on A", func() bool {
		return p.a.HasAddr(vip) && p.a.HasAddr(vip6) && !p.b.HasAddr(vip) && !p.b.HasAddr(vip6)
	})
	p.Must(p.portA.Unplug())
	both(p.b, p.a)
	p.Must(p.portA.Plug())
	both(p.a, p.b)

	b.WaitInstance("VI_1", "BACKUP", patience)

	// A reload without the one family leaves the other in peace.
	p.cap.Reset()
	p.Must(a.Reload(strings.Replace(conf(150, "notify = { all = \""+script+"\" }"), `, "2001:db8::100/64"`, "", 1)))
	p.Holds(lull, "the IPv4 address stays on A", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
	if p.a.HasAddr(vip6) {
		t.Error("A keeps the IPv6 address")
	}
	for _, adv := range p.cap.Adverts() {
		if adv.Source.Is4() && (adv.Priority == 0 || adv.Source.String() != "192.0.2.1") {
			t.Errorf("over IPv4: %v", adv)
		}
	}
	p.Must(a.Reload(conf(150, "notify = { all = \""+script+"\" }")))
	both(p.a, p.b)
	if i := b.WaitInstance("VI_1", "BACKUP", patience); i.State != "BACKUP" {
		t.Errorf("B is %s", i.State)
	}
	a.Stop()
	both(p.b, p.a)
	want := []string{"BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"}
	for i, s := range want {
		want[i] = "INSTANCE VI_1 " + s + " 150"
	}
	if got, err := os.ReadFile(record); strings.TrimSpace(string(got)) != strings.Join(want, "\n") {
		t.Errorf("the script wrote (%v):\n%s", err, got)
	}
	p.noDoubleMaster(51, 50*time.Millisecond)
}

// The checksum of RFC 9568 in the one direction and that of keepalived in the
// other: each director takes both, and tshark agrees that they are what they are
// said to be. Debian's keepalived and FRR know only the latter.
func TestPlainChecksum(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	pcap, err := p.client.Pcap("eth0", p.client.Path("vrrp.pcap"))
	p.Must(err)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, `checksum = "plain"`))
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast))
	p.onlyOn(p.a, vip, patience)
	p.Within(patience, "B counts A's checksums", func() bool {
		c := b.Instance("VI_1").Checksums
		return c["plain"] > 5 && len(c) <= 2
	})
	if text, err := b.CLI("status"); err != nil || !strings.Contains(text, "adverts with a plain checksum") {
		t.Errorf("status of B: %v\n%s", err, text)
	}
	a.Stop()
	p.onlyOn(p.b, vip, patience)
	a = a.Again()
	p.onlyOn(p.a, vip, patience)
	if c := a.Instance("VI_1").Checksums; c["pseudo-header"] == 0 || len(c) != 1 {
		t.Errorf("A counts %v", c)
	}
	p.Must(pcap.Close())
	for _, tc := range []struct{ source, plain string }{{"192.0.2.1", "TRUE"}, {"192.0.2.2", "FALSE"}} {
		out, err := exec.Command("tshark", "-r", p.client.Path("vrrp.pcap"), "-o", "vrrp.v3_checksum_as_in_v2:"+tc.plain,
			"-Y", "vrrp && ip.src == "+tc.source, "-T", "fields", "-e", "vrrp.checksum.status").Output()
		lines := strings.Fields(string(out))
		for _, status := range lines {
			if status != "1" && status != "Good" {
				t.Errorf("a checksum from %s is %s", tc.source, status)
			}
		}
		if err != nil || len(lines) < 3 {
			t.Errorf("%d adverts from %s: %v", len(lines), tc.source, err)
		}
	}
}
