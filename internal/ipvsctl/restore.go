package ipvsctl

import (
	"errors"
	"fmt"
	"slices"

	"director/ipvs"
)

// How says what a restore does with what the table holds.
type How uint8

// The ways.
const (
	Add     How = iota // the commands change the table that is there, as with `ipvsadm -R`
	Replace            // the table is cleared, and then filled
	Differ             // the table becomes what the commands make of an empty one, by the differences
)

// Restore is what a restore will do.
type Restore struct {
	Clear bool // first, remove every service
	Ops   []ipvs.Op
}

// PlanRestore works out what leads a kernel that holds have to what commands say: in
// batches and without detours, since only the outcome of the commands counts. With
// Differ, what stays keeps its connections and counters. Its error is
// ipvs.CommandErrors with every command that the kernel would refuse.
func PlanRestore(have ipvs.Table, list []ipvs.Command, how How) (Restore, error) {
	want := ipvs.Table{}
	clears := how == Replace || slices.ContainsFunc(list, func(c ipvs.Command) bool { return c.Clear })
	if how == Add {
		want = have.Clone()
	}
	if err := want.Run(list); err != nil {
		return Restore{}, err
	}
	if how == Differ || !clears {
		return Restore{Ops: ipvs.Diff(have, want, ipvs.Everything)}, nil
	}
	return Restore{Clear: true, Ops: ipvs.Diff(nil, want, nil)}, nil
}

// Kernel is what a restore changes. *kernel.Kernel is one.
type Kernel interface {
	Flush() error
	Apply([]ipvs.Op) []error
}

// Run carries the restore out. What does not succeed does not keep the rest from being
// done; the error names each of it.
func (r Restore) Run(k Kernel) error {
	if r.Clear {
		if err := k.Flush(); err != nil {
			return err
		}
	}
	errs := slices.DeleteFunc(k.Apply(r.Ops), func(err error) bool { return err == nil })
	if len(errs) == 0 {
		return nil
	}
	return errors.Join(append(errs, fmt.Errorf("%d of %d changes failed", len(errs), len(r.Ops)))...)
}
