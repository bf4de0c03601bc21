package probe

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// GoThrough prepares a probe that is sent to a virtual address and that IPVS, by the
// target's mark, forwards to server. It chooses the source address where there is none.
//
// On a host that does not have the virtual address, the kernel needs no help. On one
// that has it, the master, the kernel would send from the virtual address itself, which
// the server has, too; and what the server answers comes from an address of this host,
// which the kernel drops over IPv4 unless accept_local is set. The error tells what is
// missing: the server would be blamed for it.
func (to *Target) GoThrough(server netip.Addr) error {
	vip := to.Addr.Addr()
	way, err := route(vip, to.Mark)
	if err != nil || way.Type != unix.RTN_LOCAL {
		return err
	}
	back, err := route(server, 0)
	if err != nil {
		return err
	}
	if back.Type == unix.RTN_LOCAL {
		return nil // a server on this host: nothing leaves it
	}
	if !to.Source.IsValid() {
		src, _ := netip.AddrFromSlice(back.Src)
		src = src.Unmap()
		if server.Is4() != vip.Is4() || !src.IsValid() || src == vip {
			return localError(fmt.Sprintf("%s is on this host, and there is no other address towards %s to ask from: set bind_address", vip, server))
		}
		to.Source = src
	}
	if !vip.Is4() {
		return nil
	}
	link, err := net.InterfaceByIndex(back.LinkIndex)
	if err != nil {
		return err
	}
	return acceptsLocal(link, vip)
}

// acceptsLocal says why the kernel would drop answers from vip, an address of this
// host, that come in by an interface.
func acceptsLocal(link *net.Interface, vip netip.Addr) error {
	set := func(name string) string { // the kernel takes the greater
		return max(ipv4Setting("all", name), ipv4Setting(link.Name, name))
	}
	if set("accept_local") == "0" {
		return localError(fmt.Sprintf("%s is on this host, and net.ipv4.conf.%s.accept_local is 0: the answers of the servers would be dropped", vip, link.Name))
	}
	if set("rp_filter") != "1" {
		return nil
	}
	addrs, err := link.Addrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if own, _ := netip.AddrFromSlice(n.IP); own.Unmap() == vip {
				return nil
			}
		}
	}
	return localError(fmt.Sprintf("%s is on another interface of this host than %s, where net.ipv4.conf.%s.rp_filter is 1: the answers of the servers would be dropped", vip, link.Name, link.Name))
}

// route asks the kernel for its way to an address.
func route(a netip.Addr, mark uint32) (netlink.Route, error) {
	routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{Mark: mark})
	if err == nil && len(routes) == 0 {
		err = unix.ENETUNREACH
	}
	if err != nil {
		return netlink.Route{}, localError(fmt.Sprintf("no way to %s: %v", a, err))
	}
	return routes[0], nil
}

// ipv4Setting reads a setting of an interface; one that cannot be read is 0.
func ipv4Setting(device, name string) string {
	text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + device + "/" + name)
	if err != nil {
		return "0"
	}
	return strings.TrimSpace(string(text))
}
