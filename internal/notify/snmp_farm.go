package notify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gosnmp/gosnmp"

	"director/config"
	"director/internal/control"
)

// The traps of KEEPALIVED-MIB about virtual and real servers. The indexes of its tables
// count the virtual servers of the configuration, and within each its real servers and
// then its sorry servers.
const (
	oidService       = "1.3.6.1.4.1.9586.100.5.3.3.1"   // virtualServerEntry
	oidServer        = "1.3.6.1.4.1.9586.100.5.3.4.1"   // realServerEntry
	oidServerChange  = "1.3.6.1.4.1.9586.100.5.3.5.0.1" // realServerStateChange
	oidServiceChange = "1.3.6.1.4.1.9586.100.5.3.5.0.2" // virtualServerQuorumStateChange
)

// farmTrap returns the trap of a change of a virtual or a real server with its objects,
// as the MIB lists them; false: the MIB has none for it.
func (s *trapper) farmTrap(h *held, e *control.Event) (oid string, vars []gosnmp.SnmpPDU, ok bool) {
	if e.Kind != "service" && e.Kind != "server" || e.Pool == nil {
		return "", nil, false
	}
	vs := h.service(*e)
	if vs == nil {
		return "", nil, false
	}
	row := fmt.Sprintf(".%d", 1+slices.IndexFunc(h.config.VirtualServers, func(o config.VirtualServer) bool { return o.Name == vs.Name }))
	column := func(n int) string { return fmt.Sprintf("%s.%d%s", oidService, n, row) }
	counts := []gosnmp.SnmpPDU{unsigned(column(21), e.Pool.Up), unsigned(column(20), e.Pool.Total)}
	kind, protocol := number(column(2), serviceType(vs)), number(column(8), protocolNumber(vs.Protocol))
	if e.Kind == "service" {
		if e.To != "up" && e.From != "up" && e.From != "unknown" {
			return "", nil, false // without its quorum before and after, as with another sorry server
		}
		oid = oidServiceChange
		vars = append([]gosnmp.SnmpPDU{kind, protocol, number(column(23), quorumStatus(e)), unsigned(column(22), vs.Quorum)}, counts...)
	} else {
		address, n := serverOf(vs, e)
		if n == 0 || e.To != "up" && e.To != "down" {
			return "", nil, false
		}
		own := func(column int) string { return fmt.Sprintf("%s.%d%s.%d", oidServer, column, row, n) }
		oid = oidServerChange
		vars = append(addressObjects(own(3), own(4), own(5), address), number(own(6), aliveOrDead(e.To)), kind, protocol)
		vars = append(vars, counts...)
	}
	vars = append(vars, text(oidRouterID, s.routerID))
	switch {
	case vs.Group != "":
		vars = append(vars, text(column(3), vs.Group))
	case vs.FWMark != 0:
		vars = append(vars, unsigned(column(4), int(vs.FWMark)))
	default:
		vars = append(vars, addressObjects(column(5), column(6), column(7), vs.Address)...)
	}
	return oid, vars, true
}

// serverOf finds the real or sorry server that an event is about, and its place in the
// table, from 1; 0: there is none.
func serverOf(vs *config.VirtualServer, e *control.Event) (netip.AddrPort, int) {
	_, name, _ := strings.Cut(e.Subject, "/")
	for i := range vs.RealServers {
		if vs.RealServers[i].Name == name {
			return vs.RealServers[i].Address, i + 1
		}
	}
	for i := range vs.SorryServers {
		if vs.SorryServers[i].Name == name {
			return vs.SorryServers[i].Address, len(vs.RealServers) + i + 1
		}
	}
	return netip.AddrPort{}, 0
}

// addressObjects are an InetAddressType, InetAddress and InetPortNumber (RFC 4001).
func addressObjects(kind, address, port string, a netip.AddrPort) []gosnmp.SnmpPDU {
	family := 1 // ipv4
	if a.Addr().Is6() {
		family = 2
	}
	return []gosnmp.SnmpPDU{number(kind, family), text(address, string(a.Addr().WithZone("").AsSlice())), unsigned(port, int(a.Port()))}
}

// serviceType is virtualServerType.
func serviceType(vs *config.VirtualServer) int {
	switch {
	case vs.Group != "":
		return 3
	case vs.FWMark != 0:
		return 1
	}
	return 2 // ip
}

// protocolNumber is virtualServerProtocol.
func protocolNumber(p config.Protocol) int {
	switch p {
	case config.TCP:
		return 1
	case config.UDP:
		return 2
	case config.SCTP:
		return 3
	}
	return 4 // none
}

// quorumStatus is virtualServerQuorumStatus.
func quorumStatus(e *control.Event) int {
	switch {
	case e.Code == "stopped":
		return 3 // shutdown
	case e.To == "up":
		return 1 // met
	}
	return 2 // notMet
}

// aliveOrDead is realServerStatus.
func aliveOrDead(state string) int {
	if state == "up" {
		return 1
	}
	return 2
}

// unsigned is an Unsigned32.
func unsigned(oid string, value int) gosnmp.SnmpPDU {
	return gosnmp.SnmpPDU{Name: oid, Type: gosnmp.Gauge32, Value: uint32(value)}
}
