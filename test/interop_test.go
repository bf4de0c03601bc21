package test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
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

// Debian's keepalived is the other router, in both roles: priorities decide,
// each takes over from the other, and never do two stay master.
func TestWithKeepalived(t *testing.T) {
	for _, tc := range []struct {
		name       string
		version    int
		interval   string // keepalived's
		ours       []string
		theirs     []string
		masterDown time.Duration
	}{
		{
			"version 2 with password", 2, "1",
			[]string{"version = 2", `authentication = { type = "PASS", password = "s3cret" }`},
			[]string{"authentication { auth_type PASS", "auth_pass s3cret", "}"}, 4 * time.Second,
		},
		{"version 3", 3, "0.1", []string{"version = 3", fast}, nil, 400 * time.Millisecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPair(t)
			pcap, err := p.a.Pcap("eth0", p.a.Path("vrrp.pcap"))
			p.Must(err)
			limit := 2*tc.masterDown + 5*time.Second
			theirs := func(prio int) string {
				return keepalived("VI", tc.version, 51, prio, tc.interval, "192.0.2.100/24", tc.theirs...)
			}
			ours := func(prio int) string { return vrrp("VI", 51, prio, "192.0.2.100/24", tc.ours...) }

			// director is the better one: it preempts a keepalived that was there first.
			k, err := p.b.Keepalived(theirs(90))
			p.Must(err)
			p.onlyOn(p.b, vip, limit)
			a := startDirector(t, p.a, ours(100))
			p.onlyOn(p.a, vip, limit)
			if i := a.Instance("VI"); i.Code != "preempted" || !strings.Contains(i.Reason, "192.0.2.2") {
				t.Errorf("A is %s: %s", i.State, i.Reason)
			}
			p.Holds(tc.masterDown, "nobody takes it away", func() bool { return p.a.HasAddr(vip) && !p.b.HasAddr(vip) })
			// A stops in order, and keepalived understands its priority 0.
			p.cap.Reset()
			a.Stop()
			p.onlyOn(p.b, vip, limit)
			var zero, first time.Time
			for _, adv := range p.cap.Adverts() {
				switch {
				case adv.Priority == 0:
					zero = adv.Time
				case adv.Source == netip.MustParseAddr("192.0.2.2") && first.IsZero():
					first = adv.Time
				}
			}
			if zero.IsZero() || first.Sub(zero) > tc.masterDown/2 {
				t.Errorf("keepalived took %v after priority 0, so it did not understand it", first.Sub(zero))
			}
			// A returns by silence: keepalived is cut off.
			a = a.Again()
			p.onlyOn(p.a, vip, limit)

			// Now director is the backup, and follows keepalived.
			p.Must(a.Reload(ours(80)))
			p.onlyOn(p.b, vip, limit)
			i := a.WaitInstance("VI", "BACKUP", limit)
			if i.Master != "192.0.2.2" || i.MasterPriority != 90 {
				t.Errorf("A says the master is %s with %d", i.Master, i.MasterPriority)
			}
			p.Must(k.Stop(10 * time.Second)) // priority 0 from keepalived
			p.onlyOn(p.a, vip, limit)
			if i := a.Instance("VI"); i.Code != "master_stopped" {
				t.Errorf("A took over: %s", i.Reason)
			}
			k, err = p.b.Keepalived(theirs(90))
			p.Must(err)
			p.onlyOn(p.b, vip, limit)
			p.Must(p.portB.Cut())
			if i := a.WaitInstance("VI", "MASTER", limit); i.Code != "master_down" {
				t.Errorf("A took over: %s", i.Reason)
			}
			p.Must(p.portB.Heal())
			p.onlyOn(p.b, vip, limit)
			p.noDoubleMaster(51, 50*time.Millisecond)
			a.Stop()
			p.Must(k.Stop(10 * time.Second))
			for reason, n := range i.Discards {
				t.Errorf("%d of keepalived's adverts dropped: %s", n, reason)
			}
			p.Must(pcap.Close())
			sound(t, p.a.Path("vrrp.pcap"))
		})
	}
}

// sound asserts that tshark finds VRRP packets and none that is malformed, has a
// wrong checksum or another fault.
func sound(t *testing.T, file string) {
	t.Helper()
	count := func(filter string) int {
		out, err := exec.Command("tshark", "-r", file, "-o", "vrrp.v3_checksum_as_in_v2:FALSE", "-Y", filter).Output()
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		return strings.Count(string(out), "\n")
	}
	if n := count("vrrp"); n < 10 {
		t.Errorf("tshark sees %d VRRP packets", n)
	}
	for _, fault := range []string{"_ws.malformed && vrrp", `vrrp.checksum.status == "Bad"`, "vrrp && ip.ttl != 255", `vrrp && _ws.expert.severity >= "Warning"`} {
		if n := count(fault); n > 0 {
			t.Errorf("tshark finds %d packets with %s", n, fault)
		}
	}
}

// BenchmarkTakeover measures what a backup adds to the time that the protocol
// demands: the first advert of the new master less the last one of the old and
// the master-down time. director and keepalived do the same, one after the other.
func BenchmarkTakeover(b *testing.B) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		for _, who := range []string{"director", "keepalived"} {
			b.Run(fmt.Sprintf("%s/%v", who, interval), func(b *testing.B) { benchmarkTakeover(b, who, interval) })
		}
	}
}

func benchmarkTakeover(b *testing.B, who string, interval time.Duration) {
	p := newPair(b)
	start := func(h *netlab.Host, prio int) {
		if who == "director" {
			startDirector(b, h, vrrp("VI", 51, prio, "192.0.2.100/24", fmt.Sprintf("advert_interval = %q", interval)))
			return
		}
		_, err := h.Keepalived(keepalived("VI", 3, 51, prio, fmt.Sprint(interval.Seconds()), "192.0.2.100/24"))
		p.Must(err)
	}
	start(p.a, 200)
	p.Within(10*time.Second, "A is master", func() bool { return p.a.HasAddr(vip) })
	start(p.b, 100)
	time.Sleep(4 * interval) // B hears A
	src := netip.MustParseAddr("192.0.2.2")
	masterDown := 3*interval + 156*interval/256
	var over []time.Duration
	for b.Loop() {
		p.cap.Reset()
		_, err := p.cap.WaitAdvert(10*time.Second, func(a netlab.Advert) bool { return a.Source != src })
		p.Must(err)
		p.Must(p.portA.Cut())
		adv, err := p.cap.WaitAdvert(10*time.Second, func(a netlab.Advert) bool { return a.Source == src && a.Priority == 100 })
		p.Must(err)
		var last time.Time
		for _, a := range p.cap.Adverts() {
			if a.Source != src && a.Time.Before(adv.Time) {
				last = a.Time
			}
		}
		p.Must(p.portA.Heal())
		p.Within(10*time.Second, "A is master again", func() bool { return !p.b.HasAddr(vip) })
		time.Sleep(4 * interval)
		if !last.IsZero() {
			over = append(over, adv.Time.Sub(last)-masterDown)
		}
	}
	report(b, over)
}

// report gives the distribution of what was measured in the place of ns/op.
func report(b *testing.B, d []time.Duration) {
	if len(d) == 0 {
		b.Fatal("nothing was measured")
	}
	slices.Sort(d)
	us := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	b.ReportMetric(us(d[len(d)/2]), "µs-median")
	b.ReportMetric(us(d[len(d)*9/10]), "µs-p90")
	b.ReportMetric(us(d[len(d)-1]), "µs-max")
	b.ReportMetric(0, "ns/op")
}
