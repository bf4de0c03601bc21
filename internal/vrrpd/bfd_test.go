package vrrpd

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"director/bfd"
	bfdlink "director/bfd/link"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp/link"
)

// bfdWorld is a world with a BFD network that keeps what is sent.
type bfdWorld struct {
	*world
	sent   []bfd.Packet
	ports  []uint16
	listen map[bfdlink.Endpoint]func(bfdlink.Datagram)
	fail   error
	config []config.BFD
}

func newBFDWorld(t *testing.T, sessions ...config.BFD) *bfdWorld {
	w := &bfdWorld{world: newWorld(t), listen: make(map[bfdlink.Endpoint]func(bfdlink.Datagram)), config: sessions}
	w.e.bfd.net = w
	return w
}

func (w *bfdWorld) Listen(e bfdlink.Endpoint, shared bool, handle func(bfdlink.Datagram)) (io.Closer, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	w.listen[e] = handle
	return closer(func() { delete(w.listen, e) }), nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

func (w *bfdWorld) Dial(p bfdlink.Path, port uint16) (bfdSender, error) {
	if w.fail != nil {
		return nil, w.fail
	}
	if port == 0 {
		port = 50000 + uint16(len(w.ports))
	}
	w.ports = append(w.ports, port)
	return &fakeSender{w, port}, nil
}

type fakeSender struct {
	w    *bfdWorld
	port uint16
}

func (s *fakeSender) Send(b []byte) error {
	p, why := bfd.Parse(b)
	if why != bfd.DiscardNone {
		s.w.t.Errorf("sent a bad packet: %v", why)
	}
	s.w.sent = append(s.w.sent, p)
	return nil
}
func (s *fakeSender) Port() uint16 { return s.port }
func (s *fakeSender) Close() error { return nil }

func (w *bfdWorld) configureBFD(r *watchdog.Resume, instances ...config.Instance) {
	w.t.Helper()
	if err := w.e.configure(w.now, &watchdog.Configure{
		Generation: w.e.generation + 1, Resume: r,
		Config: &config.Config{BFD: w.config, Instances: instances},
	}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// session is a configuration as config.Parse would make it.
func session(name, neighbor string) config.BFD {
	const d = config.Duration(50 * time.Millisecond)
	return config.BFD{Name: name, Neighbor: netip.MustParseAddr(neighbor), MinRx: d, MinTx: d,
		IdleTx: config.Duration(time.Second), Multiplier: 3, TTL: 255}
}

func (w *bfdWorld) status(name string) control.BFD {
	w.t.Helper()
	for _, b := range w.e.snapshot().BFD {
		if b.Name == name {
			return b
		}
	}
	w.t.Fatalf("no session %s", name)
	return control.BFD{}
}

// say lets the neighbour 192.0.2.2 send a packet.
func (w *bfdWorld) say(state bfd.State, change ...func(*bfd.Packet, *bfdlink.Datagram)) {
	w.t.Helper()
	p := bfd.Packet{State: state, Multiplier: 3, MyDiscr: 77, MinTx: 50 * time.Millisecond, MinRx: 50 * time.Millisecond}
	for d := range w.e.bfd.byDiscr {
		p.YourDiscr = d
	}
	d := bfdlink.Datagram{Src: netip.MustParseAddr("192.0.2.2"), Dst: netip.MustParseAddr("192.0.2.1"), TTL: 255, Arrival: w.now}
	for _, f := range change {
		f(&p, &d)
	}
	d.Payload = bfd.AppendPacket(nil, &p)
	handle := w.listen[bfdlink.Endpoint{V6: d.Src.Is6(), Port: bfd.Port}]
	if handle == nil {
		w.t.Fatal("nobody listens")
	}
	handle(d)
	w.settle()
}

// keepUp brings the session up, or keeps it so, for a while.
func (w *bfdWorld) keepUp(d time.Duration) {
	w.t.Helper()
	if w.status("peer").State != "Up" {
		w.say(bfd.Down)
		w.say(bfd.Up)
	}
	for end := w.now.Add(d); w.now.Before(end); {
		w.say(bfd.Up, func(p *bfd.Packet, _ *bfdlink.Datagram) { p.Final = true })
		w.pass(40 * time.Millisecond)
	}
}

func following(trigger ...string) config.Instance {
	c := instance("web", 51, 100, "192.0.2.10/32")
	for _, name := range trigger {
		c.BFDTriggers = append(c.BFDTriggers, config.BFDTrigger{Name: name, Address: netip.MustParseAddr("192.0.2.2")})
	}
	return c
}

func (w *bfdWorld) master(prio uint8) {
	w.hear("192.0.2.2", prio, settings(&config.Instance{VRID: 51, Version: 3, Priority: prio,
		AdvertInterval: config.Duration(time.Second), Addresses: following().Addresses}))
	w.settle()
}

// quiet ends a test's look at the log so far.
func (w *bfdWorld) quiet() { w.take() }

func TestBFDTrigger(t *testing.T) {
	for name, tc := range map[string]struct {
		trigger []string
		fall    func(*bfdWorld)
		within  time.Duration
		code    string
	}{
		"silence":        {[]string{"peer"}, func(w *bfdWorld) {}, 300 * time.Millisecond, "bfd_down"},
		"no trigger":     {nil, func(w *bfdWorld) {}, 300 * time.Millisecond, ""},
		"the peer stops": {[]string{"peer"}, func(w *bfdWorld) { w.say(bfd.AdminDown) }, 2 * time.Second, ""},
		"the peer begins anew": {[]string{"peer"}, func(w *bfdWorld) {
			w.say(bfd.Down, func(p *bfd.Packet, _ *bfdlink.Datagram) { p.MyDiscr, p.YourDiscr = 78, 0 })
		}, 2 * time.Second, ""},
		"we stood still": {[]string{"peer"}, func(w *bfdWorld) {
			w.queue = append(w.queue, func(*engine) { w.say(bfd.Up) })
			w.now = w.now.Add(130 * time.Millisecond)
			w.e.tick(w.now)
			w.settle()
		}, 100 * time.Millisecond, ""},
		"somebody else is master": {[]string{"peer"}, func(w *bfdWorld) {
			set := settings(&config.Instance{VRID: 51, Version: 3, Priority: 150, AdvertInterval: config.Duration(time.Second), Addresses: following().Addresses})
			w.hear("192.0.2.3", 150, set)
		}, time.Second, ""},
	} {
		w := newBFDWorld(t, session("peer", "192.0.2.2"))
		w.configureBFD(nil, following(tc.trigger...))
		w.master(200)
		w.keepUp(1200 * time.Millisecond)
		w.master(200)
		tc.fall(w)
		w.quiet()
		w.pass(tc.within)
		i := w.router("web")
		if tc.code != "" && (i.State != "MASTER" || i.Code != tc.code) {
			t.Errorf("%s: %s, %s", name, i.State, i.Reason)
		}
		if tc.code == "" && i.State != "BACKUP" {
			t.Errorf("%s: %s, %s", name, i.State, i.Reason)
		}
	}
	// A session that was up for a moment only, or never, proves nothing.
	for _, up := range []time.Duration{0, 500 * time.Millisecond} {
		w := newBFDWorld(t, session("peer", "192.0.2.2"))
		w.configureBFD(nil, following("peer"))
		w.master(200)
		if up > 0 {
			w.keepUp(up)
		}
		w.master(200)
		w.pass(2 * time.Second)
		if s := w.status("peer").State; s != "Down" {
			t.Errorf("the session is %s", s)
		}
		if i := w.router("web"); i.State != "BACKUP" {
			t.Errorf("up for %v: %s, %s", up, i.State, i.Reason)
		}
	}
}

// A master that is watched over two paths is dead when both are silent.
func TestBFDTriggerOverTwoPaths(t *testing.T) {
	w := newBFDWorld(t, session("one", "192.0.2.2"), session("two", "198.51.100.2"))
	w.configureBFD(nil, following("one", "two"))
	say := func(name string, state bfd.State) {
		s := w.status(name)
		w.say(state, func(p *bfd.Packet, d *bfdlink.Datagram) {
			p.YourDiscr, p.MyDiscr, d.Src, p.Final = s.Discr, s.Discr+1, s.Neighbor, state == bfd.Up
		})
	}
	for _, name := range []string{"one", "two"} {
		say(name, bfd.Down)
		say(name, bfd.Up)
	}
	w.master(200)
	keep := func(d time.Duration, names ...string) {
		for end := w.now.Add(d); w.now.Before(end); w.pass(40 * time.Millisecond) {
			for _, name := range names {
				say(name, bfd.Up)
			}
		}
	}
	keep(1200*time.Millisecond, "one", "two")
	w.master(200)
	keep(500*time.Millisecond, "two")
	if i := w.router("web"); i.State != "BACKUP" || w.status("one").State != "Down" {
		t.Errorf("with one path left: %s, %s", i.State, i.Reason)
	}
	w.master(200)
	w.pass(400 * time.Millisecond)
	if i := w.router("web"); i.State != "MASTER" || i.Code != "bfd_down" {
		t.Errorf("with none left: %s, %s", i.State, i.Reason)
	}
}

func TestBFDIsTold(t *testing.T) {
	w := newBFDWorld(t, session("peer", "192.0.2.2"))
	w.configureBFD(nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.say(bfd.Down)
	w.say(bfd.Up)
	w.want("peer AdminDown->Down (started)", "web INIT->BACKUP (started)", "peer Down->Init (handshake)", "peer Init->Up (handshake)")
	w.pass(40 * time.Millisecond)
	w.say(bfd.Up)
	b := w.status("peer")
	if b.Received != 3 || b.Sent != uint64(len(w.sent)) || b.TxInterval != 50*time.Millisecond || b.DetectTime != 150*time.Millisecond || b.RemoteState != "Up" || b.RemoteDiscr != 77 {
		t.Errorf("status %+v", b)
	}
	w.pass(200 * time.Millisecond)
	w.want("peer Up->Down (detection_time_expired)")
	if b := w.status("peer"); b.Reason != "nothing heard from 192.0.2.2 for 150ms" || b.Diag != "detection_time_expired" || b.RemoteDiscr != 0 {
		t.Errorf("status %+v", b)
	}
}

// The verdict for those that track a session.
func TestBFDTracked(t *testing.T) {
	tracked := instance("web", 51, 100, "192.0.2.10/32")
	tracked.TrackBFD = []config.Track{{Name: "peer"}}
	w := newBFDWorld(t, session("peer", "192.0.2.2"))
	w.configureBFD(nil, tracked)
	if i := w.router("web"); i.State != "INIT" || i.Code != "waiting" {
		t.Errorf("at first: %s, %s", i.State, i.Reason)
	}
	w.keepUp(100 * time.Millisecond)
	w.want("peer AdminDown->Down (started)", "peer Down->Init (handshake)", "peer Init->Up (handshake)", "web INIT->BACKUP (started)")

	// The neighbour's process is started anew: that is no reason to give up.
	w.say(bfd.Down, func(p *bfd.Packet, _ *bfdlink.Datagram) { p.MyDiscr, p.YourDiscr = 78, 0 })
	if i := w.router("web"); i.State != "BACKUP" || w.status("peer").State != "Down" {
		t.Errorf("%s, session %s", i.State, w.status("peer").State)
	}
	former := w.e.snapshot()
	w.say(bfd.AdminDown)
	w.pass(900 * time.Millisecond)
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("%s", i.State)
	}
	w.pass(200 * time.Millisecond)
	if i := w.router("web"); i.State != "FAULT" || i.Code != "tracker" {
		t.Errorf("%s, %s", i.State, i.Reason)
	}
	w.keepUp(100 * time.Millisecond)
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("%s, %s", i.State, i.Reason)
	}
	w.pass(200 * time.Millisecond)
	if i := w.router("web"); i.State != "FAULT" || i.Reason != "BFD session peer is Down: nothing heard from 192.0.2.2 for 150ms" {
		t.Errorf("%s, %s", i.State, i.Reason)
	}

	// Our own process is started anew: the verdict holds until the session had its time.
	w = newBFDWorld(t, session("peer", "192.0.2.2"))
	w.configureBFD(resumeOf(former), tracked)
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("after a respawn: %s, %s", i.State, i.Reason)
	}
	w.pass(2900 * time.Millisecond)
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("soon after a respawn: %s, %s", i.State, i.Reason)
	}
	w.pass(200 * time.Millisecond)
	if i := w.router("web"); i.State != "FAULT" {
		t.Errorf("3 s after a respawn: %s, %s", i.State, i.Reason)
	}
}

func TestBFDReload(t *testing.T) {
	web := instance("web", 51, 100, "192.0.2.10/32")
	other := session("other", "192.0.2.3")
	w := newBFDWorld(t, session("peer", "192.0.2.2"))
	w.configureBFD(nil, web)
	w.keepUp(100 * time.Millisecond)
	w.quiet()
	before := w.status("peer")
	w.config[0].MinRx = config.Duration(20 * time.Millisecond)
	w.config = append(w.config, other)
	w.configureBFD(nil, web)
	w.want("other AdminDown->Down (started)")
	after := w.status("peer")
	if after.Discr != before.Discr || after.State != "Up" || after.Since != before.Since || after.Received != before.Received {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	w.pass(0)
	if p := w.sent[len(w.sent)-1]; !p.Poll || p.MinRx != 20*time.Millisecond {
		t.Errorf("newest packet %+v", p)
	}

	// Gone, and the neighbour is told so more than once.
	w.config = w.config[1:]
	n := len(w.sent)
	w.configureBFD(nil, web)
	w.want("peer Up->AdminDown (stopped)")
	if said := w.sent[n:]; len(said) != farewells || said[2].State != bfd.AdminDown || said[2].Diag != bfd.DiagAdminDown || said[2].YourDiscr != 77 {
		t.Errorf("the good-bye is %+v", said)
	}
	// A new way is a new session.
	discr := w.status("other").Discr
	w.config[0].Source = netip.MustParseAddr("192.0.2.1")
	w.configureBFD(nil, web)
	w.want("other Down->AdminDown (stopped)", "other AdminDown->Down (started)")
	if w.status("other").Discr == discr {
		t.Error("the new session has the old discriminator")
	}
	w.e.stop(w.now)
	w.settle()
	if len(w.listen) != 0 || w.sent[len(w.sent)-1].State != bfd.AdminDown {
		t.Errorf("%d listeners after the stop", len(w.listen))
	}
}

func TestBFDPacketsThatAreDropped(t *testing.T) {
	w := newBFDWorld(t, session("peer", "192.0.2.2"))
	w.configureBFD(nil, instance("web", 51, 100, "192.0.2.10/32"))
	discr := w.status("peer").Discr
	for name, change := range map[string]func(*bfd.Packet, *bfdlink.Datagram){
		"ttl":                 func(_ *bfd.Packet, d *bfdlink.Datagram) { d.TTL = 254 },
		"address":             func(_ *bfd.Packet, d *bfdlink.Datagram) { d.Src = netip.MustParseAddr("192.0.2.9") },
		"your_discriminator":  func(p *bfd.Packet, _ *bfdlink.Datagram) { p.YourDiscr, p.State = 0, bfd.Init },
		"multiplier":          func(p *bfd.Packet, _ *bfdlink.Datagram) { p.Multiplier = 0 },
		"unknown_session":     func(p *bfd.Packet, _ *bfdlink.Datagram) { p.YourDiscr = discr + 1 },
		"unknown_session too": func(p *bfd.Packet, d *bfdlink.Datagram) { p.YourDiscr, d.Src = 0, netip.MustParseAddr("192.0.2.9") },
	} {
		before := w.status("peer")
		strays := w.e.bfd.strays[bfd.DiscardUnknown]
		w.say(bfd.Down, change)
		after := w.status("peer")
		if stray := len(name) > 14 && name[:15] == "unknown_session"; stray {
			if w.e.bfd.strays[bfd.DiscardUnknown] != strays+1 {
				t.Errorf("%s: strays %v", name, w.e.bfd.strays)
			}
		} else if after.Discards[name] != before.Discards[name]+1 {
			t.Errorf("%s: discards %v", name, after.Discards)
		}
		if after.State != "Down" || after.Received != 0 {
			t.Errorf("%s was heard", name)
		}
	}
	// With routers on the way the time to live may be less.
	far := session("peer", "192.0.2.2")
	far.Multihop, far.MaxHops = true, 2
	w = newBFDWorld(t, far)
	w.configureBFD(nil, instance("web", 51, 100, "192.0.2.10/32"))
	w.listen[bfdlink.Endpoint{Port: bfd.Port}] = w.listen[bfdlink.Endpoint{Port: bfd.MultihopPort}]
	w.say(bfd.Down, func(_ *bfd.Packet, d *bfdlink.Datagram) { d.TTL = 252 })
	if s := w.status("peer"); s.State != "Down" || s.Discards["ttl"] != 1 {
		t.Errorf("three hops: %s, %v", s.State, s.Discards)
	}
	w.say(bfd.Down, func(_ *bfd.Packet, d *bfdlink.Datagram) { d.TTL = 253 })
	if s := w.status("peer"); s.State != "Init" {
		t.Errorf("two hops: %s", s.State)
	}
}

// Sockets are opened again when that was not possible, or the interface came.
func TestBFDSockets(t *testing.T) {
	s := session("peer", "192.0.2.2")
	s.Interface = "eth1"
	w := newBFDWorld(t, s)
	w.configureBFD(nil, instance("web", 51, 100, "192.0.2.10/32"))
	if b := w.status("peer"); b.Error != "interface eth1 does not exist" || b.Unsent == 0 || len(w.listen) != 0 {
		t.Errorf("%+v", b)
	}
	w.link("eth1", 7, true)
	if b := w.status("peer"); b.Error != "" || w.listen[bfdlink.Endpoint{Port: bfd.Port, Scope: bfdlink.Scope{Name: "eth1", Index: 7}}] == nil {
		t.Errorf("%+v, listeners %v", b, w.listen)
	}
	port := w.ports[0]
	w.fail = errors.New("no buffer space")
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth1", Index: 7}})
	w.link("eth1", 8, true)
	if b := w.status("peer"); b.Error != "no buffer space" {
		t.Errorf("%+v", b)
	}
	w.fail = nil
	w.pass(time.Second)
	if b := w.status("peer"); b.Error != "" || w.listen[bfdlink.Endpoint{Port: bfd.Port, Scope: bfdlink.Scope{Name: "eth1", Index: 8}}] == nil {
		t.Errorf("%+v, listeners %v", b, w.listen)
	}
	if last := w.ports[len(w.ports)-1]; last != port {
		t.Errorf("source port %d became %d", port, last)
	}
}
