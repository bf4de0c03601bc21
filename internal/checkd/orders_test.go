package checkd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers"
	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
)

// order has the daemon carry out an order.
func (w *world) order(o control.Order) (control.OrderResult, error) {
	w.t.Helper()
	w.parent.down <- watchdog.Message{Order: &watchdog.Order{ID: 7, Order: o}}
	synctest.Wait()
	answers := w.parent.take(func(m watchdog.Message) bool { return m.Ordered != nil })
	if len(answers) != 1 {
		w.t.Fatalf("%d answers to %+v", len(answers), o)
	}
	if text := answers[0].Ordered.Error; text != "" {
		return control.OrderResult{}, errors.New(text)
	}
	return answers[0].Ordered.Result, nil
}

// obeys carries out "drain web a b", "weight web a 50%" or "ready - a", with what change adds.
func (w *world) obeys(text string, change ...func(*control.Order)) control.OrderResult {
	w.t.Helper()
	r, err := w.order(orderOf(text, change...))
	if err != nil {
		w.t.Fatalf("%s: %v", text, err)
	}
	return r
}

func orderOf(text string, change ...func(*control.Order)) control.Order {
	words := strings.Fields(text)
	o := control.Order{Verb: words[0], Service: strings.ReplaceAll(words[1], "-", ""), Servers: words[2:], Author: "root"}
	if last := len(o.Servers) - 1; o.Verb == control.VerbWeight {
		o.Weight, o.Servers = o.Servers[last], o.Servers[:last]
	}
	for _, f := range change {
		f(&o)
	}
	return o
}

func force(o *control.Order) { o.Force = true }

func until(d time.Duration) func(*control.Order) { return func(o *control.Order) { o.For = d } }

func deadline(d time.Duration) func(*control.Order) { return func(o *control.Order) { o.Deadline = d } }

// connections sets what the kernel counts at servers of web, as "a3+1" for three active
// ones and one that persistence binds.
func (w *world) connections(text string) {
	s := &ipvs.ServiceStats{Dests: map[ipvs.DestKey]ipvs.DestStats{}}
	for _, word := range strings.Fields(text) {
		var active, bound uint32
		if _, err := fmt.Sscanf(word[1:], "%d+%d", &active, &bound); err != nil {
			w.t.Fatalf("%s: %v", word, err)
		}
		s.Dests[address(word[:1])] = ipvs.DestStats{Active: active, Persistent: bound, Inactive: 9}
	}
	w.kernel.SetStats(ipvs.Stats{key("web"): s})
}

// started returns a world whose servers are up.
func started(t *testing.T, text string, change ...func(*config.Config)) *world {
	w := newWorld(t, "")
	w.run()
	w.configure(configOf(text, change...))
	w.pass(time.Minute)
	w.events()
	w.kernel.Log()
	return w
}

func (w *world) override(server string) *control.Override {
	w.t.Helper()
	for _, s := range w.inquire().Services {
		for _, r := range s.Servers {
			if r.Name == server {
				return r.Override
			}
		}
	}
	w.t.Fatalf("no server %s", server)
	return nil
}

func TestVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4; dns: a1 b1")
		r := w.obeys("drain web a", func(o *control.Order) { o.Reason, o.Claimed = "new kernel", "alice" })
		w.table("web: a0 b4; dns: a1 b1")
		if len(r.Servers) != 1 || r.Servers[0].Was != "ready" || r.Servers[0].Override.What() != "drain" || r.Servers[0].KernelWeight != 0 || r.Servers[0].Health != "up" {
			t.Errorf("answer %+v", r)
		}
		w.ops("-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0")
		if got := w.events(); got != "web/a ready>drain" || w.reasons[0] != "ordered by root for alice: new kernel" {
			t.Errorf("events %s %v", got, w.reasons)
		}
		w.obeys("weight web b 50%")
		w.table("web: a0 b2; dns: a1 b1")
		w.obeys("maintain web a")
		w.table("web: b2; dns: a1 b1")
		w.farm.set(refused, "a")
		w.pass(time.Minute)
		w.table("web: b2; dns: b1")
		if got := w.events(); got != "web/b ready>weight 50%, web/a drain>maintain, dns/a up>down" {
			t.Errorf("in maintenance a failing check is no news: %s", got)
		}
		w.farm.set(healthy, "a")
		w.pass(time.Minute)
		w.events()
		w.obeys("ready web all")
		w.table("web: a4 b4; dns: a1 b1")
		if got := w.events(); got != "web/a maintain>ready, web/b weight 50%>ready" {
			t.Errorf("events %s", got)
		}
		w.obeys("ready web all")
		if got := w.events(); got != "" {
			t.Errorf("ready without an order before: %s", got)
		}
		if r := w.obeys("maintain - 10.0.0.1"); len(r.Servers) != 2 {
			t.Errorf("everywhere: %+v", r.Servers)
		}
		w.table("web: b4; dns: b1")
		r = w.obeys("show - 10.0.0.*")
		w.table("web: b4; dns: b1")
		if len(r.Servers) != 4 || r.Servers[0].Was != "maintain" || r.Servers[1].Was != "ready" {
			t.Errorf("show: %+v", r.Servers)
		}
		w.kill()
	})
}

// What an order means to nobody, or would take a service away, changes nothing.
func TestRefusedOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4; dns: a1 b1; mail: c1", sorry("s"), func(c *config.Config) { c.VirtualServers[1].Quorum = 2 })
		refused := func(text, want string, change ...func(*control.Order)) {
			t.Helper()
			if _, err := w.order(orderOf(text, change...)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
		refused("drain wep a", `there is no virtual server called "wep": did you mean "web"?`)
		refused("drain x a", `there are dns, mail, web`)
		refused("drain 192.0.2.8 a", "no virtual server")
		refused("drain 192.0.2.1:80/udp a", "no virtual server")
		refused("drain web c", `there is no real server of web called "c": there are 10.0.0.19:80, 10.0.0.1:80, 10.0.0.2:80, a, b, s`)
		refused("drain web 10.0.0.21:80", `did you mean "10.0.0.1:80"?`)
		refused("drain web x*", "no real server of web")
		refused("drain - x", "no real server of any virtual server")
		refused("drain web", "no real server is named")
		refused("dance web a", `"dance" is no order`)
		refused("weight web a 5x", `weight "5x" is not allowed`)
		refused("maintain web a", "--deadline is for drain", deadline(time.Minute))
		refused("drain web a", "is not before the end", deadline(time.Hour), until(time.Minute))
		refused("drain web a", "up to 24h", deadline(25*time.Hour))
		refused("drain web a", "--for -1s is not allowed", until(-time.Second))
		refused("ready web a", "ready is what they come back to", until(time.Second))
		refused("drain web a", "501 bytes is too long", func(o *control.Order) { o.Reason = strings.Repeat("x", 501) })

		refused("drain web all", "web would lose the last serving server, and its sorry server would answer; nothing was changed: --force")
		refused("weight web all 0", "web would lose the last serving server")
		refused("maintain dns a", "dns would lose the quorum; nothing")
		refused("maintain - a", "dns would lose the quorum") // and web keeps its server
		w.ops()
		if got := w.events(); got != "" {
			t.Errorf("events %s", got)
		}
		if _, err := os.Stat(filepath.Join(w.dir, maintenanceName)); err == nil {
			t.Error("something was written down")
		}
		w.obeys("drain web all", force)
		w.table("web: a0 b0 s1; dns: a1 b1; mail: c1")
		w.obeys("maintain 192.0.2.3:80/tcp c", force)
		w.obeys("maintain web b", force)
		w.table("web: a0 s1; dns: a1 b1; mail:")
		w.obeys("ready web b")
		w.table("web: a0 b4; dns: a1 b1; mail:")
		w.kill()
	})
}

// A drain ends when no connection is left for a while, or at its deadline.
func TestDrainEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4 c4 d4")
		w.connections("a2+1 b5+0 c1+0")
		w.obeys("drain web a b", deadline(time.Minute))
		w.obeys("drain web c")
		w.events()
		began := time.Now()
		w.pass(20 * time.Second)
		w.connections("a0+1 b5+0 c0+0")
		w.pass(2 * time.Second)
		w.connections("a0+1 b5+0 c1+0") // a handshake that was under way
		w.pass(10 * time.Second)
		w.table("web: a0 b0 c0 d4")
		if got := w.events(); got != "" {
			t.Errorf("too early: %s", got)
		}
		w.connections("a0+0 b5+0 c0+0")
		w.pass(6 * time.Second)
		w.table("web: b0 c0 d4")
		if got := w.events(); got != "web/a drain>maintain, web/c drain>drained" && got != "web/c drain>drained, web/a drain>maintain" {
			t.Errorf("events %s", got)
		}
		if o := w.override("a"); o.After != control.AfterDrained || o.Order != control.VerbMaintain || !o.By.IsZero() {
			t.Errorf("a: %+v", o)
		}
		if o := w.override("c"); o.Drained.IsZero() || o.Order != control.VerbDrain {
			t.Errorf("c: %+v", o)
		}
		w.pass(time.Minute - time.Since(began) - time.Millisecond)
		w.table("web: b0 c0 d4")
		w.pass(time.Millisecond)
		w.table("web: c0 d4")
		if got := w.events(); got != "web/b drain>maintain" || w.reasons[0] != "the deadline is over with 5 connections left" {
			t.Errorf("events %s %v", got, w.reasons)
		}
		if o := w.override("b"); o.After != control.AfterDeadline || o.Left != 5 {
			t.Errorf("b: %+v", o)
		}
		w.connections("c1+0")
		w.pass(time.Minute)
		if o := w.override("c"); !o.Drained.IsZero() {
			t.Errorf("a client is back: %+v", o)
		}
		w.kill()
	})
}

// The kernel counts what is remembered of UDP, and nothing of it as active.
func TestDrainOfUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4", func(c *config.Config) { c.VirtualServers[0].Protocol = config.UDP })
		count := func(remembered uint32) {
			k := ipvs.AddrService(ipvs.UDP, key("web").Addr)
			w.kernel.SetStats(ipvs.Stats{k: {Dests: map[ipvs.DestKey]ipvs.DestStats{address("a"): {Inactive: remembered}}}})
		}
		count(3)
		w.obeys("drain web a", deadline(time.Hour))
		w.pass(time.Minute)
		if o := w.override("a"); o.Order != control.VerbDrain || o.Left != 3 {
			t.Errorf("with three conversations: %+v", o)
		}
		count(0)
		w.pass(time.Minute)
		if o := w.override("a"); o.After != control.AfterDrained || o.Left != 0 {
			t.Errorf("without: %+v", o)
		}
		w.kill()
	})
}

// Counters that cannot be read are no reason to believe that no connection is left.
func TestDrainWithoutCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var fails atomic.Bool
		w.kernel.OnStats = func() error {
			if fails.Load() {
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a4 b4"))
		w.pass(time.Minute)
		w.obeys("drain web a", deadline(5*time.Minute))
		fails.Store(true)
		w.pass(4 * time.Minute)
		w.table("web: a0 b4")
		w.pass(90 * time.Second)
		w.table("web: b4")
		w.kill()
	})
}

func TestAnOrderEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4")
		w.obeys("maintain web a", until(time.Hour))
		w.obeys("weight web b 9", until(2*time.Hour))
		w.pass(time.Hour - time.Millisecond)
		w.table("web: b9")
		w.events()
		w.pass(time.Millisecond)
		w.table("web: a4 b9")
		if got := w.events(); got != "web/a maintain>ready" || w.reasons[0] != "the time of the order is over" {
			t.Errorf("events %s %v", got, w.reasons)
		}
		w.pass(time.Hour)
		w.table("web: a4 b4")
		w.kill()
	})
}

// Orders survive this process, with and without what it knew, and reloads; an order
// whose server has left the configuration ends.
func TestOrdersSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := configOf("web: a4 b4 c4; dns: a1 b1")
		w := started(t, "web: a4 b4 c4; dns: a1 b1")
		w.connections("a3+0")
		w.obeys("drain web a", deadline(10*time.Minute), func(o *control.Order) { o.Reason = "patch" })
		w.obeys("maintain web b")
		w.obeys("weight dns b 7")
		before := w.override("a")
		const table = "web: a0 c4; dns: a1 b7"
		w.table(table)
		last := w.inquire()
		w.kill()

		w.run() // the checker child was killed
		w.configure(cfg, last)
		w.table(table)
		w.pass(time.Minute)
		w.table(table)
		if o := w.override("a"); o.Reason != "patch" || !o.Since.Equal(before.Since) || !o.By.Equal(before.By) {
			t.Errorf("override %+v, before %+v", o, before)
		}
		w.kill()

		w.run() // the daemon was killed
		w.configure(cfg)
		w.table(table)
		w.pass(time.Minute)
		w.table(table)
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}

		w.run() // it was stopped
		w.configure(cfg)
		w.pass(time.Minute)
		w.table(table)
		w.obeys("ready web b")
		w.table("web: a0 b4 c4; dns: a1 b7")
		w.obeys("maintain web b")
		w.events()

		w.configure(configOf("web: a9 c4; dns: a1 b1 c1")) // a reload
		if got := w.events(); got != "web/b maintain>gone" {
			t.Errorf("events %s", got)
		}
		w.pass(time.Minute)
		w.table("web: a0 c4; dns: a1 b7 c1")
		w.configure(configOf("web: a9 b4 c4")) // b is another b, and dns is gone
		w.pass(time.Minute)
		if got := w.events(); !strings.Contains(got, "dns/b weight 7>gone") {
			t.Errorf("events %s", got)
		}
		w.table("web: a0 b4 c4")
		w.obeys("ready web a")
		w.table("web: a9 b4 c4")
		if _, err := os.Stat(filepath.Join(w.dir, maintenanceName)); err == nil {
			t.Error("the record stays without an order")
		}
		w.kill()
	})
}

// A reload that is taken back, because another process refused it, ends no order.
func TestOrdersOutliveARefusedReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4 c4; dns: a1 b1")
		w.obeys("maintain web a")
		w.obeys("drain dns b")
		w.configure(configOf("web: b4 c4"))
		w.pass(time.Minute)
		w.table("web: b4 c4")
		w.gen -= 2
		w.configure(configOf("web: a4 b4 c4; dns: a1 b1"))
		w.pass(time.Minute)
		w.table("web: b4 c4; dns: a1 b0")
		if got := w.events(); !strings.Contains(got, "web/a gone>maintain") || !strings.Contains(got, "dns/b gone>drain") {
			t.Errorf("events %s", got)
		}
		w.kill()
		w.run()
		w.configure(configOf("web: a4 b4 c4; dns: a1 b1"))
		w.pass(time.Minute)
		w.table("web: b4 c4; dns: a1 b0")
		w.kill()
	})
}

// A configuration on trial ends no order for good: it may be undone, or the next process
// begins with the configuration before it.
func TestOrdersOutliveATrial(t *testing.T) {
	const before = "web: a4 b4 c4; dns: a1 b1"
	trial := func(w *world, text string) {
		w.gen++
		c := &watchdog.Configure{Generation: w.gen, Config: configOf(text), Trial: true}
		w.parent.down <- watchdog.Message{Configure: c}
		synctest.Wait()
		w.pass(time.Minute)
	}
	ended := []struct {
		name string
		end  func(w *world)
		want string // the table after a start with what was there before
	}{
		{"the next start", func(w *world) { w.kill(); w.run() }, "web: b4 c4; dns: a1 b0"},
		{"the next start after one on trial", func(w *world) {
			w.kill()
			w.run()
			trial(w, "web: b4 c4")
			w.kill()
			w.run()
		}, "web: b4 c4; dns: a1 b0"},
		{"a new process that is undone", func(w *world) {
			w.kill()
			w.run()
			trial(w, "web: b4 c4")
			w.gen++
			w.parent.down <- watchdog.Message{Configure: &watchdog.Configure{Generation: w.gen, Config: configOf(before), Back: true}}
			w.pass(time.Minute)
			w.table("web: b4 c4; dns: a1 b0")
			w.kill()
			w.run()
		}, "web: b4 c4; dns: a1 b0"},
		{"confirmed", func(w *world) {
			w.parent.down <- watchdog.Message{Confirmed: true}
			w.pass(time.Second)
			if _, err := os.Stat(filepath.Join(w.dir, maintenanceName)); err == nil {
				w.t.Errorf("the record stays")
			}
			w.kill()
			w.run()
		}, "web: a4 b4 c4; dns: a1 b1"},
	}
	for _, tc := range ended {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := started(t, before)
				w.obeys("maintain web a")
				w.obeys("drain dns b")
				trial(w, "web: b4 c4")
				w.table("web: b4 c4")
				tc.end(w)
				w.configure(configOf(before))
				w.pass(time.Minute)
				w.table(tc.want)
				w.kill()
			})
		})
	}
	t.Run("another name", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := started(t, before)
			w.obeys("maintain web a")
			cfg := configOf(before)
			cfg.VirtualServers[0].Name = "site"
			w.gen++
			w.parent.down <- watchdog.Message{Configure: &watchdog.Configure{Generation: w.gen, Config: cfg, Trial: true}}
			w.pass(time.Minute)
			w.kill()
			w.run()
			w.configure(configOf(before))
			w.pass(time.Minute)
			w.table("web: b4 c4; dns: a1 b1")
			w.kill()
		})
	})
}

// Whatever the record of orders holds, it is read without harm, and what is taken from
// it can be put in force.
func FuzzRecordOfOrders(f *testing.F) {
	f.Add([]byte(`{"version":1,"overrides":[{"service":"web","server":"10.0.0.1:80","order":"drain","author":"root","since":"2026-11-21T09:00:00Z"},` +
		`{"service":"web","server":"[2001:db8::1]:80","order":"weight","weight":"50%","author":"root","since":"2026-11-21T09:00:00Z","until":"2026-11-21T10:00:00Z"}],` +
		`"leaving":[{"service":"web","Name":"b","Key":"10.0.0.2:80","Dest":{"Weight":0},"Since":"2026-11-21T09:00:00Z","Deadline":"2026-11-21T09:05:00Z"}]}`))
	f.Add([]byte(`{"version":1,"overrides":[{"order":"weight"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		record, err := parseMaintenance(text)
		if err != nil {
			return
		}
		for i := range record.Overrides {
			if inPool(&record.Overrides[i].Override) == (checkers.Override{}) {
				t.Errorf("%+v orders nothing", record.Overrides[i])
			}
		}
	})
}

// What has left the configuration while nobody ran is no order any more; a record that
// cannot be read is set aside, with a word about it; one that cannot be written refuses.
func TestRecordOfOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4 c4; dns: a1 b1")
		w.obeys("maintain web a b")
		w.obeys("drain dns a")
		path := filepath.Join(w.dir, maintenanceName)
		record, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		w.kill()
		w.run()
		w.configure(configOf("web: b4 c4"))
		w.pass(time.Minute)
		w.table("web: c4")
		if got := w.events(); !strings.Contains(got, "web/10.0.0.1:80 maintain>gone") || !strings.Contains(got, "dns/10.0.0.1:80 drain>gone") {
			t.Errorf("events %s", got)
		}
		w.kill()

		for name, text := range map[string]string{
			"torn": string(record[:len(record)/2]), "empty": "", "newer": strings.Replace(string(record), `"version":1`, `"version":2`, 1),
			"nonsense": strings.Replace(string(record), `"order":"maintain"`, `"order":"dance"`, 1),
		} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			w.run()
			w.configure(configOf("web: a4 b4 c4"))
			w.pass(time.Minute)
			w.table("web: a4 b4 c4")
			if got := w.events(); !strings.Contains(got, "all servers ordered>lost") {
				t.Errorf("%s: events %s", name, got)
			}
			if kept, err := os.ReadFile(path + ".unreadable"); err != nil || string(kept) != text {
				t.Errorf("%s: %v", name, err)
			}
			w.kill()
		}

		w.run()
		w.configure(configOf("web: a4 b4 c4"))
		w.pass(time.Minute)
		if err := os.RemoveAll(w.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := w.order(orderOf("maintain web a")); err == nil || !strings.Contains(err.Error(), "nothing was changed, as it could not be written down") {
			t.Errorf("without a directory: %v", err)
		}
		w.table("web: a4 b4 c4")
		if o := w.override("a"); o != nil {
			t.Errorf("override %+v", o)
		}
		r := w.obeys("maintain web a", force) // an emergency on a full disk
		w.table("web: b4 c4")
		if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "a restart would forget this") {
			t.Errorf("notes %v", r.Notes)
		}
		file := filepath.Join(w.dir, maintenanceName)
		if got, want := w.events(), file+" written>failed"; !strings.HasSuffix(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		w.pass(10 * time.Minute)
		s := w.inquire()
		if f := s.Unwritten; len(f) != 1 || f[0].What != file || f[0].Error != "no such file or directory" || f[0].Count < 10 {
			t.Errorf("files that cannot be written: %+v", f)
		}
		if len(s.Failures) != 0 || s.Work.Failed != 0 || strings.Contains(w.log.String(), "kernel call") {
			t.Errorf("calls of the kernel that fail: %+v, %d", s.Failures, s.Work.Failed)
		}
		if err := os.MkdirAll(w.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Minute)
		if f := w.inquire().Unwritten; len(f) != 0 {
			t.Errorf("files that cannot be written: %+v", f)
		}
		if got, want := w.events(), file+" failed>written"; got != want {
			t.Errorf("events %q, want %q", got, want)
		}
		if f, err := readMaintenance(w.dir); err != nil || len(f.Overrides) != 1 {
			t.Errorf("the record is written late: %+v, %v", f, err)
		}
		w.kill()
	})
}

func drainOnRemove(d time.Duration) func(*config.Config) {
	return func(c *config.Config) { c.VirtualServers[0].DrainOnRemove = config.Duration(d) }
}

// A server that is taken out of the configuration keeps its connections.
func TestDrainOnRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := started(t, "web: a4 b4 c4; dns: c1", drainOnRemove(5*time.Minute))
		without := configOf("web: a4; dns: c1", drainOnRemove(5*time.Minute))
		w.connections("b2+0 c1+0")
		w.configure(without)
		w.table("web: a4 b0 c0; dns: c1")
		if got := w.events(); got != "web/b listed>leaving, web/c listed>leaving" {
			t.Errorf("events %s", got)
		}
		s := w.inquire().Services[0]
		if len(s.Leaving) != 2 || s.Leaving[0].Name != "b" || s.Leaving[0].Left != 2 || !s.Leaving[0].Installed {
			t.Errorf("status %+v", s.Leaving)
		}
		if _, err := w.order(orderOf("ready web b")); err == nil || !strings.Contains(err.Error(), "is not in the configuration any more") {
			t.Errorf("an order for a server that leaves: %v", err)
		}
		w.pass(time.Minute)
		w.table("web: a4 b0 c0; dns: c1")
		last := w.inquire()
		w.kill()
		w.run() // the new one goes on
		w.configure(without, last)
		w.pass(time.Second)
		w.table("web: a4 b0 c0; dns: c1")
		w.connections("b2+0 c0+0")
		w.pass(10 * time.Second)
		w.table("web: a4 b0; dns: c1")
		if got := w.events(); !strings.HasSuffix(got, "web/c leaving>gone") {
			t.Errorf("events %s", got)
		}
		w.configure(configOf("web: a4 b8; dns: c1", drainOnRemove(5*time.Minute)))
		w.table("web: a4 b0; dns: c1") // back: its connections live while it is checked
		w.pass(time.Minute)
		w.table("web: a4 b8; dns: c1")
		if got := w.events(); !strings.HasPrefix(got, "web/b leaving>listed") {
			t.Errorf("events %s", got)
		}
		w.configure(without)
		w.pass(4 * time.Minute)
		w.table("web: a4 b0; dns: c1")
		w.events()
		w.pass(62 * time.Second)
		w.table("web: a4; dns: c1")
		if got := w.events(); got != "web/b leaving>gone" || w.reasons[0] != "drain_on_remove is over with 2 connections left" {
			t.Errorf("events %s %v", got, w.reasons)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Nothing is ordered before there is a table.
func TestOrdersBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		if _, err := w.order(orderOf("drain web a")); err == nil || !strings.Contains(err.Error(), "the start is not over") {
			t.Errorf("%v", err)
		}
		w.kill()
	})
}
