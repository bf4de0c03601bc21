package vrrpd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

const (
	key1 = "geheim-geheim-geheim-geheim-gehe"
	key2 = "secret-secret-secret-secret-secr"
)

// signed gives an instance keys, of which the active one signs.
func signed(c config.Instance, active uint8, keys ...string) config.Instance {
	c.Authentication = config.Authentication{Type: config.AuthHMAC, ActiveKey: active, Mode: "enforce", AntiReplay: "time", TimeWindow: config.Duration(5 * time.Second)}
	for i, k := range keys {
		if k != "" {
			c.Authentication.Keys = append(c.Authentication.Keys, config.HMACKey{ID: uint8(i + 1), Key: config.Secret(k)})
		}
	}
	return c
}

// two is two hosts with one instance each, 192.0.2.1 and 192.0.2.2, on one wire.
type two struct {
	a, b *world
}

func newTwo(t *testing.T, a, b config.Instance) *two {
	w := &two{newWorld(t), newWorld(t)}
	w.b.now = w.a.now
	w.b.link("eth0", 2, true, "192.0.2.2/24")
	w.a.configure(nil, a)
	w.b.configure(nil, b)
	return w
}

// run lets time pass for both: what one sends the other hears at once. It returns
// the packets that A sent.
func (w *two) run(d time.Duration) (fromA []link.Datagram) {
	const step = 50 * time.Millisecond
	for ; d > 0; d -= step {
		for _, way := range [][2]*world{{w.a, w.b}, {w.b, w.a}} {
			way[0].pass(step)
			packets := way[0].wire
			way[0].wire = nil
			for _, p := range packets {
				if p.Dst == netip.MustParseAddr("192.0.2.3") || p.Protocol == vrrp.ProtocolAH && way[1].socks["eth0 ah"] == nil {
					continue // for others; or nobody listens
				}
				p.Arrival = way[0].now
				way[1].e.receive("eth0", p)
				way[1].settle()
			}
			if way[0] == w.a {
				fromA = append(fromA, packets...)
			}
		}
	}
	return fromA
}

func (w *two) states() string {
	return w.a.router("web").State + " " + w.b.router("web").State
}

func discards(w *world) string { return fmt.Sprint(w.router("web").Discards) }

// TestSignedPair: the better one is MASTER, the other hears it; what was recorded
// has no effect, is counted and named.
func TestSignedPair(t *testing.T) {
	for name, change := range map[string]func(config.Instance, string) config.Instance{
		"multicast": func(c config.Instance, _ string) config.Instance { return c },
		"unicast":   func(c config.Instance, peer string) config.Instance { return unicast(c, 255, peer, "192.0.2.3") },
		"version 2": func(c config.Instance, _ string) config.Instance { c.Version = 2; return c },
		"monotonic": func(c config.Instance, _ string) config.Instance {
			c.Authentication.AntiReplay = "monotonic"
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTwo(t, change(signed(instance("web", 51, 150, "192.0.2.10/32"), 1, key1), "192.0.2.2"),
				change(signed(instance("web", 51, 100, "192.0.2.10/32"), 1, key1), "192.0.2.1"))
			sent := w.run(20 * time.Second)
			if w.states() != "MASTER BACKUP" || discards(w.b) != "map[]" || w.b.router("web").AdvertsHeard < 15 {
				t.Fatalf("%s, B heard %d, dropped %s", w.states(), w.b.router("web").AdvertsHeard, discards(w.b))
			}
			auth := w.b.router("web").Authentication
			if auth == nil || auth.Type != "HMAC" || auth.ActiveKey != 1 || len(auth.Senders) != 1 ||
				auth.Senders[0].Address != netip.MustParseAddr("192.0.2.1") || auth.Senders[0].Key != 1 {
				t.Errorf("status %+v", auth)
			}
			// All copies of an advert carry the same trailer.
			copies := make(map[string]int)
			for _, p := range sent {
				copies[string(p.Payload[len(p.Payload)-28:])]++
			}
			want := 1
			if name == "unicast" {
				want = 2
			}
			for trailer, n := range copies {
				if n != want {
					t.Errorf("%d copies with trailer %x", n, trailer)
				}
			}
			// A falls silent; its last adverts, sent again, do not keep B from taking over.
			w.a.wire = nil
			for range 50 {
				w.b.pass(100 * time.Millisecond)
				for _, p := range sent[len(sent)-4:] {
					if p.Dst.IsMulticast() || p.Dst == netip.MustParseAddr("192.0.2.2") {
						p.Arrival = w.b.now
						w.b.e.receive("eth0", p)
					}
				}
				w.b.settle()
			}
			i := w.b.router("web")
			if i.State != "MASTER" || i.Discards["replay"] == 0 || i.Discards["replay"]+i.Discards["outside_window"] < 50 {
				t.Errorf("B is %s, dropped %v", i.State, i.Discards)
			}
		})
	}
}

// TestAuthenticationDiffers: each side counts by its cause what it cannot accept.
func TestAuthenticationDiffers(t *testing.T) {
	plain := func(prio uint8) config.Instance { return instance("web", 51, prio, "192.0.2.10/32") }
	v2 := func(c config.Instance, kind, password string) config.Instance {
		c.Version = 2
		c.Authentication = config.Authentication{Type: kind, Password: config.Secret(password)}
		return c
	}
	for _, tc := range []struct {
		name       string
		a, b       config.Instance
		whyA, whyB string // what each drops, the other's adverts if it drops any
		states     string
	}{
		{name: "another key", a: signed(plain(150), 1, key1), b: signed(plain(100), 1, key2), whyA: "bad_icv", whyB: "bad_icv", states: "MASTER MASTER"},
		{name: "another id", a: signed(plain(150), 1, key1), b: signed(plain(100), 2, "", key1), whyA: "unknown_key", whyB: "unknown_key", states: "MASTER MASTER"},
		{name: "no key", a: signed(plain(100), 1, key1), b: plain(150), whyA: "unsigned", states: "MASTER MASTER"},
		{name: "PASS and AH", a: v2(plain(150), "AH", "x"), b: v2(plain(100), "PASS", "x"), whyA: "wrong_auth_type", states: "MASTER MASTER"},
		{name: "AH with another password", a: v2(plain(150), "AH", "x"), b: v2(plain(100), "AH", "y"), whyA: "bad_icv", whyB: "bad_icv", states: "MASTER MASTER"},
		{name: "AH", a: v2(plain(150), "AH", "x"), b: v2(plain(100), "AH", "x"), states: "MASTER BACKUP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newTwo(t, tc.a, tc.b)
			w.run(10 * time.Second)
			if w.states() != tc.states {
				t.Errorf("%s, want %s", w.states(), tc.states)
			}
			for _, h := range []struct {
				w   *world
				why string
			}{{w.a, tc.whyA}, {w.b, tc.whyB}} {
				got := h.w.router("web").Discards
				raised := slices.ContainsFunc(h.w.e.snapshot().Alarms, func(a control.Alarm) bool { return a.Code == "peer_authentication" })
				if raised != (h.why != "") {
					t.Errorf("%s: alarms %+v, dropped %v", h.w.router("web").Source, h.w.e.snapshot().Alarms, got)
				}
				if len(got) > 1 || h.why == "" && len(got) > 0 || h.why != "" && got[h.why] == 0 {
					t.Errorf("dropped %v, want %q", got, h.why)
				}
			}
		})
	}
}

// TestIntroduction takes a running pair from nothing to enforce without a moment
// with two masters.
func TestIntroduction(t *testing.T) {
	w := newTwo(t, instance("web", 51, 150, "192.0.2.10/32"), instance("web", 51, 100, "192.0.2.10/32"))
	with := func(prio uint8, mode string) config.Instance {
		c := signed(instance("web", 51, prio, "192.0.2.10/32"), 1, key1)
		c.Authentication.Mode = mode
		return c
	}
	w.run(6 * time.Second)
	for _, mode := range []string{"receive-only", "permissive", "enforce"} {
		w.b.configure(nil, with(100, mode))
		w.run(5 * time.Second)
		w.a.configure(nil, with(150, mode))
		sent := w.run(5 * time.Second)
		if got, want := len(sent[len(sent)-1].Payload), 12; mode == "receive-only" != (got == want) {
			t.Errorf("%s: an advert has %d bytes", mode, got)
		}
		if w.states() != "MASTER BACKUP" || discards(w.b) != "map[]" {
			t.Errorf("%s: %s, dropped %s", mode, w.states(), discards(w.b))
		}
	}
	if n := w.b.router("web").Authentication.Unsigned; n < 10 || n > 20 {
		t.Errorf("%d unsigned adverts taken", n)
	}
	if w.a.router("web").Transitions != 2 || w.b.router("web").Transitions != 1 {
		t.Error("a state changed on the way")
	}
}

// TestRotationByReload: a second key, another active one, the first one away; each
// step on the backup and then on the master, and no advert is lost.
func TestRotationByReload(t *testing.T) {
	with := func(prio, active uint8, keys ...string) config.Instance {
		return signed(instance("web", 51, prio, "192.0.2.10/32"), active, keys...)
	}
	w := newTwo(t, with(150, 1, key1), with(100, 1, key1))
	w.run(6 * time.Second)
	heard := w.b.router("web").AdvertsHeard
	for _, step := range []struct {
		active uint8
		keys   []string
	}{{1, []string{key1, key2}}, {2, []string{key1, key2}}, {2, []string{"", key2}}} {
		w.b.configure(nil, with(100, step.active, step.keys...))
		w.run(3 * time.Second)
		w.a.configure(nil, with(150, step.active, step.keys...))
		w.run(3 * time.Second)
	}
	auth := w.b.router("web").Authentication
	if n := w.b.router("web").AdvertsHeard - heard; w.states() != "MASTER BACKUP" || discards(w.b) != "map[]" || n != 18 || auth.Senders[0].Key != 2 {
		t.Errorf("%s, %d adverts heard, dropped %s, %+v", w.states(), n, discards(w.b), auth)
	}
	if d := cmp.Diff([]int{2}, auth.Keys); d != "" {
		t.Error(d)
	}
}

// TestAHRestart: with keepalived's rule, that one number counts for all, each of two
// routers is heard again after it was started anew.
func TestAHRestart(t *testing.T) {
	with := func(prio uint8) config.Instance {
		c := instance("web", 51, prio, "192.0.2.10/32")
		c.Version, c.Authentication = 2, config.Authentication{Type: config.AuthAH, Password: "x"}
		return c
	}
	w := newTwo(t, with(150), with(100))
	w.run(10 * time.Second)
	if got := w.a.socks; len(got) != 2 || len(got["eth0 ah"]) != 1 || got["eth0 ah"][0] != 51 {
		t.Errorf("sockets %v", got)
	}
	for _, restart := range []string{"A", "B"} {
		fresh := newWorld(t)
		fresh.now = w.a.now
		if restart == "A" {
			w.a = fresh
			w.a.configure(nil, with(150))
		} else {
			fresh.link("eth0", 2, true, "192.0.2.2/24")
			w.b = fresh
			w.b.configure(nil, with(100))
		}
		w.run(10 * time.Second)
		if w.states() != "MASTER BACKUP" || discards(w.a)+discards(w.b) != "map[]map[]" {
			t.Errorf("%s was started anew: %s, dropped %s and %s", restart, w.states(), discards(w.a), discards(w.b))
		}
	}
	w.a.configure(nil, instance("web", 51, 150, "192.0.2.10/32"))
	if got := w.a.socks; len(got) != 1 || got["eth0"] == nil {
		t.Errorf("sockets %v without AH", got)
	}
}

// TestStatusHidesSecrets: nothing of what the child tells its parent holds a key.
func TestStatusHidesSecrets(t *testing.T) {
	w := newTwo(t, signed(instance("web", 51, 150, "192.0.2.10/32"), 1, key1), signed(instance("web", 51, 100, "192.0.2.10/32"), 1, key2))
	w.run(6 * time.Second)
	for _, h := range []*world{w.a, w.b} {
		text := fmt.Sprintf("%+v %#v %v", h.e.snapshot(), h.router("web"), h.sent)
		for _, r := range h.e.order {
			text += fmt.Sprintf("%+v %v", r.auth, r.sm.Settings())
		}
		if strings.Contains(text, "geheim") || strings.Contains(text, "secret-") {
			t.Error("a key is shown")
		}
	}
}

// TestSignedAdvertsAllocateNothing: neither out nor in.
func TestSignedAdvertsAllocateNothing(t *testing.T) {
	ah := instance("web", 51, 200, "192.0.2.10/32")
	ah.Version, ah.Authentication = 2, config.Authentication{Type: config.AuthAH, Password: "x"}
	for name, c := range map[string]config.Instance{"HMAC": signed(instance("web", 51, 200, "192.0.2.10/32"), 1, key1), "AH": ah} {
		w := newWorld(t)
		w.e.net = &sink{}
		w.configure(nil, c)
		w.pass(5 * time.Second)
		r := w.e.order[0]
		w.e.flush(w.now)
		if n := testing.AllocsPerRun(100, func() {
			w.now = w.now.Add(time.Second)
			w.e.round++
			w.e.sendAdvert(r, w.now, 200)
			w.e.flush(w.now)
		}); n != 0 || r.counters.sent < 100 {
			t.Errorf("%s: an advert costs %v allocations, %d sent", name, n, r.counters.sent)
		}
	}
}
