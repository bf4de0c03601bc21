package snmpd

import (
	"math/bits"
	"net/netip"
	"slices"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// virtualServers is virtualServerTable.
func (s *state) virtualServers(rows []serviceRow) []agentx.Object {
	type R = serviceRow
	columns := []column[R]{
		{2, func(r *R) agentx.Value {
			switch {
			case r.Group != "":
				return agentx.Integer(3) // group
			case r.FWMark != 0:
				return agentx.Integer(1) // fwmark
			}
			return agentx.Integer(2) // ip
		}},
		{3, func(r *R) agentx.Value { return text(r.Group) }},
		{4, func(r *R) agentx.Value {
			if r.FWMark == 0 {
				return none
			}
			return agentx.Gauge(uint64(r.FWMark))
		}},
		{5, func(r *R) agentx.Value {
			if ofIPv6(r.VirtualServer) {
				return agentx.Integer(2)
			}
			return agentx.Integer(1)
		}},
		{6, func(r *R) agentx.Value { return address(r.Address.Addr()) }},
		{7, func(r *R) agentx.Value {
			if !r.Address.IsValid() {
				return none
			}
			return agentx.Gauge(uint64(r.Address.Port()))
		}},
		{8, func(r *R) agentx.Value {
			if r.Protocol == "" {
				return agentx.Integer(4) // none: a firewall mark
			}
			return numberOf(string(r.Protocol), "tcp", "udp", "sctp")
		}},
		{9, func(r *R) agentx.Value { return scheduler(r.Scheduler) }},
		{10, func(r *R) agentx.Value { return forwarding(r.Forwarding) }},
		{11, (*R).up}, // alive, dead
		{13, func(r *R) agentx.Value { return yes(r.PersistenceTimeout > 0) }},
		{14, func(r *R) agentx.Value {
			if r.PersistenceTimeout == 0 {
				return none
			}
			return seconds(r.PersistenceTimeout)
		}},
		{15, func(r *R) agentx.Value { return granularity(r.VirtualServer, false) }},
		{17, func(*R) agentx.Value { return yes(false) }}, // checks go on without the address
		{18, func(r *R) agentx.Value { return yes(r.Alpha) }},
		{19, func(r *R) agentx.Value { return yes(r.Omega) }},
		{20, func(r *R) agentx.Value { return agentx.Gauge(uint64(len(r.RealServers))) }},
		{21, (*R).healthy},
		{22, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.Quorum)) }},
		{23, (*R).up}, // met, notMet
		{24, func(r *R) agentx.Value { return command(r.QuorumUp) }},
		{25, func(r *R) agentx.Value { return command(r.QuorumDown) }},
		{26, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.Hysteresis)) }},
		{37, func(r *R) agentx.Value { return yes(r.OnePacket) }},
		{51, func(r *R) agentx.Value { return granularity(r.VirtualServer, true) }},
		{53, func(r *R) agentx.Value { return schedulerFlag(r.VirtualServer, "sh", 1) }},
		{54, func(r *R) agentx.Value { return schedulerFlag(r.VirtualServer, "sh", 2) }},
		{55, func(r *R) agentx.Value { return schedulerFlag(r.VirtualServer, "", 3) }},
		{56, func(r *R) agentx.Value { return whenDown(r.Inhibit) }},
		{61, func(r *R) agentx.Value { return yes(r.Mail && s.mails("service", "server")) }},
		{62, func(r *R) agentx.Value { return schedulerFlag(r.VirtualServer, "mh", 1) }},
		{63, func(r *R) agentx.Value { return schedulerFlag(r.VirtualServer, "mh", 2) }},
		{68, func(r *R) agentx.Value { return tunnel(r.Forwarding, r.Tunnel, 0) }},
		{69, func(r *R) agentx.Value { return tunnel(r.Forwarding, r.Tunnel, 1) }},
		{70, func(r *R) agentx.Value { return tunnel(r.Forwarding, r.Tunnel, 2) }},
		{71, func(r *R) agentx.Value { return text(r.Name) }},
	}
	columns = append(columns, checkColumns((*R).checks, 57, 58, 65, 59, 66, 16, 64, 67)...)
	columns = append(columns, traffic(func(r *R) (*control.Counters, *control.Rates) {
		if r.now == nil {
			return nil, nil
		}
		return &r.now.Counters, &r.now.Rates
	}, [5]uint32{27, 28, 29, 30, 31}, 32, 38, 41)...)
	return table(checkPart.Append(3, 1), rows, nil, columns)
}

// up says whether the pool serves, none before that is known.
func (r *serviceRow) up() agentx.Value {
	if r.now == nil || r.now.State == "unknown" {
		return none
	}
	return yes(r.now.State == "up")
}

// checks are those that its servers have by it, else those of all of its servers.
func (r *serviceRow) checks() []config.Check {
	if len(r.Checks) > 0 {
		return r.Checks
	}
	var all []config.Check
	for i := range r.RealServers {
		all = append(all, r.RealServers[i].Checks...)
	}
	return all
}

// healthy counts the real servers that are up.
func (r *serviceRow) healthy() agentx.Value {
	if r.now == nil {
		return none
	}
	n := uint64(0)
	for i := range r.now.Servers {
		if r.now.Servers[i].Health == "up" {
			n++
		}
	}
	return agentx.Gauge(n)
}

// realServers is realServerTable.
func (s *state) realServers(rows []serverRow) []agentx.Object {
	type R = serverRow
	// What only real servers have.
	real := func(value func(*R) agentx.Value) func(*R) agentx.Value {
		return func(r *R) agentx.Value {
			if r.real == nil {
				return none
			}
			return value(r)
		}
	}
	count := func(value func(*control.Server) uint32) func(*R) agentx.Value {
		return func(r *R) agentx.Value {
			if r.now == nil {
				return none
			}
			return agentx.Gauge(uint64(value(r.now)))
		}
	}
	columns := []column[R]{
		{2, func(r *R) agentx.Value { return yes(r.real != nil) }}, // regular, sorry
		{3, func(r *R) agentx.Value { return addressType(r.address().Addr()) }},
		{4, func(r *R) agentx.Value { return address(r.address().Addr()) }},
		{5, func(r *R) agentx.Value { return agentx.Gauge(uint64(r.port())) }},
		{6, (*R).up}, // alive, dead
		{7, real(func(r *R) agentx.Value {
			if r.now == nil {
				return agentx.Integer(r.real.Weight)
			}
			return agentx.Integer(r.now.EffectiveWeight)
		})},
		{8, real(func(r *R) agentx.Value { return positive(r.real.Upper) })},
		{9, real(func(r *R) agentx.Value { return positive(r.real.Lower) })},
		{10, real(func(r *R) agentx.Value { return whenDown(r.real.Inhibit) })},
		{11, real(func(r *R) agentx.Value { return command(r.real.NotifyUp) })},
		{12, real(func(r *R) agentx.Value { return command(r.real.NotifyDown) })},
		{13, real((*R).failed)},
		{15, count(func(s *control.Server) uint32 { return s.Active })},
		{16, count(func(s *control.Server) uint32 { return s.Inactive })},
		{17, count(func(s *control.Server) uint32 { return s.Persistent })},
		{40, func(r *R) agentx.Value { f, _ := r.forwarding(); return forwarding(f) }},
		{42, real(func(r *R) agentx.Value { return yes(r.real.Alpha) })},
		{47, func(r *R) agentx.Value { return yes(r.service.Mail && s.mails("server")) }},
		{52, func(r *R) agentx.Value { f, t := r.forwarding(); return tunnel(f, t, 0) }},
		{53, func(r *R) agentx.Value { f, t := r.forwarding(); return tunnel(f, t, 1) }},
		{54, func(r *R) agentx.Value { f, t := r.forwarding(); return tunnel(f, t, 2) }},
		{55, func(r *R) agentx.Value { return text(r.name()) }},
	}
	columns = append(columns, checkColumns((*R).checks, 43, 44, 48, 45, 49, 46, 50, 51)...)
	columns = append(columns, traffic(func(r *R) (*control.Counters, *control.Rates) {
		if r.now == nil {
			return nil, nil
		}
		return &r.now.Counters, &r.now.Rates
	}, [5]uint32{14, 18, 19, 20, 21}, 22, 27, 30)...)
	return table(checkPart.Append(4, 1), rows, func(r *R) agentx.OID { return r.index }, columns)
}

func (r *serverRow) address() netip.AddrPort {
	if r.real != nil {
		return r.real.Address
	}
	return r.sorry.Address
}

// port is the service's where a server has none of its own: it gets packets as they are.
func (r *serverRow) port() uint16 {
	if n := r.address().Port(); n != 0 {
		return n
	}
	return r.service.Address.Port()
}

func (r *serverRow) name() string {
	if r.real != nil {
		return r.real.Name
	}
	return r.sorry.Name
}

func (r *serverRow) checks() []config.Check {
	if r.real != nil {
		return r.real.Checks
	}
	return r.sorry.Checks
}

func (r *serverRow) forwarding() (config.Forwarding, *config.TunnelOptions) {
	if r.real != nil {
		return r.real.Forwarding, r.real.Tunnel
	}
	return r.sorry.Forwarding, r.sorry.Tunnel
}

// up says whether the checks find it well, none before that is known, or of a sorry
// server that is not checked.
func (r *serverRow) up() agentx.Value {
	if r.now == nil || r.now.Health == "unknown" || r.real == nil && len(r.sorry.Checks) == 0 {
		return none
	}
	return yes(r.now.Health == "up")
}

// failed counts the checks that are down.
func (r *serverRow) failed() agentx.Value {
	if r.now == nil {
		return none
	}
	n := uint64(0)
	for i := range r.now.Checks {
		if r.now.Checks[i].State == "down" {
			n++
		}
	}
	return agentx.Gauge(n)
}

// whenDown is what becomes of a server that fails: remove(1) or inhibit(2).
func whenDown(inhibit bool) agentx.Value { return yes(!inhibit) }

// traffic are the counters of IPVS, five of them as the MIB first had them, five rates
// from one number on, three counters again in 64 bits, and the rates in two halves
// each.
func traffic[R any](of func(*R) (*control.Counters, *control.Rates), counters [5]uint32, rates, wide, halves uint32) []column[R] {
	counter := func(number uint32, form func(uint64) agentx.Value, value func(*control.Counters) uint64) column[R] {
		return column[R]{number, func(r *R) agentx.Value {
			c, _ := of(r)
			if c == nil {
				return none
			}
			return form(value(c))
		}}
	}
	rate := func(number uint32, value func(*control.Rates) uint64) column[R] {
		return column[R]{number, func(r *R) agentx.Value {
			_, c := of(r)
			if c == nil {
				return none
			}
			return agentx.Gauge(value(c))
		}}
	}
	connections := func(c *control.Counters) uint64 { return c.Connections }
	inPackets := func(c *control.Counters) uint64 { return c.InPackets }
	outPackets := func(c *control.Counters) uint64 { return c.OutPackets }
	list := []column[R]{
		counter(counters[0], agentx.Gauge, connections),
		counter(counters[1], agentx.Counter32, inPackets),
		counter(counters[2], agentx.Counter32, outPackets),
		counter(counters[3], agentx.Counter64, func(c *control.Counters) uint64 { return c.InBytes }),
		counter(counters[4], agentx.Counter64, func(c *control.Counters) uint64 { return c.OutBytes }),
		counter(wide, agentx.Counter64, connections),
		counter(wide+1, agentx.Counter64, inPackets),
		counter(wide+2, agentx.Counter64, outPackets),
	}
	for i, value := range []func(*control.Rates) uint64{
		func(c *control.Rates) uint64 { return c.Connections },
		func(c *control.Rates) uint64 { return c.InPackets },
		func(c *control.Rates) uint64 { return c.OutPackets },
		func(c *control.Rates) uint64 { return c.InBytes },
		func(c *control.Rates) uint64 { return c.OutBytes },
	} {
		low := halves + 2*uint32(i)
		list = append(list, rate(rates+uint32(i), value),
			rate(low, func(c *control.Rates) uint64 { return value(c) & (1<<32 - 1) }),
			rate(low+1, func(c *control.Rates) uint64 { return value(c) >> 32 }))
	}
	return list
}

// numberOf finds a word in a list that counts from 1, none when it is not there.
func numberOf(word string, words ...string) agentx.Value {
	for i, w := range words {
		if w == word {
			return agentx.Integer(i + 1)
		}
	}
	return none
}

func scheduler(name string) agentx.Value {
	v := numberOf(name, "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos")
	if !v.There() {
		return agentx.Integer(99) // unknown
	}
	return v
}

func forwarding(f config.Forwarding) agentx.Value { return numberOf(string(f), "nat", "dr", "tunnel") }

// tunnel are the type, the port and the checksum of an encapsulation.
func tunnel(f config.Forwarding, t *config.TunnelOptions, part int) agentx.Value {
	if f != config.Tunnel {
		return none
	}
	if t == nil {
		t = &config.TunnelOptions{Type: "ipip", Checksum: "none"}
	}
	switch part {
	case 0:
		return numberOf(t.Type, "ipip", "gue", "gre")
	case 1:
		if t.Port == 0 {
			return none
		}
		return agentx.Gauge(uint64(t.Port))
	}
	return numberOf(t.Checksum, "none", "checksum", "remote-checksum")
}

// agreed is a setting that all checks have, none where they differ or there are none.
func agreed(checks []config.Check, setting func(*config.Check) int64, value func(int64) agentx.Value) agentx.Value {
	for i := range checks {
		if setting(&checks[i]) != setting(&checks[0]) {
			return none
		}
	}
	if len(checks) == 0 {
		return none
	}
	return value(setting(&checks[0]))
}

// checkColumns are what the tables of virtual and of real servers tell of checks, by
// the numbers of their columns; those in microseconds are 0 where there is none.
func checkColumns[R any](checks func(*R) []config.Check, retry, delay, delayMicros, warmup, warmupMicros, loop, loopMicros, timeoutMicros uint32) []column[R] {
	whole := func(n int64) agentx.Value { return seconds(config.Duration(n)) }
	fine := func(n int64) agentx.Value { return micros(config.Duration(n)) }
	of := func(number uint32, setting func(*config.Check) int64, value func(int64) agentx.Value) column[R] {
		return column[R]{number, func(r *R) agentx.Value { return agreed(checks(r), setting, value) }}
	}
	interval := func(c *config.Check) int64 { return int64(c.Interval) }
	changing := func(c *config.Check) int64 { return int64(c.IntervalChanging) }
	jitter := func(c *config.Check) int64 { return int64(c.Jitter) }
	timeout := func(c *config.Check) int64 {
		if c.ConnectTimeout > 0 {
			return int64(c.ConnectTimeout)
		}
		return int64(c.Timeout)
	}
	return []column[R]{
		of(retry, func(c *config.Check) int64 { return int64(c.Fall - 1) }, func(n int64) agentx.Value { return agentx.Gauge(uint64(n)) }),
		of(delay, changing, whole), of(delayMicros, changing, fine),
		of(warmup, jitter, whole), of(warmupMicros, jitter, fine),
		of(loop, interval, whole), of(loopMicros, interval, fine),
		of(timeoutMicros, timeout, fine),
	}
}

// schedulerFlag says whether a service has a flag of its scheduler by its number; where a
// scheduler is named, of that one alone.
func schedulerFlag(vs *config.VirtualServer, of string, number int) agentx.Value {
	return yes((of == "" || vs.Scheduler == of) &&
		slices.ContainsFunc(vs.SchedulerFlags, func(f string) bool { return config.FlagNumber(f) == number }))
}

// ofIPv6 says whether clients of a service speak IPv6.
func ofIPv6(vs *config.VirtualServer) bool {
	if vs.Group == "" || len(vs.Members) == 0 {
		return vs.Address.Addr().Is6() || vs.Family == "ipv6"
	}
	m := &vs.Members[0]
	r, _ := config.ParseRange(m.Address)
	return r.First.Is6() || m.Family == "ipv6"
}

// granularity is the netmask of IPv4 or the prefix length of IPv6 by which clients are
// told apart, of services that bind them.
func granularity(vs *config.VirtualServer, six bool) agentx.Value {
	if vs.PersistenceTimeout == 0 || ofIPv6(vs) != six {
		return none
	}
	mask, ok := config.Granularity(vs.PersistenceGranularity, six)
	if !ok {
		mask, _ = config.Granularity(map[bool]string{false: "32", true: "128"}[six], six) // each address for itself
	}
	if !six {
		return address(mask)
	}
	ones := 0
	for _, b := range mask.AsSlice() {
		ones += bits.OnesCount8(b)
	}
	return agentx.Gauge(uint64(ones))
}
