package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"director/internal/control"
)

func noOverride(s control.Status) error {
	if o := s.VRRP.Instances[0].Override; o != nil {
		return fmt.Errorf("there is %+v", o)
	}
	return nil
}

// An operator moves the address on purpose: away, where it stays through the end of every process, and back although
// nobody preempts.
func TestPlannedFailover(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a := startDirector(t, p.a, vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, "nopreempt = true"))
	a.WaitInstance("VI_1", "MASTER", patience)
	b := startDirector(t, p.b, vrrp("VI_1", 51, 100, "192.0.2.100/24", fast, "nopreempt = true"))
	b.WaitInstance("VI_1", "BACKUP", patience)
	order := func(d *director, args ...string) string {
		t.Helper()
		out, err := d.CLI("vrrp", args...)
		if err != nil {
			t.Fatalf("vrrp %v: %v\n%s", args, err, out)
		}
		return out
	}

	if out := order(a, "release", "VI_1", "--reason", "kernel update"); !strings.Contains(out, "VI_1 is BACKUP, 192.0.2.2 is MASTER after ") {
		t.Errorf("release says: %s", out)
	}
	p.onlyOn(p.b, vip, patience)
	if i := b.Instance("VI_1"); i.Code != "master_stopped" {
		t.Errorf("B took over: %s", i.Reason)
	}
	released := func(when string) {
		t.Helper()
		i := a.WaitInstance("VI_1", "BACKUP", patience)
		if i.Priority != 1 || i.Override == nil || i.Override.Order != "release" || i.Override.Reason != "kernel update" {
			t.Errorf("%s: priority %d, ordered %+v", when, i.Priority, i.Override)
		}
	}
	released("at once")
	if i := a.Instance("VI_1"); i.Code != "released" || i.Reason != "released by root: kernel update" {
		t.Errorf("A gave up: %s (%s)", i.Reason, i.Code)
	}
	if out, err := a.CLI("status"); err != nil || !strings.Contains(out, "released  by root: kernel update, ") {
		t.Errorf("status: %v\n%s", err, out)
	}
	if out, err := a.CLI("events"); err != nil || !strings.Contains(out, "ordered by root: kernel update") {
		t.Errorf("events: %v\n%s", err, out)
	}
	a.WaitRespawn("vrrp", a.Kill("vrrp"), patience)
	released("after the child's death")
	a.Stop()
	a = a.Again()
	released("after the daemon's end")

	// The last resort: nobody else is left, and then somebody is.
	b.Stop()
	p.onlyOn(p.a, vip, patience)
	b = b.Again()
	b.WaitInstance("VI_1", "BACKUP", patience)
	if out := order(b, "prefer", "VI_1"); !strings.Contains(out, "VI_1 is MASTER after ") {
		t.Errorf("prefer says: %s", out)
	}
	p.onlyOn(p.b, vip, patience)
	if i := b.Instance("VI_1"); i.Priority != 254 {
		t.Errorf("B has priority %d", i.Priority)
	}
	order(b, "auto", "VI_1")
	order(a, "auto", "VI_1")
	a.waitFor(patience, "A is as configured", noOverride)
	p.Holds(lull, "nobody preempts", func() bool { return p.b.HasAddr(vip) && !p.a.HasAddr(vip) })
	if out := order(a, "prefer", "VI_1", "--for", "6s", "--timeout", "0"); out != "VI_1: prefer, was auto\n" {
		t.Errorf("prefer that does not wait says: %s", out)
	}
	p.onlyOn(p.a, vip, patience)
	a.waitFor(patience, "the order has ended by itself", noOverride)

	if out, err := a.CLI("vrrp", "release", "VI_2"); err == nil || !strings.Contains(out, `no virtual router "VI_2": there is VI_1`) {
		t.Errorf("a name that is not known: %v\n%s", err, out)
	}
}

// Members of a sync group move together.
func TestPlannedFailoverOfAGroup(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	secondVIP := netip.MustParseAddr("192.0.2.101")
	conf := func(prio int) string {
		return vrrp("one", 51, prio, "192.0.2.100/24", fast) + vrrp("two", 52, prio, "192.0.2.101/24", fast) + "[vrrp_sync_group.both]\ngroup = [\"one\", \"two\"]\n"
	}
	a := startDirector(t, p.a, conf(150))
	for _, name := range []string{"one", "two"} {
		a.WaitInstance(name, "MASTER", patience)
	}
	b := startDirector(t, p.b, conf(100))
	b.WaitInstance("two", "BACKUP", patience)
	if out, err := a.CLI("vrrp", "release", "two"); err != nil || strings.Count(out, "is BACKUP, 192.0.2.2 is MASTER") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	p.onlyOn(p.b, vip, patience)
	p.onlyOn(p.b, secondVIP, patience)
	if out, err := a.CLI("vrrp", "auto", "both"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	p.onlyOn(p.a, vip, patience)
	p.onlyOn(p.a, secondVIP, patience)
}
