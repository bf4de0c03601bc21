package checkd

import (
	"maps"
	"slices"
	"time"

	"director/ipvs"
)

// A service with active_with is in the kernel's table while its VRRP instance is
// MASTER here. On standby everything else goes on: the servers are checked, so that
// the table is right at once when the instance takes over.
//
// Until there is word of the instance, a service stays as the kernel's table has it:
// the start of a new process says nothing about who is MASTER. INIT and STOP are no
// word either: the one is a VRRP child that has just been started, the other the
// stop of the whole daemon, which sees to the table itself.

// follow takes the states of the instances that are followed.
func (d *Daemon) follow(now time.Time, states map[string]string) {
	maps.DeleteFunc(d.roles, func(name, _ string) bool {
		_, told := states[name]
		return !told // what was told of it may be true no more
	})
	for name, state := range states {
		switch state {
		case "MASTER", "BACKUP", "FAULT":
			d.roles[name] = state
		}
	}
	d.followSync(now)
	moved := map[string]int{}
	for _, s := range d.services {
		state, known := d.roles[s.source.ActiveWith]
		if !known || s.standby == (state != "MASTER") {
			continue
		}
		s.standby = !s.standby
		moved[s.source.ActiveWith]++
		d.changed[s] = struct{}{}
		d.news = true
	}
	if len(moved) == 0 {
		return
	}
	before := d.table.done
	d.flush(now)
	for _, name := range slices.Sorted(maps.Keys(moved)) {
		d.log.Info("virtual servers follow the instance", "instance", name, "state", d.roles[name], "services", moved[name],
			"kernel_changes", d.table.done-before, "duration", time.Since(now).Round(time.Microsecond))
	}
}

// startsOnStandby decides whether a service that is new here is on standby.
func (d *Daemon) startsOnStandby(activeWith string, keys []ipvs.ServiceKey) bool {
	if activeWith == "" {
		return false
	}
	if state, known := d.roles[activeWith]; known {
		return state != "MASTER"
	}
	return !slices.ContainsFunc(keys, func(k ipvs.ServiceKey) bool { return d.table.have[k] != nil })
}

// reviewStandby does so for one that has other settings now.
func (d *Daemon) reviewStandby(s *service) {
	if state, known := d.roles[s.source.ActiveWith]; known {
		s.standby = state != "MASTER"
	} else if s.source.ActiveWith == "" {
		s.standby = false
	}
}
