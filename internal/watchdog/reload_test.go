package watchdog

import (
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"director/internal/control"
)

func ready(t *testing.T, instances, servers string) *daemon {
	t.Helper()
	d := prepare(t)
	d.configure(conf(instances, servers))
	d.start()
	d.says("director is ready")
	return d
}

func TestReloadInOrder(t *testing.T) {
	d := ready(t, "web", "farm")
	d.configure(conf("web db", "farm"))
	d.file("checkers.delay", "50ms")
	if r := d.reload(); !r.OK || len(r.Errors) != 0 {
		t.Errorf("reload: %+v", r)
	}
	if s := d.status(); s.Generation != 2 || s.LastReload == nil || !s.LastReload.OK {
		t.Errorf("status: generation %d, last reload %+v", s.Generation, s.LastReload)
	}
	d.order(
		"checkers start", "checkers configure 1", "checkers applied 1", "vrrp start", "vrrp configure 1", "vrrp applied 1",
		"checkers configure 2", "checkers applied 2", "vrrp configure 2", "vrrp applied 2")
	d.says(`msg="reload state" config=` + filepath.Join(d.dir, "config") + ` from=requested to="in force"`)
}

func TestInvalidReloadChangesNothing(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("config", "invalid")
	path := filepath.Join(d.dir, "config")
	want := control.ReloadResult{Errors: []string{path + ":3: first", path + ":7: second"}}
	got := d.reload()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(control.ReloadResult{}, "At", "Took")); diff != "" {
		t.Error(diff)
	}
	s := d.status()
	if s.Generation != 1 {
		t.Errorf("generation %d", s.Generation)
	}
	if diff := cmp.Diff(&got, s.LastReload); diff != "" {
		t.Error(diff)
	}
	d.remove("config")
	if r := d.reload(); r.OK || len(r.Errors) != 1 || !strings.Contains(r.Errors[0], "no such file") {
		t.Errorf("missing file: %+v", r)
	}
	if strings.Contains(d.log(), "configure 2") {
		t.Error("a child was told")
	}
	d.says(":3: first")
}

func TestWarningsAreTold(t *testing.T) {
	d := ready(t, "web", "")
	d.configure(conf("web unwise", ""))
	r := d.reload()
	if want := []string{filepath.Join(d.dir, "config") + ":1: warning: unwise"}; !r.OK || cmp.Diff(want, r.Warnings) != "" {
		t.Errorf("reload: %+v", r)
	}
}

// TestRefusedGeneration has the second child refuse or die: the first goes back.
func TestRefusedGeneration(t *testing.T) {
	for _, tc := range []struct {
		name, instances, servers, want string
		order                          []string
	}{
		{"second refuses", "refuse", "farm", "director: vrrp refused it: no such interface", []string{
			"checkers configure 2", "checkers applied 2", "vrrp configure 2", "checkers configure 1", "checkers applied 1",
		}},
		{"second dies", "die", "farm", "director: vrrp died of it: exit status 2", []string{
			"checkers configure 2", "checkers applied 2", "vrrp configure 2", "checkers configure 1", "vrrp start", "checkers applied 1", "vrrp configure 1 resume alive MASTER", "vrrp applied 1",
		}},
		{"first refuses", "web", "refuse", "director: checkers refused it: no such interface", []string{"checkers configure 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := ready(t, "web", "farm")
			d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
			d.configure(conf(tc.instances, tc.servers))
			r := d.reload()
			if r.OK || cmp.Diff([]string{tc.want}, r.Errors) != "" {
				t.Errorf("reload: %+v, want %q", r, tc.want)
			}
			want := append([]string{
				"checkers start", "checkers configure 1", "checkers applied 1", "vrrp start", "vrrp configure 1", "vrrp applied 1",
			}, tc.order...)
			last := regexp.QuoteMeta(want[len(want)-1])
			d.await(last, strings.Count(strings.Join(want, "\n")+"\n", want[len(want)-1]+"\n")-strings.Count(last, "resume"))
			d.eventually("all lines", func() bool {
				return strings.Count(strings.ReplaceAll(d.log(), "observed", ""), "configure") >= strings.Count(strings.Join(want, "\n"), "configure") &&
					strings.Count(d.log(), "applied") >= strings.Count(strings.Join(want, "\n"), "applied")
			})
			if tc.name != "second dies" { // two processes write at the same time there
				d.order(want...)
			}
			d.eventually("both run", func() bool {
				return d.process(RoleVRRP).State == "running" && d.process(RoleCheckers).State == "running"
			})
			s := d.status()
			if s.Generation != 1 || s.VRRP.Generation != 1 || s.Checkers.Generation != 1 {
				t.Errorf("generations: %d, vrrp %d, checkers %d, want 1", s.Generation, s.VRRP.Generation, s.Checkers.Generation)
			}
			// Nothing stands in the way of the next.
			d.configure(conf("web", "farm two"))
			if r := d.reload(); !r.OK {
				t.Errorf("the next reload: %+v", r)
			}
			if s := d.status(); s.Generation != 3 || s.VRRP.Generation != 3 || s.Checkers.Generation != 3 {
				t.Errorf("generations: %d, vrrp %d, checkers %d, want 3", s.Generation, s.VRRP.Generation, s.Checkers.Generation)
			}
		})
	}
}

// TestSilentGeneration has a child that never says whether it took a generation.
func TestSilentGeneration(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start(func(o *Options) { o.ackTimeout = 3 * time.Second })
	d.says("director is ready")
	d.configure(conf("silent", "farm"))
	r := d.reload()
	if want := []string{"director: vrrp did not acknowledge it within 3s"}; r.OK || cmp.Diff(want, r.Errors) != "" {
		t.Errorf("reload: %+v", r)
	}
	// Both go back, the silent one too: it may yet have taken it.
	d.await("checkers applied 1", 2)
	d.await("vrrp applied 1", 2)
	d.eventually("running", func() bool { return d.process(RoleVRRP).State == "running" })
}

// TestRefusedWayBack has a child that takes the new generation but not the old one
// again: only a new process can.
func TestRefusedWayBack(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("vrrp.hold", "")
	d.configure(conf("refuse", "farm"))
	c := d.client()
	result := make(chan control.ReloadResult, 1)
	go func() {
		r, err := c.Reload(t.Context())
		if err != nil {
			t.Error(err)
		}
		result <- r
	}()
	d.await("checkers applied 2", 1)
	d.file("checkers.refuse", "it is gone")
	d.remove("vrrp.hold")
	if r := <-result; r.OK {
		t.Errorf("reload: %+v", r)
	}
	d.eventually("a death", func() bool { return d.process(RoleCheckers).LastExit == "refused the configuration: it is gone" })
	d.remove("checkers.refuse")
	d.await("checkers applied 1", 2)
	d.eventually("running", func() bool { return d.process(RoleCheckers).State == "running" })
}

// TestRefusedFirstInstance has a child started by the reload that it refuses.
func TestRefusedFirstInstance(t *testing.T) {
	d := ready(t, "", "farm")
	d.configure(conf("refuse", "farm"))
	if r := d.reload(); r.OK {
		t.Errorf("reload: %+v", r)
	}
	d.eventually("vrrp not needed", func() bool { return d.process(RoleVRRP).State == "not needed" })
	if s := d.status(); s.Generation != 1 || s.Checkers.Generation != 1 {
		t.Errorf("generations: %d, checkers %d, want 1", s.Generation, s.Checkers.Generation)
	}
}

// TestQueuedReloads asks many times during a reload: one more follows, and it
// sees the file as it is by then.
func TestQueuedReloads(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("checkers.hold", "")
	d.configure(conf("web", "farm one"))
	var wg sync.WaitGroup
	results := make(chan control.ReloadResult, 8)
	ask := func() {
		c := d.client()
		wg.Go(func() {
			r, err := c.Reload(t.Context())
			if err != nil {
				t.Error(err)
			}
			results <- r
		})
	}
	ask()
	d.await("checkers configure 2", 1)
	for range 4 {
		ask()
	}
	d.signals <- syscall.SIGHUP
	d.eventually("all requests wait", func() bool { return len(d.signals) == 0 && waiting("watchdog.handler.Reload(") == 5 })
	d.configure(conf("web", "farm one two"))
	d.remove("checkers.hold")
	wg.Wait()
	close(results)
	for r := range results {
		if !r.OK {
			t.Errorf("reload: %+v", r)
		}
	}
	d.await("vrrp applied 3", 1)
	if s := d.status(); s.Generation != 3 || strings.Contains(d.log(), "configure 4") {
		t.Errorf("generation %d, want 3: five requests during one reload are one", s.Generation)
	}
}

// waiting counts the goroutines with this function among their callers that wait for
// the loop.
func waiting(function string) (n int) {
	stacks := make([]byte, 4<<20)
	for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if head, _, _ := strings.Cut(g, "\n"); strings.Contains(head, "[select") && strings.Contains(g, function) {
			n++
		}
	}
	return n
}

func TestReloadDuringStart(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.file("checkers.delay", "200ms")
	d.start()
	d.await("checkers configure 1", 1)
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	d.await("vrrp applied 2", 1)
}

// TestReloadOfADeadChild shows that a reload does not wait for the back-off.
func TestReloadOfADeadChild(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("vrrp.crash", "")
	if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp configure 1 .*", 2) // at once, and after 1 s
	d.remove("vrrp.crash")
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	if p := d.process(RoleVRRP); p.State != "running" {
		t.Errorf("vrrp: %+v", p)
	}
}

// TestReloadOfADyingChild has a child die of the old generation while it is told the
// new one: that is no reason to refuse the new one.
func TestReloadOfADyingChild(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("vrrp.crash", "400ms")
	if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp configure 1 .*", 1)
	d.remove("vrrp.crash")
	if r := d.reload(); !r.OK {
		t.Errorf("reload: %+v", r)
	}
	if s := d.status(); s.Generation != 2 || s.VRRP.Generation != 2 {
		t.Errorf("generations: %d, vrrp %d, want 2", s.Generation, s.VRRP.Generation)
	}
}

func TestStopDuringReload(t *testing.T) {
	d := ready(t, "web", "farm")
	d.configure(conf("web", "silent"))
	c := d.client()
	result := make(chan control.ReloadResult, 1)
	go func() {
		r, err := c.Reload(t.Context())
		if err != nil {
			t.Error(err)
		}
		result <- r
	}()
	d.await("checkers configure 2", 1)
	d.eventually("configuring", func() bool { return d.process(RoleCheckers).State == "configuring" })
	d.signals <- syscall.SIGTERM
	if r := <-result; r.OK || cmp.Diff([]string{"director is stopping"}, r.Errors) != "" {
		t.Errorf("reload: %+v", r)
	}
	if err := d.ends(); err != nil {
		t.Error(err)
	}
}
