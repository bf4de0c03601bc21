package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// bfdPair is two hosts on one link, and with two links by a router, which
// forwards IPv4 and IPv6.
type bfdPair struct {
	*labtest.Lab
	a, b, router *netlab.Host
}

func newBFDPair(t *testing.T) *bfdPair {
	l := labtest.New(t, "bfd")
	p := &bfdPair{Lab: l, a: l.Host("a"), b: l.Host("b"), router: l.Host("router")}
	near, left, right := l.Switch("near"), l.Switch("left"), l.Switch("right")
	l.Connect(p.a, "eth0", near, "192.0.2.1/24", "2001:db8::1/64")
	l.Connect(p.b, "eth0", near, "192.0.2.2/24", "2001:db8::2/64")
	l.Connect(p.a, "eth1", left, "10.1.0.1/24", "2001:db8:1::1/64")
	l.Connect(p.router, "eth0", left, "10.1.0.254/24", "2001:db8:1::fe/64")
	l.Connect(p.router, "eth1", right, "10.2.0.254/24", "2001:db8:2::fe/64")
	l.Connect(p.b, "eth1", right, "10.2.0.2/24", "2001:db8:2::2/64")
	l.Must(p.router.Forward())
	l.Must(p.router.Sysctl("net.ipv6.conf.all.forwarding", "1"))
	for _, route := range [][]string{
		{"-4", "route", "add", "10.2.0.0/24", "via", "10.1.0.254"}, {"-6", "route", "add", "2001:db8:2::/64", "via", "2001:db8:1::fe"},
	} {
		p.Run(p.a, append([]string{"ip"}, route...)...)
	}
	for _, route := range [][]string{
		{"-4", "route", "add", "10.1.0.0/24", "via", "10.2.0.254"}, {"-6", "route", "add", "2001:db8:1::/64", "via", "2001:db8:2::fe"},
	} {
		p.Run(p.b, append([]string{"ip"}, route...)...)
	}
	p.Eventually(patience, "the way by the router", func() error {
		_, err := p.a.Run("ping", "-c", "1", "-W", "1", "-I", "10.1.0.1", "10.2.0.2")
		return err
	})
	return p
}

// The sessions of director, one of each kind.
const bfdSessions = `
[bfd.near4]
neighbor_ip = "192.0.2.2"
interface = "eth0"
TIMERS
[bfd.near6]
neighbor_ip = "2001:db8::2"
source_ip = "2001:db8::1"
TIMERS
[bfd.far4]
neighbor_ip = "10.2.0.2"
source_ip = "10.1.0.1"
multihop = true
max_hops = HOPS
TIMERS
[bfd.far6]
neighbor_ip = "2001:db8:2::2"
source_ip = "2001:db8:1::1"
multihop = true
max_hops = HOPS
TIMERS
`

const frrConf = `bfd
 profile fast
  detect-multiplier 4
  receive-interval 200
  transmit-interval 300
  minimum-ttl 254
 exit
 peer 192.0.2.1 interface eth0
  profile fast
 exit
 peer 2001:db8::1 local-address 2001:db8::2 interface eth0
  profile fast
 exit
 peer 10.1.0.1 multihop local-address 10.2.0.2
  profile fast
 exit
 peer 2001:db8:1::1 multihop local-address 2001:db8:2::2
  profile fast
 exit
`

const birdConf = `router id 192.0.2.2;
protocol device { }
protocol bfd {
	interface "eth0" { min rx interval 200 ms; min tx interval 300 ms; idle tx interval 1 s; multiplier 4; };
	multihop { min rx interval 200 ms; min tx interval 300 ms; idle tx interval 1 s; multiplier 4; };
	neighbor 192.0.2.1 dev "eth0";
	neighbor 2001:db8::1 dev "eth0" local 2001:db8::2;
	neighbor 10.1.0.1 local 10.2.0.2 multihop on;
	neighbor 2001:db8:1::1 local 2001:db8:2::2 multihop on;
}
`

// waitBFD waits until every session of a director is in a state, and returns them.
func (d *director) waitBFD(within time.Duration, state string, ok func(control.BFD) error) map[string]control.BFD {
	d.t.Helper()
	s := d.waitFor(within, "BFD sessions are "+state, func(s control.Status) error {
		if s.VRRP == nil || len(s.VRRP.BFD) == 0 {
			return fmt.Errorf("status shows no session")
		}
		for _, b := range s.VRRP.BFD {
			if b.State != state {
				return fmt.Errorf("%s is %s: %s %s", b.Name, b.State, b.Reason, b.Error)
			}
			if ok != nil {
				if err := ok(b); err != nil {
					return fmt.Errorf("%s: %w", b.Name, err)
				}
			}
		}
		return nil
	})
	all := make(map[string]control.BFD)
	for _, b := range s.VRRP.BFD {
		all[b.Name] = b
	}
	return all
}

// Debian's FRR and BIRD, single hop and multihop, over IPv4 and IPv6: sessions
// come up, negotiate, renegotiate, and each side notices the other's silence.
func TestBFDWithOthers(t *testing.T) {
	t.Parallel()
	type peer struct {
		proc *netlab.Process
		show func(string) (string, error)
	}
	for name, tc := range map[string]struct {
		start func(*netlab.Host) (peer, error)
		hops  string // BIRD sends multihop packets with the system's time to live, 64
		list  string
		up    string // four times in the list while all sessions are up
	}{
		"FRR": {func(h *netlab.Host) (peer, error) {
			f, err := h.Bfdd(frrConf)
			if err != nil {
				return peer{}, err
			}
			return peer{f.Process, f.Show}, nil
		}, "1", "show bfd peers", "Status: up"},
		"BIRD": {func(h *netlab.Host) (peer, error) {
			b, err := h.Bird(birdConf)
			if err != nil {
				return peer{}, err
			}
			return peer{b.Process, b.Show}, nil
		}, "192", "show bfd sessions", " Up "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newBFDPair(t)
			near, err := p.a.Pcap("eth0", p.a.Path("near.pcap"))
			p.Must(err)
			far, err := p.b.Pcap("eth1", p.b.Path("far.pcap"))
			p.Must(err)
			remote, err := tc.start(p.b)
			p.Must(err)
			conf := func(timers string) string {
				return strings.NewReplacer("TIMERS", timers, "HOPS", tc.hops).Replace(bfdSessions) + unwatched + vrrp("VI", 51, 100, "192.0.2.100/24")
			}
			a := startDirector(t, p.a, conf("min_rx = \"100ms\"\nmin_tx = \"100ms\"\nmultiplier = 6"))
			theirs := func(what string, n int) {
				t.Helper()
				p.Eventually(patience, fmt.Sprintf("%s: %d sessions are up", what, n), func() error {
					out, err := remote.show(tc.list)
					if err != nil {
						return err
					}
					if got := strings.Count(out, tc.up); got != n {
						return fmt.Errorf("%d of them:\n%s", got, out)
					}
					return nil
				})
			}
			agreed := func(tx, rx time.Duration) func(control.BFD) error {
				return func(b control.BFD) error {
					if b.TxInterval != tx || b.RxInterval != rx || b.DetectTime != 4*rx {
						return fmt.Errorf("sends every %v, hears every %v, detects in %v", b.TxInterval, b.RxInterval, b.DetectTime)
					}
					return nil
				}
			}
			a.waitBFD(patience, "Up", agreed(200*time.Millisecond, 300*time.Millisecond))
			theirs("at the start", 4)

			// Other timers, by a reload: the sessions stay up.
			before := a.waitBFD(patience, "Up", nil)
			p.Must(a.Reload(conf("min_rx = \"500ms\"\nmin_tx = \"400ms\"\nmultiplier = 3")))
			after := a.waitBFD(patience, "Up", agreed(400*time.Millisecond, 500*time.Millisecond))
			for name, b := range after {
				if !b.Since.Equal(before[name].Since) {
					t.Errorf("%s was down since the reload", name)
				}
				for why, n := range b.Discards {
					t.Errorf("%s: %d packets dropped: %s", name, n, why)
				}
			}
			theirs("after the reload", 4)
			text, err := a.CLI("status")
			if err != nil || !strings.Contains(text, "far6") || !strings.Contains(text, "2001:db8:2::2, multihop") {
				t.Errorf("status: %v\n%s", err, text)
			}

			// Silence of the other side, which is still there.
			p.Must(remote.proc.Signal(syscall.SIGSTOP))
			for _, b := range a.waitBFD(patience, "Down", nil) {
				if b.Code != "detection_time_expired" {
					t.Errorf("%s went down: %s", b.Name, b.Reason)
				}
			}
			p.Must(remote.proc.Signal(syscall.SIGCONT))
			a.waitBFD(patience, "Up", nil)
			theirs("after its silence", 4)

			// Our silence.
			a.SignalRole("vrrp", syscall.SIGSTOP)
			theirs("while director stands still", 0)
			a.SignalRole("vrrp", syscall.SIGCONT)
			a.Stop()
			p.Must(near.Close())
			p.Must(far.Close())
			soundBFD(t, p.a.Path("near.pcap"), "udp.dstport == 3784 && (ip.src == 192.0.2.1 || ipv6.src == 2001:db8::1)", "ip.ttl != 255 || ipv6.hlim != 255")
			soundBFD(t, p.b.Path("far.pcap"), "udp.dstport == 4784 && (ip.src == 10.1.0.1 || ipv6.src == 2001:db8:1::1)", "ip.ttl < 254 || ipv6.hlim < 254")
		})
	}
}

// soundBFD lets tshark look at a capture: there are packets of director's, and
// none that it complains about or that matches bad.
func soundBFD(t *testing.T, file, filter, bad string) {
	t.Helper()
	filter = "bfd && !icmp && !icmpv6 && " + filter // not what an error message quotes
	var faults []string
	for _, f := range []string{"_ws.malformed", "_ws.expert.severity >= 6291456", "udp.checksum.bad", "(" + bad + ")", "udp.srcport < 49152"} {
		faults = append(faults, filter+" && "+f)
	}
	audit(t, file, map[string]int{filter: 20}, faults...)
}
