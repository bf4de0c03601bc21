package checkd

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/ipvs"
)

// passage is the way of a probe to one real server through a virtual address: a
// private service of the kernel with this one server, forwarded to as its clients are.
// A firewall mark leads to it, so that it needs no address, and two virtual addresses
// of one server share it.
type passage struct {
	family ipvs.Family // of the virtual address
	server netip.Addr
	dest   ipvs.Destination
}

func (p passage) valid() bool { return p.server.IsValid() }

// key is the private service under a mark.
func (p passage) key(mark uint32) ipvs.ServiceKey { return ipvs.MarkService(mark, p.family) }

// destKey names the server in it. DR and tunnels leave the port as it is.
func (p passage) destKey() ipvs.DestKey { return ipvs.CanonicalDest(netip.AddrPortFrom(p.server, 0)) }

// entry is what stands in the kernel. Each datagram is scheduled for itself: the entry
// of a former probe with the same source port would else lead to its server.
func (p passage) entry() *ipvs.Entry {
	return &ipvs.Entry{
		Service: ipvs.Service{Scheduler: "rr", Flags: ipvs.FlagOnePacket},
		Dests:   map[ipvs.DestKey]ipvs.Destination{p.destKey(): p.dest},
	}
}

// goThrough sends the question to the address of the virtual server, by way of the server.
func (q *Query) goThrough(v *config.VirtualServer, c *config.Check, s checkers.ServerConfig) {
	vip := v.ProbeAddress()
	q.Target = c.Target(vip)
	q.Host = "" // that of the virtual address, as clients have it
	d := s.Dest
	d.Weight, d.UpperThreshold, d.LowerThreshold = 1, 0, 0
	q.Through = passage{family: ipvs.FamilyOf(vip.Addr()), server: s.Key.Addr(), dest: d}
}

// openPassages gives each passage that a task needs a mark, and has the kernel's table
// hold the private services and no others. A passage keeps its mark; one that a former
// process left in the kernel gets that again, and marks of strangers are left alone.
func (d *Daemon) openPassages() {
	wanted := map[passage]bool{}
	for key := range d.schedule.tasks {
		if key.Through.valid() {
			wanted[key.Through] = true
		}
	}
	if len(wanted) == 0 && len(d.marks) == 0 {
		return
	}
	base := d.global.ProbeMarkBase
	ours := func(mark uint32) bool { return mark >= base && mark-base < config.ProbeMarks }
	taken := map[uint32]bool{}
	for p, mark := range d.marks {
		if !wanted[p] || !ours(mark) {
			d.table.set(p.key(mark), nil)
			delete(d.marks, p)
			continue
		}
		taken[mark] = true
	}
	left := map[passage]uint32{}
	for key, e := range d.table.have {
		if key.FWMark == 0 || !ours(key.FWMark) {
			continue
		}
		if !d.table.owned.Has(key) {
			taken[key.FWMark] = true
			d.log.Warn("another program has a service with a mark of the probes through virtual addresses: the mark is not used", "service", key.String())
			continue
		}
		for dest, to := range e.Dests {
			left[passage{key.IPFamily(), dest.Addr(), to}] = key.FWMark
		}
	}
	for p := range wanted {
		if mark := left[p]; d.marks[p] == 0 && mark != 0 && !taken[mark] {
			d.marks[p], taken[mark] = mark, true
		}
	}
	next := base
	for _, p := range slices.SortedFunc(maps.Keys(wanted), passage.compare) {
		if d.marks[p] == 0 {
			for ours(next) && taken[next] {
				next++
			}
			if !ours(next) {
				break // strangers have so many: the probe says that its way is closed
			}
			d.marks[p], taken[next] = next, true
		}
		d.table.set(p.key(d.marks[p]), p.entry())
	}
}

// compare orders passages, so that the marks of a configuration are the same each time.
func (p passage) compare(o passage) int {
	return cmp.Or(cmp.Compare(p.family, o.family), p.server.Compare(o.server),
		cmp.Compare(p.dest.Forwarding, o.dest.Forwarding), cmp.Compare(p.dest.TunnelType, o.dest.TunnelType),
		cmp.Compare(p.dest.TunnelPort, o.dest.TunnelPort), cmp.Compare(p.dest.TunnelFlags, o.dest.TunnelFlags))
}

// closePassages takes the private services away: nobody asks any more, and they are
// of no use to clients, even where the table is to stay.
func (d *Daemon) closePassages(now time.Time) {
	for p, mark := range d.marks {
		d.table.set(p.key(mark), nil)
	}
	clear(d.marks)
	if d.table.kernel != nil {
		d.table.flush(now)
		d.keepRecord(now)
	}
}

// mark returns the mark that leads onto a passage, 0 unless the kernel has it as it is
// to be: without its service, a probe would reach any server, or this host itself.
func (d *Daemon) mark(p passage) uint32 {
	mark := d.marks[p]
	if mark == 0 || !p.stands(d.table.have, mark) {
		return 0
	}
	return mark
}

// stands says that a table has the private service as it is to be.
func (p passage) stands(table ipvs.Table, mark uint32) bool {
	e := table[p.key(mark)]
	return e != nil && len(e.Dests) == 1 && e.Dests[p.destKey()] == p.dest
}

// closedPassage is the result of a probe that cannot go its way.
func closedPassage(p passage) probe.Result {
	return probe.Result{Reason: probe.Local, Detail: fmt.Sprintf("the private IPVS service that leads to %s is not in the kernel", p.server)}
}

// doubt is what failures of probes through virtual addresses are held against.
type doubt struct {
	next time.Time // when the kernel's table may be looked at again
	gone time.Time // when a private service was last found missing
}

// doubtPassage says that a probe that failed proves nothing, because somebody has taken
// the private service away that it was to go through. However many servers fail, asking
// the kernel takes no more than a twentieth of the time.
func (d *Daemon) doubtPassage(now time.Time, a answer) bool {
	p := a.task.Through
	if !now.Before(d.doubt.next) {
		began := time.Now()
		found, err := d.table.kernel.Dump()
		d.doubt.next = now.Add(max(20*time.Since(began), 50*time.Millisecond))
		if err == nil && !p.stands(found, d.marks[p]) {
			d.doubt.gone, d.table.compareAt = now, now // put back by the comparison
		}
	}
	return !a.at.After(d.doubt.gone)
}

// privateName names a service of the kernel: one of ours that probes go through by its server.
func (d *Daemon) privateName(key ipvs.ServiceKey) string {
	for p, mark := range d.marks {
		if p.key(mark) == key {
			return fmt.Sprintf("probes through %s (%s)", p.server, key)
		}
	}
	return key.String()
}
