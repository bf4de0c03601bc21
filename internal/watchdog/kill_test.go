package watchdog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// resumed returns the moments at which the parent believed a role's dead processes alive.
func (d *daemon) resumed(r Role) []int64 {
	var list []int64
	for _, m := range regexp.MustCompile(`(?m)^`+string(r)+` configure \d+ resume alive (\d+)`).FindAllStringSubmatch(d.log(), -1) {
		var n int64
		fmt.Sscan(m[1], &n)
		list = append(list, n)
	}
	return list
}

func TestKilledChildResumes(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start()
	d.says("director is ready")
	before := d.process(RoleVRRP)
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })

	killed, killedMono := time.Now(), monotonic()
	if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp applied 1", 2)
	t.Logf("killed to configuration in force again: %v", time.Since(killed))
	var after control.Process
	d.eventually("running again", func() bool { after = d.process(RoleVRRP); return after.State == "running" })
	if after.PID == before.PID || after.Restarts != 1 || after.LastExit != "signal: killed" || after.Stale {
		t.Errorf("after: %+v", after)
	}
	if !strings.Contains(d.log(), "resume alive") || !strings.Contains(d.log(), "MASTER") {
		t.Errorf("no resume:\n%s", d.log())
	}
	if at := d.resumed(RoleVRRP); len(at) != 1 || at[0] < killedMono || at[0] > monotonic() {
		t.Errorf("last known alive at %v, killed at %d", at, killedMono)
	}
	if p := d.process(RoleCheckers); p.Restarts != 0 || p.State != "running" {
		t.Errorf("the other child was touched: %+v", p)
	}
	d.says(`msg="process state" process=vrrp from=running to=dead reason="signal: killed" generation=1`)

	// It dies young again and again: then it is delayed, visibly, and the old state is kept.
	s := d.killUntilDelayed(RoleVRRP)
	if s.VRRP == nil || !slices.ContainsFunc(s.Processes, func(p control.Process) bool { return p.Role == "vrrp" && p.Stale && p.PID == 0 }) {
		t.Errorf("the last known state is not shown as such: %+v", s.Processes)
	}
	d.await("vrrp applied 1", prompt+2)
}

// TestDeathBeforeReady shows that the moment of the last sign of life is kept
// over processes that die before they could take over.
func TestDeathBeforeReady(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.file("vrrp.crash", "")
	if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("vrrp configure 1 .*", 2)
	d.remove("vrrp.crash")
	d.await("vrrp applied 1", 2)
	at := d.resumed(RoleVRRP)
	if len(at) < 2 || at[0] != at[len(at)-1] {
		t.Errorf("last known alive: %v, want the same each time", at)
	}
}

func TestHungChildIsEnded(t *testing.T) {
	d := prepare(t)
	c := conf("web", "farm")
	c.Global.ChildTimeout = config.Duration(2 * time.Second)
	d.configure(c)
	started := monotonic()
	d.start()
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	before := d.process(RoleVRRP)
	d.file("vrrp.hang", "")
	d.says("child hangs and is ended")
	ended := monotonic()
	d.remove("vrrp.hang")
	d.await("vrrp applied 1", 2)
	// It was asked for 2 s before its end, the first time soon after its last answer.
	if at := d.resumed(RoleVRRP); len(at) != 1 || at[0] < started || at[0] > ended-int64(time.Second) {
		t.Errorf("last known alive at %v, started at %d, ended before %d", at, started, ended)
	}
	d.eventually("running again", func() bool { return d.process(RoleVRRP).State == "running" })
	if after := d.process(RoleVRRP); after.PID == before.PID || !strings.HasPrefix(after.LastExit, "hung: ") {
		t.Errorf("after: %+v", after)
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "stderr"))
	if err != nil || !strings.Contains(string(text), "SIGQUIT") || !strings.Contains(string(text), "goroutine 1") {
		t.Errorf("no dump of the goroutines: %v, %.200s", err, text)
	}
}

// TestStoppedChildIsKilled hangs a child so that it cannot even take SIGQUIT.
func TestStoppedChildIsKilled(t *testing.T) {
	d := prepare(t)
	c := conf("", "farm")
	c.Global.ChildTimeout = config.Duration(4 * time.Second)
	d.configure(c)
	d.start(func(o *Options) { o.inquiryTimeout = inquiryTimeout })
	d.says("director is ready")
	pid := d.process(RoleCheckers).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d.eventually("stopped", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return strings.Contains(string(text), ") T ")
	})
	if p := d.process(RoleCheckers); !p.Stale || p.PID != pid || p.State != "running" { // status does not wait for its end
		t.Errorf("status of a silent child: %+v", p)
	}
	d.await("checkers applied 1", 2)
	if after := d.process(RoleCheckers); after.LastExit != "hung: signal: killed" {
		t.Errorf("it went on before its end: %s", after.LastExit)
	}
}

// What a process says after it was found hanging does not make its successor believe
// that it was alive, and MASTER, until then.
func TestHangingIsNoSignOfLife(t *testing.T) {
	p, c, run := &parent{}, &child{role: RoleVRRP}, &process{}
	pong := Message{Pong: &Ping{Seq: 1}}
	p.message(c, run, pong, 10)
	run.hung = true
	p.message(c, run, pong, 20)
	if run.alive != 10 {
		t.Errorf("alive at %d, want 10", run.alive)
	}
}

func TestFinalErrorStopsTheDaemon(t *testing.T) {
	for _, tc := range []struct {
		name, file, text, want string
		order                  []string
	}{
		{"told", "vrrp.final", "open raw socket: operation not permitted", "director: vrrp: open raw socket: operation not permitted",
			[]string{"checkers start", "checkers configure 1", "checkers applied 1", "vrrp start", "vrrp configure 1", "checkers stop", "checkers exit"}},
		{"for want of a permission", "vrrp.forbidden", "", "director: vrrp: open raw socket: permission denied",
			[]string{"checkers start", "checkers configure 1", "checkers applied 1", "vrrp start", "checkers stop", "checkers exit"}},
		{"by status", "checkers.three", "", "director: checkers: gave up (exit status 3)",
			[]string{"checkers start", "checkers configure 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := prepare(t)
			d.configure(conf("web", "farm"))
			d.file(tc.file, tc.text)
			d.start()
			err := d.ends()
			var final *FinalError
			if !errors.As(err, &final) || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			d.order(tc.order...)
			if strings.Contains(d.out.String(), "is ready") {
				t.Error("it was ready")
			}
		})
	}
	t.Run("first configuration refused", func(t *testing.T) {
		d := prepare(t)
		d.configure(conf("refuse", "farm"))
		d.start()
		if err := d.ends(); err == nil || err.Error() != "director: vrrp: no such interface" {
			t.Errorf("got %v", err)
		}
	})
}

// TestFinalErrorLater gives up when everything runs already.
func TestFinalErrorLater(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("vrrp.final", "no right to do that")
	r := d.reload()
	if want := []string{"director stops: director: vrrp: no right to do that"}; r.OK || cmp.Diff(want, r.Errors) != "" {
		t.Errorf("reload: %+v, want %q", r, want)
	}
	if err := d.ends(); err == nil || err.Error() != "director: vrrp: no right to do that" {
		t.Errorf("Run: %v", err)
	}
}

// TestStatusOfADyingChild shows that status does not wait for an answer that cannot come.
func TestStatusOfADyingChild(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start()
	d.says("director is ready")
	pid := d.process(RoleVRRP).PID
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d.eventually("the child has stopped", func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return strings.Contains(string(stat), ") T ")
	})
	start := time.Now()
	time.AfterFunc(100*time.Millisecond, func() { syscall.Kill(pid, syscall.SIGKILL) })
	d.status()
	if took := time.Since(start); took < 100*time.Millisecond || took > 15*time.Second {
		t.Errorf("status took %v", took)
	}
}

// TestSilentChildIsShownAsSuch has a child that lives but does not answer inquiries.
func TestSilentChildIsShownAsSuch(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start(func(o *Options) { o.inquiryTimeout = inquiryTimeout })
	d.says("director is ready")
	d.eventually("a snapshot", func() bool { return d.status().VRRP != nil })
	d.file("vrrp.deaf", "")
	// The other may be slow for once.
	d.eventually("the silent one alone is stale", func() bool {
		s := d.status()
		if !s.Processes[1].Stale || s.VRRP == nil {
			t.Fatalf("status: %+v", s.Processes)
		}
		return !s.Processes[2].Stale
	})
}

func TestCrashAtStartIsRepeated(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.file("checkers.crash", "")
	d.start()
	d.await("checkers configure 1", 2) // at once
	if strings.Contains(d.log(), "vrrp start") {
		t.Error("VRRP started before the checkers were ready")
	}
	if p := d.process(RoleVRRP); p.State != "waiting for its turn" {
		t.Errorf("vrrp: %+v", p)
	}
	d.remove("checkers.crash")
	d.says("director is ready")
}

// TestOneInquiryAtATime has a child that is slow to answer: it is not asked again before it
// has, and who asked after it began gets a newer state.
func TestOneInquiryAtATime(t *testing.T) {
	p, vrrp, _, child, _ := halfParent(t, conf("web", ""))
	p.children[RoleCheckers].run = nil
	p.o.inquiryTimeout = time.Hour
	var got []string
	ask := func(name string) {
		p.status(func(s *control.Status) { got = append(got, fmt.Sprint(name, " ", s.VRRP.Generation)) })
	}
	inquired := func() uint64 {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Inquire == nil {
			t.Fatalf("%+v, %v", m, err)
		}
		return m.Inquire.Seq
	}
	tell := func(seq, generation uint64) {
		p.message(p.children[RoleVRRP], vrrp, Message{Snapshot: &Snapshot{Seq: seq, VRRP: &control.VRRP{Generation: generation}}}, 0)
	}
	ask("a")
	ask("b")
	ask("c")
	first := inquired()
	tell(0, 1) // not an answer
	tell(first, 2)
	second := inquired()
	ask("d")
	if second == first {
		t.Error("the later ones were not asked for anew")
	}
	tell(second, 3)
	third := inquired()
	tell(third, 4)
	slices.Sort(got)
	if d := cmp.Diff([]string{"a 2", "b 3", "c 3", "d 4"}, got); d != "" {
		t.Error(d)
	}
	ask("e") // the child answers no more
	inquired()
	p.settle(p.children[RoleVRRP], p.inquiry)
	if got[len(got)-1] != "e 4" || len(p.inquiries) != 0 {
		t.Errorf("%q, %d wait", got, len(p.inquiries))
	}
}
