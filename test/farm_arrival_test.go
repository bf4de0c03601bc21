package test

import (
	"context"
	be "encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"director/internal/netlab"
)

// The ways of forwarding, with the end of the virtual address for each: 192.0.2.N and 2001:db8:a::N.
var waysToForward = []struct {
	name, settings string
	end            int
}{
	{"nat", `forwarding = "nat"`, 80},
	{"dr", `forwarding = "dr"`, 81},
	{"ipip", `forwarding = "tunnel"`, 82},
	{"gre", "forwarding = \"tunnel\"\ntunnel = { type = \"gre\" }", 83},
	{"gue", "forwarding = \"tunnel\"\ntunnel = { type = \"gue\", port = 6080 }", 84},
}

// The ends of the other virtual addresses.
const (
	markedEnd    = 85 // ports 80 and 443 are one service, persistent
	spreadEnd    = 86 // every port is one service
	onePacketEnd = 87
	mixedEnd     = 88 // the servers are of the other IP version
)

const (
	datagramPort = 5000
	sctpPort     = 36412
)

// families are the networks of the two IP versions: of the clients and virtual addresses, and of the servers.
var families = []struct {
	name, outside, inside string
	bits                  int
}{{"ipv4", "192.0.2.", "10.0.0.", 24}, {"ipv6", "2001:db8:a::", "2001:db8:b::", 64}}

// arrivalConfig is a director without VRRP and without checks that forwards everything in every way.
func arrivalConfig() string {
	var b strings.Builder
	service := func(name, settings string, family int, servers int, port int) {
		fmt.Fprintf(&b, "[virtual_server.%s]\nscheduler = \"rr\"\n%s\nreal_server = [", name, settings)
		for i := range 2 {
			a := netip.MustParseAddr(fmt.Sprintf("%s%d", families[servers].inside, 11+i))
			if port == 0 {
				fmt.Fprintf(&b, "%q, ", a)
			} else {
				fmt.Fprintf(&b, "%q, ", netip.AddrPortFrom(a, uint16(port)))
			}
		}
		b.WriteString("]\n")
	}
	for i, f := range families {
		at := func(end, port int) string {
			return fmt.Sprintf("address = %q\n", netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("%s%d", f.outside, end)), uint16(port)))
		}
		for _, w := range waysToForward {
			for protocol, port := range map[string]int{"tcp": 80, "udp": datagramPort, "sctp": sctpPort} {
				service(f.name+"-"+w.name+"-"+protocol, at(w.end, port)+fmt.Sprintf("protocol = %q\n", protocol)+w.settings, i, i, port)
			}
		}
		mark := fmt.Sprintf("family = %q\nforwarding = \"nat\"\n", f.name)
		service(f.name+"-marked", mark+"fwmark = 7\npersistence_timeout = \"50s\"", i, i, 0)
		service(f.name+"-spread", mark+"fwmark = 8", i, i, 0)
		service(f.name+"-one", at(onePacketEnd, datagramPort)+"protocol = \"udp\"\nforwarding = \"dr\"\none_packet = true", i, i, datagramPort)
		service(f.name+"-mixed", at(mixedEnd, 80)+"forwarding = \"tunnel\"", i, 1-i, 80)
	}
	return b.String()
}

// testArrivals sends connections, datagrams and SCTP associations by IPv4 and IPv6 to virtual addresses that are forwarded in every way, and has
// the servers answer with their names.
func testArrivals(t *testing.T) {
	f := newFarm(t, 1, 0)
	d, client := f.directors[0], f.client
	ip := func(h *netlab.Host, args ...string) { f.must(h.Run(append([]string{"ip"}, args...)...)) }
	add := func(h *netlab.Host, dev, prefix string) {
		t.Helper()
		f.Must(h.AddAddr(dev, netip.MustParsePrefix(prefix)))
	}
	f.backGatewayIP = netip.MustParseAddr("10.0.0.1")
	for i := range 2 {
		f.servers = append(f.servers, f.server(fmt.Sprintf("s%d", i+1), fmt.Sprintf("10.0.0.%d/24", 11+i)))
	}
	add(client, "eth0", "2001:db8:a::100/64")
	add(client, "eth0", "2001:db8:a::101/64")
	add(d, "eth0", "2001:db8:a::1/64")
	add(d, "eth1", "2001:db8:b::1/64")
	// The answers that do not need the director take it as their router all the same, where their source is an address of its own.
	f.Must(d.Sysctl("net/ipv4/conf/eth1/accept_local", "1"))
	// The kernel loads the modules for links by itself, and this one not.
	modprobe, err := os.ReadFile("/proc/sys/kernel/modprobe")
	f.Must(err)
	f.must(d.Run(strings.TrimSpace(string(modprobe)), "fou"))
	sctp := &sctpServers{}
	var ends []int
	for _, w := range waysToForward {
		ends = append(ends, w.end)
	}
	ends = append(ends, markedEnd, spreadEnd, onePacketEnd, mixedEnd)
	for i, s := range f.servers {
		inside := []string{fmt.Sprintf("10.0.0.%d", 11+i), fmt.Sprintf("2001:db8:b::%d", 11+i)}
		add(s, "eth0", inside[1]+"/64")
		f.Must(s.DefaultRoute(netip.MustParseAddr("2001:db8:b::1")))
		ip(s, "link", "add", "four", "type", "ipip", "local", inside[0], "remote", "10.0.0.1")
		ip(s, "link", "add", "six", "type", "ip6tnl", "mode", "any", "local", inside[1], "remote", "2001:db8:b::1")
		ip(s, "link", "add", "six4", "type", "sit", "local", inside[0], "remote", "10.0.0.1")
		ip(s, "link", "add", "gre4", "type", "gre", "local", inside[0], "remote", "10.0.0.1")
		ip(s, "link", "add", "gre6", "type", "ip6gre", "local", inside[1], "remote", "2001:db8:b::1")
		for _, dev := range []string{"four", "six", "six4", "gre4", "gre6"} {
			f.Must(s.LinkUp(dev))
		}
		ip(s, "fou", "add", "port", "6080", "gue")
		ip(s, "fou", "add", "port", "6080", "gue", "-6")
		for _, port := range []uint16{80, 443} {
			w, err := s.WebServer(netip.AddrPortFrom(netip.IPv6Unspecified(), port), s.Name())
			f.Must(err)
			t.Cleanup(w.Close)
		}
		for j, fam := range families {
			for _, end := range ends {
				to := netip.MustParseAddr(fmt.Sprintf("%s%d", fam.outside, end))
				if i == 0 {
					f.Must(d.AddAddr("eth0", netip.PrefixFrom(to, to.BitLen())))
				}
				if end == waysToForward[0].end {
					to = netip.MustParseAddr(inside[j])
				} else {
					f.Must(s.AddAddr("lo", netip.PrefixFrom(to, to.BitLen())))
				}
				e, err := s.EchoServer(netip.AddrPortFrom(to, datagramPort), s.Name())
				f.Must(err)
				t.Cleanup(e.Close)
				f.Must(sctp.listen(s, netip.AddrPortFrom(to, sctpPort)))
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		served.Wait()
	})
	served.Go(func() { sctp.serve(ctx) })
	// Marks, by the one means that every kernel has.
	f.must(d.Run("tc", "qdisc", "add", "dev", "eth0", "ingress"))
	mark := func(mark, protocol, kind, to string, more ...string) {
		f.must(d.Run(append(append([]string{"tc", "filter", "add", "dev", "eth0", "parent", "ffff:", "protocol", protocol, "u32", "match", kind, "dst", to}, more...),
			"action", "skbedit", "mark", mark)...))
	}
	for _, port := range []string{"80", "443"} {
		mark("7", "ip", "ip", fmt.Sprintf("192.0.2.%d/32", markedEnd), "match", "ip", "dport", port, "0xffff")
		mark("7", "ipv6", "ip6", fmt.Sprintf("2001:db8:a::%d/128", markedEnd), "match", "ip6", "dport", port, "0xffff")
	}
	mark("8", "ip", "ip", fmt.Sprintf("192.0.2.%d/32", spreadEnd))
	mark("8", "ipv6", "ip6", fmt.Sprintf("2001:db8:a::%d/128", spreadEnd))

	running := startDirector(t, d, arrivalConfig())
	capture, err := f.servers[0].Capture("eth0", netlab.FilterAll)
	f.Must(err)
	defer capture.Close()
	both := map[string]int{"s1": 2, "s2": 2}
	want := func(t *testing.T, want map[string]int, ask func(i int) (string, error)) {
		t.Helper()
		got := map[string]int{}
		for i := range total(want) {
			who, err := ask(i)
			if err != nil {
				t.Errorf("request %d: %v", i, err)
			}
			got[who]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
	}
	for _, fam := range families {
		at := func(end, port int) string {
			return netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("%s%d", fam.outside, end)), uint16(port)).String()
		}
		get := func(from string, end, port int) func(int) (string, error) {
			return func(int) (string, error) { return f.getFrom(netip.MustParseAddr(fam.outside+from), at(end, port)) }
		}
		for _, w := range waysToForward {
			t.Run(fam.name+" "+w.name+" tcp", func(t *testing.T) { want(t, both, get("100", w.end, 80)) })
			t.Run(fam.name+" "+w.name+" udp", func(t *testing.T) {
				want(t, both, func(int) (string, error) {
					who, err := f.datagrams(at(w.end, datagramPort), 2)
					if err == nil && who[0] != who[1] {
						err = fmt.Errorf("the datagrams of one port were answered by %v", who)
					}
					return who[0], err
				})
			})
			t.Run(fam.name+" "+w.name+" sctp", func(t *testing.T) {
				want(t, both, func(int) (string, error) {
					return f.askSCTP(netip.MustParseAddr(fam.outside+"100"), netip.MustParseAddrPort(at(w.end, sctpPort)))
				})
			})
		}
		t.Run(fam.name+" server of the other version", func(t *testing.T) { want(t, both, get("100", mixedEnd, 80)) })
		t.Run(fam.name+" mark", func(t *testing.T) {
			want(t, both, func(i int) (string, error) { return get("100", spreadEnd, []int{80, 443}[i/2])(i) })
		})
		t.Run(fam.name+" mark and persistence", func(t *testing.T) {
			mine := map[string]int{}
			for _, from := range []string{"100", "101"} {
				who, err := get(from, markedEnd, 80)(0)
				f.Must(err)
				mine[who]++
				want(t, map[string]int{who: 4}, func(i int) (string, error) { return get(from, markedEnd, []int{80, 443}[i%2])(i) })
			}
			if len(mine) != 2 {
				t.Errorf("both clients have the same server: %v", mine)
			}
		})
		t.Run(fam.name+" one packet", func(t *testing.T) {
			who, err := f.datagrams(at(onePacketEnd, datagramPort), 6)
			f.Must(err)
			for i := range who {
				if i > 0 && who[i] == who[i-1] {
					t.Errorf("datagrams of one port were answered by %v, want each by the next server", who)
					break
				}
			}
		})
	}
	arrived := wrappings(capture.Frames())
	for _, kind := range []string{"4 plain", "4 in 4", "6 in 4", "4 gre", "4 gue", "6 plain", "4 in 6", "6 in 6", "6 gre", "6 gue"} {
		if arrived[kind] == 0 {
			t.Errorf("no packet arrived as %q; those that did: %v", kind, arrived)
		}
	}
	t.Logf("packets that s1 received: %v", arrived)
	running.Stop()
}

// wrappings counts received packets by what is around them.
func wrappings(frames []netlab.Frame) map[string]int {
	kinds := map[string]int{}
	for _, fr := range frames {
		version, header := "4", 34
		if fr.EtherType() == unix.ETH_P_IPV6 {
			version, header = "6", 54
		}
		if fr.Outgoing || fr.EtherType() != unix.ETH_P_IP && fr.EtherType() != unix.ETH_P_IPV6 || len(fr.Data) < header+8 {
			continue
		}
		protocol, kind := fr.Data[23], "plain"
		if version == "6" {
			protocol = fr.Data[20]
		}
		switch protocol {
		case unix.IPPROTO_IPIP:
			kinds["4 in "+version]++
			continue
		case unix.IPPROTO_IPV6:
			kinds["6 in "+version]++
			continue
		case unix.IPPROTO_GRE:
			kind = "gre"
		case unix.IPPROTO_UDP:
			if be.BigEndian.Uint16(fr.Data[header+2:]) == 6080 {
				kind = "gue"
			}
		}
		kinds[version+" "+kind]++
	}
	return kinds
}

// getFrom asks for the page from an address of the client.
func (f *farm) getFrom(source netip.Addr, address string) (string, error) {
	from := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, to string) (c net.Conn, err error) {
			err = f.client.Do(func() (err error) {
				c, err = from.DialContext(ctx, network, to)
				return err
			})
			return c, err
		}}}
	answer, err := client.Get("http://" + address + "/")
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(page)), err
}

// datagrams sends datagrams from one port, each after the answer to the one before, and returns who answered.
func (f *farm) datagrams(address string, n int) (who []string, err error) {
	c, err := f.client.Dial("udp", address)
	if err != nil {
		return []string{""}, err
	}
	defer c.Close()
	buf := make([]byte, 100)
	for i := range n {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(c, "%d", i); err != nil {
			return []string{""}, err
		}
		k, err := c.Read(buf)
		if err != nil {
			return []string{""}, err
		}
		name, text, _ := strings.Cut(string(buf[:k]), " ")
		if text != fmt.Sprint(i) {
			return []string{""}, fmt.Errorf("answer %q to %d", buf[:k], i)
		}
		who = append(who, name)
	}
	return who, nil
}

// sctpServers answer each association with the name of their host.
type sctpServers struct {
	sockets []unix.PollFd
	names   []string
}

// listen adds a server on an address of a host.
func (s *sctpServers) listen(h *netlab.Host, at netip.AddrPort) error {
	return h.Do(func() error {
		fd, err := sctpSocket(at)
		if err != nil {
			return err
		}
		s.sockets = append(s.sockets, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		s.names = append(s.names, h.Name())
		return unix.Listen(fd, 8)
	})
}

// serve answers until ctx ends.
func (s *sctpServers) serve(ctx context.Context) {
	for ctx.Err() == nil {
		if n, err := unix.Poll(s.sockets, 50); n <= 0 || err != nil {
			continue
		}
		for i, p := range s.sockets {
			if p.Revents == 0 {
				continue
			}
			if c, _, err := unix.Accept(int(p.Fd)); err == nil {
				_, _ = unix.Write(c, []byte(s.names[i]))
				unix.Close(c)
			}
		}
	}
	for _, p := range s.sockets {
		unix.Close(int(p.Fd))
	}
}

// askSCTP makes an association from an address of the client and returns what comes.
func (f *farm) askSCTP(from netip.Addr, to netip.AddrPort) (string, error) {
	var fd int
	err := f.client.Do(func() (err error) {
		fd, err = sctpSocket(netip.AddrPortFrom(from, 0))
		return err
	})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(10 * time.Second))
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &limit); err != nil {
			return "", err
		}
	}
	if err := unix.Connect(fd, sockaddr(to)); err != nil {
		return "", fmt.Errorf("connect: %w", err)
	}
	buf := make([]byte, 100)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	return string(buf[:n]), nil
}

// sctpSocket makes a socket that has this one address, so that the other end is told of no other.
func sctpSocket(at netip.AddrPort) (int, error) {
	domain := unix.AF_INET
	if at.Addr().Is6() {
		domain = unix.AF_INET6
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return -1, fmt.Errorf("sctp socket: %w", err)
	}
	if err := unix.Bind(fd, sockaddr(at)); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("sctp bind to %s: %w", at, err)
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
