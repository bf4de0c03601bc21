package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
)

// FRR is the other router, in both roles: priorities decide, each takes over from
// the other, and never do two stay master. It has the address on an interface with
// the virtual MAC, and no link-local address in its adverts over IPv6.
func TestWithFRR(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		version  int
		interval time.Duration
		address  netip.Prefix
		mac      string // FRR's virtual one
		source   string // FRR's
	}{
		{"version 2", 2, time.Second, netip.MustParsePrefix("192.0.2.100/24"), "00:00:5e:00:01:33", "192.0.2.2"},
		{"version 3", 3, fastInterval, netip.MustParsePrefix("192.0.2.100/24"), "00:00:5e:00:01:33", "192.0.2.2"},
		{"version 3 over IPv6", 3, fastInterval, netip.MustParsePrefix("2001:db8::100/64"), "00:00:5e:00:02:33", "fe80::"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPair6(t)
			pcap, err := p.a.Pcap("eth0", p.a.Path("vrrp.pcap"))
			p.Must(err)
			addr, ipv6 := tc.address.Addr(), tc.address.Addr().Is6()
			limit := patience
			ours := func(prio int) string {
				return vrrp("VI", 51, prio, tc.address.String(), fmt.Sprintf("version = %d\nadvert_interval = %q", tc.version, tc.interval))
			}
			f, err := p.b.FRR(netlab.FRROptions{Interface: "eth0", VRID: 51, Version: tc.version, Priority: 90, Interval: tc.interval, Address: tc.address})
			p.Must(err)
			own, err := p.a.MAC("eth0")
			p.Must(err)
			// on waits until one of the two is master and the client talks to it.
			on := func(frr bool) {
				t.Helper()
				want := own.String()
				if frr {
					want = tc.mac
				}
				p.Eventually(limit, fmt.Sprintf("FRR is master: %v", frr), func() error {
					if master, err := f.Master(ipv6); err != nil || master != frr {
						return fmt.Errorf("FRR is master: %v, %v", master, err)
					}
					if p.a.HasAddr(addr) == frr {
						return fmt.Errorf("director has the address: %v", frr)
					}
					if c, err := p.client.Dial("udp", netip.AddrPortFrom(addr, 9).String()); err == nil {
						_, _ = c.Write([]byte("?"))
						_ = c.Close()
					}
					if got, ok := p.client.Neighbour(addr); !ok || got.String() != want {
						return fmt.Errorf("the client's neighbour entry is %v, want %s", got, want)
					}
					return nil
				})
			}
			on(true)
			a := startDirector(t, p.a, ours(100))
			on(false)
			if i := a.Instance("VI"); i.Code != "preempted" || !strings.Contains(i.Reason, tc.source) {
				t.Errorf("A is %s: %s", i.State, i.Reason)
			}
			p.Holds(lull, "nobody takes it away", func() bool { return p.a.HasAddr(addr) })
			if tc.version == 3 { // with adverts every second it takes too long to do it again
				a.Stop()
				on(true)
				a = a.Again()
				on(false)
			}
			p.Must(a.Reload(ours(80)))
			on(true)
			if i := a.WaitInstance("VI", "BACKUP", limit); !strings.HasPrefix(i.Master, tc.source) || i.MasterPriority != 90 || i.GlobalFirst > 0 != ipv6 {
				t.Errorf("A says the master is %s with %d; %d adverts begin with a global address", i.Master, i.MasterPriority, i.GlobalFirst)
			}
			p.Must(f.Stop(patience))
			i := a.WaitInstance("VI", "MASTER", limit)
			if i.Code != "master_stopped" {
				t.Errorf("A took over: %s", i.Reason)
			}
			for reason, n := range i.Discards {
				t.Errorf("%d of FRR's adverts dropped: %s", n, reason)
			}
			p.noDoubleMaster(51, 50*time.Millisecond)
			a.Stop()
			p.Must(pcap.Close())
			if ipv6 {
				sound6(t, p.a.Path("vrrp.pcap"), addr.String())
			} else {
				sound(t, p.a.Path("vrrp.pcap"))
			}
		})
	}
}
