package vrrpd

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// sink is a network, a worker and a parent that take everything and keep nothing.
type sink struct{ adverts, jobs int }

func (s *sink) OpenClaims(link.Interface) (claims, error) { return s, nil }
func (*sink) Watch([]netip.Addr) error                    { return nil }
func (*sink) Read(func(link.Claim)) error                 { return nil }
func (*sink) Close() error                                { return nil }

func (sinkSocket) Foreign(func(link.Datagram)) (uint64, error) { return 0, nil }

func (s *sink) Open(link.Interface, portKey) (socket, error) { return sinkSocket{s}, nil }
func (s *sink) Submit(link.Job)                              { s.jobs++ }
func (s *sink) tell(watchdog.Message)                        {}
func (sinkSocket) SetVRIDs([]uint8) error                    { return nil }
func (sinkSocket) SetGroups([]netip.Addr) error              { return nil }
func (s sinkSocket) QueueFrom(link.MAC, netip.Addr, netip.Addr, uint8, []byte) error {
	s.adverts++
	return nil
}
func (s sinkSocket) Queue(netip.Addr, netip.Addr, uint8, []byte) { s.adverts++ }
func (sinkSocket) Flush() error                                  { return nil }
func (sinkSocket) Close() error                                  { return nil }
func (s *sink) change(e *engine, now time.Time, l link.Interface) {
	e.linkEvent(now, link.Event{Kind: link.LinkChanged, Interface: l})
}

type sinkSocket struct{ *sink }

// many is an engine with n instances, all with the same priority, spread over
// some links.
func many(n, links int, prio uint8) (*engine, *sink, *watchdog.Configure, time.Time) {
	s := &sink{}
	now := time.Now()
	e := newEngine(slog.New(slog.DiscardHandler), s, s, s.tell)
	for l := range links {
		s.change(e, now, sinkLink(l, true))
	}
	c := &watchdog.Configure{Generation: 1, Config: &config.Config{}}
	for i := range n {
		in := instance(fmt.Sprintf("i%d", i), uint8(i/links%255+1), prio, fmt.Sprintf("10.0.%d.%d/32", i/250, i%250+1))
		in.Interface = fmt.Sprintf("eth%d", i%links)
		c.Config.Instances = append(c.Config.Instances, in)
	}
	return e, s, c, now
}

func sinkLink(i int, up bool) link.Interface {
	return link.Interface{Name: fmt.Sprintf("eth%d", i), Index: i + 1, Up: up,
		Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(i), 1}), 24)}}
}

// An advert sent, or received, allocates nothing, also from a peer that is
// configured otherwise or is refused.
func TestAdvertsAllocateNothing(t *testing.T) {
	e, s, c, now := many(100, 4, 255)
	if err := e.configure(now, c); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	e.flush(now) // the first snapshot
	before := s.adverts
	rounds := 0
	if n := testing.AllocsPerRun(50, func() {
		now = now.Add(time.Second)
		rounds++
		e.tick(now)
		e.flush(now)
	}); n != 0 {
		t.Errorf("%v allocations to send 100 adverts", n)
	}
	if got := s.adverts - before; got != 100*rounds {
		t.Fatalf("%d adverts in %d rounds", got, rounds)
	}

	e, _, c, now = many(100, 4, 100)
	if err := e.configure(now, c); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	e.flush(now)
	src := netip.MustParseAddr("192.168.0.2")
	for _, tc := range []struct {
		name   string
		change func(*vrrp.Settings, *link.Datagram)
	}{
		{"good", func(*vrrp.Settings, *link.Datagram) {}},
		{"other interval", func(s *vrrp.Settings, _ *link.Datagram) { s.AdvertInterval *= 2 }},
		{"other addresses", func(s *vrrp.Settings, _ *link.Datagram) { s.Addresses = []netip.Addr{src} }},
		{"bad TTL", func(_ *vrrp.Settings, d *link.Datagram) { d.TTL = 1 }},
	} {
		set := settings(&c.Config.Instances[0])
		d := link.Datagram{Src: src, Dst: vrrp.Group4(), TTL: 255}
		tc.change(&set, &d)
		d.Payload, _ = vrrp.AppendAdvert(nil, &set, 200, src, vrrp.Group4())
		if n := testing.AllocsPerRun(50, func() {
			now = now.Add(time.Millisecond)
			d.Arrival = now
			e.receive("eth0", d)
			e.tick(now)
			e.flush(now)
		}); n != 0 {
			t.Errorf("%s: %v allocations to receive an advert", tc.name, n)
		}
	}
}

// The cost of a change of one interface does not grow with the number of others.
func TestLinkChangesCostTheirOwnRoutersOnly(t *testing.T) {
	// cost is the least that a hundred links up and down have taken, with a router on each of n.
	cost := func(n int) time.Duration {
		e, _, c, now := many(n, n, 100)
		if err := e.configure(now, c); err != nil {
			t.Fatal(err)
		}
		e.flush(now)
		least := time.Hour
		for range 20 {
			start := time.Now()
			for l := range 100 {
				e.linkEvent(now, link.Event{Kind: link.LinkChanged, Interface: sinkLink(l, false)})
				e.linkEvent(now, link.Event{Kind: link.LinkChanged, Interface: sinkLink(l, true)})
			}
			e.flush(now)
			least = min(least, time.Since(start))
		}
		return least
	}
	few, many := cost(100), cost(1000)
	for tries := 0; many > 5*few && tries < 5; tries++ { // other work of the machine
		many = min(many, cost(1000))
	}
	t.Logf("100 links up and down: %v of 100, %v of 1000", few, many)
	if many > 5*few { // 10, if each were all routers' business
		t.Errorf("100 links up and down take %v where there are 100 and %v where there are 1000", few, many)
	}
}

func BenchmarkThousandInstances(b *testing.B) {
	b.Run("configure", func(b *testing.B) {
		for b.Loop() {
			e, _, c, now := many(1000, 4, 100)
			e.configure(now, c)
			e.flush(now)
		}
	})
	b.Run("reload", func(b *testing.B) {
		e, _, c, now := many(1000, 4, 255)
		for b.Loop() {
			c.Generation++
			e.configure(now, c)
			e.flush(now)
		}
	})
	b.Run("tick", func(b *testing.B) { // every router sends an advert
		e, _, c, now := many(1000, 4, 255)
		e.configure(now, c)
		for b.Loop() {
			now = now.Add(time.Second)
			e.tick(now)
			e.flush(now)
		}
	})
	b.Run("takeover", func(b *testing.B) { // of all at once
		for b.Loop() {
			b.StopTimer()
			e, _, c, now := many(1000, 4, 100)
			e.configure(now, c)
			e.flush(now)
			now = now.Add(4 * time.Second)
			b.StartTimer()
			e.tick(now)
			e.flush(now)
		}
	})
	b.Run("flap", func(b *testing.B) { // of one of 4 links: 250 routers
		e, s, c, now := many(1000, 4, 255)
		e.configure(now, c)
		for b.Loop() {
			s.change(e, now, sinkLink(0, false))
			e.flush(now)
			s.change(e, now, sinkLink(0, true))
			e.flush(now)
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		e, _, c, now := many(1000, 4, 255)
		e.configure(now, c)
		for b.Loop() {
			e.snapshot()
		}
	})
	b.Run("receive", func(b *testing.B) {
		e, _, c, now := many(1000, 4, 100)
		e.configure(now, c)
		src := netip.MustParseAddr("192.168.0.2")
		set := settings(&c.Config.Instances[0])
		pdu, _ := vrrp.AppendAdvert(nil, &set, 200, src, vrrp.Group4())
		for b.Loop() {
			e.receive("eth0", link.Datagram{Src: src, Dst: vrrp.Group4(), TTL: 255, Payload: pdu, Arrival: now})
		}
	})
}

// flushes counts the adverts of each call of Flush, and what was asked of the worker
// before it.
type flushes struct {
	sink
	queued, jobsBefore int
	sizes              []int
	late               int // adverts that left after the first job
}

func (f *flushes) Open(link.Interface, portKey) (socket, error) {
	return flushSocket{sinkSocket{&f.sink}, f}, nil
}

type flushSocket struct {
	sinkSocket
	f *flushes
}

func (s flushSocket) Queue(netip.Addr, netip.Addr, uint8, []byte) { s.f.queued++ }

func (s flushSocket) Flush() error {
	s.f.sizes = append(s.f.sizes, s.f.queued)
	if s.f.jobs > s.f.jobsBefore {
		s.f.late += s.f.queued
	}
	s.f.queued = 0
	return nil
}

// When the master of many virtual routers dies, their adverts leave in portions while
// the rest is still being worked on, and all of them before the first address.
func TestAdvertsOfManyLeaveFirst(t *testing.T) {
	_, _, c, now := many(200, 1, 100)
	f := &flushes{}
	e := newEngine(slog.New(slog.DiscardHandler), f, f, f.tell)
	f.change(e, now, sinkLink(0, true))
	if err := e.configure(now, c); err != nil {
		t.Fatal(err)
	}
	e.flush(now)
	f.sizes, f.jobsBefore, f.late = nil, f.jobs, 0
	now = now.Add(4 * time.Second)
	e.tick(now)
	e.flush(now)
	sum := 0
	for _, n := range f.sizes {
		sum += n
		if n > enoughAdverts {
			t.Errorf("a portion of %d adverts", n)
		}
	}
	if routers := 200; sum != routers || len(f.sizes) < routers/enoughAdverts || f.late > 0 || f.jobs == f.jobsBefore {
		t.Errorf("%d adverts in %d portions, %d of them after an address; %d jobs", sum, len(f.sizes), f.late, f.jobs-f.jobsBefore)
	}
}
