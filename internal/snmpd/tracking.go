package snmpd

import (
	"cmp"
	"slices"
	"time"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// trackedRow is something that an instance or a sync group tracks.
type trackedRow struct {
	index agentx.OID
	*config.Use
}

// trackedTables are the numbers, below the VRRP part, of the tables of what is tracked
// by instances and by sync groups.
var trackedTables = [...]struct {
	kind            config.TrackKind
	instance, group uint32
}{
	{config.KindInterface, 4, 14},
	{config.KindScript, 5, 15},
	{config.KindFile, 12, 16},
	{config.KindBFD, 17, 19},
	{config.KindProcess, 20, 22},
}

// tracked are the tables of what instances and sync groups track.
func (s *state) tracked(instances []instanceRow) []agentx.Object {
	var list []agentx.Object
	uses := make([][]config.Use, len(instances))
	for i := range instances {
		uses[i] = instances[i].Uses()
	}
	groups := make([][]config.Use, len(s.config.Groups))
	for i := range s.config.Groups {
		groups[i] = s.config.Groups[i].Uses()
	}
	for _, t := range trackedTables {
		list = append(list, s.trackedTable(t.instance, t.kind, uses)...)
		list = append(list, s.trackedTable(t.group, t.kind, groups)...)
	}
	return list
}

// trackedTable is one of these tables. Interfaces have their number as an index, and
// none while the host has no such; the others are counted.
func (s *state) trackedTable(number uint32, kind config.TrackKind, owners [][]config.Use) []agentx.Object {
	var rows []trackedRow
	for i := range owners {
		n := uint32(0)
		for j := range owners[i] {
			use := &owners[i][j]
			if use.Kind != kind {
				continue
			}
			n++
			at := n
			if kind == config.KindInterface {
				at = uint32(s.links[use.Name].index)
			}
			if at > 0 {
				rows = append(rows, trackedRow{agentx.OID{uint32(i + 1), at}, use})
			}
		}
	}
	slices.SortFunc(rows, func(a, b trackedRow) int { return a.index.Compare(b.index) })
	rows = slices.CompactFunc(rows, func(a, b trackedRow) bool { return a.index.Compare(b.index) == 0 })
	first := uint32(2)
	if kind == config.KindInterface {
		first = 1
	}
	return table(vrrpPart.Append(number, 1), rows, func(r *trackedRow) agentx.OID { return r.index }, []column[trackedRow]{
		{first, func(r *trackedRow) agentx.Value { return text(r.Name) }},
		{first + 1, func(r *trackedRow) agentx.Value { return agentx.Integer(r.Weight) }},
		{first + 2, func(r *trackedRow) agentx.Value { return yes(r.Reverse) }},
	})
}

// trackers are the tables of scripts, files, BFD sessions and processes.
func (s *state) trackers() []agentx.Object {
	found := make(map[config.TrackKind]map[string]*control.Tracker)
	ran := make(map[string]string)
	if v := s.status.VRRP; v != nil {
		for i := range v.Trackers {
			t := &v.Trackers[i]
			kind := config.TrackKind(t.Kind)
			if found[kind] == nil {
				found[kind] = make(map[string]*control.Tracker)
			}
			found[kind][t.Name] = t
		}
		for i := range v.Scripts {
			ran[v.Scripts[i].Name] = v.Scripts[i].State
		}
	}
	number := func(kind config.TrackKind, name string) agentx.Value {
		t := found[kind][name]
		if t == nil {
			return none
		}
		return agentx.Integer(t.Number)
	}
	up := func(kind config.TrackKind, name string) bool {
		t := found[kind][name]
		return t != nil && t.State == "up"
	}

	list := table(vrrpPart.Append(9, 1), s.config.Scripts, nil, []column[config.Script]{
		{2, func(r *config.Script) agentx.Value { return text(r.Name) }},
		{3, func(r *config.Script) agentx.Value { return command(r.Command) }},
		{4, func(r *config.Script) agentx.Value { return agentx.Integer(int(r.Interval.D() / time.Second)) }},
		{5, func(r *config.Script) agentx.Value { return agentx.Integer(r.Weight) }},
		{6, func(r *config.Script) agentx.Value { return scriptResult(ran[r.Name]) }},
		{7, func(r *config.Script) agentx.Value { return agentx.Gauge(uint64(r.Rise)) }},
		{8, func(r *config.Script) agentx.Value { return agentx.Gauge(uint64(r.Fall)) }},
		{9, func(r *config.Script) agentx.Value { return yes(r.Reverse) }},
	})
	list = append(list, table(vrrpPart.Append(13, 1), s.config.Files, nil, []column[config.FileTracker]{
		{2, func(r *config.FileTracker) agentx.Value { return text(r.Name) }},
		{3, func(r *config.FileTracker) agentx.Value { return text(r.File) }},
		{4, func(r *config.FileTracker) agentx.Value { return number(config.KindFile, r.Name) }},
		{5, func(r *config.FileTracker) agentx.Value { return agentx.Integer(r.Weight) }},
		{6, func(r *config.FileTracker) agentx.Value { return yes(r.Reverse) }},
	})...)
	list = append(list, table(vrrpPart.Append(18, 1), s.config.BFD, nil, []column[config.BFD]{
		{2, func(r *config.BFD) agentx.Value { return text(r.Name) }},
		{3, func(r *config.BFD) agentx.Value { return s.bfdResult(r.Name) }},
		{4, func(r *config.BFD) agentx.Value { return agentx.Integer(r.Weight) }},
		{5, func(r *config.BFD) agentx.Value { return yes(r.Reverse) }},
	})...)
	return append(list, table(vrrpPart.Append(21, 1), s.config.Processes, nil, []column[config.ProcessTracker]{
		{2, func(r *config.ProcessTracker) agentx.Value { return text(r.Name) }},
		{3, func(r *config.ProcessTracker) agentx.Value { return text(cmp.Or(r.Process, r.CommandLine)) }},
		{5, func(r *config.ProcessTracker) agentx.Value { return agentx.Integer(paramMatch(r)) }},
		{6, func(r *config.ProcessTracker) agentx.Value { return agentx.Integer(r.Weight) }},
		{7, func(r *config.ProcessTracker) agentx.Value { return yes(r.Reverse) }},
		{8, func(r *config.ProcessTracker) agentx.Value { return agentx.Gauge(uint64(r.Quorum)) }},
		{9, func(r *config.ProcessTracker) agentx.Value { return agentx.Integer(r.QuorumMax) }},
		{10, func(r *config.ProcessTracker) agentx.Value { return micros(r.ForkDelay) }},
		{11, func(r *config.ProcessTracker) agentx.Value { return micros(r.TerminateDelay) }},
		{12, func(r *config.ProcessTracker) agentx.Value { return yes(r.CommandLine != "") }},
		{13, func(r *config.ProcessTracker) agentx.Value { return number(config.KindProcess, r.Name) }},
		{14, func(r *config.ProcessTracker) agentx.Value { return yes(up(config.KindProcess, r.Name)) }},
	})...)
}

// scriptResult is init(1), bad(2) or good(3).
func scriptResult(state string) agentx.Value {
	switch state {
	case "up":
		return agentx.Integer(3)
	case "down":
		return agentx.Integer(2)
	}
	return agentx.Integer(1)
}

// bfdResult is 1 while the session is up, else 0.
func (s *state) bfdResult(name string) agentx.Value {
	if v := s.status.VRRP; v != nil {
		for i := range v.BFD {
			if b := &v.BFD[i]; b.Name == name {
				if b.Verdict == "up" {
					return agentx.Integer(1)
				}
				return agentx.Integer(0)
			}
		}
	}
	return none
}

// paramMatch says how a command line is compared: none(0), exact(1) or initial(3).
func paramMatch(p *config.ProcessTracker) int {
	switch {
	case p.CommandLine == "":
		return 0
	case p.CommandMatch == "prefix":
		return 3
	}
	return 1
}
