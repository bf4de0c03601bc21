package checkd

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"director/config"
	"director/internal/control"
	"director/ipvs"
)

// whole is what belongs to the kernel's IPVS as a whole: the sync daemons and the
// timeouts. Its methods belong to the daemon's loop.
type whole struct {
	sync     *config.IPVSSync // nil: none
	timeouts ipvs.Timeouts    // wanted; 0: as it was
	role     ipvs.SyncRole    // by the state of the instance that sync follows; 0: not known

	record  wholeRecord
	stale   bool              // the record differs from the file
	daemons []ipvs.SyncDaemon // that the kernel was seen to have
	seen    bool              // daemons is what was left by our last change
	stats   ipvs.SyncStats
	checkAt time.Time
}

// wholeName is the file in the runtime directory that keeps the record.
const wholeName = "ipvs-global.json"

// wholeRecord is what of the kernel is ours, and what was there before.
type wholeRecord struct {
	Version  int             `json:"version"`
	Sync     []ipvs.SyncRole `json:"sync,omitempty"`     // daemons that are ours
	Timeouts *ipvs.Timeouts  `json:"timeouts,omitempty"` // of before we set them
}

func (r wholeRecord) empty() bool { return len(r.Sync) == 0 && r.Timeouts == nil }

func (r wholeRecord) owns(role ipvs.SyncRole) bool { return slices.Contains(r.Sync, role) }

// needed says whether there is anything to watch over, be it only a record that is
// out of date.
func (w *whole) needed(d *Daemon) bool {
	return d.table.kernel != nil && d.configured && (w.sync != nil || w.timeouts != ipvs.Timeouts{} || !w.record.empty() || w.stale)
}

// readWhole returns the record in dir; an empty one when there is none.
func readWhole(dir string) (wholeRecord, error) {
	var r wholeRecord
	if err := readFile(dir, wholeName, &r, &r.Version, recordVersion); err != nil {
		return wholeRecord{}, fmt.Errorf("checkd: record %s: %w", wholeName, err)
	}
	return r, nil
}

// keepWhole writes the record when it has changed.
func (d *Daemon) keepWhole(now time.Time) {
	w := &d.whole
	d.keep(now, d.opts.RuntimeDir, wholeName, &w.stale, func() error {
		if w.record.empty() {
			return removeFile(d.opts.RuntimeDir, wholeName)
		}
		w.record.Version = recordVersion
		return writeFile(d.opts.RuntimeDir, wholeName, w.record)
	})
}

// wanted returns the sync daemons that should run now.
func (w *whole) wanted() []ipvs.SyncDaemon {
	if w.sync == nil {
		return nil
	}
	daemon := func(r ipvs.SyncRole) ipvs.SyncDaemon {
		return ipvs.SyncDaemon{Role: r, ID: w.sync.ID, Interface: w.sync.Interface, Group: w.sync.Group, Port: w.sync.Port, TTL: w.sync.TTL, MaxLen: w.sync.MaxLen}
	}
	switch {
	case w.sync.Instance == "":
		return []ipvs.SyncDaemon{daemon(ipvs.SyncMaster), daemon(ipvs.SyncBackup)}
	case w.role != 0:
		return []ipvs.SyncDaemon{daemon(w.role)}
	case len(w.record.Sync) == 0:
		return []ipvs.SyncDaemon{daemon(ipvs.SyncBackup)}
	}
	// Until there is word of the instance, what runs goes on: the start of a process or
	// a reload says nothing about who is MASTER.
	var list []ipvs.SyncDaemon
	for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
		if w.record.owns(role) {
			list = append(list, daemon(role))
		}
	}
	return list
}

// configureWhole takes a configuration and stops the daemons that are to go or to
// change, before the table is changed: real servers of another family than their
// service cannot come while one runs.
func (d *Daemon) configureWhole(now time.Time, c *config.Config) {
	w := &d.whole
	if w.sync == nil || c.IPVSSync == nil || w.sync.Instance != c.IPVSSync.Instance {
		w.role = 0
	}
	w.sync, w.timeouts = c.IPVSSync, ipvs.Timeouts{}
	w.role = d.syncRole()
	if t := c.IPVSTimeouts; t != nil {
		w.timeouts = ipvs.Timeouts{TCP: t.TCP.D(), TCPFin: t.TCPFin.D(), UDP: t.UDP.D()}
	}
	if d.whole.needed(d) {
		d.settleSync(now, false)
	}
}

// settleWhole brings the kernel to what is wanted, the daemons that are missing
// included.
func (d *Daemon) settleWhole(now time.Time) {
	if !d.whole.needed(d) {
		return
	}
	d.whole.checkAt = now.Add(d.table.interval)
	d.settleSync(now, true)
	d.settleTimeouts(now)
	d.keepWhole(now)
}

// tickWhole does so at the period of comparisons.
func (d *Daemon) tickWhole(now time.Time) {
	if d.whole.needed(d) && !now.Before(d.whole.checkAt) {
		d.settleWhole(now)
	}
}

// syncRole is the role that the state of the followed instance gives sync; what it was
// while that is not known.
func (d *Daemon) syncRole() ipvs.SyncRole {
	w := &d.whole
	if w.sync == nil || w.sync.Instance == "" {
		return 0
	}
	switch d.roles[w.sync.Instance] {
	case "":
		return w.role
	case "MASTER":
		return ipvs.SyncMaster
	}
	return ipvs.SyncBackup
}

// followSync takes the state of the instance that sync follows.
func (d *Daemon) followSync(now time.Time) {
	w := &d.whole
	if role := d.syncRole(); role != w.role {
		w.role = role
		d.log.Info("connection sync follows the instance", "instance", w.sync.Instance, "state", d.roles[w.sync.Instance])
		d.settleWhole(now)
		d.news = true
	}
}

// settleSync makes the sync daemons what they should be.
func (d *Daemon) settleSync(now time.Time, start bool) {
	w := &d.whole
	const what = "read the sync daemons"
	again := func(now time.Time) { d.settleSync(now, true) }
	have, err := d.table.kernel.SyncDaemons()
	if err != nil {
		d.table.fail(now, what, err).again = again
		return
	}
	d.table.succeed(what)
	want := w.wanted()
	tried := false
	for _, op := range ipvs.DiffSync(have, want, w.record.owns) {
		role := op.Daemon.Role
		what := "sync daemon " + role.String()
		if op.Start && !start || d.table.waits(now, what) {
			continue
		}
		if op.Start && !w.record.owns(role) { // noted before, as with services
			w.record.Sync = append(w.record.Sync, role)
			w.stale = true
			d.keepWhole(now)
		}
		tried = true
		if err := d.table.kernel.ApplySync(op); err != nil {
			d.table.fail(now, what, err).again = again
			continue
		}
		d.table.succeed(what)
		d.syncRepaired(now, op, have)
	}
	for _, role := range []ipvs.SyncRole{ipvs.SyncMaster, ipvs.SyncBackup} {
		// What is wanted no more fails no more.
		_, wanted := ipvs.FindSync(want, role)
		if _, had := ipvs.FindSync(have, role); !wanted && !had {
			delete(d.table.failures, "sync daemon "+role.String())
		}
	}
	w.daemons = have
	if tried { // what the kernel made of it
		if w.daemons, err = d.table.kernel.SyncDaemons(); err != nil {
			w.daemons = nil
		}
	}
	w.record.Sync = slices.DeleteFunc(w.record.Sync, func(r ipvs.SyncRole) bool {
		_, wanted := ipvs.FindSync(want, r)
		_, runs := ipvs.FindSync(w.daemons, r)
		w.stale = w.stale || !wanted && !runs
		return !wanted && !runs
	})
	w.seen = start && err == nil
}

// syncRepaired tells of a daemon that somebody else had stopped or changed.
func (d *Daemon) syncRepaired(now time.Time, op ipvs.SyncOp, have []ipvs.SyncDaemon) {
	w := &d.whole
	was, had := ipvs.FindSync(w.daemons, op.Daemon.Role)
	found, has := ipvs.FindSync(have, op.Daemon.Role)
	if !op.Start || !w.seen || !had || was == found || !op.Daemon.Does(was) {
		return
	}
	e := control.Event{Time: now, Generation: d.generation, Kind: "ipvs", Subject: "sync daemon " + op.Daemon.Role.String(), From: "missing", To: "repaired",
		Reason: "was stopped; started again", Code: "repaired"}
	if has {
		e.From, e.Reason = "changed", fmt.Sprintf("ran as %v; started again as %v", found, op.Daemon)
	}
	d.table.repairs++
	d.table.repairedAt = now
	d.events = append(d.events, e)
	d.news = true
}

// settleTimeouts makes the timeouts what they should be, and puts back what they were.
func (d *Daemon) settleTimeouts(now time.Time) {
	w := &d.whole
	const what = "IPVS timeouts"
	if d.table.waits(now, what) {
		return
	}
	if w.timeouts == (ipvs.Timeouts{}) && w.record.Timeouts == nil {
		return
	}
	err := func() error {
		have, err := d.table.kernel.Timeouts()
		if err != nil {
			return err
		}
		if w.record.Timeouts == nil {
			w.record.Timeouts, w.stale = &have, true
			d.keepWhole(now)
		}
		want := w.timeouts.Over(*w.record.Timeouts)
		if want != have {
			if err := d.table.kernel.SetTimeouts(want); err != nil {
				return err
			}
		}
		if w.timeouts == (ipvs.Timeouts{}) {
			w.record.Timeouts, w.stale = nil, true
		}
		return nil
	}()
	if err != nil {
		d.table.fail(now, what, err).again = d.settleTimeouts
		return
	}
	d.table.succeed(what)
}

// undoWhole stops the daemons that are ours and puts the timeouts back.
func (d *Daemon) undoWhole() error {
	w := &d.whole
	if d.table.kernel == nil || w.record.empty() && !w.stale {
		return nil
	}
	var errs []error
	have, err := d.table.kernel.SyncDaemons()
	errs = append(errs, err)
	for _, op := range ipvs.DiffSync(have, nil, w.record.owns) {
		errs = append(errs, d.table.kernel.ApplySync(op))
	}
	if t := w.record.Timeouts; t != nil {
		errs = append(errs, d.table.kernel.SetTimeouts(*t))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	w.record, w.stale = wholeRecord{}, true
	d.keepWhole(time.Now())
	return nil
}

// readSync reads how sync fares, for the status.
func (d *Daemon) readSync(now time.Time) {
	w := &d.whole
	if w.sync == nil || d.table.kernel == nil {
		return
	}
	const what = "read how sync fares"
	stats, err := d.table.kernel.SyncStats(ipvs.SyncDaemon{Role: ipvs.SyncBackup, Group: w.sync.Group, Port: w.sync.Port})
	if err != nil {
		d.table.fail(now, what, err).again = d.readSync
		return
	}
	d.table.succeed(what)
	w.stats = stats
}

// syncStatus is what status shows of it, nil without.
func (d *Daemon) syncStatus() *control.IPVSSync {
	w := &d.whole
	if w.sync == nil {
		return nil
	}
	s := &control.IPVSSync{
		Follows: w.sync.Instance, Learned: w.stats.Learned, Own: w.stats.Own, Partial: w.stats.Partial,
		Queued: w.stats.Queued, Dropped: w.stats.Dropped,
	}
	for _, want := range w.wanted() {
		runs := slices.ContainsFunc(w.daemons, want.Does)
		s.Daemons = append(s.Daemons, control.SyncDaemon{Role: want.Role.String(), What: want.String(), Running: runs})
	}
	return s
}
