package link

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"director/vrrp"
)

// newPair6 is a pair that speaks over IPv6, from fe80::a and fe80::b.
func newPair6(t testing.TB, vrids ...uint8) *pair {
	t.Helper()
	p := &pair{a: newHost(t), b: newHost(t)}
	cable(p.a, "eth0", "fe80::a/64", p.b, "eth0", "fe80::b/64")
	p.a.address("eth0", "2001:db8::a/64")
	p.b.address("eth0", "2001:db8::b/64")
	p.pa, p.pb = p.a.poller(), p.b.poller()
	open := func(h *host, poller *Poller) *Socket {
		s := in(h, func() (*Socket, error) { return poller.Open(h.iface("eth0"), vrrp.IPv6, func(Datagram) {}) })
		h.must(s.SetVRIDs(vrids))
		return s
	}
	p.sa, p.sb = open(p.a, p.pa), open(p.b, p.pb)
	return p
}

func TestIPv6AdvertsBothWays(t *testing.T) {
	p := newPair6(t, 51)
	for _, way := range []struct {
		name     string
		from, to *Socket
		heard    *Poller
		src, dst netip.Addr
		ttl      uint8
	}{
		{"a to all", p.sa, p.sb, p.pb, ip("fe80::a"), vrrp.IPv6.Group(), 255},
		{"b to all", p.sb, p.sa, p.pa, ip("fe80::b"), vrrp.IPv6.Group(), 255},
		{"unicast", p.sa, p.sb, p.pb, ip("2001:db8::a"), ip("2001:db8::b"), 7},
		{"unicast, link-local", p.sa, p.sb, p.pb, ip("fe80::a"), ip("fe80::b"), 255},
	} {
		before := time.Now()
		way.from.Queue(way.src, way.dst, way.ttl, advert(51))
		way.from.Queue(way.src, way.dst, way.ttl, advert(52)) // not for them
		if err := way.from.Flush(); err != nil {
			t.Fatalf("%s: %v", way.name, err)
		}
		got := listen(t, way.heard, 1)[way.to]
		arrival := got[0].arrival
		got[0].arrival = time.Time{}
		want := heard{src: way.src.String(), dst: way.dst.String(), ttl: int(way.ttl), vrid: 51, length: 12}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: heard %v, want %v", way.name, got, want)
		}
		if arrival.Before(before.Add(-time.Millisecond)) || arrival.After(time.Now()) {
			t.Errorf("%s: arrival %v after it was sent", way.name, arrival.Sub(before))
		}
		silence(t, way.heard)
	}
	silence(t, p.pa) // its own
	total, err := p.sb.Foreign(func(d Datagram) {
		if !d.Src.Is6() || !d.Dst.Is6() || d.TTL == 0 || d.Payload[1] != 52 {
			t.Errorf("%+v", d)
		}
	})
	if total != 3 || err != nil {
		t.Errorf("%d foreign packets: %v", total, err)
	}
	// A source that the host does not have is refused, and named.
	p.sa.Queue(ip("fe80::77"), vrrp.IPv6.Group(), 255, advert(51))
	if err := p.sa.Flush(); err == nil || !strings.Contains(err.Error(), "from fe80::77 to ff02::12") {
		t.Errorf("a source of nobody: %v", err)
	}
	// So is a packet that does not fit.
	p.sa.Queue(ip("fe80::a"), vrrp.IPv6.Group(), 255, make([]byte, 1461))
	if err := p.sa.Flush(); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a packet too long: %v", err)
	}
}

// A packet with 255 addresses, over a link that takes it.
func TestIPv6LongAdvert(t *testing.T) {
	p := newPair6(t, 51)
	for _, h := range []*host{p.a, p.b} {
		h.must(h.handle.LinkSetMTU(h.link("eth0"), 9000))
	}
	pdu := make([]byte, 8+255*16+28)
	copy(pdu, []byte{0x31, 51})
	p.sa.Queue(ip("fe80::a"), vrrp.IPv6.Group(), 255, pdu)
	if err := p.sa.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := listen(t, p.pb, 1)[p.sb]; got[0].length != len(pdu) {
		t.Errorf("heard %v", got)
	}
}

// Groups are joined and left while the socket works.
func TestGroups(t *testing.T) {
	for _, tc := range []struct {
		p          *pair
		src        string
		own, other netip.Addr
	}{
		{newPair(t, 51), "10.1.0.1", vrrp.IPv4.Group(), ip("224.0.0.118")},
		{newPair6(t, 51), "fe80::a", vrrp.IPv6.Group(), ip("ff02::118")},
	} {
		send := func(dst netip.Addr) {
			t.Helper()
			tc.p.sa.Queue(ip(tc.src), dst, 255, advert(51))
			if err := tc.p.sa.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		send(tc.other)
		silence(t, tc.p.pb)
		for _, groups := range [][]netip.Addr{{tc.own, tc.other}, {tc.other}, {tc.own}} {
			if err := tc.p.sb.SetGroups(groups); err != nil {
				t.Fatal(err)
			}
			send(tc.own)
			send(tc.other)
			got := listen(t, tc.p.pb, len(groups))[tc.p.sb]
			for _, h := range got {
				if !slices.Contains(groups, ip(h.dst)) {
					t.Errorf("in %v heard %v", groups, h)
				}
			}
			silence(t, tc.p.pb)
		}
	}
}

func TestIPv6AdvertsAllocateNothing(t *testing.T) {
	p := newPair6(t, 51)
	const burst = 20
	pdu, src, dst := advert(51), ip("fe80::a"), vrrp.IPv6.Group()
	count := 0
	p.sb.handle = func(Datagram) { count++ }
	if n := testing.AllocsPerRun(200, func() {
		before := count
		for range burst {
			p.sa.Queue(src, dst, 255, pdu)
		}
		if err := p.sa.Flush(); err != nil {
			t.Fatal(err)
		}
		p.receive(t, &count, before+burst)
	}); n != 0 && !raceEnabled {
		t.Errorf("%d adverts sent and received cost %v allocations", burst, n)
	}
}

// The filter of IPv6 looks where the packet begins.
func TestVRIDFilterIPv6(t *testing.T) {
	raw, err := vridFilter(wire{family: vrrp.IPv6}, []uint8{51}, true)
	if err != nil {
		t.Fatal(err)
	}
	program, _ := bpf.Disassemble(raw)
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		packet []byte
		keep   bool
	}{{advert(51), true}, {advert(50), false}, {[]byte{0x31}, false}, {nil, false}} {
		if n, err := vm.Run(tc.packet); err != nil || n > 0 != tc.keep {
			t.Errorf("%x: %d, %v", tc.packet, n, err)
		}
	}
}

func TestAdvertisementFrame(t *testing.T) {
	frame := "333300000001" + "020000000001" + "86dd" + // to all nodes, from us, IPv6
		"60000000" + "0020" + "3a" + "ff" + // 32 bytes of ICMPv6, hop limit 255
		"20010db8000000000000000000000010" + "ff020000000000000000000000000001" +
		"8800%s" + "%s000000" + // neighbour advertisement, flags
		"20010db8000000000000000000000010" + "0201" + "020000000001" // target, its hardware address
	for _, tc := range []struct {
		router          bool
		checksum, flags string
	}{{true, "790c", "a0"}, {false, "f90c", "20"}} {
		got := advertisement(mac("02:00:00:00:00:01"), ip("2001:db8::10"), tc.router)
		if want := fmt.Sprintf(frame, tc.checksum, tc.flags); hex.EncodeToString(got[:]) != want {
			t.Errorf("router %v\ngot  %x\nwant %s", tc.router, got, want)
		}
	}
}

// The same frame as keepalived 2.2.7 sends, on a host that does not forward.
func TestAdvertisementFrameOfKeepalived(t *testing.T) {
	const captured = "3333000000016637a85370e286dd" + "6000000000203aff" + "20010db8000000000000000000000100" +
		"ff020000000000000000000000000001" + "880079c020000000" + "20010db8000000000000000000000100" + "02016637a85370e2"
	got := advertisement(mac("66:37:a8:53:70:e2"), ip("2001:db8::100"), false)
	if hex.EncodeToString(got[:]) != captured {
		t.Errorf("got  %x\nwant %s", got, captured)
	}
}

// IPv6 addresses go on without detection of duplicates, one without a network as
// deprecated, and are announced as somebody else's decoder wants it.
func TestWorkerIPv6(t *testing.T) {
	a, b := cabled(t)
	next := b.capture("eth0")
	w, r := newWorker(a)
	list := vips("eth0", "2001:db8::10/64", "2001:db8::11/128", "fe80::51/64")
	single := list[1].(Address)
	single.Deprecated = true
	list[1] = single
	w.Submit(Job{ID: 1, Instance: "web", Op: Add, Items: list})
	w.Submit(Job{ID: 2, Instance: "web", Op: Announce, Items: list, Count: 1})
	r.ok(1)
	r.ok(2)
	have, err := a.handle.AddrList(a.link("eth0"), netlink.FAMILY_V6)
	a.must(err)
	seen := 0
	for _, h := range have {
		entry, _ := addressOf(h)
		if !slices.ContainsFunc(list, func(v Item) bool { return v.(Address).Prefix == entry.prefix }) {
			continue
		}
		seen++
		if h.Flags&unix.IFA_F_NODAD == 0 || h.Flags&unix.IFA_F_TENTATIVE != 0 || h.Flags&unix.IFA_F_PERMANENT == 0 {
			t.Errorf("%s has flags %#x", entry.prefix, h.Flags)
		}
		if single := entry.prefix.Bits() == 128; entry.passing != single || single != (h.PreferedLft == 0) {
			t.Errorf("%s: deprecated %v, preferred for %d", entry.prefix, entry.passing, h.PreferedLft)
		}
	}
	if seen != len(list) {
		t.Errorf("%d of %d addresses are there", seen, len(list))
	}
	isNA := func(f []byte) bool { return f[12] == 0x86 && f[13] == 0xdd && f[20] == 58 && f[54] == 136 }
	var frames [][]byte
	for i := range list {
		want := advertisement(a.iface("eth0").HardwareAddr, list[i].(Address).Prefix.Addr(), false)
		got := next(isNA)
		if !bytes.Equal(got, want[:]) {
			t.Errorf("frame %d\n     %x\nwant %x", i, got, want)
		}
		frames = append(frames, got)
	}
	file := filepath.Join(t.TempDir(), "na.pcap")
	if err := os.WriteFile(file, pcap(frames), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("tshark", "-r", file, "-T", "fields", "-E", "separator=|", "-e", "ipv6.dst", "-e", "ipv6.hlim",
		"-e", "icmpv6.nd.na.target_address", "-e", "icmpv6.nd.na.flag.o", "-e", "icmpv6.nd.na.flag.s", "-e", "icmpv6.opt.linkaddr",
		"-e", "icmpv6.checksum.status", "-e", "_ws.malformed", "-e", "_ws.expert.message").Output()
	if err != nil {
		t.Fatalf("tshark (Debian package tshark): %v", err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		want := fmt.Sprintf("ff02::1|255|%s|1|0|%s|1||", list[i].(Address).Prefix.Addr(), a.iface("eth0").HardwareAddr)
		if line = strings.NewReplacer("False", "0", "True", "1").Replace(line); line != want {
			t.Errorf("tshark: %s\nwant    %s", line, want)
		}
	}
	w.Submit(Job{ID: 3, Instance: "web", Op: Remove, Items: list})
	for _, res := range r.ok(3) {
		if res.Already {
			t.Errorf("%s was not there", res.Item.(Address).Prefix)
		}
	}
}

// A neighbour that knows the address with another MAC believes the announcement,
// and hears that a host that forwards is a router.
func TestNeighbourAdvertisementMovesAnAddress(t *testing.T) {
	a, b := cabled(t)
	next := b.capture("eth0")
	b.address("eth0", "2001:db8::b/64")
	vip := vips("eth0", "2001:db8::10/64")
	b.must(b.handle.NeighSet(&netlink.Neigh{
		LinkIndex: b.iface("eth0").Index, Family: netlink.FAMILY_V6, State: netlink.NUD_REACHABLE,
		IP: vip[0].(Address).Prefix.Addr().AsSlice(), HardwareAddr: mac("02:00:00:00:00:99"),
	}))
	in(a, func() (int, error) {
		return 0, os.WriteFile("/proc/sys/net/ipv6/conf/eth0/forwarding", []byte("1"), 0)
	})
	w, r := newWorker(a)
	w.Submit(Job{ID: 1, Instance: "web", Op: Announce, Items: vip})
	r.ok(1)
	eventually(t, "the neighbour's entry", func() bool {
		list, err := b.handle.NeighList(b.iface("eth0").Index, netlink.FAMILY_V6)
		b.must(err)
		return slices.ContainsFunc(list, func(n netlink.Neigh) bool {
			return n.IP.String() == "2001:db8::10" && n.HardwareAddr.String() == a.iface("eth0").HardwareAddr.String()
		})
	})
	if f := next(func(f []byte) bool { return f[12] == 0x86 && f[20] == 58 && f[54] == 136 && f[62] == 0x20 }); f[58] != 0xa0 {
		t.Errorf("flags %#x", f[58])
	}
}

// An address counts from when it is known to be unique, and no longer when it is
// found not to be. Deprecated and temporary ones count, but are marked.
func TestFlagsOfIPv6Addresses(t *testing.T) {
	var events []string
	tbl := newTable()
	tbl.setLink(Interface{Index: 2, Name: "eth0"})
	change := func(prefix string, flags uint32) {
		tbl.changeAddress(2, addrEntry{prefix: netip.MustParsePrefix(prefix)}.flagged(flags), func(e Event) {
			events = append(events, fmt.Sprint(e.Kind, " ", e.Prefix, " ", e.Interface.Addrs, " ", e.Interface.Passing))
		})
	}
	for _, step := range []struct {
		prefix string
		flags  uint32
		want   string
	}{
		{"fe80::1/64", unix.IFA_F_TENTATIVE | unix.IFA_F_PERMANENT, ""},
		{"fe80::1/64", unix.IFA_F_PERMANENT, "address added fe80::1/64 [fe80::1/64] []"},
		{"fe80::1/64", unix.IFA_F_PERMANENT, ""},
		{"2001:db8::1/64", unix.IFA_F_TENTATIVE | unix.IFA_F_OPTIMISTIC, "address added 2001:db8::1/64 [fe80::1/64 2001:db8::1/64] []"},
		{"2001:db8::2/64", unix.IFA_F_TEMPORARY, "address added 2001:db8::2/64 [fe80::1/64 2001:db8::1/64 2001:db8::2/64] [2001:db8::2]"},
		{"2001:db8::1/64", unix.IFA_F_DEPRECATED, "link changed invalid Prefix [fe80::1/64 2001:db8::2/64 2001:db8::1/64] [2001:db8::2 2001:db8::1]"},
		{"2001:db8::1/64", 0, "link changed invalid Prefix [fe80::1/64 2001:db8::2/64 2001:db8::1/64] [2001:db8::2]"},
		{"fe80::1/64", unix.IFA_F_DADFAILED | unix.IFA_F_TENTATIVE, "address removed fe80::1/64 [2001:db8::2/64 2001:db8::1/64] [2001:db8::2]"},
	} {
		events = nil
		change(step.prefix, step.flags)
		if got := strings.Join(events, "; "); got != step.want {
			t.Errorf("%s with %#x: %q, want %q", step.prefix, step.flags, got, step.want)
		}
	}
}

// The kernel tells when it has found an address to be unique.
func TestMonitorWaitsForUniqueAddresses(t *testing.T) {
	a, _ := cabled(t)
	w, _ := watch(a, monitorBuffer)
	prefix := netip.MustParsePrefix("2001:db8::7/64")
	address := netlinkAddr(Address{Prefix: prefix}, 0)
	address.Flags = 0
	a.must(a.handle.AddrAdd(a.link("eth0"), address))
	tentative := func() bool {
		list, err := a.handle.AddrList(a.link("eth0"), netlink.FAMILY_V6)
		a.must(err)
		return slices.ContainsFunc(list, func(x netlink.Addr) bool {
			return x.IP.String() == prefix.Addr().String() && x.Flags&unix.IFA_F_TENTATIVE != 0
		})
	}
	if !tentative() {
		t.Fatal("the kernel looks for no duplicate")
	}
	known := func() bool { return slices.Contains(w.named("eth0").Addrs, prefix) }
	w.mu.Lock()
	early := known()
	w.mu.Unlock()
	if early {
		t.Error("the address is told of while it is tentative")
	}
	w.await(t, "the address", known)
	if tentative() {
		t.Error("the address is told of while it is tentative")
	}
}
