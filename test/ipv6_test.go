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

// faultless asserts that tshark finds VRRP over IPv6, and neighbour
// advertisements for the address, and no fault in them.
func faultless(t *testing.T, h *netlab.Host, nas bool) {
	t.Helper()
	file := h.Path("vrrp.pcap")
	sound(t, file)
	count := func(filter string) int {
		out, err := exec.Command("tshark", "-r", file, "-Y", filter).Output()
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		return strings.Count(string(out), "\n")
	}
	if n := count("vrrp && ipv6"); n < 10 {
		t.Errorf("tshark sees %d VRRP packets over IPv6", n)
	}
	const na = "icmpv6.type == 136 && icmpv6.nd.na.target_address == 2001:db8::100 && ipv6.dst == ff02::1"
	if n := count(na); nas && n < 5 {
		t.Errorf("tshark sees %d unsolicited advertisements", n)
	}
	for _, fault := range []string{
		"vrrp && ipv6.hlim != 255", "_ws.malformed", `icmpv6.checksum.status == "Bad"`, na + ` && _ws.expert.severity >= "Warning"`,
		na + " && (icmpv6.nd.na.flag.o == 0 || icmpv6.nd.na.flag.s == 1 || ipv6.hlim != 255)",
	} {
		if n := count(fault); n > 0 {
			t.Errorf("tshark finds %d packets with %s", n, fault)
		}
	}
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
	p.onlyOn(p.a, vip6, 10*time.Second)
	b := startDirector(t, p.b, conf(100))
	i := b.WaitInstance("VI_1", "BACKUP", 5*time.Second)
	p.Within(5*time.Second, "B hears A", func() bool { i = b.Instance("VI_1"); return i.Master == "fe80::1" })
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
	b.WaitInstance("VI_1", "MASTER", 5*time.Second)
	p.Within(500*time.Millisecond, "the client knows the new master", func() bool {
		got, ok := p.client.Neighbour(vip6)
		return ok && got.String() == mac.String()
	})
	p.Must(p.portA.Heal())
	p.onlyOn(p.a, vip6, 5*time.Second)
	// In order: B does not wait for its master-down time.
	a.Stop()
	p.onlyOn(p.b, vip6, 5*time.Second)
	if i := b.Instance("VI_1"); i.Code != "master_stopped" || i.Reason != "fe80::1 stopped (priority 0)" {
		t.Errorf("B took over: %s", i.Reason)
	}
	a = a.Again()
	p.onlyOn(p.a, vip6, 5*time.Second)

	// Without a link-local address it cannot speak, and it says so until it can.
	out, err := p.a.Run("ip", "-6", "addr", "flush", "dev", "eth0", "scope", "link")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if i := a.WaitInstance("VI_1", "FAULT", 5*time.Second); !strings.Contains(i.Reason, "no IPv6 link-local address") {
		t.Errorf("A is in FAULT: %s", i.Reason)
	}
	p.onlyOn(p.b, vip6, 5*time.Second)
	p.Must(p.a.AddAddr("eth0", netip.MustParsePrefix("fe80::1/64")))
	p.onlyOn(p.a, vip6, 5*time.Second)
	p.noDoubleMaster(51, 50*time.Millisecond)
	p.Must(pcap.Close())
	faultless(t, p.client, true)
}

// An instance with addresses of both families: both move together, and a change
// is told once.
func TestMixedPair(t *testing.T) {
	t.Parallel()
	p := newPair6(t)
	record := p.a.Path("record")
	script, err := p.a.WriteFile("notify.sh", "#!/bin/sh\necho \"$*\" >>"+record+"\n")
	p.Must(err)
	p.Must(os.Chmod(script, 0o755))
	conf := func(prio int, lines ...string) string {
		c := vrrp("VI_1", 51, prio, "192.0.2.100/24", append([]string{fast}, lines...)...)
		return strings.Replace(c, `["192.0.2.100/24"]`, `["192.0.2.100/24", "2001:db8::100/64"]`, 1)
	}
	a := startDirector(t, p.a, conf(150, "notify = { all = \""+script+"\" }"))
	b := startDirector(t, p.b, conf(100))
	both := func(h *netlab.Host, other *netlab.Host) {
		t.Helper()
		p.onlyOn(h, vip, 10*time.Second)
		p.Within(5*time.Second, "the IPv6 address is there too", func() bool { return h.HasAddr(vip6) && !other.HasAddr(vip6) })
	}
	both(p.a, p.b)
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, 10*time.Second)
	p.Within(5*time.Second, "both sides go on", func() bool {
		n := 0
		for _, i := range a.Status().VRRP.Instances {
			if i.State == "MASTER" && i.Code == "resumed" {
				n++
			}
		}
		return n == 2
	})
	p.Holds(400*time.Millisecond, "both stay on A", func() bool {
		return p.a.HasAddr(vip) && p.a.HasAddr(vip6) && !p.b.HasAddr(vip) && !p.b.HasAddr(vip6)
	})
	p.Must(p.portA.Unplug())
	both(p.b, p.a)
	p.Must(p.portA.Plug())
	both(p.a, p.b)

	b.WaitInstance("VI_1", "BACKUP", 5*time.Second)

	// A reload without the one family leaves the other in peace.
	p.cap.Reset()
	p.Must(a.Reload(strings.Replace(conf(150, "notify = { all = \""+script+"\" }"), `, "2001:db8::100/64"`, "", 1)))
	p.Holds(400*time.Millisecond, "the IPv4 address stays on A", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
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
	if i := b.WaitInstance("VI_1", "BACKUP", 5*time.Second); i.State != "BACKUP" {
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

// Debian's keepalived over IPv6, in both roles. By unicast it sends with the
// system's hop limit unless it is told otherwise.
func TestFamiliesWithKeepalived(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		address netip.Addr
		mask    int
		ours    []string
		theirs  []string
		master  string
	}{
		{"IPv6", vip6, 64, nil, nil, ""},
		{"IPv6 by unicast", vip6, 64,
			[]string{`unicast_peer = ["2001:db8::2"]`, `unicast_src_ip = "2001:db8::1"`},
			[]string{"unicast_src_ip 2001:db8::2", "unicast_peer { 2001:db8::1", "}", "check_unicast_src", "unicast_ttl 255"}, "2001:db8::2"},
		{"other groups", vip6, 64, []string{`mcast_group = "ff02::77"`}, []string{"mcast_dst_ip ff02::77"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPair6(t)
			pcap, err := p.a.Pcap("eth0", p.a.Path("vrrp.pcap"))
			p.Must(err)
			const limit = 6 * time.Second
			address := netip.PrefixFrom(tc.address, tc.mask).String()
			ours := func(prio int) string { return vrrp("VI", 51, prio, address, append([]string{fast}, tc.ours...)...) }
			theirs := keepalived("VI", 3, 51, 90, "0.1", address, tc.theirs...)
			k, err := p.b.Keepalived(theirs)
			p.Must(err)
			p.onlyOn(p.b, tc.address, limit)
			// director preempts, stops in order, returns, and follows.
			a := startDirector(t, p.a, ours(100))
			p.onlyOn(p.a, tc.address, limit)
			if i := a.Instance("VI"); i.Code != "preempted" {
				t.Errorf("A is %s: %s", i.State, i.Reason)
			}
			p.Holds(400*time.Millisecond, "nobody takes it away", func() bool { return p.a.HasAddr(tc.address) && !p.b.HasAddr(tc.address) })
			a.Stop()
			p.onlyOn(p.b, tc.address, limit)
			a = a.Again()
			p.onlyOn(p.a, tc.address, limit)
			p.Must(a.Reload(ours(80)))
			p.onlyOn(p.b, tc.address, limit)
			i := a.WaitInstance("VI", "BACKUP", limit)
			if i.MasterPriority != 90 || tc.master != "" && i.Master != tc.master || tc.master == "" && !strings.HasPrefix(i.Master, "fe80::") {
				t.Errorf("A says the master is %s with %d", i.Master, i.MasterPriority)
			}
			p.Must(k.Stop(10 * time.Second)) // priority 0 from keepalived
			p.onlyOn(p.a, tc.address, limit)
			i = a.Instance("VI")
			if i.Code != "master_stopped" {
				t.Errorf("A took over: %s", i.Reason)
			}
			for reason, n := range i.Discards {
				t.Errorf("%d of keepalived's adverts dropped: %s", n, reason)
			}
			p.noDoubleMaster(51, 50*time.Millisecond)
			a.Stop()
			p.Must(pcap.Close())
			faultless(t, p.a, true)
		})
	}
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
	p.onlyOn(p.a, vip, 5*time.Second)
	p.Within(5*time.Second, "B counts A's checksums", func() bool {
		c := b.Instance("VI_1").Checksums
		return c["plain"] > 5 && len(c) <= 2
	})
	if text, err := b.CLI("status"); err != nil || !strings.Contains(text, "adverts with a plain checksum") {
		t.Errorf("status of B: %v\n%s", err, text)
	}
	a.Stop()
	p.onlyOn(p.b, vip, 5*time.Second)
	a = a.Again()
	p.onlyOn(p.a, vip, 5*time.Second)
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
