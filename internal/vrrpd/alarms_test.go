package vrrpd

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
	"director/vrrp/link"
)

// alarm returns the raised alarm with a code.
func (w *world) alarm(code string) *control.Alarm {
	for _, a := range w.e.snapshot().Alarms {
		if a.Code == code {
			return &a
		}
	}
	return nil
}

// alarmEvents lists what was told of alarms, and forgets it.
func (w *world) alarmEvents() (list []*control.Event) {
	for _, m := range w.sent {
		if m.Event != nil && m.Event.Kind == control.KindAlarm {
			list = append(list, m.Event)
		}
	}
	w.sent = nil
	return list
}

// told asserts which alarms were told since the last call.
func (w *world) told(want ...string) (list []*control.Event) {
	w.t.Helper()
	var got []string
	list = w.alarmEvents()
	for _, e := range list {
		if e.Alarm == nil || e.Alarm.Code != e.Code || e.Alarm.Reason != e.Reason {
			w.t.Errorf("event %+v with alarm %+v", e, e.Alarm)
		}
		got = append(got, e.Code+" "+e.To)
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		w.t.Errorf("told %v, want %v", got, want)
	}
	return list
}

// masterWorld has a router that has been MASTER for a while.
func masterWorld(t *testing.T, c config.Instance) *world {
	w := newWorld(t)
	w.configure(nil, c)
	w.pass(10 * time.Second)
	if s := w.router(c.Name).State; s != "MASTER" {
		t.Fatalf("it is %s", s)
	}
	w.told()
	w.take()
	return w
}

// each has a peer say the same once a second.
func (w *world) each(n int, say func()) {
	for range n {
		say()
		w.settle()
		w.pass(time.Second)
	}
}

func TestTwoMastersRaiseAnAlarm(t *testing.T) {
	c := instance("web", 51, 200, "192.0.2.10/32")
	w := masterWorld(t, c)
	say := func() { w.hear("192.0.2.2", 100, settings(&c)) }
	// A takeover is no alarm, and neither is a backlog after a stall.
	say()
	w.pass(time.Second)
	for range 100 { // arrived over ten seconds, and read at once
		w.now = w.now.Add(100 * time.Millisecond)
		say()
	}
	w.settle()
	w.pass(10 * time.Second)
	w.told()

	w.each(5, say)
	told := w.told("two_masters raised")
	want := "192.0.2.2 advertises priority 100 as MASTER and does not give way to this router's priority 200: it does not hear 192.0.2.1; " +
		"look for a firewall or switch that drops IP protocol 112 from here, and for another VRID, password or version there"
	if e := told[0]; e.Reason != want || e.Subject != "web" || e.From != "clear" || e.Alarm.Level != "alarm" {
		t.Errorf("told %+v", e)
	}
	a := w.alarm("two_masters")
	if a == nil || a.Count != 5 || len(a.Evidence) != 1 || a.Evidence[0].Peer != "192.0.2.2" || a.Evidence[0].Priority != 100 ||
		a.Evidence[0].Says != "priority 100" || a.Evidence[0].Here != "priority 200" || a.VRID != 51 || a.Interface != "eth0" {
		t.Errorf("status has %+v", a)
	}
	w.pass(5 * time.Second)
	if told := w.told("two_masters clear"); told[0].Reason != "192.0.2.2 has given way" || told[0].From != "raised" {
		t.Errorf("told %+v", told[0])
	}
	if w.alarm("two_masters") != nil {
		t.Error("status still has it")
	}
	// It ends with the state that it is about.
	w.each(4, say)
	w.hear("192.0.2.3", 250, settings(&c))
	w.each(2, func() { w.hear("192.0.2.3", 250, settings(&c)) })
	if told := w.told("two_masters raised", "two_masters clear"); told[1].Reason != "this router is no longer MASTER" {
		t.Errorf("told %+v", told[1])
	}
}

// Who was told of an alarm is told of its end as well, however the router ends.
func TestAlarmsEndWithTheRouter(t *testing.T) {
	c := instance("web", 51, 200, "192.0.2.10/32")
	raised := func() *world {
		w := masterWorld(t, c)
		w.each(5, func() { w.hear("192.0.2.2", 100, settings(&c)) })
		w.told("two_masters raised")
		return w
	}
	w := raised()
	w.e.stop(w.now)
	w.settle()
	if told := w.told("two_masters clear"); told[0].Reason != "this router is no more" {
		t.Errorf("told %+v", told[0])
	}
	w = raised()
	w.configure(nil)
	w.told("two_masters clear")
	w = raised()
	former := w.e.snapshot()
	w = newWorld(t)
	w.resume(resumeOf(former), nil, c)
	if told := w.told("two_masters clear"); told[0].Subject != "web" || told[0].From != "raised" || told[0].Generation != 1 ||
		told[0].Reason != "the VRRP process was started anew and looks afresh" || told[0].Alarm.Count != 5 {
		t.Errorf("told %+v", told[0])
	}
	w.pass(10 * time.Second)
	w.told()
	// So is that of a path.
	w = newWorld(t)
	w.configure(nil, heartbeat(c, "eth1"))
	w.told("path_down raised")
	w.e.stop(w.now)
	w.settle()
	w.told("path_down clear")
}

func TestDifferingPeers(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*vrrp.Settings)
		dst    string // default: the group
		ttl    int
		ours   func(*config.Instance)
		code   string
		says   string
		here   string
	}{
		{"addresses", func(s *vrrp.Settings) { s.Addresses = append(s.Addresses, netip.MustParseAddr("192.0.2.11")) }, "", 255, nil,
			"peer_addresses", "192.0.2.10, 192.0.2.11", "192.0.2.10"},
		{"interval", func(s *vrrp.Settings) { s.AdvertInterval = 500 * time.Millisecond }, "", 255, nil, "peer_interval", "500ms", "1s"},
		{"interval in version 2", func(s *vrrp.Settings) { s.AdvertInterval = 2 * time.Second }, "", 255,
			func(c *config.Instance) { c.Version = 2 }, "peer_interval", "2s", "1s"},
		{"version", func(s *vrrp.Settings) { s.Version = 2 }, "", 255, nil, "peer_version", "version 2", "version 3"},
		{"no password", func(s *vrrp.Settings) { s.AuthType = vrrp.AuthNone }, "", 255,
			func(c *config.Instance) {
				c.Version, c.Authentication = 2, config.Authentication{Type: "PASS", Password: "s3cret"}
			},
			"peer_authentication", "authentication none", "authentication PASS"},
		{"other password", func(s *vrrp.Settings) { s.Password[0]++ }, "", 255,
			func(c *config.Instance) {
				c.Version, c.Authentication = 2, config.Authentication{Type: "PASS", Password: "s3cret"}
			},
			"peer_authentication", "another password", "authentication PASS"},
		{"unicast", func(*vrrp.Settings) {}, "192.0.2.1", 255, nil, "peer_transport", "by unicast to 192.0.2.1", "by multicast"},
		{"time to live", func(*vrrp.Settings) {}, "", 64, nil, "peer_ttl", "TTL 64", "TTL 255"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := instance("web", 51, 200, "192.0.2.10/32")
			if tc.ours != nil {
				tc.ours(&c)
			}
			w := masterWorld(t, c)
			dst := vrrp.Group4()
			if tc.dst != "" {
				dst = netip.MustParseAddr(tc.dst)
			}
			// The peer is the better one: what is accepted of it makes us a BACKUP.
			wrong := settings(&c)
			tc.change(&wrong)
			w.each(5, func() { w.hearAt("192.0.2.2", dst, tc.ttl, 250, wrong) })
			told := w.told(tc.code + " raised")
			a := w.alarm(tc.code)
			if a == nil || len(a.Evidence) != 1 {
				t.Fatalf("status has %+v", a)
			}
			ev := a.Evidence[0]
			if ev.Peer != "192.0.2.2" || ev.Says != tc.says || ev.Here != tc.here || ev.Priority != 250 || ev.Count != 5 {
				t.Errorf("evidence %+v", ev)
			}
			for _, part := range []string{"192.0.2.2", tc.says} {
				if !strings.Contains(told[0].Reason, part) {
					t.Errorf("%q does not say %q", told[0].Reason, part)
				}
			}
			if strings.Contains(told[0].Reason, "s3cret") {
				t.Error("the password is told")
			}
			// The peer is put right.
			w.each(10, func() { w.hear("192.0.2.2", 250, settings(&c)) })
			if told := w.told(tc.code + " clear"); told[0].Reason != "192.0.2.2 agrees with this router again" {
				t.Errorf("told %q", told[0].Reason)
			}
		})
	}
}

// A reload of this router puts it right as well.
func TestReloadEndsAlarms(t *testing.T) {
	c := instance("web", 51, 100, "192.0.2.10/32")
	w := masterWorld(t, c)
	more := instance("web", 51, 100, "192.0.2.10/32", "192.0.2.11/32")
	w.each(5, func() { w.hear("192.0.2.2", 250, settings(&more)) })
	w.told("peer_addresses raised")
	w.configure(nil, c)
	w.told()
	w.configure(nil, more)
	w.told("peer_addresses clear")
	w.each(5, func() { w.hear("192.0.2.2", 250, settings(&more)) })
	w.told()
}

func TestSamePriorities(t *testing.T) {
	owner := instance("web", 51, 255, "192.0.2.10/32")
	w := masterWorld(t, owner)
	w.hear("192.0.2.2", 255, settings(&owner))
	w.settle()
	if e := w.told("several_owners raised")[0]; e.Alarm.Level != "alarm" || !strings.Contains(e.Reason, "192.0.2.2 advertises priority 255") {
		t.Errorf("told %+v", e)
	}
	c := instance("web", 51, 100, "192.0.2.10/32")
	w = masterWorld(t, c)
	w.each(5, func() { w.hear("192.0.2.2", 100, settings(&c)) })
	if e := w.told("equal_priority raised")[0]; e.Alarm.Level != "warning" {
		t.Errorf("told %+v", e)
	}
}

func TestForeignVRIDWithOurAddress(t *testing.T) {
	c := instance("web", 51, 100, "192.0.2.10/32", "192.0.2.11/32")
	w := masterWorld(t, c)
	others := func(vrid uint8, addr string) {
		s := settings(&c)
		s.VRID, s.Addresses = vrid, []netip.Addr{netip.MustParseAddr(addr)}
		src := netip.MustParseAddr("192.0.2.2")
		pdu, _ := vrrp.AppendAdvert(nil, &s, 90, src, vrrp.Group4())
		w.others = append(w.others, link.Datagram{Src: src, Dst: vrrp.Group4(), TTL: 255, Payload: pdu})
	}
	w.each(5, func() { others(52, "192.0.2.77") }) // other people's business
	w.told()
	if f := w.e.snapshot().Foreign; len(f) != 1 || f[0].VRID != 52 || f[0].Interface != "eth0" || f[0].Peer.String() != "192.0.2.2" {
		t.Errorf("status has %+v", f)
	}
	w.each(5, func() { others(53, "192.0.2.11") })
	want := "192.0.2.2 advertises VRID 53 with 192.0.2.11, an address of ours (VRID 51): both routers are MASTER; give both the same virtual_router_id"
	if e := w.told("foreign_vrid raised")[0]; e.Reason != want || e.Alarm.Evidence[0].VRID != 53 {
		t.Errorf("told %+v", e)
	}
	for v := range uint8(100) {
		others(100+v, "192.0.2.77")
	}
	w.pass(2 * time.Second)
	if n := len(w.e.snapshot().Foreign); n != maxForeign {
		t.Errorf("%d foreign VRIDs are remembered", n)
	}
	w.pass(70 * time.Second)
	w.told("foreign_vrid clear")
}

func TestForeignMAC(t *testing.T) {
	c := instance("web", 51, 100, "192.0.2.10/32")
	stranger := [6]byte{2, 0, 0, 0, 0, 9}
	claim := func(w *world, addr string, mac [6]byte) {
		w.claims = append(w.claims, link.Claim{Addr: netip.MustParseAddr(addr), MAC: mac})
	}
	vip := "192.0.2.10"
	t.Run("raised", func(t *testing.T) {
		w := masterWorld(t, c)
		claim(w, "192.0.2.11", stranger) // its last byte is not even ours
		w.pass(time.Second)
		w.told()
		claim(w, vip, stranger)
		w.pass(time.Second)
		e := w.told("foreign_mac raised")[0]
		if ev := e.Alarm.Evidence[0]; ev.MAC != "02:00:00:00:00:09" || ev.Address != vip || !strings.Contains(e.Reason, "duplicate address") {
			t.Errorf("told %+v", e)
		}
		w.pass(70 * time.Second)
		w.told("foreign_mac clear")
		claim(w, vip, [6]byte{0, 0, 0x5e, 0, 1, 51})
		w.pass(time.Second)
		if e := w.told("foreign_mac raised")[0]; !strings.Contains(e.Reason, "protocol 112") {
			t.Errorf("told %+v", e)
		}
	})
	t.Run("our own hardware address", func(t *testing.T) {
		w := masterWorld(t, c)
		w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: link.Interface{Name: "eth1", Index: 3, Up: true, HardwareAddr: stranger[:]}})
		claim(w, vip, stranger)
		w.pass(2 * time.Second)
		w.told()
	})
	t.Run("what the former MASTER said", func(t *testing.T) {
		w := newWorld(t)
		claim(w, vip, stranger) // while we were none
		w.configure(nil, c)
		w.pass(20 * time.Second)
		w.told()
		// A master that gives way may have said so a moment ago.
		w.hear("192.0.2.2", 50, settings(&c))
		claim(w, vip, stranger)
		w.pass(2 * time.Second)
		w.told()
	})
	t.Run("sockets fail", func(t *testing.T) {
		w := newWorld(t)
		w.blind = errors.New("too many open files")
		w.configure(nil, c)
		w.pass(10 * time.Second)
		f := w.e.snapshot().Failures
		if len(f) != 1 || f[0].What != "watch who claims addresses on eth0" || f[0].Error != "too many open files" {
			t.Fatalf("status has %+v", f)
		}
		if f[0].Count < 2 || f[0].Count > 5 {
			t.Errorf("tried %d times", f[0].Count)
		}
		w.blind = nil
		w.pass(20 * time.Second)
		claim(w, vip, stranger)
		w.pass(time.Second)
		w.told("foreign_mac raised")
		if f := w.e.snapshot().Failures; len(f) != 0 {
			t.Errorf("status still has %+v", f)
		}
	})
}

// However many forged packets come, there is one alarm, no log line and no
// allocation, and they are counted with their newest sender.
func TestFloodOfForgedPackets(t *testing.T) {
	var log bytes.Buffer
	c := instance("web", 51, 100, "192.0.2.10/32")
	w := masterWorld(t, c)
	w.e.log = slog.New(slog.NewTextHandler(&log, nil))
	s := settings(&c)
	s.Version = 2
	pdu, _ := vrrp.AppendAdvert(nil, &s, 250, netip.MustParseAddr("10.0.0.1"), vrrp.Group4())
	n := 0
	flood := func() {
		n++
		w.e.receive("eth0", link.Datagram{
			Src: netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), Dst: vrrp.Group4(), TTL: 255, Payload: pdu, Arrival: w.now,
		})
	}
	for range 50 {
		for range 100 {
			flood()
		}
		w.pass(100 * time.Millisecond)
	}
	w.told("peer_version raised")
	if a := w.alarm("peer_version"); a.Count != 5000 || len(a.Evidence) != vrrp.MaxEvidence {
		t.Errorf("%d sightings of %d hosts", a.Count, len(a.Evidence))
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
	d := w.router("web").Dropped
	if len(d) != 1 || d[0].Reason != "wrong_version" || d[0].Count != 5000 || d[0].Peer != netip.MustParseAddr("10.1.19.136") || d[0].Last.IsZero() {
		t.Errorf("dropped: %+v", d)
	}
	if n := testing.AllocsPerRun(1000, flood); n > 0 {
		t.Errorf("%v allocations for a packet", n)
	}
	// What says nothing about a configuration is logged, once a minute whoever sends it.
	for i := range 100 {
		w.e.receive("eth0", link.Datagram{Src: netip.AddrFrom4([4]byte{10, 1, 1, byte(i)}), Dst: vrrp.Group4(), TTL: 255, Payload: pdu[:8], Arrival: w.now})
		w.pass(100 * time.Millisecond)
	}
	if n := strings.Count(log.String(), "advert dropped"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
