package probe

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"director/internal/netlab/labtest"
)

// A router says that it has no way to an address, or that it may not: in each way of asking the server is unreachable, and not
// merely slow.
func TestToldByRouters(t *testing.T) {
	lab := labtest.New(t, "icmp")
	lan := lab.Switch("lan")
	a, router := lab.Host("a"), lab.Host("router")
	lab.Connect(a, "eth0", lan, "10.0.0.1/24", "2001:db8::1/64")
	lab.Connect(router, "eth0", lan, "10.0.0.2/24", "2001:db8::2/64")
	lab.Must(router.Forward())
	lab.Must(router.Sysctl("net.ipv4.icmp_ratelimit", "0"))
	lab.Must(router.Sysctl("net.ipv6.icmp.ratelimit", "0"))
	lab.Must(a.DefaultRoute(netip.MustParseAddr("10.0.0.2")))
	lab.Must(a.DefaultRoute(netip.MustParseAddr("2001:db8::2")))

	asked := make(chan Answer, 10)
	p, err := NewPoller(func(list []Answer) {
		for _, one := range list {
			asked <- one
		}
	})
	lab.Must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Do(func() error { p.Run(ctx); return nil }) }()
	defer func() { cancel(); <-ended }()

	sources := 0
	for _, test := range []struct{ address, says string }{
		{"10.9.0.1", "unreachable"}, {"2001:db8:9::1", "unreachable"}, {"2001:db8:9::2", "prohibit"},
	} {
		lab.Run(router, "ip", "route", "add", test.says, test.address)
		to := Target{Addr: netip.AddrPortFrom(netip.MustParseAddr(test.address), 80)}
		// A router has few words for one address: each question comes from one of its own.
		from := func() Target {
			if to.Addr.Addr().Is4() {
				sources++
				to.Source = netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + sources)})
				lab.Must(a.AddAddr("eth0", netip.PrefixFrom(to.Source, 24)))
			}
			return to
		}
		p.Ask([]*Exchange{{To: from(), Timeout: 5 * time.Second}})
		got := map[string]Result{"poller": (<-asked).Result}
		for kind, ask := range map[string]func(context.Context, Target) Result{
			"ping": Ping,
			"tcp":  func(ctx context.Context, to Target) Result { return Talk(ctx, to, TalkSettings{}) },
			"udp":  func(ctx context.Context, to Target) Result { return UDP(ctx, to, UDPSettings{Send: []byte("x")}) },
			"dns":  func(ctx context.Context, to Target) Result { return DNS(ctx, to, DNSSettings{Name: ".", Type: 6}) },
		} {
			to := from()
			lab.Must(a.Do(func() error { got[kind] = ask(within(t, 5*time.Second), to); return nil }))
		}
		for kind, r := range got {
			if r.Reason != Unreachable || r.Duration > 4*time.Second {
				t.Errorf("%s of %s, %s: %s after %v", kind, test.address, test.says, r, r.Duration)
			}
		}
	}
}
