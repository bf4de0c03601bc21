package ipvsctl

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"director/ipvs"
)

// Filter chooses connections; what is zero chooses all.
type Filter struct {
	Client         netip.Prefix
	Virtual        netip.AddrPort // a port of 0 is any
	Server         netip.AddrPort
	Protocol       string // tcp, udp, sctp
	State          string // ESTABLISHED; in any case
	WithoutBinding bool   // leave out the templates of persistence
}

// Has reports whether a connection is chosen.
func (f Filter) Has(c ipvs.Connection) bool {
	at := func(want, is netip.AddrPort) bool {
		return !want.IsValid() || want.Addr() == is.Addr() && (want.Port() == 0 || want.Port() == is.Port())
	}
	return (!f.Client.IsValid() || f.Client.Contains(c.Client.Addr())) && at(f.Virtual, c.Virtual) && at(f.Server, c.Server) &&
		(f.Protocol == "" || strings.EqualFold(f.Protocol, c.Protocol)) && (f.State == "" || strings.EqualFold(f.State, c.State)) &&
		!(f.WithoutBinding && c.Client.Port() == 0)
}

// ConnectionsHeading writes the heading of `ipvsadm -Lnc`, with engines that of its
// --persistent-conn.
func ConnectionsHeading(w io.Writer, engines bool) error {
	_, err := fmt.Fprintf(w, "IPVS connection entries\npro expire %-11s %-18s %-18s ", "state", "source", "virtual")
	if err == nil && engines {
		_, err = fmt.Fprintf(w, "%-18s %-16s %s\n", "destination", "pe name", "pe_data")
	} else if err == nil {
		_, err = fmt.Fprintln(w, "destination")
	}
	return err
}

// Connection writes a connection as `ipvsadm -Lnc` does.
func (v View) Connection(w io.Writer, c ipvs.Connection) error {
	expires := int64(c.Expires.Seconds())
	server := v.Names.of(c.Server, c.Protocol)
	if v.Columns == Persistent && c.Engine != "" {
		server = fmt.Sprintf("%-16s %-18s %s", server, c.Engine, c.EngineData) // other widths than in the heading, as ipvsadm has it
	}
	_, err := fmt.Fprintf(w, "%-3s %-6s %-11s %-18s %-18s %s\n", c.Protocol, fmt.Sprintf("%02d:%02d", expires/60, expires%60), c.State,
		v.Names.of(c.Client, c.Protocol), v.Names.of(c.Virtual, c.Protocol), server)
	return err
}

// Counts are connections by protocol and state.
type Counts map[[2]string]uint64

// Add counts a connection.
func (n Counts) Add(c ipvs.Connection) { n[[2]string{c.Protocol, c.State}]++ }

// Text returns the counts as a table, with their sum.
func (n Counts) Text() string {
	var b strings.Builder
	total := uint64(0)
	fmt.Fprintf(&b, "%-4s %-12s %10s\n", "Prot", "State", "Connections")
	for _, k := range n.keys() {
		fmt.Fprintf(&b, "%-4s %-12s %11d\n", k[0], k[1], n[k])
		total += n[k]
	}
	fmt.Fprintf(&b, "%-17s %11d\n", "all", total)
	return b.String()
}

func (n Counts) keys() [][2]string {
	return slices.SortedFunc(maps.Keys(n), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
}
