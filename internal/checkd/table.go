package checkd

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"director/ipvs"
)

// Kernel is where the IPVS table stands. *kernel.Kernel is one.
type Kernel interface {
	// Dump returns the whole table, in canonical form.
	Dump() (ipvs.Table, error)
	// Stats returns the counters of everything in the table.
	Stats() (ipvs.Stats, error)
	// Apply does the operations in order and returns one error for each, or nil
	// when all were done. A failure does not stop what follows.
	Apply([]ipvs.Op) []error
	// SyncDaemons returns the connection-sync daemons that run, ApplySync starts or
	// stops one, and SyncStats tells how sync fares.
	SyncDaemons() ([]ipvs.SyncDaemon, error)
	ApplySync(ipvs.SyncOp) error
	SyncStats(backup ipvs.SyncDaemon) (ipvs.SyncStats, error)
	// Timeouts are those of connections.
	Timeouts() (ipvs.Timeouts, error)
	SetTimeouts(ipvs.Timeouts) error
	// Close ends the use of the kernel and leaves the table.
	Close() error
}

// table keeps the kernel's table as it is wanted. All its methods belong to the
// daemon's loop.
type table struct {
	log    *slog.Logger
	kernel Kernel
	report func(repair) // of each repair that was made

	have  ipvs.Table // what the kernel holds, by what truly happened
	known bool       // have is a dump, kept up to date since; false only at the start
	want  ipvs.Table
	owned ipvs.Set // what the configuration lists or listed
	// exclusive says that every service is ours.
	exclusive bool
	// interval is the period of comparing the whole table.
	interval time.Duration

	dirty      map[ipvs.ServiceKey]struct{} // wanted otherwise since the last flush
	picture    ipvs.Table                   // what have was before the kernel was read anew for the next flush, else nil
	failures   failures
	compareAt  time.Time
	reconciled time.Time // of the last comparison
	repairs    uint64
	repairedAt time.Time // the newest of them

	comparisons uint64 // of the whole table
	done        uint64 // operations that the kernel did
	failed      uint64 // calls that it refused

	repeated map[string]int    // how often the same was repaired in a row
	owed     map[string]repair // differences that were found and could not be undone yet
}

func newTable(log *slog.Logger, report func(repair)) *table {
	return &table{
		log: log, report: report,
		have: ipvs.Table{}, want: ipvs.Table{}, owned: ipvs.Set{}, interval: time.Minute,
		dirty: map[ipvs.ServiceKey]struct{}{}, failures: failures{}, repeated: map[string]int{}, owed: map[string]repair{},
	}
}

// set makes e what is wanted of a service; nil means that it is to go, if it is
// ours.
func (t *table) set(key ipvs.ServiceKey, e *ipvs.Entry) {
	if e == nil {
		delete(t.want, key)
	} else {
		t.want[key] = e
	}
	t.dirty[key] = struct{}{}
}

// lacks says that something of a service that is wanted is not in the kernel.
func (t *table) lacks(key ipvs.ServiceKey) bool {
	want, have := t.want[key], t.have[key]
	if want == nil || have == nil {
		return want != nil
	}
	for dest := range want.Dests {
		if _, ok := have.Dests[dest]; !ok {
			return true
		}
	}
	return false
}

// owns says which services may be deleted.
func (t *table) owns(key ipvs.ServiceKey) bool { return t.exclusive || t.owned.Has(key) }

// next returns when tick has something to do; false: never.
func (t *table) next() (time.Time, bool) {
	if t.kernel == nil {
		return time.Time{}, false
	}
	at := t.compareAt
	if retry, any := t.failures.next(); any && retry.Before(at) {
		at = retry
	}
	return at, true
}

// tick compares and retries when it is time to.
func (t *table) tick(now time.Time) {
	if t.kernel == nil {
		return
	}
	due := !now.Before(t.compareAt)
	tried := map[*failure]int{}
	for _, f := range t.failures {
		if now.Before(f.retry) {
			continue
		}
		tried[f] = f.Count
		if f.again != nil {
			f.again(now)
		} else {
			due = true
		}
	}
	switch {
	case !due:
	case t.known:
		t.compare(now)
	default:
		t.load(now)
	}
	for f, count := range tried {
		if f.Count == count { // nobody came round to it; if it is done, this does no harm
			f.retry = now.Add(max(f.delay, firstRetry))
		}
	}
}

// load reads the whole table, and reports whether it could. Nothing is changed
// by the first load: what to change is known once it is known what is there.
func (t *table) load(now time.Time) bool {
	t.compareAt = now.Add(t.interval)
	const what = "read the IPVS table"
	found, err := t.kernel.Dump()
	if err != nil {
		t.fail(now, what, err)
		return false
	}
	t.succeed(what)
	t.have, t.known, t.reconciled = found, true, now
	t.comparisons++
	return true
}

// flush sends what is wanted otherwise since the last time. It looks at the
// changed services only, unless the table has just been read anew. After an error the next tick compares the whole table.
func (t *table) flush(now time.Time) {
	if t.picture != nil {
		picture := t.picture
		t.picture = nil
		t.mend(now, picture)
		return
	}
	if len(t.dirty) == 0 || !t.known {
		return
	}
	have, want := make(ipvs.Table, len(t.dirty)), make(ipvs.Table, len(t.dirty))
	for key := range t.dirty {
		if e := t.have[key]; e != nil {
			have[key] = e
		}
		if e := t.want[key]; e != nil {
			want[key] = e
		}
	}
	clear(t.dirty)
	t.apply(now, ipvs.Diff(have, want, t.owns))
}

// refresh reads the whole table again: the next flush looks at all of it, and puts right
// what somebody else has changed.
func (t *table) refresh(now time.Time) {
	if picture := t.have; t.kernel != nil && t.known && t.load(now) {
		t.picture = picture
	}
}

// compare reads the whole table again and repairs what differs from what is
// wanted.
func (t *table) compare(now time.Time) {
	picture := t.have
	if t.load(now) {
		t.mend(now, picture)
	}
}

// mend brings the kernel to what is wanted, and reports what of that undoes what somebody
// else has done since have was picture.
func (t *table) mend(now time.Time, picture ipvs.Table) {
	clear(t.dirty)
	ops := ipvs.Diff(t.have, t.want, t.owns)
	repairs := t.addOwed(drift(picture, t.have, ops), ops)
	t.forget(ops)
	undone := t.apply(now, ops)
	clear(t.owed)
	again := make(map[string]int, len(repairs))
	for _, r := range repairs {
		object := r.op.Object()
		if undone[r.op] {
			t.owed[object] = r
		} else {
			t.repaired(now, r)
		}
		again[object] = t.repeated[object]
	}
	t.repeated = again
}

// addOwed adds the repairs among ops that could not be made when their
// difference was found.
func (t *table) addOwed(repairs []repair, ops []ipvs.Op) []repair {
	if len(t.owed) == 0 {
		return repairs
	}
	for _, r := range repairs {
		delete(t.owed, r.op.Object())
	}
	for _, op := range ops {
		if r, ok := t.owed[op.Object()]; ok {
			r.op = op
			repairs = append(repairs, r)
		}
	}
	return repairs
}

// removeAll deletes every service that is ours.
func (t *table) removeAll() error {
	if t.kernel == nil {
		return nil
	}
	var errs []error
	for range 2 { // the second time is for what changed under the first
		if found, err := t.kernel.Dump(); err == nil {
			t.have, t.known = found, true
		} else if !t.known {
			return err
		}
		ops := ipvs.Diff(t.have, nil, t.owns)
		if len(ops) == 0 {
			return nil
		}
		errs = t.kernel.Apply(ops)
		if errs == nil {
			return nil
		}
	}
	return errors.Join(errs...)
}

// repaired counts a repair and reports it: always the first time, and ever more
// rarely while somebody goes on undoing it.
func (t *table) repaired(now time.Time, r repair) {
	t.repairs++
	t.repairedAt = now
	object := r.op.Object()
	t.repeated[object]++
	n := t.repeated[object]
	if n&(n-1) != 0 {
		return // not a power of two
	}
	if n > 1 {
		r.text = fmt.Sprintf("%s (%d times in a row: another program changes it)", r.text, n)
	}
	t.report(r)
}

// apply does the operations, except those whose back-off has not passed, and
// records what happened. It returns which were not done.
func (t *table) apply(now time.Time, ops []ipvs.Op) map[ipvs.Op]bool {
	undone := map[ipvs.Op]bool{}
	absent := map[ipvs.ServiceKey]bool{} // services that could not be added
	// Services first: without its service, a server cannot be added.
	split := slices.IndexFunc(ops, func(o ipvs.Op) bool { return o.Kind.OnDest() })
	if split < 0 {
		split = len(ops)
	}
	for _, part := range [][]ipvs.Op{ops[:split], ops[split:]} {
		due := make([]ipvs.Op, 0, len(part))
		for _, op := range part {
			object := op.Object()
			switch {
			case op.Kind.OnDest() && absent[op.Key]:
				// It would fail for want of its service, whose failure is recorded.
				delete(t.failures, object)
				undone[op] = true
				continue
			case t.waits(now, object):
				absent[op.Key] = absent[op.Key] || op.Kind == ipvs.AddService
				undone[op] = true
				continue
			}
			due = append(due, op)
		}
		if len(due) == 0 {
			continue
		}
		errs := t.kernel.Apply(due)
		for i, op := range due {
			if errs == nil || errs[i] == nil {
				record(t.have, op)
				t.done++
				t.succeed(op.Object())
				continue
			}
			undone[op] = true
			absent[op.Key] = absent[op.Key] || op.Kind == ipvs.AddService
			t.fail(now, op.Object(), errs[i]).op = true
		}
	}
	return undone
}

// record does to our picture of the kernel's table what the kernel did.
func record(have ipvs.Table, op ipvs.Op) {
	e := have[op.Key]
	switch {
	case op.Kind == ipvs.DeleteService:
		delete(have, op.Key)
	case !op.Kind.OnDest():
		have.Set(op.Key, op.Service)
	case e == nil:
		// A server in a service that we do not know of: the next comparison tells.
	case op.Kind == ipvs.DeleteDest:
		delete(e.Dests, op.DestKey)
	default:
		e.Dests[op.DestKey] = op.Dest
	}
}

// fail records a failed call and sets the time of its next attempt.
func (t *table) fail(now time.Time, what string, err error) *failure {
	t.failed++
	f, news := t.failures.add(now, what, err.Error())
	if news {
		t.log.Error("kernel call failed; it will be tried again", "what", what, "reason", f.Error, "count", f.Count)
	}
	return f
}

// waits says that a call which failed is not due to be tried again yet.
func (t *table) waits(now time.Time, what string) bool { return t.failures.wait(now, what) }

// succeed ends the record of a failing call.
func (t *table) succeed(what string) {
	if f := t.failures[what]; f != nil {
		delete(t.failures, what)
		t.log.Info("kernel call that failed is done", "what", what, "count", f.Count)
	}
}

// forget ends the record of failing operations that are not wanted any more.
func (t *table) forget(ops []ipvs.Op) {
	if len(t.failures) == 0 {
		return
	}
	wanted := make(map[string]bool, len(ops))
	for _, op := range ops {
		wanted[op.Object()] = true
	}
	maps.DeleteFunc(t.failures, func(what string, f *failure) bool { return f.op && !wanted[what] })
}
