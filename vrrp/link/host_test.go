package link

import (
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"director/vrrp"
)

// host is a network namespace of its own.
type host struct {
	t      testing.TB
	ns     netns.NsHandle
	handle *netlink.Handle
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t}
	// The goroutine ends with its thread locked, so the runtime throws the thread away.
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			h.ns, err = netns.Get()
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatalf("new network namespace (the test needs root): %v", err)
	}
	t.Cleanup(func() { h.ns.Close() })
	var err error
	if h.handle, err = netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.handle.Close)
	h.up("lo")
	return h
}

// in calls f on a thread that is in the host's namespace.
func in[T any](h *host, f func() (T, error)) T {
	h.t.Helper()
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread()
		var o outcome
		if o.err = netns.Set(h.ns); o.err == nil {
			o.value, o.err = f()
		}
		done <- o
	}()
	o := <-done
	if o.err != nil {
		h.t.Fatal(o.err)
	}
	return o.value
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// cable joins two hosts by a veth pair that is up, with an address on each end.
func cable(a *host, aName, aAddr string, b *host, bName, bAddr string) {
	a.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = aName
	a.must(a.handle.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: bName, PeerNamespace: netlink.NsFd(b.ns)}))
	for _, end := range []struct {
		h          *host
		name, addr string
	}{{a, aName, aAddr}, {b, bName, bAddr}} {
		if end.addr != "" {
			end.h.address(end.name, end.addr)
		}
		end.h.up(end.name)
	}
	eventually(a.t, "carrier", func() bool { return a.iface(aName).Up && b.iface(bName).Up })
}

func (h *host) link(name string) netlink.Link {
	h.t.Helper()
	l, err := h.handle.LinkByName(name)
	h.must(err)
	return l
}

func (h *host) up(name string) { h.t.Helper(); h.must(h.handle.LinkSetUp(h.link(name))) }

func (h *host) down(name string) { h.t.Helper(); h.must(h.handle.LinkSetDown(h.link(name))) }

func (h *host) address(name, prefix string) {
	h.t.Helper()
	h.must(h.handle.AddrAdd(h.link(name), netlinkAddr(Address{Prefix: netip.MustParsePrefix(prefix)}, 0)))
}

func (h *host) removeAddress(name, prefix string) {
	h.t.Helper()
	h.must(h.handle.AddrDel(h.link(name), netlinkAddr(Address{Prefix: netip.MustParsePrefix(prefix)}, 0)))
}

func (h *host) addresses(name string) []netlink.Addr {
	h.t.Helper()
	list, err := h.handle.AddrList(h.link(name), netlink.FAMILY_V4)
	h.must(err)
	return list
}

// prefixes are the IPv4 addresses of an interface as text, in the kernel's order.
func (h *host) prefixes(name string) []string {
	h.t.Helper()
	out := []string{}
	for _, a := range h.addresses(name) {
		out = append(out, a.IPNet.String())
	}
	return out
}

func (h *host) iface(name string) Interface {
	h.t.Helper()
	i := interfaceOf(h.link(name))
	for _, a := range h.addresses(name) {
		entry, _ := addressOf(a)
		i.Addrs = append(i.Addrs, entry.prefix)
	}
	return i
}

func (h *host) poller() *Poller {
	h.t.Helper()
	p, err := NewPoller()
	h.must(err)
	h.t.Cleanup(func() { h.must(p.Close()) })
	return p
}

func (h *host) open(p *Poller, name string, vrids ...uint8) *Socket {
	h.t.Helper()
	s := in(h, func() (*Socket, error) { return p.Open(h.iface(name), vrrp.IPv4, func(Datagram) {}) })
	h.must(s.SetVRIDs(vrids))
	return s
}

// capture returns a packet socket that hears all frames of an interface, and a
// function that returns the next one that keep accepts.
func (h *host) capture(name string) func(keep func([]byte) bool) []byte {
	h.t.Helper()
	fd := in(h, func() (int, error) {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(hton16(unix.ETH_P_ALL)))
		if err != nil {
			return fd, err
		}
		setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, 64<<20)
		return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: h.iface(name).Index, Protocol: hton16(unix.ETH_P_ALL)})
	})
	h.t.Cleanup(func() { unix.Close(fd) })
	h.must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 30}))
	buffer := make([]byte, 4096)
	return func(keep func([]byte) bool) []byte {
		h.t.Helper()
		for {
			n, _, err := unix.Recvfrom(fd, buffer, 0)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				h.t.Fatalf("capture on %s: %v", name, err)
			}
			if keep(buffer[:n]) {
				return slices.Clone(buffer[:n])
			}
		}
	}
}

// eventually waits for what the kernel does in its own time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s: not within a minute", what)
}

// advert is a version 3 packet with one address and a zero checksum.
func advert(vrid uint8) []byte {
	return []byte{0x31, vrid, 100, 1, 0, 100, 0, 0, 192, 0, 2, vrid}
}

// heard is a copy of a datagram that outlives the handler.
type heard struct {
	src, dst string
	ttl      int
	vrid     uint8
	length   int
	arrival  time.Time
}

// listen waits until a poller's sockets have given n datagrams in all.
func listen(t testing.TB, p *Poller, n int) map[*Socket][]heard {
	t.Helper()
	out := make(map[*Socket][]heard)
	deadline := time.Now().Add(30 * time.Second)
	total := 0
	for s := range p.sockets {
		s.handle = func(d Datagram) {
			out[s] = append(out[s], copyOf(d))
			total++
		}
	}
	for total < n {
		before := total
		if err := p.Wait(deadline); err != nil {
			t.Fatal(err)
		}
		if total == before && time.Now().After(deadline) {
			t.Fatalf("heard %d datagrams, want %d: %v", total, n, out)
		}
	}
	for s := range p.sockets {
		if s.stats.Errors > 0 {
			t.Fatalf("%d errors of reading on %s", s.stats.Errors, s.ifi.Name)
		}
	}
	return out
}

func copyOf(d Datagram) heard {
	h := heard{src: d.Src.String(), dst: d.Dst.String(), ttl: d.TTL, length: len(d.Payload), arrival: d.Arrival}
	if len(d.Payload) > 1 {
		h.vrid = d.Payload[1]
	}
	return h
}

// silence checks that nothing is queued on a poller's sockets. Packets on a veth
// pair are delivered within the call that sends them.
func silence(t testing.TB, p *Poller) {
	t.Helper()
	for s := range p.sockets {
		s.handle = func(d Datagram) { t.Errorf("%s heard %+v", s.Interface().Name, copyOf(d)) }
	}
	if err := p.Wait(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func (h heard) String() string {
	return fmt.Sprintf("VRID %d from %s to %s, TTL %d, %d bytes", h.vrid, h.src, h.dst, h.ttl, h.length)
}

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func setNeighbour(h *host, name, address string, m net.HardwareAddr) {
	h.t.Helper()
	h.must(h.handle.NeighSet(&netlink.Neigh{
		LinkIndex: h.iface(name).Index, Family: netlink.FAMILY_V4, State: netlink.NUD_STALE,
		IP: net.ParseIP(address), HardwareAddr: m,
	}))
}

func neighbour(h *host, name, address string) string {
	h.t.Helper()
	list, err := h.handle.NeighList(h.iface(name).Index, netlink.FAMILY_V4)
	h.must(err)
	for _, n := range list {
		if n.IP.String() == address {
			return n.HardwareAddr.String()
		}
	}
	return ""
}
