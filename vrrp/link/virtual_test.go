package link

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// lan is a virtual router with virtual MAC addresses on host h, between a client and a
// host far behind it. The client sends what goes to far by the virtual MAC addresses,
// whether somebody takes it or not.
type lan struct {
	t              *testing.T
	client, h, far *host
	next           func(func([]byte) bool) []byte // what the client hears
	worker         *Worker
	results        *results
	jobs           uint64
}

const (
	virtual4, virtual6 = "10.0.0.100", "fd00::100"
	vmac4, vmac6       = "00:00:5e:00:01:33", "00:00:5e:00:02:33"
)

func newLAN(t *testing.T) *lan {
	l := &lan{t: t, client: newHost(t), h: newHost(t), far: newHost(t)}
	cable(l.client, "eth0", "10.0.0.2/24", l.h, "eth0", "10.0.0.1/24")
	cable(l.h, "eth1", "10.9.0.1/24", l.far, "eth0", "10.9.0.2/24")
	l.client.address("eth0", "fd00::2/64")
	l.h.address("eth0", "fd00::1/64")
	l.h.address("eth1", "fd09::1/64")
	l.far.address("eth0", "fd09::2/64")
	l.h.inside(func() {
		for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0); err != nil {
				t.Error(err)
			}
		}
	})
	l.far.run("ip", "route", "add", "10.0.0.0/24", "via", "10.9.0.1")
	l.far.run("ip", "-6", "route", "add", "fd00::/64", "via", "fd09::1")
	// The next hop towards far, with a neighbour entry that nobody has to confirm.
	for _, hop := range []struct{ family, gate, mac, to string }{
		{"-4", "10.0.0.99", vmac4, "10.9.0.0/24"}, {"-6", "fd00::99", vmac6, "fd09::/64"},
	} {
		l.client.run("ip", hop.family, "neigh", "add", hop.gate, "lladdr", hop.mac, "dev", "eth0", "nud", "permanent")
		l.client.run("ip", hop.family, "route", "add", hop.to, "via", hop.gate)
	}
	// Packets that h passes on wait for its link-local address.
	eventually(t, "far answers h", func() bool { return l.reaches(l.h, "fd09::2") && l.reaches(l.client, "fd00::1") })
	l.next = l.client.capture("eth0")
	l.worker, l.results = newWorker(l.h)
	return l
}

func (l *lan) do(op Op, items ...Item) {
	l.t.Helper()
	l.jobs++
	l.worker.Submit(Job{ID: l.jobs, Instance: "web", Op: op, Items: items})
	l.results.ok(l.jobs)
}

// reaches says whether a ping from a host to an address is answered.
func (l *lan) reaches(from *host, options ...string) (ok bool) {
	from.inside(func() {
		ok = exec.Command("ping", append([]string{"-c1", "-W0.2"}, options...)...).Run() == nil
	})
	return ok
}

// answered is reaches on a machine that is busy: it asks again.
func (l *lan) answered(from *host, options ...string) bool {
	for range 20 {
		if l.reaches(from, options...) {
			return true
		}
	}
	return false
}

// holder is who answers the client's question for an address.
func (l *lan) holder(addr string) string {
	return in(l.client, func() (net.HardwareAddr, error) {
		return ProbeAddress(l.t.Context(), "eth0", netip.MustParseAddr(addr), 300*time.Millisecond)
	}).String()
}

// frames is everything that the client's interface has sent and received since the last call.
func (l *lan) frames() (all [][]byte) {
	l.t.Helper()
	l.answered(l.client, append(marked, "10.0.0.1")...)
	l.next(func(f []byte) bool {
		all = append(all, slices.Clone(f))
		return isMarked(f)
	})
	return all
}

// marked makes an echo request, and isMarked knows the answer: it ends a capture.
var marked = []string{"-p", "cafe", "-s", "40"}

func isMarked(f []byte) bool {
	return len(f) == 14+20+8+40 && f[23] == 1 && f[34] == 0 && string(f[80:]) == "\xca\xfe"
}

// speaksFor lists under which MAC addresses the frames speak for an address: in ARP as
// the sender, in neighbour advertisements as the target, in solicitations as the source.
func speaksFor(frames [][]byte, addr string) map[string]int {
	a := netip.MustParseAddr(addr).AsSlice()
	macs := make(map[string]int)
	note := func(what string, frame, said []byte) {
		macs[what+" "+net.HardwareAddr(frame[6:12]).String()]++
		if len(said) == 6 {
			macs[what+" "+net.HardwareAddr(said).String()]++
		}
	}
	for _, f := range frames {
		switch {
		case len(f) >= 42 && f[12] == 8 && f[13] == 6 && slices.Equal(f[28:32], a):
			note("ARP", f, f[22:28])
		case len(f) >= 78 && f[12] == 0x86 && f[20] == 58 && f[54] == neighborAdvertisement && slices.Equal(f[62:78], a):
			said := f[len(f):]
			if len(f) >= 86 {
				said = f[80:86]
			}
			note("NA", f, said)
		case len(f) >= 86 && f[12] == 0x86 && f[20] == 58 && f[54] == 135 && slices.Equal(f[22:38], a):
			note("NS", f, f[80:86])
		}
	}
	return macs
}

// A router with virtual MAC addresses as the link sees it, backup, MASTER and backup
// again (RFC 9568 sections 6.4.2, 6.4.3, 7.3, 8.1 and 8.2).
func TestVirtualRouterOnTheLink(t *testing.T) {
	l := newLAN(t)
	virtual := []string{virtual4, virtual6}
	v4 := VMAC{Device: "vrrp.51", Parent: "eth0", MAC: MAC{0, 0, 0x5e, 0, 1, 51}}
	v6 := VMAC{Device: "vrrp6.51", Parent: "eth0", MAC: MAC{0, 0, 0x5e, 0, 2, 51}}
	l.do(Add, Setting{"eth0", ARPIgnore, 1}, Setting{"eth0", ARPAnnounce, 2}, v4, v6)

	backup := func(when string) {
		t.Helper()
		l.frames()
		for _, addr := range virtual {
			if got := l.holder(addr); got != "" {
				t.Errorf("%s: %s is answered for by %s", when, addr, got)
			}
			if l.reaches(l.client, addr) {
				t.Errorf("%s: %s takes packets", when, addr)
			}
		}
		for _, addr := range []string{"10.9.0.2", "fd09::2"} {
			if l.reaches(l.client, addr) {
				t.Errorf("%s: frames to the virtual MAC address are taken, on the way to %s", when, addr)
			}
		}
		for _, f := range l.frames() {
			if from := net.HardwareAddr(f[6:12]).String(); from == vmac4 || from == vmac6 {
				t.Errorf("%s: a frame from the virtual MAC address: %x", when, f)
			}
		}
	}
	backup("as backup")

	// The master: what is on the interface, in the order of the daemon.
	addresses := []Item{
		Address{Prefix: netip.MustParsePrefix(virtual4 + "/24"), Device: "vrrp.51"},
		Address{Prefix: netip.MustParsePrefix(virtual6 + "/64"), Device: "vrrp6.51"},
	}
	l.do(Add, Up{"vrrp.51"}, Up{"vrrp6.51"})
	l.do(Add, addresses...)
	l.do(Announce, addresses...)
	for i, want := range []string{vmac4, vmac6} {
		got := l.holder(virtual[i])
		for tries := 0; got == "" && tries < 20; tries++ { // a busy machine may answer late
			got = l.holder(virtual[i])
		}
		if got != want {
			t.Errorf("%s is answered for by %q, want %s", virtual[i], got, want)
		}
		if !l.answered(l.client, virtual[i]) {
			t.Errorf("%s does not take packets", virtual[i])
		}
	}
	for _, addr := range []string{"10.9.0.2", "fd09::2"} {
		if !l.answered(l.client, addr) {
			t.Errorf("frames to the virtual MAC address are not forwarded to %s", addr)
		}
	}
	if out := l.h.run("ip", "-6", "maddr", "show", "dev", "vrrp6.51"); !strings.Contains(out, "ff02::1:ff00:100") {
		t.Errorf("not in the solicited-node group of %s:\n%s", virtual6, out)
	}
	// It asks for the client, in the name of the virtual address.
	for i, addr := range []string{"10.0.0.2", "fd00::2"} {
		l.h.run("ip", "neigh", "flush", "dev", "eth0")
		l.h.run("ip", "-6", "neigh", "flush", "dev", "eth0")
		if !l.answered(l.h, "-I", virtual[i], addr) {
			t.Errorf("%s does not reach the client from %s", virtual[i], addr)
		}
	}
	all := l.frames()
	for i, want := range []string{vmac4, vmac6} {
		macs := speaksFor(all, virtual[i])
		for said := range macs {
			if !strings.HasSuffix(said, " "+want) {
				t.Errorf("%s is spoken for by %s", virtual[i], said)
			}
		}
		// The announcement and the answers.
		if kind := []string{"ARP ", "NA "}[i]; macs[kind+want] < 4 {
			t.Errorf("%s: %v", virtual[i], macs)
		}
	}
	// Nothing that was sent to the addresses was passed on.
	for _, f := range all {
		from := net.HardwareAddr(f[6:12]).String()
		if from != vmac4 && from != vmac6 && from != l.h.iface("eth0").HardwareAddr.String() {
			continue
		}
		if f[12] == 8 && f[13] == 0 && slices.Equal(f[30:34], ip(virtual4).AsSlice()) || f[12] == 0x86 && slices.Equal(f[38:54], ip(virtual6).AsSlice()) {
			t.Errorf("a packet to a virtual address was forwarded: %x", f)
		}
	}

	l.do(Remove, addresses...)
	l.do(Remove, Up{"vrrp.51"}, Up{"vrrp6.51"})
	backup("as backup again")
}

// Packets to a virtual address end at the MASTER, whether it takes them or, without
// Accept_Mode, drops them: they are never forwarded, not even where a route leads on
// (RFC 9568 section 8.3.1).
func TestPacketsToAVirtualAddressAreNotForwarded(t *testing.T) {
	l := newLAN(t)
	far := l.far.capture("eth0")
	// Were the addresses not there, this is where packets to them would go.
	l.h.run("ip", "route", "add", virtual4+"/32", "via", "10.9.0.2")
	l.h.run("ip", "-6", "route", "add", virtual6+"/128", "via", "fd09::2")
	l.client.run("ip", "neigh", "add", virtual4, "lladdr", l.h.iface("eth0").HardwareAddr.String(), "dev", "eth0")
	l.client.run("ip", "-6", "neigh", "add", virtual6, "lladdr", l.h.iface("eth0").HardwareAddr.String(), "dev", "eth0")
	forwarded := func() (n int) {
		l.reaches(l.client, virtual4)
		l.reaches(l.client, virtual6)
		l.answered(l.h, append(marked, "10.9.0.2")...)
		far(func(f []byte) bool {
			if f[12] == 8 && f[13] == 0 && slices.Equal(f[30:34], ip(virtual4).AsSlice()) || f[12] == 0x86 && slices.Equal(f[38:54], ip(virtual6).AsSlice()) {
				n++
			}
			return isMarked(f)
		})
		return n
	}
	if forwarded() != 2 {
		t.Error("without the addresses packets to them do not take the route")
	}
	addresses := vips("eth0", virtual4+"/24", virtual6+"/64")
	l.do(Add, addresses...)
	// The kernel puts the route of an IPv6 address in force in its own time.
	if !l.answered(l.client, virtual4) || !l.answered(l.client, virtual6) {
		t.Error("the addresses do not answer")
	}
	forwarded() // until then
	if n := forwarded(); n > 0 {
		t.Errorf("%d packets are forwarded", n)
	}
	k := l.h.kernel()
	for _, addr := range []string{virtual4, virtual6} {
		if _, err := (Block{ip(addr)}).add(k); err != nil {
			t.Fatal(err)
		}
	}
	if n := forwarded(); n > 0 || l.reaches(l.client, virtual4) || l.reaches(l.client, virtual6) {
		t.Errorf("without Accept_Mode %d packets are forwarded, or the addresses answer", n)
	}
}

// What is not taken without Accept_Mode is data: questions that go to a virtual address
// itself, as a neighbour asks who wants to know whether it is still there, are answered,
// and answers to what is asked in its name arrive (RFC 9568 section 6.4.3).
func TestNeighbourDiscoveryWithoutAcceptMode(t *testing.T) {
	l := newLAN(t)
	l.do(Add, vips("eth0", virtual6+"/64")...)
	if _, err := (Block{ip(virtual6)}).add(l.h.kernel()); err != nil {
		t.Fatal(err)
	}
	mac := l.h.iface("eth0").HardwareAddr.String()
	l.client.run("ip", "-6", "neigh", "replace", virtual6, "lladdr", mac, "dev", "eth0", "nud", "probe")
	eventually(t, "the neighbour's question is answered", func() bool {
		return strings.Contains(l.client.run("ip", "-6", "neigh", "show", virtual6), "REACHABLE")
	})
	l.h.run("ip", "-6", "neigh", "flush", "dev", "eth0")
	eventually(t, "the address's own question is answered", func() bool {
		if l.reaches(l.h, "-I", virtual6, "fd00::2") {
			t.Fatal("the echo reply is taken")
		}
		return strings.Contains(l.h.run("ip", "-6", "neigh", "show", "fd00::2"), "lladdr")
	})
}
