package ipvstest

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"director/ipvs"
)

// Programmer is what ipvs/kernel's Kernel and this package's Kernel both do.
type Programmer interface {
	Dump() (ipvs.Table, error)
	Stats() (ipvs.Stats, error)
	Apply([]ipvs.Op) []error
	Flush() error
	SyncDaemons() ([]ipvs.SyncDaemon, error)
	ApplySync(ipvs.SyncOp) error
	SyncStats(backup ipvs.SyncDaemon) (ipvs.SyncStats, error)
	Timeouts() (ipvs.Timeouts, error)
	SetTimeouts(ipvs.Timeouts) error
	Close() error
}

// T is what *testing.T, *testing.B and *rapid.T have in common and is used here.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// Bed is one empty kernel, with what the contract needs around it.
type Bed struct {
	Kernel Programmer
	// ByHand does operations as another program with ipvsadm does them.
	ByHand func(T, ...ipvs.Op)
	// Saved returns what `ipvsadm -Sn` prints.
	Saved func(T) string
	// Schedulers are those that the kernel can load.
	Schedulers []string
}

// RunContract runs the contract as subtests of t, each on a bed of its own.
func RunContract(t *testing.T, open func(*testing.T) Bed) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Bed)
	}{
		{"schedulers", schedulers},
		{"forwarding", forwarding},
		{"families", families},
		{"persistence", persistence},
		{"marks", marks},
		{"weights", weights},
		{"errors", failures},
		{"refused addresses", refusedAddresses},
		{"edits keep the rest", editsKeep},
		{"hand edits", handEdits},
		{"strangers", strangers},
		{"flushed", flushed},
		{"batch", batch},
		{"any table", anyTable},
		{"sync daemons", syncDaemons},
		{"sync and mixed families", syncMixed},
		{"any sync daemons", anySync},
		{"timeouts", timeouts},
		{"several users", severalUsers},
		{"closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := open(t)
			c.run(t, b)
			if !t.Failed() && c.name != "closed" {
				b.agree(t)
			}
		})
	}
}

// agree checks that the dump, printed, is what ipvsadm says of the kernel.
func (b Bed) agree(t T) {
	t.Helper()
	thresholds := regexp.MustCompile(` -x \d+ -y \d+`) // ipvsadm forgets them when it saves
	lines := func(s string) []string {
		s = strings.ReplaceAll(s, "-f -1 ", "-f 4294967295 ") // it prints marks with a sign
		l := strings.Split(strings.TrimSpace(thresholds.ReplaceAllString(s, "")), "\n")
		slices.Sort(l)
		return l
	}
	if d := cmp.Diff(lines(b.Saved(t)), lines(b.dump(t).String())); d != "" {
		t.Errorf("ipvsadm -Sn (-) and the dump (+) differ:\n%s", d)
	}
}

func (b Bed) dump(t T) ipvs.Table {
	t.Helper()
	table, err := b.Kernel.Dump()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// apply does operations of which none may fail.
func (b Bed) apply(t T, ops ...ipvs.Op) {
	t.Helper()
	for _, err := range b.Kernel.Apply(ops) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// reach leads the kernel to a table that it owns alone, and checks that it is
// there and stays there.
func (b Bed) reach(t T, want ipvs.Table) {
	t.Helper()
	b.apply(t, ipvs.Diff(b.dump(t), want, ipvs.Everything)...)
	b.holds(t, want)
	if ops := ipvs.Diff(b.dump(t), want, ipvs.Everything); len(ops) > 0 {
		t.Fatalf("a table that was just written is changed again: %v", ops)
	}
}

// holds checks what the kernel has.
func (b Bed) holds(t T, want ipvs.Table) {
	t.Helper()
	if d := cmp.Diff(want.Canonical().String(), b.dump(t).String()); d != "" {
		t.Fatalf("wanted (-), the kernel has (+):\n%s", d)
	}
}
