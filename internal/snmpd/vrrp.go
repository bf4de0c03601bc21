package snmpd

import (
	"net/netip"
	"slices"
	"time"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// vrrp is the VRRP part of KEEPALIVED-MIB.
func (s *state) vrrp() []agentx.Object {
	rows := s.instances()
	list := append(s.groups(), s.instanceTable(rows)...)
	list = append(list, s.addresses(rows)...)
	list = append(list, s.routes(rows)...)
	list = append(list, s.rules(rows)...)
	list = append(list, s.tracked(rows)...)
	return append(list, s.trackers()...)
}

// instanceRow is an instance of the configuration with what is known of it: one entry
// of the status, or two when it runs in both address families.
type instanceRow struct {
	*config.Instance
	index uint32
	now   []*control.Instance
}

func (s *state) instances() []instanceRow {
	now := make(map[string][]*control.Instance)
	if v := s.status.VRRP; v != nil {
		for i := range v.Instances {
			in := &v.Instances[i]
			now[in.Name] = append(now[in.Name], in)
		}
	}
	rows := make([]instanceRow, len(s.config.Instances))
	for i := range rows {
		in := &s.config.Instances[i]
		rows[i] = instanceRow{Instance: in, index: uint32(i + 1), now: now[in.Name]}
	}
	return rows
}

// The states that instances have, as control.MIBState numbers them.
const (
	stateInit = iota
	stateBackup
	stateMaster
	stateFault
	stateUnknown
)

// state is that of the family that serves the least: an instance in both families is
// MASTER where both are.
func (r *instanceRow) state() int {
	worst := [...]int{stateUnknown, stateFault, stateInit, stateBackup, stateMaster}
	if len(r.now) == 0 {
		return stateUnknown
	}
	least := len(worst) - 1
	for _, in := range r.now {
		least = min(least, slices.Index(worst[:], control.MIBState(in.State)))
	}
	return worst[least]
}

// wanted is the state that it strives for: a backup that a promotion gate holds back
// would be MASTER.
func (r *instanceRow) wanted() int {
	state := r.state()
	for _, in := range r.now {
		if state == stateBackup && in.HeldBack != "" {
			return stateMaster
		}
	}
	return state
}

// first returns a value of the first family that runs, none before there is one.
func (r *instanceRow) first(value func(*control.Instance) agentx.Value) agentx.Value {
	if len(r.now) == 0 {
		return none
	}
	return value(r.now[0])
}

// allSet says that the kernel has all of its addresses.
func (r *instanceRow) allSet() bool {
	for _, in := range r.now {
		for _, a := range in.Addresses {
			if !a.Installed {
				return false
			}
		}
	}
	return len(r.now) > 0
}

// advertInterval is in seconds in version 2, in hundredths of a second in version 3.
func (r *instanceRow) advertInterval() agentx.Value {
	unit := 10 * time.Millisecond
	if r.Version == 2 {
		unit = time.Second
	}
	return agentx.Gauge(uint64(r.AdvertInterval.D() / unit))
}

func authType(a *config.Authentication) agentx.Value {
	switch a.Type {
	case "":
		return agentx.Integer(0)
	case config.AuthPASS:
		return agentx.Integer(1)
	case config.AuthAH:
		return agentx.Integer(2)
	}
	return none // the MIB has no name for another
}

// instanceTable is vrrpInstanceTable.
func (s *state) instanceTable(rows []instanceRow) []agentx.Object {
	group := make(map[string]string)
	for _, g := range s.config.Groups {
		for _, m := range g.Members {
			group[m] = g.Name
		}
	}
	syncs := func(r *instanceRow) bool { return s.config.IPVSSync != nil && s.config.IPVSSync.Instance == r.Name }
	multicast := func(r *instanceRow) netip.Addr {
		if len(r.now) == 0 || r.Unicast() {
			return netip.Addr{}
		}
		a, _ := netip.ParseAddr(r.now[0].MulticastGroup)
		return a
	}
	return table(vrrpPart.Append(3, 1), rows, nil, []column[instanceRow]{
		{2, func(r *instanceRow) agentx.Value { return text(r.Name) }},
		{3, func(r *instanceRow) agentx.Value { return agentx.Gauge(uint64(r.VRID)) }},
		{4, func(r *instanceRow) agentx.Value { return agentx.Integer(r.state()) }},
		{5, func(r *instanceRow) agentx.Value { return agentx.Integer(control.MIBState(r.InitialState)) }},
		{6, func(r *instanceRow) agentx.Value { return agentx.Integer(r.wanted()) }},
		{7, func(r *instanceRow) agentx.Value { return agentx.Integer(int(r.Priority)) }},
		{8, func(r *instanceRow) agentx.Value {
			return r.first(func(in *control.Instance) agentx.Value { return agentx.Integer(in.Priority) })
		}},
		{9, func(r *instanceRow) agentx.Value { return yes(r.allSet()) }},
		{10, func(r *instanceRow) agentx.Value { return text(r.Interface) }},
		{11, func(r *instanceRow) agentx.Value { return yes(!r.NoTrackPrimary) }},
		{12, (*instanceRow).advertInterval},
		{13, func(r *instanceRow) agentx.Value { return yes(!r.NoPreempt) }},
		{14, func(r *instanceRow) agentx.Value { return seconds(r.PreemptDelay) }},
		{15, func(r *instanceRow) agentx.Value { return authType(&r.Authentication) }},
		{16, func(r *instanceRow) agentx.Value { return yes(syncs(r)) }},
		{17, func(r *instanceRow) agentx.Value {
			if !syncs(r) {
				return none
			}
			return text(s.config.IPVSSync.Interface)
		}},
		{18, func(r *instanceRow) agentx.Value { return text(group[r.Name]) }},
		{19, func(r *instanceRow) agentx.Value { return seconds(r.Garp.Delay) }},
		{20, func(r *instanceRow) agentx.Value { return yes(r.Mail && s.mails("instance")) }},
		{21, func(r *instanceRow) agentx.Value { return yes(notifies(&r.Notify)) }},
		{22, func(r *instanceRow) agentx.Value { return command(r.Notify.Master) }},
		{23, func(r *instanceRow) agentx.Value { return command(r.Notify.Backup) }},
		{24, func(r *instanceRow) agentx.Value { return command(r.Notify.Fault) }},
		{25, func(r *instanceRow) agentx.Value { return command(r.Notify.Stop) }},
		{26, func(r *instanceRow) agentx.Value { return command(r.Notify.All) }},
		{27, func(r *instanceRow) agentx.Value { return yes(r.Accept) }},
		{28, func(r *instanceRow) agentx.Value { return yes(r.PromoteSecondaries) }},
		{29, func(*instanceRow) agentx.Value { return yes(false) }}, // link state comes from the kernel
		{30, func(r *instanceRow) agentx.Value { return agentx.Integer(int(r.Version)) }},
		{33, func(*instanceRow) agentx.Value { return yes(false) }}, // one that is deleted tells STOP
		{34, func(r *instanceRow) agentx.Value { return addressType(multicast(r)) }},
		{35, func(r *instanceRow) agentx.Value { return address(multicast(r)) }},
	})
}

// groupRow is a sync group of the configuration and its state.
type groupRow struct {
	*config.SyncGroup
	state int
}

// memberRow is a member of a sync group.
type memberRow struct {
	index agentx.OID
	name  string
}

// groups are vrrpSyncGroupTable and vrrpSyncGroupMemberTable.
func (s *state) groups() []agentx.Object {
	now := make(map[string]string)
	if v := s.status.VRRP; v != nil {
		for _, g := range v.Groups {
			now[g.Name] = g.State
		}
	}
	var rows []groupRow
	var members []memberRow
	for i := range s.config.Groups {
		g := &s.config.Groups[i]
		rows = append(rows, groupRow{g, control.MIBState(now[g.Name])})
		for j, name := range g.Members {
			members = append(members, memberRow{agentx.OID{uint32(i + 1), uint32(j + 1)}, name})
		}
	}
	list := table(vrrpPart.Append(1, 1), rows, nil, []column[groupRow]{
		{2, func(r *groupRow) agentx.Value { return text(r.Name) }},
		{3, func(r *groupRow) agentx.Value { return agentx.Integer(r.state) }},
		{4, func(r *groupRow) agentx.Value { return yes(s.mails("group")) }},
		{5, func(r *groupRow) agentx.Value { return yes(notifies(&r.Notify)) }},
		{6, func(r *groupRow) agentx.Value { return command(r.Notify.Master) }},
		{7, func(r *groupRow) agentx.Value { return command(r.Notify.Backup) }},
		{8, func(r *groupRow) agentx.Value { return command(r.Notify.Fault) }},
		{9, func(r *groupRow) agentx.Value { return command(r.Notify.All) }},
		{10, func(*groupRow) agentx.Value { return yes(true) }}, // priorities move together
		{11, func(r *groupRow) agentx.Value { return command(r.Notify.Stop) }},
	})
	return append(list, table(vrrpPart.Append(2, 1), members, func(r *memberRow) agentx.OID { return r.index },
		[]column[memberRow]{{2, func(r *memberRow) agentx.Value { return text(r.name) }}})...)
}
