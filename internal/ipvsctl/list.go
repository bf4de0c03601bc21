package ipvsctl

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"director/ipvs"
)

// Columns are what a listing of the table shows.
type Columns uint8

// The columns, with ipvsadm's option for each.
const (
	Connections Columns = iota // none: forwarding, weight and connections
	Stats                      // --stats: counters
	Rates                      // --rate
	Thresholds                 // --thresholds
	Persistent                 // --persistent-conn
	Tunnels                    // --tun-info
)

// Table is what a listing is made of.
type Table struct {
	Version string // of IPVS
	Size    int    // buckets of the connection table
	Table   ipvs.Table
	Stats   ipvs.Stats
	// One says that one service was asked for: the heading without the kernel's version.
	One bool
}

// View says how it is shown.
type View struct {
	Columns Columns
	// Exact writes counters out instead of rounding those of more than eight digits.
	Exact bool
	// Names finds names for addresses and ports; nil: numbers.
	Names *Names
}

// Text returns the listing as ipvsadm prints it, services and servers in order.
func (t Table) Text(v View) []byte {
	var b bytes.Buffer
	if !t.One {
		fmt.Fprintf(&b, "IP Virtual Server version %s (size=%d)\n", t.Version, t.Size)
	}
	v.heading(&b)
	for _, k := range t.Table.Keys() {
		e, stats := t.Table[k], t.Stats[k]
		if stats == nil {
			stats = &ipvs.ServiceStats{}
		}
		v.service(&b, k, e.Service, stats.Counters)
		for _, d := range e.Keys() {
			v.server(&b, k.Protocol, d, e.Dests[d], stats.Dests[d])
		}
	}
	return b.Bytes()
}

func (v View) heading(b *bytes.Buffer) {
	const local, remote = "Prot LocalAddress:Port", "  -> RemoteAddress:Port"
	switch v.Columns {
	case Stats:
		fmt.Fprintf(b, "%-33s %8s %8s %8s %8s %8s\n%s\n", local, "Conns", "InPkts", "OutPkts", "InBytes", "OutBytes", remote)
	case Rates:
		fmt.Fprintf(b, "%-33s %8s %8s %8s %8s %8s\n%s\n", local, "CPS", "InPPS", "OutPPS", "InBPS", "OutBPS", remote)
	case Thresholds:
		fmt.Fprintf(b, "%-33s %-10s %-10s %-10s %-10s\n%s\n", local, "Uthreshold", "Lthreshold", "ActiveConn", "InActConn", remote)
	case Persistent:
		fmt.Fprintf(b, "%-33s %-9s %-11s %-10s %-10s\n%s\n", local, "Weight", "PersistConn", "ActiveConn", "InActConn", remote)
	case Tunnels:
		fmt.Fprintf(b, "%s Scheduler Flags\n%s           Forward TunnelInfo    Weight ActiveConn InActConn\n", local, remote)
	default:
		fmt.Fprintf(b, "%s Scheduler Flags\n%s           Forward Weight ActiveConn InActConn\n", local, remote)
	}
}

func (v View) service(b *bytes.Buffer, k ipvs.ServiceKey, s ipvs.Service, c ipvs.Counters) {
	name := fmt.Sprintf("%-4s %s", strings.ToUpper(k.Protocol.String()), v.Names.of(k.Addr, k.Protocol.String()))
	if k.FWMark != 0 {
		name = fmt.Sprintf("FWM  %d", k.FWMark)
		if k.IPFamily() == ipvs.IPv6 {
			name += " IPv6"
		}
	}
	if v.numbers(b, name, c) {
		return
	}
	fmt.Fprintf(b, "%s %s", name, s.Scheduler)
	if flags := s.FlagNames(); len(flags) > 0 {
		fmt.Fprintf(b, " (%s)", strings.Join(flags, ","))
	}
	if s.PersistenceTimeout != 0 {
		fmt.Fprintf(b, " persistent %d", s.PersistenceTimeout)
		if s.PersistenceMask.Is4() {
			fmt.Fprintf(b, " mask %v", s.PersistenceMask)
		} else if n, ok := ipvs.MaskBits(s.PersistenceMask); ok {
			fmt.Fprintf(b, " mask %d", n)
		}
	}
	if s.PersistenceEngine != "" {
		fmt.Fprintf(b, " pe %s", s.PersistenceEngine)
	}
	if s.Flags&ipvs.FlagOnePacket != 0 {
		b.WriteString(" ops")
	}
	b.WriteByte('\n')
}

func (v View) server(b *bytes.Buffer, p ipvs.Protocol, key ipvs.DestKey, d ipvs.Destination, s ipvs.DestStats) {
	name := fmt.Sprintf("  -> %-28s", v.Names.of(key, p.String()))
	if v.numbers(b, name, s.Counters) {
		return
	}
	b.WriteString(name)
	switch v.Columns {
	case Thresholds:
		fmt.Fprintf(b, " %-10d %-10d", d.UpperThreshold, d.LowerThreshold)
	case Persistent:
		fmt.Fprintf(b, " %-9d %-11d", d.Weight, s.Persistent)
	case Tunnels:
		fmt.Fprintf(b, " %-7s %-13s %-6d", forwarding(d.Forwarding), tunnel(d), d.Weight)
	default:
		fmt.Fprintf(b, " %-7s %-6d", forwarding(d.Forwarding), d.Weight)
	}
	fmt.Fprintf(b, " %-10d %-10d\n", s.Active, s.Inactive)
}

// numbers writes a line of counters or rates, where that is what is shown.
func (v View) numbers(b *bytes.Buffer, name string, c ipvs.Counters) bool {
	var list []uint64
	switch v.Columns {
	case Stats:
		list = []uint64{c.Connections, c.InPackets, c.OutPackets, c.InBytes, c.OutBytes}
	case Rates:
		list = []uint64{c.ConnectionRate, c.InPacketRate, c.OutPacketRate, c.InByteRate, c.OutByteRate}
	default:
		return false
	}
	fmt.Fprintf(b, "%-33s", name)
	for _, n := range list {
		b.WriteString(v.number(n))
	}
	b.WriteByte('\n')
	return true
}

// number writes a counter in nine columns: rounded down to thousands, millions and so on
// when it has nine digits or more, unless it is to be exact.
func (v View) number(n uint64) string {
	switch {
	case v.Exact:
		return " " + fmt.Sprintf("%8d", n)
	case n < 100_000_000:
		return fmt.Sprintf("%9d", n)
	case n < 1_000_000_000:
		return fmt.Sprintf("%8dK", n/1000)
	case n < 100_000_000_000:
		return fmt.Sprintf("%8dM", n/1_000_000)
	case n < 100_000_000_000_000:
		return fmt.Sprintf("%8dG", n/1_000_000_000)
	}
	return fmt.Sprintf("%8dT", n/1_000_000_000_000)
}

// forwarding is ipvsadm's word for a forwarding method.
func forwarding(f ipvs.Forwarding) string {
	switch f {
	case ipvs.NAT:
		return "Masq"
	case ipvs.Local:
		return "Local"
	case ipvs.Tunnel:
		return "Tunnel"
	case ipvs.DirectRoute:
		return "Route"
	case ipvs.Bypass:
		return "Bypass"
	}
	return f.String()
}

// tunnel is ipvsadm's short form of a tunnel's settings: gue:6080:+c.
func tunnel(d ipvs.Destination) string {
	if d.Forwarding != ipvs.Tunnel {
		return "n/a"
	}
	parts := []string{d.TunnelType.String()}
	if d.TunnelType == ipvs.GUE {
		parts = append(parts, strconv.Itoa(int(d.TunnelPort)))
	}
	if d.TunnelType != ipvs.IPIP {
		checksum := "-c"
		switch {
		case d.TunnelFlags&ipvs.TunnelChecksum != 0:
			checksum = "+c"
		case d.TunnelFlags&ipvs.TunnelRemoteChecksum != 0:
			checksum = "r+c"
		}
		parts = append(parts, checksum)
	}
	return strings.Join(parts, ":")
}

// Timeouts returns them as `ipvsadm -L --timeout` does, in seconds.
func Timeouts(t ipvs.Timeouts) string {
	return fmt.Sprintf("Timeout (tcp tcpfin udp): %d %d %d\n", int64(t.TCP.Seconds()), int64(t.TCPFin.Seconds()), int64(t.UDP.Seconds()))
}

// Daemons returns the sync daemons as `ipvsadm -L --daemon` does.
func Daemons(list []ipvs.SyncDaemon) string {
	var b strings.Builder
	for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
		d, runs := ipvs.FindSync(list, role)
		if !runs {
			continue
		}
		d = d.Canonical()
		fmt.Fprintf(&b, "%v sync daemon (mcast=%s, syncid=%d, maxlen=%d, group=%v, port=%d, ttl=%d)\n", d.Role, d.Interface, d.ID, d.MaxLen, d.Group, d.Port, d.TTL)
	}
	return b.String()
}

// of writes an address and port, with names where there are any.
func (n *Names) of(a netip.AddrPort, protocol string) string {
	if n == nil || !a.IsValid() {
		return a.String()
	}
	host, port := a.Addr().String(), strconv.Itoa(int(a.Port()))
	if name := n.host(a.Addr()); name != "" {
		host = name
	} else if a.Addr().Is6() {
		host = "[" + host + "]"
	}
	if name := n.port(protocol, a.Port()); name != "" {
		port = name
	}
	return host + ":" + port
}
