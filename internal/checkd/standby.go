package checkd

import (
	"maps"
	"slices"
	"time"

	"director/internal/watchdog"
	"director/ipvs"
)

// A service with active_with is in the kernel's table while its VRRP instance is
// MASTER here. On standby everything else goes on: the servers are checked, so that
// the table is right at once when the instance takes over. It is not there with weight 0
// or the like: a service takes the packets of its address from whatever else would have
// them, which on a director that is a real server of another is the server's program.
//
// The instance puts its addresses up when the table has been written, and the table goes
// when they are off: the VRRP child tells the role accordingly, and waits for the answer.
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

// rolesTold takes the states of instances.
func (d *Daemon) rolesTold(now time.Time, r *watchdog.Roles) {
	d.roleAsk = r.Seq
	d.follow(now, r.States)
	d.answerRoles()
}

// answerRoles tells that the table is as the newest roles want it; a new process has first
// to know what it is to hold.
func (d *Daemon) answerRoles() {
	if d.roleAsk == 0 || !d.configured || d.ackWaits || !d.table.known {
		return
	}
	d.ch.Send(watchdog.Message{Followed: &watchdog.Followed{Seq: d.roleAsk, Problem: d.missing()}})
	d.roleAsk = 0
}

// missing tells what the kernel refused of the services that follow a MASTER.
func (d *Daemon) missing() string {
	if len(d.table.failures) == 0 {
		return ""
	}
	for _, s := range d.services {
		if s.source.ActiveWith == "" || s.standby {
			continue
		}
		for _, key := range s.keys {
			if d.table.lacks(key) {
				return "the kernel refused a part of virtual server " + s.source.Name
			}
		}
	}
	return ""
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
