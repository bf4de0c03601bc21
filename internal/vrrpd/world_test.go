package vrrpd

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// world is everything around an engine: a clock that only the test moves, a
// network that writes adverts down, and a kernel that holds addresses.
type world struct {
	t      *testing.T
	now    time.Time
	e      *engine
	log    []string           // adverts, address work and events, in order
	kernel map[string]bool    // "device prefix" of what is installed
	fail   map[string]error   // errors of Add by "device prefix"
	hold   bool               // results are kept back
	held   []link.Result      //
	sent   []watchdog.Message // everything told to the parent
	open   map[string]error   // errors of Open by interface name
	queue  []func(*engine)    // what the drain hook finds in the sockets
	socks  map[string][]uint8 // VRIDs by interface
	swept  map[link.Key]bool  // what the clean-up of leftovers had to keep
	deaf   bool               // filters cannot be set
	wire   []link.Datagram    // what was sent last, at most 64
	others []link.Datagram    // of foreign VRIDs, that wait to be read
	claims []link.Claim       // that wait to be read
	blind  error              // of OpenClaims
}

type fakeSocket struct {
	closed bool
	w      *world
	name   string
	q      []string
}

func (w *world) Open(ifi link.Interface, key portKey) (socket, error) {
	name := ifi.Name
	switch {
	case key.family == vrrp.IPv6:
		name += " ipv6"
	case key.ah:
		name += " ah"
	}
	if err := w.open[name]; err != nil {
		return nil, err
	}
	return &fakeSocket{w: w, name: name}, nil
}

func (s *fakeSocket) Foreign(handle func(link.Datagram)) (uint64, error) {
	list := s.w.others
	s.w.others = nil
	for _, d := range list {
		handle(d)
	}
	return 0, nil
}

// fakeClaims hears what the world's other hosts claim.
type fakeClaims struct{ w *world }

func (w *world) OpenClaims(ifi link.Interface) (claims, error) {
	if w.blind != nil {
		return nil, w.blind
	}
	return &fakeClaims{w}, nil
}

func (c *fakeClaims) Watch([]netip.Addr) error { return nil }
func (c *fakeClaims) Close() error             { return nil }
func (c *fakeClaims) Read(handle func(link.Claim)) error {
	list := c.w.claims
	c.w.claims = nil
	for _, claim := range list {
		handle(claim)
	}
	return nil
}

// settings are those of an instance over IPv4.
func settings(c *config.Instance) vrrp.Settings { return familySettings(c, vrrp.IPv4) }

func (s *fakeSocket) SetGroups([]netip.Addr) error { return nil }

func (s *fakeSocket) SetVRIDs(v []uint8) error {
	if s.w.deaf {
		return errors.New("cannot allocate memory")
	}
	s.w.socks[s.name] = slices.Clone(v)
	return nil
}
func (s *fakeSocket) QueueFrom(mac link.MAC, src, dst netip.Addr, ttl uint8, pdu []byte) error {
	s.Queue(src, dst, ttl, pdu)
	s.q[len(s.q)-1] += " as " + mac.String()
	return nil
}
func (s *fakeSocket) Close() error {
	delete(s.w.socks, s.name)
	s.closed = true
	return nil
}
func (s *fakeSocket) Queue(src, dst netip.Addr, ttl uint8, pdu []byte) {
	d := link.Datagram{Src: src, Dst: dst, TTL: int(ttl), Payload: slices.Clone(pdu), Protocol: vrrp.ProtocolNumber}
	if strings.HasSuffix(s.name, " ah") {
		d.Header, d.Payload, d.Protocol = d.Payload[:20], d.Payload[20:], vrrp.ProtocolAH
		pdu, _ = vrrp.SplitAH(d.Payload)
	}
	s.w.wire = append(s.w.wire[max(0, len(s.w.wire)-63):], d)
	line := fmt.Sprintf("advert %d from %s", pdu[2], src)
	if dst != vrrp.FamilyOf(dst).Group() || ttl != vrrp.TTL {
		line += fmt.Sprintf(" to %s, TTL %d", dst, ttl)
	}
	if _, why := vrrp.Parse(pdu, src, dst); why != vrrp.DiscardNone {
		line += " " + why.String()
	}
	s.q = append(s.q, line)
}
func (s *fakeSocket) Flush() error {
	if s.closed {
		s.w.t.Errorf("adverts are sent on %s, which is closed", s.name)
	}
	s.w.log = append(s.w.log, s.q...)
	s.q = nil
	return nil
}

func (w *world) Submit(j link.Job) {
	for i, a := range j.Items {
		if a.Key().Kind == 0 {
			w.swept = a.(*link.Leftovers).Keep
			continue
		}
		id, short := a.String(), a.String()
		if v, ok := a.(link.Address); ok {
			id, short = v.Device+" "+v.Prefix.String(), v.Prefix.String()
		}
		res := link.Result{Instance: j.Instance, Op: j.Op, Item: a, Last: i == len(j.Items)-1}
		switch j.Op {
		case link.Add:
			res.Already = w.kernel[id]
			if res.Err = w.fail[id]; res.Err == nil {
				w.kernel[id] = true
			}
		case link.Remove:
			res.Already = !w.kernel[id]
			if v, ok := a.(link.Address); ok && v.OnlyMarked {
				res.Already = true
				break
			}
			delete(w.kernel, id)
		}
		if !res.Already || j.Op == link.Announce {
			w.log = append(w.log, fmt.Sprintf("%v %s", j.Op, short))
		}
		w.held = append(w.held, res)
	}
}

func (w *world) tell(m watchdog.Message) {
	w.sent = append(w.sent, m)
	switch {
	case m.Event != nil:
		w.log = append(w.log, fmt.Sprintf("%s %s->%s (%s)", m.Event.Subject, m.Event.From, m.Event.To, m.Event.Code))
	case m.RunScript != nil:
		w.log = append(w.log, "run "+m.RunScript.Name)
	}
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, now: time.Now(), kernel: make(map[string]bool), fail: make(map[string]error),
		open: make(map[string]error), socks: make(map[string][]uint8),
	}
	w.e = newEngine(slog.New(slog.DiscardHandler), w, w, w.tell)
	w.e.drain = func() {
		for _, f := range w.queue {
			f(w.e)
		}
		w.queue = nil
	}
	w.link("eth0", 2, true, "192.0.2.1/24")
	return w
}

func (w *world) link(name string, index int, up bool, addrs ...string) {
	ifi := link.Interface{Name: name, Index: index, Up: up}
	for _, a := range addrs {
		ifi.Addrs = append(ifi.Addrs, netip.MustParsePrefix(a))
	}
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: ifi})
	w.settle()
}

// settle lets everything that was asked for happen.
func (w *world) settle() {
	for {
		w.e.flush(w.now)
		if w.hold || len(w.held) == 0 {
			return
		}
		res := w.held
		w.held = nil
		for _, r := range res {
			w.e.result(w.now, r)
		}
	}
}

// pass moves the clock, stopping at each deadline.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := w.e.deadline()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.e.tick(w.now)
		w.settle()
	}
	w.now = end
}

// take returns what was logged since the last call, one line each.
func (w *world) take() string {
	s := strings.Join(w.log, "\n")
	w.log = nil
	return s
}

func (w *world) want(want ...string) {
	w.t.Helper()
	if got := w.take(); got != strings.Join(want, "\n") {
		w.t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func (w *world) router(name string) control.Instance {
	w.t.Helper()
	for _, i := range w.e.snapshot().Instances {
		if i.Name == name {
			return i
		}
	}
	w.t.Fatalf("no instance %s", name)
	return control.Instance{}
}

// instance is a configuration as config.Parse would make it.
func instance(name string, vrid, prio uint8, addrs ...string) config.Instance {
	c := config.Instance{
		Name: name, Interface: "eth0", VRID: vrid, Version: 3, Priority: prio,
		AdvertInterval: config.Duration(time.Second), HigherPrioSendAdvert: true, Presence: config.Presence{Accept: true}, Garp: config.Garp{Repeat: 1},
	}
	for _, a := range addrs {
		c.Addresses = append(c.Addresses, config.VirtualAddress{Prefix: netip.MustParsePrefix(a)})
	}
	return c
}

func (w *world) configure(scripts []config.Script, instances ...config.Instance) error {
	return w.resume(nil, scripts, instances...)
}

func (w *world) resume(r *watchdog.Resume, scripts []config.Script, instances ...config.Instance) error {
	err := w.e.configure(w.now, &watchdog.Configure{
		Generation: w.e.generation + 1, Resume: r,
		Config: &config.Config{Scripts: scripts, Instances: instances},
	})
	w.settle()
	return err
}

func (w *world) hear(from string, prio uint8, s vrrp.Settings) {
	w.hearAt(from, vrrp.Group4(), 255, prio, s)
}

func (w *world) hearAt(from string, dst netip.Addr, ttl int, prio uint8, s vrrp.Settings) {
	src := netip.MustParseAddr(from)
	pdu, err := vrrp.AppendAdvert(nil, &s, prio, src, dst)
	if err != nil {
		w.t.Fatal(err)
	}
	w.e.receive("eth0", link.Datagram{Src: src, Dst: dst, TTL: ttl, Payload: pdu, Arrival: w.now})
}

func chk(weight int) ([]config.Script, config.Track) {
	s := config.Script{Name: "chk", Command: []string{"/chk"}, Interval: config.Duration(time.Second), Rise: 1, Fall: 2}
	return []config.Script{s}, config.Track{Name: "chk", Weight: weight}
}

// answer gives the result of the run that was last asked for.
func (w *world) answer(ok bool) {
	w.t.Helper()
	for i := len(w.sent) - 1; i >= 0; i-- {
		if req := w.sent[i].RunScript; req != nil {
			w.e.scriptDone(w.now, &watchdog.ScriptDone{ID: req.ID, Name: req.Name, OK: ok, Result: "exit status 1"})
			w.settle()
			return
		}
	}
	w.t.Fatal("no script was asked for")
}

// gone reports whether nothing is left of the routers that were removed.
func (w *world) gone() bool { return len(w.e.leaving) == 0 }

// deliver hands on the first n results that were held back.
func (w *world) deliver(n int) {
	res := w.held[:n]
	w.held = slices.Clone(w.held[n:])
	for _, r := range res {
		w.e.result(w.now, r)
	}
	w.e.flush(w.now)
}

// resumeOf is what the parent gives the successor of a process that died just now.
func resumeOf(former *control.VRRP) *watchdog.Resume {
	return &watchdog.Resume{AliveMono: link.Monotonic(), Snapshot: watchdog.Snapshot{VRRP: former}}
}
