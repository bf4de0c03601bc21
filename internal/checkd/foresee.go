package checkd

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"director/checkers"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
)

// foresee works out what a configuration would do to the kernel as it is now, by putting
// it in force in a copy of the daemon that has only a picture of the kernel.
func (d *Daemon) foresee(now time.Time, cfg *config.Config) (*control.Changes, error) {
	if err := distinct(cfg.VirtualServers); err != nil {
		return nil, err
	}
	c := d.copy()
	had := c.table.kernel != nil
	if err := c.openKernel(cfg); err != nil {
		return nil, err
	}
	if c.table.kernel == nil {
		return &control.Changes{}, nil // no IPVS, before and after
	}
	if !had {
		defer c.table.kernel.Close()
	}
	found, err := c.table.kernel.Dump()
	if err != nil {
		return nil, err
	}
	picture, err := newPicture(c.table.kernel)
	if err != nil {
		return nil, err
	}
	c.table.kernel = picture
	c.table.have, c.table.known = found.Clone(), true
	owned := maps.Clone(c.table.owned) // what goes is ours no more afterwards
	c.apply(now, &watchdog.Configure{Generation: d.generation + 1, Config: cfg})

	ops := ipvs.Diff(found, c.table.want, func(key ipvs.ServiceKey) bool { return owned.Has(key) || c.table.owns(key) })
	repairs := 0
	if had {
		repairs = len(drift(d.table.have, found, ops))
	}
	changes := kernelChanges(ops, picture.other)
	changes.Repairs = repairs
	changes.Joining = c.joining()
	changes.Unaffected = unaffected(c.table.want, ops)
	return changes, nil
}

// Foresee works out what a start with a configuration would do to the kernel as it is,
// with what a former run has left in the runtime directory.
func Foresee(ctx context.Context, opts Options, cfg *config.Config) (*control.Changes, error) {
	d := New(slog.New(slog.DiscardHandler), opts)
	d.schedule = newScheduler(ctx, d.opts.Probe, d.opts.MaxProbes)
	return d.foresee(time.Now(), cfg)
}

// copy returns a daemon in the same state that shares nothing that changes, and that
// keeps and tells nothing.
func (d *Daemon) copy() *Daemon {
	c := New(slog.New(slog.DiscardHandler), d.opts)
	c.dry = true
	c.ch = silent{}
	c.schedule = newScheduler(d.schedule.ctx, d.opts.Probe, d.opts.MaxProbes)
	c.generation, c.configured, c.global = d.generation, d.configured, d.global
	t := c.table
	t.kernel, t.want, t.owned = d.table.kernel, d.table.want.Clone(), maps.Clone(d.table.owned)
	t.exclusive, t.interval = d.table.exclusive, d.table.interval
	c.marks, c.doubt, c.maintenance, c.roles = maps.Clone(d.marks), d.doubt, d.maintenance, maps.Clone(d.roles)
	c.whole = d.whole
	c.whole.record.Sync = append([]ipvs.SyncRole(nil), d.whole.record.Sync...)
	c.services = make([]*service, len(d.services))
	for i, s := range d.services {
		own := &service{source: s.source, pool: s.pool.Clone(), keys: s.keys, tasks: map[*checkers.Check]*task{}, standby: s.standby,
			overrides: maps.Clone(s.overrides), idle: maps.Clone(s.idle)}
		c.services[i] = own
		if at, rises := d.rising[s]; rises {
			c.rising[own] = at
		}
		for _, key := range s.keys {
			c.byKey[key] = own
		}
		c.assign(time.Time{}, own, translate(&own.source))
	}
	return c
}

// joining lists the operations that put servers into service whose first checks have not
// passed yet, and those that then take out whoever served in the meantime.
func (d *Daemon) joining() []string {
	var list []string
	for _, s := range d.services {
		for _, rs := range s.pool.Servers() {
			if s.standby || rs.State != checkers.Unknown || s.pool.Place(rs) != checkers.Out {
				continue
			}
			for _, key := range s.keys {
				dest := rs.Config.Dest
				dest.Weight = rs.Weight()
				list = append(list, ipvs.Op{Kind: ipvs.AddDest, Key: key, DestKey: destKey(rs.Config.Key, key), Dest: dest}.String())
			}
		}
		for _, l := range s.pool.Leaving() {
			for _, key := range s.keys {
				op := ipvs.Op{Kind: ipvs.DeleteDest, Key: key, DestKey: destKey(l.Key, key), Dest: l.Dest}
				if op.Dest.Weight = 0; s.pool.Config().DrainOnRemove > 0 {
					op.Kind = ipvs.EditDest
				}
				if l.Serves() {
					list = append(list, op.String())
				}
			}
		}
	}
	return list
}

// kernelChanges tells of operations: other ones, on what belongs to IPVS as a whole, and
// those on the table.
func kernelChanges(ops []ipvs.Op, other []string) *control.Changes {
	c := &control.Changes{IPVS: append([]string(nil), other...)}
	for _, op := range ops {
		c.IPVS = append(c.IPVS, op.String())
	}
	return c
}

// unaffected counts what operations leave as it is on the way to a table.
func unaffected(want ipvs.Table, ops []ipvs.Op) control.Unaffected {
	var n control.Unaffected
	n.Services, n.Servers = want.Len()
	touched := map[ipvs.ServiceKey]bool{}
	for _, op := range ops {
		if want[op.Key] == nil {
			continue
		}
		if !touched[op.Key] {
			touched[op.Key] = true
			n.Services--
		}
		if op.Kind == ipvs.AddDest || op.Kind == ipvs.EditDest {
			n.Servers--
		}
	}
	return n
}

// witness is a kernel that notes what is done to it.
type witness struct {
	Kernel
	ops   []ipvs.Op
	other []string
}

// witness begins to note what is done to the kernel; end of what it returns ends that.
func (d *Daemon) witness() *witness {
	w := &witness{Kernel: d.table.kernel}
	if w.Kernel != nil {
		d.table.kernel = w
	}
	return w
}

// end tells what was done.
func (w *witness) end(d *Daemon) *control.Changes {
	d.table.kernel = w.Kernel
	c := kernelChanges(w.ops, w.other)
	c.Unaffected = unaffected(d.table.want, w.ops)
	c.Shorten(watchdog.MaxChanges)
	return c
}

// Apply notes the operations that succeed.
func (w *witness) Apply(ops []ipvs.Op) []error {
	errs := w.Kernel.Apply(ops)
	for i, op := range ops {
		if errs == nil || errs[i] == nil {
			w.ops = append(w.ops, op)
		}
	}
	return errs
}

// ApplySync notes what succeeds.
func (w *witness) ApplySync(op ipvs.SyncOp) error {
	err := w.Kernel.ApplySync(op)
	if err == nil {
		w.other = append(w.other, op.String())
	}
	return err
}

// SetTimeouts notes what succeeds.
func (w *witness) SetTimeouts(t ipvs.Timeouts) error {
	err := w.Kernel.SetTimeouts(t)
	if err == nil {
		w.other = append(w.other, setTimeouts(t))
	}
	return err
}

// picture is a kernel that is asked and not changed. What is done to its sync daemons
// and timeouts shows in what it is asked next, so that nothing is done twice.
type picture struct {
	Kernel
	daemons  []ipvs.SyncDaemon
	timeouts ipvs.Timeouts
	other    []string // what would have been done to both
}

// newPicture reads what the kernel has.
func newPicture(k Kernel) (*picture, error) {
	p := &picture{Kernel: k}
	var err error
	if p.daemons, err = k.SyncDaemons(); err != nil {
		return nil, err
	}
	p.timeouts, err = k.Timeouts()
	return p, err
}

// Apply does nothing, with success.
func (p *picture) Apply([]ipvs.Op) []error { return nil }

// SyncDaemons returns those that would run.
func (p *picture) SyncDaemons() ([]ipvs.SyncDaemon, error) { return p.daemons, nil }

// ApplySync notes what would be done.
func (p *picture) ApplySync(op ipvs.SyncOp) (err error) {
	if p.daemons, err = ipvs.ApplySync(p.daemons, nil, op); err == nil {
		p.other = append(p.other, op.String())
	}
	return err
}

// Timeouts returns those that would be in force.
func (p *picture) Timeouts() (ipvs.Timeouts, error) { return p.timeouts, nil }

// SetTimeouts notes what would be set.
func (p *picture) SetTimeouts(t ipvs.Timeouts) error {
	p.timeouts = t.Over(p.timeouts)
	p.other = append(p.other, setTimeouts(t))
	return nil
}

// setTimeouts is the command of ipvsadm that sets timeouts.
func setTimeouts(t ipvs.Timeouts) string {
	return fmt.Sprintf("--set %d %d %d", int64(t.TCP.Seconds()), int64(t.TCPFin.Seconds()), int64(t.UDP.Seconds()))
}

// silent is a channel that nobody listens to.
type silent struct{ Channel }

// Send throws the message away.
func (silent) Send(watchdog.Message) {}
