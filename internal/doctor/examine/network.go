package examine

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"director/internal/doctor"
)

// links lists the interfaces with their addresses.
func (e *examination) links() {
	list, err := netlink.LinkList()
	if err != nil {
		e.unseen("interfaces", err)
		return
	}
	byIndex := make(map[int]netlink.Link)
	for _, l := range list {
		byIndex[l.Attrs().Index] = l
	}
	at := make(map[int]int)
	e.facts.Links = []doctor.Link{}
	for _, l := range list {
		a := l.Attrs()
		link := doctor.Link{
			Name: a.Name, Kind: l.Type(), Alias: a.Alias, MAC: a.HardwareAddr.String(), MTU: a.MTU,
			Up: a.RawFlags&unix.IFF_UP != 0, Carrier: a.RawFlags&unix.IFF_RUNNING != 0,
			LargeReceive: largeReceive(a.Name),
		}
		if link.Kind == "device" {
			link.Kind = ""
		}
		if m := byIndex[a.MasterIndex]; m != nil {
			link.Master, link.MasterOf = m.Attrs().Name, m.Type()
		}
		_, err := os.Stat("/sys/class/net/" + a.Name + "/phy80211")
		link.Wireless = err == nil
		at[a.Index] = len(e.facts.Links)
		e.facts.Links = append(e.facts.Links, link)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		e.unseen("addresses", err)
	}
	for _, a := range addrs {
		i, ok := at[a.LinkIndex]
		ip, valid := netip.AddrFromSlice(a.IP)
		if !ok || !valid {
			continue
		}
		bits, _ := a.Mask.Size()
		e.facts.Links[i].Addresses = append(e.facts.Links[i].Addresses, netip.PrefixFrom(ip.Unmap(), bits))
	}
}

// largeReceive asks whether LRO is on (ethtool -k).
func largeReceive(name string) bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	const lro = 1 << 15 // ETH_FLAG_LRO
	value, err := ethtoolValue(fd, name, unix.ETHTOOL_GFLAGS)
	return err == nil && value&lro != 0
}

// ways asks the kernel how it would send to each address, and where the default
// routes lead.
func (e *examination) ways() {
	name := make(map[int]string)
	list, _ := netlink.LinkList() // links has told an error
	for _, l := range list {
		name[l.Attrs().Index] = l.Attrs().Name
	}
	e.facts.Ways = make(map[netip.Addr]doctor.Way)
	for _, a := range doctor.Questions(e.Config) {
		routes, err := netlink.RouteGet(a.AsSlice())
		if err != nil {
			e.facts.Ways[a] = doctor.Way{Error: err.Error()}
			continue
		}
		if len(routes) == 0 {
			continue
		}
		r := routes[0]
		way := doctor.Way{Local: r.Type == unix.RTN_LOCAL, Device: name[r.LinkIndex], MTU: r.MTU}
		if gw, ok := netip.AddrFromSlice(r.Gw); ok {
			way.Gateway = gw.Unmap()
		}
		e.facts.Ways[a] = way
	}
	e.facts.Outward = make(map[string]string)
	for family, number := range map[string]int{"ipv4": netlink.FAMILY_V4, "ipv6": netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(number, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
		if err != nil {
			e.unseen("routes", err)
			continue
		}
		best := -1
		for _, r := range routes {
			if r.Dst != nil {
				if ones, _ := r.Dst.Mask.Size(); ones != 0 {
					continue
				}
			}
			index := r.LinkIndex
			if index == 0 && len(r.MultiPath) > 0 {
				index = r.MultiPath[0].LinkIndex
			}
			if best < 0 || r.Priority < best {
				best, e.facts.Outward[family] = r.Priority, name[index]
			}
			if r.Protocol == unix.RTPROT_RA {
				e.facts.Learned = append(e.facts.Learned, name[index])
			}
		}
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V4)
	if err != nil {
		e.unseen("routing rules", err)
	}
	for _, r := range rules {
		own := r.Priority == 0 || r.Priority == 32766 || r.Priority == 32767
		e.facts.Rules = e.facts.Rules || !own
	}
}

// services reads the IPVS table as everybody may. A kernel without IPVS has no such
// file.
func (e *examination) services() {
	text, err := procLines("/proc/thread-self/net/ip_vs")
	if err != nil {
		if !os.IsNotExist(err) {
			e.unseen("the IPVS table", err)
		}
		return
	}
	e.facts.Services = []doctor.Service{}
	for _, l := range text {
		if s, ok := parseService(l); ok {
			e.facts.Services = append(e.facts.Services, s)
		}
	}
}

// parseService reads a line of /proc/net/ip_vs that begins a service:
//
//	TCP  C0000250:0050 wlc
//	UDP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0035 rr
//	FWM  00000007 rr
func parseService(line string) (s doctor.Service, ok bool) {
	var protocol, at string
	if n, _ := fmt.Sscan(line, &protocol, &at); n != 2 {
		return s, false
	}
	switch protocol {
	case "FWM":
		s.Protocol = "fwmark"
		_, err := fmt.Sscanf(at, "%x", &s.Mark)
		return s, err == nil
	case "TCP", "UDP", "SCTP":
		s.Protocol = map[string]string{"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}[protocol]
	default:
		return s, false
	}
	var a, port uint32
	if n, _ := fmt.Sscanf(at, "%08X:%04X", &a, &port); n == 2 {
		s.Address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), uint16(port))
		return s, true
	}
	host, number, err := net.SplitHostPort(at)
	ip, bad := netip.ParseAddr(host)
	if n, _ := fmt.Sscanf(number, "%x", &port); err != nil || bad != nil || n != 1 {
		return s, false
	}
	s.Address = netip.AddrPortFrom(ip, uint16(port))
	return s, true
}

// listeners reads the sockets that wait on one address: TCP in LISTEN, UDP that is not
// connected.
func (e *examination) listeners() {
	for file, network := range map[string]string{"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp"} {
		text, err := procLines("/proc/thread-self/net/" + file)
		if err != nil {
			if !os.IsNotExist(err) {
				e.unseen("listening sockets", err)
			}
			continue
		}
		for _, l := range text {
			if a, ok := parseListener(l, network); ok {
				e.facts.Listeners = append(e.facts.Listeners, doctor.Listener{Address: a, Network: network})
			}
		}
	}
}

// parseListener reads a line of /proc/net/tcp and the like, see proc_pid_net(5): the
// addresses are words of the host's byte order in hexadecimal digits.
func parseListener(line, network string) (netip.AddrPort, bool) {
	var number, local, remote, state string
	if n, _ := fmt.Sscan(line, &number, &local, &remote, &state); n != 4 {
		return netip.AddrPort{}, false
	}
	const listening, unconnected = "0A", "07"
	if network == "tcp" && state != listening || network == "udp" && state != unconnected {
		return netip.AddrPort{}, false
	}
	var bytes []byte
	var port uint16
	digits := len(local) - 5
	if digits != 8 && digits != 32 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < digits; i += 8 {
		var word uint32
		if n, _ := fmt.Sscanf(local[i:i+8], "%x", &word); n != 1 {
			return netip.AddrPort{}, false
		}
		bytes = binary.NativeEndian.AppendUint32(bytes, word)
	}
	if n, _ := fmt.Sscanf(local[digits:], ":%x", &port); n != 1 {
		return netip.AddrPort{}, false
	}
	a, ok := netip.AddrFromSlice(bytes)
	return netip.AddrPortFrom(a.Unmap(), port), ok && !a.IsUnspecified()
}
