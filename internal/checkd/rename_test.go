package checkd

import (
	"testing"
	"testing/synctest"
	"time"

	"director/config"
)

// What is ordered for the servers of a virtual server, and which of them leave, outlives
// a restart after the virtual server got another name.
func TestRenamedServiceKeepsItsOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renamed := func(c *config.Config) { c.VirtualServers[0].Name = "shop" }
		stays := func(c *config.Config) { c.VirtualServers[0].DrainOnRemove = config.Duration(time.Hour) }
		w := started(t, "web: a4 b4 c4 d4", stays)
		w.obeys("drain web a")
		w.connections("a5+0 b4+0 c4+0 d4+0")
		w.configure(configOf("web: a4 b4 c4", stays)) // d leaves
		w.table("web: a0 b4 c4 d0")
		w.configure(configOf("web: a4 b4 c4", stays, renamed))
		w.pass(time.Minute)
		w.table("web: a0 b4 c4 d0")
		for range 2 {
			w.kill()
			w.run()
			w.configure(configOf("web: a4 b4 c4", stays, renamed))
			w.pass(time.Minute)
			w.table("web: a0 b4 c4 d0")
			if o := w.override("a"); o.What() != "drain" {
				t.Errorf("override %+v", o)
			}
			if l := w.inquire().Services[0].Leaving; len(l) != 1 || l[0].Name != "d" {
				t.Errorf("leaving %+v", l)
			}
		}
		w.kill()
	})
}
