package checkd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/internal/netlab"
	"director/internal/watchdog"
)

// agentSays is the result of an agent.
func agentSays(advice string) probe.Result {
	return probe.Result{OK: true, Detail: advice, Advice: checkers.ParseAdvice(advice)}
}

func agents(c *config.Check) { c.Kind = config.CheckAgent }

// What an agent says reaches the kernel and the status, is not undone by a change of
// the child, and makes no event.
func TestAgentWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(agentSays("up"), "a", "b")
		cfg := func(text string) *config.Config { return configOf(text, eachCheck(agents)) }
		w.run()
		w.configure(cfg("web: a4 b4"))
		w.pass(time.Minute)
		w.table("web: a4 b4")
		w.events()
		w.farm.set(agentSays("50%"), "a")
		w.farm.set(agentSays("drain"), "b")
		w.pass(10 * time.Second)
		w.table("web: a2 b0")
		if events := w.events(); events != "" {
			t.Errorf("events %s", events)
		}
		last := w.inquire()
		a, b := last.Services[0].Servers[0], last.Services[0].Servers[1]
		if a.Weight != 4 || a.EffectiveWeight != 2 || a.KernelWeight != 2 || a.Checks[0].Advice != "50%" || b.Checks[0].Advice != "drain" {
			t.Errorf("%+v, %+v", a, b)
		}
		w.kill()

		w.farm.set(agentSays(""), "a", "b") // nothing new
		w.run()
		w.configure(cfg("web: a4 b4"), last)
		w.pass(time.Minute)
		w.table("web: a2 b0")
		w.configure(cfg("web: a8 b4")) // a reload with another weight
		w.pass(10 * time.Second)
		w.table("web: a4 b0")
		w.farm.set(agentSays("ready 100%"), "a", "b")
		w.pass(10 * time.Second)
		w.table("web: a8 b4")
		w.farm.set(agentSays("0%"), "a", "b")
		w.pass(10 * time.Second)
		if s := w.inquire().Services[0]; s.State != "down" || s.UpWeight != 0 {
			t.Errorf("a pool without weight: %+v", s)
		}
		w.kill()
	})
}

// A check is asked at the interval that its state calls for.
func TestIntervalsByState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		s := func(n int) config.Duration { return config.Duration(time.Duration(n) * time.Second) }
		w.configure(configOf("web: a1", eachCheck(func(c *config.Check) { c.Interval, c.IntervalDown, c.IntervalChanging = s(10), s(60), s(1) })))
		w.pass(time.Minute)
		w.farm.starts("a")
		w.pass(100 * time.Second)
		if n := w.farm.starts("a"); n != 10 {
			t.Errorf("%d probes in 100 s while it is up", n)
		}
		w.farm.set(refused, "a")
		w.pass(12500 * time.Millisecond) // at most 10 s to the first failure, and two more
		w.table("web:")
		w.pass(70 * time.Second)
		w.farm.starts("a")
		w.pass(10 * time.Minute)
		if n := w.farm.starts("a"); n != 10 {
			t.Errorf("%d probes in 10 minutes while it is down", n)
		}
		w.farm.set(healthy, "a")
		w.pass(61500 * time.Millisecond)
		w.table("web: a1")
		w.kill()
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1", eachCheck(func(c *config.Check) { c.Jitter = config.Duration(4 * time.Second) })))
		w.pass(time.Minute)
		w.farm.take()
		w.pass(1000 * time.Second)
		starts := w.farm.take()["a"]
		if n := len(starts); n < 199 || n > 201 {
			t.Errorf("%d probes in 1000 s: the jitter adds up", n)
		}
		gaps := map[time.Duration]bool{}
		for i := 1; i < len(starts); i++ {
			gap := starts[i].Sub(starts[i-1])
			if gap < time.Second-grid || gap > 9*time.Second+grid {
				t.Errorf("%s between two probes", gap)
			}
			gaps[gap] = true
		}
		if len(gaps) < 50 {
			t.Errorf("only %d different gaps", len(gaps))
		}
		w.kill()
	})
}

func TestLogAllFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1", eachCheck(func(c *config.Check) { c.LogAllFailures = true })))
		w.pass(time.Minute)
		w.farm.set(refused, "a")
		w.pass(50 * time.Second)
		if n := strings.Count(w.log.String(), `msg="check failed" service=web server=a`); n != 10 {
			t.Errorf("%d lines for 10 failures:\n%s", n, w.log.String())
		}
		w.kill()
	})
}

// Scripts are run by the parent, once for all servers with the same question.
func TestScriptChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a9; dns: a9", eachCheck(func(c *config.Check) {
			c.Kind, c.Command, c.Dynamic = config.CheckScript, []string{"/bin/check"}, true
		})))
		var last watchdog.RunScript
		answer := func(d watchdog.ScriptDone) string {
			t.Helper()
			for range 100 {
				asked := w.parent.take(func(m watchdog.Message) bool { return m.RunScript != nil })
				if len(asked) == 0 {
					w.pass(100 * time.Millisecond)
					continue
				}
				if len(asked) > 1 {
					t.Errorf("%d requests at once", len(asked))
				}
				last = *asked[0].RunScript
				d.ID = last.ID
				w.parent.down <- watchdog.Message{ScriptDone: &d}
				synctest.Wait()
				return w.inquire().Services[0].Servers[0].Checks[0].Result
			}
			t.Fatal("no script is asked for")
			return ""
		}
		ok := watchdog.ScriptDone{OK: true, Ran: true, Result: "exit status 0", Output: "first\nall well\n"}
		answer(ok)
		if text := answer(ok); text != "exit status 0: all well" {
			t.Errorf("result %q", text)
		}
		w.table("web: a9; dns: a9")
		if last.Check == nil || last.Check.Server != address("a") || last.Check.Index != 0 || last.Generation != 1 {
			t.Errorf("request %+v", last)
		}
		answer(watchdog.ScriptDone{Ran: true, Exit: 5, Result: "exit status 5"})
		w.table("web: a3; dns: a3")
		answer(watchdog.ScriptDone{Exit: -1, Result: "no such file"}) // says nothing
		w.table("web: a3; dns: a3")
		for range 3 {
			answer(watchdog.ScriptDone{Ran: true, Exit: -1, Result: "timed out after 3s"})
		}
		w.table("web:; dns:")
		if s := w.inquire().Services[0].Servers[0]; !strings.Contains(s.Reason, "timeout: timed out after 3s") {
			t.Errorf("reason %q", s.Reason)
		}
		answer(ok)
		answer(ok)
		w.kill()
	})
}

func TestJudgeScript(t *testing.T) {
	for _, test := range []struct {
		done    watchdog.ScriptDone
		dynamic bool
		want    string
	}{
		{watchdog.ScriptDone{OK: true, Ran: true}, false, "true passed "},
		{watchdog.ScriptDone{OK: true, Ran: true}, true, "true passed 100%"},
		{watchdog.ScriptDone{Ran: true, Exit: 1}, true, "false bad_status "},
		{watchdog.ScriptDone{Ran: true, Exit: 2}, true, "true passed =0"},
		{watchdog.ScriptDone{Ran: true, Exit: 255}, true, "true passed =253"},
		{watchdog.ScriptDone{Ran: true, Exit: 2}, false, "false bad_status "},
		{watchdog.ScriptDone{Ran: true, Exit: -1, Result: "ended by signal: killed"}, true, "false bad_status "},
		{watchdog.ScriptDone{Exit: -1, Result: "still running"}, true, "false local_failure "},
	} {
		r := judgeScript(&config.Check{Dynamic: test.dynamic}, &test.done)
		if got := fmt.Sprintf("%v %s %s", r.OK, r.Reason, r.Advice); got != test.want {
			t.Errorf("%+v: %s, want %s", test.done, got, test.want)
		}
	}
}

// A file is looked at when it changes, not only at the interval. This one uses the
// real clock: the kernel tells of the change.
func TestFileCheckSeesChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	w := newWorld(t, "")
	w.real = true
	w.run()
	w.configure(configOf("web: a1 b1", func(c *config.Config) {
		for i := range c.VirtualServers[0].RealServers {
			c.VirtualServers[0].RealServers[i].Checks = []config.Check{{Kind: config.CheckFile, File: path, UpWhen: "zero",
				Interval: config.Duration(time.Hour), Timeout: config.Duration(30 * time.Second), Rise: 1, Fall: 1}}
		}
	}))
	await := func(want string) {
		t.Helper()
		err := netlab.EventuallyWithin(time.Minute, func() error {
			if got := tableText(w.kernel.Table()); got != want {
				return fmt.Errorf("table %q, want %q", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	await("web: a1 b1")
	for _, step := range []struct{ text, want string }{{"1\n", "web:"}, {"0\n", "web: a1 b1"}, {"7\n", "web:"}} {
		if err := os.WriteFile(path, []byte(step.text), 0o644); err != nil {
			t.Fatal(err)
		}
		await(step.want)
	}
	os.Remove(path)
	await("web: a1 b1")
	w.cancel()
	<-w.ended
	w.parent.hangUp()
}
