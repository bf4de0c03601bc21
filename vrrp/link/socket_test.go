package link

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/vrrp"
)

// pair is two hosts on one cable, each with a poller and a socket.
type pair struct {
	a, b   *host
	pa, pb *Poller
	sa, sb *Socket
}

func newPair(t testing.TB, vrids ...uint8) *pair {
	t.Helper()
	p := &pair{a: newHost(t), b: newHost(t)}
	cable(p.a, "eth0", "10.1.0.1/24", p.b, "eth0", "10.1.0.2/24")
	p.pa, p.pb = p.a.poller(), p.b.poller()
	p.sa, p.sb = p.a.open(p.pa, "eth0", vrids...), p.b.open(p.pb, "eth0", vrids...)
	return p
}

func TestAdvertsBothWays(t *testing.T) {
	p := newPair(t, 51)
	for _, way := range []struct {
		from, to *Socket
		heard    *Poller
		src      string
	}{
		{p.sa, p.sb, p.pb, "10.1.0.1"},
		{p.sb, p.sa, p.pa, "10.1.0.2"},
	} {
		for _, src := range []netip.Addr{ip(way.src), {}} { // named, and left to the kernel
			before := time.Now()
			way.from.Queue(src, vrrp.Group4(), 255, advert(51))
			if err := way.from.Flush(); err != nil {
				t.Fatal(err)
			}
			got := listen(t, way.heard, 1)[way.to]
			if len(got) != 1 {
				t.Fatalf("heard %v", got)
			}
			arrival := got[0].arrival
			got[0].arrival = time.Time{}
			want := heard{src: way.src, dst: "224.0.0.18", ttl: 255, vrid: 51, length: 12}
			if got[0] != want {
				t.Errorf("heard %v, want %v", got[0], want)
			}
			if arrival.Before(before.Add(-time.Millisecond)) || arrival.After(time.Now()) {
				t.Errorf("arrival %v after it was sent", arrival.Sub(before))
			}
		}
	}
	// Nobody hears himself.
	silence(t, p.pa)
	silence(t, p.pb)
	if s := p.sa.Stats(); s != (Stats{Received: 2, Sent: 2}) {
		t.Errorf("stats %+v", s)
	}
}

func TestUnicast(t *testing.T) {
	p := newPair(t, 51)
	// The time to live is each packet's own, whatever the one before it had.
	want := []heard{
		{src: "10.1.0.1", dst: "10.1.0.2", ttl: 255, vrid: 51, length: 12},
		{src: "10.1.0.1", dst: "10.1.0.2", ttl: 1, vrid: 51, length: 12},
		{src: "10.1.0.1", dst: "224.0.0.18", ttl: 64, vrid: 51, length: 12},
		{src: "10.1.0.1", dst: "10.1.0.2", ttl: 200, vrid: 51, length: 12},
	}
	for range 2 { // the second time in memory that was used before
		for _, h := range want {
			p.sa.Queue(ip(h.src), ip(h.dst), uint8(h.ttl), advert(h.vrid))
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
		got := listen(t, p.pb, len(want))[p.sb]
		for i := range got {
			if got[i].arrival = (time.Time{}); got[i] != want[i] {
				t.Errorf("heard %v, want %v", got[i], want[i])
			}
		}
		slices.Reverse(want)
	}
}

func TestForeignVRIDsAreDroppedInTheKernel(t *testing.T) {
	p := newPair(t)
	send := func(vrids ...uint8) {
		t.Helper()
		for _, v := range vrids {
			p.sa.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, advert(v))
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send(1, 51, 255)
	silence(t, p.pb) // no VRIDs named: nothing is heard

	if err := p.sb.SetVRIDs([]uint8{1, 51, 52, 255}); err != nil {
		t.Fatal(err)
	}
	send(2, 51, 50, 1, 53, 255, 254, 52, 0)
	var vrids []uint8
	for _, h := range listen(t, p.pb, 4)[p.sb] {
		vrids = append(vrids, h.vrid)
	}
	if got := fmt.Sprint(vrids); got != "[51 1 255 52]" {
		t.Errorf("heard VRIDs %s", got)
	}
	silence(t, p.pb)

	if err := p.sb.SetVRIDs([]uint8{50}); err != nil {
		t.Fatal(err)
	}
	send(51, 50, 52)
	if got := listen(t, p.pb, 1)[p.sb][0].vrid; got != 50 {
		t.Errorf("heard VRID %d, want 50", got)
	}
}

func TestSourceIsSelectable(t *testing.T) {
	p := newPair(t, 51, 52, 53)
	p.a.address("eth0", "10.1.0.77/32")
	p.a.address("lo", "192.0.2.9/32")
	p.sa.Queue(ip("10.1.0.77"), vrrp.Group4(), 255, advert(51))
	p.sa.Queue(ip("10.9.9.9"), vrrp.Group4(), 255, advert(52)) // not ours
	p.sa.Queue(ip("192.0.2.9"), vrrp.Group4(), 255, advert(53))
	err := p.sa.Flush()
	got := listen(t, p.pb, 2)[p.sb]
	if got[0].src != "10.1.0.77" || got[0].vrid != 51 || got[1].src != "192.0.2.9" || got[1].vrid != 53 {
		t.Errorf("heard %v", got)
	}
	var failed *SendError
	if !errors.As(err, &failed) || failed.Index != 1 || failed.Src != ip("10.9.9.9") || !errors.Is(err, unix.ENETUNREACH) {
		t.Errorf("error %v, want ENETUNREACH for the second advert", err)
	}
	if s := p.sa.Stats(); s.Sent != 2 || s.Failed != 1 {
		t.Errorf("stats %+v", s)
	}
	// The failure is forgotten, and the slots are used again with other lengths.
	long := append(advert(51), make([]byte, 1000)...)
	p.sa.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, long)
	p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(52))
	if err := p.sa.Flush(); err != nil {
		t.Fatal(err)
	}
	got = listen(t, p.pb, 2)[p.sb]
	if got[0].length != len(long) || got[1].length != 12 || got[1].src != "10.1.0.1" {
		t.Errorf("heard %v", got)
	}
}

// Sockets of one host hear only their own interfaces, though all joined the
// same group; and there may be more of them than igmp_max_memberships (20).
func TestManyInterfacesAreSeparate(t *testing.T) {
	const n = 30
	a, b := newHost(t), newHost(t)
	pa, pb := a.poller(), b.poller()
	var sa, sb []*Socket
	for i := range n {
		name := fmt.Sprintf("eth%d", i)
		cable(a, name, fmt.Sprintf("10.1.%d.1/24", i), b, name, fmt.Sprintf("10.1.%d.2/24", i))
		sa = append(sa, a.open(pa, name, 51))
		sb = append(sb, b.open(pb, name, 51))
	}
	for i, s := range sa {
		s.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		got := listen(t, pb, 1)
		if len(got) != 1 || len(got[sb[i]]) != 1 {
			t.Fatalf("an advert on eth%d was heard as %v", i, got)
		}
		if src := got[sb[i]][0].src; src != fmt.Sprintf("10.1.%d.1", i) {
			t.Errorf("eth%d: from %s", i, src)
		}
		// Unicast goes to the interface it came in by as well, whatever the address.
		s.Queue(netip.Addr{}, ip(fmt.Sprintf("10.1.%d.2", i)), 255, advert(51))
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := listen(t, pb, 1); len(got) != 1 || len(got[sb[i]]) != 1 {
			t.Fatalf("a unicast advert on eth%d was heard as %v", i, got)
		}
	}
	silence(t, pb)
	silence(t, pa)
}

// A stalled process finds everything in the order of arrival, with the instants
// at which it came, in one call.
func TestReceiveDrainsAStall(t *testing.T) {
	p := newPair(t, 51)
	const rounds, burst = 25, 40 // not a multiple of the batch
	var sent []time.Time
	for range rounds {
		for range burst {
			p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
		}
		sent = append(sent, time.Now())
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond) // a busy kernel may deliver the last ones by itself, later than in the call that sends them
	var arrivals []time.Time
	n, err := p.sb.receive(func(d Datagram) { arrivals = append(arrivals, d.Arrival) })
	if err != nil || n != rounds*burst || len(arrivals) != n {
		t.Fatalf("%d datagrams, error %v", n, err)
	}
	for i, at := range arrivals {
		if late := at.Sub(sent[i/burst]); late < -time.Millisecond {
			t.Fatalf("datagram %d: arrival %v before it was sent", i, -late)
		}
		if i > 0 && at.Before(arrivals[i-1]) {
			t.Fatalf("datagram %d arrived before the one ahead of it", i)
		}
		if i/burst+1 < rounds && at.After(sent[i/burst+1].Add(time.Millisecond)) {
			t.Fatalf("datagram %d: arrival is after the next burst", i)
		}
	}
	// Nothing left: returns at once.
	start := time.Now()
	if n, err := p.sb.receive(nil); n != 0 || err != nil {
		t.Errorf("a second reading: %d, %v", n, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("an empty reading took %v", took)
	}
}

// Packets that arrive while receive runs do not keep it running.
func TestReceiveEndsUnderFlood(t *testing.T) {
	p := newPair(t, 51)
	send := func() {
		for range batchSize {
			p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	send()
	calls := 0
	n, err := p.sb.receive(func(Datagram) {
		if calls++; calls%batchSize == 0 && calls < 100*batchSize {
			send() // a whole new batch for each one read
		}
	})
	if err != nil || n > 2*batchSize {
		t.Errorf("%d datagrams, error %v: want at most two batches", n, err)
	}
}

func TestLinkDownAndBack(t *testing.T) {
	p := newPair(t, 51)
	p.a.down("eth0")
	for range 3 {
		p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	}
	err := p.sa.Flush()
	var failed *SendError
	if !errors.As(err, &failed) {
		t.Errorf("sending while the interface is down: %v", err)
	}
	if s := p.sa.Stats(); s.Failed != 3 || s.Sent != 0 {
		t.Errorf("stats %+v", s)
	}
	p.a.up("eth0")
	eventually(t, "carrier", func() bool { return p.b.iface("eth0").Up })
	// Membership and binding outlive it, both ways.
	p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	p.sb.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	if err := errors.Join(p.sa.Flush(), p.sb.Flush()); err != nil {
		t.Fatal(err)
	}
	listen(t, p.pa, 1)
	listen(t, p.pb, 1)
}

// A socket can be opened before its interface is up or has an address.
func TestOpenEarly(t *testing.T) {
	a, b := newHost(t), newHost(t)
	cable(a, "eth0", "", b, "eth0", "10.1.0.2/24")
	a.down("eth0")
	pa, pb := a.poller(), b.poller()
	sa, sb := a.open(pa, "eth0", 51), b.open(pb, "eth0", 51)
	a.up("eth0")
	a.address("eth0", "10.1.0.1/24")
	eventually(t, "carrier", func() bool { return b.iface("eth0").Up })
	sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	sb.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	if err := errors.Join(sa.Flush(), sb.Flush()); err != nil {
		t.Fatal(err)
	}
	if got := listen(t, pa, 1)[sa]; got[0].src != "10.1.0.2" {
		t.Errorf("heard %v", got)
	}
	if got := listen(t, pb, 1)[sb]; got[0].src != "10.1.0.1" {
		t.Errorf("heard %v", got)
	}
}

func TestInterfaceReplaced(t *testing.T) {
	p := newPair(t, 51)
	p.a.must(p.a.handle.LinkDel(p.a.link("eth0")))
	cable(p.a, "eth0", "10.1.0.1/24", p.b, "eth0", "10.1.0.2/24")

	// The old socket is deaf and says so only when it sends.
	fresh := p.b.open(p.pb, "eth0", 51)
	fresh.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	if err := fresh.Flush(); err != nil {
		t.Fatal(err)
	}
	silence(t, p.pa)
	p.sa.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, advert(51))
	if err := p.sa.Flush(); !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO) {
		t.Errorf("sending on a deleted interface: %v", err)
	}

	if err := p.sa.Close(); err != nil {
		t.Fatal(err)
	}
	again := p.a.open(p.pa, "eth0", 51)
	fresh.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	again.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, advert(51))
	if err := errors.Join(fresh.Flush(), again.Flush()); err != nil {
		t.Fatal(err)
	}
	listen(t, p.pa, 1)
	if got := listen(t, p.pb, 1); len(got[fresh]) != 1 {
		t.Errorf("heard %v", got)
	}
}

func TestOpenOnMissingInterface(t *testing.T) {
	h := newHost(t)
	p := h.poller()
	_, err := p.Open(Interface{Index: 4711, Name: "eth9"}, vrrp.IPv4, func(Datagram) {})
	if !errors.Is(err, unix.ENODEV) {
		t.Errorf("error %v, want ENODEV", err)
	}
	if len(p.sockets) != 0 || len(p.watched) != 0 {
		t.Error("the failed socket stayed in the set")
	}
}

func TestClosed(t *testing.T) {
	p := newPair(t, 51)
	pdu := advert(51)
	p.sb.Queue(netip.Addr{}, vrrp.Group4(), 255, pdu)
	p.sb.Queue(netip.Addr{}, vrrp.Group4(), 255, pdu)
	clear(pdu) // was copied
	if err := p.sb.Flush(); err != nil {
		t.Fatal(err)
	}
	// Closed by the handler of the first of two packets.
	if n, err := p.sa.receive(func(Datagram) { p.sa.Close() }); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if err := p.sa.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if len(p.pa.sockets) != 0 || len(p.pa.watched) != 0 || len(p.pa.events) != 2 {
		t.Errorf("%d sockets, %d watches and room for %d events left", len(p.pa.sockets), len(p.pa.watched), len(p.pa.events))
	}
	if _, err := p.sa.receive(nil); err != ErrClosed {
		t.Errorf("Receive: %v", err)
	}
	p.sa.Queue(netip.Addr{}, vrrp.Group4(), 255, advert(51))
	if err := p.sa.Flush(); err != ErrClosed {
		t.Errorf("Flush: %v", err)
	}
	if err := p.sa.SetVRIDs([]uint8{1}); err != ErrClosed {
		t.Errorf("SetVRIDs: %v", err)
	}
	if err := p.pb.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.sb.receive(nil); err != ErrClosed {
		t.Errorf("Receive after the poller's Close: %v", err)
	}
	if err := p.pb.Wait(time.Time{}); err != ErrClosed {
		t.Errorf("Wait after Close: %v", err)
	}
	ifi := p.b.iface("eth0")
	p.b.inside(func() {
		if _, err := p.pb.Open(ifi, vrrp.IPv4, func(Datagram) {}); !errors.Is(err, ErrClosed) {
			t.Errorf("Open after Close: %v", err)
		}
	})
	p.pb.Wake()
}
