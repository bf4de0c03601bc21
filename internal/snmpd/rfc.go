package snmpd

import (
	"net/netip"
	"slices"
	"time"

	"director/internal/agentx"
	"director/internal/control"
)

// routerRow is one virtual router: an instance in one address family.
type routerRow struct {
	*instanceRow
	now   *control.Instance
	link  link
	index agentx.OID // the interface, the router's ID, and for VRRPV3-MIB the type of its addresses
}

// routers lists the virtual routers whose interface the host has, in the order of
// their indexes.
func (s *state) routers() []routerRow {
	var rows []routerRow
	instances := s.instances()
	for i := range instances {
		in := &instances[i]
		l, has := s.links[in.Interface]
		if !has {
			continue
		}
		for _, now := range in.now {
			family := uint32(1)
			if now.Family == "ipv6" {
				family = 2
			}
			rows = append(rows, routerRow{in, now, l, agentx.OID{uint32(l.index), uint32(in.VRID), family}})
		}
	}
	slices.SortFunc(rows, func(a, b routerRow) int { return a.index.Compare(b.index) })
	return slices.CompactFunc(rows, func(a, b routerRow) bool { return a.index.Compare(b.index) == 0 })
}

// status is initialize(1), backup(2) or master(3).
func (r *routerRow) status() agentx.Value {
	switch r.now.State {
	case "BACKUP":
		return agentx.Integer(2)
	case "MASTER":
		return agentx.Integer(3)
	}
	return agentx.Integer(1)
}

// mac is the address that the virtual addresses are reached by.
func (r *routerRow) mac() agentx.Value {
	if r.UseVMAC {
		mac := r.VMAC(r.now.Family == "ipv6")
		return agentx.Text(string(mac[:]))
	}
	return text(r.link.mac)
}

// source is the address of its own adverts, zeros while it has none.
func (r *routerRow) source() netip.Addr { return r.parsed(r.now.Source) }

// master is the address of the master that it knows, zeros while it knows none.
func (r *routerRow) master() netip.Addr {
	if r.now.State == "MASTER" {
		return r.source()
	}
	return r.parsed(r.now.Master)
}

func (r *routerRow) parsed(s string) netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.WithZone("")
	}
	if r.now.Family == "ipv6" {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// advertised are the addresses that its adverts list.
func (r *routerRow) advertised() (list []netip.Addr) {
	for _, a := range r.Addresses {
		if a.Prefix.Addr().Is6() == (r.now.Family == "ipv6") {
			list = append(list, a.Prefix.Addr())
		}
	}
	return list
}

// takeovers counts its transitions to MASTER.
func (r *routerRow) takeovers() (n uint64) {
	for _, m := range r.now.Moves {
		if m.To == "MASTER" {
			n += m.Count
		}
	}
	return n
}

// newMasterReason is why it is MASTER: notMaster(0) and what control.MIBMasterReason
// says.
func (r *routerRow) newMasterReason() agentx.Value {
	if r.now.State != "MASTER" {
		return agentx.Integer(0)
	}
	return agentx.Integer(control.MIBMasterReason(r.now.Code))
}

// dropped counts packets that were dropped for any of some reasons (see vrrp.Discard).
func (r *routerRow) dropped(reasons ...string) (n uint64) {
	for _, reason := range reasons {
		n += r.now.Discards[reason]
	}
	return n
}

// protocolError is the newest of the errors that it has a number for, noError(0)
// without.
func (r *routerRow) protocolError() agentx.Value {
	numbers := map[string]int{"wrong_ttl": 1, "wrong_version": 2, "bad_checksum": 3}
	number, last := 0, time.Time{}
	for _, d := range r.now.Dropped {
		if n, known := numbers[d.Reason]; known && d.Last.After(last) {
			number, last = n, d.Last
		}
	}
	return agentx.Integer(number)
}

func sum(rows []routerRow, reason string) (n uint64) {
	for i := range rows {
		n += rows[i].dropped(reason)
	}
	return n
}

// addressOf is an address of a virtual router as a row.
type addressOf struct{ index agentx.OID }

// rfc6527 is VRRPV3-MIB. Rows are active(1): they come with the configuration.
func (s *state) rfc6527() []agentx.Object {
	type R = routerRow
	operations, statistics := rfc6527MIB.Append(1, 1), rfc6527MIB.Append(1, 2)
	rows := s.routers()
	var addresses []addressOf
	for i := range rows {
		for _, a := range rows[i].advertised() {
			// An InetAddress in an index begins with its length (RFC 2578 section 7.7).
			name := append(slices.Clone(rows[i].index), uint32(a.BitLen()/8))
			for _, b := range a.AsSlice() {
				name = append(name, uint32(b))
			}
			addresses = append(addresses, addressOf{name})
		}
	}
	counter := func(number uint32, value func(*R) uint64) column[R] {
		return column[R]{number, func(r *R) agentx.Value { return agentx.Counter64(value(r)) }}
	}
	index := func(r *R) agentx.OID { return r.index }
	list := table(operations.Append(1, 1), rows, index, []column[R]{
		{3, func(r *R) agentx.Value { return address(r.master()) }},
		{4, func(r *R) agentx.Value { return address(r.source()) }},
		{5, (*R).mac},
		{6, (*R).status},
		{7, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.Priority)) }},
		{8, func(r *R) agentx.Value { return agentx.Integer(len(r.advertised())) }},
		{9, func(r *R) agentx.Value { return agentx.Integer(int(r.now.AdvertInterval / (10 * time.Millisecond))) }},
		{10, func(r *R) agentx.Value { return yes(!r.NoPreempt) }},
		{11, func(r *R) agentx.Value { return yes(r.Accept) }},
		{13, func(*R) agentx.Value { return agentx.Integer(1) }},
	})
	list = append(list, addressTable(operations.Append(2, 1), addresses)...)
	list = append(list, scalars(statistics, map[uint32]agentx.Value{
		1: agentx.Counter64(sum(rows, "bad_checksum")), 2: agentx.Counter64(sum(rows, "wrong_version")),
	})...)
	return append(list, table(statistics.Append(5, 1), rows, index, []column[R]{
		{1, func(r *R) agentx.Value { return agentx.Counter32(r.takeovers()) }},
		{2, (*R).newMasterReason},
		counter(3, func(r *R) uint64 { return r.now.AdvertsHeard }),
		counter(4, func(r *R) uint64 { return r.dropped("zero_interval", "interval_mismatch") }),
		counter(5, func(r *R) uint64 { return r.dropped("wrong_ttl") }),
		{6, (*R).protocolError},
		counter(9, func(r *R) uint64 { return r.dropped("wrong_type") }),
		counter(10, func(r *R) uint64 { return r.dropped("no_address") }),
		counter(11, func(r *R) uint64 { return r.dropped("truncated") }),
		{13, func(*R) agentx.Value { return agentx.Gauge(uint64(s.refresh / time.Millisecond)) }},
	})...)
}

// addressTable has nothing but the status of its rows, which are the addresses.
func addressTable(entry agentx.OID, rows []addressOf) []agentx.Object {
	slices.SortFunc(rows, func(a, b addressOf) int { return a.index.Compare(b.index) })
	return table(entry, rows, func(r *addressOf) agentx.OID { return r.index },
		[]column[addressOf]{{2, func(*addressOf) agentx.Value { return agentx.Integer(1) }}})
}

// rfc2787 is VRRP-MIB: the virtual routers of version 2.
func (s *state) rfc2787() []agentx.Object {
	type R = routerRow
	operations, statistics := rfc2787MIB.Append(1), rfc2787MIB.Append(2)
	rows := slices.DeleteFunc(s.routers(), func(r R) bool { return r.Version != 2 })
	var addresses []addressOf
	for i := range rows {
		rows[i].index = rows[i].index[:2] // version 2 is for IPv4 alone
		for _, a := range rows[i].advertised() {
			b := a.As4()
			addresses = append(addresses, addressOf{rows[i].index.Append(uint32(b[0]), uint32(b[1]), uint32(b[2]), uint32(b[3]))})
		}
	}
	counter := func(number uint32, value func(*R) uint64) column[R] {
		return column[R]{number, func(r *R) agentx.Value { return agentx.Counter32(value(r)) }}
	}
	index := func(r *R) agentx.OID { return r.index }
	list := scalars(operations, map[uint32]agentx.Value{
		1: agentx.Integer(2), // of VRRP
		2: yes(false),        // director sends none of its notifications
	})
	list = append(list, table(operations.Append(3, 1), rows, index, []column[R]{
		{2, (*R).mac},
		{3, (*R).status},
		{4, func(*R) agentx.Value { return agentx.Integer(1) }}, // up
		{5, func(r *R) agentx.Value { return agentx.Integer(int(r.Priority)) }},
		{6, func(r *R) agentx.Value { return agentx.Integer(len(r.advertised())) }},
		{7, func(r *R) agentx.Value { return agentx.IPAddress(r.master().As4()) }},
		{8, func(r *R) agentx.Value { return agentx.IPAddress(r.source().As4()) }},
		{9, func(r *R) agentx.Value {
			kind := authType(&r.Authentication)
			if kind.There() {
				kind = agentx.Integer(kind.Int() + 1)
			}
			return kind
		}},
		{11, func(r *R) agentx.Value { return agentx.Integer(int(r.now.AdvertInterval / time.Second)) }},
		{12, func(r *R) agentx.Value { return yes(!r.NoPreempt) }},
		{14, func(*R) agentx.Value { return agentx.Integer(1) }}, // ip
		{15, func(*R) agentx.Value { return agentx.Integer(1) }},
	})...)
	list = append(list, addressTable(operations.Append(4, 1), addresses)...)
	list = append(list, scalars(statistics, map[uint32]agentx.Value{
		1: agentx.Counter32(sum(rows, "bad_checksum")), 2: agentx.Counter32(sum(rows, "wrong_version")),
	})...)
	return append(list, table(statistics.Append(4, 1), rows, index, []column[R]{
		counter(1, (*R).takeovers),
		counter(2, func(r *R) uint64 { return r.now.AdvertsHeard }),
		counter(3, func(r *R) uint64 { return r.dropped("zero_interval", "interval_mismatch") }),
		counter(4, func(r *R) uint64 { return r.dropped("wrong_password", "bad_icv", "replay") }),
		counter(5, func(r *R) uint64 { return r.dropped("wrong_ttl") }),
		counter(8, func(r *R) uint64 { return r.dropped("wrong_type") }),
		counter(9, func(r *R) uint64 { return r.dropped("no_address") }),
		counter(11, func(r *R) uint64 { return r.dropped("wrong_auth_type") }),
		counter(12, func(r *R) uint64 { return r.dropped("truncated") }),
	})...)
}
