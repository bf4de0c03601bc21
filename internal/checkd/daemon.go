// Package checkd is the checker child: it probes real servers and keeps the
// kernel's IPVS table as their health and the configuration want it.
//
// One goroutine, the loop in Run, owns everything: the pools, the wanted table,
// our picture of the kernel's table, and the calls to the kernel. Around it there
// are only the reader of the parent's channel, the poller of simple probes and one goroutine
// for each other probe under way; they hand over what they have and touch nothing else.
//
// What happens with a result: probe -> Pool.Step -> wanted entry -> ipvs.Diff
// against our picture -> Kernel.Apply -> the picture is updated by what truly
// happened. The whole kernel table is read at the start, after any error, and at
// a slow period, and put right where somebody else changed it.
package checkd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/kernel"
)

const (
	// settleLimit bounds how long the first Ack waits for verdicts about servers
	// of pools that would otherwise be empty.
	settleLimit = time.Second
	// snapshotGap is the least time between two snapshots that nobody asked for,
	// and snapshotShare what each server adds to it.
	snapshotGap   = time.Second
	snapshotShare = time.Millisecond
	// drainLimit is how many answers are taken before the kernel is programmed.
	drainLimit = 1024
	// goodbye bounds the wait for the last messages to be written.
	goodbye = time.Second
)

// ErrFinal marks the errors of Run that starting again cannot mend: the kernel
// has no IPVS, or lets us not use it. The parent has been told by Ack.Final.
var ErrFinal = errors.New("starting again cannot help")

// Channel joins the daemon to its parent. *watchdog.Channel is one.
type Channel interface {
	// Send queues a message and never blocks.
	Send(watchdog.Message)
	// Recv returns the next message, io.EOF when the parent is gone.
	Recv() (watchdog.Message, error)
	// Flush waits until all queued messages are written.
	Flush(time.Duration) error
}

// Options are what the daemon needs besides its configuration. Only RuntimeDir
// is required.
type Options struct {
	// RuntimeDir is where the record of owned services is kept.
	RuntimeDir string
	// StateDir is where the record of what operators have ordered is kept, which
	// should outlive a restart of the host. Default: RuntimeDir.
	StateDir string
	// OpenKernel gives access to the IPVS table. Default: kernel.Open.
	// It is given the file of a network namespace, or "" for that of the process.
	OpenKernel func(namespace string) (Kernel, error)
	// Probe makes a probe. Default: Ask.
	Probe func(context.Context, Query, *Plan) probe.Result
	// MaxProbes bounds the probes under way at the same time. Default: half of
	// the file descriptors this process may have, 64 to 4096.
	MaxProbes int
}

func (o Options) withDefaults() Options {
	if o.OpenKernel == nil {
		o.OpenKernel = func(namespace string) (Kernel, error) {
			open := kernel.Open
			if namespace != "" {
				open = func() (*kernel.Kernel, error) { return kernel.OpenNamespace(namespace) }
			}
			k, err := open()
			if err != nil {
				return nil, err
			}
			return k, nil
		}
	}
	if o.Probe == nil {
		o.Probe = Ask
	}
	if o.StateDir == "" {
		o.StateDir = o.RuntimeDir
	}
	if o.MaxProbes <= 0 {
		var files unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
			files.Cur = 1024
		}
		o.MaxProbes = int(min(max(files.Cur/2, 64), 4096))
	}
	return o
}

// Daemon is the checker child.
type Daemon struct {
	log  *slog.Logger
	opts Options
	ch   Channel

	polls bool // simple probes are made by a probe.Poller

	table    *table
	whole    whole
	schedule *scheduler
	files    fileWatches
	marks    map[passage]uint32 // of the private services that probes go through
	doubt    doubt
	stats    ipvs.Stats // the newest counters
	statsAt  time.Time  // when they were read

	maintenance maintenance
	alarmsStale bool     // the record of alarms is not up to date
	unwritten   failures // records of this process, by their paths

	generation   uint64
	configured   bool                // a generation is in force
	global       config.Global       // of it
	waiting      *watchdog.Configure // came before the kernel's table could be read
	services     []*service          // in the configuration's order
	byKey        map[ipvs.ServiceKey]*service
	changed      map[*service]struct{}  // their entry is to be made again
	rising       map[*service]time.Time // weights rise with time; when the next does
	riseAt       time.Time              // when the first of them does, or before
	recordStale  bool                   // the record of owned services differs from the file
	ackWaits     bool                   // the first Ack is still to be sent
	ackBy        time.Time              // when it is sent at the latest
	roles        map[string]string      // the states of VRRP instances that are known
	roleAsk      uint64                 // of the newest Roles, until that is answered
	events       []control.Event        // sent when the kernel has been programmed
	news         bool                   // something changed since the last snapshot
	lastSnapshot time.Time
	late         bool // probes wait for others to end

	// dry says that this is a copy that foresees: it keeps no record and watches no file.
	dry bool
	// changes are what the newest configuration did to the kernel; its Ack tells.
	changes *control.Changes
}

// service is one virtual server and the tasks that watch over it.
type service struct {
	source  config.VirtualServer
	pool    *checkers.Pool
	keys    []ipvs.ServiceKey // at least one
	tasks   map[*checkers.Check]*task
	standby bool // kept out of the kernel's table, see standby.go

	overrides map[ipvs.DestKey]*control.Override // of its servers
	idle      map[ipvs.DestKey]time.Time         // since when a server that is waited for has no connection
}

// New returns a checker child that has started nothing yet.
func New(log *slog.Logger, opts Options) *Daemon {
	d := &Daemon{
		log: log, opts: opts.withDefaults(),
		byKey: map[ipvs.ServiceKey]*service{}, changed: map[*service]struct{}{}, rising: map[*service]time.Time{}, roles: map[string]string{},
		marks: map[passage]uint32{}, unwritten: failures{},
	}
	d.polls = opts.Probe == nil
	d.table = newTable(log, d.repaired)
	return d
}

// Run serves the parent on ch.
//
// Stop makes it remove the services that are ours, unless configured to leave
// them, and return nil. When the parent dies or ctx ends, it returns an error and
// leaves the table as it is, for the next process to adopt. It returns an error
// that wraps ErrFinal when it can never work.
func (d *Daemon) Run(ctx context.Context, ch Channel) error {
	d.ch = ch
	ctx, cancel := context.WithCancel(ctx)
	d.schedule = newScheduler(ctx, d.opts.Probe, d.opts.MaxProbes)
	d.schedule.scripts.send = ch.Send
	d.schedule.mark = d.mark
	if d.polls {
		if err := d.schedule.poll(ctx); err != nil {
			d.log.Warn("probes take more processor time than they need", "reason", err)
		}
	}
	d.files = fileWatches{changed: make(chan string), ctx: ctx, running: &d.schedule.probes, ends: map[string]context.CancelFunc{}}
	defer func() {
		cancel()
		d.schedule.probes.Wait()
		if d.table.kernel != nil {
			d.table.kernel.Close()
		}
	}()
	messages := make(chan watchdog.Message)
	lost := make(chan error, 1)
	go receive(ctx, ch, messages, lost)

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		d.work(time.Now())
		timer.Reset(d.pause(time.Now()))
		select {
		case m := <-messages:
			if m.Stop != nil {
				return d.stop()
			}
			if err := d.message(m); err != nil {
				ch.Flush(goodbye)
				return err
			}
		case a := <-d.schedule.answers:
			d.answered(a)
		case list := <-d.schedule.polled:
			d.polled(list)
		case path := <-d.files.changed:
			d.fileChanged(time.Now(), path)
		case <-timer.C:
		case err := <-lost:
			return fmt.Errorf("checkd: the parent is gone: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("checkd: %w", ctx.Err())
		}
	}
}

// message obeys a message other than Stop. Its error ends the daemon.
func (d *Daemon) message(m watchdog.Message) error {
	now := time.Now()
	switch {
	case m.Configure != nil:
		return d.configure(now, m.Configure)
	case m.ScriptDone != nil:
		d.schedule.scripts.done(m.ScriptDone)
	case m.Ping != nil:
		d.ch.Send(watchdog.Message{Pong: m.Ping})
	case m.Roles != nil:
		d.rolesTold(now, m.Roles)
	case m.Plan != nil:
		changes, err := d.foresee(now, m.Plan.Config)
		d.ch.Send(watchdog.Message{Planned: watchdog.NewPlanned(m.Plan.Generation, changes, err)})
	case m.Sessions != nil:
		d.sessionsTold(now, m.Sessions.States)
	case m.Order != nil:
		d.ordered(now, m.Order)
	case m.Confirmed:
		d.trialConfirmed(now)
	case m.Inquire != nil:
		d.readStats(now)
		d.readSync(now)
		d.ch.Send(watchdog.Message{Snapshot: &watchdog.Snapshot{Seq: m.Inquire.Seq, Checkers: d.snapshot()}})
	}
	return nil
}

// answered takes an answer and those that are there already: one change of the
// kernel's table for many results.
func (d *Daemon) answered(a answer) {
	now := time.Now()
	for range drainLimit {
		d.result(now, a)
		select {
		case a = <-d.schedule.answers:
		default:
			return
		}
	}
}

// polled takes answers to simple probes.
func (d *Daemon) polled(list []probe.Answer) {
	now := time.Now()
	for _, a := range list {
		d.result(now, answer{a.Exchange.Owner.(*task), a.At, a.Result})
	}
}

// result gives one answer to all who asked.
func (d *Daemon) result(now time.Time, a answer) {
	t := a.task
	if t.dropped {
		d.schedule.finish(now, t)
		return
	}
	r := checkers.Result{Outcome: checkers.Fail, Text: a.result.String(), At: a.at, Duration: a.result.Duration,
		Warning: a.result.Warning, Expires: a.result.Expires, Advice: a.result.Advice, Withheld: a.result.Reason == probe.Withheld}
	switch {
	case a.result.OK:
		r.Outcome = checkers.Pass
	case !a.result.Conclusive():
		r.Outcome = checkers.Inconclusive
	case t.Through.valid() && d.doubtPassage(now, a):
		r.Outcome, r.Text = checkers.Inconclusive, closedPassage(t.Through).String()
	}
	mute := r.Outcome == checkers.Inconclusive
	if t.misses++; !mute {
		t.misses = 0
	}
	if mute != t.mute {
		t.mute = mute
		if mute {
			d.log.Error("cannot probe; the servers keep their state", "probe", t.Label(), "reason", r.Text)
		} else {
			d.log.Info("can probe again", "probe", t.Label())
		}
	}
	for _, u := range t.users.list {
		if t.logFailures && r.Outcome == checkers.Fail && u.server.Override().Order != checkers.Maintenance {
			d.log.Info("check failed", "service", u.service.source.Name, "server", u.server.Config.Name, "check", t.Label(), "reason", r.Text)
		}
		blind, expires := u.check.Blind, u.check.Expires
		if changes := u.service.pool.Step(now, u.server, u.check, r); len(changes) > 0 {
			d.announce(now, u.service, changes)
		} else if !u.check.Blind.Equal(blind) {
			d.planRise(u.service) // it is told if that lasts
		}
		d.alarmsStale = d.alarmsStale || !u.check.Expires.Equal(expires) && u.service.warns()
	}
	d.schedule.finish(now, t)
}

// work does everything that is due.
func (d *Daemon) work(now time.Time) {
	d.schedule.start(now)
	if late := d.schedule.late(now); late != d.late {
		d.late = late
		if late {
			d.log.Warn("probes are late: too many are under way", "limit", d.schedule.limit)
		} else {
			d.log.Info("probes are in time again")
		}
	}
	d.table.tick(now)
	if d.waiting != nil && d.table.known {
		c := d.waiting
		d.waiting = nil
		d.apply(now, c)
	}
	d.tickWhole(now)
	d.rise(now)
	d.tickMaintenance(now)
	d.retryRecords(now)
	d.flush(now)
	if d.ackWaits && (!now.Before(d.ackBy) || d.settled()) {
		d.ack()
	}
	d.answerRoles()
	if d.news && !d.ackWaits && !now.Before(d.snapshotDue()) {
		d.news, d.lastSnapshot = false, now
		d.ch.Send(watchdog.Message{Snapshot: &watchdog.Snapshot{Checkers: d.snapshot()}})
	}
}

// flush programs the kernel with what changed, and then tells of it.
func (d *Daemon) flush(now time.Time) {
	for s := range d.changed {
		e := s.pool.Entry()
		for _, key := range s.keys {
			if s.standby {
				d.table.set(key, nil)
			} else {
				d.table.set(key, entryFor(e, key))
			}
		}
	}
	clear(d.changed)
	d.table.flush(now)
	d.keepRecord(now)
	d.keepAlarms(now)
	d.sendEvents()
}

// sendEvents tells the parent what has happened.
func (d *Daemon) sendEvents() {
	for i := range d.events {
		d.ch.Send(watchdog.Message{Event: &d.events[i]})
	}
	d.events = nil
}

// pause returns how long there is nothing to do, at most an hour.
func (d *Daemon) pause(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	consider := func(at time.Time, ok bool) {
		if ok && at.Before(next) {
			next = at
		}
	}
	consider(d.schedule.next())
	consider(d.table.next())
	consider(d.nextRise())
	consider(d.whole.checkAt, d.whole.needed(d))
	consider(d.nextMaintenance())
	consider(d.unwritten.next())
	consider(d.ackBy, d.ackWaits)
	consider(d.snapshotDue(), d.news && !d.ackWaits)
	return next.Sub(now)
}

// gap is the least time between two looks at everything, so that many servers do not
// keep this process busy with that.
func (d *Daemon) gap() time.Duration {
	servers := 0
	for _, s := range d.services {
		servers += len(s.pool.Servers())
	}
	return snapshotGap + time.Duration(servers)*snapshotShare
}

// stop removes what is ours and says whether that worked.
func (d *Daemon) stop() error {
	var err error
	d.farewell(time.Now())
	d.closePassages(time.Now())
	if d.configured && !d.global.KeepIPVSOnStop {
		if err = errors.Join(d.table.removeAll(), d.undoWhole()); err != nil {
			err = fmt.Errorf("checkd: remove what is ours at the stop: %w", err)
			d.log.Error("stopped with services left in the kernel", "reason", err)
		} else if e := writeRecord(d.opts.RuntimeDir, nil); e != nil {
			d.log.Warn("the record of owned services stays", "reason", e)
		}
	}
	return errors.Join(err, d.ch.Flush(goodbye))
}

// isFinal says that a failure to open the kernel's table cannot mend itself.
func isFinal(err error) bool {
	return errors.Is(err, kernel.ErrNoIPVS) || errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist)
}
