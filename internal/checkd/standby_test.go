package checkd

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/ipvs"
)

// follows tells a role with a question, and returns the answers.
func (w *world) follows(state string, seq uint64) string {
	w.parent.down <- watchdog.Message{Roles: &watchdog.Roles{Seq: seq, States: map[string]string{"lan": state}}}
	synctest.Wait()
	return w.answers()
}

func (w *world) answers() string {
	var words []string
	for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Followed != nil }) {
		words = append(words, strings.TrimSpace(fmt.Sprint(m.Followed.Seq, " ", m.Followed.Problem)))
	}
	return strings.Join(words, ", ")
}

// The parent is told when the table is as the roles want it.
func TestRolesAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var failing atomic.Bool
		var failed sync.Map // services whose servers cannot be added
		failed.Store("web", true)
		failed.Store("dns", true)
		w.kernel.OnApply = func(o ipvs.Op) error {
			for _, name := range []string{"web", "dns"} {
				if is, _ := failed.Load(name); is.(bool) && o.Key == key(name) && o.Kind == ipvs.AddDest && failing.Load() {
					return syscall.ENOBUFS
				}
			}
			return nil
		}
		cfg := configOf("web: a1 b1; dns: c1", func(c *config.Config) { c.VirtualServers[0].ActiveWith = "lan" })
		w.run()
		// Not before it knows what to hold.
		if got := w.follows("MASTER", 3); got != "" {
			t.Errorf("answered %q before the configuration", got)
		}
		w.configure(cfg)
		w.pass(time.Second)
		w.table("web: a1 b1; dns: c1")
		if got := w.answers(); got != "3" {
			t.Errorf("answered %q", got)
		}
		w.role("BACKUP") // nobody asks
		if got := w.follows("BACKUP", 4) + w.follows("MASTER", 5); got != "45" {
			t.Errorf("answered %q", got)
		}
		w.table("web: a1 b1; dns: c1")

		// What the kernel refuses is told, unless it is another service's.
		w.follows("BACKUP", 6)
		failing.Store(true)
		if got := w.follows("MASTER", 7); got != "7 the kernel refused a part of virtual server web" {
			t.Errorf("answered %q", got)
		}
		failing.Store(false)
		w.pass(time.Minute)
		w.table("web: a1 b1; dns: c1")
		w.follows("BACKUP", 8)
		w.kernel.ByHand(onDest(ipvs.DeleteDest, "dns", "c1"))
		failing.Store(true)
		w.pass(2 * time.Minute)
		if s := w.inquire(); len(s.Failures) != 1 {
			t.Errorf("failures %+v", s.Failures)
		}
		failed.Store("web", false)
		if got := w.follows("MASTER", 9); got != "9" {
			t.Errorf("answered %q", got)
		}
		w.kill()
	})
}
