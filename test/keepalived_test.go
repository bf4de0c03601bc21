package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
)

// keepalived writes the configuration that vrrp writes for director.
func keepalived(name string, version, vrid, priority int, interval, address string, lines ...string) string {
	return fmt.Sprintf(`global_defs {
  router_id peer
  vrrp_version %d
  vrrp_garp_master_delay 1
}
vrrp_instance %s {
  state BACKUP
  interface eth0
  virtual_router_id %d
  priority %d
  advert_int %s
  %s
  virtual_ipaddress { %s }
}
`, version, name, vrid, priority, interval, strings.Join(lines, "\n  "), address)
}

// keepalivedFast is fast in keepalived's language.
const keepalivedFast = "0.3"

// keepalivedPair is a pair with keepalived on both hosts, of the priorities 150 and 100 and with fast adverts, where A has
// the address and B listens.
func keepalivedPair(t *testing.T, lines ...string) *pair {
	t.Helper()
	p := newPair(t)
	start := func(h *netlab.Host, prio int) {
		_, err := h.Keepalived(keepalived("VI_1", 3, 51, prio, keepalivedFast, "192.0.2.100/24", lines...))
		p.Must(err)
	}
	start(p.a, 150)
	p.Within(patience, "A has the address", func() bool { return p.a.HasAddr(vip) })
	start(p.b, 100)
	const vrrpSocket = ":0070 " // of the protocol 112
	p.Within(patience, "B listens", func() bool { return strings.Contains(p.Run(p.b, "cat", "/proc/net/raw"), vrrpSocket) })
	p.onlyOn(p.a, vip, patience)
	return p
}

// A keepalivedCase is one way in which director and Debian's keepalived are a pair.
type keepalivedCase struct {
	name         string
	version      int
	address      netip.Prefix
	ours, theirs []string // lines of the instance
	master       string   // how the status names keepalived, or how that begins
	mac          string   // the virtual MAC address, where both have it
	ah           bool     // with an authentication header, which counts: keepalived dies, and else it is cut off
	judge        func(p *pair, pcap string)
}

// Debian's keepalived is the other router, in both roles: priorities decide, each takes over from the other when that stops and when
// it falls silent, and neither drops an advert of the other. By IPv6 unicast keepalived sends with the system's hop limit
// unless it is told otherwise.
func TestWithKeepalived(t *testing.T) {
	t.Parallel()
	ipv4, ipv6 := netip.PrefixFrom(vip, 24), netip.PrefixFrom(vip6, 64)
	const four, six = "192.0.2.2", "fe80::"
	passOurs := []string{`authentication = { type = "PASS", password = "s3cret" }`}
	passTheirs := []string{"authentication { auth_type PASS", "auth_pass s3cret", "}"}
	ahOurs := []string{`authentication = { type = "AH", password = "s3cret" }`}
	ahTheirs := []string{"authentication { auth_type AH", "auth_pass s3cret", "}"}
	unicastOurs := []string{`unicast_peer = ["192.0.2.2"]`, `unicast_src_ip = "192.0.2.1"`}
	unicastTheirs := []string{"unicast_src_ip 192.0.2.2", "unicast_peer { 192.0.2.1", "}", "check_unicast_src"}
	plain := func(p *pair, pcap string) { sound(p.t, pcap) }
	unicast := func(p *pair, pcap string) { p.onlyUnicast(); plain(p, pcap) }
	neighbours := func(p *pair, pcap string) { sound6(p.t, pcap, "2001:db8::100") }
	header := func(p *pair, pcap string) {
		audit(p.t, pcap, map[string]int{"ah && vrrp && vrrp.auth_type == 2": 10},
			"vrrp && !ah", "vrrp && _ws.malformed", `vrrp.checksum.status == "Bad"`, "ah && ip.ttl != 255")
	}
	for _, tc := range []keepalivedCase{
		{"version 2 with password", 2, ipv4, passOurs, passTheirs, four, "", false, plain},
		{"version 2 with password by unicast", 2, ipv4, append(passOurs, unicastOurs...), append(passTheirs, unicastTheirs...), four, "", false, unicast},
		{"AH", 2, ipv4, ahOurs, ahTheirs, four, "", true, header},
		{"AH by unicast", 2, ipv4, append(ahOurs, unicastOurs...), append(ahTheirs, unicastTheirs...), four, "", true, header},
		{"version 3", 3, ipv4, nil, nil, four, "", false, plain},
		{"version 3 by unicast", 3, ipv4, unicastOurs, unicastTheirs, four, "", false, unicast},
		{"virtual MAC address", 3, ipv4, []string{"use_vmac = true"}, []string{"use_vmac"}, four, "00:00:5e:00:01:33", false, plain},
		{"IPv6", 3, ipv6, nil, nil, six, "", false, neighbours},
		{"IPv6 by unicast", 3, ipv6, []string{`unicast_peer = ["2001:db8::2"]`, `unicast_src_ip = "2001:db8::1"`},
			[]string{"unicast_src_ip 2001:db8::2", "unicast_peer { 2001:db8::1", "}", "check_unicast_src", "unicast_ttl 255"}, "2001:db8::2", "", false, neighbours},
		{"IPv6 with another group", 3, ipv6, []string{`mcast_group = "ff02::77"`}, []string{"mcast_dst_ip ff02::77"}, six, "", false, neighbours},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.play(t)
		})
	}
}

// play goes through the roles: director has priority 100 and then 80, keepalived 90.
func (tc keepalivedCase) play(t *testing.T) {
	interval, limit := fastInterval, patience
	if tc.version == 2 { // which knows whole seconds alone
		interval = time.Second
	}
	masterDown := 3*interval + (256-80)*interval/256 // of whoever is backup, or a little more
	p := newPair6(t)
	pcap, err := p.a.Pcap("eth0", p.a.Path("vrrp.pcap"))
	p.Must(err)
	addr := tc.address.Addr()
	ours := func(prio int) string {
		return vrrp("VI", 51, prio, tc.address.String(), append([]string{fmt.Sprintf("version = %d\nadvert_interval = %q", tc.version, interval)}, tc.ours...)...)
	}
	theirs := keepalived("VI", tc.version, 51, 90, fmt.Sprint(interval.Seconds()), tc.address.String(), tc.theirs...)
	a, k := (*director)(nil), (*netlab.Process)(nil)
	onA := func(code string) {
		t.Helper()
		p.onlyOnAs(p.a, addr, tc.mac, limit)
		if i := a.WaitInstance("VI", "MASTER", limit); i.Code != code {
			t.Errorf("A is MASTER because: %s, want %s", i.Reason, code)
		}
	}
	onB := func() {
		t.Helper()
		p.onlyOnAs(p.b, addr, tc.mac, limit)
	}
	keepalived := func() {
		t.Helper()
		k, err = p.b.Keepalived(theirs)
		p.Must(err)
		onB()
	}
	allHeard := func() {
		t.Helper()
		for reason, n := range a.Instance("VI").Discards {
			t.Errorf("%d of keepalived's adverts dropped: %s", n, reason)
		}
	}

	keepalived()
	a = startDirector(t, p.a, ours(100))
	onA("preempted")
	p.Holds(masterDown, "nobody takes it away", func() bool { return p.a.HasAddr(addr) && !p.b.HasAddr(addr) })
	allHeard()
	p.cap.Reset()
	stopped := time.Now()
	a.Stop()
	onB()
	if tc.ah { // an authentication header hides the adverts from the capture
		if took := time.Since(stopped); took > masterDown+stood(stopped) {
			t.Errorf("keepalived took %v after the stop, so it did not understand priority 0", took)
		}
	} else {
		p.soonAfterGoodbye(interval)
	}
	a = a.Again()
	onA("preempted")

	p.Must(a.Reload(ours(80)))
	onB()
	if i := a.WaitInstance("VI", "BACKUP", limit); !strings.HasPrefix(i.Master, tc.master) || i.MasterPriority != 90 {
		t.Errorf("A says the master is %s with %d", i.Master, i.MasterPriority)
	}
	// While it still has adverts to read that A sent as MASTER, it answers them even after it was told to stop, and leaves the address behind.
	p.Holds(masterDown, "keepalived is master", func() bool { return p.b.HasAddr(addr) && !p.a.HasAddr(addr) })
	p.Must(k.Stop(patience))
	onA("master_stopped")
	keepalived()
	if tc.ah {
		k.KillGroup() // no good-bye, and its address stays
		p.Must(p.b.DelAddr("eth0", tc.address))
		onA("master_down")
		keepalived() // which begins to count its adverts anew
	} else {
		p.Must(p.portB.Cut())
		if i := a.WaitInstance("VI", "MASTER", limit); i.Code != "master_down" {
			t.Errorf("A took over: %s", i.Reason)
		}
		p.Must(p.portB.Heal())
		onB()
	}
	a.WaitInstance("VI", "BACKUP", limit)
	p.noDoubleMaster(51, interval/2)
	allHeard()
	a.Stop()
	p.Must(k.Stop(patience))
	p.Must(pcap.Close())
	tc.judge(p, p.a.Path("vrrp.pcap"))
}

// soonAfterGoodbye asserts from the capture that the backup understood the last advert, priority 0, of a master: else it would
// have waited for its master-down time from the one before.
func (p *pair) soonAfterGoodbye(interval time.Duration) {
	p.t.Helper()
	var zero netlab.Advert
	first, err := p.cap.WaitAdvert(patience, func(adv netlab.Advert) bool {
		if adv.Priority == 0 {
			zero = adv
		}
		return adv.Priority > 0 && zero.Source.IsValid() && adv.Source != zero.Source
	})
	if err != nil {
		p.t.Errorf("after the good-bye %v: %v", zero, err)
	} else if took := first.Time.Sub(zero.Time); took > 26*interval/10+stood(zero.Time) {
		p.t.Errorf("the backup took %v after priority 0, so it did not understand it", took)
	}
}
