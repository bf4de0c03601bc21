package checkd

import (
	"slices"
	"time"
)

// A configuration on trial ends no order for good: what it has no more keeps its order in
// the record until the trial is confirmed, because the next process may begin with the
// configuration before it.

// orders lists what is ordered for the servers of the configuration in force.
func (d *Daemon) orders() []savedOverride {
	var list []savedOverride
	for _, s := range d.services {
		for _, t := range s.overridden() {
			list = append(list, savedOverride{s.pool.Config().Name, t.key(), *t.override()})
		}
	}
	return list
}

// keepForTrial keeps in the record those orders whose servers the configuration on trial
// does not have under their names; list is what was ordered before it. Nil ends that.
func (d *Daemon) keepForTrial(list []savedOverride) {
	names := map[string]*service{}
	for _, s := range d.services {
		names[s.pool.Config().Name] = s
	}
	list = slices.DeleteFunc(list, func(o savedOverride) bool {
		s := names[o.Service]
		return s != nil && s.overrides[o.Server] != nil
	})
	d.maintenance.stale = d.maintenance.stale || len(list)+len(d.maintenance.kept) > 0
	d.maintenance.kept = list
}

// trialConfirmed takes that what was on trial stays.
func (d *Daemon) trialConfirmed(now time.Time) {
	d.keepForTrial(nil)
	d.keepMaintenance(now)
}
