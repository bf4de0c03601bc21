package checkd

import (
	"fmt"
	"strings"

	"director/internal/control"
	"director/ipvs"
)

// repair is a difference that somebody else made and that was undone.
type repair struct {
	op    ipvs.Op // what undid it
	found string  // missing, unexpected or changed
	text  string  // for people
}

// drift returns which of the operations undo what somebody else did: those
// whose object is not in the table found what it was in our picture of it. Of a
// service that came or went as a whole, its servers are not listed.
func drift(picture, found ipvs.Table, ops []ipvs.Op) []repair {
	var repairs []repair
	for _, op := range ops {
		was, is := picture[op.Key], found[op.Key]
		var r repair
		switch {
		case !op.Kind.OnDest():
			r = serviceDrift(was, is)
		case was != nil && is != nil:
			r = destDrift(was, is, op.DestKey)
		}
		if r.found != "" {
			r.op = op
			repairs = append(repairs, r)
		}
	}
	return repairs
}

// serviceDrift compares a service with our picture of it; either may be nil.
func serviceDrift(was, is *ipvs.Entry) repair {
	switch {
	case was == nil && is == nil:
		return repair{}
	case is == nil:
		return repair{found: "missing", text: fmt.Sprintf("was removed from the kernel's table with its %d servers; added again", len(was.Dests))}
	case was == nil:
		return repair{found: "unexpected", text: fmt.Sprintf("appeared in the kernel's table with %d servers; removed", len(is.Dests))}
	}
	a, b := was.Service.Canonical(), is.Service.Canonical()
	if a == b {
		return repair{}
	}
	var parts []string
	parts = compare(parts, "scheduler", b.Scheduler, a.Scheduler)
	parts = compare(parts, "persistence", b.PersistenceTimeout, a.PersistenceTimeout)
	parts = compare(parts, "persistence mask", b.PersistenceMask, a.PersistenceMask)
	parts = compare(parts, "persistence engine", b.PersistenceEngine, a.PersistenceEngine)
	parts = compare(parts, "flags", b.Flags, a.Flags)
	return repair{found: "changed", text: "had " + strings.Join(parts, ", ") + "; set back"}
}

// destDrift compares a real server with our picture of it.
func destDrift(was, is *ipvs.Entry, key ipvs.DestKey) repair {
	a, had := was.Dests[key]
	b, has := is.Dests[key]
	switch {
	case had && !has:
		return repair{found: "missing", text: "was removed from the kernel's table; added again"}
	case !had && has:
		return repair{found: "unexpected", text: fmt.Sprintf("appeared in the kernel's table with weight %d; removed", b.Weight)}
	}
	if a, b = a.Canonical(), b.Canonical(); a == b {
		return repair{}
	}
	var parts []string
	parts = compare(parts, "weight", b.Weight, a.Weight)
	parts = compare(parts, "forwarding", b.Forwarding, a.Forwarding)
	parts = compare(parts, "upper threshold", b.UpperThreshold, a.UpperThreshold)
	parts = compare(parts, "lower threshold", b.LowerThreshold, a.LowerThreshold)
	parts = compare(parts, "tunnel type", b.TunnelType, a.TunnelType)
	parts = compare(parts, "tunnel port", b.TunnelPort, a.TunnelPort)
	parts = compare(parts, "tunnel flags", b.TunnelFlags, a.TunnelFlags)
	return repair{found: "changed", text: "had " + strings.Join(parts, ", ") + "; set back"}
}

// compare adds "what X instead of Y" to parts when they differ.
func compare[T comparable](parts []string, what string, is, was T) []string {
	if is == was {
		return parts
	}
	return append(parts, fmt.Sprintf("%s %v instead of %v", what, is, was))
}

// repaired tells the parent of a repair of the kernel's table; the parent logs it.
func (d *Daemon) repaired(r repair) {
	subject := d.privateName(r.op.Key)
	s := d.byKey[r.op.Key]
	if s != nil {
		subject = s.pool.Config().Name
		if len(s.keys) > 1 {
			r.text = r.op.Key.String() + " " + r.text
		}
	}
	if r.op.Kind.OnDest() {
		server := r.op.DestKey.String()
		if s != nil {
			for _, rs := range s.pool.Servers() {
				if destKey(rs.Config.Key, r.op.Key) == r.op.DestKey {
					server = rs.Config.Name
				}
			}
		}
		subject += "/" + server
	}
	d.news = true
	d.events = append(d.events, control.Event{
		Time: d.table.reconciled, Generation: d.generation, Kind: "ipvs", Subject: subject,
		From: r.found, To: "repaired", Reason: r.text, Code: "repaired",
	})
}
