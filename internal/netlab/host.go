package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Host is a machine of the lab: a network namespace with its own interfaces, addresses, routes, sockets and IPVS table, and a
// folder for its files. File system, users and process numbers are the real machine's. Its methods may be called from several
// goroutines.
type Host struct {
	lab   *Lab
	name  string
	index int // 1, 2, ... in the lab: part of the interfaces' MAC addresses
	ns    *os.File
	dir   string
	nl    *netlink.Handle

	mu     sync.Mutex
	closed bool
	ports  []*Port
	procs  []*Process
}

var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,19}$`)

// hostSysctls are set on every new host; one that the kernel lacks is left out. A new namespace has the IPv4 settings of the real machine, which
// may be anything: here they are the kernel's. IPv6 addresses are usable at once (no duplicate address detection), nobody listens to router
// advertisements, and every process may send pings.
var hostSysctls = [...][2]string{
	{"net/ipv4/ip_forward", "0"}, // first, for it changes others
	{"net/ipv4/ip_nonlocal_bind", "0"},
	{"net/ipv4/conf/all/promote_secondaries", "0"},
	{"net/ipv4/conf/default/promote_secondaries", "0"},
	{"net/ipv4/conf/all/arp_ignore", "0"},
	{"net/ipv4/conf/default/arp_ignore", "0"},
	{"net/ipv4/conf/all/arp_announce", "0"},
	{"net/ipv4/conf/default/arp_announce", "0"},
	{"net/ipv4/conf/all/accept_local", "0"},
	{"net/ipv4/conf/default/accept_local", "0"},
	{"net/ipv6/conf/all/disable_ipv6", "0"},
	{"net/ipv6/conf/default/disable_ipv6", "0"},
	{"net/ipv6/conf/all/accept_dad", "0"},
	{"net/ipv6/conf/default/accept_dad", "0"},
	{"net/ipv6/conf/default/dad_transmits", "0"},
	{"net/ipv6/conf/all/accept_ra", "0"},
	{"net/ipv6/conf/default/accept_ra", "0"},
	{"net/ipv6/conf/default/router_solicitations", "0"},
	{"net/ipv4/ping_group_range", "0 2147483647"},
	{"net/ipv4/conf/all/rp_filter", "0"},
	{"net/ipv4/conf/default/rp_filter", "0"},
}

// Host makes a host. The name (a lower-case letter, then up to 19 lower-case letters, digits and dashes) must be new in the lab.
// The namespace is ID-NAME, visible to `ip netns`.
func (l *Lab) Host(name string) (*Host, error) {
	h, err := l.newHost(name)
	if err != nil {
		return nil, err
	}
	err = h.Do(func() error {
		for _, kv := range hostSysctls {
			_ = os.WriteFile("/proc/sys/"+kv[0], []byte(kv[1]), 0)
		}
		return nil
	})
	if err == nil {
		err = h.LinkUp("lo")
	}
	if err != nil {
		_ = h.close()
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	l.mu.Lock()
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	return h, nil
}

// newHost makes the namespace and folder of a host or switch.
func (l *Lab) newHost(name string) (*Host, error) {
	if !hostName.MatchString(name) {
		return nil, fmt.Errorf("host %q: the name must match %s", name, hostName)
	}
	l.mu.Lock()
	l.made++
	closed, index := l.closed, l.made
	l.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("host %s: the lab is closed", name)
	}
	h := &Host{lab: l, name: name, index: index, dir: filepath.Join(l.dir, name)}
	var err error
	if h.ns, err = l.newNamespace(l.id + "-" + name); err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	if err = os.Mkdir(h.dir, 0o755); err == nil {
		err = h.Do(func() (err error) {
			h.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE)
			return err
		})
	}
	if err != nil {
		_ = h.close()
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	return h, nil
}

// close ends the host. Its processes are gone already.
func (h *Host) close() error {
	if h.nl != nil {
		h.nl.Close()
	}
	removeNamespace(filepath.Join(netnsDir, h.Namespace()))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return h.ns.Close()
}

// Name is the host's name in the lab.
func (h *Host) Name() string { return h.name }

// Namespace is the name of the host's network namespace, for `ip netns exec`.
func (h *Host) Namespace() string { return h.lab.id + "-" + h.name }

// Dir is the host's folder: logs of its processes, and room for configurations, sockets and run directories.
func (h *Host) Dir() string { return h.dir }

// Path returns the path of a file in the host's folder.
func (h *Host) Path(name string) string { return filepath.Join(h.dir, name) }

// WriteFile writes a file in the host's folder and returns its path. Text that begins with #! makes it executable.
func (h *Host) WriteFile(name, text string) (string, error) {
	path := h.Path(name)
	if strings.HasPrefix(text, "#!") {
		return path, writeExecutable(path, strings.NewReader(text))
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Do runs fn on a thread inside the host's network namespace: sockets made by fn belong to the host and stay so. Goroutines that
// fn starts are not inside; processes that it starts are. /proc/net shows another namespace there: read /proc/thread-self/net.
// fn must not call testing's FailNow.
func (h *Host) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("the function ended its goroutine")
		defer func() { done <- err }()
		runtime.LockOSThread()
		if e := h.enter(); e != nil {
			runtime.UnlockOSThread()
			err = e
			return
		}
		defer func() {
			// The thread is given back only when it could be brought home; otherwise it ends with the goroutine.
			if unix.Setns(int(h.lab.home.Fd()), unix.CLONE_NEWNET) == nil {
				runtime.UnlockOSThread()
			}
		}()
		err = fn()
	}()
	return <-done
}

// enter brings the calling thread into the host's namespace.
func (h *Host) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return fmt.Errorf("%s: the lab is closed", h.name)
	}
	if err := unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%s: enter the network namespace: %w", h.name, err)
	}
	return nil
}

// DialContext connects from the host; it fits http.Transport.DialContext. Addresses are numeric. A call under way ends when the
// lab is closed.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.lab.ctx, cancel)()
	var c net.Conn
	err := h.Do(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Dial is DialContext without a context.
func (h *Host) Dial(network, address string) (net.Conn, error) {
	return h.DialContext(context.Background(), network, address)
}

// Listen listens on the host.
func (h *Host) Listen(network, address string) (net.Listener, error) {
	var l net.Listener
	err := h.Do(func() (err error) {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket opens a packet socket of package net on the host.
func (h *Host) ListenPacket(network, address string) (net.PacketConn, error) {
	var c net.PacketConn
	err := h.Do(func() (err error) {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Netlink is a rtnetlink handle inside the host, for what this package has no method for.
func (h *Host) Netlink() *netlink.Handle { return h.nl }

// LinkUp brings an interface up.
func (h *Host) LinkUp(ifname string) error { return h.linkDo(ifname, h.nl.LinkSetUp) }

// LinkDown brings an interface down, as an administrator on the host would: its routes go, and the other end loses its carrier.
func (h *Host) LinkDown(ifname string) error { return h.linkDo(ifname, h.nl.LinkSetDown) }

func (h *Host) linkDo(ifname string, fn func(netlink.Link) error) error {
	link, err := h.nl.LinkByName(ifname)
	if err == nil {
		err = fn(link)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", h.name, ifname, err)
	}
	return nil
}

// MAC returns the hardware address of an interface.
func (h *Host) MAC(ifname string) (net.HardwareAddr, error) {
	link, err := h.nl.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", h.name, ifname, err)
	}
	return link.Attrs().HardwareAddr, nil
}

// AddAddr adds addresses to an interface, IPv6 ones ready for use at once.
func (h *Host) AddAddr(ifname string, prefixes ...netip.Prefix) error {
	return h.linkDo(ifname, func(link netlink.Link) error {
		for _, p := range prefixes {
			if err := h.nl.AddrAdd(link, linkAddr(p)); err != nil {
				return fmt.Errorf("add %s: %w", p, err)
			}
		}
		return nil
	})
}

// DelAddr removes addresses from an interface.
func (h *Host) DelAddr(ifname string, prefixes ...netip.Prefix) error {
	return h.linkDo(ifname, func(link netlink.Link) error {
		for _, p := range prefixes {
			if err := h.nl.AddrDel(link, linkAddr(p)); err != nil {
				return fmt.Errorf("delete %s: %w", p, err)
			}
		}
		return nil
	})
}

func linkAddr(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Addrs lists the host's addresses with their prefix lengths: of all interfaces, or of those named.
func (h *Host) Addrs(ifnames ...string) ([]netip.Prefix, error) {
	links := make([]netlink.Link, 0, 1)
	for _, n := range ifnames {
		link, err := h.nl.LinkByName(n)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", h.name, n, err)
		}
		links = append(links, link)
	}
	if len(ifnames) == 0 {
		links = append(links, nil) // all
	}
	var out []netip.Prefix
	for _, link := range links {
		addrs, err := h.nl.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return nil, fmt.Errorf("%s: list addresses: %w", h.name, err)
		}
		for _, a := range addrs {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				bits, _ := a.Mask.Size()
				out = append(out, netip.PrefixFrom(ip.Unmap(), bits))
			}
		}
	}
	return out, nil
}

// HasAddr reports whether an interface of the host carries the address.
func (h *Host) HasAddr(addr netip.Addr) bool {
	addrs, _ := h.Addrs()
	for _, p := range addrs {
		if p.Addr() == addr {
			return true
		}
	}
	return false
}

// Route adds a route, replacing one to the same destination. An invalid or zero-length dst is the default route.
func (h *Host) Route(dst netip.Prefix, via netip.Addr) error {
	r := &netlink.Route{Gw: via.AsSlice()}
	if dst.IsValid() && dst.Bits() > 0 {
		r.Dst = ipNet(dst.Masked())
	} else {
		r.Dst = ipNet(netip.PrefixFrom(zeroAddr(via), 0))
	}
	if err := h.nl.RouteReplace(r); err != nil {
		return fmt.Errorf("%s: route %s via %s: %w", h.name, dst, via, err)
	}
	return nil
}

// DefaultRoute sets the default route of via's family.
func (h *Host) DefaultRoute(via netip.Addr) error { return h.Route(netip.Prefix{}, via) }

func zeroAddr(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// Neighbour returns the hardware address that the host has resolved for addr; false when it knows none.
func (h *Host) Neighbour(addr netip.Addr) (net.HardwareAddr, bool) {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	list, _ := h.nl.NeighList(0, family)
	for _, n := range list {
		if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == addr && len(n.HardwareAddr) > 0 &&
			n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) == 0 {
			return n.HardwareAddr, true
		}
	}
	return nil, false
}

// Sysctl sets a kernel setting of the host, such as net.ipv4.ip_forward. With slashes instead of dots, names that hold dots
// can be given.
func (h *Host) Sysctl(key, value string) error {
	if !strings.Contains(key, "/") {
		key = strings.ReplaceAll(key, ".", "/")
	}
	err := h.Do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) })
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("%s: set %s to %q: %w", h.name, key, value, err)
	}
	return nil
}

// Forward makes the host a router for IPv4 and, where the kernel has it, IPv6.
func (h *Host) Forward() error {
	_ = h.Sysctl("net.ipv6.conf.all.forwarding", "1")
	return h.Sysctl("net.ipv4.ip_forward", "1")
}

// Ports returns the host's connections to switches, in the order they were made.
func (h *Host) Ports() []*Port {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Port(nil), h.ports...)
}

// Cut cuts all ports of the host silently, as Port.Cut does.
func (h *Host) Cut() error { return h.eachPort((*Port).Cut) }

// Heal undoes Cut on all ports.
func (h *Host) Heal() error { return h.eachPort((*Port).Heal) }

func (h *Host) eachPort(fn func(*Port) error) error {
	var errs []error
	for _, p := range h.Ports() {
		errs = append(errs, fn(p))
	}
	return errors.Join(errs...)
}
