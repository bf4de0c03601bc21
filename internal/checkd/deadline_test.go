package checkd

import (
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/control"
)

// At its deadline a drain cuts the rest off, also of a server that stays in the table
// with weight 0 when it fails; a new process keeps it so, and ready brings it back.
func TestDeadlineOfAnInhibitedServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inhibit := func(c *config.Config) {
			for i := range c.VirtualServers[0].RealServers {
				c.VirtualServers[0].RealServers[i].Inhibit = true
			}
		}
		w := started(t, "web: a4 b4", inhibit)
		w.connections("a5+0 b4+0")
		w.obeys("drain web a", deadline(10*time.Second))
		w.table("web: a0 b4")
		w.pass(20 * time.Second)
		w.table("web: b4")
		if o := w.override("a"); o.After != control.AfterDeadline || o.Left != 5 {
			t.Errorf("override %+v", o)
		}
		w.kill()
		w.run()
		w.configure(configOf("web: a4 b4", inhibit))
		w.pass(time.Minute)
		w.table("web: b4")
		w.obeys("maintain web a") // as if it had been said at first
		w.table("web: a0 b4")
		w.obeys("ready web a")
		w.table("web: a4 b4")
		w.kill()
	})
}
