package ipvstest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"director/ipvs"
)

// SyncDaemons returns the sync daemons that run, in canonical form.
func (k *Kernel) SyncDaemons() ([]ipvs.SyncDaemon, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("ipvs: read the sync daemons: %w", os.ErrClosed)
	}
	return slices.Clone(k.daemons), nil
}

// ApplySync starts or stops a sync daemon, by the kernel's rules.
func (k *Kernel) ApplySync(op ipvs.SyncOp) error {
	if k.OnSync != nil {
		if err := k.OnSync(op); err != nil {
			return fmt.Errorf("ipvs: %v: %w", op, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return fmt.Errorf("ipvs: %v: %w", op, os.ErrClosed)
	}
	k.syncLog = append(k.syncLog, op)
	return k.applySync(op)
}

func (k *Kernel) applySync(op ipvs.SyncOp) error {
	left, err := ipvs.ApplySync(k.daemons, k.locked(), op)
	if err != nil {
		return fmt.Errorf("ipvs: %v: %w", op, err)
	}
	slices.SortFunc(left, func(a, b ipvs.SyncDaemon) int { return int(a.Role) - int(b.Role) })
	k.daemons = left
	return nil
}

// SyncByHand does an operation as somebody else with ipvsadm would.
func (k *Kernel) SyncByHand(op ipvs.SyncOp) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.applySync(op)
}

// SyncLog returns every operation that ApplySync was given and OnSync let through, one
// a line, and forgets them.
func (k *Kernel) SyncLog() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var b strings.Builder
	for _, op := range k.syncLog {
		fmt.Fprintln(&b, op)
	}
	k.syncLog = nil
	return b.String()
}

// SyncStats returns what SetSyncStats set.
func (k *Kernel) SyncStats(ipvs.SyncDaemon) (ipvs.SyncStats, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return ipvs.SyncStats{}, fmt.Errorf("ipvs: read how sync fares: %w", os.ErrClosed)
	}
	return k.syncStats, nil
}

// SetSyncStats sets what SyncStats reports from now on.
func (k *Kernel) SetSyncStats(s ipvs.SyncStats) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.syncStats = s
}

// Timeouts returns the timeouts in force: at first those of Linux.
func (k *Kernel) Timeouts() (ipvs.Timeouts, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return ipvs.Timeouts{}, fmt.Errorf("ipvs: read the timeouts: %w", os.ErrClosed)
	}
	return k.timeouts.Over(ipvs.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}), nil
}

// SetTimeouts sets the timeouts; one that is 0 stays as it is.
func (k *Kernel) SetTimeouts(t ipvs.Timeouts) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return fmt.Errorf("ipvs: set the timeouts: %w", os.ErrClosed)
	}
	for _, d := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
		if d < 0 || d%time.Second != 0 {
			return fmt.Errorf("ipvs: set the timeouts: %v is not in whole seconds: %w", d, syscall.EINVAL)
		}
	}
	k.timeouts = t.Over(k.timeouts)
	return nil
}
