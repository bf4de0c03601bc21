package checkd

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/ipvs"
)

func TestFailingOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var failing atomic.Bool
		failing.Store(true)
		var tries atomic.Int32
		w.kernel.OnApply = func(o ipvs.Op) error {
			if o.Kind == ipvs.AddDest && o.DestKey == address("a") && failing.Load() {
				tries.Add(1)
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1 b1; dns: c1"))
		start := time.Now()
		w.pass(time.Second)
		w.table("web: b1; dns: c1") // one failure holds up nobody else
		w.acks(1)
		s := w.inquire()
		if len(s.Failures) != 1 || s.Failures[0].What != "add 192.0.2.1:80/tcp 10.0.0.1:80" || !strings.Contains(s.Failures[0].Error, "no buffer space available") {
			t.Errorf("failures %+v", s.Failures)
		}
		if s.Services[0].Servers[0].Installed || s.Services[0].Servers[0].Health != "up" {
			t.Errorf("server %+v", s.Services[0].Servers[0])
		}
		w.pass(2*time.Minute - time.Since(start))
		// At 0.1 s and at once again, then 1, 2, 4, 8, 16, 32 s later: 63.1 s; then each minute.
		if n := tries.Load(); n != 8 {
			t.Errorf("%d tries in 2 minutes", n)
		}
		if got := w.inquire().Failures[0].Count; got != 8 {
			t.Errorf("counted %d", got)
		}
		if n := strings.Count(w.log.String(), "kernel call failed"); n != 1 {
			t.Errorf("%d log lines about one failure", n)
		}
		w.farm.set(refused, "b") // changes of others are not delayed
		w.pass(20 * time.Second)
		w.table("web:; dns: c1")

		failing.Store(false)
		w.pass(time.Minute)
		w.table("web: a1; dns: c1")
		if s := w.inquire(); len(s.Failures) != 0 || s.Repairs != 0 {
			t.Errorf("failures %+v, %d repairs", s.Failures, s.Repairs)
		}
		w.kill()
	})
}

func TestFailingOperationNoLongerWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.kernel.OnApply = func(o ipvs.Op) error {
			if o.Kind == ipvs.AddService && o.Key == key("dns") {
				return syscall.ENOENT // an unknown scheduler, say
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1; dns: c1"))
		w.pass(time.Second)
		w.table("web: a1")
		// Only the service is reported, not each of its servers.
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "add 192.0.2.2:80/tcp" {
			t.Errorf("failures %+v", s.Failures)
		}
		w.configure(configOf("web: a1"))
		w.pass(time.Minute)
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

// What could not be added and then was given up is not added later.
func TestGivenUpBeforeItWasDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var failing atomic.Bool
		failing.Store(true)
		w.kernel.OnApply = func(o ipvs.Op) error {
			if failing.Load() {
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(10 * time.Second)
		moved := configOf("web: a1")
		moved.VirtualServers[0].Address = netip.MustParseAddrPort(vips["mail"])
		w.configure(moved)
		w.pass(10 * time.Second)
		failing.Store(false)
		w.pass(time.Minute)
		w.table("mail: a1")
		w.kill()
	})
}

// A server that could not be added, and then its service neither: the failure of
// the service is the one to show, and both are tried again in good time.
func TestFailureUponFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var failing atomic.Int32
		failing.Store(int32(ipvs.AddDest))
		w.kernel.OnApply = func(o ipvs.Op) error {
			if int32(o.Kind) == failing.Load() {
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(10 * time.Second)
		failing.Store(int32(ipvs.AddService))
		if err := w.kernel.ByHand(onService(ipvs.DeleteService, "web", "")); err != nil {
			t.Fatal(err)
		}
		dumps := w.kernel.Dumps()
		w.pass(time.Minute)
		if n := w.kernel.Dumps() - dumps; n > 15 {
			t.Errorf("the table was read %d times in a minute", n)
		}
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "add 192.0.2.1:80/tcp" || s.Repairs != 0 {
			t.Errorf("failures %+v, %d repairs", s.Failures, s.Repairs)
		}
		w.events()
		failing.Store(0)
		w.pass(time.Minute)
		w.table("web: a1")
		// The repair counts when it is made.
		if got := w.inquire().Repairs; got != 1 {
			t.Errorf("%d repairs", got)
		}
		if got := w.events(); got != "web missing>repaired" {
			t.Errorf("events %q", got)
		}
		w.kill()
	})
}

// An error because somebody else was faster is put right at once.
func TestTableChangedUnderOurFeet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "b", "c")
		w.run()
		w.configure(configOf("web: a1 b1 c1"))
		w.pass(11 * time.Second)
		w.table("web: a1")
		w.farm.set(healthy, "b", "c")
		if err := w.kernel.ByHand(onService(ipvs.DeleteService, "web", "")); err != nil {
			t.Fatal(err)
		}
		for tableText(w.kernel.Table()) == "" {
			w.pass(time.Millisecond)
		}
		if got := tableText(w.kernel.Table()); !strings.HasPrefix(got, "web: a1 ") {
			t.Errorf("table %q", got)
		}
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

// As long as nobody knows what the kernel has, nothing is changed.
func TestTableCannotBeReadAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1")
		var failing atomic.Bool
		failing.Store(true)
		w.kernel.OnDump = func() error {
			if failing.Load() {
				return syscall.ENOMEM
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(10 * time.Second)
		w.acks()
		w.ops()
		if s := w.inquire(); len(s.Failures) != 1 || s.Failures[0].What != "read the IPVS table" || s.Failures[0].Count != 5 {
			t.Errorf("failures %+v", s.Failures)
		}
		failing.Store(false)
		w.pass(10 * time.Second)
		w.acks(1)
		w.ops()
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}

func TestTableCannotBeReadLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1")
		var failing atomic.Bool
		w.kernel.OnDump = func() error {
			if failing.Load() {
				return syscall.ENOMEM
			}
			return nil
		}
		w.kernel.OnStats = w.kernel.OnDump
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(10 * time.Second)
		failing.Store(true)
		w.farm.set(refused, "a")
		w.pass(time.Minute)
		w.table("web: b1") // verdicts are obeyed all the same
		if s := w.inquire(); len(s.Failures) != 2 {
			t.Errorf("failures %+v", s.Failures)
		}
		failing.Store(false)
		w.pass(time.Minute)
		if s := w.inquire(); len(s.Failures) != 0 {
			t.Errorf("failures %+v", s.Failures)
		}
		w.kill()
	})
}
