package vrrpd

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
	"director/vrrp/link"
)

// dual is a world whose host speaks both families.
func dual(t *testing.T) *world {
	w := newWorld(t)
	w.mixed(true, "192.0.2.1/24", "fe80::1/64", "2001:db8::1/64")
	return w
}

// mixed says what eth0 has.
func (w *world) mixed(up bool, addrs ...string) { w.link("eth0", 2, up, addrs...) }

func (w *world) hear6(from string, prio uint8, c *config.Instance) {
	s := familySettings(c, vrrp.IPv6)
	src := netip.MustParseAddr(from)
	pdu, err := vrrp.AppendAdvert(nil, &s, prio, src, s.Multicast())
	if err != nil {
		w.t.Fatal(err)
	}
	w.e.receive("eth0", link.Datagram{Src: src, Dst: s.Multicast(), TTL: 255, Payload: pdu, Arrival: w.now})
}

// sides returns the state of an instance over each family.
func (w *world) sides(name string) string {
	var list []string
	for _, i := range w.e.snapshot().Instances {
		if i.Name == name {
			list = append(list, i.Family+" "+i.State)
		}
	}
	return strings.Join(list, ", ")
}

func (w *world) wantSides(name, want string) {
	w.t.Helper()
	if got := w.sides(name); got != want {
		w.t.Errorf("%s is %s, want %s", name, got, want)
	}
}

// An instance with both families moves as one, and is told of once.
func TestBothFamilies(t *testing.T) {
	w := dual(t)
	c := instance("web", 51, 100, "2001:db8::10/64", "192.0.2.10/24", "fe80::51/64")
	c.Excluded = []config.VirtualAddress{{Prefix: netip.MustParsePrefix("2001:db8::11/64")}}
	if err := w.configure(nil, c); err != nil {
		t.Fatal(err)
	}
	w.want("web INIT->BACKUP (started)")
	// The master is heard over one family only: nothing moves.
	for range 10 {
		w.pass(time.Second)
		w.hear("192.0.2.2", 200, settings(&c))
	}
	w.want()
	if g := w.e.snapshot().Groups; g != nil {
		t.Errorf("a pair is shown as a sync group: %+v", g)
	}
	w.pass(4 * time.Second)
	w.want(
		"advert 100 from 192.0.2.1", "advert 100 from fe80::1",
		"add 192.0.2.10/24", "announce 192.0.2.10/24",
		"add 2001:db8::10/64", "add fe80::51/64", "add 2001:db8::11/64",
		"announce 2001:db8::10/64", "announce fe80::51/64", "announce 2001:db8::11/64",
		"web BACKUP->MASTER (master_down)",
	)
	if a := w.advert6(); !a[0].IsLinkLocalUnicast() || len(a) != 2 {
		t.Errorf("addresses of the advert over IPv6: %v", a)
	}

	// A better one over IPv6 takes both away.
	w.hear6("fe80::2", 200, &c)
	w.settle()
	w.wantSides("web", "ipv4 BACKUP, ipv6 BACKUP")
	if log := w.take(); strings.Count(log, "web MASTER->BACKUP (higher_priority)") != 1 || strings.Count(log, "web ") != 1 ||
		!strings.Contains(log, "advert 0 from 192.0.2.1") {
		t.Errorf("log:\n%s", log)
	}

	// The link-local address goes: both are in FAULT, for the reason of the one.
	w.mixed(true, "192.0.2.1/24", "2001:db8::1/64")
	w.want("web BACKUP->FAULT (no_source_address)")
	for _, i := range w.e.snapshot().Instances {
		want := "no source address: interface eth0 has no IPv6 link-local address of its own that is ready for use"
		if i.Family == "ipv4" {
			want = "with IPv6: " + want
		}
		if i.State != "FAULT" || i.Reason != want {
			t.Errorf("%s is %s: %s", i.Family, i.State, i.Reason)
		}
	}
	// One that is virtual does not help, one of the host's own does.
	w.mixed(true, "192.0.2.1/24", "fe80::51/64")
	w.want()
	w.mixed(true, "192.0.2.1/24", "fe80::9/64", "fe80::2/64", "fe80::51/64")
	w.want("web FAULT->BACKUP (recovered)")
	if i := w.side("web", "ipv6"); i.Source != "fe80::2" {
		t.Errorf("the source is %s", i.Source)
	}
	w.pass(5 * time.Second)
	w.wantSides("web", "ipv4 MASTER, ipv6 MASTER")
	w.take()
	// The end is told when the addresses of both are off.
	w.hold = true
	w.e.stop(w.now)
	w.settle()
	if log := w.take(); strings.Contains(log, "web ") {
		t.Errorf("told too early:\n%s", log)
	}
	w.hold = false
	w.settle()
	w.want("web MASTER->STOP (stopped)")
	if !w.gone() || len(w.kernel) != 0 {
		t.Errorf("left behind: %v", w.kernel)
	}
}

func (w *world) side(name, family string) control.Instance {
	w.t.Helper()
	for _, i := range w.e.snapshot().Instances {
		if i.Name == name && i.Family == family {
			return i
		}
	}
	w.t.Fatalf("no instance %s over %s", name, family)
	return control.Instance{}
}

// advert6 are the addresses that the next advert over IPv6 lists.
func (w *world) advert6() []netip.Addr {
	for _, r := range w.e.order {
		if r.key.family == vrrp.IPv6 {
			return r.sm.Settings().Addresses
		}
	}
	return nil
}

// A reload that adds a family or takes it away leaves the other in peace.
func TestReloadOfAFamily(t *testing.T) {
	w := dual(t)
	four := instance("web", 51, 100, "192.0.2.10/24")
	both := instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64")
	must := func(c ...config.Instance) {
		t.Helper()
		if err := w.configure(nil, c...); err != nil {
			t.Fatal(err)
		}
	}
	quiet := func(what string, absent ...string) {
		t.Helper()
		log := w.take()
		for _, a := range append(absent, "web ", "remove 192.0.2.10", "advert 0 from 192.0.2.1") {
			if strings.Contains(log, a) {
				t.Errorf("%s:\n%s", what, log)
			}
		}
	}
	must(four)
	w.pass(4 * time.Second)
	w.take()
	must(both)
	w.wantSides("web", "ipv4 MASTER, ipv6 BACKUP")
	must(both)
	w.pass(4 * time.Second)
	w.wantSides("web", "ipv4 MASTER, ipv6 MASTER")
	quiet("IPv6 was added")
	if i := w.side("web", "ipv4"); i.Transitions != 2 {
		t.Errorf("%d transitions over IPv4", i.Transitions)
	}
	must(four)
	w.wantSides("web", "ipv4 MASTER")
	quiet("IPv6 was taken away")
	if w.kernel["eth0 2001:db8::10/64"] || !w.kernel["eth0 192.0.2.10/24"] || !w.gone() {
		t.Errorf("the kernel holds %v", w.kernel)
	}
	w.pass(time.Minute)
	w.wantSides("web", "ipv4 MASTER")
	w.take()

	// Each family can become an instance of its own, and they can join again.
	must(both)
	w.pass(4 * time.Second)
	w.take()
	must(instance("v4", 51, 100, "192.0.2.10/24"), instance("v6", 51, 100, "2001:db8::10/64"))
	must(both)
	w.pass(10 * time.Second)
	w.wantSides("web", "ipv4 MASTER, ipv6 MASTER")
	quiet("parted and joined")

	// Parted while they differ, each tells of itself from where it is.
	must(four)
	must(both)
	w.take()
	must(instance("v4", 51, 100, "192.0.2.10/24"), instance("v6", 51, 100, "2001:db8::10/64"))
	w.pass(4 * time.Second)
	if log := w.take(); strings.Count(log, "v6 BACKUP->MASTER (master_down)") != 1 || strings.Contains(log, "v4 ") {
		t.Errorf("parted:\n%s", log)
	}
	must(both)
	w.take()

	// IPv4 is added to IPv6, and the file read once more before it is MASTER.
	must(instance("web", 51, 100, "2001:db8::10/64"))
	w.pass(4 * time.Second)
	w.take()
	must(both)
	must(both)
	w.wantSides("web", "ipv4 BACKUP, ipv6 MASTER")
	w.pass(4 * time.Second)
	w.wantSides("web", "ipv4 MASTER, ipv6 MASTER")
	if log := w.take(); strings.Contains(log, "web ") {
		t.Errorf("IPv4 was added:\n%s", log)
	}

	// With another number it is told to stop, and to start, once each.
	both.VRID = 52
	must(both)
	if log := w.take(); strings.Count(log, "web MASTER->STOP (removed)") != 1 || strings.Count(log, "web INIT->BACKUP (started)") != 1 {
		t.Errorf("another number:\n%s", log)
	}
}

// The successor of a process that died goes on over both families, or over none.
func TestResumeOfBothFamilies(t *testing.T) {
	former := func(state4, state6 string) *control.VRRP {
		return &control.VRRP{Instances: []control.Instance{
			{Name: "web", Family: "ipv4", Interface: "eth0", VRID: 51, State: state4, Mono: 1},
			{Name: "web", Family: "ipv6", Interface: "eth0", VRID: 51, State: state6, Mono: 1},
		}}
	}
	c := instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64")
	for _, tc := range []struct{ four, six, want, event string }{
		{"MASTER", "MASTER", "ipv4 MASTER, ipv6 MASTER", "web INIT->MASTER (resumed)"},
		{"MASTER", "BACKUP", "ipv4 BACKUP, ipv6 BACKUP", "web INIT->BACKUP (started)"},
	} {
		w := dual(t)
		if err := w.resume(resumeOf(former(tc.four, tc.six)), nil, c); err != nil {
			t.Fatal(err)
		}
		w.wantSides("web", tc.want)
		if log := w.take(); strings.Count(log, "web ") != 1 || !strings.Contains(log, tc.event) {
			t.Errorf("%s, %s:\n%s", tc.four, tc.six, log)
		}
	}
}

// Both sides of an instance are members of its sync group.
func TestBothFamiliesInASyncGroup(t *testing.T) {
	w := dual(t)
	w.link("eth1", 3, true, "10.0.0.1/24")
	inside := instance("inside", 52, 100, "10.0.0.10/24")
	inside.Interface = "eth1"
	c := &config.Config{
		Instances: []config.Instance{instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64"), inside},
		Groups:    []config.SyncGroup{{Name: "farm", Members: []string{"web", "inside"}}},
	}
	if err := w.e.configure(w.now, &watchdog.Configure{Generation: 1, Config: c}); err != nil {
		t.Fatal(err)
	}
	w.pass(5 * time.Second)
	w.wantSides("web", "ipv4 MASTER, ipv6 MASTER")
	w.take()
	w.link("eth1", 3, false, "10.0.0.1/24")
	log := w.take()
	for _, line := range []string{"web MASTER->FAULT (sync_group)", "inside MASTER->FAULT (interface_down)", "farm MASTER->FAULT (interface_down)"} {
		if strings.Count(log, line) != 1 {
			t.Errorf("no %q in\n%s", line, log)
		}
	}
	if strings.Count(log, "->") != 3 {
		t.Errorf("log:\n%s", log)
	}
	w.link("eth1", 3, true, "10.0.0.1/24")
	w.mixed(true, "192.0.2.1/24")
	if i := w.router("inside"); i.State != "FAULT" || !strings.Contains(i.Reason, "web (IPv6): no source address") {
		t.Errorf("inside is %s: %s", i.State, i.Reason)
	}
}

// An advert that does not fit is a fault that says what to do.
func TestAdvertTooLongForIPv6(t *testing.T) {
	w := newWorld(t)
	c := instance("web", 51, 100)
	for i := range 91 {
		c.Addresses = append(c.Addresses, config.VirtualAddress{
			Prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 2: 0x0d, 3: 0xb8, 15: byte(i + 1)}), 64),
		})
	}
	ifi := link.Interface{Name: "eth0", Index: 2, Up: true, MTU: 1500, Addrs: []netip.Prefix{netip.MustParsePrefix("fe80::1/64")}}
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: ifi})
	if err := w.configure(nil, c); err != nil {
		t.Fatal(err)
	}
	want := "adverts are too long: 91 IPv6 addresses make 1504 bytes, and eth0 takes 1500, which is enough for 90 addresses; others can be in virtual_ipaddress_excluded"
	if i := w.router("web"); i.State != "FAULT" || i.Reason != want {
		t.Errorf("web is %s: %s", i.State, i.Reason)
	}
	ifi.MTU = 9000
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: ifi})
	if i := w.router("web"); i.State != "BACKUP" {
		t.Errorf("web is %s: %s", i.State, i.Reason)
	}
}

// What is unusual in the adverts of others is counted and no reason to drop them.
func TestAdvertsOfOthersAreCounted(t *testing.T) {
	w := dual(t)
	c := instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64", "fe80::51/64")
	if err := w.configure(nil, c); err != nil {
		t.Fatal(err)
	}
	s := settings(&c)
	w.hear("192.0.2.2", 200, s)
	s.Checksum = vrrp.ChecksumPlain
	w.hear("192.0.2.2", 200, s)
	w.hear("192.0.2.2", 200, s)
	if i := w.side("web", "ipv4"); i.Checksums["plain"] != 2 || i.Checksums["pseudo-header"] != 1 {
		t.Errorf("counted %v", i.Checksums)
	}
	w.hear6("fe80::2", 200, &c)
	c.Addresses = c.Addresses[:2]
	w.hear6("fe80::2", 200, &c)
	if i := w.side("web", "ipv6"); i.AdvertsHeard != 2 || i.GlobalFirst != 1 || len(i.Discards) > 0 {
		t.Errorf("heard %d, %d of them begin with a global address, dropped %v", i.AdvertsHeard, i.GlobalFirst, i.Discards)
	}
}

// A socket that cannot be opened for one family holds up both, until it can.
func TestOneSocketFails(t *testing.T) {
	w := dual(t)
	w.open["eth0 ipv6"] = errors.New("no such device")
	c := instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64")
	if err := w.configure(nil, c); err != nil {
		t.Fatal(err)
	}
	w.wantSides("web", "ipv4 FAULT, ipv6 FAULT")
	w.open = nil
	w.pass(2 * time.Second)
	w.wantSides("web", "ipv4 BACKUP, ipv6 BACKUP")
}

// Adverts of an instance with both families cost no allocation either.
func TestAdvertsOfBothFamiliesAllocateNothing(t *testing.T) {
	e, s, c, now := many(0, 1, 255)
	ifi := sinkLink(0, true)
	ifi.Addrs = append(ifi.Addrs, netip.MustParsePrefix("fe80::1/64"))
	s.change(e, now, ifi)
	c.Config.Instances = []config.Instance{instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64")}
	if err := e.configure(now, c); err != nil {
		t.Fatal(err)
	}
	set := familySettings(&c.Config.Instances[0], vrrp.IPv6)
	src := netip.MustParseAddr("fe80::2")
	pdu, err := vrrp.AppendAdvert(nil, &set, 200, src, set.Multicast())
	if err != nil {
		t.Fatal(err)
	}
	d := link.Datagram{Src: src, Dst: set.Multicast(), TTL: 255, Payload: pdu}
	hear := func() {
		now = now.Add(10 * time.Millisecond)
		d.Arrival = now
		e.receive("eth0", d)
		e.tick(now)
		e.flush(now)
	}
	for range 100 { // past the first snapshot
		hear()
	}
	if n := testing.AllocsPerRun(100, hear); n != 0 {
		t.Errorf("%v allocations to receive an advert over IPv6", n)
	}
	// As MASTER over both.
	now = now.Add(10 * time.Second)
	e.tick(now)
	e.flush(now)
	now = now.Add(time.Second)
	e.tick(now)
	e.flush(now)
	before, rounds := s.adverts, 0
	if n := testing.AllocsPerRun(50, func() {
		now = now.Add(time.Second)
		rounds++
		e.tick(now)
		e.flush(now)
	}); n != 0 || s.adverts-before != 2*rounds {
		t.Errorf("%v allocations, %d adverts in %d rounds", n, s.adverts-before, rounds)
	}
}

// A family that is taken away says good-bye, and its socket is then left alone.
func TestSocketOfAFamilyIsClosed(t *testing.T) {
	w := dual(t)
	if err := w.configure(nil, instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64")); err != nil {
		t.Fatal(err)
	}
	w.pass(5 * time.Second)
	w.take()
	if err := w.configure(nil, instance("web", 51, 100, "192.0.2.10/24")); err != nil {
		t.Fatal(err)
	}
	if log := w.take(); strings.Count(log, "advert 0 from fe80::1") != 1 {
		t.Errorf("log:\n%s", log)
	}
	if _, open := w.socks["eth0 ipv6"]; open {
		t.Errorf("sockets %v", w.socks)
	}
}

// An interface that was too narrow for IPv6 for a while has forgotten the groups of
// its sockets: those of IPv6 are opened anew, those of IPv4 stay.
func TestSocketsAfterATooSmallMTU(t *testing.T) {
	w := newWorld(t)
	mtu := func(n int) {
		w.e.linkEvent(w.now, link.Event{Kind: link.LinkChanged, Interface: link.Interface{Name: "eth0", Index: 2, Up: true, MTU: n,
			Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("fe80::1/64")}}})
	}
	mtu(1500)
	if err := w.configure(nil, instance("web", 51, 100, "192.0.2.10/24", "2001:db8::10/64")); err != nil {
		t.Fatal(err)
	}
	sock := func(f vrrp.Family) socket { return w.e.ports[portKey{device: "eth0", family: f}].sock }
	four, six := sock(vrrp.IPv4), sock(vrrp.IPv6)
	mtu(9000)
	if sock(vrrp.IPv6) != six {
		t.Error("opened anew without need")
	}
	mtu(1000)
	mtu(1500)
	if sock(vrrp.IPv6) == six || sock(vrrp.IPv6) == nil || sock(vrrp.IPv4) != four {
		t.Errorf("sockets %v and %v", sock(vrrp.IPv4), sock(vrrp.IPv6))
	}
}
