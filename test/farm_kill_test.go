package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testKillMatrix kills and stops every process of the active director while clients are served and a long transfer runs
// (DESIGN, section 2: what happens when a part dies). The third server fails its check all the time: a checker that
// forgot that would be seen putting it back.
func testKillMatrix(t *testing.T) {
	f := newFarm(t, 2, 3)
	web := f.webServers(f.servers...)
	web[2].SetHealthy(false)
	// A backup waits longer than a child's time-out and respawn take together, in here too.
	const settings = "[global]\nchild_timeout = \"1s\"\n"
	patient := func(priority int) string {
		return settings + plainFarm + strings.ReplaceAll(pairConfig(priority, "1s"), "advert_interval", "down_timer_adverts = 10\nadvert_interval")
	}
	conf := patient(100)
	a := startDirector(t, f.directors[0], conf)
	b := startDirector(t, f.directors[1], patient(50))
	a.WaitServer("web", "s3", "down")
	b.WaitServer("web", "s3", "down")
	a.waitMaster()
	b.WaitInstance("outside", "BACKUP", patience)
	const table = `
		-A -t 192.0.2.80:80 -s rr
		-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 1
		-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 1`
	waitTable(t, a.host, table)

	load := f.client.LoadHTTP(t.Context(), farmURL, 40*time.Millisecond, 20*time.Second)
	defer load.Stop()
	transfer, err := f.client.LongTransfer(t.Context(), farmURL+"stream")
	f.Must(err)
	defer transfer.Stop()
	addresses := watchAddresses(t, a.host, outsideVIP, insideVIP)
	entries := watchTable(t, a.host)
	f.Must(load.AwaitOK(patience, 10))
	peer := b.Instance("outside").Transitions
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of a, without dumps:\n%s", linesWith(a.Log(), "level="))
		}
	})

	// unharmed says that nobody outside the director has noticed anything since the start.
	unharmed := func(t *testing.T) {
		t.Helper()
		before := transfer.Bytes()
		f.Must(load.AwaitOK(patience, 20))
		if s := load.Stats(); s.Failed != 0 {
			t.Errorf("requests were lost: %v", s)
		}
		f.Within(patience, "the transfer goes on", func() bool { return transfer.Bytes() > before || transfer.Err() != nil })
		if err := transfer.Err(); err != nil {
			t.Errorf("the long transfer broke: %v", err)
		}
		if got := addresses.Events(); len(got) != 0 {
			t.Errorf("virtual addresses moved: %v", got)
		}
		if changes, _ := entries.Changes(); len(changes) != 0 {
			t.Errorf("the IPVS table changed: %s", strings.Join(changes, "\n"))
		}
		if i := b.Instance("outside"); i.State != "BACKUP" || i.Transitions != peer {
			t.Errorf("the peer is %s (%s) after %d transitions, want none since the start", i.State, i.Reason, i.Transitions-peer)
		}
		wantTable(t, a.host, table)
	}
	resumed := func(t *testing.T) {
		t.Helper()
		for _, name := range []string{"outside", "inside"} {
			i := a.WaitInstance(name, "MASTER", patience)
			if i.Code != "resumed" {
				t.Errorf("%s is MASTER because of %s (%s), want resumed", name, i.Code, i.Reason)
			}
			for _, ad := range i.Addresses {
				if !ad.Installed {
					t.Errorf("%s: %s is not known to be installed", name, ad.Prefix)
				}
			}
		}
	}
	remembered := func(t *testing.T) {
		t.Helper()
		v := a.Service("web")
		for name, want := range map[string]string{"s1": "up", "s2": "up", "s3": "down"} {
			if r, err := serverOf(v, name); err != nil || r.Health != want {
				t.Errorf("%s is %q (%s), want %s: %v", name, r.Health, r.Reason, want, err)
			}
		}
		if c := a.Status().Checkers; c.Repairs != 0 || len(c.Failures) != 0 {
			t.Errorf("%d repairs, failures %v, want none", c.Repairs, c.Failures)
		}
	}

	t.Run("processes", func(t *testing.T) { wantProcesses(t, a) })
	t.Run("VRRP child killed", func(t *testing.T) {
		began := time.Now()
		p := a.WaitRespawn("vrrp", a.Kill("vrrp"), patience)
		t.Logf("back after %v, was: %s", p.StartedAt.Sub(began).Round(time.Millisecond), p.LastExit)
		resumed(t)
		unharmed(t)
		wantProcesses(t, a)
	})
	t.Run("checker child killed", func(t *testing.T) {
		began := time.Now()
		p := a.WaitRespawn("checkers", a.Kill("checkers"), patience)
		t.Logf("back after %v, was: %s", p.StartedAt.Sub(began).Round(time.Millisecond), p.LastExit)
		remembered(t)
		// Not before it has asked the dead server again.
		asked := web[2].HealthChecks()
		f.Within(patience, "the dead server is asked again", func() bool { return web[2].HealthChecks() > asked+3 })
		remembered(t)
		unharmed(t)
	})
	hang := func(t *testing.T, role string) {
		t.Helper()
		began := time.Now()
		p := a.WaitRespawn(role, a.SignalRole(role, syscall.SIGSTOP), patience)
		t.Logf("back after %v, was: %s", p.StartedAt.Sub(began).Round(time.Millisecond), p.LastExit)
		if !strings.HasPrefix(p.LastExit, "hung") {
			t.Errorf("last exit %q, want hung", p.LastExit)
		}
		unharmed(t)
	}
	t.Run("VRRP child hangs", func(t *testing.T) {
		hang(t, "vrrp")
		resumed(t)
	})
	t.Run("checker child hangs", func(t *testing.T) {
		hang(t, "checkers")
		remembered(t)
	})
	t.Run("both children killed", func(t *testing.T) {
		v, c := a.Kill("vrrp"), a.Kill("checkers")
		a.WaitRespawn("vrrp", v, patience)
		a.WaitRespawn("checkers", c, patience)
		resumed(t)
		remembered(t)
		unharmed(t)
	})
	// toldGap tells how long clients were without service since a moment.
	toldGap := func(t *testing.T, began time.Time) {
		t.Helper()
		f.Must(load.AwaitOK(patience, 20))
		s := load.Since(began)
		t.Logf("clients: %v; the gap began after %v", s, s.GapStart.Sub(began).Round(time.Millisecond))
	}
	_, looks := entries.Changes()
	t.Logf("until now: %v; transfer of %d bytes, longest stall %v; the table was looked at %d times",
		load.Stats(), transfer.Bytes(), transfer.LongestStall().Round(time.Millisecond), looks)
	transfer.Stop()

	t.Run("parent killed", func(t *testing.T) {
		began := time.Now()
		a.Kill("parent")
		gone := addresses.waitGone(t)
		t.Logf("both virtual addresses are off %v after the kill", gone.Sub(began).Round(time.Millisecond))
		if took := gone.Sub(began); took > slack+stood(began) {
			t.Errorf("the addresses stayed for %v", took)
		}
		i := b.WaitInstance("outside", "MASTER", patience)
		if i.Code != "master_stopped" {
			t.Errorf("the peer took over because of %s (%s), want master_stopped", i.Code, i.Reason)
		}
		toldGap(t, began)
		f.Eventually(patience, "no process is left", func() error {
			if left := f.directors[0].Processes(); len(left) > 0 {
				return fmt.Errorf("%v", left)
			}
			return nil
		})
		if changes, _ := entries.Changes(); len(changes) != 0 {
			t.Errorf("the IPVS table changed: %s", strings.Join(changes, "\n"))
		}

		// The next one takes the table over as it is.
		addresses.Reset()
		log := len(a.Log())
		began = time.Now()
		a = a.Again()
		a.waitMaster()
		toldGap(t, began)
		a.waitLog(log, 1, "kernel_changes=0")
		asked := web[2].HealthChecks()
		f.Within(patience, "the dead server is asked again", func() bool { return web[2].HealthChecks() > asked+3 })
		if changes, _ := entries.Changes(); len(changes) != 0 {
			t.Errorf("the next start changed the IPVS table: %s", strings.Join(changes, "\n"))
		}
		f.Must(load.AwaitOK(patience, 20))
	})
	entries.Stop()
	t.Run("stop", func(t *testing.T) {
		addresses.Reset()
		began := time.Now()
		a.Stop()
		t.Logf("both virtual addresses were off %v after SIGTERM, the daemon after %v",
			addresses.waitGone(t).Sub(began).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		wantTable(t, a.host, "")
		if left := f.directors[0].Processes(); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		b.WaitInstance("outside", "MASTER", patience)
		toldGap(t, began)
	})
	t.Run("stop and keep the table", func(t *testing.T) {
		if a.Running() { // run alone
			a.Stop()
		}
		keep := strings.Replace(conf, "[global]\n", "[global]\nkeep_ipvs_on_stop = true\n", 1)
		a = startDirector(t, f.directors[0], keep)
		a.waitMaster()
		waitTable(t, a.host, table)
		addresses.Reset()
		a.Stop()
		addresses.waitGone(t)
		wantTable(t, a.host, table)
		log := len(a.Log())
		a = a.Again()
		a.waitLog(log, 1, "kernel_changes=0")
		wantTable(t, a.host, table)
	})
	b.WaitInstance("outside", "MASTER", patience)
	f.Must(load.AwaitOK(patience, 20))
	load.Stop()
	s := load.Stats()
	t.Logf("in all: %v", s)
	// Each time a says good-bye, b waits for its skew time: (256-50)/256 of the advert interval.
	if limit := 805*time.Millisecond + slack + stood(s.GapStart); s.Gap > limit {
		t.Errorf("clients were without service for %v, want at most %v", s.Gap, limit)
	}
}

// linesWith returns the lines of a text that hold a word.
func linesWith(text, word string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// wantProcesses asserts what ps shows (set-up 13): parent, VRRP child, checker child, by these names.
func wantProcesses(t *testing.T, d *director) {
	t.Helper()
	pids := fmt.Sprintf("%d,%d,%d", d.PID("parent"), d.PID("vrrp"), d.PID("checkers"))
	out, err := d.host.Run("ps", "--no-headers", "-o", "comm:15,ppid:7,args", "-p", pids)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 3 {
		t.Fatalf("ps shows %q, want three processes", out)
	}
	want := map[string]string{
		"director":        binary(t) + " run",
		"director: vrrp":  "director: vrrp",
		"director: check": "director: checkers", // the kernel keeps 15 bytes of a name
	}
	for _, line := range lines {
		name := strings.TrimSpace(line[:15])
		parent, args, _ := strings.Cut(strings.TrimSpace(line[15:]), " ")
		if w, ok := want[name]; !ok || !strings.HasPrefix(args, w) {
			t.Errorf("ps shows %q as %q", args, name)
		}
		if name != "director" && parent != fmt.Sprint(d.PID("parent")) {
			t.Errorf("%q has the parent %s", name, parent)
		}
		delete(want, name)
	}
	if len(want) != 0 {
		t.Errorf("ps does not show %v:\n%s", want, out)
	}
	if got := len(d.host.Processes()); got != 3 {
		t.Errorf("%d processes on %s, want three: %v", got, d.host.Name(), d.host.Processes())
	}
}
