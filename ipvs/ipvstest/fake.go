// Package ipvstest holds an IPVS kernel in memory, for the tests of whoever
// programs IPVS, and the contract that it and the real kernel both keep.
package ipvstest

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"director/ipvs"
)

// Kernel is a kernel in memory. It keeps the kernel's rules about errors, and
// can be told to fail. It may be used by several goroutines; the zero value
// is an empty table. It does what ipvs/kernel's Kernel does, by the same methods.
type Kernel struct {
	// OnApply, OnDump and OnStats are asked before each operation, dump and
	// reading of statistics; the error they return becomes that call's. They are
	// set before the kernel is used and may themselves call ByHand.
	OnApply func(ipvs.Op) error
	OnDump  func() error
	OnStats func() error
	// OnSync is asked likewise before a sync daemon is started or stopped.
	OnSync func(ipvs.SyncOp) error

	mu        sync.Mutex
	table     ipvs.Table
	stats     ipvs.Stats
	daemons   []ipvs.SyncDaemon
	syncStats ipvs.SyncStats
	syncLog   []ipvs.SyncOp
	timeouts  ipvs.Timeouts
	log       []ipvs.Op
	dumps     int
	closed    bool
}

// New returns a kernel that holds a copy of the table; nil means an empty one.
func New(t ipvs.Table) *Kernel { return &Kernel{table: t.Canonical()} }

// Apply does operations in order and returns one error for each, nil where it
// was done; it returns nil when all were. A failure does not stop what follows.
func (k *Kernel) Apply(ops []ipvs.Op) []error {
	var errs []error
	for i, op := range ops {
		if err := k.apply(op); err != nil {
			if errs == nil {
				errs = make([]error, len(ops))
			}
			errs[i] = err
		}
	}
	return errs
}

func (k *Kernel) apply(op ipvs.Op) error {
	if k.OnApply != nil {
		if err := k.OnApply(op); err != nil {
			return &ipvs.OpError{Op: op, Err: err}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return &ipvs.OpError{Op: op, Err: os.ErrClosed}
	}
	k.log = append(k.log, op)
	return k.do(op)
}

// do is what the kernel does: no real server of another family while sync runs.
func (k *Kernel) do(op ipvs.Op) error {
	t := k.locked()
	if len(k.daemons) > 0 && t[op.Key] != nil && op.Valid() == nil && (op.Kind == ipvs.AddDest || op.Kind == ipvs.EditDest) &&
		ipvs.FamilyOf(op.DestKey.Addr()) != op.Key.IPFamily() {
		return &ipvs.OpError{Op: op, Err: syscall.EINVAL}
	}
	return t.Apply(op)
}

func (k *Kernel) locked() ipvs.Table {
	if k.table == nil {
		k.table = ipvs.Table{}
	}
	return k.table
}

// Dump returns a copy of the table, in canonical form.
func (k *Kernel) Dump() (ipvs.Table, error) {
	if k.OnDump != nil {
		if err := k.OnDump(); err != nil {
			return nil, fmt.Errorf("ipvs: dump: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("ipvs: dump: %w", os.ErrClosed)
	}
	k.dumps++
	return k.locked().Clone(), nil
}

// Stats returns counters for everything in the table: those given to SetStats,
// and zeros for what has none.
func (k *Kernel) Stats() (ipvs.Stats, error) {
	if k.OnStats != nil {
		if err := k.OnStats(); err != nil {
			return nil, fmt.Errorf("ipvs: statistics: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("ipvs: statistics: %w", os.ErrClosed)
	}
	all := ipvs.Stats{}
	for key, e := range k.table {
		s := &ipvs.ServiceStats{Dests: make(map[ipvs.DestKey]ipvs.DestStats, len(e.Dests))}
		set := k.stats[key]
		if set != nil {
			s.Counters = set.Counters
		}
		for d := range e.Dests {
			s.Dests[d] = ipvs.DestStats{}
			if set != nil {
				s.Dests[d] = set.Dests[d]
			}
		}
		all[key] = s
	}
	return all, nil
}

// SetStats sets what Stats reports from now on.
func (k *Kernel) SetStats(s ipvs.Stats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stats = s
}

// Flush empties the table.
func (k *Kernel) Flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return fmt.Errorf("ipvs: flush: %w", os.ErrClosed)
	}
	clear(k.table)
	return nil
}

// Close ends the use of the kernel; the table stays. What is called later fails with os.ErrClosed.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	return nil
}

// Reopen makes a closed kernel usable again, with the table that it has: what a
// restarted program finds.
func (k *Kernel) Reopen() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = false
}

// ByHand does operations as somebody else with ipvsadm would: neither logged
// nor subject to OnApply. It returns the first error.
func (k *Kernel) ByHand(ops ...ipvs.Op) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, op := range ops {
		if err := k.do(op); err != nil {
			return err
		}
	}
	return nil
}

// Table returns a copy of the table without counting as a dump.
func (k *Kernel) Table() ipvs.Table {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.locked().Clone()
}

// String returns the table as `ipvsadm -Sn` prints it.
func (k *Kernel) String() string { return k.Table().String() }

// Log returns every operation that Apply was given and OnApply let through,
// those that failed included, as ipvsadm commands, one a line; and forgets them.
func (k *Kernel) Log() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, op := range k.log {
		fmt.Fprintln(&b, op)
	}
	k.log = nil
	return b.String()
}

// Dumps returns how often Dump succeeded.
func (k *Kernel) Dumps() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dumps
}
