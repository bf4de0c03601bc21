package checkd

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
)

// A sorry server takes orders as a real server does: what answers in its place is the next
// one, and who it is that loses service is asked before.
func TestOrdersForSorryServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(c *config.Config) {
			v := &c.VirtualServers[0]
			v.SorryServers[0].Name, v.SorryServers[1].Name = "first", "second"
		}
		cfg := func() *config.Config { return configOf("web: a4; dns: d1", sorry("c"), sorry("d"), named) }
		w := started(t, "web: a4; dns: d1", sorry("c"), sorry("d"), named)

		// While the pool is up, nothing stands in the table, drained or not.
		w.obeys("drain web first")
		w.table("web: a4; dns: d1")
		if got := w.events(); got != "web/first ready>drain" {
			t.Errorf("events %s", got)
		}
		w.farm.set(refused, "a")
		w.pass(time.Minute)
		w.table("web: d1; dns: d1")
		w.obeys("ready web first")
		w.table("web: c1; dns: d1")

		// One that answers keeps its connections, also in a new process.
		w.connections("c3+0 d0+0")
		w.obeys("drain web first")
		w.table("web: c0 d1; dns: d1")
		w.kill()
		w.run()
		w.configure(cfg())
		w.pass(time.Minute)
		w.table("web: c0 d1; dns: d1")
		if s := w.inquire(); s.Services[0].SorryServers[0].Override.What() != "drain" || s.OverridesLine() != "1 server told to drain" {
			t.Errorf("status %+v, %s", s.Services[0].SorryServers[0], s.OverridesLine())
		}
		if _, err := w.order(orderOf("maintain web second")); err == nil || !strings.Contains(err.Error(), "web would lose the last serving server; nothing was changed") {
			t.Errorf("the last one: %v", err)
		}
		w.obeys("maintain web first")
		w.table("web: d1; dns: d1")

		// By address it is found wherever it serves; "all" are the real servers.
		if r := w.obeys("maintain - 10.0.0.4", force); len(r.Servers) != 2 {
			t.Errorf("by address: %+v", r.Servers)
		}
		w.table("web:; dns:")
		if r := w.obeys("show - all"); len(r.Servers) != 2 {
			t.Errorf("all: %+v", r.Servers)
		}
		w.obeys("ready - 10.0.0.4")
		w.table("web: d1; dns: d1")

		// The order goes with the server into the list of real servers.
		moved := configOf("web: a4 c1; dns: d1", sorry("d"))
		moved.VirtualServers[0].SorryServers[0].Name = "second"
		w.configure(moved)
		w.pass(time.Minute)
		w.table("web: d1; dns: d1")
		w.obeys("ready web c")
		w.table("web: c1; dns: d1")
		w.kill()
	})
}
